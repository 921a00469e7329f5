//! Connections that send requests as the bytes they are.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use rustls::ClientConfig;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Uri};

use super::Protocol;
use super::send::{Answer, Exporter};
use crate::otlp::grpc::TRACES;

/// Where OTLP/HTTP exports go.
const HTTP_PATH: &str = "/v1/traces";

/// How much of an error's body is quoted.
const QUOTED_BYTES_MAX: usize = 200;

/// A connection over either transport.
pub(super) struct Connection {
    transport: Transport,
    /// Sent along: `authorization`, when the server asks for it.
    headers: HeaderMap,
}

enum Transport {
    Grpc(Box<tonic::client::Grpc<Channel>>),
    Http {
        client: Box<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
        url: Uri,
    },
}

/// Opens a connection to an endpoint.
pub(super) async fn connect(
    endpoint: &Uri,
    protocol: Protocol,
    tls: ClientConfig,
    authorization: Option<HeaderValue>,
) -> anyhow::Result<Connection> {
    Ok(Connection {
        transport: open(endpoint, protocol, tls).await?,
        headers: authorization
            .map(|value| (AUTHORIZATION, value))
            .into_iter()
            .collect(),
    })
}

async fn open(endpoint: &Uri, protocol: Protocol, tls: ClientConfig) -> anyhow::Result<Transport> {
    use anyhow::Context as _;
    match protocol {
        Protocol::Grpc => {
            let channel = Endpoint::from(endpoint.clone())
                .connect_with_connector(connector(tls, protocol))
                .await
                .with_context(|| format!("cannot connect to {endpoint}"))?;
            Ok(Transport::Grpc(Box::new(tonic::client::Grpc::new(channel))))
        }
        Protocol::Http => {
            let mut parts = endpoint.clone().into_parts();
            parts.path_and_query = Some(HTTP_PATH.parse().expect("a path"));
            let url = Uri::from_parts(parts)
                .with_context(|| format!("{endpoint} is no URL to send to"))?;
            Ok(Transport::Http {
                client: Box::new(
                    Client::builder(TokioExecutor::new()).build(connector(tls, protocol)),
                ),
                url,
            })
        }
    }
}

/// Connects with TLS where the URL is https.
fn connector(tls: ClientConfig, protocol: Protocol) -> HttpsConnector<HttpConnector> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    match protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(tcp),
        Protocol::Http => builder.enable_http1().wrap_connector(tcp),
    }
}

impl Exporter for Connection {
    async fn export(&mut self, request: Bytes) -> Result<Answer, String> {
        let response = match &mut self.transport {
            Transport::Grpc(grpc) => {
                grpc.ready().await.map_err(|error| error.to_string())?;
                let path = http::uri::PathAndQuery::from_static(TRACES);
                let mut request = tonic::Request::new(request);
                *request.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
                grpc.unary(request, path, Raw)
                    .await
                    .map_err(|status| format!("{:?}: {}", status.code(), status.message()))?
                    .into_inner()
            }
            Transport::Http { client, url } => {
                let mut request = http::Request::post(url.clone())
                    .header(CONTENT_TYPE, "application/x-protobuf")
                    .body(Full::new(request))
                    .expect("a request of checked parts");
                request.headers_mut().extend(self.headers.clone());
                let response = client
                    .request(request)
                    .await
                    .map_err(|error| error.to_string())?;
                let status = response.status();
                let body = response
                    .into_body()
                    .collect()
                    .await
                    .map_err(|error| error.to_string())?
                    .to_bytes();
                if !status.is_success() {
                    let quoted = &body[..body.len().min(QUOTED_BYTES_MAX)];
                    return Err(format!("{status}: {}", String::from_utf8_lossy(quoted)));
                }
                ExportTraceServiceResponse::decode(body).map_err(|error| error.to_string())?
            }
        };
        let rejected = response
            .partial_success
            .map_or(0, |partial| partial.rejected_spans);
        Ok(Answer {
            n_rejected: u64::try_from(rejected).unwrap_or(0),
        })
    }
}

/// Sends bytes, reads export responses.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Self::Item::decode(bytes)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
