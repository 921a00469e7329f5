//! `/api/v1/search`: the search page as JSON.

use axum::extract::State;
use axum::response::Response;
use longpole_analysis::TraceSummary;
use longpole_proto::{SpanId, TraceId};
use longpole_storage::{Cancel, SearchResult};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::answer;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::search_form::SearchForm;
use crate::site::Site;

#[derive(Serialize)]
struct Found<'a> {
    matched: Option<u64>,
    complete: bool,
    next: Option<&'a str>,
    requests: Vec<Request<'a>>,
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
    let cancel = Cancel::default();
    // Dropped with this future, when the client is gone.
    let _guard = cancel.drop_guard();
    let result: SearchResult = site
        .read(move |site| {
            let (form, mut bad) = SearchForm::read(pairs);
            let request = form
                .request(site.now())
                .map_err(|more| bad.extend(more))
                .ok();
            let mut request = request
                .filter(|_| bad.is_empty())
                .ok_or(UiError::Parameters(bad))?;
            request.cancel = cancel;
            Ok(site.state.store.search(&request)?)
        })
        .await?;
    answer(&Found {
        matched: result.matched.exactly(),
        complete: result.complete,
        next: result.next.as_deref(),
        requests: result.requests.iter().map(Request::from).collect(),
    })
}
