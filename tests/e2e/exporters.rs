//! What the SDKs of other languages send comes back as they say they sent it (`tests/exporters/`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use longpole_tests::Server;
use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::time::timeout;

/// How long a program may take for all it sends; a Java machine starts slowly where others work.
const PROGRAM_DEADLINE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn what_python_sends_comes_back_whole() {
    let python = built("python/bin/python");
    let program = source("python/send.py");
    come_back_whole(
        Command::new(python).arg(program),
        &[
            "grpc none",
            "grpc gzip",
            "http/protobuf none",
            "http/protobuf gzip",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants npm's registry once: tests/run exporters"]
async fn what_nodejs_sends_comes_back_whole() {
    come_back_whole(
        Command::new("node").arg(built("nodejs/send.mjs")),
        &[
            "grpc none",
            "grpc gzip",
            "http/protobuf none",
            "http/protobuf gzip",
            "http/json none",
            "http/json gzip",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Go and its proxy once: tests/run exporters"]
async fn what_go_sends_comes_back_whole() {
    come_back_whole(
        &mut Command::new(built("go/send")),
        &[
            "grpc none",
            "grpc gzip",
            "http/protobuf none",
            "http/protobuf gzip",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Java, Maven and its registry once: tests/run exporters"]
async fn what_java_sends_comes_back_whole() {
    let classes = built("java/classes");
    let libraries = built("java/dependency");
    let class_path = format!("{}:{}/*", classes.display(), libraries.display());
    come_back_whole(
        Command::new("java").args(["-cp", &class_path, "Send"]),
        &[
            "grpc none",
            "grpc gzip",
            "http/protobuf none",
            "http/protobuf gzip",
        ],
    )
    .await;
}

/// A program's source.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("exporters")
        .join(path)
}

/// What `exporters/prepare` made of it: beside the tests' own binaries.
fn built(path: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("tests have a path");
    let target = tests.ancestors().nth(3).expect("target/debug/deps");
    let path = target.join("exporters").join(path);
    assert!(
        path.exists(),
        "{} is missing: `tests/exporters/prepare LANGUAGE`, which tests/run calls, makes it",
        path.display()
    );
    path
}

/// Runs a program with the endpoints of a new server: each of its lines is a protocol, a compression
/// and the spans that it sent so.
async fn come_back_whole(program: &mut Command, expected: &[&str]) {
    let server = Server::start().await;
    let running = program
        .args([server.grpc_endpoint(), server.http_endpoint()])
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PROGRAM_DEADLINE, running)
        .await
        .expect("the program ends in time")
        .expect("the program starts");
    let (said, complaints) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}: {complaints}", output.status);

    let mut ways = BTreeSet::new();
    for line in said.lines() {
        let mut sent: Value = serde_json::from_str(line).expect("a line of JSON");
        read_doubles(&mut sent);
        let way = format!("{} {}", text(&sent["protocol"]), text(&sent["compression"]));
        let spans = list(&sent["spans"]);
        assert_is_whole(spans, &way);
        let trace_id = text(&spans[0]["traceId"]);
        let stored = server
            .client()
            .get(&format!("/api/v1/traces/{trace_id}"))
            .await;
        assert_eq!(stored.status, 200, "{way}: {trace_id}: {complaints}");
        let stored = by_id(flat(&stored.json()));
        for (stored, sent) in stored.iter().zip(&by_id(spans.clone())) {
            assert_eq!(stored, sent, "{way}");
        }
        assert_eq!(stored.len(), spans.len(), "{way}");
        ways.insert(way);
    }
    let expected: BTreeSet<String> = expected.iter().map(|&way| way.to_owned()).collect();
    assert_eq!(ways, expected, "{complaints}");
    server.stop().await;
}

fn text(of: &Value) -> &str {
    of.as_str().expect("text")
}

fn list(of: &Value) -> &Vec<Value> {
    of.as_array().expect("a list")
}

/// Makes doubles what they are: some programs write 3.0 as 3.
fn read_doubles(of: &mut Value) {
    match of {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_f64() {
                    Some(number) if name == "double" => *value = json!(number),
                    _ => read_doubles(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(read_doubles),
        _ => {}
    }
}

/// What the scenario has at the least, so that no program passes by sending less.
fn assert_is_whole(spans: &[Value], way: &str) {
    let count = |has: &dyn Fn(&Value) -> bool| spans.iter().filter(|span| has(span)).count();
    assert_eq!(spans.len(), 5, "{way}");
    let kinds: BTreeSet<i64> = spans
        .iter()
        .filter_map(|span| span["kind"].as_i64())
        .collect();
    assert_eq!(kinds, BTreeSet::from([1, 2, 3, 4, 5]), "{way}");
    assert_eq!(count(&|span| span["parentSpanId"] == ""), 1, "{way}: roots");
    let failed = json!({ "code": 2, "message": "sku-8812 is out of stock" });
    assert_eq!(count(&|span| span["status"] == failed), 1, "{way}: errors");
    assert_eq!(
        count(&|span| span["status"]["code"] == 1),
        1,
        "{way}: successes"
    );
    let n_links: usize = spans.iter().map(|span| list(&span["links"]).len()).sum();
    assert_eq!(n_links, 2, "{way}");
    let root = spans.iter().find(|span| span["parentSpanId"] == "");
    let root = root.expect("a root");
    assert_eq!(root["name"], "POST /checkout für alle 🛒", "{way}");
    assert_eq!(list(&root["events"]).len(), 2, "{way}");
    assert_eq!(list(&root["links"]).len(), 1, "{way}");
    let attributes = &root["attributes"];
    for (name, kind) in [
        ("text.unicode", "text"),
        ("text.empty", "text"),
        ("bool.no", "bool"),
        ("int.max", "int"),
        ("int.min", "int"),
        ("double", "double"),
        ("double.tiny", "double"),
        ("list.text", "list"),
        ("list.bool", "list"),
        ("list.int", "list"),
        ("list.double", "list"),
        ("list.empty", "list"),
    ] {
        assert!(!attributes[name][kind].is_null(), "{way}: {name}: {root}");
    }
    for span in spans {
        assert_eq!(
            span["resource"]["attributes"]["service.name"]["text"], "shop",
            "{way}"
        );
        assert_eq!(span["scope"]["name"], "shop.checkout", "{way}");
    }
}

fn by_id(mut spans: Vec<Value>) -> Vec<Value> {
    spans.sort_by_key(|span| text(&span["spanId"]).to_owned());
    spans
}

/// The spans of a trace in OTLP's JSON, each as the programs write it.
fn flat(stored: &Value) -> Vec<Value> {
    let mut spans = Vec::new();
    for of_resource in list(&stored["resourceSpans"]) {
        let resource = json!({
            "attributes": attributes(&of_resource["resource"]["attributes"]),
            "schemaUrl": or_empty(&of_resource["schemaUrl"]),
        });
        for of_scope in list(&of_resource["scopeSpans"]) {
            let scope = &of_scope["scope"];
            let scope = json!({
                "name": or_empty(&scope["name"]),
                "version": or_empty(&scope["version"]),
                "attributes": attributes(&scope["attributes"]),
                "schemaUrl": or_empty(&of_scope["schemaUrl"]),
            });
            for span in list(&of_scope["spans"]) {
                spans.push(flat_span(span, &resource, &scope));
            }
        }
    }
    spans
}

fn flat_span(span: &Value, resource: &Value, scope: &Value) -> Value {
    let each = |of: &Value, as_written: fn(&Value) -> Value| -> Vec<Value> {
        of.as_array()
            .into_iter()
            .flatten()
            .map(as_written)
            .collect()
    };
    let event = |event: &Value| {
        json!({
            "time": event["timeUnixNano"],
            "name": or_empty(&event["name"]),
            "attributes": attributes(&event["attributes"]),
        })
    };
    let link = |link: &Value| {
        json!({
            "traceId": link["traceId"],
            "spanId": link["spanId"],
            "traceState": or_empty(&link["traceState"]),
            "attributes": attributes(&link["attributes"]),
        })
    };
    json!({
        "traceId": span["traceId"],
        "spanId": span["spanId"],
        "parentSpanId": or_empty(&span["parentSpanId"]),
        "traceState": or_empty(&span["traceState"]),
        "name": or_empty(&span["name"]),
        "kind": span["kind"],
        "start": span["startTimeUnixNano"],
        "end": span["endTimeUnixNano"],
        "attributes": attributes(&span["attributes"]),
        "events": each(&span["events"], event),
        "links": each(&span["links"], link),
        "status": {
            "code": span["status"]["code"].as_i64().unwrap_or(0),
            "message": or_empty(&span["status"]["message"]),
        },
        "resource": resource,
        "scope": scope,
    })
}

/// Text that OTLP's JSON leaves out when it is empty.
fn or_empty(of: &Value) -> &str {
    of.as_str().unwrap_or_default()
}

/// Attributes by name; each must be there once.
fn attributes(of: &Value) -> Value {
    let mut by_name = Map::new();
    for attribute in of.as_array().into_iter().flatten() {
        let name = or_empty(&attribute["key"]).to_owned();
        let before = by_name.insert(name, typed(&attribute["value"]));
        assert_eq!(before, None, "an attribute is there twice: {attribute}");
    }
    Value::Object(by_name)
}

/// A value with its type, as the programs write it.
fn typed(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|value| value.iter().next()) else {
        return json!({});
    };
    match kind.as_str() {
        "stringValue" => json!({ "text": value }),
        "boolValue" => json!({ "bool": value }),
        "intValue" => json!({ "int": value }),
        "doubleValue" => json!({ "double": value.as_f64() }),
        "arrayValue" => {
            let values = value["values"].as_array().into_iter().flatten();
            json!({ "list": values.map(typed).collect::<Vec<_>>() })
        }
        other => panic!("no program sends {other}"),
    }
}
