//! What is asked: the rows of the performance targets.

use longpole_analysis::query::{Field, Op, Query, Relation, RequestField, Scope, SpanField};
use longpole_proto::{TraceId, UnixNanos};
use longpole_storage::{Order, OverviewRequest, SearchRequest};
use std::time::Duration;

use crate::fill::Filled;

const YEAR_NANOS: u64 = 365 * 24 * 3_600_000_000_000;

/// What is asked, and what it is called.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) ask: Ask,
}

pub(super) enum Ask {
    /// These traces, one after the other.
    Traces(Vec<TraceId>),
    Search(Box<SearchRequest>),
    Overview(Box<OverviewRequest>),
}

/// All rows.
pub(super) fn all(filled: &Filled) -> Vec<Row> {
    let ids = filled.trace_ids(100);
    let trace_ids = ids.iter().map(|&id| TraceId::new(id).expect("never zero"));
    let trace_ids = trace_ids.collect();
    let attribute = |key: &str| Field::attribute(Scope::Any, key);
    let text = |field: SpanField, text: &str| Query::compare(field, Op::Eq, text);
    let service = |name: &str| text(SpanField::Service, name);
    let slow = Query::compare(RequestField::Duration, Op::Ge, Duration::from_secs(2));
    let failed = || Query::compare(attribute("http.response.status_code"), Op::Eq, 500);
    // The load writes half of a trace's ID there.
    let half: u64 = ids[50][..8]
        .iter()
        .fold(0, |id, &byte| id << 8 | u64::from(byte));
    let request_id = |id: String| Query::compare(attribute("app.request.id"), Op::Eq, id.as_str());
    let called = |caller, relation, query| Query::related(service(caller), relation, query);
    let error = || Query::compare(SpanField::Status, Op::Eq, "error");
    let search = |query, order, count| SearchRequest {
        query,
        order,
        count,
        limit: 20,
        ..SearchRequest::default()
    };
    let of_year = |query| SearchRequest {
        from: Some(UnixNanos(filled.end_nanos.saturating_sub(YEAR_NANOS))),
        ..search(query, Order::Newest, false)
    };
    let (slowest, newest) = (Order::Slowest, Order::Newest);
    let none = "^no such (name|thing)$";
    let rows = [
        ("slowest 20", search(Query::default(), slowest, false)),
        ("newest 20", search(Query::default(), newest, false)),
        ("count of all", search(Query::default(), slowest, true)),
        (
            "slowest 20 of a service",
            search(service("payments"), slowest, false),
        ),
        (
            "the same, counted",
            search(service("payments"), slowest, true),
        ),
        (
            "a service, over 2 s, counted",
            search(Query::And(vec![service("payments"), slow]), slowest, true),
        ),
        ("status 500, newest 20", search(failed(), newest, false)),
        ("status 500, slowest 20", search(failed(), slowest, false)),
        (
            "unique request id",
            search(request_id(format!("{half:016x}")), slowest, false),
        ),
        (
            "unknown request id",
            search(request_id("nobody".to_owned()), slowest, false),
        ),
        (
            "gateway >> failed, newest 20",
            search(
                called("gateway", Relation::Descendant, error()),
                newest,
                false,
            ),
        ),
        (
            "cart > 500 of fraud, newest 20",
            search(
                called(
                    "cart",
                    Relation::Descendant,
                    Query::And(vec![service("fraud"), failed()]),
                ),
                newest,
                false,
            ),
        ),
        (
            "pattern on names, a year, none",
            of_year(Query::pattern(SpanField::Name, none)),
        ),
        (
            "pattern on an attribute, a year, none",
            of_year(Query::pattern(attribute("url.path"), none)),
        ),
    ];
    let traces = Row {
        name: "trace by ID",
        ask: Ask::Traces(trace_ids),
    };
    let searches = rows.map(|(name, request)| Row {
        name,
        ask: Ask::Search(Box::new(request)),
    });
    std::iter::once(traces)
        .chain(searches)
        .chain(overviews(filled))
        .collect()
}

/// Overviews as the search page asks for them, with all else they can have.
fn overviews(filled: &Filled) -> impl Iterator<Item = Row> + use<> {
    let text = |field: SpanField, text: &str| Query::compare(field, Op::Eq, text);
    let service = || text(SpanField::Service, "payments");
    let overview = |query, hours: Option<u64>| OverviewRequest {
        query,
        from: hours.map(|hours| {
            let nanos = hours * 3_600_000_000_000;
            UnixNanos(filled.end_nanos.saturating_sub(nanos))
        }),
        n_columns: 61,
        n_hops: 20,
        n_sample: 200,
        ..OverviewRequest::default()
    };
    let of_payments = Query::And(vec![service(), text(SpanField::Name, "POST /api/orders")]);
    let overviews = [
        ("overview of all", overview(Query::default(), None)),
        ("overview of a service", overview(service(), None)),
        ("overview of an operation", overview(of_payments, None)),
        ("overview of an hour", overview(Query::default(), Some(1))),
    ];
    overviews.into_iter().map(|(name, request)| Row {
        name,
        ask: Ask::Overview(Box::new(request)),
    })
}
