//! Who may send from a browser: [CORS] for pages of the origins that are allowed.
//!
//! A browser asks before it sends OTLP to another origin, and sends nothing when the answer does not
//! allow it. Nothing here keeps other programs from sending.
//!
//! [CORS]: https://fetch.spec.whatwg.org/#http-cors-protocol

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser need not ask again; Chromium caps it there.
const ASK_AGAIN_AFTER: Duration = Duration::from_hours(2);

/// Answers browsers of these origins, of any with `*`; `None` when there are none.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        // By name rather than as `*`, which browsers do not take where credentials are sent along.
        AllowOrigin::mirror_request()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::POST])
        // Exporters are told headers to send, which nobody here knows.
        .allow_headers(AllowHeaders::mirror_request())
        // `navigator.sendBeacon`, which the SDK uses when a page closes, always sends them.
        .allow_credentials(true)
        .expose_headers([RETRY_AFTER])
        .max_age(ASK_AGAIN_AFTER);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use http::{HeaderMap, Request, StatusCode};
    use tower::ServiceExt;

    use super::super::router;
    use super::*;
    use crate::testing::{FakeStore, Mood, export_request, ingest};

    const SHOP: &str = "https://shop.example";
    const JSON: &str = "application/json";

    async fn send(
        store: &Arc<FakeStore>,
        allowed: &[&'static str],
        request: http::request::Builder,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap) {
        let allowed: Vec<_> = allowed
            .iter()
            .map(|origin| HeaderValue::from_static(origin))
            .collect();
        let request = request.body(body.into()).expect("a request");
        let answer = router(ingest(store, 1 << 20), "http://127.0.0.1:4317", &allowed)
            .oneshot(request)
            .await
            .expect("an answer");
        (answer.status(), answer.headers().clone())
    }

    fn preflight(origin: &str) -> http::request::Builder {
        Request::options("/v1/traces")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,content-encoding,x-team",
            )
    }

    fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
    }

    #[tokio::test]
    async fn a_browser_may_send_from_an_allowed_origin() {
        let store = FakeStore::new(Mood::Willing);
        for allowed in [&["http://other.example", SHOP][..], &["*"]] {
            let (status, headers) = send(&store, allowed, preflight(SHOP), "").await;
            assert_eq!(status, 200);
            for (name, value) in [
                ("access-control-allow-origin", SHOP),
                ("access-control-allow-methods", "POST"),
                (
                    "access-control-allow-headers",
                    "content-type,content-encoding,x-team",
                ),
                ("access-control-allow-credentials", "true"),
                ("access-control-max-age", "7200"),
            ] {
                assert_eq!(header(&headers, name), Some(value), "{name}");
            }
            let vary = headers.get_all("vary").iter();
            assert!(
                vary.into_iter()
                    .any(|vary| vary.to_str().is_ok_and(|vary| vary.contains("origin")))
            );

            let post = Request::post("/v1/traces")
                .header("origin", SHOP)
                .header("content-type", "application/x-protobuf");
            let (status, headers) = send(&store, allowed, post, export_request(1, 0)).await;
            assert_eq!(status, 200);
            assert_eq!(header(&headers, "access-control-allow-origin"), Some(SHOP));
            assert_eq!(
                header(&headers, "access-control-expose-headers"),
                Some("retry-after")
            );
        }
        assert_eq!(store.n_spans(), 2);
    }

    #[tokio::test]
    async fn the_page_may_read_why_it_was_refused() {
        for (mood, content_type, status) in
            [(Mood::Busy, JSON, 503), (Mood::Willing, "text/plain", 415)]
        {
            let post = Request::post("/v1/traces")
                .header("origin", SHOP)
                .header("content-type", content_type);
            let span =
                r#"{"traceId":"00000000000000000000000000000001","spanId":"0000000000000001"}"#;
            let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
            let (answered, headers) = send(&FakeStore::new(mood), &[SHOP], post, body).await;
            assert_eq!(answered, status);
            assert_eq!(header(&headers, "access-control-allow-origin"), Some(SHOP));
        }
    }

    #[tokio::test]
    async fn other_origins_are_not_allowed() {
        let store = FakeStore::new(Mood::Willing);
        let cases: [(&[&str], &str); 5] = [
            (&[SHOP], "https://shop.example.evil.example"),
            (&[SHOP], "http://shop.example"),
            (&[SHOP], "https://shop.example:8443"),
            (&[SHOP], "null"),
            (&[], SHOP),
        ];
        for (allowed, origin) in cases {
            let (status, headers) = send(&store, allowed, preflight(origin), "").await;
            assert_eq!(
                header(&headers, "access-control-allow-origin"),
                None,
                "{origin}"
            );
            let refused = StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(status == refused, allowed.is_empty(), "{origin}");
        }
    }
}
