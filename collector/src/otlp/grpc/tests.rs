use std::io::Write;

use bytes::{BufMut, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use prost::Message;

use super::*;
use crate::otlp::reply::RetryInfo;
use crate::testing::{FakeStore, Mood, export_request, ingest};

const LIMIT_BYTES: usize = 64 << 10;

/// A gRPC message with its head.
fn frame(message: &[u8], is_compressed: bool) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(is_compressed.into());
    frame.put_u32(message.len().try_into().expect("a short message"));
    frame.put_slice(message);
    frame.freeze()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

async fn call(
    store: &Arc<FakeStore>,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Response {
    let mut request = http::Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(GrpcBody::new(Full::new(body)))
        .expect("a request");
    let mut receiver = Receiver::new(ingest(store, LIMIT_BYTES), "http://127.0.0.1:4318");
    receiver.call(request).await.expect("infallible")
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");

/// The answer's message, or its status.
async fn export(
    store: &Arc<FakeStore>,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<ExportTraceServiceResponse, Status> {
    let response = call(store, TRACES, headers, body).await;
    if let Some(status) = Status::from_header_map(response.headers()) {
        return Err(status);
    }
    let body = response.into_body().collect().await.expect("a body");
    let trailers = body.trailers().expect("trailers").clone();
    assert_eq!(
        Status::from_header_map(&trailers).map(|status| status.code()),
        Some(Code::Ok)
    );
    let message = body.to_bytes().slice(5..);
    Ok(ExportTraceServiceResponse::decode(message).expect("a response"))
}

#[tokio::test]
async fn spans_are_stored_plain_and_compressed() {
    let store = FakeStore::new(Mood::Willing);
    let message = export_request(3, 0);
    let plain = export(&store, &[GRPC], frame(&message, false))
        .await
        .expect("success");
    assert_eq!(plain.partial_success, None);
    let accepts = ("grpc-accept-encoding", "gzip");
    let body = frame(&gzip(&message), true);
    let compressed = export(&store, &[GRPC, GZIP, accepts], body)
        .await
        .expect("success");
    assert_eq!((compressed.partial_success, store.n_spans()), (None, 6));
}

#[tokio::test]
async fn what_is_refused_of_a_request_is_said_and_the_rest_kept() {
    let store = FakeStore::new(Mood::Willing);
    let answer = export(&store, &[GRPC], frame(&export_request(3, 2), false))
        .await
        .expect("success");
    let partial = answer.partial_success.expect("a partial success");
    assert_eq!((partial.rejected_spans, store.n_spans()), (2, 3));
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let store = FakeStore::new(Mood::Silent);
    let answer = export(&store, &[GRPC], frame(b"", false))
        .await
        .expect("success");
    assert_eq!(answer.partial_success, None);
}

#[tokio::test]
async fn what_can_never_succeed_has_a_code_that_clients_do_not_retry() {
    let good = export_request(1, 0);
    let large = vec![0; LIMIT_BYTES + 1];
    let bomb = gzip(&vec![0; 32 * LIMIT_BYTES]);
    let whole = frame(&good, false);
    let cases = [
        (
            "over the limit",
            frame(&large, false),
            Code::ResourceExhausted,
            "65536 bytes",
        ),
        (
            "a bomb",
            frame(&bomb, true),
            Code::ResourceExhausted,
            "65536 bytes",
        ),
        ("no gzip", frame(&good, true), Code::InvalidArgument, "gzip"),
        (
            "cut off",
            whole.slice(..whole.len() - 1),
            Code::InvalidArgument,
            "gRPC message",
        ),
        (
            "nothing at all",
            Bytes::new(),
            Code::InvalidArgument,
            "gRPC message",
        ),
        (
            "no protobuf",
            frame(b"\xff", false),
            Code::InvalidArgument,
            "OTLP export request",
        ),
        (
            "an unknown flag",
            Bytes::from_static(b"\x07\0\0\0\0"),
            Code::InvalidArgument,
            "gRPC message",
        ),
    ];
    let store = FakeStore::new(Mood::Willing);
    for (what, body, code, says) in cases {
        let status = export(&store, &[GRPC, GZIP], body).await.expect_err(what);
        assert_eq!(status.code(), code, "{what}: {}", status.message());
        assert!(
            status.message().contains(says),
            "{what}: {}",
            status.message()
        );
        assert_eq!(RetryInfo::delay_in(status.details()), None, "{what}");
    }
    assert_eq!(store.n_spans(), 0);
}

#[tokio::test]
async fn an_encoding_that_is_not_understood_is_answered_with_those_that_are() {
    let store = FakeStore::new(Mood::Willing);
    let headers = [GRPC, ("grpc-encoding", "snappy")];
    let status = export(&store, &headers, frame(b"x", true))
        .await
        .expect_err("snappy");
    assert_eq!(status.code(), Code::Unimplemented);
    let understood = status
        .metadata()
        .get("grpc-accept-encoding")
        .expect("the encodings");
    assert_eq!(understood, "gzip,identity");
}

#[tokio::test]
async fn other_signals_hear_that_longpole_takes_traces() {
    let store = FakeStore::new(Mood::Willing);
    for (path, says) in [
        (
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            "takes traces, not metrics",
        ),
        (
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            "takes traces, not logs",
        ),
        ("/grpc.health.v1.Health/Check", TRACES),
    ] {
        let response = call(&store, path, &[GRPC], frame(b"", false)).await;
        let status = Status::from_header_map(response.headers()).expect("a status");
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert!(
            status.message().contains(says),
            "{path}: {}",
            status.message()
        );
    }
}

#[tokio::test]
async fn otlp_over_http_is_sent_to_its_own_port() {
    let store = FakeStore::new(Mood::Willing);
    let headers = [("content-type", "application/json")];
    let response = call(&store, "/v1/traces", &headers, Bytes::from_static(b"{}")).await;
    assert_eq!(response.status(), 415);
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let message = body["message"].as_str().expect("a message");
    assert!(
        message.contains("http://127.0.0.1:4318/v1/traces"),
        "{message}"
    );
}

#[tokio::test]
async fn a_store_that_cannot_take_more_says_when_to_come_back() {
    for mood in [Mood::Busy, Mood::Broken] {
        let store = FakeStore::new(mood);
        let status = export(&store, &[GRPC], frame(&export_request(1, 0), false))
            .await
            .expect_err("refused");
        assert_eq!(status.code(), Code::Unavailable, "{mood:?}");
        assert_eq!(
            RetryInfo::delay_in(status.details()),
            Some(reply::RETRY_AFTER),
            "{mood:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_waited_for_no_longer_than_the_deadline() {
    let store = FakeStore::new(Mood::Silent);
    let status = export(&store, &[GRPC], frame(&export_request(1, 0), false))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::Unavailable);
}
