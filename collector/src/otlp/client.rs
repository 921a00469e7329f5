//! Sends export requests over OTLP/gRPC, as an SDK's exporter does.

use std::convert::Infallible;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};
use rustls::ClientConfig;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tower::service_fn;

use crate::http_server::Within;
use crate::otlp::reply::RetryInfo;

/// How long one try may take.
const TRY_DEADLINE: Duration = Duration::from_secs(10);

/// How often a request is sent before it counts as failed.
const TRIES_MAX: u32 = 6;

/// The wait before the second try; it doubles with each.
const BACKOFF: Duration = Duration::from_millis(250);

/// No wait is longer, whatever the server asks for.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Sends to one endpoint; cheap to clone, clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    service: TraceServiceClient<Channel>,
    /// Sent along, when the server asks for it.
    headers: HeaderMap,
}

impl Client {
    /// A client for `endpoint`, without TLS, which is connected to when there is something to send.
    pub fn new(endpoint: Uri) -> Self {
        Self::over(
            Endpoint::from(endpoint)
                .timeout(TRY_DEADLINE)
                .connect_lazy(),
        )
    }

    /// A client for `endpoint` that speaks TLS where it is https, and trusts whom `tls` trusts.
    pub(crate) fn trusting(endpoint: Uri, tls: ClientConfig) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http2()
            .build();
        Self::over(
            Endpoint::from(endpoint)
                .timeout(TRY_DEADLINE)
                .connect_with_connector_lazy(connector),
        )
    }

    /// A client of a server in this process.
    pub(crate) fn within(server: Within) -> Self {
        let connect = service_fn(move |_: Uri| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(TokioIo::new(server.connect().await)) }
        });
        let channel = Endpoint::from_static("http://localhost")
            .timeout(TRY_DEADLINE)
            .connect_with_connector_lazy(connect);
        Self::over(channel)
    }

    fn over(channel: Channel) -> Self {
        let service = TraceServiceClient::new(channel)
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
        Self {
            service,
            headers: HeaderMap::new(),
        }
    }

    /// The same client, which sends this as `authorization`.
    #[must_use]
    pub fn with_authorization(mut self, value: HeaderValue) -> Self {
        self.headers.insert(AUTHORIZATION, value);
        self
    }

    /// Sends a request, again when that may help; returns what the server refused of it.
    ///
    /// # Errors
    /// The last status, when the server refuses the request for good or cannot be reached in
    /// several tries.
    pub async fn export(
        &self,
        request: ExportTraceServiceRequest,
    ) -> Result<Option<ExportTracePartialSuccess>, Status> {
        let mut n_tries = 1;
        loop {
            let mut request = Request::new(request.clone());
            *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
            let status = match self.service.clone().export(request).await {
                Ok(response) => return Ok(response.into_inner().partial_success),
                Err(status) => status,
            };
            match wait_before_retry(&status, n_tries) {
                Some(wait) if n_tries < TRIES_MAX => tokio::time::sleep(wait).await,
                _ => return Err(status),
            }
            n_tries += 1;
        }
    }
}

/// How long to wait after the `n_tries`th try ended in `status`; `None` when another is no use.
fn wait_before_retry(status: &Status, n_tries: u32) -> Option<Duration> {
    let asked = RetryInfo::delay_in(status.details());
    let is_retryable = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Only then does it mean "not now" rather than "never".
        Code::ResourceExhausted => asked.is_some(),
        _ => false,
    };
    let backoff = BACKOFF.saturating_mul(1 << (n_tries - 1).min(16));
    is_retryable.then(|| asked.unwrap_or(backoff).min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Refusal;
    use crate::otlp::reply;

    #[test]
    fn waits_double_and_end() {
        let status = Status::unavailable("gone");
        let waits: Vec<_> = (1..=7)
            .map(|n_tries| wait_before_retry(&status, n_tries))
            .collect();
        let millis = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000];
        assert_eq!(waits, millis.map(|ms| Some(Duration::from_millis(ms))));
    }

    #[test]
    fn a_server_that_says_when_is_believed() {
        let status = reply::grpc_status(&Refusal::Closing);
        assert_eq!(wait_before_retry(&status, 5), Some(reply::RETRY_AFTER));
    }

    #[test]
    fn what_can_never_succeed_is_not_sent_again() {
        for code in [
            Code::InvalidArgument,
            Code::ResourceExhausted,
            Code::Unimplemented,
        ] {
            assert_eq!(
                wait_before_retry(&Status::new(code, ""), 1),
                None,
                "{code:?}"
            );
        }
    }
}
