//! Every parameter of Jaeger's, and the shapes of what is answered, which `docs/api/openapi.json` has exactly.

mod bounds;
mod classic;
mod rest;
mod v3;

use std::sync::{Arc, mpsc};

use axum::Router;
use http::{Method, StatusCode};
use longpole_proto::testing::{START, SpanBuilder};
use longpole_proto::wire::{ExportRequest, encode_traces};
use longpole_proto::{SpanKind, Trace};
use longpole_storage::{Store, StoreConfig};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use crate::api::openapi::tests::check;
use crate::testing::{NOW, get, site, site_over, trace_with_id};

/// When test traces begin, in µs.
const START_MICROS: u64 = START.0 / 1_000;

fn id(n: u64) -> String {
    format!("{n:032x}")
}

/// Three traces, each beginning a second after the one before.
fn shop() -> Vec<Trace> {
    let at = |span: SpanBuilder, second: u64, from_ms: u64, to_ms: u64| {
        span.at(second * 1_000 + from_ms, second * 1_000 + to_ms)
    };
    let web = |n: u64, name: &str| {
        SpanBuilder::new(n, name)
            .service("web")
            .kind(SpanKind::Server)
    };
    let stock = |n: u64| {
        SpanBuilder::new(n, "SELECT stock")
            .service("stock")
            .kind(SpanKind::Client)
            .parent(1)
    };
    vec![
        trace_with_id(
            1,
            [
                at(web(1, "GET /"), 0, 0, 100).attribute("http.response.status_code", 200),
                at(stock(2), 0, 10, 30),
            ],
        ),
        trace_with_id(
            2,
            [
                at(web(1, "POST /buy"), 1, 0, 300).attribute("http.response.status_code", 500),
                at(stock(2), 1, 10, 250).error("timed out"),
            ],
        ),
        trace_with_id(
            3,
            [at(web(1, "GET /"), 2, 0, 20).attribute("url.path", "/<b>\"ü\"&x=1")],
        ),
    ]
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Gets a document and checks its shape against `docs/api/openapi.json`.
async fn document(site: &Router, path: &str, uri: &str, status: u16) -> Value {
    let reply = get(site, uri).await;
    assert_eq!(reply.status.as_u16(), status, "{uri}: {}", reply.text());
    assert_eq!(reply.header("content-type"), "application/json", "{uri}");
    check(path, &Method::GET, &reply);
    reply.json()
}

/// The traces of an answer of Jaeger's, by number, in order.
fn numbers(answer: &Value) -> Vec<u64> {
    let traces = answer["data"].as_array().expect("a list");
    traces
        .iter()
        .map(|trace| number(&trace["traceID"]))
        .collect()
}

fn number(trace_id: &Value) -> u64 {
    let text = trace_id.as_str().expect("a trace ID");
    u64::from_str_radix(text, 16).expect("a small one")
}

/// A real store with traces in it.
fn stored(traces: &[Trace]) -> (TempDir, Arc<dyn Store>) {
    let dir = TempDir::new().expect("a directory");
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    let bytes: Vec<u8> = traces.iter().flat_map(encode_traces).collect();
    let request = ExportRequest::parse(bytes.into()).expect("a request");
    let (sender, done) = mpsc::sync_channel(1);
    let answer = Box::new(move |result| sender.send(result).expect("the test waits"));
    store.append(request, NOW, answer);
    done.recv().expect("an answer").expect("acknowledged");
    (dir, store)
}
