//! What an overview looks at, and that it says what it did not see.

use longpole_analysis::query::{Op, Query, RequestField, SpanField};

use super::*;
use crate::{Cancel, Matched, OverviewRequest, SearchLimit, Unseen};

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
