use std::sync::Arc;

use http::{StatusCode, header};
use insta::{assert_json_snapshot, assert_snapshot};
use longpole_proto::testing::{self, SpanBuilder};
use longpole_proto::wire::decode_traces;
use longpole_proto::{SpanKind, Trace};
use tokio::sync::{Mutex, mpsc};

use crate::testing::{FakeStore, Gate, ask, eventful, get, site, site_at, trace_with_id};

const ID: &str = "b7ad6b7169203331a1b2c3d4e5f60709";

fn checkout() -> Trace {
    testing::trace_of([
        SpanBuilder::new(1, "POST /checkout")
            .service("gateway")
            .kind(SpanKind::Server)
            .at(0, 390),
        SpanBuilder::new(2, "GET")
            .service("gateway")
            .kind(SpanKind::Client)
            .parent(1)
            .at(18, 222),
        SpanBuilder::new(3, "GET /stock")
            .service("inventory")
            .kind(SpanKind::Server)
            .parent(2)
            .at(20, 220),
        SpanBuilder::new(4, "SELECT stock")
            .service("inventory")
            .kind(SpanKind::Client)
            .parent(3)
            .at(24, 200)
            .attribute("db.system.name", "postgresql")
            .error("timeout"),
    ])
}

#[tokio::test]
async fn a_search_has_the_contracts_shape() {
    let site = site([
        checkout(),
        trace_with_id(2, [SpanBuilder::new(1, "tick").at(0, 1)]),
    ]);
    let found = get(&site, "/api/v1/search?count=exact&limit=1").await;
    assert_eq!(found.header("content-type"), "application/json");
    assert_snapshot!(serde_json::to_string_pretty(&found.json()).expect("JSON"));
    let rest = get(&site, "/api/v1/search?limit=1&after=1").await.json();
    assert_eq!(rest["matched"], serde_json::Value::Null, "not asked for");
    assert_eq!(rest["next"], serde_json::Value::Null);
    assert_eq!(rest["requests"][0]["rootOperation"], "tick");
}

#[tokio::test]
async fn a_search_ends_when_its_client_is_gone() {
    for uri in ["/", "/api/v1/search"] {
        let (began, mut searches) = mpsc::channel(1);
        let held = Arc::new(Mutex::new(()));
        let mut store = FakeStore::with([checkout()]);
        store.gate = Some(Gate {
            began,
            held: Arc::clone(&held),
        });
        let site = site_at("", store);
        let _held = held.lock().await;
        let client = tokio::spawn(async move { get(&site, uri).await });
        let cancel = searches.recv().await.expect("a search");
        assert!(!cancel.is_cancelled(), "{uri}");
        client.abort();
        client.await.expect_err("it is gone");
        assert!(cancel.is_cancelled(), "{uri}");
    }
}

