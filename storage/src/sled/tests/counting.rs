//! That what zones count is what is there, in any history.

use longpole_analysis::query::{Op, Query, RequestField, SpanField};
use proptest::prelude::*;

use super::*;
use crate::Matched;

#[derive(Debug, Clone)]
enum Event {
    /// A span of a trace, of a service, lasting so many milliseconds.
    Append {
        trace: u8,
        service: u8,
        ms: u64,
    },
    Seal,
    Close,
    RemoveOldest,
    Restart,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (1..8_u8, 0..3_u8, 1..9_u64)
            .prop_map(|(trace, service, ms)| Event::Append { trace, service, ms }),
        4 => Just(Event::Seal),
        2 => Just(Event::Close),
        1 => Just(Event::RemoveOldest),
        1 => Just(Event::Restart),
    ]
}

fn service(n: u8) -> String {
    format!("service {n}")
}

fn append(store: &SledStore, trace: u8, span: u64, service: &str, ms: u64) {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    let span = SpanBuilder::new(span, "work")
        .service(service)
        .at(ms, 2 * ms);
    send(store, request_of(trace_id, [span]), now(store)).expect("acknowledged");
}

fn requests() -> Vec<SearchRequest> {
    let of_service = |n| Query::compare(SpanField::Service, Op::Eq, service(n).as_str());
    let took = |op, ms| Query::compare(RequestField::Duration, op, Duration::from_millis(ms));
    let queries = [
        Query::default(),
        of_service(0),
        of_service(2),
        of_service(9),
        took(Op::Ge, 1),
        Query::And(vec![of_service(1), took(Op::Ge, 3)]),
        Query::Or(vec![of_service(1), took(Op::Lt, 3)]),
        Query::negated(of_service(1)),
    ];
    let request = |query| SearchRequest {
        query,
        ..SearchRequest::default()
    };
    let mut requests: Vec<_> = queries.map(request).into();
    requests.push(SearchRequest {
        from: Some(UnixNanos(3_000_000)),
        to: Some(UnixNanos(6_000_000)),
        ..request(of_service(0))
    });
    requests
}

/// Removes the oldest partition, if it is closed, as retention does.
pub(super) fn remove_oldest(engine: &Engine) {
    let view = engine.core.state.lock().view.clone();
    let oldest = view
        .partitions()
        .first()
        .map(|of| Arc::clone(&of.partition));
    if let Some(partition) = oldest.filter(|partition| partition.is_closed()) {
        engine
            .core
            .state
            .lock()
            .view
            .remove_partition(partition.number());
        partition.abandon();
        assert!(partition.wait_until_released());
        fs::remove_dir_all(partition.dir()).expect("a directory");
    }
}

/// How many a page that has room for all has.
fn n_listed(store: &SledStore, request: &SearchRequest) -> u64 {
    let all = SearchRequest {
        limit: 1_000,
        ..request.clone()
    };
    let result = store.search(&all).expect("the store searches");
    assert!(result.complete && result.next.is_none());
    result.requests.len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_counted_is_what_is_there(events in prop::collection::vec(any_event(), 1..40)) {
        let dir = TempDir::new().expect("a directory");
        let (mut store, _) = at_rest(dir.path(), &FaultyDisk::new());
        let mut n_appended = 0;
        for event in events {
            let engine = store.engine().expect("open");
            match event {
                Event::Append { trace, service: of, ms } => {
                    n_appended += 1;
                    append(&store, trace, n_appended, &service(of), ms);
                }
                Event::Seal => seal_all(&engine),
                Event::Close => close_partition(&engine),
                Event::RemoveOldest => remove_oldest(&engine),
                Event::Restart => {
                    drop(engine);
                    drop(store);
                    store = at_rest(dir.path(), &FaultyDisk::new()).0;
                    continue;
                }
            }
            drop(engine);
            for request in requests() {
                let n_listed = n_listed(&store, &request);
                for limit in 1..3 {
                    let counted = SearchRequest { limit, count: true, ..request.clone() };
                    let result = store.search(&counted).expect("the store searches");
                    prop_assert_eq!(&result.matched, &Matched::Exactly(n_listed), "{:?}", &counted);
                    prop_assert_eq!(result.next.is_some(), n_listed > limit as u64, "{:?}", &counted);
                }
            }
        }
    }
}

#[test]
fn zones_count_what_has_no_place_on_the_page() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    for trace in 1..=9 {
        append(&store, trace, 1, &service(trace % 2), trace.into());
        seal_all(&store.engine().expect("open"));
    }
    let of_service = Query::compare(SpanField::Service, Op::Eq, service(0).as_str());
    for (query, n_expected) in [(Query::default(), 9), (of_service, 4)] {
        let request = SearchRequest {
            query,
            limit: 1,
            count: true,
            ..SearchRequest::default()
        };
        let result = store.search(&request).expect("the store searches");
        assert_eq!(result.matched, Matched::Exactly(n_expected));
        assert_eq!(result.scanned.blocks_read, 1, "the one with the slowest");
    }
    // A late span makes an older block's summary void: it is looked at again.
    append(&store, 2, 2, &service(0), 2);
    seal_all(&store.engine().expect("open"));
    let request = SearchRequest {
        limit: 1,
        count: true,
        ..SearchRequest::default()
    };
    let result = store.search(&request).expect("the store searches");
    assert_eq!(result.matched, Matched::Exactly(9));
    assert_eq!(result.scanned.blocks_read, 2);
}
