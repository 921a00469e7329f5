//! What every engine does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longpole_analysis::query::{Op, Query, RequestField, SpanField};
use longpole_proto::testing::{MS, SpanBuilder, parts_of};
use longpole_proto::wire::ExportRequest;
use longpole_proto::{SpanKind, UnixNanos};
use longpole_storage::{Matched, Operation, Order, SearchRequest, StorageError, Store};
use tempfile::TempDir;

use crate::Open;
use crate::batches::{
    append, append_at, everything, found, id, one_span, request, request_of, sent, stored,
};
pub(crate) use crate::model::any_history_reads_like_its_model;

fn with_store(open: Open, test: impl FnOnce(&dyn Store)) {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("a store");
    test(&*store);
    store.close().expect("the store closes");
}

pub(crate) fn appended_spans_come_back_byte_for_byte(open: Open) {
    with_store(open, |store| {
        let request = request_of(
            id(1),
            [
                SpanBuilder::new(1, "GET /")
                    .service("web")
                    .at(0, 9)
                    .kind(SpanKind::Server)
                    .attribute("http.route", "/")
                    .attribute("retries", 3),
                SpanBuilder::new(2, "SELECT")
                    .service("db")
                    .at(1, 8)
                    .parent(1)
                    .error("gone")
                    .link(1),
            ],
        );
        let expected = sent(&request, id(1));
        assert_eq!(append(store, request).expect("acknowledged").n_spans, 2);
        assert_eq!(stored(store, id(1)), expected);
    });
}

pub(crate) fn what_is_acknowledged_is_found_at_once(open: Open) {
    with_store(open, |store| {
        for n in 1..=20 {
            append(store, one_span(id(n), n)).expect("acknowledged");
            assert_eq!(stored(store, id(n)).len(), 1);
            let newest_first: Vec<_> = (1..=n).rev().map(id).collect();
            assert_eq!(found(store, &everything()), newest_first);
            let stats = store.stats().expect("the store counts");
            assert_eq!((stats.n_traces, stats.n_spans), (n, n));
        }
    });
}

pub(crate) fn an_unknown_trace_is_none(open: Open) {
    with_store(open, |store| {
        append(store, one_span(id(1), 1)).expect("acknowledged");
        assert!(store.trace(id(2)).expect("the store reads").is_none());
    });
}

pub(crate) fn a_request_sent_twice_is_one_trace(open: Open) {
    with_store(open, |store| {
        for _ in 0..2 {
            append(store, one_span(id(1), 5)).expect("acknowledged");
        }
        let result = store.search(&everything()).expect("the store searches");
        assert_eq!(result.matched, Matched::Exactly(1));
        assert_eq!(result.requests[0].n_spans, 1);
    });
}

pub(crate) fn a_span_sent_in_two_requests_is_one_span(open: Open) {
    with_store(open, |store| {
        let span = |n| SpanBuilder::new(n, "work").at(0, n);
        append(store, request_of(id(1), [span(1)])).expect("acknowledged");
        append(store, request_of(id(1), [span(1), span(2)])).expect("acknowledged");
        let result = store.search(&everything()).expect("the store searches");
        assert_eq!(result.requests[0].n_spans, 2);
        assert_eq!(store.stats().expect("the store counts").n_spans, 3);
    });
}

pub(crate) fn a_late_root_lengthens_the_request(open: Open) {
    with_store(open, |store| {
        let late = SpanBuilder::new(2, "SELECT")
            .service("db")
            .at(10, 20)
            .parent(1);
        append(store, request_of(id(1), [late])).expect("acknowledged");
        let before = &store
            .search(&everything())
            .expect("the store searches")
            .requests[0];
        assert_eq!((before.duration_nanos, before.incomplete), (10 * MS, true));

        append(store, one_span(id(1), 50)).expect("acknowledged");
        let after = &store
            .search(&everything())
            .expect("the store searches")
            .requests[0];
        assert_eq!(
            (after.duration_nanos, after.incomplete, after.n_spans),
            (50 * MS, false, 2)
        );
        assert_eq!(after.services, ["db", "web"]);
        let slow = SearchRequest {
            query: Query::compare(RequestField::Duration, Op::Ge, Duration::from_millis(50)),
            ..everything()
        };
        assert_eq!(found(store, &slow), [id(1)]);
        let fast = SearchRequest {
            query: Query::compare(RequestField::Duration, Op::Le, Duration::from_millis(10)),
            ..everything()
        };
        assert_eq!(found(store, &fast), []);
    });
}

pub(crate) fn traces_of_one_request_are_kept_apart(open: Open) {
    with_store(open, |store| {
        let parts: Vec<_> = (1..=30)
            .map(|n| parts_of((1..=3).map(|m| SpanBuilder::new(m, "work").at(n, n + m))))
            .collect();
        let request = request((1..).map(id).zip(&parts));
        append(store, request.clone()).expect("acknowledged");
        for n in 1..=30 {
            assert_eq!(stored(store, id(n)), sent(&request, id(n)));
        }
        assert_eq!(found(store, &everything()).len(), 30);
    });
}

