use http::StatusCode;
use longpole_proto::Trace;
use longpole_proto::testing::SpanBuilder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{byte_at, n_units};
use crate::testing::{FakeStore, get, site, site_at, trace_with_id};

/// Spans of three services, with attributes.
fn trace() -> Trace {
    let span = |n: u64, service: &str, name: &str| {
        let span = SpanBuilder::new(n, name).service(service).at(0, 1);
        if n == 1 { span } else { span.parent(1) }
    };
    let get = span(1, "web", "GET /orders")
        .attribute("http.route", "/orders")
        .attribute("http.request.method", "GET")
        .attribute("name", "x");
    let query = span(2, "my shop", "find orders")
        .attribute("http.route", "/orders/{id}")
        .attribute("http.route", "/orders/{id}")
        .attribute("http.status_code", "200")
        .attribute("http.response.status_code", "404");
    trace_with_id(1, [get, query, span(3, "Webhooks", "GET /orders")])
}

/// What is suggested where `|` stands in a query.
async fn suggest(marked: &str) -> Value {
    let at = n_units(marked.split('|').next().unwrap_or_default());
    let text = marked.replacen('|', "", 1);
    let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let reply = get(
        &site([trace()]),
        &format!("/api/v1/suggest?q={text}&at={at}"),
    )
    .await;
    assert_eq!(reply.status, StatusCode::OK, "{marked}: {}", reply.text());
    reply.json()
}

fn texts(found: &Value) -> Vec<&str> {
    let all = found["suggestions"].as_array().expect("a list");
    all.iter()
        .map(|of| of["text"].as_str().expect("a text"))
        .collect()
}

#[tokio::test]
async fn suggestions_have_the_contracts_shape() {
    assert_eq!(
        suggest("http.route = \"/orders|").await,
        json!({
            "from": 13, "to": 21, "exact": true,
            "suggestions": [
                { "text": "\"/orders/{id}\"", "label": "/orders/{id}", "kind": "value", "count": 2 },
                { "text": "/orders", "kind": "value", "count": 1 },
            ],
        })
    );
}

#[tokio::test]
async fn what_is_typed_is_found_at_the_beginning_before_inside() {
    let cases: [(&str, &[&str]); 17] = [
        ("service = w|", &["web", "Webhooks"]),
        ("service = SHOP|", &["\"my shop\""]),
        ("service = \"my|", &["\"my shop\""]),
        ("{name = ord|}", &["\"GET /orders\"", "\"find orders\""]),
        ("service = web and name = |", &["\"GET /orders\""]),
        ("root|", &["trace.rootService", "trace.rootName"]),
        (
            "na|",
            &[
                "name",
                ".name",
                "eventName",
                "trace.rootName",
                "trace.slowestHopName",
                "trace.culpritName",
            ],
        ),
        ("resource.http.ro|", &["resource.http.route"]),
        ("http.response.status_code = |", &["404"]),
        ("http.status_code != 2|", &["200"]),
        // It goes by its new name here.
        ("http.method = |", &["GET"]),
        ("status = E|", &["error"]),
        (
            "duration |",
            &[">", ">=", "<", "<=", "=", "!=", "and", "or"],
        ),
        ("name = x a|", &["and"]),
        ("exi|", &["exists"]),
        // It is there already.
        ("service = web|", &["Webhooks"]),
        ("statusMessage = |", &[]),
    ];
    for (marked, expected) in cases {
        let found = suggest(marked).await;
        assert_eq!(texts(&found), expected, "{marked}");
    }
}

#[tokio::test]
async fn an_empty_box_has_fields_and_attributes() {
    let found = suggest("|").await;
    let texts = texts(&found);
    assert_eq!(texts[..3], ["service", "name", "duration"]);
    assert!(texts.contains(&"http.route"), "{texts:?}");
    assert_eq!(found["exact"], false, "there are more fields");
}

#[tokio::test]
async fn places_are_counted_as_browsers_do() {
    let found = suggest("\"😀\" and é = 😀 service = we|").await;
    // The faces are two units each.
    assert_eq!((&found["from"], &found["to"]), (&json!(26), &json!(28)));
    assert_eq!(texts(&found)[0], "web");
    for (text, units, bytes) in [
        ("a😀é", 0, 0),
        ("a😀é", 1, 1),
        ("a😀é", 2, 1),
        ("a😀é", 3, 5),
        ("a😀é", 9, 7),
    ] {
        assert_eq!(byte_at(text, units), bytes, "{units} of {text}");
    }
}

#[tokio::test]
async fn the_forms_fields_take_names_as_they_are() {
    let site = site([trace()]);
    for (query, expected) in [
        ("service=w", &["web", "Webhooks"][..]),
        ("service=shop", &["my shop"]),
        ("op=orders", &["GET /orders", "find orders"]),
        ("op=&service=my+shop", &["find orders"]),
        ("op=order&service=", &["GET /orders", "find orders"]),
    ] {
        let reply = get(&site, &format!("/api/v1/suggest?{query}")).await;
        assert_eq!(texts(&reply.json()), expected, "{query}");
    }
    for query in ["q=x&op=y", "at=-1", "attribute=x"] {
        let reply = get(&site, &format!("/api/v1/suggest?{query}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn there_are_at_most_twenty_and_that_is_said() {
    let spans = (1..=40).map(|n| {
        let span = SpanBuilder::new(n, &format!("operation {n:02}"))
            .attribute(&format!("key{n:02}"), "value")
            .at(0, 1);
        if n == 1 { span } else { span.parent(1) }
    });
    let store = FakeStore::with([trace_with_id(1, spans)]);
    let site = site_at("", store);
    for query in ["q=key", "q=name%3D", "op=", "op=operation"] {
        let found = get(&site, &format!("/api/v1/suggest?{query}")).await.json();
        assert_eq!(texts(&found).len(), 20, "{query}");
        assert_eq!(found["exact"], false, "{query}");
    }
    let found = get(&site, "/api/v1/suggest?op=operation+1").await.json();
    assert_eq!((texts(&found).len(), &found["exact"]), (10, &json!(true)));
}
