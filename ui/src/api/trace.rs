//! `/api/v1/traces/{id}`: a trace as OTLP has it, JSON or protobuf.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use longpole_proto::formats::otlp_json;
use longpole_proto::trace::TraceParts;
use longpole_proto::{Span, Trace};

use crate::error::UiError;
use crate::extract::{Pairs, TraceIdPath};
use crate::site::{Site, json};
use crate::trace_view::{SpanRef, SpanRefs};

const PROTOBUF: &str = "application/x-protobuf";

/// A trace as OTLP JSON, or as protobuf for those who ask for it; of JSON also one span.
pub(crate) async fn trace(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    Pairs(pairs): Pairs,
    headers: HeaderMap,
) -> Result<Response, UiError> {
    let mut span = None;
    for (name, value) in &pairs {
        if name != "span" {
            return Err(UiError::unknown_parameter(name, &["span"]));
        }
        span = Some(value.parse::<SpanRef>().map_err(|_| UiError::span(value))?);
    }
    let mut response = if wants_protobuf(&headers) {
        if span.is_some() {
            return Err(UiError::SpanAsProtobuf);
        }
        let stored = site.read(move |site| site.stored(trace_id)).await?;
        let kind = [
            (header::CONTENT_TYPE, PROTOBUF),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (kind, stored.otlp).into_response()
    } else {
        let document = site.read(move |site| {
            let loaded = site.trace(trace_id)?;
            let trace = &loaded.trace;
            match span {
                None => Ok(otlp_json::write_trace(trace)),
                Some(span) => {
                    let span_idx = SpanRefs::of(trace)
                        .find(span)
                        .ok_or(UiError::NoSpan { trace_id, span })?;
                    let alone = alone(trace, span_idx).ok_or(UiError::NoSpan { trace_id, span })?;
                    Ok(otlp_json::write_trace(&alone))
                }
            }
        });
        json(document.await?)
    };
    response
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Whether a request prefers protobuf; the first of the two it names counts.
fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut kinds = accepted
        .flat_map(|value| value.split(','))
        .filter_map(|kind| kind.split(';').next());
    let first = kinds.find_map(|kind| match kind.trim() {
        PROTOBUF | "application/protobuf" => Some(true),
        "application/json" | "*/*" | "application/*" => Some(false),
        _ => None,
    });
    first.unwrap_or(false)
}

/// The trace of one span.
fn alone(trace: &Trace, span_idx: usize) -> Option<Trace> {
    let span = Span {
        resource_idx: 0,
        scope_idx: 0,
        ..trace.span(span_idx).clone()
    };
    let parts = TraceParts {
        spans: vec![span],
        resources: vec![trace.resource(span_idx).clone().into()],
        scopes: vec![trace.scope(span_idx).clone()],
    };
    Trace::new(trace.id(), parts)
}
