//! What an overview looks at, and that it says what it did not see.

use longpole_analysis::query::{Op, Query, RequestField, SpanField};
use longpole_proto::testing::{MS, START};
use proptest::prelude::*;

use super::counting::remove_oldest;
use super::*;
use crate::{Cancel, Matched, Overview, OverviewRequest, Scanned, SearchLimit, Unseen};

fn append(store: &SledStore, trace: u8, service: &str) {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    let span = SpanBuilder::new(1, "work").service(service);
    let span = span.at(trace.into(), 2 * u64::from(trace));
    send(store, request_of(trace_id, [span]), now(store)).expect("acknowledged");
}

/// A store with the traces 1 to 9, one to a block; the even ones are of the web, the others of a shop.
fn nine_blocks(dir: &Path) -> SledStore {
    let (store, _) = at_rest(dir, &FaultyDisk::new());
    for trace in 1..=9 {
        append(&store, trace, if trace % 2 == 0 { "web" } else { "shop" });
        seal_all(&store.engine().expect("open"));
    }
    store
}

fn overview_of(query: Query) -> OverviewRequest {
    OverviewRequest {
        query,
        n_columns: 60,
        n_hops: 5,
        n_sample: 3,
        ..OverviewRequest::default()
    }
}

#[test]
fn only_blocks_in_which_something_may_match_are_read() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let web = Query::compare(SpanField::Service, Op::Eq, "web");
    let slow = Query::compare(RequestField::Duration, Op::Ge, Duration::from_millis(7));
    let name = |name| Query::compare(SpanField::Name, Op::Eq, name);
    let cases = [
        (Query::default(), 9, 9),
        (web.clone(), 4, 4),
        (Query::And(vec![web, slow]), 1, 1),
        (name("work"), 9, 9),
        (name("play"), 0, 0),
    ];
    for (query, n_matched, n_read) in cases {
        let found = store.overview(&overview_of(query.clone()));
        let found = found.expect("the store looks");
        assert_eq!(found.matched, Matched::Exactly(n_matched), "{query:?}");
        assert_eq!(found.scanned.traces_verified, 0, "{query:?}");
        assert_eq!(found.scanned.blocks_read, n_read, "{query:?}");
        assert_eq!(found.scanned.blocks_read + found.scanned.blocks_skipped, 9);
    }
}

#[test]
fn what_only_spans_tell_is_decoded() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let word = Query::Word("work".to_owned());
    let found = store.overview(&overview_of(word)).expect("the store looks");
    assert_eq!((found.matched, found.complete), (Matched::Exactly(9), true));
    assert_eq!(found.scanned.traces_verified, 9);
}

#[test]
fn it_ends_within_the_time_given_and_says_what_it_saw() {
    let dir = TempDir::new().expect("a directory");
    drop(nine_blocks(dir.path()));
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.clock = Arc::new(Ticking::default());
        settings.retention = Duration::MAX;
    });
    let mut request = overview_of(Query::Word("work".to_owned()));
    let whole = store.overview(&request).expect("the store looks");
    assert_eq!((whole.matched, whole.complete), (Matched::Exactly(9), true));
    let within = Duration::from_millis(3);
    request.within = Some(within);
    let part = store.overview(&request).expect("the store looks");
    let Matched::AtLeast(n) = part.matched else {
        panic!("it was stopped: {:?}", part.matched);
    };
    assert!(n < 9 && !part.complete);
    let stopped = part.unseen.stopped.expect("it was stopped");
    assert_eq!(stopped.limit, SearchLimit::Time(within));
    // The newest are looked at first: all behind where it stopped.
    let seen_beyond = stopped.seen_beyond.expect("blocks are in order");
    let from = OverviewRequest {
        from: Some(UnixNanos(seen_beyond + 1)),
        within: None,
        ..request
    };
    let newest = store.overview(&from).expect("the store looks");
    assert_eq!(newest.matched, Matched::Exactly(n));
}

#[test]
fn damage_is_said() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    close_partition(&store.engine().expect("open"));
    append(&store, 10, "web");
    seal_all(&store.engine().expect("open"));
    let view = store.engine().expect("open").core.state.lock().view.clone();
    view.partitions()[0].partition.damage_tree("summaries");
    let found = store.overview(&overview_of(Query::default()));
    let found = found.expect("the store looks");
    assert_eq!(
        (found.matched, found.complete),
        (Matched::AtLeast(1), false)
    );
    let expected = Unseen {
        n_unreadable: 9,
        ..Unseen::default()
    };
    assert_eq!(found.unseen, expected);
    assert_eq!(found.columns.expect("columns").n, 1);
}

#[test]
fn nobody_waits_for_a_cancelled_one() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let cancel = Cancel::default();
    cancel.cancel();
    let request = OverviewRequest {
        cancel,
        ..overview_of(Query::default())
    };
    let refused = store.overview(&request);
    assert!(matches!(refused, Err(StorageError::Cancelled)));
}

#[test]
fn a_late_span_replaces_what_was_counted() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let engine = store.engine().expect("open");
    let late = TraceId::new([9; 16]).expect("not zero");
    let parent = SpanBuilder::new(2, "all").service("web").at(0, 1_000);
    send(&store, request_of(late, [parent]), now(&store)).expect("acknowledged");
    for _ in 0..2 {
        let found = store.overview(&overview_of(Query::default()));
        let found = found.expect("the store looks");
        assert_eq!((found.matched, found.complete), (Matched::Exactly(9), true));
        let p99 = found.percentiles.expect("some").p99_nanos;
        assert_eq!(p99, 1_000_000_000, "in memory and sealed");
        seal_all(&engine);
    }
}

