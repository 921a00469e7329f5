//! `/api/v1/search`: the search page as JSON.

use axum::extract::State;
use axum::response::Response;
use longpole_analysis::TraceSummary;
use longpole_proto::{SpanId, TraceId};
use longpole_storage::{Order, SearchLimit, SearchRequest, SearchResult};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::answer;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::search_form::SearchForm;
use crate::search_report;
use crate::site::Site;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    matched: Option<u64>,
    complete: bool,
    next: Option<&'a str>,
    requests: Vec<Request<'a>>,
    matched_at_least: u64,
    report: Report,
}

/// What the search saw and what not.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// In words; empty when all was seen.
    text: String,
    stopped: Option<Stop>,
    unreadable: u64,
    set_aside: u64,
    scanned: Scan,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    /// `time` or `bytes`.
    limit: &'static str,
    /// What of the requests' order is greater than this was looked at.
    seen_beyond: Option<Beyond>,
}

/// A duration, a start, or a number of spans or errors: whatever the search's order goes by.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Beyond {
    DurationNanos(u64),
    StartUnixNano(String),
    Spans(u64),
    Errors(u64),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scan {
    partitions: u64,
    blocks_read: u64,
    blocks_skipped: u64,
    traces_verified: u64,
    bytes: u64,
}

impl Report {
    fn of(request: &SearchRequest, result: &SearchResult) -> Self {
        let beyond = |key: u64| match request.order {
            Order::Slowest => Beyond::DurationNanos(key),
            Order::Newest => Beyond::StartUnixNano(key.to_string()),
            Order::Spans => Beyond::Spans(key),
            Order::Errors => Beyond::Errors(key),
        };
        let scanned = result.scanned;
        Self {
            text: search_report::unseen(request, result).join("; "),
            stopped: result.unseen.stopped.map(|stopped| Stop {
                limit: match stopped.limit {
                    SearchLimit::Time(_) => "time",
                    SearchLimit::Bytes(_) => "bytes",
                },
                seen_beyond: stopped.seen_beyond.map(beyond),
            }),
            unreadable: result.unseen.n_unreadable,
            set_aside: result.unseen.n_set_aside,
            scanned: Scan {
                partitions: scanned.partitions,
                blocks_read: scanned.blocks_read,
                blocks_skipped: scanned.blocks_skipped,
                traces_verified: scanned.traces_verified,
                bytes: scanned.bytes,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    trace_id: TraceId,
    root_service: &'a str,
    root_operation: &'a str,
    start_unix_nano: String,
    duration_nanos: u64,
    spans: u64,
    errors: u64,
    services: &'a [String],
    slowest_hop: Hop<'a>,
    culprit: Culprit<'a>,
    #[serde(serialize_with = "by_service")]
    critical_nanos: &'a [(String, u64)],
    incomplete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hop<'a> {
    service: &'a str,
    name: &'a str,
    span_id: SpanId,
    nanos: u64,
}

#[derive(Serialize)]
struct Culprit<'a> {
    service: &'a str,
    name: &'a str,
    peer: Option<&'a str>,
    count: u64,
    nanos: u64,
}

/// Writes services and their times as one object, most time first.
fn by_service<S: Serializer>(shares: &&[(String, u64)], to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(shares.len()))?;
    for (service, nanos) in *shares {
        map.serialize_entry(service, nanos)?;
    }
    map.end()
}

impl<'a> From<&'a TraceSummary> for Request<'a> {
    fn from(summary: &'a TraceSummary) -> Self {
        Self {
            trace_id: summary.trace_id,
            root_service: &summary.root_service,
            root_operation: &summary.root_operation,
            start_unix_nano: summary.start.0.to_string(),
            duration_nanos: summary.duration_nanos,
            spans: summary.n_spans,
            errors: summary.n_errors,
            services: &summary.services,
            slowest_hop: Hop {
                service: &summary.slowest_hop.service,
                name: &summary.slowest_hop.name,
                span_id: summary.slowest_hop.span_id,
                nanos: summary.slowest_hop.nanos,
            },
            culprit: Culprit {
                service: &summary.culprit.service,
                name: &summary.culprit.name,
                peer: summary.culprit.peer.as_deref(),
                count: summary.culprit.count,
                nanos: summary.culprit.nanos,
            },
            critical_nanos: &summary.critical_nanos,
            incomplete: summary.incomplete,
        }
    }
}

/// The search, with the search page's parameters.
pub(crate) async fn search(
    State(site): State<Site>,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let (request, result) = site
        .read_while_wanted(move |site, cancel| {
            let (form, bad) = SearchForm::read(pairs);
            let mut request = form.request_unless(bad, site.now())?;
            request.cancel = cancel;
            let result = site.state.store.search(&request)?;
            Ok((request, result))
        })
        .await?;
    answer(&Found {
        matched: result.matched.exactly(),
        complete: result.complete,
        next: result.next.as_deref(),
        requests: result.requests.iter().map(Request::from).collect(),
        matched_at_least: result.matched.at_least(),
        report: Report::of(&request, &result),
    })
}
