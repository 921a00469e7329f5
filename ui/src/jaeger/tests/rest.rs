//! Dependencies, uploads, and what is not here.

use axum::body::Body;
use http::{Request, header};
use longpole_proto::formats::otlp_json::write_trace;
use serde_json::json;
use tower::ServiceExt as _;

use super::*;
use crate::access::tests::{BEARER, Door};
use crate::testing::{Reply, ask, reply, site_with};

async fn post(site: &Router, uri: &str, body: impl Into<Body>) -> Reply {
    let request = Request::post(uri).body(body.into()).expect("a request");
    reply(site.clone().oneshot(request).await.expect("infallible")).await
}

#[tokio::test]
async fn dependencies_are_the_calls_between_services() {
    let mut traces = shop();
    traces.push(trace_with_id(
        4,
        [
            SpanBuilder::new(1, "GET /").service("web").at(0, 20),
            SpanBuilder::new(2, "SELECT")
                .service("web")
                .kind(SpanKind::Client)
                .parent(1)
                .attribute("db.system.name", "postgresql")
                .at(5, 9),
        ],
    ));
    let (dir, store) = stored(&traces);
    // What was in memory is counted once it is sealed.
    store.close().expect("it closes");
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    let site = site_over("", Arc::clone(&store));
    let path = "/api/dependencies";
    let end = START.0 / 1_000_000 + 60_000;
    let one = json!([{ "parent": "web", "child": "stock", "callCount": 2 }]);
    for (query, expected) in [
        (String::new(), &one),
        (format!("endTs={end}&lookback=3600000"), &one),
        (
            format!("endTs={end}&lookback=3600000&prettyPrint=true"),
            &one,
        ),
        (format!("endTs={}", end - 7_200_000), &json!([])),
        ("service=stock".to_owned(), &one),
        ("service=nobody".to_owned(), &json!([])),
    ] {
        let found = document(&site, path, &format!("{path}?{query}"), 200).await;
        assert_eq!(&found["data"], expected, "{query}");
    }
    let path = "/api/v3/dependencies";
    for names in [["startTime", "endTime"], ["start_time", "end_time"]] {
        let uri = format!(
            "{path}?{}=2026-11-22T00:00:00+01:00&{}=2026-11-23T00:00:00Z",
            names[0], names[1]
        );
        let found = document(&site, path, &uri, 200).await;
        assert_eq!(
            found,
            json!({ "dependencies": [{ "parent": "web", "child": "stock", "callCount": "2" }] })
        );
    }
    store.close().expect("it closes");
}

#[tokio::test]
async fn an_upload_becomes_jaegers_json_and_is_not_stored() {
    let site = site([]);
    let [first, second, _] = <[Trace; 3]>::try_from(shop()).expect("three");
    let elements = |trace: &Trace| {
        let otlp: Value = serde_json::from_str(&write_trace(trace)).expect("JSON");
        otlp["resourceSpans"].as_array().expect("a list").clone()
    };
    let mut both = elements(&first);
    both.extend(elements(&second));
    let bad = json!({ "scopeSpans": [{ "spans": [{ "traceId": "00", "spanId": "01" }] }] });
    both.push(bad);
    let sent = json!({ "resourceSpans": both }).to_string();
    for uri in ["/api/transform", "/api/transform?prettyPrint=true"] {
        let answer = post(&site, uri, sent.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        check("/api/transform", &Method::POST, &answer);
        let answer = answer.json();
        assert_eq!(numbers(&answer), [1, 2]);
        let said = answer["errors"][0]["msg"].as_str().expect("a text");
        assert!(said.starts_with("1 span refused"), "{said}");
    }
    let stored = get(&site, "/api/traces/1").await;
    assert_eq!(stored.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_upload_that_is_none_is_refused() {
    let site = site([]);
    for (body, status) in [
        (String::new(), 400),
        ("[]".to_owned(), 400),
        ("{\"resourceSpans\":7}".to_owned(), 400),
        ("\u{1}<b>".to_owned(), 400),
        ("[".repeat(100_000), 400),
        (
            format!("{{\"resourceSpans\":\"{}\"}}", "x".repeat(100_000)),
            400,
        ),
        (" ".repeat((16 << 20) + 1), 413),
    ] {
        let refused = post(&site, "/api/transform", body).await;
        assert_eq!(refused.status.as_u16(), status, "{}", refused.text());
        assert!(refused.body.len() < 1_000, "{}", refused.text());
        check("/api/transform", &Method::POST, &refused);
    }
    let too_many: Vec<_> = (1..=1_501_u64)
        .map(|n| json!({ "traceId": id(n), "spanId": "0000000000000001" }))
        .collect();
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": too_many }] }] });
    let refused = post(&site, "/api/transform", body.to_string()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let said = refused.json()["errors"][0]["msg"].to_string();
    assert!(
        said.contains("1501 traces, over the limit of 1500"),
        "{said}"
    );
    let none = post(&site, "/api/transform", "{}").await.json();
    assert_eq!(none["data"], json!([]));
}

#[tokio::test]
async fn an_archived_trace_is_a_pinned_one() {
    let (_dir, store) = stored(&shop());
    let site = site_with("", Arc::clone(&store), Arc::new(Door));
    let path = "/api/archive/{trace_id}";
    for (uri, status) in [
        ("/api/archive/1", 200),
        (
            "/api/archive/00000000000000000000000000000001?prettyPrint=true",
            200,
        ),
        ("/api/archive/ff", 404),
        ("/api/archive/x", 400),
    ] {
        let bearer = [(header::AUTHORIZATION, BEARER.1)];
        let answer = ask(&site, "POST", uri, &bearer).await;
        assert_eq!(answer.status.as_u16(), status, "{uri}: {}", answer.text());
        check(path, &Method::POST, &answer);
    }
    let pinned = store.pinned().expect("the store is open");
    assert_eq!(
        pinned.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [id(1)]
    );
    // As any change, where nobody needs a token.
    let open = site_over("", Arc::clone(&store));
    let refused = ask(&open, "POST", "/api/archive/2", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    check(path, &Method::POST, &refused);
    let get = ask(&open, "GET", "/api/archive/1", &[]).await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    store.close().expect("it closes");
}

#[tokio::test]
async fn what_is_not_here_is_said_so() {
    let site = site(shop());
    let metrics = "/api/metrics/{metric}";
    let all = "service=web&service=stock&groupByOperation=true&endTs=1&lookback=1&step=1&ratePer=1&spanKind=server";
    for (uri, status) in [
        (format!("/api/metrics/calls?{all}"), 501),
        (format!("/api/metrics/errors?{all}"), 501),
        (format!("/api/metrics/latencies?quantile=0.95&{all}"), 501),
        ("/api/metrics/minstep".to_owned(), 501),
        ("/api/metrics/calls".to_owned(), 400),
        (format!("/api/metrics/latencies?{all}"), 400),
        (format!("/api/metrics/latencies?quantile=2&{all}"), 400),
        ("/api/metrics/calls?service=web&step=x".to_owned(), 400),
        ("/api/metrics/calls?service=web&spanKind=x".to_owned(), 400),
        ("/api/metrics/other".to_owned(), 404),
    ] {
        let said = document(&site, metrics, &uri, status).await;
        assert_eq!(said["errors"][0]["code"], status, "{uri}");
    }
    let quality = "/api/quality-metrics";
    document(
        &site,
        quality,
        "/api/quality-metrics?service=web&hours=3",
        501,
    )
    .await;
}
