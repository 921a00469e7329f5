//! Servers that do nothing with what they get: what receiving alone costs.

mod codec;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use axum::routing::post;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body as GrpcBody;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

use super::{Protocol, SinkConfig};
use crate::config::MAX_REQUEST_BYTES;
use codec::Raw;

/// What a sink does before it drops a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sink {
    /// Takes the bytes.
    Raw,
    /// Decodes them into prost's structs, as a generated service does.
    Decode,
}

/// Takes exports and drops them, until stopped.
///
/// # Errors
/// When the address cannot be bound, or the transport fails as a whole.
pub async fn receive(config: SinkConfig, stop: CancellationToken) -> anyhow::Result<()> {
    let SinkConfig {
        sink,
        protocol,
        listen,
        ..
    } = config;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen} of --listen"))?;
    let address = listener
        .local_addr()
        .context("a bound port has an address")?;
    tracing::info!(%address, "receiving and dropping");
    match (protocol, sink) {
        (Protocol::Grpc, Sink::Raw) => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            Server::builder()
                .serve_with_incoming_shutdown(RawService, incoming, stop.cancelled_owned())
                .await?;
        }
        (Protocol::Grpc, Sink::Decode) => {
            let service =
                TraceServiceServer::new(DecodeService).max_decoding_message_size(MAX_REQUEST_BYTES);
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            Server::builder()
                .serve_with_incoming_shutdown(service, incoming, stop.cancelled_owned())
                .await?;
        }
        (Protocol::Http, sink) => {
            let take = move |body: Bytes| async move {
                if sink == Sink::Decode && ExportTraceServiceRequest::decode(body).is_err() {
                    return http::StatusCode::BAD_REQUEST;
                }
                http::StatusCode::OK
            };
            let router = axum::Router::new()
                .route("/v1/traces", post(take))
                .layer(axum::extract::DefaultBodyLimit::max(MAX_REQUEST_BYTES));
            axum::serve(listener, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await?;
        }
    }
    Ok(())
}

/// The trace service around bytes.
#[derive(Clone)]
struct RawService;

impl Service<http::Request<GrpcBody>> for RawService {
    type Response = http::Response<GrpcBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<GrpcBody>) -> Self::Future {
        Box::pin(async move {
            let drop_it = service_fn(|request: Request<Bytes>| async move {
                drop(request);
                Ok::<_, Status>(Response::new(ExportTraceServiceResponse::default()))
            });
            let mut grpc =
                tonic::server::Grpc::new(Raw).max_decoding_message_size(MAX_REQUEST_BYTES);
            Ok(grpc.unary(drop_it, request).await)
        })
    }
}

/// The generated trace service.
struct DecodeService;

#[tonic::async_trait]
impl TraceService for DecodeService {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        drop(request);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
