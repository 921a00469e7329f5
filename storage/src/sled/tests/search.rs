//! How little a search looks at, where it ends, and that what is removed while pages are read does
//! no harm.

use longpole_analysis::query::{Field, Op, Query, RequestField, Scope, SpanField};

use super::*;
use crate::{Cancel, Matched, SearchLimit, Unseen};

/// Appends spans of a trace, each with its number and these attributes, and lasting `ms`.
fn append_spans(store: &SledStore, trace: u8, ms: u64, spans: &[(u64, &str, &str)]) {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    let spans = spans.iter().map(|(span, key, value)| {
        let span = SpanBuilder::new(*span, "work").at(0, ms);
        span.attribute(key, *value)
    });
    send(store, request_of(trace_id, spans), now(store)).expect("acknowledged");
}

fn attribute(key: &str, value: &str) -> Query {
    Query::compare(Field::attribute(Scope::Any, key), Op::Eq, value)
}

/// What must be decoded to know.
fn word(word: &str) -> Query {
    Query::Word(word.to_owned())
}

fn search_for(query: Query, limit: usize) -> SearchRequest {
    SearchRequest {
        query,
        limit,
        ..SearchRequest::default()
    }
}

/// Which traces were found, by the byte their IDs repeat.
fn traces_of(result: &SearchResult) -> Vec<u8> {
    let requests = result.requests.iter();
    requests.map(|of| of.trace_id.as_bytes()[0]).collect()
}

/// A store with the traces 1 to 9, one to a block, of so many milliseconds; `user` is their number.
fn nine_blocks(dir: &Path) -> (SledStore, Arc<ManualClock>) {
    let (store, clock) = at_rest(dir, &FaultyDisk::new());
    for trace in 1..=9 {
        append_spans(
            &store,
            trace,
            trace.into(),
            &[(1, "user", &trace.to_string())],
        );
        seal_all(&store.engine().expect("open"));
    }
    (store, clock)
}

#[test]
fn a_block_whose_bloom_lacks_a_value_is_not_read() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    let result = store.search(&search_for(attribute("user", "4"), 10));
    let result = result.expect("the store searches");
    assert_eq!((traces_of(&result), result.complete), (vec![4], true));
    assert_eq!(result.matched, Matched::Exactly(1));
    let scanned = result.scanned;
    assert_eq!((scanned.partitions, scanned.traces_verified), (1, 1));
    assert_eq!((scanned.blocks_read, scanned.blocks_skipped), (1, 8));
}

#[test]
fn a_closed_partition_is_asked_by_lanes_and_damage_loses_nothing() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    let engine = store.engine().expect("open");
    // Trace 3 has a late fragment; together they have both.
    append_spans(&store, 3, 3, &[(2, "order", "8")]);
    close_partition(&engine);
    let view = engine.core.state.lock().view.clone();
    let closed = &view.partitions()[0].partition;
    assert!(closed.is_closed());
    let some = |key, value| Query::some_span(attribute(key, value));
    let both = Query::And(vec![some("user", "3"), some("order", "8")]);
    let either = Query::Or(vec![attribute("user", "4"), attribute("user", "7")]);
    let cases = [
        (attribute("user", "4"), vec![4]),
        (either, vec![7, 4]),
        (both, vec![3]),
        (attribute("user", "10"), vec![]),
    ];
    // Which tree is damaged before, and how many blocks are read for the first case. The block with
    // the late fragment always is.
    for (damaged, n_read) in [("", 2), ("blooms", 2), ("lanes", 10)] {
        if !damaged.is_empty() {
            closed.damage_tree(damaged);
        }
        for (query, expected) in &cases {
            let result = store.search(&search_for(query.clone(), 10));
            let result = result.expect("the store searches");
            assert_eq!(&traces_of(&result), expected, "{query:?}, {damaged}");
            assert_eq!(result.unseen, Unseen::default());
            assert_eq!(result.matched, Matched::Exactly(expected.len() as u64));
        }
        let result = store.search(&search_for(cases[0].0.clone(), 10));
        let scanned = result.expect("the store searches").scanned;
        assert_eq!(scanned.blocks_read, n_read, "{damaged}");
    }
}

