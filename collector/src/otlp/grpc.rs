//! OTLP over gRPC: the trace service, a unary call as [gRPC over HTTP/2] says.
//!
//! [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

mod message;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};

use crate::ingest::{Body, ConnectionBytes, Encoding, Format, Ingest, Refusal, Taken};
use crate::metrics::Transport;
use crate::otlp::http::{quote, refuse as refuse_http};
use crate::otlp::reply;
use crate::protection::Guard;

/// Where export requests go.
pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

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

static GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
static GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The receiver's services, for whom `guard` lets in; who speaks OTLP/HTTP is sent to `http_endpoint`.
pub(crate) fn router(ingest: Arc<Ingest>, http_endpoint: &str, guard: Guard) -> Router {
    let receiver = Receiver {
        ingest,
        http_endpoint: http_endpoint.into(),
        guard,
    };
    Router::new().fallback(receive).with_state(receiver)
}

#[derive(Clone)]
struct Receiver {
    ingest: Arc<Ingest>,
    http_endpoint: Arc<str>,
    guard: Guard,
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let Receiver {
        ingest,
        http_endpoint,
        guard,
    } = receiver;
    let (parts, body) = request.into_parts();
    if !is_grpc(&parts.headers) {
        let http_endpoint = http_endpoint.to_string();
        let refusal = Refusal::NotGrpc { http_endpoint };
        ingest.refused(Transport::Grpc, &refusal);
        let format = Format::of(&parts.headers).unwrap_or(Format::Json);
        return refuse_http(&refusal, format);
    }
    if let Err(denied) = guard.admit(&parts.headers) {
        return refuse(&ingest, &denied.into());
    }
    match export(&ingest, parts, body).await {
        Ok(taken) => success(&taken),
        Err(refusal) => refuse(&ingest, &refusal),
    }
}

async fn export(ingest: &Arc<Ingest>, parts: Parts, mut body: AxumBody) -> Result<Taken, Refusal> {
    check_target(parts.uri.path())?;
    let encoding = encoding(&parts.headers)?;
    let connection = parts.extensions.get::<ConnectionBytes>();
    let room = ingest.reserve(connection.cloned().unwrap_or_default());
    // A connection may have many requests that come slowly, each with its headers.
    drop(parts);
    let limit_bytes = ingest.request_bytes_max();
    let (bytes, encoding, room) = message::read(&mut body, encoding, limit_bytes, room).await?;
    let body = Body {
        bytes,
        encoding,
        format: Format::Protobuf,
    };
    ingest.export(Transport::Grpc, body, room).await
}

fn check_target(path: &str) -> Result<(), Refusal> {
    if path == TRACES {
        return Ok(());
    }
    let not_traces = NOT_TRACES
        .iter()
        .find(|(service, _)| path.starts_with(service));
    Err(match not_traces {
        Some((_, kind)) => Refusal::NotTraces(kind),
        None => Refusal::Path {
            path: quote(path.as_bytes()),
            expected: TRACES,
        },
    })
}

/// How messages are compressed that are.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let name = headers
        .get(&GRPC_ENCODING)
        .map_or(&b""[..], HeaderValue::as_bytes);
    Encoding::named(name).ok_or_else(|| Refusal::ContentEncoding(quote(name)))
}

fn success(taken: &Taken) -> Response {
    let message = message::frame(&reply::success(taken));
    let trailers = HeaderMap::from_iter([(GRPC_STATUS.clone(), HeaderValue::from_static("0"))]);
    let trailers = std::future::ready(Some(Ok::<_, Infallible>(trailers)));
    let mut response = Response::new(AxumBody::new(Full::new(message).with_trailers(trailers)));
    response.headers_mut().insert(CONTENT_TYPE, GRPC.clone());
    response
}

/// Counts a refusal, and says it.
pub(crate) fn refuse(ingest: &Ingest, refusal: &Refusal) -> Response {
    ingest.refused(Transport::Grpc, refusal);
    let mut response: Response = reply::grpc_status(refusal).into_http();
    if let Refusal::ContentEncoding(_) = refusal {
        response.headers_mut().insert(
            &GRPC_ACCEPT_ENCODING,
            HeaderValue::from_static(Encoding::NAMES),
        );
    }
    response
}

/// Whether a request says that it is gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    value.starts_with(b"application/grpc")
}

#[cfg(test)]
mod tests;
