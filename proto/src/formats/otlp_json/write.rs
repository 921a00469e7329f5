//! Traces as JSON. What has its default value is left out, as in protobuf.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::formats::not_finite;
use crate::wire::group::{OfResource, OfScope, by_resource};
use crate::{
    AttributeValue, Attributes, Event, Link, Resource, Scope, Span, SpanId, Status, StatusCode,
    Trace, TraceId,
};

/// Writes a trace as OTLP/JSON: `{"resourceSpans":[…]}`, spans by resource and scope, ids in hex,
/// 64-bit numbers as strings.
pub fn write_trace(trace: &Trace) -> String {
    write(trace, by_resource(trace.spans()))
}

/// Writes one span of a trace as [`write_trace`] does, with its resource and its scope.
///
/// # Panics
/// When the trace has no such span.
pub fn write_span(trace: &Trace, span_idx: usize) -> String {
    let &Span {
        resource_idx,
        scope_idx,
        ..
    } = trace.span(span_idx);
    let scopes = vec![OfScope {
        scope_idx,
        spans: vec![span_idx],
    }];
    write(
        trace,
        vec![OfResource {
            resource_idx,
            scopes,
        }],
    )
}

fn write(trace: &Trace, groups: Vec<OfResource>) -> String {
    let scope_spans = |group: OfScope| {
        let scope = &trace.scopes()[group.scope_idx as usize];
        JsonScopeSpans {
            scope: (!is_empty_scope(scope)).then_some(JsonScope {
                name: &scope.name,
                version: &scope.version,
                attributes: JsonAttributes(&scope.attributes),
                dropped_attributes_count: scope.dropped_attributes_count,
            }),
            spans: group
                .spans
                .into_iter()
                .map(|span_idx| JsonSpan { trace, span_idx })
                .collect(),
            schema_url: &scope.schema_url,
        }
    };
    let resource_spans = |group: OfResource| {
        let resource = &trace.resources()[group.resource_idx as usize];
        JsonResourceSpans {
            resource: (!is_empty_resource(resource)).then_some(JsonResource {
                attributes: JsonAttributes(&resource.attributes),
                dropped_attributes_count: resource.dropped_attributes_count,
            }),
            scope_spans: group.scopes.into_iter().map(scope_spans).collect(),
            schema_url: &resource.schema_url,
        }
    };
    let traces_data = JsonTracesData {
        resource_spans: groups.into_iter().map(resource_spans).collect(),
    };
    serde_json::to_string(&traces_data).expect("nothing here fails to serialize")
}

fn is_empty_resource(resource: &Resource) -> bool {
    resource.attributes.is_empty() && resource.dropped_attributes_count == 0
}

fn is_empty_scope(scope: &Scope) -> bool {
    scope.name.is_empty()
        && scope.version.is_empty()
        && scope.attributes.is_empty()
        && scope.dropped_attributes_count == 0
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonTracesData<'a> {
    resource_spans: Vec<JsonResourceSpans<'a>>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonResourceSpans<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<JsonResource<'a>>,
    scope_spans: Vec<JsonScopeSpans<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonResource<'a> {
    #[serde(skip_serializing_if = "JsonAttributes::is_empty")]
    attributes: JsonAttributes<'a>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_attributes_count: u32,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonScopeSpans<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<JsonScope<'a>>,
    spans: Vec<JsonSpan<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    schema_url: &'a str,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonScope<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "JsonAttributes::is_empty")]
    attributes: JsonAttributes<'a>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_attributes_count: u32,
}

/// Written by way of [`SpanFields`], so that only one span at a time takes memory in that form.
struct JsonSpan<'a> {
    trace: &'a Trace,
    span_idx: usize,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanFields<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "is_default")]
    flags: u32,
    name: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    kind: i32,
    #[serde(skip_serializing_if = "is_default")]
    start_time_unix_nano: Decimal<u64>,
    #[serde(skip_serializing_if = "is_default")]
    end_time_unix_nano: Decimal<u64>,
    #[serde(skip_serializing_if = "JsonAttributes::is_empty")]
    attributes: JsonAttributes<'a>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<JsonEvent<'a>>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_events_count: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<JsonLink<'a>>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_links_count: u32,
    #[serde(skip_serializing_if = "JsonStatus::is_unset")]
    status: JsonStatus<'a>,
}