#[test]
fn only_traces_with_the_value_are_decoded_whatever_the_bloom_lets_pass() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    for trace in 1..=40 {
        append_spans(&store, trace, 5, &[(1, "user", &trace.to_string())]);
    }
    let engine = store.engine().expect("open");
    seal_all(&engine);
    let view = engine.core.state.lock().view.clone();
    // Everything passes it.
    view.partitions()[0].partition.damage_tree("blooms");
    let user = || Field::attribute(Scope::Span, "user");
    let cases = [
        (attribute("user", "7"), vec![7], 1),
        (attribute("user", "70"), vec![], 0),
        (Query::compare(user(), Op::Ge, 39), vec![39, 40], 2),
        (Query::compare(user(), Op::Gt, 40), vec![], 0),
        (Query::pattern(user(), "^.9$"), vec![19, 29, 39], 3),
        (Query::pattern(user(), "^0"), vec![], 0),
        // One that no value has, beside one that some have.
        (
            Query::And(vec![Query::pattern(user(), "9"), attribute("order", "1")]),
            vec![],
            0,
        ),
    ];
    for (query, expected, n_verified) in cases {
        let result = store.search(&search_for(query.clone(), 5));
        let result = result.expect("the store searches");
        assert_eq!((traces_of(&result), result.complete), (expected, true));
        assert_eq!(result.scanned.traces_verified, n_verified, "{query:?}");
    }
}

#[test]
fn whether_a_span_failed_is_told_without_decoding_unless_more_is_asked_of_it() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    // Of both services a span; in the first trace none failed, in the second the web's, in the third the
    // shop's.
    for trace in 1..=3 {
        let span = |n: u8, service: &str| {
            let span = SpanBuilder::new(n.into(), "work").service(service);
            if n == trace { span.error("") } else { span }
        };
        let request = request_of(id(trace), [span(2, "web"), span(3, "shop")]);
        send(&store, request, clock.now()).expect("acknowledged");
    }
    seal_all(&store.engine().expect("open"));
    let failed = || Query::compare(SpanField::Status, Op::Eq, "error");
    let web = || Query::compare(SpanField::Service, Op::Eq, "web");
    let some = |query: Query| Query::SomeSpan(Box::new(query));
    let cases = [
        (failed(), vec![2, 3], 0),
        (some(failed()), vec![2, 3], 0),
        (Query::And(vec![web(), some(failed())]), vec![2, 3], 0),
        (Query::And(vec![failed(), web()]), vec![2], 2),
        (some(Query::And(vec![failed(), web()])), vec![2], 2),
        (Query::negated(failed()), vec![1, 2, 3], 3),
    ];
    for (query, expected, n_verified) in cases {
        let result = store.search(&search_for(query.clone(), 5));
        let result = result.expect("the store searches");
        let mut found = traces_of(&result);
        found.sort_unstable();
        assert_eq!((found, result.complete), (expected, true), "{query:?}");
        assert_eq!(result.scanned.traces_verified, n_verified, "{query:?}");
    }
}

#[test]
fn of_damaged_lanes_the_blocks_own_blooms_tell() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    close_partition(&store.engine().expect("open"));
    let view = store.engine().expect("open").core.state.lock().view.clone();
    view.partitions()[0].partition.damage_tree("lanes");
    let result = store.search(&search_for(attribute("user", "4"), 10));
    let result = result.expect("the store searches");
    assert_eq!((traces_of(&result), result.complete), (vec![4], true));
    let scanned = result.scanned;
    assert_eq!((scanned.blocks_read, scanned.blocks_skipped), (1, 8));
}

