//! `/api/…`: Jaeger's JSON, as Grafana calls it and Jaeger's UI did until version 2.20.

use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::request::Parts;
use longpole_proto::formats::jaeger;
use longpole_proto::{TraceId, UnixNanos};
use serde::Serialize;

use super::find::{Written, write_found, write_traces};
use super::id::{self, JaegerIdPath};
use super::names;
use super::params::{Params, TimeUnit};
use super::query::{KINDS, TraceQuery, on_one_span, tag_of_text, tags_of_json};
use super::{Envelope, LIMIT_MAX, Problem, answer, errors, large_answer, pretty, to_json};
use crate::error::{BadParameter, UiError};
use crate::extract::{Pairs, path_text};
use crate::site::Site;

/// How far back a search looks that does not say.
const LOOKBACK: Duration = Duration::from_hours(48);

const SEARCH: [&str; 13] = [
    "service",
    "operation",
    "tags",
    "tag",
    "minDuration",
    "maxDuration",
    "start",
    "end",
    "lookback",
    "limit",
    "traceID",
    "raw",
    "prettyPrint",
];

/// The route's `{service}`.
#[derive(Debug, Clone)]
pub(super) struct ServicePath(String);

impl<S: Send + Sync> FromRequestParts<S> for ServicePath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        Ok(Self(path_text(parts, state, "service").await))
    }
}

/// `{"data":["checkout"],"total":1,…}`.
pub(super) async fn services(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    let params = Params::read(pairs, &["prettyPrint"])?;
    let names = names::services(&site).await?;
    list(&params, &names.names, names.missing.as_deref())
}

/// `{"data":["GET /stock"],"total":1,…}`.
pub(super) async fn operations_of(
    State(site): State<Site>,
    ServicePath(service): ServicePath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let params = Params::read(pairs, &["prettyPrint"])?;
    let names = names::operations(&site, service).await?;
    list(&params, &names.names, names.missing.as_deref())
}

/// `{"data":[{"name":"GET /stock","spanKind":""}],"total":1,…}`. Operations are kept without their spans'
/// kinds, so none is said, and all are given whichever is asked for.
pub(super) async fn operations(
    State(site): State<Site>,
    pairs: Pairs,
) -> Result<Response, UiError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Operation<'a> {
        name: &'a str,
        span_kind: &'static str,
    }
    let params = Params::read(pairs, &["service", "spanKind", "prettyPrint"])?;
    let service = required_service(&params)?;
    check_kind(&params, &["spanKind"])?;
    let names = names::operations(&site, service).await?;
    let operations: Vec<_> = names
        .names
        .iter()
        .map(|name| Operation {
            name,
            span_kind: "",
        })
        .collect();
    list(&params, &operations, names.missing.as_deref())
}

/// The service that must be named.
pub(super) fn required_service(params: &Params) -> Result<String, BadParameter> {
    let service = params.text(&["service"])?;
    if service.is_empty() {
        return Err(BadParameter::new("service", "", "the name of a service"));
    }
    Ok(service)
}

/// Refuses a kind that is none.
pub(super) fn check_kind(params: &Params, names: &[&str]) -> Result<(), BadParameter> {
    let is_kind = |text: &str| KINDS.contains(&text.to_ascii_lowercase().as_str());
    params
        .parsed(names, &KINDS.join(", "), |text| is_kind(text).then_some(()))
        .map(drop)
}

/// A list in Jaeger's envelope.
fn list<T: Serialize>(
    params: &Params,
    data: &[T],
    missing: Option<&str>,
) -> Result<Response, UiError> {
    let said: Vec<Problem> = missing.map(Problem::from).into_iter().collect();
    let document = to_json(&Envelope {
        data,
        total: data.len(),
        limit: 0,
        offset: 0,
        errors: errors(&said),
    })?;
    Ok(answer(pretty(params, document), missing))
}

/// Traces by what they are like, or by their IDs.
pub(super) async fn search(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    let params = Params::read(pairs, &SEARCH)?;
    let query = trace_query(&params, site.now())?;
    let asked_ids = trace_ids(&params)?;
    let turn = large_answer().await?;
    let written = site.read_while_wanted(move |site, cancel| {
        let _turn = turn;
        if !asked_ids.is_empty() {
            return write_traces(site, &asked_ids, &cancel, jaeger::write_bare_trace);
        }
        write_found(site, &query, &cancel, jaeger::write_bare_trace)
    });
    let written = written.await?;
    let document = document(&written)?;
    let missing = written.missing.iter().map(String::as_str);
    Ok(answer(pretty(&params, document), missing))
}