impl Serialize for JsonSpan<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let span = self.trace.span(self.span_idx);
        let fields = SpanFields {
            trace_id: self.trace.id(),
            span_id: span.span_id,
            trace_state: &span.trace_state,
            parent_span_id: span.parent_id,
            flags: span.flags,
            name: &span.name,
            kind: span.kind.number(),
            start_time_unix_nano: Decimal(span.start.0),
            end_time_unix_nano: Decimal(span.end.0),
            attributes: JsonAttributes(&span.attributes),
            dropped_attributes_count: span.dropped_attributes_count,
            events: span.events.iter().map(JsonEvent::of).collect(),
            dropped_events_count: span.dropped_events_count,
            links: span.links.iter().map(JsonLink::of).collect(),
            dropped_links_count: span.dropped_links_count,
            status: JsonStatus::of(&span.status),
        };
        fields.serialize(to)
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEvent<'a> {
    #[serde(skip_serializing_if = "is_default")]
    time_unix_nano: Decimal<u64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "JsonAttributes::is_empty")]
    attributes: JsonAttributes<'a>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_attributes_count: u32,
}

impl<'a> JsonEvent<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            time_unix_nano: Decimal(event.time.0),
            name: &event.name,
            attributes: JsonAttributes(&event.attributes),
            dropped_attributes_count: event.dropped_attributes_count,
        }
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLink<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "str::is_empty")]
    trace_state: &'a str,
    #[serde(skip_serializing_if = "JsonAttributes::is_empty")]
    attributes: JsonAttributes<'a>,
    #[serde(skip_serializing_if = "is_default")]
    dropped_attributes_count: u32,
    #[serde(skip_serializing_if = "is_default")]
    flags: u32,
}

impl<'a> JsonLink<'a> {
    fn of(link: &'a Link) -> Self {
        Self {
            trace_id: link.trace_id,
            span_id: link.span_id,
            trace_state: &link.trace_state,
            attributes: JsonAttributes(&link.attributes),
            dropped_attributes_count: link.dropped_attributes_count,
            flags: link.flags,
        }
    }
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonStatus<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "is_default")]
    code: i32,
}

impl<'a> JsonStatus<'a> {
    fn of(status: &'a Status) -> Self {
        Self {
            message: &status.message,
            code: status.code.number(),
        }
    }

    fn is_unset(&self) -> bool {
        self.message.is_empty() && self.code == StatusCode::Unset.number()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A 64-bit number, which JSON's readers would round.
#[derive(Default, PartialEq)]
struct Decimal<T>(T);

impl<T: std::fmt::Display> Serialize for Decimal<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

struct JsonAttributes<'a>(&'a Attributes);

impl JsonAttributes<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for JsonAttributes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct KeyValue<'a> {
            key: &'a str,
            value: JsonValue<'a>,
        }
        to.collect_seq(self.0.iter().map(|attribute| KeyValue {
            key: &attribute.key,
            value: JsonValue(&attribute.value),
        }))
    }
}

/// An `AnyValue`. Recurses as deep as the value is nested, which is what decoding bounds.
struct JsonValue<'a>(&'a AttributeValue);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Values<T> {
            values: T,
        }
        let mut value = to.serialize_map(None)?;
        match self.0 {
            AttributeValue::Empty => {}
            AttributeValue::String(text) => value.serialize_entry("stringValue", text)?,
            AttributeValue::Bool(truth) => value.serialize_entry("boolValue", truth)?,
            AttributeValue::Int(number) => value.serialize_entry("intValue", &Decimal(number))?,
            AttributeValue::Double(number) if number.is_finite() => {
                value.serialize_entry("doubleValue", number)?;
            }
            AttributeValue::Double(number) => {
                value.serialize_entry("doubleValue", not_finite(*number))?;
            }
            AttributeValue::Bytes(bytes) => {
                value.serialize_entry("bytesValue", &STANDARD.encode(bytes))?;
            }
            AttributeValue::Array(values) => {
                let values: Vec<JsonValue<'_>> = values.iter().map(JsonValue).collect();
                value.serialize_entry("arrayValue", &Values { values })?;
            }
            AttributeValue::Map(values) => {
                value.serialize_entry(
                    "kvlistValue",
                    &Values {
                        values: JsonAttributes(values),
                    },
                )?;
            }
        }
        value.end()
    }
}