#[test]
fn what_heads_labels_and_summaries_decide_is_not_decoded() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    let took = |op, ms| Query::compare(RequestField::Duration, op, Duration::from_millis(ms));
    let name = || Query::compare(SpanField::Name, Op::Eq, "work");
    let service = Query::compare(SpanField::Service, Op::Eq, "app");
    let root = Query::compare(RequestField::RootName, Op::Eq, "work");
    let either = Query::Or(vec![took(Op::Lt, 3), took(Op::Ge, 8)]);
    let cases = [
        (Query::default(), 9),
        (Query::And(vec![took(Op::Ge, 3), took(Op::Le, 5)]), 3),
        (Query::And(vec![service, took(Op::Gt, 7), name()]), 2),
        (Query::And(vec![name(), either, root.clone()]), 4),
        (Query::negated(root), 0),
    ];
    for (query, n_expected) in cases {
        let request = SearchRequest {
            count: true,
            ..search_for(query, 10)
        };
        let result = store.search(&request).expect("the store searches");
        assert_eq!(result.matched, Matched::Exactly(n_expected), "{request:?}");
        assert_eq!(result.requests.len() as u64, n_expected);
        assert_eq!(result.scanned.traces_verified, 0, "{request:?}");
    }
}

#[test]
fn names_are_told_apart_beyond_what_labels_keep() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let long = |last: u8| format!("{}{last}", "work ".repeat(200));
    for trace in 1..=3 {
        let trace_id = TraceId::new([trace; 16]).expect("not zero");
        let span = SpanBuilder::new(1, &long(trace));
        send(&store, request_of(trace_id, [span]), now(&store)).expect("acknowledged");
    }
    for _ in 0..2 {
        let query = Query::compare(SpanField::Name, Op::Eq, long(2).as_str());
        let result = store.search(&search_for(query, 10));
        assert_eq!(traces_of(&result.expect("the store searches")), [2]);
        seal_all(&store.engine().expect("open"));
    }
}

#[test]
fn what_the_fragments_of_a_trace_have_together_is_found() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    // Neither block has both.
    append_spans(&store, 1, 5, &[(1, "user", "7")]);
    append_spans(&store, 2, 6, &[(1, "user", "7")]);
    close_partition(&engine);
    append_spans(&store, 1, 5, &[(2, "order", "8")]);
    append_spans(&store, 3, 7, &[(1, "order", "8")]);
    seal_all(&engine);
    append_spans(&store, 4, 8, &[(1, "user", "7"), (2, "order", "8")]);
    let some = |key, value| Query::some_span(attribute(key, value));
    let both = Query::And(vec![some("user", "7"), some("order", "8")]);
    for _ in 0..2 {
        let result = store.search(&search_for(both.clone(), 10));
        let result = result.expect("the store searches");
        assert_eq!((traces_of(&result), result.complete), (vec![4, 1], true));
        assert_eq!(result.matched, Matched::Exactly(2));
        seal_all(&engine);
    }
}

#[test]
fn partitions_without_a_name_are_left_out_but_for_traces_that_reach_into_others() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let append = |trace: u8, span, name: &str| {
        let trace_id = TraceId::new([trace; 16]).expect("not zero");
        let span = SpanBuilder::new(span, name).at(0, trace.into());
        send(&store, request_of(trace_id, [span]), now(&store)).expect("acknowledged");
    };
    for (trace, name) in [(1, "find lions"), (2, "find bears"), (3, "feed lions")] {
        append(trace, 1, name);
        close_partition(&store.engine().expect("open"));
    }
    let find = |query: Query| {
        let result = store.search(&search_for(query, 10));
        let result = result.expect("the store searches");
        assert!(result.complete);
        (traces_of(&result), result.scanned.partitions)
    };
    let pattern = |text: &str| Query::pattern(SpanField::Name, text);
    assert_eq!(find(pattern("^find")), (vec![2, 1], 2));
    assert_eq!(find(pattern("tiger")), (vec![], 0));
    let named = Query::compare(SpanField::Name, Op::Eq, "feed lions");
    assert_eq!(find(named), (vec![3], 1));
    // The newest fragment has the summary, and its partition has no such name.
    append(1, 2, "clean up");
    close_partition(&store.engine().expect("open"));
    assert_eq!(find(pattern("^find lions")).0, [1]);
    let named = Query::compare(SpanField::Name, Op::Eq, "find lions");
    assert_eq!(find(named).0, [1]);
}