pub(crate) fn a_request_without_spans_is_acknowledged(open: Open) {
    with_store(open, |store| {
        let empty = ExportRequest::parse(Bytes::new()).expect("an empty export request");
        assert_eq!(append(store, empty).expect("acknowledged").n_spans, 0);
        assert_eq!(found(store, &everything()), []);
    });
}

pub(crate) fn a_huge_trace_comes_back_whole(open: Open) {
    with_store(open, |store| {
        let spans = (1..=20_000_u64).map(|n| {
            let name = format!("call {} of {}", n, n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            SpanBuilder::new(n, &name)
                .at(n, n + 1)
                .parent(n - 1 + u64::from(n == 1) * n)
        });
        let request = request_of(id(1), spans);
        append(store, request.clone()).expect("acknowledged");
        append(store, one_span(id(2), 1)).expect("acknowledged");
        assert!(
            stored(store, id(1)) == sent(&request, id(1)),
            "the spans differ"
        );
        let last = format!(
            "call 20000 of {}",
            20_000_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        let with_last = SearchRequest {
            query: Query::compare(SpanField::Name, Op::Eq, last.as_str()),
            ..everything()
        };
        assert_eq!(found(store, &with_last), [id(1)]);
        let with_none = SearchRequest {
            query: Query::compare(SpanField::Name, Op::Eq, "call 0 of 0"),
            ..everything()
        };
        assert_eq!(found(store, &with_none), []);
    });
}

pub(crate) fn a_trace_says_when_it_was_received(open: Open) {
    with_store(open, |store| {
        for received in [70, 50, 60] {
            append_at(store, one_span(id(1), received), UnixNanos(received)).expect("acknowledged");
        }
        let trace = store
            .trace(id(1))
            .expect("the store reads")
            .expect("a trace");
        assert_eq!(
            (trace.first_received, trace.last_received),
            (UnixNanos(50), UnixNanos(70))
        );
    });
}

pub(crate) fn ties_are_by_trace_id(open: Open) {
    with_store(open, |store| {
        for n in [7, 3, 9, 1, 5] {
            append(store, one_span(id(n), 4)).expect("acknowledged");
        }
        for order in [Order::Slowest, Order::Newest, Order::Spans, Order::Errors] {
            let mut request = SearchRequest {
                order,
                limit: 2,
                ..SearchRequest::default()
            };
            let mut pages = Vec::new();
            loop {
                let result = store.search(&request).expect("the store searches");
                pages.push(
                    result
                        .requests
                        .iter()
                        .map(|of| of.trace_id)
                        .collect::<Vec<_>>(),
                );
                if result.next.is_none() {
                    break;
                }
                request.after = result.next;
            }
            assert_eq!(
                pages,
                [vec![id(1), id(3)], vec![id(5), id(7)], vec![id(9)]],
                "{order:?}"
            );
        }
    });
}

pub(crate) fn an_operation_belongs_to_its_service(open: Open) {
    with_store(open, |store| {
        let spans = |service: &str, other: &str| {
            [
                SpanBuilder::new(1, "GET /").service(service).at(0, 5),
                SpanBuilder::new(2, "work")
                    .service(other)
                    .at(1, 2)
                    .parent(1),
            ]
        };
        append(store, request_of(id(1), spans("web", "shop"))).expect("acknowledged");
        append(store, request_of(id(2), spans("shop", "web"))).expect("acknowledged");
        let search = |service: Option<&str>, operation: Option<&str>| {
            let request = SearchRequest {
                query: Query::all_of(
                    [(SpanField::Service, service), (SpanField::Name, operation)]
                        .into_iter()
                        .filter_map(|(field, text)| Some(Query::compare(field, Op::Eq, text?))),
                ),
                ..everything()
            };
            found(store, &request)
        };
        assert_eq!(search(Some("web"), Some("GET /")), [id(1)]);
        assert_eq!(search(Some("web"), Some("work")), [id(2)]);
        assert_eq!(search(Some("web"), None), [id(1), id(2)]);
        assert_eq!(search(None, Some("work")), [id(1), id(2)]);
        assert_eq!(search(Some("we"), None), []);
        assert_eq!(search(Some("bank"), Some("work")), []);

        assert_eq!(
            store.services(10).expect("the store lists"),
            ["shop", "web"]
        );
        assert_eq!(store.services(1).expect("the store lists"), ["shop"]);
        let operation = |service: &str, name: &str| Operation {
            service: service.into(),
            name: name.into(),
        };
        assert_eq!(
            store.operations(Some("web"), 10).expect("the store lists"),
            [operation("web", "GET /"), operation("web", "work")]
        );
        assert_eq!(
            store.operations(None, 3).expect("the store lists"),
            [
                operation("shop", "GET /"),
                operation("shop", "work"),
                operation("web", "GET /")
            ]
        );
    });
}

pub(crate) fn a_limit_of_nothing_gives_one(open: Open) {
    with_store(open, |store| {
        for n in 1..=2 {
            append(store, one_span(id(n), n)).expect("acknowledged");
        }
        assert_eq!(found(store, &SearchRequest::default()), [id(2)]);
        let most = SearchRequest {
            limit: usize::MAX,
            ..SearchRequest::default()
        };
        assert_eq!(found(store, &most), [id(2), id(1)]);
    });
}

pub(crate) fn a_foreign_cursor_is_refused(open: Open) {
    with_store(open, |store| {
        for n in 1..=2 {
            append(store, one_span(id(n), n)).expect("acknowledged");
        }
        let slowest = SearchRequest::default();
        let next = store
            .search(&slowest)
            .expect("the store searches")
            .next
            .expect("another page");
        for (order, after) in [
            (Order::Newest, next.as_str()),
            (Order::Slowest, "page 2"),
            (Order::Slowest, ""),
        ] {
            let request = SearchRequest {
                order,
                after: Some(after.to_owned()),
                ..everything()
            };
            let error = store
                .search(&request)
                .expect_err("no cursor of this search");
            assert!(
                matches!(&error, StorageError::Cursor { cursor } if cursor == after),
                "{error}"
            );
        }
    });
}

pub(crate) fn reopening_keeps_everything(open: Open) {
    let dir = TempDir::new().expect("a directory");
    for round in 0..3 {
        let store = open(dir.path()).expect("a store");
        let known: BTreeSet<_> = found(&*store, &everything()).into_iter().collect();
        assert_eq!(known, (1..=round * 5).map(id).collect());
        for n in 1..=5 {
            // The first trace gets another span each time.
            let late = SpanBuilder::new(round + 2, "late").at(0, 1).parent(1);
            append(&*store, request_of(id(1), [late])).expect("acknowledged");
            append(&*store, one_span(id(round * 5 + n), n)).expect("acknowledged");
        }
        if round == 1 {
            store.close().expect("the store closes");
        }
    }
    let store = open(dir.path()).expect("a store");
    assert_eq!(stored(&*store, id(1)).len(), 4);
    assert_eq!(store.stats().expect("the store counts").n_traces, 15);
    assert_eq!(store.services(9).expect("the store lists"), ["app", "web"]);
}

pub(crate) fn a_second_open_is_refused(open: Open) {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("a store");
    let error = open(dir.path()).map(drop).expect_err("it is open");
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    append(&*store, one_span(id(1), 1)).expect("the first goes on");
    store.close().expect("the store closes");
    let next = open(dir.path()).expect("the directory is free");
    assert_eq!(found(&*next, &everything()), [id(1)]);
}

pub(crate) fn a_closed_store_refuses(open: Open) {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("a store");
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    store.close().expect("the store closes");
    store.close().expect("closing again does nothing");
    assert!(matches!(
        append(&*store, one_span(id(2), 1)),
        Err(StorageError::Closed)
    ));
    assert!(matches!(store.trace(id(1)), Err(StorageError::Closed)));
    assert!(matches!(
        store.search(&everything()),
        Err(StorageError::Closed)
    ));
    assert!(matches!(store.flush(), Err(StorageError::Closed)));
}

pub(crate) fn appends_from_many_threads_are_all_found(open: Open) {
    const N_THREADS: u64 = 4;
    const N_EACH: u64 = 50;
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("a store");
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let store = Arc::clone(&store);
            scope.spawn(move || {
                for n in 1..=N_EACH {
                    let own = id(thread * N_EACH + n);
                    append(&*store, one_span(own, n)).expect("acknowledged");
                    assert_eq!(stored(&*store, own).len(), 1);
                    if n % 10 == 0 {
                        assert!(found(&*store, &everything()).contains(&own));
                    }
                    // All threads add to this one.
                    let shared = SpanBuilder::new(thread * N_EACH + n, "shared").at(0, n);
                    append(&*store, request_of(id(u64::MAX), [shared])).expect("acknowledged");
                }
            });
        }
    });
    assert_eq!(
        stored(&*store, id(u64::MAX)).len() as u64,
        N_THREADS * N_EACH
    );
    let stats = store.stats().expect("the store counts");
    assert_eq!(stats.n_traces, N_THREADS * N_EACH + 1);
    assert_eq!(stats.n_spans, 2 * N_THREADS * N_EACH);
    assert_eq!(stats.waiting_bytes, 0);
    assert!(stats.disk_bytes >= stats.log_bytes);
}

pub(crate) fn a_completion_that_panics_hurts_nobody(open: Open) {
    with_store(open, |store| {
        store.append(
            one_span(id(1), 1),
            UnixNanos(1),
            Box::new(|_| panic!("a test's panic")),
        );
        append(store, one_span(id(2), 2)).expect("acknowledged");
        store.flush().expect("the store flushes");
        assert_eq!(found(store, &everything()), [id(2), id(1)]);
    });
}
