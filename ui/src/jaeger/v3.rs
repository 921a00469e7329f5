//! `/api/v3/…`: OTLP JSON, as Jaeger's UI from 2.20 on and Grafana's newer mode call it. Names are spelled
//! as protobuf's JSON has them, or as the proto file has them.

use axum::extract::State;
use axum::response::Response;
use longpole_proto::formats::otlp_json;
use longpole_proto::{Trace, UnixNanos};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::classic::{check_kind, durations, required_service};
use super::find::{find, write_found};
use super::id::JaegerIdPath;
use super::names;
use super::params::Params;
use super::query::{TraceQuery, on_one_span, tags_of_json};
use super::summary::{Summary, summaries_of};
use super::{answer, large_answer, to_json};
use crate::error::{BadParameter, UiError};
use crate::extract::Pairs;
use crate::site::Site;

const SERVICE: [&str; 2] = ["query.serviceName", "query.service_name"];
const OPERATION: [&str; 2] = ["query.operationName", "query.operation_name"];
const START_MIN: [&str; 2] = ["query.startTimeMin", "query.start_time_min"];
const START_MAX: [&str; 2] = ["query.startTimeMax", "query.start_time_max"];
const DURATION_MIN: [&str; 2] = ["query.durationMin", "query.duration_min"];
const DURATION_MAX: [&str; 2] = ["query.durationMax", "query.duration_max"];
const DEPTH: [&str; 4] = [
    "query.searchDepth",
    "query.search_depth",
    "query.numTraces",
    "query.num_traces",
];
const RAW: [&str; 2] = ["query.rawTraces", "query.raw_traces"];
const ATTRIBUTES: [&str; 1] = ["query.attributes"];
const KIND: [&str; 2] = ["spanKind", "span_kind"];
/// When something begins.
pub(super) const START: [&str; 2] = ["startTime", "start_time"];
/// When it ends.
pub(super) const END: [&str; 2] = ["endTime", "end_time"];

/// `{"services":["checkout"]}`.
pub(super) async fn services(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    Params::read(pairs, &[])?;
    let names = names::services(&site).await?;
    let document = to_json(&json!({ "services": names.names }))?;
    Ok(answer(document, names.missing.as_deref()))
}

/// `{"operations":[{"name":"GET /stock","spanKind":"unspecified"}]}`. Operations are kept without their
/// spans' kinds, so none is said, and all are given whichever is asked for.
pub(super) async fn operations(
    State(site): State<Site>,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let params = Params::read(pairs, &["service", KIND[0], KIND[1]])?;
    let service = required_service(&params)?;
    check_kind(&params, &KIND)?;
    let names = names::operations(&site, service).await?;
    let operations: Vec<_> = names
        .names
        .iter()
        .map(|name| json!({ "name": name, "spanKind": "unspecified" }))
        .collect();
    let document = to_json(&json!({ "operations": operations }))?;
    Ok(answer(document, names.missing.as_deref()))
}

/// Whole traces: `{"result":{"resourceSpans":[…]}}`. As in Jaeger, none at all is not found.
pub(super) async fn search(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    let query = trace_query(pairs)?;
    let turn = large_answer().await?;
    let written = site.read_while_wanted(move |site, cancel| {
        let _turn = turn;
        write_found(site, &query, &cancel, resource_spans)
    });
    let written = written.await?;
    if written.n_traces == 0 {
        return Err(UiError::NoMatch(written.missing));
    }
    let missing = written.missing.iter().map(String::as_str);
    Ok(answer(result(&written.text), missing))
}

/// A trace: `{"result":{"resourceSpans":[…]}}`. Times and flags change nothing here.
pub(super) async fn trace(
    State(site): State<Site>,
    JaegerIdPath(trace_id): JaegerIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let raw = ["rawTraces", "raw_traces"];
    let params = Params::read(pairs, &[START, END, raw].concat())?;
    params.rfc3339(&START)?;
    params.rfc3339(&END)?;
    params.flag(&raw)?;
    let text = site
        .read(move |site| Ok(resource_spans(&site.trace(trace_id)?.trace)))
        .await?;
    Ok(answer(result(&text), []))
}

fn result(resource_spans: &str) -> String {
    format!(r#"{{"result":{{"resourceSpans":[{resource_spans}]}}}}"#)
}

/// The elements of a trace's `resourceSpans`.
fn resource_spans(trace: &Trace) -> String {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow, rename = "resourceSpans")]
        resource_spans: &'a RawValue,
    }
    let text = otlp_json::write_trace(trace);
    let document: Document<'_> =
        serde_json::from_str(&text).expect("what was just written has its shape");
    let list = document.resource_spans.get();
    list[1..list.len() - 1].to_owned()
}

/// What search lists show: `{"summaries":[{"traceId":…}]}`.
pub(super) async fn summaries(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    #[derive(Serialize)]
    struct Summaries {
        summaries: Vec<Summary>,
    }
    let query = trace_query(pairs)?;
    let read = site.read_while_wanted(move |site, cancel| {
        let found = find(site, &query, &cancel)?;
        let summaries = summaries_of(site, found.requests, &cancel)?;
        Ok((to_json(&Summaries { summaries })?, found.missing))
    });
    let (document, missing) = read.await?;
    Ok(answer(document, missing.iter().map(String::as_str)))
}

fn trace_query(pairs: Pairs) -> Result<TraceQuery, UiError> {
    let known: Vec<&str> = [
        &SERVICE[..],
        &OPERATION,
        &ATTRIBUTES,
        &START_MIN,
        &START_MAX,
        &DURATION_MIN,
        &DURATION_MAX,
        &DEPTH,
        &RAW,
    ]
    .concat();
    let params = Params::read(pairs, &known)?;
    let (from, to) = range(&params, &START_MIN, &START_MAX)?;
    let (shortest, longest) = durations(&params, &DURATION_MIN, &DURATION_MAX)?;
    let tags = match params.one(&ATTRIBUTES)? {
        Some((name, json)) => tags_of_json(name, json)?,
        None => Vec::new(),
    };
    // Traces are as they are stored, raw or not.
    params.flag(&RAW)?;
    Ok(TraceQuery {
        query: on_one_span(
            &params.text(&SERVICE)?,
            &params.text(&OPERATION)?,
            shortest,
            longest,
            tags,
        ),
        from,
        to,
        limit: params.limit(&DEPTH)?,
    })
}

/// From when to when; both must be named.
pub(super) fn range(
    params: &Params,
    from_names: &[&str],
    to_names: &[&str],
) -> Result<(UnixNanos, UnixNanos), BadParameter> {
    let missing = |name: &str| BadParameter::new(name, "", "a time, which must be given");
    let from = params.rfc3339(from_names)?;
    let from = from.ok_or_else(|| missing(from_names[0]))?;
    let to = params.rfc3339(to_names)?;
    let to = to.ok_or_else(|| missing(to_names[0]))?;
    if from >= to {
        let (name, text) = params.one(to_names)?.unwrap_or_default();
        let expected = format!("a time behind {}", from_names[0]);
        return Err(BadParameter::new(name, text, expected));
    }
    Ok((from, to))
}