#[test]
fn a_full_page_needs_no_more_and_says_that_there_may_be() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    let mut request = search_for(word("work"), 2);
    let first = store.search(&request).expect("the store searches");
    assert_eq!((traces_of(&first), first.complete), (vec![9, 8], true));
    assert_eq!(first.matched, Matched::AtLeast(3));
    assert_eq!(first.scanned.traces_verified, 3);
    request.after = first.next;
    let second = store.search(&request).expect("the store searches");
    assert_eq!((traces_of(&second), second.complete), (vec![7, 6], true));
    assert_eq!(second.matched, Matched::AtLeast(3));
    request.count = true;
    let counted = store.search(&request).expect("the store searches");
    assert_eq!(traces_of(&counted), [7, 6]);
    assert_eq!(counted.matched, Matched::Exactly(9));
    assert_eq!(counted.scanned.traces_verified, 9);
}

#[test]
fn counting_ends_when_it_takes_too_long_and_the_page_is_exact() {
    let dir = TempDir::new().expect("a directory");
    drop(nine_blocks(dir.path()));
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.clock = Arc::new(Ticking::default());
        settings.retention = Duration::MAX;
    });
    // What must be decoded, and what summaries tell; numbers and services zones tell at once.
    let root = Query::compare(RequestField::RootName, Op::Eq, "work");
    for query in [word("work"), root] {
        let mut request = SearchRequest {
            count: true,
            ..search_for(query, 2)
        };
        let exact = store.search(&request).expect("the store searches");
        assert_eq!(exact.matched, Matched::Exactly(9));
        request.count_within = Some(Duration::from_millis(3));
        let result = store.search(&request).expect("the store searches");
        assert_eq!((traces_of(&result), result.complete), (vec![9, 8], true));
        assert_eq!(result.next, exact.next);
        assert_eq!(result.unseen, Unseen::default());
        assert!(matches!(result.matched, Matched::AtLeast(n) if (2..9).contains(&n)));
    }
}

#[test]
fn a_search_ends_at_the_limits_of_its_work_and_says_so() {
    type Limit = fn(&mut Settings);
    const TIME_MAX: Duration = Duration::from_millis(3);
    let dir = TempDir::new().expect("a directory");
    drop(nine_blocks(dir.path()));
    let limits: [(Limit, SearchLimit); 2] = [
        (
            |settings| settings.search_bytes_max = 1,
            SearchLimit::Bytes(1),
        ),
        (
            |settings| {
                settings.clock = Arc::new(Ticking::default());
                settings.search_time_max = TIME_MAX;
            },
            SearchLimit::Time(TIME_MAX),
        ),
    ];
    for (limit, reached) in limits {
        let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
            settings.clock = Arc::new(ManualClock::default());
            settings.retention = Duration::MAX;
            limit(settings);
        });
        let result = store.search(&search_for(word("work"), 5));
        let result = result.expect("the store searches");
        assert!(!result.complete);
        assert!(result.requests.len() < 5, "{:?}", result.requests);
        let n_found = result.requests.len() as u64;
        assert_eq!(result.matched, Matched::AtLeast(n_found));
        assert_eq!(result.scanned.traces_verified, n_found);
        assert!(n_found >= 1, "it did some work");
        let stopped = result.unseen.stopped.expect("it was stopped");
        assert_eq!(stopped.limit, reached);
        // Trace n takes n milliseconds; the next one was not looked at.
        let next_nanos = (9 - n_found) * 1_000_000;
        assert_eq!(stopped.seen_beyond, Some(next_nanos));
        assert_eq!(
            result.next, None,
            "behind its last request some are missing"
        );
        // As many as it found is what it is sure of: only their number is not known.
        let request = SearchRequest {
            count: true,
            ..search_for(word("work"), 1)
        };
        let first = store.search(&request).expect("the store searches");
        assert_eq!((traces_of(&first), first.complete), (vec![9], true));
        assert!(first.unseen.stopped.is_some());
        assert!(matches!(first.matched, Matched::AtLeast(n) if n < 9));
        let request = SearchRequest {
            after: first.next,
            ..search_for(word("work"), 1)
        };
        let second = store.search(&request).expect("the store searches");
        assert_eq!(traces_of(&second), [8]);
    }
}

