use bytes::{BufMut, Bytes, BytesMut};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::*;
use crate::otlp::reply::RetryInfo;
use crate::testing::{FakeStore, Mood, export_request, gzip, ingest, zstd};

const LIMIT_BYTES: usize = 64 << 10;

/// A gRPC message with its head.
fn frame(message: &[u8], is_compressed: bool) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(is_compressed.into());
    frame.put_u32(message.len().try_into().expect("a short message"));
    frame.put_slice(message);
    frame.freeze()
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
    let request = request.body(AxumBody::from(body)).expect("a request");
    router(ingest(store, LIMIT_BYTES), "http://127.0.0.1:4318")
        .oneshot(request)
        .await
        .expect("infallible")
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const GZIP: (&str, &str) = ("grpc-encoding", "gzip");
const ZSTD: (&str, &str) = ("grpc-encoding", "zstd");

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
    for (encoding, packed) in [(GZIP, gzip(&message)), (ZSTD, zstd(&message))] {
        let packed = export(&store, &[GRPC, encoding], frame(&packed, true))
            .await
            .expect("success");
        assert_eq!(packed.partial_success, None);
    }
    // An encoding is what messages may have, not what each has.
    export(&store, &[GRPC, GZIP], frame(&message, false))
        .await
        .expect("success");
    assert_eq!(store.n_spans(), 12);
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
    let zeros = vec![0; 32 * LIMIT_BYTES];
    let whole = frame(&good, false);
    let head = |n_bytes: u32| Bytes::from([&[0][..], &n_bytes.to_be_bytes()].concat());
    let (large, bad) = (Code::ResourceExhausted, Code::InvalidArgument);
    let (limit, form) = ("65536 bytes", "gRPC message");
    let cases = [
        (
            "over the limit",
            GZIP,
            frame(&zeros[..=LIMIT_BYTES], false),
            large,
            limit,
        ),
        (
            "over it by its own word",
            GZIP,
            head(u32::MAX),
            large,
            limit,
        ),
        (
            "a bomb of gzip",
            GZIP,
            frame(&gzip(&zeros), true),
            large,
            limit,
        ),
        (
            "a bomb of zstd",
            ZSTD,
            frame(&zstd(&zeros), true),
            large,
            limit,
        ),
        ("no gzip", GZIP, frame(&good, true), bad, "gzip"),
        ("no zstd", ZSTD, frame(&good, true), bad, "zstd"),
        (
            "compressed, but how",
            GRPC,
            frame(&gzip(&good), true),
            bad,
            "grpc-encoding",
        ),
        ("cut off", GZIP, whole.slice(..whole.len() - 1), bad, form),
        ("cut off in the head", GZIP, whole.slice(..4), bad, form),
        (
            "two messages",
            GZIP,
            [&whole[..], &whole].concat().into(),
            bad,
            form,
        ),
        ("nothing at all", GZIP, Bytes::new(), bad, form),
        (
            "no protobuf",
            GZIP,
            frame(b"\xff", false),
            bad,
            "OTLP export request",
        ),
        (
            "an unknown flag",
            GZIP,
            Bytes::from_static(b"\x07\0\0\0\0"),
            bad,
            form,
        ),
    ];
    let store = FakeStore::new(Mood::Willing);
    for (what, encoding, body, code, says) in cases {
        let status = export(&store, &[GRPC, encoding], body)
            .await
            .expect_err(what);
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
    assert_eq!(understood, "gzip,zstd,identity");
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
