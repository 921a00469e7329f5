//! `/api/v3/…`.

use serde_json::json;

use super::*;

/// A range that has all test traces in it.
const RANGE: &str =
    "query.startTimeMin=2026-11-22T00:00:00Z&query.startTimeMax=2026-11-23T00:00:00Z";

#[tokio::test]
async fn names_are_lists() {
    let site = site(shop());
    let services = document(&site, "/api/v3/services", "/api/v3/services", 200).await;
    assert_eq!(services, json!({ "services": ["stock", "web"] }));
    for query in [
        "service=stock",
        "service=stock&spanKind=server",
        "service=stock&span_kind=",
    ] {
        let uri = format!("/api/v3/operations?{query}");
        let operations = document(&site, "/api/v3/operations", &uri, 200).await;
        assert_eq!(
            operations,
            json!({ "operations": [{ "name": "SELECT stock", "spanKind": "unspecified" }] })
        );
    }
}

#[tokio::test]
async fn each_parameter_of_a_search_narrows_it_in_both_spellings() {
    let site = site(shop());
    let attributes = |tags: Value| format!("query.attributes={}", encoded(&tags.to_string()));
    let cases = [
        (String::new(), vec![3, 2, 1]),
        ("query.serviceName=stock".to_owned(), vec![2, 1]),
        ("query.service_name=stock".to_owned(), vec![2, 1]),
        ("query.operationName=GET+/".to_owned(), vec![3, 1]),
        ("query.operation_name=GET+/".to_owned(), vec![3, 1]),
        (
            "query.serviceName=stock&query.operationName=GET+/".to_owned(),
            vec![],
        ),
        ("query.durationMin=100ms".to_owned(), vec![2, 1]),
        ("query.duration_min=0.2s".to_owned(), vec![2]),
        ("query.durationMax=20ms".to_owned(), vec![3, 1]),
        ("query.duration_max=20ms".to_owned(), vec![3, 1]),
        ("query.searchDepth=2".to_owned(), vec![3, 2]),
        ("query.search_depth=2".to_owned(), vec![3, 2]),
        ("query.numTraces=1".to_owned(), vec![3]),
        ("query.num_traces=1".to_owned(), vec![3]),
        ("query.rawTraces=true".to_owned(), vec![3, 2, 1]),
        ("query.raw_traces=false".to_owned(), vec![3, 2, 1]),
        (attributes(json!({ "error": "true" })), vec![2]),
        (
            attributes(json!({ "http.status_code": "500", "span.kind": "server" })),
            vec![2],
        ),
    ];
    for (query, expected) in cases {
        let uri = format!("/api/v3/trace-summaries?{RANGE}&{query}");
        let path = "/api/v3/trace-summaries";
        let found = document(&site, path, &uri, 200).await;
        let summaries = found["summaries"].as_array().expect("a list");
        let found: Vec<_> = summaries.iter().map(|of| number(&of["traceId"])).collect();
        assert_eq!(found, expected, "{query}");

        let uri = format!("/api/v3/traces?{RANGE}&{query}");
        let status = if expected.is_empty() { 404 } else { 200 };
        let found = document(&site, "/api/v3/traces", &uri, status).await;
        let mut traces = Vec::new();
        let resources = found["result"]["resourceSpans"].as_array();
        for resource in resources.unwrap_or(&Vec::new()) {
            let trace = number(&resource["scopeSpans"][0]["spans"][0]["traceId"]);
            if traces.last() != Some(&trace) {
                traces.push(trace);
            }
        }
        assert_eq!(traces, expected, "{query}");
    }
}

#[tokio::test]
async fn times_are_read_as_grafana_sends_them() {
    let site = site(shop());
    // The second trace begins at 01:47:55.755.
    for (from, to, expected) in [
        ("2026-11-22T01:47:55.755Z", "2026-11-22T01:47:56.755Z", 1),
        (
            "2026-11-22T02:47:55.755+01:00",
            "2026-11-22T02:47:56.755+01:00",
            1,
        ),
        (
            "2026-11-22T02:47:55.755%2B01:00",
            "2026-11-22T02:47:56.755%2B01:00",
            1,
        ),
        (
            "2026-11-22T02:47:55.755000001+01:00",
            "2026-11-22T02:47:56.755000001+01:00",
            1,
        ),
        ("2026-11-21T20:47:54-05:00", "2026-11-21T20:47:58-05:00", 3),
    ] {
        for names in [
            ["query.start_time_min", "query.start_time_max"],
            ["query.startTimeMin", "query.startTimeMax"],
        ] {
            let uri = format!(
                "/api/v3/trace-summaries?{}={from}&{}={to}",
                names[0], names[1]
            );
            let found = get(&site, &uri).await.json();
            assert_eq!(
                found["summaries"].as_array().map(Vec::len),
                Some(expected),
                "{uri}"
            );
        }
    }
}

