//! What the real exporters send comes back as it was, over every transport.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use longpole_tests::{Server, spans};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value, trace};
use opentelemetry_otlp::{
    Compression, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope as OtlpScope;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Status, TracesData};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as _};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn spans_exported_over_grpc_come_back_whole() {
    for compression in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
        come_back_whole(async |server| {
            let exporter = SpanExporter::builder()
                .with_tonic()
                .with_endpoint(server.grpc_endpoint());
            match compression {
                None => exporter,
                Some(compression) => exporter.with_compression(compression),
            }
            .build()
            .expect("the exporter is configured")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_exported_over_http_come_back_whole() {
    for protocol in [Protocol::HttpBinary, Protocol::HttpJson] {
        for compression in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
            come_back_whole(async |server| {
                let exporter = SpanExporter::builder()
                    .with_http()
                    .with_http_client(
                        reqwest::Client::builder()
                            .no_proxy()
                            .build()
                            .expect("a plain client"),
                    )
                    .with_endpoint(format!("{}/v1/traces", server.http_endpoint()))
                    .with_protocol(protocol);
                match compression {
                    None => exporter,
                    Some(compression) => exporter.with_compression(compression),
                }
                .build()
                .expect("the exporter is configured")
            })
            .await;
        }
    }
}

/// Exports one batch and reads it back at once: success means that it is there.
async fn come_back_whole(exporter: impl AsyncFnOnce(&Server) -> SpanExporter) {
    let server = Server::start().await;
    let (batch, resource) = recorded();
    let trace = u128::from_be_bytes(batch[0].span_context.trace_id().to_bytes());
    let sent = TracesData {
        resource_spans: group_spans_by_resource_and_scope(batch.clone(), &(&resource).into()),
    };
    assert_eq!(flat(&sent).len(), 5, "the SDK recorded all spans");

    let mut exporter = exporter(&server).await;
    exporter.set_resource(&resource);
    exporter
        .export(batch)
        .await
        .expect("the export is acknowledged");

    let stored = server
        .client()
        .trace(trace)
        .await
        .expect("an acknowledged trace is there");
    assert_eq!(flat(&stored), flat(&sent));

    let found = server
        .client()
        .get("/api/v1/search")
        .await
        .expect(200)
        .json();
    assert_eq!(found["requests"][0]["traceId"], format!("{trace:032x}"));
    assert_eq!(found["requests"][0]["spans"], 5);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_of_a_stored_trace_sent_again_is_the_same_trace() {
    let (batch, resource) = recorded();
    let trace = u128::from_be_bytes(batch[0].span_context.trace_id().to_bytes());
    let request = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(batch, &(&resource).into()),
    };
    let first = Server::start().await;
    first.client().export(&request).await;
    let json = first
        .client()
        .get(&format!("/api/v1/traces/{trace:032x}"))
        .await
        .expect(200);
    assert_eq!(json.header("content-type"), "application/json");

    let second = Server::start().await;
    let reply = second
        .client()
        .post(&[("content-type", "application/json")], json.body)
        .await;
    assert_eq!(reply.expect(200).json(), json!({}));

    let sent = first
        .client()
        .trace(trace)
        .await
        .expect("the first server has the trace");
    let stored = second
        .client()
        .trace(trace)
        .await
        .expect("the second server has the trace");
    assert_eq!(flat(&said(stored)), flat(&said(sent)));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_may_write_ids_and_numbers_in_any_way_otlp_allows() {
    let body = json!({ "resourceSpans": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeSpans": [{ "spans": [
            {
                "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174",
                "name": "as strings", "kind": 2, "unknownField": { "deep": [1, 2] },
                "startTimeUnixNano": "1795312074755000000", "endTimeUnixNano": "1795312074855000001",
                "attributes": [{ "key": "n", "value": { "intValue": "9007199254740993" } }],
            },
            {
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b175",
                "parentSpanId": "EEE19B7EC3C1B174",
                "name": "as numbers", "kind": 3,
                "startTimeUnixNano": 1_795_312_074_755_000_000_u64,
                "endTimeUnixNano": 1_795_312_074_755_000_001_u64,
                "attributes": [{ "key": "n", "value": { "intValue": 9_007_199_254_740_993_u64 } }],
            },
        ] }],
    }] });
    let server = Server::start().await;
    let reply = server
        .client()
        .post(
            &[("content-type", "application/json; charset=utf-8")],
            body.to_string(),
        )
        .await
        .expect(200);
    assert_eq!(reply.json(), json!({}));

    let stored = server
        .client()
        .trace(0x5b8e_fff7_9803_8103_d269_b633_813f_c60c)
        .await
        .expect("an acknowledged trace is there");
    let stored = spans::spans_of(&stored);
    let [(service, root), (_, child)] = stored.as_slice() else {
        panic!("two spans were sent, these came back: {stored:?}");
    };
    assert_eq!(service, "shop");
    assert_eq!(root.name, "as strings");
    assert_eq!(
        root.end_time_unix_nano - root.start_time_unix_nano,
        100_000_001
    );
    assert_eq!(child.parent_span_id, root.span_id);
    assert_eq!(child.end_time_unix_nano - child.start_time_unix_nano, 1);
    assert_eq!(
        child.attributes, root.attributes,
        "the number is the same, written either way"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_arrives_in_pieces_is_one_request() {
    let server = Server::start().await;
    // As SDKs do: each service sends its own spans, and children end before their parents.
    let mut drafts = spans::checkout(7);
    drafts.reverse();
    for draft in drafts {
        server.client().export(&spans::request([draft])).await;
    }
    let found = server
        .client()
        .get("/api/v1/search")
        .await
        .expect(200)
        .json();
    assert_eq!(found["requests"].as_array().map(Vec::len), Some(1));
    let request = &found["requests"][0];
    assert_eq!(request["rootService"], "gateway");
    assert_eq!(request["rootOperation"], "POST /checkout");
    assert_eq!(request["durationNanos"], 390 * spans::MS);
    assert_eq!(request["slowestHop"]["service"], "inventory");
    assert_eq!(request["slowestHop"]["nanos"], 200 * spans::MS);
    assert_eq!(request["incomplete"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_sends_again_adds_nothing() {
    let server = Server::start().await;
    let request = spans::request(spans::checkout(8));
    server.client().export(&request).await;
    server.client().export(&request).await;
    let found = server
        .client()
        .get("/api/v1/search")
        .await
        .expect(200)
        .json();
    assert_eq!(found["requests"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["requests"][0]["spans"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_spans_is_accepted() {
    let server = Server::start().await;
    let reply = server
        .client()
        .post(&[("content-type", "application/x-protobuf")], Bytes::new())
        .await
        .expect(200);
    assert_eq!(reply.body, Bytes::new());
}

/// JSON leaves out a status that says nothing.
fn said(mut data: TracesData) -> TracesData {
    let scopes = data
        .resource_spans
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_spans);
    for span in scopes.flat_map(|scope| &mut scope.spans) {
        span.status = span
            .status
            .take()
            .filter(|status| *status != Status::default());
    }
    data
}

/// One span with all that surrounds it.
type Flat = (
    Option<OtlpResource>,
    String,
    Option<OtlpScope>,
    String,
    opentelemetry_proto::tonic::trace::v1::Span,
);

/// The spans by ID, each with its resource and scope; a resource's attributes have no order.
fn flat(data: &TracesData) -> Vec<Flat> {
    let mut spans: Vec<Flat> = Vec::new();
    for ResourceSpans {
        resource,
        scope_spans,
        schema_url,
    } in &data.resource_spans
    {
        let mut resource = resource.clone();
        if let Some(resource) = &mut resource {
            resource.attributes.sort_by(|a, b| a.key.cmp(&b.key));
        }
        for scope in scope_spans {
            for span in &scope.spans {
                spans.push((
                    resource.clone(),
                    schema_url.clone(),
                    scope.scope.clone(),
                    scope.schema_url.clone(),
                    span.clone(),
                ));
            }
        }
    }
    spans.sort_by(|a, b| a.4.span_id.cmp(&b.4.span_id));
    spans
}

/// Keeps what the SDK would send.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Vec<SpanData>>>);

impl opentelemetry_sdk::trace::SpanExporter for Recorder {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0
            .lock()
            .expect("no test panics while it holds the lock")
            .extend(batch);
        Ok(())
    }
}

/// A trace made with the SDK that has everything a span can have.
fn recorded() -> (Vec<SpanData>, Resource) {
    let resource = Resource::builder_empty()
        .with_service_name("checkout")
        .with_attribute(KeyValue::new("service.instance.id", "checkout-5c7f-2"))
        .with_attribute(KeyValue::new("process.pid", 4242))
        .with_schema_url(
            [KeyValue::new("host.ip", text_list(["10.0.0.1", "::1"]))],
            "https://opentelemetry.io/schemas/1.30.0",
        )
        .build();
    let recorder = Recorder::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(recorder.clone())
        .with_resource(resource.clone())
        .build();
    let tracer = provider.tracer_with_scope(
        InstrumentationScope::builder("shop.http")
            .with_version("1.2.3")
            .with_schema_url("https://opentelemetry.io/schemas/1.31.0")
            .with_attributes([
                KeyValue::new("scope.text", "é"),
                KeyValue::new("scope.level", 3),
            ])
            .build(),
    );
    let begun = SystemTime::UNIX_EPOCH + Duration::from_nanos(spans::START_NANOS + 1);
    let after = |ms| begun + Duration::from_millis(ms);

    let mut root = tracer
        .span_builder("POST /checkout für alle 🛒")
        .with_kind(SpanKind::Server)
        .with_start_time(begun)
        .with_attributes(every_kind_of_attribute())
        .with_links(vec![Link::new(
            elsewhere(),
            vec![KeyValue::new("reason", "retry")],
            3,
        )])
        .start(&tracer);
    root.add_event_with_timestamp(
        "exception",
        after(300),
        vec![
            KeyValue::new("exception.type", "OutOfStock"),
            KeyValue::new("exception.message", "sku-8812"),
            KeyValue::new("exception.stacktrace", "at Stock.take\n\tat Checkout.run\n"),
        ],
    );
    root.add_event_with_timestamp("rolled back", after(310), Vec::new());
    root.set_status(trace::Status::error("sku-8812 is out of stock"));
    let below = [
        ("GET /stock", SpanKind::Client, trace::Status::Ok),
        ("", SpanKind::Internal, trace::Status::Unset),
        ("orders publish", SpanKind::Producer, trace::Status::Unset),
        ("orders process", SpanKind::Consumer, trace::Status::Unset),
    ];
    // Each below the one before.
    let mut parent = root.span_context().clone();
    for (name, kind, status) in below {
        let context = Context::new().with_remote_span_context(parent.clone());
        let mut span = tracer
            .span_builder(name)
            .with_kind(kind)
            .with_links(vec![Link::with_context(parent)])
            .with_start_time(after(10))
            .start_with_context(&tracer, &context);
        span.set_status(status);
        span.end_with_timestamp(after(210));
        parent = span.span_context().clone();
    }
    root.end_with_timestamp(after(390));
    let batch = recorder
        .0
        .lock()
        .expect("no test panics while it holds the lock")
        .clone();
    (batch, resource)
}

fn every_kind_of_attribute() -> Vec<KeyValue> {
    let values: [(&'static str, Value); 15] = [
        ("text", "a \"quoted\" \\ word\u{1f}".into()),
        ("text.unicode", "für alle 🛒 と".into()),
        ("empty", "".into()),
        ("yes", true.into()),
        ("no", false.into()),
        ("int.max", i64::MAX.into()),
        ("int.min", i64::MIN.into()),
        ("double", 0.1.into()),
        ("double.whole", 3.0.into()),
        ("double.tiny", f64::MIN_POSITIVE.into()),
        ("list.text", text_list(["a", ""])),
        ("list.bool", Value::Array(Array::Bool(vec![true, false]))),
        ("list.int", Value::Array(Array::I64(vec![-1, i64::MAX]))),
        ("list.double", Value::Array(Array::F64(vec![-0.5, 1e300]))),
        ("list.empty", Value::Array(Array::I64(Vec::new()))),
    ];
    values
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value))
        .collect()
}

fn text_list(texts: [&'static str; 2]) -> Value {
    Value::Array(Array::String(texts.map(StringValue::from).to_vec()))
}

fn elsewhere() -> SpanContext {
    SpanContext::new(
        0xdead_beef_u128.into(),
        0xbeef_u64.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "x1")]).expect("a valid trace state"),
    )
}