/// Traces in the envelope, without making it of them.
fn document(written: &Written) -> Result<String, UiError> {
    let unknown = written.unknown.iter().map(|&trace_id| Problem {
        msg: "trace not found".to_owned(),
        trace_id: Some(trace_id),
    });
    let problems: Vec<Problem> = unknown
        .chain(
            written
                .missing
                .iter()
                .map(|text| Problem::from(text.as_str())),
        )
        .collect();
    let errors = to_json(&errors(&problems))?;
    let (text, total) = (&written.text, written.n_traces);
    Ok(format!(
        r#"{{"data":[{text}],"total":{total},"limit":0,"offset":0,"errors":{errors}}}"#
    ))
}

fn trace_query(params: &Params, now: UnixNanos) -> Result<TraceQuery, BadParameter> {
    let end = params.time("end", TimeUnit::Micros)?.unwrap_or(now);
    let lookback = lookback(params)?.unwrap_or(LOOKBACK);
    let start = params.time("start", TimeUnit::Micros)?;
    let start = start.unwrap_or_else(|| end.minus(lookback));
    if start > end {
        let expected = format!("a time that is not before start, {}", start.0 / 1000);
        let end = (end.0 / 1000).to_string();
        return Err(BadParameter::new("end", &end, expected));
    }
    let (shortest, longest) = durations(params, &["minDuration"], &["maxDuration"])?;
    let mut tags = Vec::new();
    for text in params.all("tag") {
        tags.push(tag_of_text("tag", text)?);
    }
    for json in params.all("tags") {
        tags.extend(tags_of_json("tags", json)?);
    }
    // Traces are as they are stored, raw or not.
    params.flag(&["raw"])?;
    let service = params.text(&["service"])?;
    let operation = params.text(&["operation"])?;
    Ok(TraceQuery {
        query: on_one_span(&service, &operation, shortest, longest, tags),
        from: start,
        // The end is among it.
        to: end.plus_nanos(1),
        limit: params.limit(&["limit"])?,
    })
}

/// The bounds of a span's duration, none below the other.
pub(super) fn durations(
    params: &Params,
    shortest_names: &[&str],
    longest_names: &[&str],
) -> Result<(Option<Duration>, Option<Duration>), BadParameter> {
    let shortest = params.duration(shortest_names)?;
    let longest = params.duration(longest_names)?;
    if let (Some(least), Some(most)) = (shortest, longest)
        && !most.is_zero()
        && most < least
    {
        let (name, text) = params.one(longest_names)?.unwrap_or_default();
        let expected = format!("at least {least:?}, the shortest");
        return Err(BadParameter::new(name, text, expected));
    }
    Ok((shortest, longest))
}

/// What Jaeger's UI of old sends beside start and end: `1h`, `2d`, or `custom`.
fn lookback(params: &Params) -> Result<Option<Duration>, BadParameter> {
    let parse = |text: &str| {
        if text == "custom" {
            return Some(LOOKBACK);
        }
        let unit_at = text
            .len()
            .checked_sub(1)
            .filter(|&at| text.is_char_boundary(at))?;
        let (number, unit) = text.split_at(unit_at);
        let number: u32 = number.parse().ok()?;
        let hours = match unit {
            "m" => return Some(Duration::from_mins(number.into())),
            "h" => 1,
            "d" => 24,
            "w" => 7 * 24,
            _ => return None,
        };
        Some(Duration::from_hours(u64::from(number) * hours))
    };
    params.parsed(&["lookback"], "such as 20m, 1h, 2d, 1w or custom", parse)
}

/// The traces that are asked for by ID, each once.
fn trace_ids(params: &Params) -> Result<Vec<TraceId>, UiError> {
    let mut trace_ids: Vec<TraceId> = Vec::new();
    for text in params.all("traceID") {
        let trace_id = id::parse(text)?;
        if trace_ids.contains(&trace_id) {
            continue;
        }
        if trace_ids.len() == LIMIT_MAX {
            let expected = format!("no more than {LIMIT_MAX} of them");
            return Err(BadParameter::new("traceID", text, expected).into());
        }
        trace_ids.push(trace_id);
    }
    Ok(trace_ids)
}

/// A trace. Its clients send times and flags along, which change nothing here.
pub(super) async fn trace(
    State(site): State<Site>,
    JaegerIdPath(trace_id): JaegerIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let params = Params::read(pairs, &["start", "end", "raw", "prettyPrint"])?;
    params.time("start", TimeUnit::Micros)?;
    params.time("end", TimeUnit::Micros)?;
    params.flag(&["raw"])?;
    let document = site
        .read(move |site| Ok(jaeger::write_trace(&site.trace(trace_id)?.trace)))
        .await?;
    Ok(answer(pretty(&params, document), []))
}
