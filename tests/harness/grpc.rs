//! OTLP/gRPC by hand, for what no well-behaved client would send.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use tonic::Status;
use tonic::transport::Endpoint;
use tower::ServiceExt;

/// The path of the export method.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Frames a message as gRPC does; `compressed` says what its header claims.
pub fn frame(message: &[u8], compressed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(compressed.into());
    frame.put_u32(
        message
            .len()
            .try_into()
            .expect("a gRPC message is under 4 GiB"),
    );
    frame.put_slice(message);
    frame.freeze()
}

/// Calls a unary method with this body, `grpc-encoding` saying gzip when `gzip` is set.
///
/// # Errors
/// The status, when it is not OK.
///
/// # Panics
/// When there is no connection or no status in the answer.
pub async fn call(endpoint: &str, path: &str, body: Bytes, gzip: bool) -> Result<Bytes, Status> {
    let channel = Endpoint::from_shared(endpoint.to_owned())
        .expect("the endpoint is a URL")
        .connect()
        .await
        .expect("the receiver listens");
    let mut request = http::Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    let request = request
        .body(tonic::body::Body::new(Full::new(body)))
        .expect("a valid request");
    let (parts, body) = channel
        .oneshot(request)
        .await
        .expect("the receiver answers")
        .into_parts();
    let body = body.collect().await.expect("the answer is whole");
    let status = Status::from_header_map(&parts.headers)
        .or_else(|| body.trailers().and_then(Status::from_header_map))
        .unwrap_or_else(|| panic!("no gRPC status in {parts:?}"));
    match status.code() {
        // A message's frame has five bytes of header.
        tonic::Code::Ok => Ok(body.to_bytes().slice(5..)),
        _ => Err(status),
    }
}
