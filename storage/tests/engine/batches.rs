//! What is appended in the tests, and what must come back.

use std::collections::BTreeMap;
use std::sync::mpsc;

use bytes::Bytes;
use longpole_proto::testing::{SpanBuilder, parts_of};
use longpole_proto::trace::TraceParts;
use longpole_proto::wire::{ExportRequest, to_messages};
use longpole_proto::{TraceId, UnixNanos};
use longpole_storage::{Appended, SearchRequest, StorageError, Store};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;

/// The trace ID whose number is `n`.
pub(crate) fn id(n: u64) -> TraceId {
    TraceId::new(u128::from(n).to_be_bytes()).expect("numbers start at 1")
}

/// An export request with the spans of several traces.
pub(crate) fn request<'a>(
    traces: impl IntoIterator<Item = (TraceId, &'a TraceParts)>,
) -> ExportRequest {
    let resource_spans = traces
        .into_iter()
        .flat_map(|(trace_id, parts)| to_messages(parts, trace_id))
        .collect();
    let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    ExportRequest::parse(bytes.into()).expect("an export request")
}

/// An export request with these spans of one trace.
pub(crate) fn request_of(
    trace_id: TraceId,
    spans: impl IntoIterator<Item = SpanBuilder>,
) -> ExportRequest {
    request([(trace_id, &parts_of(spans))])
}

/// An export request with a trace of one span, `GET /` of `web`, from 0 to `ms` milliseconds.
pub(crate) fn one_span(trace_id: TraceId, ms: u64) -> ExportRequest {
    request_of(
        trace_id,
        [SpanBuilder::new(1, "GET /").service("web").at(0, ms)],
    )
}

/// Appends and waits for the answer.
pub(crate) fn append(store: &dyn Store, request: ExportRequest) -> Result<Appended, StorageError> {
    append_at(store, request, UnixNanos(1))
}

/// Appends what was received at a time and waits for the answer.
pub(crate) fn append_at(
    store: &dyn Store,
    request: ExportRequest,
    received: UnixNanos,
) -> Result<Appended, StorageError> {
    let (sender, answer) = mpsc::sync_channel(1);
    let done = move |result| sender.send(result).expect("the test waits");
    store.append(request, received, Box::new(done));
    answer.recv().expect("every append is answered")
}

/// The spans of a stored trace; none when there is no such trace.
pub(crate) fn stored(store: &dyn Store, trace_id: TraceId) -> Spans {
    let trace = store.trace(trace_id).expect("the store reads");
    trace.map(|trace| spans_of(&trace.otlp)).unwrap_or_default()
}

/// The spans an export request must bring for a trace.
pub(crate) fn sent(request: &ExportRequest, trace_id: TraceId) -> Spans {
    let mut message = TracesData::decode(request.bytes().as_ref()).expect("the same shape");
    for scope_spans in message
        .resource_spans
        .iter_mut()
        .flat_map(|of| &mut of.scope_spans)
    {
        scope_spans
            .spans
            .retain(|span| span.trace_id == trace_id.as_bytes());
    }
    spans_of(&message.encode_to_vec())
}

/// Spans with their resources and scopes, as bytes, and how many of each there are.
pub(crate) type Spans = BTreeMap<[Bytes; 3], usize>;

/// The spans of a `TracesData` message.
pub(crate) fn spans_of(traces_data: &[u8]) -> Spans {
    let message = TracesData::decode(traces_data).expect("a TracesData");
    let mut spans = Spans::new();
    for resource_spans in message.resource_spans {
        let resource = resource_spans.resource.unwrap_or_default().encode_to_vec();
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.unwrap_or_default().encode_to_vec();
            for span in scope_spans.spans {
                let parts = [resource.clone(), scope.clone(), span.encode_to_vec()];
                *spans.entry(parts.map(Bytes::from)).or_default() += 1;
            }
        }
    }
    spans
}

/// The trace ids a search gives, on one page.
pub(crate) fn found(store: &dyn Store, request: &SearchRequest) -> Vec<TraceId> {
    let result = store.search(request).expect("the store searches");
    result
        .requests
        .iter()
        .map(|request| request.trace_id)
        .collect()
}

/// A search for everything, up to a thousand.
pub(crate) fn everything() -> SearchRequest {
    SearchRequest {
        limit: 1_000,
        ..SearchRequest::default()
    }
}