#[tokio::test]
async fn what_means_nothing_is_refused_in_the_newer_shape() {
    let site = site(shop());
    let until = "query.startTimeMax=2026-11-23T00:00:00Z";
    let cases = [
        (
            String::new(),
            "query.startTimeMin is not understood: expected a time, which must be given",
        ),
        (until.to_owned(), "query.startTimeMin is not understood"),
        (
            "query.startTimeMin=2026-11-22T00:00:00Z".to_owned(),
            "query.startTimeMax is not understood",
        ),
        (
            format!("query.startTimeMin=2026-11-23T00:00:00Z&{until}"),
            "expected a time behind query.startTimeMin",
        ),
        (
            format!("query.start_time_min=1795312074&{until}"),
            "query.start_time_min=1795312074 is not understood: expected a time of RFC 3339",
        ),
        (
            format!("{RANGE}&query.searchDepth=0"),
            "query.searchDepth=0 is not understood: expected a number from 1 to 1500",
        ),
        (
            format!("{RANGE}&query.num_traces=many"),
            "query.num_traces=many is not understood",
        ),
        (
            format!("{RANGE}&query.durationMin=1d"),
            "query.durationMin=1d is not understood",
        ),
        (
            format!("{RANGE}&query.durationMin=2s&query.duration_max=1s"),
            "query.duration_max=1s is not understood: expected at least 2s",
        ),
        (
            format!("{RANGE}&query.attributes=x"),
            "query.attributes=x is not understood: expected a JSON object",
        ),
        (
            format!("{RANGE}&query.rawTraces=2"),
            "query.rawTraces=2 is not understood: expected true or false",
        ),
        (
            format!("{RANGE}&query.filter=%7B%7D"),
            "query.filter is not a parameter here",
        ),
    ];
    for path in ["/api/v3/traces", "/api/v3/trace-summaries"] {
        for (query, expected) in &cases {
            let refused = document(&site, path, &format!("{path}?{query}"), 400).await;
            assert_eq!(refused["error"]["httpCode"], 400, "{query}");
            let said = refused["error"]["message"].as_str().expect("a text");
            assert!(said.contains(expected), "{query}: {said}");
        }
    }
    for (path, uri) in [
        ("/api/v3/operations", "/api/v3/operations"),
        (
            "/api/v3/operations",
            "/api/v3/operations?service=web&span_kind=x",
        ),
        ("/api/v3/services", "/api/v3/services?x=y"),
        ("/api/v3/dependencies", "/api/v3/dependencies"),
        ("/api/v3/traces/{trace_id}", "/api/v3/traces/x"),
        ("/api/v3/traces/{trace_id}", "/api/v3/traces/1?start_time=1"),
        ("/api/v3/traces/{trace_id}", "/api/v3/traces/1?raw_traces=x"),
    ] {
        document(&site, path, uri, 400).await;
    }
}

#[tokio::test]
async fn a_trace_is_otlp_json() {
    let site = site(shop());
    let path = "/api/v3/traces/{trace_id}";
    for query in [
        "",
        "?start_time=2026-11-22T01:00:00+01:00&end_time=2026-11-23T01:00:00+01:00",
        "?startTime=2026-11-22T01:00:00Z&endTime=2026-11-23T01:00:00Z&rawTraces=true",
    ] {
        let found = document(&site, path, &format!("/api/v3/traces/1{query}"), 200).await;
        let own = get(&site, &format!("/api/v1/traces/{}", id(1)))
            .await
            .json();
        assert_eq!(found["result"], own, "{query}");
    }
    let unknown = document(&site, path, "/api/v3/traces/ff", 404).await;
    assert_eq!(
        unknown,
        json!({ "error": { "httpCode": 404, "message": "trace not found" } })
    );
}

#[tokio::test]
async fn a_summary_counts_spans_and_errors_by_service() {
    let mut traces = shop();
    traces.push(trace_with_id(
        4,
        [
            SpanBuilder::new(1, "late").service("web").at(5_000, 5_010),
            SpanBuilder::new(2, "lost")
                .service("web")
                .parent(9)
                .at(4_990, 5_030),
        ],
    ));
    let site = site(traces);
    let uri = format!("/api/v3/trace-summaries?{RANGE}");
    let found = document(&site, "/api/v3/trace-summaries", &uri, 200).await;
    let nanos = |ms: u64| (START.0 + ms * 1_000_000).to_string();
    assert_eq!(
        found["summaries"][0],
        json!({
            "traceId": id(4), "rootServiceName": "web", "rootOperationName": "late",
            "minStartTimeUnixNano": nanos(4_990), "maxEndTimeUnixNano": nanos(5_030),
            "spanCount": 2, "errorSpanCount": 0, "orphanSpanCount": 1,
            "services": [{ "name": "web", "spanCount": 2, "errorSpanCount": 0 }]
        })
    );
    assert_eq!(
        found["summaries"][2]["services"],
        json!([
            { "name": "stock", "spanCount": 1, "errorSpanCount": 1 },
            { "name": "web", "spanCount": 1, "errorSpanCount": 0 }
        ])
    );
}
