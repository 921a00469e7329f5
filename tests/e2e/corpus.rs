//! Every recording is accepted or refused with a stated reason; what is accepted opens as a page.

use std::collections::BTreeSet;

use longpole_proto::{SpanId, TraceId};
use longpole_tests::corpus::{Recording, fixtures};
use longpole_tests::{Client, Server};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;

use crate::check::check_trace;

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_trace_is_accepted_or_refused_with_a_reason_and_opens_as_a_page() {
    let Some(recordings) = fixtures() else { return };
    assert!(!recordings.is_empty(), "the folder of recordings has none");
    let server = Server::start().await;
    let mut opened = BTreeSet::new();
    for recording in &recordings {
        for trace in send(server.client(), recording).await {
            if opened.insert(trace) {
                check_trace(server.client(), &recording.name, trace).await;
            }
        }
    }
    eprintln!("{} recordings, {} traces", recordings.len(), opened.len());
    assert!(
        opened.len() >= recordings.len() / 2,
        "{} traces were accepted",
        opened.len()
    );
}

/// Sends a recording and gives the ids of the traces of which something was accepted.
pub(crate) async fn send(client: &Client, recording: &Recording) -> BTreeSet<TraceId> {
    let name = &recording.name;
    let mut traces = BTreeSet::new();
    for body in &recording.requests {
        let request = ExportTraceServiceRequest::decode(body.clone()).expect("a recorded request");
        let ids: Vec<Option<TraceId>> = request
            .resource_spans
            .iter()
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans)
            .map(|span| {
                let trace_id = TraceId::from_slice(&span.trace_id).ok()?;
                SpanId::from_slice(&span.span_id).ok().map(|_| trace_id)
            })
            .collect();
        let reply = client
            .post(&[("content-type", "application/x-protobuf")], body.clone())
            .await;
        let response: ExportTraceServiceResponse = reply.expect(200).message();
        let n_invalid = ids.iter().filter(|id| id.is_none()).count();
        if let Some(partial) = response.partial_success {
            assert_eq!(
                usize::try_from(partial.rejected_spans),
                Ok(n_invalid),
                "{name}"
            );
            assert_ne!(
                partial.error_message, "",
                "{name} is refused without a reason"
            );
            eprintln!(
                "{name}: {n_invalid} of {} spans refused: {}",
                ids.len(),
                partial.error_message
            );
        } else {
            assert_eq!(n_invalid, 0, "{name} has spans without an ID");
        }
        traces.extend(ids.into_iter().flatten());
    }
    traces
}
