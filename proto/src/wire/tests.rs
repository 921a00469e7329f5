//! What the walker, the splitter and the decoder promise, held against prost.

mod cases;

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message as _;

use super::reader::Reader;
use super::samples::{any_request_bytes, any_rich_trace, content, spans_of, trace_from, trace_of};
use super::*;
use crate::{SpanId, SpanKind, StatusCode, TraceId, UnixNanos, testing};

fn parse(bytes: &[u8]) -> Result<ExportRequest, WireError> {
    ExportRequest::parse(Bytes::copy_from_slice(bytes))
}

fn reason_to_refuse(span: &Span) -> Option<RejectReason> {
    if TraceId::from_slice(&span.trace_id).is_err() {
        Some(RejectReason::TraceId)
    } else if SpanId::from_slice(&span.span_id).is_err() {
        Some(RejectReason::SpanId)
    } else if !matches!(span.parent_span_id.len(), 0 | 8) {
        Some(RejectReason::ParentId)
    } else {
        None
    }
}

/// Whether a resource says what its service is called.
fn is_named(resource: &ResourceSpans) -> bool {
    let attributes = resource
        .resource
        .iter()
        .flat_map(|resource| &resource.attributes);
    attributes
        .filter(|attribute| attribute.key == "service.name")
        .any(|attribute| {
            let value = attribute
                .value
                .as_ref()
                .and_then(|value| value.value.as_ref());
            matches!(value, Some(Value::StringValue(name)) if !name.is_empty())
        })
}

/// What the walker must find for a span that prost decoded.
fn assert_slice(slice: &SpanSlice, bytes: &[u8], span: &Span) {
    assert_eq!(slice.trace_id.as_bytes()[..], span.trace_id);
    assert_eq!(slice.span_id.as_bytes()[..], span.span_id);
    assert_eq!(
        slice.parent_id,
        SpanId::from_slice(&span.parent_span_id).ok()
    );
    assert_eq!(slice.start, UnixNanos(span.start_time_unix_nano));
    assert_eq!(slice.end, UnixNanos(span.end_time_unix_nano));
    assert_eq!(slice.kind, SpanKind::from_number(span.kind));
    let status = span.status.as_ref().map_or(0, |status| status.code);
    assert_eq!(slice.status, StatusCode::from_number(status));
    assert_eq!(&bytes[slice.name()], span.name.as_bytes());
    let message = Span::decode(&bytes[slice.message()]).expect("a span");
    assert_eq!(message.encode_to_vec(), span.encode_to_vec());
}

/// A request's spans of one trace that are not refused, without the groups that have none left.
fn only(trace_id: TraceId, resource_spans: &[ResourceSpans]) -> Vec<ResourceSpans> {
    let mut kept = resource_spans.to_vec();
    for resource in &mut kept {
        for scope in &mut resource.scope_spans {
            scope.spans.retain(|span| {
                reason_to_refuse(span).is_none() && span.trace_id == trace_id.as_bytes()
            });
        }
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
    }
    kept.retain(|resource| !resource.scope_spans.is_empty());
    kept
}

/// The own fields of a group: all but those in field 2.
fn own_fields(bytes: &[u8], group: &Reader<'_>) -> Vec<u8> {
    let fields = group.clone().map(|field| field.expect("a field"));
    fields
        .filter(|field| field.number != 2)
        .flat_map(|field| bytes[field.whole].to_vec())
        .collect()
}

