//! Jaeger's JSON, as its query API at `/api/traces/{id}` has it.
//!
//! Spans become Jaeger's as its own OTLP receiver makes them: kind, status, scope and `tracestate`
//! are tags, events are logs, links are references. Times are microseconds.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::formats::not_finite;
use crate::{
    Attribute, AttributeValue, Attributes, Event, Scope, Span, SpanId, SpanKind, StatusCode, Trace,
    TraceId, UnixNanos,
};

/// The largest whole number that JavaScript, which reads this, keeps exact.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Writes a trace as Jaeger's query API answers it: `{"data":[{…}],"total":1,…}`. Spans are in the
/// trace's order; one that ends before it starts has no duration and a warning that says so.
pub fn write_trace(trace: &Trace) -> String {
    let answer = Answer {
        data: [JaegerTrace::of(trace)],
        total: 1,
        limit: 0,
        offset: 0,
        errors: None,
    };
    serde_json::to_string(&answer).expect("nothing here fails to serialize")
}

/// Writes a trace as it stands among the `data` of Jaeger's answers: `{"traceID":…,"spans":[…],…}`.
pub fn write_bare_trace(trace: &Trace) -> String {
    serde_json::to_string(&JaegerTrace::of(trace)).expect("nothing here fails to serialize")
}

/// What always is `null` here.
type Nothing = Option<()>;

#[derive(Serialize)]
struct Answer<'a> {
    data: [JaegerTrace<'a>; 1],
    total: u32,
    limit: u32,
    offset: u32,
    errors: Nothing,
}

#[derive(Serialize)]
struct JaegerTrace<'a> {
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    spans: Spans<'a>,
    processes: Processes<'a>,
    warnings: Nothing,
}

impl<'a> JaegerTrace<'a> {
    fn of(trace: &'a Trace) -> Self {
        Self {
            trace_id: trace.id(),
            spans: Spans(trace),
            processes: Processes(trace),
            warnings: None,
        }
    }
}

/// All spans, made one at a time.
struct Spans<'a>(&'a Trace);

impl Serialize for Spans<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq((0..self.0.len()).map(|span_idx| JaegerSpan::of(self.0, span_idx)))
    }
}

/// The resources that spans point at, by [`process_id`].
struct Processes<'a>(&'a Trace);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            (0_u32..)
                .zip(self.0.resources())
                .map(|(resource_idx, resource)| {
                    let attributes = resource
                        .attributes
                        .iter()
                        .filter(|attribute| attribute.key != "service.name");
                    let process = Process {
                        service_name: resource.service_name(),
                        tags: attributes.map(Tag::of).collect(),
                    };
                    (process_id(resource_idx), process)
                }),
        )
    }
}