#[test]
fn what_was_removed_while_a_search_reads_is_not_called_unreadable() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for trace in 1..=2 {
        append_spans(&store, trace, 5, &[(1, "user", "7")]);
        close_partition(&engine);
        clock.advance(HOUR * 100);
    }
    let request = search_for(word("work"), 5);
    let before = engine.core.snapshot().expect("a moment");
    engine.keeper.retain().expect("the disk is fine");
    let result = engine.core.search_in(&before, &request);
    let result = result.expect("the store searches");
    assert_eq!((traces_of(&result), result.complete), (vec![2], true));
    assert_eq!(result.unseen, Unseen::default());
    let view = engine.core.state.lock().view.clone();
    view.partitions()[0].partition.abandon();
    let result = store.search(&request).expect("the store searches");
    assert_eq!((traces_of(&result), result.complete), (vec![], false));
    assert_eq!(result.unseen.n_unreadable, 1);
    engine.keeper.set_aside().expect("the disk is fine");
    let result = store.search(&request).expect("the store searches");
    let Unseen {
        n_unreadable,
        n_set_aside,
        ..
    } = result.unseen;
    assert_eq!((n_unreadable, n_set_aside, result.complete), (0, 1, false));
}

#[test]
fn a_search_nobody_waits_for_ends() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = nine_blocks(dir.path());
    let request = search_for(word("work"), 5);
    let cancel: Cancel = request.cancel.clone();
    let guard = cancel.drop_guard();
    assert!(store.search(&request).is_ok());
    drop(guard);
    let result = store.search(&request);
    assert!(matches!(result, Err(StorageError::Cancelled)), "{result:?}");
}

#[test]
fn a_query_that_cannot_be_matched_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    for query in [
        Query::pattern(Field::attribute(Scope::Any, "user"), "("),
        Query::compare(RequestField::Duration, Op::Gt, "long"),
    ] {
        let result = store.search(&search_for(query, 5));
        assert!(matches!(result, Err(StorageError::Query(_))), "{result:?}");
    }
}

#[test]
fn pages_go_on_where_they_were_while_spans_arrive_and_old_ones_are_removed() {
    let dir = TempDir::new().expect("a directory");
    let clock = Arc::new(ManualClock::default());
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
        settings.retention = HOUR;
    });
    let engine = store.engine().expect("open");
    // Odd ones are old: each kind in a partition of its own.
    for is_old in [true, false] {
        for trace in (1..=10_u8).filter(|trace| (trace % 2 == 1) == is_old) {
            append_spans(&store, trace, trace.into(), &[(1, "user", "7")]);
        }
        close_partition(&engine);
        clock.advance(HOUR * 2 / 3);
    }
    for query in [attribute("user", "7"), word("work"), Query::default()] {
        let mut request = search_for(query, 3);
        let first = store.search(&request).expect("the store searches");
        assert_eq!(traces_of(&first)[..2], [10, 9][..]);
        request.after = first.next;
        let second = store.search(&request).expect("the store searches");
        assert_eq!(traces_of(&second), [7, 6, 5]);
    }
    let mut request = search_for(attribute("user", "7"), 3);
    request.after = store.search(&request).expect("the store searches").next;
    engine.keeper.retain().expect("the disk is fine");
    // One before the cursor, one behind it.
    append_spans(&store, 20, 9, &[(1, "user", "7")]);
    append_spans(&store, 21, 3, &[(1, "user", "7")]);
    for expected in [vec![6, 4, 21], vec![2]] {
        let page = store.search(&request).expect("the store searches");
        assert_eq!((traces_of(&page), page.complete), (expected, true));
        request.after = page.next;
    }
    assert_eq!(request.after, None);
}
