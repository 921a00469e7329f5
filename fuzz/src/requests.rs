//! Export requests, however they are written.

use longpole_proto::formats::otlp_json::{read_export_request, write_trace};
use longpole_proto::trace::TraceParts;
use longpole_proto::wire::{
    ExportRequest, RejectReason, WireError, decode_traces, encode_traces, to_messages,
};
use longpole_proto::{SpanId, SpanKind, StatusCode, Trace, TraceId, UnixNanos};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message as _;

use crate::flat::{flat, is_taken};

/// Any bytes as a request in protobuf.
pub fn protobuf(bytes: &[u8]) {
    let request = ExportRequest::parse(bytes.to_vec().into());
    match (request, ExportTraceServiceRequest::decode(bytes)) {
        (Ok(request), Ok(message)) => {
            walked(&request, bytes, &message);
            let all: Vec<_> = traces(&request)
                .iter()
                .flat_map(|(trace_id, parts)| to_messages(parts, *trace_id))
                .collect();
            assert_eq!(flat(&all), flat(&message.resource_spans));
        }
        // One span that prost cannot read costs prost the request, and longpole the span.
        (Ok(request), Err(_)) => {
            traces(&request);
        }
        (Err(WireError::Spread { .. } | WireError::TooLarge { .. }), Ok(_)) | (Err(_), Err(_)) => {}
        (Err(error), Ok(message)) => panic!("{error}, where prost reads {message:?}"),
    }
}

/// Any bytes as a request in JSON.
pub fn json(bytes: &[u8]) {
    let Ok(request) = read_export_request(bytes) else {
        return;
    };
    for (trace_id, message) in request.clone().by_trace().messages() {
        let parts = decode_traces(trace_id, &message).expect("a TracesData");
        assert_eq!(
            flat(&to_messages(&parts, trace_id)),
            flat(&prost_of(&message).resource_spans)
        );
    }
    for (trace_id, parts) in traces(&request) {
        let trace = Trace::new(trace_id, parts).expect("a trace has spans");
        let again = read_export_request(write_trace(&trace).as_bytes()).expect("our own JSON");
        assert_eq!(again.rejections().total(), 0);
        let [(again_id, again)] = &traces(&again)[..] else {
            panic!("one trace was written");
        };
        assert_eq!(
            flat(&to_messages(again, *again_id)),
            flat(&prost_of(&encode_traces(&trace)).resource_spans)
        );
    }
}

fn prost_of(bytes: &[u8]) -> TracesData {
    TracesData::decode(bytes).expect("prost reads what longpole wrote")
}

/// The traces of a request, with all spans it has.
fn traces(request: &ExportRequest) -> Vec<(TraceId, TraceParts)> {
    let by_trace = request.clone().by_trace();
    let n_traces = by_trace.n_traces();
    let traces: Vec<_> = by_trace
        .messages()
        .map(|(trace_id, message)| {
            let parts = decode_traces(trace_id, &message).expect("a TracesData");
            (trace_id, parts)
        })
        .collect();
    assert_eq!(traces.len(), n_traces);
    let n_spans: usize = traces.iter().map(|(_, parts)| parts.spans.len()).sum();
    assert_eq!(n_spans, request.spans().len());
    for (trace_id, parts) in &traces {
        // A trace has each span once.
        let trace = Trace::new(*trace_id, parts.clone()).expect("a trace has spans");
        let again = prost_of(&encode_traces(&trace)).resource_spans;
        let n_again = again.iter().flat_map(|resource| &resource.scope_spans);
        assert_eq!(
            n_again.map(|scope| scope.spans.len()).sum::<usize>(),
            trace.len()
        );
    }
    traces
}

/// The walker finds the spans that prost finds, where prost finds them.
fn walked(request: &ExportRequest, bytes: &[u8], message: &ExportTraceServiceRequest) {
    let spans = message
        .resource_spans
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans);
    let (taken, refused): (Vec<&Span>, Vec<&Span>) = spans.partition(|span| is_taken(span));
    assert_eq!(request.rejections().total(), refused.len() as u64);
    let mut reasons = request.rejections().iter();
    assert!(reasons.all(|(reason, _)| reason != RejectReason::Malformed));
    assert_eq!(request.spans().len(), taken.len());
    for (slice, span) in request.spans().iter().zip(taken) {
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
    }
}