fn process_id(resource_idx: u32) -> String {
    format!("p{}", u64::from(resource_idx) + 1)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    service_name: &'a str,
    tags: Vec<Tag<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan<'a> {
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    #[serde(rename = "spanID")]
    span_id: SpanId,
    flags: u32,
    operation_name: &'a str,
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

impl<'a> JaegerSpan<'a> {
    fn of(trace: &'a Trace, span_idx: usize) -> Self {
        let span = trace.span(span_idx);
        Self {
            trace_id: trace.id(),
            span_id: span.span_id,
            // In Jaeger's meaning: sampled. What was not would not be here.
            flags: 1,
            operation_name: &span.name,
            references: references(trace.id(), span),
            start_time: micros(span.start),
            duration: span.duration_nanos() / 1000,
            tags: tags(span, trace.scope(span_idx)),
            logs: span.events.iter().map(Log::of).collect(),
            process_id: process_id(span.resource_idx),
            warnings: warnings(span),
        }
    }
}

fn micros(time: UnixNanos) -> u64 {
    time.0 / 1000
}

fn warnings(span: &Span) -> Option<Vec<String>> {
    let early = span.start.nanos_since(span.end);
    (early > 0).then(|| {
        vec![format!(
            "span ends {early} ns before it starts; its duration is shown as 0"
        )]
    })
}

#[derive(Serialize, PartialEq)]
struct Reference {
    #[serde(rename = "refType")]
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: TraceId,
    #[serde(rename = "spanID")]
    span_id: SpanId,
}

/// The parent first, as Jaeger's readers expect, whether it is stored or not; then the links. What
/// a link says of the parent again is left out.
fn references(trace_id: TraceId, span: &Span) -> Vec<Reference> {
    let parent = span.parent_id.map(|span_id| Reference {
        ref_type: "CHILD_OF",
        trace_id,
        span_id,
    });
    let links = span.links.iter().filter_map(|link| {
        let child_of = link.attributes.text("opentracing.ref_type") == Some("child_of");
        let ref_type = if child_of { "CHILD_OF" } else { "FOLLOWS_FROM" };
        Some(Reference {
            ref_type,
            trace_id: link.trace_id?,
            span_id: link.span_id?,
        })
    });
    let is_parent =
        |link: &Reference| link.trace_id == trace_id && Some(link.span_id) == span.parent_id;
    parent
        .into_iter()
        .chain(links.filter(|link| !is_parent(link)))
        .collect()
}

fn tags<'a>(span: &'a Span, scope: &'a Scope) -> Vec<Tag<'a>> {
    let mut tags = Vec::new();
    tags.extend(Tag::text("otel.scope.name", &scope.name));
    tags.extend(Tag::text("otel.scope.version", &scope.version));
    tags.extend(span.attributes.iter().map(Tag::of));
    if span.kind != SpanKind::Unspecified {
        tags.extend(Tag::text("span.kind", span.kind.name()));
    }
    match span.status.code {
        StatusCode::Unset => {}
        StatusCode::Ok => tags.extend(Tag::text("otel.status_code", "OK")),
        StatusCode::Error => {
            tags.extend(Tag::text("otel.status_code", "ERROR"));
            tags.push(Tag {
                key: "error",
                kind: "bool",
                value: TagValue::Bool(true),
            });
        }
    }
    tags.extend(Tag::text("otel.status_description", &span.status.message));
    tags.extend(Tag::text("w3c.tracestate", &span.trace_state));
    tags
}

#[derive(Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

impl<'a> Log<'a> {
    /// The event's name is the field `event`, unless it has an attribute of that name.
    fn of(event: &'a Event) -> Self {
        let name = match event.attributes.get("event") {
            Some(_) => None,
            None => Tag::text("event", &event.name),
        };
        let fields = name
            .into_iter()
            .chain(event.attributes.iter().map(Tag::of))
            .collect();
        Self {
            timestamp: micros(event.time),
            fields,
        }
    }
}

#[derive(Serialize)]
struct Tag<'a> {
    key: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: TagValue<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TagValue<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl<'a> Tag<'a> {
    /// A tag of text; none when the text is empty.
    fn text(key: &'a str, text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Self {
            key,
            kind: "string",
            value: TagValue::Text(text.into()),
        })
    }

    fn of(attribute: &'a Attribute) -> Self {
        let (kind, value) = match &attribute.value {
            AttributeValue::Empty => ("string", TagValue::Text("".into())),
            AttributeValue::String(text) => ("string", TagValue::Text(text.into())),
            AttributeValue::Bool(truth) => ("bool", TagValue::Bool(*truth)),
            AttributeValue::Int(number) if number.unsigned_abs() <= SAFE_INTEGER_MAX => {
                ("int64", TagValue::Int(*number))
            }
            AttributeValue::Int(number) => ("int64", TagValue::Text(number.to_string().into())),
            AttributeValue::Double(number) if number.is_finite() => {
                ("float64", TagValue::Double(*number))
            }
            AttributeValue::Double(number) => {
                ("float64", TagValue::Text(not_finite(*number).into()))
            }
            AttributeValue::Bytes(bytes) => {
                ("binary", TagValue::Text(STANDARD.encode(bytes).into()))
            }
            AttributeValue::Array(_) | AttributeValue::Map(_) => (
                "string",
                TagValue::Text(plain_json(&attribute.value).to_string().into()),
            ),
        };
        Self {
            key: &attribute.key,
            kind,
            value,
        }
    }
}

/// A list or map as anyone would write it in JSON. Recurses as deep as the value is nested, which
/// is what decoding bounds.
fn plain_json(value: &AttributeValue) -> Value {
    let object = |values: &Attributes| {
        values
            .iter()
            .map(|attribute| (attribute.key.clone(), plain_json(&attribute.value)))
            .collect()
    };
    match value {
        AttributeValue::Empty => Value::Null,
        AttributeValue::String(text) => Value::from(text.as_str()),
        AttributeValue::Bool(truth) => Value::from(*truth),
        AttributeValue::Int(number) => Value::from(*number),
        AttributeValue::Double(number) if number.is_finite() => Value::from(*number),
        AttributeValue::Double(number) => Value::from(not_finite(*number)),
        AttributeValue::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
        AttributeValue::Array(values) => values.iter().map(plain_json).collect(),
        AttributeValue::Map(values) => Value::Object(object(values)),
    }
}
