//! Export requests and traces at random, for the tests of wire and formats.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;

use super::reader::Reader;
use super::{ExportRequest, decode_traces};
use crate::{Trace, TraceId};

/// Text as short as it gets while still of every kind.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z]{0,6}", 1 => "\\PC{0,4}", 1 => select(vec!["\"\\\u{8}\n", "\u{0}", "é"]).prop_map(str::to_owned)]
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => any::<f64>(),
        1 => select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1.0, 1e300]),
    ]
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|truth| Some(Value::BoolValue(truth))),
        any::<i64>().prop_map(|number| Some(Value::IntValue(number))),
        double().prop_map(|number| Some(Value::DoubleValue(number))),
        vec(any::<u8>(), 0..5).prop_map(|bytes| Some(Value::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 8, 3, |inner| {
        let list =
            vec(inner.clone(), 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec((text(), inner), 0..3).prop_map(|pairs| {
            Value::KvlistValue(KeyValueList {
                values: key_values(pairs),
            })
        });
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn key_values(pairs: Vec<(String, AnyValue)>) -> Vec<KeyValue> {
    let pair = |(key, value)| KeyValue {
        key,
        value: Some(value),
        key_strindex: 0,
    };
    pairs.into_iter().map(pair).collect()
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((text(), any_value()), 0..3).prop_map(key_values)
}

/// One of a few, so that traces have several spans; `n_bytes` is an ID's.
fn id(n_bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    (1..4_u8).prop_map(move |byte| vec![byte; n_bytes])
}

fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    let ids = prop_oneof![(id(16), id(8)), Just((Vec::new(), Vec::new()))];
    (ids, text(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |((trace_id, span_id), trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn status() -> impl Strategy<Value = Option<Status>> {
    prop::option::of((text(), 0..4).prop_map(|(message, code)| Status { message, code }))
}

/// A span with an ID of `span_id`.
fn span(
    trace_id: impl Strategy<Value = Vec<u8>>,
    span_id: impl Strategy<Value = Vec<u8>>,
    parent_id: impl Strategy<Value = Vec<u8>>,
) -> impl Strategy<Value = Span> {
    let ids = (trace_id, span_id, parent_id, text());
    let own = (
        text(),
        -1..7,
        any::<u64>(),
        any::<u64>(),
        status(),
        any::<u32>(),
    );
    let dropped = (0..3_u32, 0..3_u32, any::<u32>());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    (ids, own, dropped, lists).prop_map(|(ids, own, dropped, lists)| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2,
        trace_state: ids.3,
        name: own.0,
        kind: own.1,
        start_time_unix_nano: own.2,
        end_time_unix_nano: own.3,
        status: own.4,
        flags: own.5,
        dropped_attributes_count: dropped.0,
        dropped_events_count: dropped.1,
        dropped_links_count: dropped.2,
        attributes: lists.0,
        events: lists.1,
        links: lists.2,
    })
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let resource =
        (attributes(), 0..2_u32).prop_map(|(attributes, dropped_attributes_count)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs: Vec::new(),
        });
    prop::option::of(resource)
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), text(), attributes(), 0..2_u32).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    prop::option::of(scope)
}

fn request_of<S>(span: impl Fn() -> S) -> impl Strategy<Value = ExportTraceServiceRequest>
where
    S: Strategy<Value = Span> + 'static,
{
    let scope_spans =
        (scope(), vec(span(), 0..4), text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
            scope,
            spans,
            schema_url,
        });
    let resource_spans = (resource(), vec(scope_spans, 0..3), text()).prop_map(
        |(resource, scope_spans, schema_url)| ResourceSpans {
            resource,
            scope_spans,
            schema_url,
        },
    );
    vec(resource_spans, 0..4)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Any request of a few spans of a few traces, some with ids that are none.
pub(crate) fn any_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    request_of(|| {
        let none = |lens: Vec<usize>| select(lens).prop_map(|len| vec![0; len]);
        span(
            prop_oneof![9 => id(16), 1 => none(vec![0, 8, 16, 17])],
            prop_oneof![9 => id(8), 1 => none(vec![0, 8, 16])],
            prop_oneof![9 => id(8), 3 => none(vec![0, 8]), 1 => none(vec![1, 16])],
        )
    })
}

/// Any request of spans of one trace, all of them valid.
pub(crate) fn any_request_of_one_trace() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let span_id = || vec(1..=255_u8, 8);
    request_of(move || {
        span(
            Just(vec![7; 16]),
            span_id(),
            prop_oneof![Just(Vec::new()), id(8)],
        )
    })
    .prop_filter("spans", |request| {
        spans_of(&request.resource_spans).next().is_some()
    })
}

/// Any trace with all that OTLP has for spans.
pub(crate) fn any_rich_trace() -> impl Strategy<Value = Trace> {
    any_request_of_one_trace().prop_map(|request| {
        trace_of(&ExportRequest::parse(request.encode_to_vec().into()).expect("a request"))
    })
}

/// The trace of a request of one trace.
pub(crate) fn trace_of(request: &ExportRequest) -> Trace {
    let traces = request.clone().by_trace();
    let mut traces = traces.messages();
    let (trace_id, message) = traces.next().expect("a trace");
    assert_eq!(traces.next(), None);
    trace_from(trace_id, &message)
}

/// The trace of a `TracesData` message.
pub(crate) fn trace_from(trace_id: TraceId, message: &[u8]) -> Trace {
    let parts = decode_traces(trace_id, message).expect("a message of spans");
    Trace::new(trace_id, parts).expect("a trace has spans")
}

/// All spans in the order sent.
pub(crate) fn spans_of(resource_spans: &[ResourceSpans]) -> impl Iterator<Item = &Span> {
    resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans)
}

