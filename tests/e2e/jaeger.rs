//! Jaeger's API, as Grafana's Jaeger data source and Jaeger's own UI call it.

use std::collections::BTreeSet;

use longpole_proto::wire::decode_traces;
use longpole_proto::{AttributeValue, Span, Trace, TraceId};
use longpole_tests::corpus::fixtures;
use longpole_tests::{Client, Server, spans};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use serde_json::{Value, json};

use crate::corpus::send;

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

#[tokio::test(flavor = "multi_thread")]
async fn calls_between_services_are_dependencies() {
    let server = Server::start().await;
    let request = spans::request(spans::checkout(0xabc));
    server.client().export(&request).await;
    // What is in memory is counted once it is sealed, which a stop does at once.
    let server = server.restart().await;
    let end = spans::START_NANOS / spans::MS + 60_000;
    let path = format!("/api/dependencies?endTs={end}&lookback=3600000");
    let answer = server.client().get(&path).await.expect(200).json();
    let calls = answer["data"].as_array().expect("a list");
    let pairs: BTreeSet<_> = calls
        .iter()
        .map(|call| (call["parent"].as_str(), call["child"].as_str()))
        .collect();
    assert!(
        pairs.contains(&(Some("gateway"), Some("checkout"))),
        "{answer}"
    );
    assert!(calls.iter().all(|call| call["callCount"] == 1), "{answer}");
}

/// A trace as the server has it.
async fn stored(client: &Client, trace_id: TraceId) -> Trace {
    let id = u128::from_be_bytes(trace_id.to_bytes());
    let otlp = client
        .trace(id)
        .await
        .expect("it is stored")
        .encode_to_vec();
    let parts = decode_traces(trace_id, &otlp).expect("OTLP");
    Trace::new(trace_id, parts).expect("it has spans")
}

/// The tags by which a span is searched: its kind and status, and some attributes.
fn tags(span: &Span) -> Value {
    let is_flagged = span.attributes.iter().any(|of| {
        let is_true = match &of.value {
            AttributeValue::Bool(truth) => *truth,
            AttributeValue::String(text) => text == "true",
            _ => false,
        };
        of.key == "error" && is_true
    });
    let failed = span.is_error() || is_flagged;
    let mut tags = json!({ "error": failed.to_string(), "span.kind": span.kind.name() });
    let is_plain = |key: &str| {
        ![
            "error",
            "event",
            "span.",
            "otel.",
            "scope.",
            "resource.",
            "w3c.",
        ]
        .iter()
        .any(|special| key.starts_with(special))
    };
    for attribute in span
        .attributes
        .iter()
        .filter(|of| is_plain(&of.key))
        .take(4)
    {
        let text = match &attribute.value {
            AttributeValue::String(text) if text.len() < 500 => text.clone(),
            AttributeValue::Int(number) => number.to_string(),
            AttributeValue::Bool(truth) => truth.to_string(),
            _ => continue,
        };
        tags[&attribute.key] = text.into();
    }
    tags
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The queries that find a trace by all that is known of one of its spans, in all spellings.
fn queries(trace: &Trace, span_idx: usize) -> [String; 3] {
    let span = trace.span(span_idx);
    let (service, operation) = (encoded(trace.service(span_idx)), encoded(&span.name));
    let tags = encoded(&tags(span).to_string());
    let took = span.duration_nanos();
    let start = trace.span(trace.request_root()).start.0 / 1_000;
    let classic = format!(
        "/api/traces?service={service}&operation={operation}&tags={tags}&minDuration={took}ns\
         &maxDuration={took}ns&start={start}&end={}&limit=1500",
        start + 1
    );
    let range = ["1970-01-01T00:00:00Z", "2554-01-01T01:00:00+01:00"];
    let new = format!(
        "/api/v3/trace-summaries?query.serviceName={service}&query.operationName={operation}\
         &query.attributes={tags}&query.durationMin={took}ns&query.durationMax={took}ns\
         &query.startTimeMin={}&query.startTimeMax={}&query.searchDepth=1500",
        range[0], range[1]
    );
    let old = format!(
        "/api/v3/trace-summaries?query.service_name={service}&query.operation_name={operation}\
         &query.attributes={tags}&query.duration_min={took}ns&query.duration_max={took}ns\
         &query.start_time_min={}&query.start_time_max={}&query.num_traces=1500",
        range[0], range[1]
    );
    [classic, new, old]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_trace_is_found_by_what_its_spans_are_and_given_in_all_shapes() {
    let Some(recordings) = fixtures() else { return };
    let server = Server::start().await;
    let client = server.client();
    let mut trace_ids = BTreeSet::new();
    for recording in &recordings {
        trace_ids.extend(send(client, recording).await);
    }
    for &trace_id in &trace_ids {
        let trace = stored(client, trace_id).await;
        let id = trace_id.to_string();
        let richest = (0..trace.len()).max_by_key(|&at| trace.span(at).attributes.len());
        for query in queries(&trace, richest.expect("a span")) {
            let found = client.get(&query).await.expect(200).json();
            let listed = found["data"].as_array().or(found["summaries"].as_array());
            let is_it = |of: &&Value| of["traceID"] == *id || of["traceId"] == *id;
            let it = listed.expect("a list").iter().find(is_it);
            let it = it.unwrap_or_else(|| panic!("{id} is not found by {query}"));
            if let Some(spans) = it["spans"].as_array() {
                assert_eq!(spans.len(), trace.len(), "{id}");
                continue;
            }
            assert_eq!(it["spanCount"], trace.len(), "{it}");
            assert_eq!(it["errorSpanCount"], trace.n_errors(), "{it}");
            let services = it["services"].as_array().expect("a list");
            let n_spans = services.iter().filter_map(|of| of["spanCount"].as_u64());
            assert_eq!(n_spans.sum::<u64>(), trace.len() as u64, "{it}");
        }
        let classic = client
            .get(&format!("/api/traces/{id}"))
            .await
            .expect(200)
            .json();
        let spans = classic["data"][0]["spans"].as_array().map(Vec::len);
        assert_eq!(spans, Some(trace.len()), "{id}");
        let v3 = client
            .get(&format!("/api/v3/traces/{id}"))
            .await
            .expect(200)
            .json();
        let own = client
            .get(&format!("/api/v1/traces/{id}"))
            .await
            .expect(200)
            .json();
        assert_eq!(v3["result"], own, "{id}");
    }
    eprintln!("{} traces", trace_ids.len());
}
