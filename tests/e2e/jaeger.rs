//! Jaeger's API, as Grafana's Jaeger data source calls it.

use longpole_tests::{Server, spans};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_has_jaegers_shape() {
    let server = Server::start().await;
    let mut drafts = spans::checkout(0xabc);
    let failed = drafts.remove(6).exception("Declined", "no funds", "at pay");
    drafts.push(failed);
    server.client().export(&spans::request(drafts)).await;

    let id = format!("{:032x}", 0xabc);
    let reply = server
        .client()
        .get(&format!("/api/traces/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(reply["data"].as_array().map(Vec::len), Some(1));
    let trace = &reply["data"][0];
    assert_eq!(trace["traceID"], id);
    let spans = trace["spans"].as_array().expect("a list of spans");
    assert_eq!(spans.len(), 7);
    for span in spans {
        assert_eq!(span["traceID"], id);
        let process = span["processID"]
            .as_str()
            .expect("a span names its process");
        let service = &trace["processes"][process]["serviceName"];
        assert!(
            service.is_string(),
            "{process} is among the processes: {trace}"
        );
    }

    let named = |name: &str| {
        spans
            .iter()
            .find(|span| span["operationName"] == name)
            .expect("the span is there")
    };
    let stock = named("GET /stock");
    assert_eq!(stock["duration"], 200_000, "microseconds");
    assert_eq!(stock["startTime"], spans::START_NANOS / 1_000 + 20_000);
    assert_eq!(
        stock["references"],
        json!([{ "refType": "CHILD_OF", "traceID": id, "spanID": "0000000000000002" }])
    );
    let charge = named("POST /charge");
    let tags = charge["tags"].as_array().expect("a list of tags");
    let tag = |key: &str| {
        tags.iter()
            .find(|tag| tag["key"] == key)
            .map(|tag| &tag["value"])
    };
    assert_eq!(tag("span.kind"), Some(&json!("server")));
    assert_eq!(tag("error"), Some(&json!(true)));
    let fields = charge["logs"][0]["fields"]
        .as_array()
        .expect("the exception is a log");
    assert!(
        fields.iter().any(|field| field["value"] == "no funds"),
        "{fields:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_trace_is_not_found() {
    // Grafana reads `data[0]` of anything else.
    let server = Server::start().await;
    let reply = server
        .client()
        .get(&format!("/api/traces/{:032x}", 1))
        .await
        .expect(404)
        .json();
    assert_eq!(reply["errors"][0]["code"], 404, "{reply}");
}
