//! `/api/…`.

use serde_json::json;

use super::*;

#[tokio::test]
async fn names_are_in_jaegers_envelope() {
    let site = site(shop());
    let services = document(&site, "/api/services", "/api/services", 200).await;
    assert_eq!(
        services,
        json!({ "data": ["stock", "web"], "total": 2, "limit": 0, "offset": 0, "errors": null })
    );
    let path = "/api/services/{service}/operations";
    let of_web = document(&site, path, "/api/services/web/operations", 200).await;
    assert_eq!(of_web["data"], json!(["GET /", "POST /buy"]));
    let of_none = document(&site, path, "/api/services/none/operations", 200).await;
    assert_eq!(
        (&of_none["data"], &of_none["total"]),
        (&json!([]), &json!(0))
    );
    let path = "/api/operations";
    for kind in ["", "&spanKind=server", "&spanKind=CLIENT"] {
        let uri = format!("/api/operations?service=stock{kind}");
        let of_stock = document(&site, path, &uri, 200).await;
        assert_eq!(
            of_stock["data"],
            json!([{ "name": "SELECT stock", "spanKind": "" }])
        );
    }
}

#[tokio::test]
async fn each_parameter_of_a_search_narrows_it() {
    let site = site(shop());
    let start = |second: u64| START_MICROS + second * 1_000_000;
    let tags = |tags: Value| format!("tags={}", encoded(&tags.to_string()));
    let cases = [
        (String::new(), vec![3, 2, 1]),
        ("service=web".to_owned(), vec![3, 2, 1]),
        ("service=stock".to_owned(), vec![2, 1]),
        ("service=nobody".to_owned(), vec![]),
        ("operation=GET%20/".to_owned(), vec![3, 1]),
        ("service=web&operation=SELECT+stock".to_owned(), vec![]),
        (
            "service=stock&operation=SELECT+stock".to_owned(),
            vec![2, 1],
        ),
        ("minDuration=100ms".to_owned(), vec![2, 1]),
        ("minDuration=0.1s&service=stock".to_owned(), vec![2]),
        ("maxDuration=20ms".to_owned(), vec![3, 1]),
        ("minDuration=21ms&maxDuration=240ms".to_owned(), vec![2, 1]),
        ("minDuration=21ms&maxDuration=99ms".to_owned(), vec![]),
        (format!("start={}", start(1)), vec![3, 2]),
        (format!("end={}", start(1)), vec![2, 1]),
        (format!("start={}&end={}", start(1), start(1)), vec![2]),
        (format!("end={}&lookback=1h", start(9)), vec![3, 2, 1]),
        (
            format!("end={}&lookback=2d&start={}", start(9), start(2)),
            vec![3],
        ),
        ("lookback=custom".to_owned(), vec![3, 2, 1]),
        ("lookback=1m".to_owned(), vec![3, 2, 1]),
        ("limit=2".to_owned(), vec![3, 2]),
        ("limit=1&service=stock".to_owned(), vec![2]),
        (tags(json!({ "error": "true" })), vec![2]),
        (
            tags(json!({ "error": "false", "span.kind": "client" })),
            vec![1],
        ),
        (tags(json!({ "http.status_code": "500" })), vec![2]),
        (tags(json!({ "http.status_code": 200 })), vec![1]),
        (tags(json!({ "url.path": "/<b>\"ü\"&x=1" })), vec![3]),
        (
            tags(json!({ "error": "true", "http.status_code": "500" })),
            vec![],
        ),
        ("tag=http.status_code:500".to_owned(), vec![2]),
        ("tag=error:true&tag=span.kind:client".to_owned(), vec![2]),
        ("tag=error:true&tag=span.kind:server".to_owned(), vec![]),
        (
            format!("tag=span.kind:client&{}", tags(json!({ "error": "true" }))),
            vec![2],
        ),
        ("raw=true&prettyPrint=true&limit=1".to_owned(), vec![3]),
        (
            "service=&operation=&tags=&minDuration=&limit=".to_owned(),
            vec![3, 2, 1],
        ),
    ];
    for (query, expected) in cases {
        let uri = format!("/api/traces?{query}");
        let found = document(&site, "/api/traces", &uri, 200).await;
        assert_eq!(numbers(&found), expected, "{query}");
        assert_eq!(found["total"], expected.len(), "{query}");
        assert_eq!(found["errors"], Value::Null, "{query}");
    }
}

#[tokio::test]
async fn traces_are_got_by_ids_and_those_that_are_not_there_are_named() {
    let site = site(shop());
    let uri = format!(
        "/api/traces?traceID={}&traceID=1&traceID=ff&traceID=3",
        id(3)
    );
    let found = document(&site, "/api/traces", &uri, 200).await;
    assert_eq!(numbers(&found), [3, 1]);
    assert_eq!(
        found["errors"],
        json!([{ "msg": "trace not found", "traceID": id(255) }])
    );
}

