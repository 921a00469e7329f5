use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tower::ServiceExt;

use super::*;
use crate::otlp::reply::RpcStatus;
use crate::testing::{FakeStore, Mood, export_request, gzip, ingest, zstd};

const LIMIT_BYTES: usize = 64 << 10;
const PROTOBUF: &str = "application/x-protobuf";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
    }

    fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn protobuf<M: Message + Default>(&self) -> M {
        assert_eq!(self.header("content-type"), Some(PROTOBUF));
        M::decode(self.body.clone()).expect("protobuf")
    }
}

async fn send(
    store: &Arc<FakeStore>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(AxumBody::from(body.into()))
        .expect("a request");
    let answer = router(ingest(store, LIMIT_BYTES), "http://127.0.0.1:4317", &[])
        .oneshot(request)
        .await
        .expect("an answer");
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

async fn post(store: &Arc<FakeStore>, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    send(store, Method::POST, "/v1/traces", headers, body).await
}

#[tokio::test]
async fn spans_are_stored_and_the_answer_is_in_the_requests_encoding() {
    let store = FakeStore::new(Mood::Willing);
    for content_type in [PROTOBUF, "Application/X-Protobuf; charset=utf-8"] {
        let answer = post(
            &store,
            &[("content-type", content_type)],
            export_request(3, 0),
        )
        .await;
        assert_eq!(answer.status, 200);
        let answer: ExportTraceServiceResponse = answer.protobuf();
        assert_eq!(answer.partial_success, None);
    }
    let request = export_request(4, 0);
    let packed = [
        ("gzip", gzip(&request)),
        ("zstd", zstd(&request)),
        ("ZSTD", zstd(&request)),
    ];
    for (encoding, packed) in packed {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        assert_eq!(post(&store, &headers, packed).await.status, 200);
    }
    assert_eq!(store.n_spans(), 18);
}

#[tokio::test]
async fn what_is_refused_of_a_request_is_said_and_the_rest_kept() {
    let store = FakeStore::new(Mood::Willing);
    let answer = post(&store, &[("content-type", PROTOBUF)], export_request(3, 2)).await;
    assert_eq!((answer.status, store.n_spans()), (200, 3));
    let answer: ExportTraceServiceResponse = answer.protobuf();
    let partial = answer.partial_success.expect("a partial success");
    assert_eq!(partial.rejected_spans, 2);
    assert!(
        partial.error_message.contains("trace ID"),
        "{}",
        partial.error_message
    );
}

#[tokio::test]
async fn an_empty_request_succeeds_whatever_the_store_does() {
    let store = FakeStore::new(Mood::Silent);
    let answer = post(&store, &[("content-type", PROTOBUF)], Bytes::new()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

/// Headers, body; status, code and part of the message.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, i32, &'a str);

#[tokio::test]
async fn refusals_are_statuses_in_the_requests_encoding() {
    let good = export_request(1, 0);
    let large = vec![0; LIMIT_BYTES + 1];
    let zeros = vec![0; 32 * LIMIT_BYTES];
    let (bomb, zstd_bomb) = (gzip(&zeros), zstd(&zeros));
    let cases: [Case<'_>; 9] = [
        (&[("content-encoding", "zstd")], &good, 400, 3, "zstd"),
        (
            &[("content-encoding", "zstd")],
            &zstd_bomb,
            413,
            8,
            "65536 bytes",
        ),
        (&[], &good[..good.len() - 1], 400, 3, "OTLP export request"),
        (&[("content-encoding", "gzip")], &good, 400, 3, "gzip"),
        (&[], &large, 413, 8, "65536 bytes"),
        (
            &[("content-encoding", "gzip")],
            &bomb,
            413,
            8,
            "65536 bytes",
        ),
        (&[("content-encoding", "br")], &good, 415, 12, "\"br\""),
        (
            &[("content-encoding", "gzip"), ("content-encoding", "gzip")],
            &good,
            415,
            12,
            "gzip",
        ),
        (
            &[("content-encoding", "identity")],
            b"\xff",
            400,
            3,
            "OTLP export request",
        ),
    ];
    let store = FakeStore::new(Mood::Willing);
    for (headers, body, status, code, says) in cases {
        let headers = [headers, &[("content-type", PROTOBUF)]].concat();
        let answer = post(&store, &headers, body.to_vec()).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (status, None),
            "{headers:?}"
        );
        let answer: RpcStatus = answer.protobuf();
        assert_eq!(answer.code, code, "{headers:?}");
        assert!(answer.message.contains(says), "{}", answer.message);
    }
    assert_eq!(store.n_spans(), 0);
}

#[tokio::test]
async fn what_is_no_otlp_is_refused_in_words() {
    let cases = [
        (
            Method::POST,
            "/v1/traces",
            "text/plain",
            415,
            3,
            "application/x-protobuf",
        ),
        (Method::POST, "/v1/traces", "", 415, 3, "application/json"),
        (Method::GET, "/v1/traces", "", 405, 12, "POST /v1/traces"),
        (
            Method::DELETE,
            "/v1/traces",
            "application/json",
            405,
            12,
            "POST /v1/traces",
        ),
        (
            Method::POST,
            "/v1/metrics",
            "application/json",
            404,
            12,
            "takes traces, not metrics",
        ),
        (
            Method::POST,
            "/v1/logs",
            "application/json",
            404,
            12,
            "takes traces, not logs",
        ),
        (Method::GET, "/", "", 404, 12, "POST /v1/traces"),
    ];
    let store = FakeStore::new(Mood::Willing);
    for (method, path, content_type, status, code, says) in cases {
        let headers = [("content-type", content_type)];
        let answer = send(&store, method.clone(), path, &headers, export_request(1, 0)).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(
            answer.header("allow"),
            (status == 405).then_some("POST"),
            "{method} {path}"
        );
        let body = answer.json();
        assert_eq!(body["code"], code, "{body}");
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| text.contains(says)),
            "{body}"
        );
    }
    assert_eq!(store.n_spans(), 0);
}

#[tokio::test]
async fn a_store_that_cannot_take_more_says_when_to_come_back() {
    for mood in [Mood::Busy, Mood::Broken] {
        let store = FakeStore::new(mood);
        let answer = post(&store, &[("content-type", PROTOBUF)], export_request(1, 0)).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("1")),
            "{mood:?}"
        );
        assert_eq!(answer.protobuf::<RpcStatus>().code, 14);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_waited_for_no_longer_than_the_deadline() {
    let store = FakeStore::new(Mood::Silent);
    let answer = post(&store, &[("content-type", PROTOBUF)], export_request(1, 0)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
}