fn nested(message: Reader<'_>, number: u32) -> impl Iterator<Item = Reader<'_>> {
    let fields = message.map(|field| field.expect("a field"));
    fields
        .filter(move |field| field.number == number)
        .map(|field| field.message().expect("a message"))
}

/// By trace: each accepted span's bytes, behind those of its resource and its scope.
fn as_sent(bytes: &[u8]) -> HashMap<TraceId, Vec<[Vec<u8>; 3]>> {
    let mut all: HashMap<TraceId, Vec<[Vec<u8>; 3]>> = HashMap::new();
    for resource in nested(Reader::new(bytes), 1) {
        for scope in nested(resource.clone(), 2) {
            for field in scope.clone().map(|field| field.expect("a field")) {
                if field.number != 2 {
                    continue;
                }
                let span = field.bytes().expect("a span").to_vec();
                if let Ok(slice) = SpanSlice::read(&span, 0..span.len(), 0) {
                    let own = [
                        own_fields(bytes, &resource),
                        own_fields(bytes, &scope),
                        span,
                    ];
                    all.entry(slice.trace_id).or_default().push(own);
                }
            }
        }
    }
    all
}

/// Each span with its resource and scope, in an order of its own: what must survive any regrouping.
fn flat(resource_spans: &[ResourceSpans]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for resource in resource_spans {
        for scope in &resource.scope_spans {
            for span in &scope.spans {
                let mut one = resource.clone();
                one.resource.get_or_insert_default();
                one.scope_spans = vec![scope.clone()];
                one.scope_spans[0].scope.get_or_insert_default();
                let mut span = span.clone();
                span.status.get_or_insert_default();
                // What longpole's own types do not tell apart.
                if SpanId::from_slice(&span.parent_span_id).is_err() {
                    span.parent_span_id.clear();
                }
                span.kind = SpanKind::from_number(span.kind).number();
                let status = span.status.get_or_insert_default();
                status.code = StatusCode::from_number(status.code).number();
                one.scope_spans[0].spans = vec![span];
                all.push(one.encode_to_vec());
            }
        }
    }
    all.sort();
    all
}

proptest! {
    #[test]
    fn the_walker_finds_what_prost_finds(bytes in any_request_bytes()) {
        let request = parse(&bytes).expect("a request");
        let message = ExportTraceServiceRequest::decode(&bytes[..]).expect("a request");
        let mut expected = Rejections::default();
        let mut slices = request.spans().iter();
        for span in spans_of(&message.resource_spans) {
            match reason_to_refuse(span) {
                Some(reason) => expected.add(reason, 1),
                None => assert_slice(slices.next().expect("as many spans"), &bytes, span),
            }
        }
        prop_assert_eq!(slices.next(), None);
        prop_assert_eq!(request.rejections(), &expected);
        let n_backwards = request.spans().iter().filter(|span| span.end < span.start).count();
        let warned = |reason| {
            let warnings = request.warnings();
            warnings.iter().find(|(known, _)| *known == reason).map_or(0, |(_, count)| count)
        };
        prop_assert_eq!(warned(WarnReason::EndsBeforeStart), n_backwards as u64);
        let nameless = message.resource_spans.iter().filter(|resource| !is_named(resource));
        let n_nameless = nameless
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .filter(|span| reason_to_refuse(span).is_none())
            .count();
        prop_assert_eq!(warned(WarnReason::NoServiceName), n_nameless as u64);
    }

    #[test]
    fn each_trace_has_its_spans_with_their_resources_and_scopes(bytes in any_request_bytes()) {
        let request = parse(&bytes).expect("a request");
        let message = ExportTraceServiceRequest::decode(&bytes[..]).expect("a request");
        let mut traces: Vec<TraceId> = Vec::new();
        for span in request.spans() {
            if !traces.contains(&span.trace_id) {
                traces.push(span.trace_id);
            }
        }
        prop_assert_eq!(request.clone().by_trace().n_traces(), traces.len());
        for ((trace_id, message_of_trace), expected) in request.by_trace().messages().zip(traces) {
            prop_assert_eq!(trace_id, expected);
            let of_trace = TracesData::decode(&message_of_trace[..]).expect("a TracesData");
            let expected = TracesData { resource_spans: only(trace_id, &message.resource_spans) };
            prop_assert_eq!(of_trace.encode_to_vec(), expected.encode_to_vec());
        }
    }

    #[test]
    fn every_byte_of_spans_resources_and_scopes_survives_the_split(bytes in any_request_bytes()) {
        let mut expected = as_sent(&bytes);
        for (trace_id, message) in parse(&bytes).expect("a request").by_trace().messages() {
            let mut of_trace = as_sent(&message);
            prop_assert_eq!(of_trace.remove(&trace_id), expected.remove(&trace_id));
            prop_assert!(of_trace.is_empty());
        }
        prop_assert!(expected.is_empty());
    }

    #[test]
    fn what_is_decoded_is_what_prost_decodes(bytes in any_request_bytes()) {
        let message = ExportTraceServiceRequest::decode(&bytes[..]).expect("a request");
        for (trace_id, of_trace) in parse(&bytes).expect("a request").by_trace().messages() {
            let parts = decode_traces(trace_id, &of_trace).expect("a TracesData");
            prop_assert_eq!(
                flat(&to_messages(&parts, trace_id)),
                flat(&only(trace_id, &message.resource_spans))
            );
            // The request itself is a TracesData of several traces.
            prop_assert_eq!(
                format!("{:?}", decode_traces(trace_id, &bytes).expect("a TracesData")),
                format!("{parts:?}")
            );
        }
    }

    #[test]
    fn an_outline_is_the_whole_with_most_left_out(
        bytes in any_request_bytes(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = bytes;
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let keys = ["peer.service", "a", "k", "key", "service.name"];
        let traces = parse(&bytes).map_or(vec![], |request| request.by_trace().messages().collect());
        for (trace_id, of_trace) in traces {
            let mut whole = decode_traces(trace_id, &of_trace).expect("a TracesData");
            let outline = decode_outline(trace_id, &of_trace, &keys).expect("a TracesData");
            for span in &mut whole.spans {
                span.scope_idx = 0;
                span.trace_state.clear();
                span.flags = 0;
                span.events.clear();
                span.status.message.clear();
                (span.dropped_attributes_count, span.dropped_events_count) = (0, 0);
                span.dropped_links_count = 0;
                let has_peer = matches!(span.kind, SpanKind::Client | SpanKind::Producer);
                span.attributes
                    .0
                    .retain(|attribute| has_peer && keys.contains(&attribute.key.as_str()));
            }
            prop_assert_eq!(format!("{:?}", outline.spans), format!("{:?}", whole.spans));
            let services = |parts: &crate::trace::TraceParts| -> Vec<String> {
                parts.resources.iter().map(|of| of.service_name().to_owned()).collect()
            };
            prop_assert_eq!(services(&outline), services(&whole));
        }
    }

    #[test]
    fn a_drawn_trace_comes_back_from_the_wire(trace in testing::any_trace(20)) {
        let bytes = encode_traces(&trace);
        prop_assert_eq!(content(&trace_from(trace.id(), &bytes)), content(&trace));
        let request = parse(&bytes).expect("a TracesData is a request");
        prop_assert_eq!(content(&trace_of(&request)), content(&trace));
    }

    #[test]
    fn a_trace_with_everything_comes_back_from_the_wire(trace in any_rich_trace()) {
        let read = trace_from(trace.id(), &encode_traces(&trace));
        prop_assert_eq!(content(&read), content(&trace));
    }

    #[test]
    fn messages_of_a_trace_can_be_joined(bytes in any_request_bytes()) {
        for (trace_id, message) in parse(&bytes).expect("a request").by_trace().messages() {
            let once = decode_traces(trace_id, &message).expect("a TracesData");
            let joined = [&message[..], &message[..]].concat();
            let twice = decode_traces(trace_id, &joined).expect("a TracesData");
            prop_assert_eq!(twice.spans.len(), 2 * once.spans.len());
            prop_assert_eq!(twice.resources.len(), once.resources.len());
            prop_assert_eq!(twice.scopes.len(), once.scopes.len());
        }
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = parse(&bytes) {
            prop_assert_eq!(request.clone().by_trace().messages().count(), request.by_trace().n_traces());
        }
        if let Ok(parts) = decode_traces(testing::trace_id(), &bytes) {
            prop_assert!(parts.spans.len() * 30 <= bytes.len());
        }
    }

    #[test]
    fn a_damaged_request_never_panics(
        bytes in any_request_bytes(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes;
        for (at, byte) in damage {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let message = ExportTraceServiceRequest::decode(&bytes[..]);
        let request = parse(&bytes);
        prop_assert!(request.is_ok() || message.is_err(), "{request:?} {message:?}");
        if let Ok(request) = request {
            if let Ok(message) = message {
                let spans = spans_of(&message.resource_spans);
                let mut taken = spans.filter(|span| reason_to_refuse(span).is_none());
                for slice in request.spans() {
                    assert_slice(slice, &bytes, taken.next().expect("as many spans"));
                }
                prop_assert_eq!(taken.next(), None);
            }
            let n_spans: usize = request
                .clone()
                .by_trace()
                .messages()
                .map(|(trace_id, message)| {
                    decode_traces(trace_id, &message).expect("a TracesData").spans.len()
                })
                .sum();
            prop_assert_eq!(n_spans, request.spans().len());
        }
    }

    #[test]
    fn a_request_cut_off_anywhere_has_no_more_spans(bytes in any_request_bytes()) {
        let whole = parse(&bytes).expect("a request").spans().len();
        for end in 0..bytes.len() {
            if let Ok(cut) = parse(&bytes[..end]) {
                prop_assert!(cut.spans().len() <= whole);
            }
        }
    }
}
