use std::cell::Cell;

use longpole_analysis::query::Query;
use longpole_analysis::traits::Asked;
use longpole_proto::testing::SpanBuilder;
use longpole_proto::{Trace, TraceId};
use longpole_storage::{Cancel, SearchRequest};

use super::{Comparison, Matched, OPERATIONS_MAX, Which, read};
use crate::testing::{FakeStore, NOW, trace_with_id};

fn request(n: u64, name: &str) -> Trace {
    trace_with_id(n, [SpanBuilder::new(1, name).at(0, n)])
}

fn ids(range: std::ops::RangeInclusive<u64>) -> Vec<TraceId> {
    range
        .map(|n| TraceId::new(u128::from(n).to_be_bytes()).unwrap())
        .collect()
}

#[test]
fn when_the_time_is_over_as_much_of_either_side_was_read() {
    let store = FakeStore::with((1..=60).map(|n| request(n, "GET /")));
    let n_reads = Cell::new(0);
    let is_over = || n_reads.replace(n_reads.get() + 1) >= 30;
    let (tally, is_read) = read(
        &store,
        &ids(1..=20),
        &ids(21..=60),
        &is_over,
        &Cancel::default(),
    )
    .unwrap();
    let shared = tally.shared(&Asked::of(&Query::default()));
    assert_eq!((shared.n_these, shared.n_others, is_read), (10, 20, false));
}

#[test]
fn a_client_that_is_gone_is_not_worked_for() {
    let store = FakeStore::with([request(1, "GET /")]);
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(read(&store, &ids(1..=1), &[], &|| false, &cancel).is_err());
}

#[test]
fn of_very_many_operations_only_the_most_frequent_are_compared_and_that_is_known() {
    // Two of each of 30 operations, and twenty more of one.
    let traces = (1..=60).map(|n| request(n, &format!("GET /{}", n % 30)));
    let more = (61..=80).map(|n| request(n, "GET /29"));
    let store = FakeStore::with(traces.chain(more));
    let search = SearchRequest {
        query: Query::parse("trace.spans = 1 and trace.duration > 30ms").unwrap(),
        limit: 20,
        ..SearchRequest::default()
    };
    let compared = Comparison::of(&store, &|| NOW, &search, &Cancel::default()).unwrap();
    assert_eq!(compared.which, Which::Matches);
    assert_eq!(compared.n_operations, OPERATIONS_MAX);
    assert_eq!(compared.n_these + compared.n_left_out, 50);
    assert_eq!(compared.n_left_out, 10);
    assert_eq!(compared.others, Matched::Exactly(20));
}

#[test]
fn too_many_matches_are_not_taken_together() {
    let store = FakeStore::with((1..=1_200).map(|n| request(n, "GET /")));
    let search = |query: &str| SearchRequest {
        query: Query::parse(query).unwrap(),
        limit: 50,
        ..SearchRequest::default()
    };
    let of =
        |query: &str| Comparison::of(&store, &|| NOW, &search(query), &Cancel::default()).unwrap();
    let (many, few) = (of("trace.duration > 1ms"), of("trace.duration > 201ms"));
    assert_eq!((many.which, many.n_these), (Which::Listed, 50));
    assert_eq!((few.which, few.n_these), (Which::Matches, 999));
    assert_eq!(few.shared.n_these, 200);
    assert_eq!(few.others, Matched::Exactly(201));
}