/// All that a trace says, whatever numbers its resources and scopes have.
pub(crate) fn content(trace: &Trace) -> Vec<String> {
    (0..trace.len())
        .map(|at| {
            let mut span = trace.span(at).clone();
            (span.resource_idx, span.scope_idx) = (0, 0);
            // As text, because NaN does not equal itself.
            format!(
                "{span:?} of {:?} by {:?}",
                trace.resource(at),
                trace.scope(at)
            )
        })
        .collect()
}

/// What the fields of a message are, as far as requests are taken apart here.
#[derive(Clone, Copy)]
enum Shape {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    /// A message whose fields are not messages of interest.
    Other,
    /// No message: bytes or text.
    Leaf,
}

impl Shape {
    fn of_field(self, number: u32) -> Self {
        match (self, number) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::ResourceSpans | Self::ScopeSpans, 1) | (Self::Span, 9 | 11 | 13 | 15) => {
                Self::Other
            }
            _ => Self::Leaf,
        }
    }
}

/// The same request as another implementation may send it: fields in any order and more than once,
/// embedded messages in two pieces, and fields that only a later version knows.
fn disorder(bytes: &[u8], shape: Shape, dice: &mut impl Iterator<Item = u32>) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for field in Reader::new(bytes) {
        let field = field.expect("prost wrote this");
        let inner = shape.of_field(field.number);
        let whole = &bytes[field.whole.clone()];
        if matches!(inner, Shape::Leaf) {
            fields.push(whole.to_vec());
        } else {
            let message = disorder(field.bytes().expect("a message"), inner, dice);
            fields.push(delimited(field.number, &message));
            if matches!(inner, Shape::Other) && dice.next().is_some_and(|die| die % 4 == 0) {
                fields.push(delimited(field.number, &message));
            }
        }
        if dice.next().is_some_and(|die| die % 8 == 0) {
            fields.push(whole.to_vec());
        }
    }
    let unknown: [&[u8]; 4] = [
        &[0x98, 0x7d, 5],                               // 2003: varint
        &[0x9a, 0x7d, 3, b'n', b'e', b'w'],             // 2003: text
        &[0x9b, 0x7d, 0x08, 1, 0x0b, 0x0c, 0x9c, 0x7d], // 2003: group in a group
        &[0x9d, 0x7d, 1, 2, 3, 4],                      // 2003: fixed32
    ];
    if !matches!(shape, Shape::Leaf) && dice.next().is_some_and(|die| die % 2 == 0) {
        fields.push(unknown[dice.next().unwrap_or(0) as usize % 4].to_vec());
    }
    for at in (1..fields.len()).rev() {
        let other = dice.next().unwrap_or(0) as usize;
        fields.swap(at, other % (at + 1));
    }
    fields.concat()
}

fn delimited(number: u32, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(
        number,
        prost::encoding::WireType::LengthDelimited,
        &mut bytes,
    );
    prost::encoding::encode_varint(message.len() as u64, &mut bytes);
    bytes.extend_from_slice(message);
    bytes
}

/// Any request's bytes, as prost or as another implementation would write them.
pub(crate) fn any_request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let dice = prop_oneof![Just(Vec::new()), vec(any::<u32>(), 200)];
    (any_request(), dice).prop_map(|(request, dice)| {
        let bytes = request.encode_to_vec();
        if dice.is_empty() {
            return bytes;
        }
        disorder(&bytes, Shape::Request, &mut dice.into_iter().cycle())
    })
}
