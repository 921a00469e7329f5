//! OTLP over HTTP: `POST /v1/traces` in protobuf and JSON ([OTLP/HTTP]).
//!
//! Every answer, refusals included, is in the request's encoding; refusals are `google.rpc.Status`.
//! Path and headers are checked before any of the body is read.
//!
//! [OTLP/HTTP]: https://opentelemetry.io/docs/specs/otlp/#otlphttp

mod cors;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use prost::Message;

use crate::ingest::{Body, ConnectionBytes, Encoding, Format, Ingest, Refusal, Taken};
use crate::metrics::Transport;
use crate::otlp::body::Reader;
use crate::otlp::{grpc, reply};

/// How much of a refused body is read and dropped, so that a client that writes before it reads
/// gets the refusal rather than a reset connection.
const DISCARD_BYTES_MAX: usize = 256 << 20;
const DISCARD_DEADLINE: Duration = Duration::from_secs(5);

/// What was sent is quoted up to here.
const QUOTE_CHARS_MAX: usize = 100;

/// The receiver's paths. Who speaks gRPC is sent to `grpc_endpoint`; browsers may send from pages of
/// `cors_origins`.
pub(crate) fn router(
    ingest: Arc<Ingest>,
    grpc_endpoint: &str,
    cors_origins: &[HeaderValue],
) -> Router {
    let receiver = Receiver {
        ingest,
        grpc_endpoint: grpc_endpoint.into(),
    };
    let router = Router::new().fallback(receive).with_state(receiver);
    match cors::layer(cors_origins) {
        Some(layer) => router.layer(layer),
        None => router,
    }
}

#[derive(Clone)]
struct Receiver {
    ingest: Arc<Ingest>,
    grpc_endpoint: Arc<str>,
}

impl Format {
    /// What `Content-Type` says; `Err` with the header when that is neither.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let value = headers
            .get(CONTENT_TYPE)
            .map_or(&b""[..], HeaderValue::as_bytes);
        let essence = value
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or(value)
            .trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/x-protobuf") {
            Ok(Self::Protobuf)
        } else if essence.eq_ignore_ascii_case(b"application/json") {
            Ok(Self::Json)
        } else {
            Err(quote(value))
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }

    fn transport(self) -> Transport {
        match self {
            Self::Protobuf => Transport::HttpProtobuf,
            Self::Json => Transport::HttpJson,
        }
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let Receiver {
        ingest,
        grpc_endpoint,
    } = receiver;
    let (parts, mut body) = request.into_parts();
    if grpc::is_grpc(&parts.headers) {
        let grpc_endpoint = grpc_endpoint.to_string();
        return grpc::refuse(&ingest, &Refusal::NotHttp { grpc_endpoint });
    }
    // Whoever says nothing we know is most likely a person.
    let format = Format::of(&parts.headers).unwrap_or(Format::Json);
    match export(&ingest, &parts, &mut body).await {
        Ok(taken) => success(&taken, format),
        Err(refusal) => {
            ingest.refused(format.transport(), &refusal);
            // Who waits for a go-ahead has not sent the body yet.
            if !parts.headers.contains_key(EXPECT) {
                discard(&mut body).await;
            }
            refuse(&refusal, format)
        }
    }
}

async fn export(
    ingest: &Arc<Ingest>,
    parts: &Parts,
    body: &mut AxumBody,
) -> Result<Taken, Refusal> {
    check_target(parts.uri.path(), &parts.method)?;
    let format = Format::of(&parts.headers).map_err(Refusal::ContentType)?;
    let encoding = content_encoding(&parts.headers)?;
    let connection = parts.extensions.get::<ConnectionBytes>();
    let room = ingest.reserve(connection.cloned().unwrap_or_default());
    let (bytes, room) = Reader::new(body, ingest.request_bytes_max(), room)?
        .rest()
        .await?;
    let body = Body {
        bytes,
        encoding,
        format,
    };
    ingest.export(format.transport(), body, room).await
}

fn check_target(path: &str, method: &Method) -> Result<(), Refusal> {
    match path {
        "/v1/traces" if method == Method::POST => Ok(()),
        "/v1/traces" => Err(Refusal::Method(quote(method.as_str().as_bytes()))),
        "/v1/metrics" => Err(Refusal::NotTraces("metrics")),
        "/v1/logs" => Err(Refusal::NotTraces("logs")),
        "/v1development/profiles" => Err(Refusal::NotTraces("profiles")),
        _ => Err(Refusal::Path {
            path: quote(path.as_bytes()),
            expected: "POST /v1/traces",
        }),
    }
}

fn content_encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let value = values
        .next()
        .map_or(&b""[..], HeaderValue::as_bytes)
        .trim_ascii();
    if values.next().is_some() {
        return Err(Refusal::ContentEncoding("several in a row".to_owned()));
    }
    Encoding::named(value).ok_or_else(|| Refusal::ContentEncoding(quote(value)))
}

async fn discard(body: &mut AxumBody) {
    let read = async {
        let mut n_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            n_bytes += frame.data_ref().map_or(0, bytes::Bytes::len);
            if n_bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Late or not, the refusal is sent now.
    tokio::time::timeout(DISCARD_DEADLINE, read).await.ok();
}

fn success(taken: &Taken, format: Format) -> Response {
    let answer = reply::success(taken);
    let body = match format {
        Format::Protobuf => answer.encode_to_vec(),
        Format::Json => match answer.partial_success {
            None => b"{}".to_vec(),
            Some(partial) => serde_json::json!({
                "partialSuccess": {
                    "rejectedSpans": partial.rejected_spans.to_string(),
                    "errorMessage": partial.error_message,
                }
            })
            .to_string()
            .into_bytes(),
        },
    };
    response(StatusCode::OK, format, body)
}

/// A refusal as an HTTP answer.
pub(crate) fn refuse(refusal: &Refusal, format: Format) -> Response {
    let reply = reply::reply(refusal);
    let body = match format {
        Format::Protobuf => reply::protobuf_body(refusal),
        Format::Json => reply::json_body(refusal),
    };
    let mut response = response(reply.http, format, body);
    if let Some(delay) = reply.retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    if let Refusal::Method(_) = refusal {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn response(status: StatusCode, format: Format, body: Vec<u8>) -> Response {
    let mut response = Response::new(AxumBody::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, format.content_type());
    response
}

/// The beginning of what was sent, to name it in an answer.
pub(crate) fn quote(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .take(QUOTE_CHARS_MAX)
        .collect()
}
