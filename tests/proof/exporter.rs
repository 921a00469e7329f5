//! Sends requests over either transport and says what came of each.

use std::error::Error as _;

use longpole_tests::Client;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::Code;
use tonic::transport::Channel;

/// A connection of one sender.
#[derive(Debug, Clone)]
pub(crate) enum Exporter {
    Http(Client),
    Grpc(TraceServiceClient<Channel>),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All its spans are acknowledged.
    Acknowledged,
    /// The server said to come back later, and why.
    Unavailable(String),
    /// The server said no for good, and why.
    Refused(String),
    /// The connection broke: nobody knows.
    Broken,
}

/// A `google.rpc.Status`, as far as it matters here.
#[derive(Clone, PartialEq, prost::Message)]
struct Refusal {
    #[prost(string, tag = "2")]
    message: String,
}

impl Exporter {
    /// Sends a request and waits for what comes of it.
    pub(crate) async fn export(&mut self, request: ExportTraceServiceRequest) -> Outcome {
        let response: ExportTraceServiceResponse = match self {
            Self::Http(client) => match client.try_export(&request).await {
                None => return Outcome::Broken,
                Some(reply) if reply.status == 200 => reply.message(),
                Some(reply) if reply.status == 503 && !reply.header("retry-after").is_empty() => {
                    return Outcome::Unavailable(reply.message::<Refusal>().message);
                }
                Some(reply) => {
                    return Outcome::Refused(format!("{} {}", reply.status, reply.text()));
                }
            },
            Self::Grpc(client) => match client.export(request).await {
                Ok(response) => response.into_inner(),
                // What a server says has no cause on this side.
                Err(status) if status.source().is_some() => return Outcome::Broken,
                Err(status) if status.code() == Code::Unavailable => {
                    return Outcome::Unavailable(status.message().to_owned());
                }
                Err(status) => return Outcome::Refused(status.to_string()),
            },
        };
        match response.partial_success {
            None => Outcome::Acknowledged,
            // A warning.
            Some(partial) if partial.rejected_spans == 0 => Outcome::Acknowledged,
            Some(partial) => Outcome::Refused(partial.error_message),
        }
    }
}
