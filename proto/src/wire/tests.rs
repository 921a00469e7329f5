//! What the walker, the splitter and the decoder promise, held against prost.

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message as _;

use super::reader::Reader;
use super::samples::{any_request_bytes, any_rich_trace, content, spans_of, trace_from, trace_of};
use super::*;
use crate::trace::TraceParts;
use crate::{AttributeValue, SpanId, SpanKind, StatusCode, TraceId, UnixNanos, testing};

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
    assert_eq!(&bytes[slice.name.clone()], span.name.as_bytes());
    let message = Span::decode(&bytes[slice.message.clone()]).expect("a span");
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
        prop_assert_eq!(request.by_trace().len(), traces.len());
        for ((trace_id, message_of_trace), expected) in request.by_trace().zip(traces) {
            prop_assert_eq!(trace_id, expected);
            let of_trace = TracesData::decode(&message_of_trace[..]).expect("a TracesData");
            let expected = TracesData { resource_spans: only(trace_id, &message.resource_spans) };
            prop_assert_eq!(of_trace.encode_to_vec(), expected.encode_to_vec());
        }
    }

    #[test]
    fn every_byte_of_spans_resources_and_scopes_survives_the_split(bytes in any_request_bytes()) {
        let mut expected = as_sent(&bytes);
        for (trace_id, message) in parse(&bytes).expect("a request").by_trace() {
            let mut of_trace = as_sent(&message);
            prop_assert_eq!(of_trace.remove(&trace_id), expected.remove(&trace_id));
            prop_assert!(of_trace.is_empty());
        }
        prop_assert!(expected.is_empty());
    }

    #[test]
    fn what_is_decoded_is_what_prost_decodes(bytes in any_request_bytes()) {
        let message = ExportTraceServiceRequest::decode(&bytes[..]).expect("a request");
        for (trace_id, of_trace) in parse(&bytes).expect("a request").by_trace() {
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
        for (trace_id, message) in parse(&bytes).expect("a request").by_trace() {
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
            prop_assert_eq!(request.by_trace().count(), request.by_trace().len());
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
        if let Ok(request) = parse(&bytes) {
            let n_spans: usize = request
                .by_trace()
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

/// A field that holds bytes, for messages no library would write; the field's number is below 16.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The least a span has, and `more` behind it.
fn span_with(more: &[u8]) -> Vec<u8> {
    let trace_id = testing::trace_id();
    [
        field(1, trace_id.as_bytes()),
        field(2, testing::span_id(1).as_bytes()),
        more.to_vec(),
    ]
    .concat()
}

/// A request of spans of one resource and scope.
fn request_of(spans: &[Vec<u8>]) -> Vec<u8> {
    let scope_spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    field(1, &field(2, &scope_spans))
}

fn decode_one(span: &[u8]) -> crate::Span {
    let parts = decode_traces(testing::trace_id(), &request_of(&[span.to_vec()]));
    let TraceParts { spans, .. } = parts.expect("a TracesData");
    spans.into_iter().next().expect("a span")
}

#[test]
fn a_broken_span_is_refused_and_its_neighbours_are_kept() {
    let cases: [&[u8]; 6] = [
        &[0x30],                // a kind without a number
        &[0x2a, 9, b'x'],       // a name longer than the span
        &[0x38, 1],             // a start that is a varint
        &[0x7a, 2, 0x18, 0x80], // a status cut off inside
        &[0x7a, 2, 0x1a, 0],    // a status code that is text
        &[0x4c],                // the end of a group never begun
    ];
    for broken in cases {
        let bytes = request_of(&[span_with(&[]), span_with(broken), span_with(&[])]);
        let request = parse(&bytes).expect("a request");
        assert_eq!(request.spans().len(), 2, "{broken:?}");
        let refused: Vec<_> = request.rejections().iter().collect();
        assert_eq!(refused, [(RejectReason::Malformed, 1)], "{broken:?}");
    }
}

#[test]
fn a_request_broken_outside_of_spans_is_an_error() {
    let cases = [
        (vec![0x0a, 1, 0x12], WireError::Truncated { at: 3 }),
        (
            field(1, &[0x10, 1]),
            WireError::WireType {
                at: 2,
                field: 2,
                found: 0,
                expected: 2,
            },
        ),
        (
            field(1, &field(2, &[0x08, 1])),
            WireError::WireType {
                at: 4,
                field: 1,
                found: 0,
                expected: 2,
            },
        ),
        (
            vec![0x08, 1],
            WireError::WireType {
                at: 0,
                field: 1,
                found: 0,
                expected: 2,
            },
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(&bytes).err(), Some(error.clone()), "{bytes:?}");
        assert_eq!(
            decode_traces(testing::trace_id(), &bytes).err(),
            Some(error),
            "{bytes:?}"
        );
    }
    assert_eq!(
        WireError::WireType {
            at: 2,
            field: 2,
            found: 0,
            expected: 2
        }
        .to_string(),
        "field 2 at byte 2 has wire type 0, not 2"
    );
}

#[test]
fn an_empty_request_has_no_spans() {
    let request = parse(&[]).expect("a request");
    assert_eq!((request.spans().len(), request.by_trace().len()), (0, 0));
    assert_eq!(request.rejections().total(), 0);
}

#[test]
fn a_parent_of_zeros_is_none() {
    let request = parse(&request_of(&[span_with(&field(4, &[0; 8]))])).expect("a request");
    assert_eq!(request.spans()[0].parent_id, None);
}

#[test]
fn a_broken_attribute_ends_itself_and_the_span_goes_on() {
    let attribute = field(9, &[field(1, b"key"), vec![0x12, 9]].concat());
    let span = decode_one(&span_with(&[attribute, field(5, b"n\xffme")].concat()));
    assert_eq!(span.name, "n\u{fffd}me");
    assert_eq!(span.attributes.get("key"), Some(&AttributeValue::Empty));
}

#[test]
fn values_are_decoded_to_a_depth() {
    let nested = |depth| {
        let value = (0..depth).fold(field(1, b"deep"), |value, _| field(5, &field(1, &value)));
        decode_one(&span_with(&field(9, &field(2, &value))))
    };
    let deepest = |span: &crate::Span| {
        let mut value = &span.attributes.0[0].value;
        let mut depth = 0;
        while let AttributeValue::Array(values) = value {
            value = &values[0];
            depth += 1;
        }
        (depth, value.clone())
    };
    assert_eq!(
        deepest(&nested(VALUE_DEPTH_MAX)),
        (VALUE_DEPTH_MAX, "deep".into())
    );
    assert_eq!(
        deepest(&nested(VALUE_DEPTH_MAX + 1)),
        (VALUE_DEPTH_MAX, AttributeValue::Empty)
    );
    assert_eq!(deepest(&nested(5_000)).0, VALUE_DEPTH_MAX);
}

/// A request of `n_traces` traces of one span each under one resource of `n_bytes` bytes.
fn shared_resource(n_bytes: usize, n_traces: u64) -> Vec<u8> {
    let scope_spans: Vec<u8> = (1..=n_traces)
        .flat_map(|n| {
            let trace_id = [
                field(1, &u128::from(n).to_be_bytes()),
                field(2, &n.to_be_bytes()),
            ];
            field(2, &trace_id.concat())
        })
        .collect();
    field(
        1,
        &[field(1, &vec![0; n_bytes]), field(2, &scope_spans)].concat(),
    )
}

#[test]
fn a_resource_shared_by_too_many_traces_is_refused() {
    let request = parse(&shared_resource(1 << 20, 200)).expect("200 MiB are allowed");
    assert_eq!(request.by_trace().len(), 200);
    let error = parse(&shared_resource(1 << 20, 300)).expect_err("300 MiB are not");
    assert_eq!(
        error,
        WireError::Spread {
            n_bytes: 300 * ((1 << 20) + 4),
            limit_bytes: SPREAD_BYTES_MAX
        }
    );
}

#[test]
fn a_large_resource_of_one_large_trace_is_no_matter() {
    let spans: Vec<Vec<u8>> = (0..300).map(|_| span_with(&[])).collect();
    let scope_spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    let bytes = field(
        1,
        &[field(1, &vec![0; 1 << 20]), field(2, &scope_spans)].concat(),
    );
    let request = parse(&bytes).expect("one trace has one resource");
    let (_, message) = request.by_trace().next().expect("a trace");
    assert_eq!(message, bytes);
}