/// Events of a store, and what is asked in between.
#[derive(Debug, Clone)]
enum Event {
    Append {
        trace: u8,
        span: u64,
        service: u8,
        ms: u64,
    },
    Seal,
    Close,
    RemoveOldest,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (1..9_u8, 1..4_u64, 0..3_u8, 1..9_u64)
            .prop_map(|(trace, span, service, ms)| Event::Append { trace, span, service, ms }),
        5 => Just(Event::Seal),
        2 => Just(Event::Close),
        1 => Just(Event::RemoveOldest),
    ]
}

fn requests() -> Vec<OverviewRequest> {
    let service = |n: u8| Query::compare(SpanField::Service, Op::Eq, format!("{n}").as_str());
    let name = |n: u8| Query::compare(SpanField::Name, Op::Eq, format!("{n}").as_str());
    let took = |op, ms| Query::compare(RequestField::Duration, op, Duration::from_millis(ms));
    let queries = [
        Query::default(),
        service(1),
        Query::And(vec![service(1), name(2)]),
        Query::And(vec![service(0), service(2)]),
        took(Op::Le, 4),
        Query::compare(RequestField::Errors, Op::Ge, 1),
        Query::compare(RequestField::RootName, Op::Eq, "1"),
        Query::And(vec![
            service(0),
            Query::negated(Query::compare(RequestField::SlowestHopService, Op::Eq, "1")),
        ]),
        Query::Or(vec![
            Query::compare(RequestField::RootService, Op::Eq, "2"),
            Query::compare(RequestField::SlowestHopName, Op::Ne, "2"),
        ]),
        Query::Or(vec![
            Query::compare(RequestField::RootService, Op::Eq, "2"),
            took(Op::Ge, 4),
        ]),
    ];
    let mut requests: Vec<_> = queries.map(overview_of).into();
    requests.push(OverviewRequest {
        from: Some(START.plus_nanos(2 * MS)),
        to: Some(START.plus_nanos(5 * MS)),
        ..overview_of(Query::default())
    });
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_remembered_is_what_is_read(
        events in prop::collection::vec(any_event(), 1..40),
        overview_bytes_max in prop::sample::select(vec![0_u64, 700, 2_000, 1 << 20]),
    ) {
        let dir = TempDir::new().expect("a directory");
        let (store, _) = at_rest_with(dir.path(), &FaultyDisk::new(), |settings| {
            settings.overview_bytes_max = overview_bytes_max;
        });
        let engine = store.engine().expect("open");
        for event in events {
            match event {
                Event::Append { trace, span, service, ms } => {
                    let trace_id = TraceId::new([trace; 16]).expect("not zero");
                    let span = SpanBuilder::new(span, &format!("{span}"))
                        .service(&format!("{service}"))
                        .at(ms, 3 * ms);
                    let span = if ms == 3 { span.error("") } else { span };
                    let request = request_of(trace_id, [span]);
                    send(&store, request, now(&store)).expect("acknowledged");
                }
                Event::Seal => seal_all(&engine),
                Event::Close => close_partition(&engine),
                Event::RemoveOldest => remove_oldest(&engine),
            }
            let snapshot = engine.core.snapshot().expect("a moment");
            for request in requests() {
                let scanned = Scanned::default();
                let of = |overview| Overview { scanned, ..overview };
                let known = engine.core.overview_in(&snapshot, &request);
                let known = known.expect("the store looks");
                let n_bytes = engine.core.remembered.n_bytes() as u64;
                prop_assert!(n_bytes <= overview_bytes_max);
                engine.core.remembered.forget();
                let read = engine.core.overview_in(&snapshot, &request);
                prop_assert_eq!(of(known), of(read.expect("the store looks")), "{:?}", request);
            }
        }
    }
}

#[test]
fn behind_who_asked_all_blocks_are_read_and_before_none() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let engine = store.engine().expect("open");
    let core = &engine.core;
    let n_bytes = || core.remembered.n_bytes();
    core.remember_blocks().expect("nothing to do");
    assert_eq!(n_bytes(), 0);
    // Who waits for one block only.
    let last = OverviewRequest {
        from: Some(START.plus_nanos(9 * MS)),
        ..overview_of(Query::default())
    };
    store.overview(&last).expect("the store looks");
    let n_of_one = n_bytes();
    core.remember_blocks().expect("the store looks");
    assert!(0 < n_of_one && n_of_one < n_bytes());
    core.remember_blocks().expect("the store looks");
    let may_remember = core.may_remember.load(Ordering::Relaxed);
    assert!(!may_remember, "there was nothing more");
}

#[test]
fn a_block_that_is_remembered_is_not_read_again() {
    let dir = TempDir::new().expect("a directory");
    let store = nine_blocks(dir.path());
    let engine = store.engine().expect("open");
    let request = overview_of(Query::default());
    let whole = store.overview(&request).expect("the store looks");
    let view = engine.core.state.lock().view.clone();
    // What is remembered does not need the disk.
    view.partitions()[0].partition.damage_tree("summaries");
    assert_eq!(store.overview(&request).expect("the store looks"), whole);
    engine.core.remembered.forget();
    let damaged = store.overview(&request).expect("the store looks");
    assert_eq!(damaged.matched, Matched::AtLeast(0));
}
