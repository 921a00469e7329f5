//! OTLP over gRPC: the trace service, around bytes that tonic only frames and unzips.
//!
//! tonic's own refusals (before a message reaches us) come in codes that would make OTLP clients
//! retry what can never succeed, or drop what could: they are put into [`reply`]'s words here.

mod codec;
mod metered;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body as GrpcBody;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tower::{Service, service_fn};

use crate::ingest::{Body, Ingest, REQUEST_DEADLINE, Refusal};
use crate::metrics::Transport;
use crate::otlp::http::{Format, quote, refuse as refuse_http};
use crate::otlp::reply;
pub(crate) use codec::Raw;
use metered::Metered;

type Request = http::Request<GrpcBody>;
type Response = http::Response<GrpcBody>;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The other signals' services, and what they carry.
const NOT_TRACES: [(&str, &str); 3] = [
    (
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/",
        "metrics",
    ),
    (
        "/opentelemetry.proto.collector.logs.v1.LogsService/",
        "logs",
    ),
    (
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/",
        "profiles",
    ),
];

/// Large enough that a batch is on its way without waiting for the other side.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// Requests of one connection at once; more wait on the client's side.
const STREAMS_MAX: u32 = 256;

/// How often a silent connection is asked whether anybody is there.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// Serves until stopped, then until every request has its answer.
///
/// # Errors
/// When the transport fails as a whole.
pub(crate) async fn serve(
    listener: TcpListener,
    receiver: Receiver,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        // To tell a client that speaks OTLP/HTTP here where to go.
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .serve_with_incoming_shutdown(
            receiver,
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            stop.cancelled_owned(),
        )
        .await
}

/// The gRPC services.
#[derive(Clone)]
pub(crate) struct Receiver {
    ingest: Arc<Ingest>,
    http_endpoint: Arc<str>,
}

impl Receiver {
    /// Services that hand over to `ingest`; who speaks OTLP/HTTP is sent to `http_endpoint`.
    pub(crate) fn new(ingest: Arc<Ingest>, http_endpoint: &str) -> Self {
        Self {
            ingest,
            http_endpoint: http_endpoint.into(),
        }
    }

    async fn answer(self, request: Request) -> Response {
        if !is_grpc(request.headers()) {
            let refusal = Refusal::NotGrpc {
                http_endpoint: self.http_endpoint.to_string(),
            };
            self.ingest.refused(Transport::Grpc, &refusal);
            let format = Format::of(request.headers()).unwrap_or(Format::Json);
            return refuse_http(&refusal, format).map(GrpcBody::new);
        }
        let path = request.uri().path();
        if path == TRACES {
            return self.export(request).await;
        }
        let not_traces = NOT_TRACES
            .iter()
            .find(|(service, _)| path.starts_with(service));
        let refusal = match not_traces {
            Some((_, kind)) => Refusal::NotTraces(kind),
            None => Refusal::Path {
                path: quote(path.as_bytes()),
                expected: TRACES,
            },
        };
        self.refuse(&refusal)
    }

    async fn export(&self, request: Request) -> Response {
        let limit_bytes = self.ingest.request_bytes_max();
        let mut grpc = tonic::server::Grpc::new(Raw)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(limit_bytes);
        let reached_us = AtomicBool::new(false);
        let handler = service_fn(|request: tonic::Request<Bytes>| {
            reached_us.store(true, Ordering::Relaxed);
            self.store(request.into_inner())
        });
        let request = request.map(|body| Metered::new(body, self.ingest.reserve()));
        let answer = tokio::time::timeout(REQUEST_DEADLINE, grpc.unary(handler, request)).await;
        let Ok(response) = answer else {
            return self.refuse(&Refusal::Slow {
                waited: REQUEST_DEADLINE,
            });
        };
        let status = response.extensions().get::<Status>();
        match status.filter(|_| !reached_us.load(Ordering::Relaxed)) {
            None => response,
            // It lists the encodings that are understood: nothing to add.
            Some(status) if status.code() == Code::Unimplemented => {
                let refusal = Refusal::ContentEncoding("not gzip".to_owned());
                self.ingest.refused(Transport::Grpc, &refusal);
                response
            }
            Some(status) => self.refuse(&self.framing_refusal(status)),
        }
    }

    async fn store(
        &self,
        message: Bytes,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let outcome = async {
            let mut room = self.ingest.reserve();
            room.grow(message.len())?;
            self.ingest
                .export(Transport::Grpc, Body::Protobuf(message), room)
                .await
        };
        match outcome.await {
            Ok(rejections) => {
                let answer = reply::success(&rejections);
                let is_empty = answer.partial_success.is_none();
                let mut response = tonic::Response::new(answer);
                if is_empty {
                    // Setting up gzip for no bytes costs more than the rest of the answer.
                    response.disable_compression();
                }
                Ok(response)
            }
            Err(refusal) => {
                self.ingest.refused(Transport::Grpc, &refusal);
                Err(reply::grpc_status(&refusal))
            }
        }
    }

    /// What tonic, or the body it read from, means by a status.
    fn framing_refusal(&self, status: &Status) -> Refusal {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => Refusal::TooLarge {
                limit_bytes: self.ingest.request_bytes_max(),
            },
            Code::Unavailable => Refusal::Busy {
                limit_bytes: self.ingest.in_flight_bytes_max(),
            },
            _ => Refusal::Undecodable(format!(
                "request is not a gRPC message: {}",
                status.message()
            )),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        self.ingest.refused(Transport::Grpc, refusal);
        reply::grpc_status(refusal).into_http()
    }
}

impl Service<Request> for Receiver {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(this.answer(request).await) })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    value.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests;
