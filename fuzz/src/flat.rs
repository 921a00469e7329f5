//! Spans each with their resource and scope, in an order of their own: what survives any regrouping.

use longpole_proto::wire::VALUE_DEPTH_MAX;
use longpole_proto::{SpanId, SpanKind, StatusCode, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;

/// The spans that longpole takes of those that prost read, as bytes that tell any difference which
/// longpole's own types can tell.
pub(crate) fn flat(resource_spans: &[ResourceSpans]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for resource in resource_spans {
        for scope in &resource.scope_spans {
            for span in scope.spans.iter().filter(|span| is_taken(span)) {
                let mut one = resource.clone();
                let of_resource = one.resource.get_or_insert_default();
                of_resource.entity_refs.clear();
                attributes(&mut of_resource.attributes);
                one.scope_spans = vec![scope.clone()];
                let of_scope = one.scope_spans[0].scope.get_or_insert_default();
                attributes(&mut of_scope.attributes);
                let mut span = span.clone();
                simplify(&mut span);
                one.scope_spans[0].spans = vec![span];
                all.push(one.encode_to_vec());
            }
        }
    }
    all.sort();
    all
}

/// Whether a span has the ids it must have.
pub(crate) fn is_taken(span: &Span) -> bool {
    TraceId::from_slice(&span.trace_id).is_ok()
        && SpanId::from_slice(&span.span_id).is_ok()
        && matches!(span.parent_span_id.len(), 0 | 8)
}

/// Takes away what longpole's own types do not tell apart.
fn simplify(span: &mut Span) {
    if SpanId::from_slice(&span.parent_span_id).is_err() {
        span.parent_span_id.clear();
    }
    span.kind = SpanKind::from_number(span.kind).number();
    let status = span.status.get_or_insert_default();
    status.code = StatusCode::from_number(status.code).number();
    attributes(&mut span.attributes);
    for event in &mut span.events {
        attributes(&mut event.attributes);
    }
    for link in &mut span.links {
        if TraceId::from_slice(&link.trace_id).is_err() {
            link.trace_id.clear();
        }
        if SpanId::from_slice(&link.span_id).is_err() {
            link.span_id.clear();
        }
        attributes(&mut link.attributes);
    }
}

fn attributes(attributes: &mut [KeyValue]) {
    for attribute in attributes {
        key_value(attribute, 0);
    }
}

fn key_value(attribute: &mut KeyValue, depth: usize) {
    // Places in the dictionary of profiles, which spans have none of.
    attribute.key_strindex = 0;
    value(attribute.value.get_or_insert_default(), depth);
}

fn value(of: &mut AnyValue, depth: usize) {
    match &mut of.value {
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth == VALUE_DEPTH_MAX => {
            of.value = None;
        }
        Some(Value::ArrayValue(array)) => {
            for inner in &mut array.values {
                value(inner, depth + 1);
            }
        }
        Some(Value::KvlistValue(map)) => {
            for inner in &mut map.values {
                key_value(inner, depth + 1);
            }
        }
        Some(Value::StringValueStrindex(_)) => of.value = None,
        // JSON has one name for all of them.
        Some(Value::DoubleValue(number)) if number.is_nan() => *number = f64::NAN,
        _ => {}
    }
}