#[tokio::test]
async fn an_analysis_has_the_contracts_shape() {
    let reply = get(
        &site([checkout()]),
        &format!("/api/v1/traces/{ID}/analysis"),
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_snapshot!(serde_json::to_string_pretty(&reply.json()).expect("JSON"));
}

#[tokio::test]
async fn a_trace_is_given_as_otlp_json_or_protobuf() {
    let site = site([checkout()]);
    let uri = format!("/api/v1/traces/{ID}");
    let json = get(&site, &uri).await;
    assert_eq!(json.header("content-type"), "application/json");
    let spans = json.text().matches("\"spanId\"").count();
    assert_eq!(spans, 4);
    assert_eq!(
        json.json()["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"],
        ID
    );

    let proto = ask(
        &site,
        "GET",
        &uri,
        &[(header::ACCEPT, "application/x-protobuf")],
    )
    .await;
    assert_eq!(proto.header("content-type"), "application/x-protobuf");
    let parts = decode_traces(testing::trace_id(), &proto.body).expect("OTLP");
    assert_eq!(Trace::new(testing::trace_id(), parts), Some(checkout()));

    for (accept, kind) in [
        (
            "text/html, application/json;q=0.9, */*;q=0.8",
            "application/json",
        ),
        (
            "application/json, application/x-protobuf",
            "application/json",
        ),
        (
            "text/plain, application/protobuf;q=0.5",
            "application/x-protobuf",
        ),
    ] {
        let reply = ask(&site, "GET", &uri, &[(header::ACCEPT, accept)]).await;
        assert_eq!(reply.header("content-type"), kind, "{accept}");
    }
}

#[tokio::test]
async fn one_span_is_given_as_otlp_json() {
    let site = site([checkout()]);
    let uri = format!("/api/v1/traces/{ID}?span=0000000000000004");
    let span = get(&site, &uri).await.json();
    let spans = &span["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().map(Vec::len), Some(1));
    assert_eq!(spans[0]["spanId"], "0000000000000004");
    let service = &span["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"];
    assert_eq!(service, "inventory");

    let proto = ask(
        &site,
        "GET",
        &uri,
        &[(header::ACCEPT, "application/x-protobuf")],
    )
    .await;
    assert_eq!(proto.status, StatusCode::NOT_ACCEPTABLE);
    let missing = get(&site, &format!("/api/v1/traces/{ID}?span=00000000000000ff")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert_eq!(missing.json()["error"]["code"], "span_not_found");
}

#[tokio::test]
async fn names_are_listed_in_order() {
    let site = site([checkout()]);
    assert_json_snapshot!(get(&site, "/api/v1/services").await.json(), @r#"
    {
      "complete": true,
      "services": [
        "gateway",
        "inventory"
      ]
    }
    "#);
    assert_json_snapshot!(get(&site, "/api/v1/operations?service=inventory").await.json(), @r#"
    {
      "complete": true,
      "operations": [
        {
          "name": "GET /stock",
          "service": "inventory"
        },
        {
          "name": "SELECT stock",
          "service": "inventory"
        }
      ]
    }
    "#);
    let all = get(&site, "/api/v1/operations").await.json();
    assert_eq!(all["operations"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn attributes_and_their_values_are_listed_most_frequent_first() {
    let span = |n: u64, route: &str| {
        let span = SpanBuilder::new(n, "work").attribute("http.route", route);
        span.attribute("k8s/pod", "web 1")
    };
    let spans = [span(1, "/a"), span(2, "/b"), span(3, "/b")];
    let site = site([testing::trace_of(spans)]);
    let cases = [
        (
            "/api/v1/attributes",
            r#"{"attributes":[{"count":3,"name":"http.route"},{"count":3,"name":"k8s/pod"}],"complete":true}"#,
        ),
        (
            "/api/v1/attributes?prefix=http.",
            r#"{"attributes":[{"count":3,"name":"http.route"}],"complete":true}"#,
        ),
        (
            "/api/v1/attributes/http.route/values",
            r#"{"complete":true,"values":[{"count":2,"value":"/b"},{"count":1,"value":"/a"}]}"#,
        ),
        (
            "/api/v1/attributes/k8s%2Fpod/values?prefix=web%20",
            r#"{"complete":true,"values":[{"count":3,"value":"web 1"}]}"#,
        ),
        (
            "/api/v1/attributes/unknown/values",
            r#"{"complete":true,"values":[]}"#,
        ),
    ];
    for (uri, expected) in cases {
        assert_eq!(get(&site, uri).await.json().to_string(), expected, "{uri}");
    }
}

#[tokio::test]
async fn the_status_has_the_contracts_shape() {
    let mut store = FakeStore::with([checkout()]);
    store.status = eventful();
    let reply = get(&site_at("", store), "/api/v1/status").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_snapshot!(serde_json::to_string_pretty(&reply.json()).expect("JSON"));
}

#[tokio::test]
async fn who_gives_a_parameter_where_none_is_taken_is_told_so() {
    let site = site([checkout()]);
    for uri in ["/api/v1/services?service=web", "/api/v1/status?service=web"] {
        let reply = get(&site, uri).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{uri}");
        assert_eq!(
            reply.json()["error"]["message"],
            "service is not a parameter here: expected none"
        );
    }
    let known = get(&site, "/api/v1/operations?q=x").await;
    assert_eq!(
        known.json()["error"]["message"],
        "q is not a parameter here: expected one of the parameters service"
    );
}

#[tokio::test]
async fn errors_have_code_message_and_hint() {
    let site = site([checkout()]);
    let cases = [
        ("/api/v1/search?min=fast", 400, "invalid_parameter"),
        ("/api/v1/search?after=nonsense", 400, "invalid_parameter"),
        ("/api/v1/search?q=service%20%3D", 400, "invalid_parameter"),
        ("/api/v1/search?query=x", 400, "invalid_parameter"),
        ("/api/v1/traces/xyz", 400, "invalid_trace_id"),
        (
            "/api/v1/traces/0000000000000000000000000000000f",
            404,
            "trace_not_found",
        ),
        (
            "/api/v1/traces/0000000000000000000000000000000f/analysis",
            404,
            "trace_not_found",
        ),
        ("/api/v1/nowhere", 404, "not_found"),
    ];
    for (uri, status, code) in cases {
        let reply = get(&site, uri).await;
        assert_eq!(reply.status.as_u16(), status, "{uri}");
        assert_eq!(reply.header("content-type"), "application/json", "{uri}");
        let error = &reply.json()["error"];
        assert_eq!(error["code"], code, "{uri}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{uri}"
        );
        assert!(
            error["hint"].as_str().is_some_and(|text| !text.is_empty()),
            "{uri}"
        );
    }
    let post = ask(&site, "POST", "/api/v1/search", &[]).await;
    assert_eq!(post.json()["error"]["code"], "method_not_allowed");
}
