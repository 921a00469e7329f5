//! Traces written as OTLP messages, for what makes traces itself: the demo, imports, tests.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, TracesData};
use prost::Message as _;

use super::group::{OfResource, OfScope, by_resource};
use crate::trace::TraceParts;
use crate::{
    AttributeValue, Attributes, Event, Link, Resource, Scope, Span, Status, Trace, TraceId,
};

/// Encodes a trace as a `TracesData` message, its spans by resource and scope.
pub fn encode_traces(trace: &Trace) -> Vec<u8> {
    let resource_spans = messages(trace.id(), trace.spans(), trace.resources(), trace.scopes());
    TracesData { resource_spans }.encode_to_vec()
}

/// Makes the messages of a `TracesData` or an `ExportTraceServiceRequest` of the parts of a trace:
/// spans by resource and scope, both in order of first appearance, spans in the order given.
///
/// # Panics
/// When a span points at a resource or scope that is not there.
pub fn to_messages(parts: &TraceParts, trace_id: TraceId) -> Vec<ResourceSpans> {
    messages(trace_id, &parts.spans, &parts.resources, &parts.scopes)
}

fn messages(
    trace_id: TraceId,
    spans: &[Span],
    resources: &[Arc<Resource>],
    scopes: &[Scope],
) -> Vec<ResourceSpans> {
    let scope_spans = |group: OfScope| {
        let scope = &scopes[group.scope_idx as usize];
        ScopeSpans {
            scope: to_scope(scope),
            spans: group
                .spans
                .into_iter()
                .map(|at| to_span(trace_id, &spans[at]))
                .collect(),
            schema_url: scope.schema_url.clone(),
        }
    };
    let resource_spans = |group: OfResource| {
        let resource = &resources[group.resource_idx as usize];
        ResourceSpans {
            resource: to_resource(resource),
            scope_spans: group.scopes.into_iter().map(scope_spans).collect(),
            schema_url: resource.schema_url.clone(),
        }
    };
    by_resource(spans).into_iter().map(resource_spans).collect()
}

fn to_resource(from: &Resource) -> Option<resource::Resource> {
    let resource = resource::Resource {
        attributes: to_attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
        entity_refs: Vec::new(),
    };
    (resource != resource::Resource::default()).then_some(resource)
}

fn to_scope(from: &Scope) -> Option<InstrumentationScope> {
    let scope = InstrumentationScope {
        name: from.name.clone(),
        version: from.version.clone(),
        attributes: to_attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
    };
    (scope != InstrumentationScope::default()).then_some(scope)
}

fn to_span(trace_id: TraceId, from: &Span) -> otlp::Span {
    otlp::Span {
        trace_id: trace_id.to_bytes().to_vec(),
        span_id: from.span_id.to_bytes().to_vec(),
        trace_state: from.trace_state.clone(),
        parent_span_id: from
            .parent_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        flags: from.flags,
        name: from.name.to_string(),
        kind: from.kind.number(),
        start_time_unix_nano: from.start.0,
        end_time_unix_nano: from.end.0,
        attributes: to_attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
        events: from.events.iter().map(to_event).collect(),
        dropped_events_count: from.dropped_events_count,
        links: from.links.iter().map(to_link).collect(),
        dropped_links_count: from.dropped_links_count,
        status: to_status(&from.status),
    }
}

fn to_status(from: &Status) -> Option<otlp::Status> {
    (*from != Status::default()).then(|| otlp::Status {
        message: from.message.clone(),
        code: from.code.number(),
    })
}

fn to_event(from: &Event) -> otlp::span::Event {
    otlp::span::Event {
        time_unix_nano: from.time.0,
        name: from.name.clone(),
        attributes: to_attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
    }
}

fn to_link(from: &Link) -> otlp::span::Link {
    otlp::span::Link {
        trace_id: from
            .trace_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        span_id: from
            .span_id
            .map(|id| id.to_bytes().to_vec())
            .unwrap_or_default(),
        trace_state: from.trace_state.clone(),
        attributes: to_attributes(&from.attributes),
        dropped_attributes_count: from.dropped_attributes_count,
        flags: from.flags,
    }
}

fn to_attributes(from: &Attributes) -> Vec<KeyValue> {
    from.iter()
        .map(|attribute| KeyValue {
            key: attribute.key.clone(),
            value: Some(to_value(&attribute.value)),
            key_strindex: 0,
        })
        .collect()
}

/// Recurses as deep as the value is nested, which is what decoding bounds.
fn to_value(from: &AttributeValue) -> AnyValue {
    let value = match from {
        AttributeValue::Empty => None,
        AttributeValue::String(text) => Some(Value::StringValue(text.clone())),
        AttributeValue::Bool(truth) => Some(Value::BoolValue(*truth)),
        AttributeValue::Int(number) => Some(Value::IntValue(*number)),
        AttributeValue::Double(number) => Some(Value::DoubleValue(*number)),
        AttributeValue::Bytes(bytes) => Some(Value::BytesValue(bytes.clone())),
        AttributeValue::Array(values) => {
            let values = values.iter().map(to_value).collect();
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        AttributeValue::Map(values) => Some(Value::KvlistValue(KeyValueList {
            values: to_attributes(values),
        })),
    };
    AnyValue { value }
}