#[tokio::test]
async fn what_means_nothing_is_refused_by_name() {
    let site = site(shop());
    let cases = [
        (
            "limit=0",
            "limit=0 is not understood: expected a number from 1 to 1500",
        ),
        (
            "limit=1501",
            "limit=1501 is not understood: expected a number from 1 to 1500",
        ),
        ("limit=-1", "expected a number from 1 to 1500"),
        ("limit=%2B5", "expected a number from 1 to 1500"),
        (
            "limit=99999999999999999999",
            "expected a number from 1 to 1500",
        ),
        (
            "minDuration=fast",
            "minDuration=fast is not understood: expected a duration such as 1.2s",
        ),
        ("maxDuration=-1s", "maxDuration=-1s is not understood"),
        (
            "minDuration=2s&maxDuration=1s",
            "maxDuration=1s is not understood: expected at least 2s",
        ),
        (
            "start=yesterday",
            "start=yesterday is not understood: expected Unix time in microseconds",
        ),
        (
            "end=1.5",
            "end=1.5 is not understood: expected Unix time in microseconds",
        ),
        (
            "start=99999999999999999999",
            "expected Unix time in microseconds",
        ),
        (
            "start=18446744073709551615",
            "expected Unix time in microseconds",
        ),
        (
            "start=2&end=1",
            "end=1 is not understood: expected a time that is not before start, 2",
        ),
        (
            "lookback=1y",
            "lookback=1y is not understood: expected such as 20m",
        ),
        ("lookback=%C3%A9", "lookback=é is not understood"),
        (
            "raw=maybe",
            "raw=maybe is not understood: expected true or false",
        ),
        (
            "tags=error%3Dtrue",
            "tags=error=true is not understood: expected a JSON object",
        ),
        ("tags=%7B%22a%22:%5B1%5D%7D", "expected a JSON object"),
        (
            "tag=error",
            "tag=error is not understood: expected key:value",
        ),
        (
            "tag=otel.scope.name:x",
            "otel.scope.name is shown, but cannot be searched",
        ),
        ("traceID=xyz", "\"xyz\" is not a trace ID"),
        ("traceID=0", "\"0\" is not a trace ID"),
        (
            "service=a&service=b",
            "service=b is not understood: expected it only once",
        ),
        (
            "servce=web",
            "servce is not a parameter here: expected one of the parameters service,",
        ),
    ];
    for (query, expected) in cases {
        let uri = format!("/api/traces?{query}");
        let refused = document(&site, "/api/traces", &uri, 400).await;
        assert_eq!(refused["errors"][0]["code"], 400, "{query}");
        let said = refused["errors"][0]["msg"].as_str().expect("a text");
        assert!(said.contains(expected), "{query}: {said}");
    }
    for (path, uri) in [
        ("/api/operations", "/api/operations"),
        ("/api/operations", "/api/operations?service=web&spanKind=x"),
        ("/api/services", "/api/services?service=web"),
        ("/api/dependencies", "/api/dependencies?endTs=now"),
        ("/api/dependencies", "/api/dependencies?lookback=1h"),
        ("/api/traces/{trace_id}", "/api/traces/1?start=a"),
        ("/api/traces/{trace_id}", "/api/traces/1?end=a"),
        ("/api/traces/{trace_id}", "/api/traces/1?raw=a"),
        ("/api/traces/{trace_id}", "/api/traces/x"),
    ] {
        document(&site, path, uri, 400).await;
    }
}

#[tokio::test]
async fn a_trace_is_found_by_any_form_of_its_id() {
    let site = site(shop());
    let path = "/api/traces/{trace_id}";
    for form in [
        "2",
        "0000000000000002",
        "00000000000000000000000000000002",
        "AAAAAAAAAAAAAAAAAAAAAg%3D%3D",
        "2?start=1&end=2",
        "2?raw=true",
        "2?prettyPrint=true",
        "2?start=&end=&raw=0&prettyPrint=false",
    ] {
        let found = document(&site, path, &format!("/api/traces/{form}"), 200).await;
        assert_eq!(numbers(&found), [2], "{form}");
    }
    // Grafana reads the first of the data of anything else.
    let unknown = document(&site, path, "/api/traces/ff", 404).await;
    assert_eq!(
        unknown,
        json!({
            "data": null, "total": 0, "limit": 0, "offset": 0,
            "errors": [{ "code": 404, "msg": "trace not found", "traceID": id(255) }]
        })
    );
}

#[tokio::test]
async fn an_answer_is_indented_for_people() {
    let site = site(shop());
    let plain = get(&site, "/api/services").await;
    assert!(!plain.text().contains('\n'));
    let pretty = get(&site, "/api/services?prettyPrint=true").await;
    assert!(
        pretty
            .text()
            .starts_with("{\n    \"data\": [\n        \"stock\",")
    );
    assert_eq!(pretty.json(), plain.json());
}
