use bytes::Bytes;
use tower::ServiceExt;

use super::*;
use crate::testing::{FakeStore, Mood, ingest};

#[tokio::test]
async fn otlp_over_http_is_sent_to_its_own_port() {
    let store = FakeStore::new(Mood::Willing);
    let request = http::Request::post("/v1/traces")
        .header("content-type", "application/json")
        .body(AxumBody::from("{}"))
        .expect("a request");
    let answer = router(ingest(&store, 1 << 20), "http://127.0.0.1:4318")
        .oneshot(request)
        .await
        .expect("infallible");
    assert_eq!(answer.status(), 415);
    let body: Bytes = answer
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
