//! Requests like those of `longpole load`: traces over 15 services, exported service by service in
//! requests of 466 spans. Always the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

const SERVICES: u64 = 15;
const TRACES: u64 = 390;
const REQUEST_SPANS: usize = 466;
/// How many spans a trace has; a median of 12, 18 on average.
const TRACE_SPANS: [u64; 10] = [4, 6, 8, 9, 12, 12, 18, 24, 35, 52];
const BASE_NANOS: u64 = 1_795_312_074_755_000_000;

/// A few thousand spans in about as many requests as services.
pub(crate) fn requests() -> Vec<Bytes> {
    let mut draw = Draw(1);
    let mut by_service: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    for _ in 0..TRACES {
        for (service, span) in trace(&mut draw) {
            by_service.entry(service).or_default().push(span);
        }
    }
    let requests = by_service.iter().flat_map(|(&service, spans)| {
        let chunks = spans.chunks(REQUEST_SPANS);
        chunks.map(move |spans| request(service, spans.to_vec()))
    });
    requests.collect()
}

fn trace(draw: &mut Draw) -> Vec<(u64, Span)> {
    let trace_id = [draw.next().to_be_bytes(), draw.next().to_be_bytes()].concat();
    let begin = BASE_NANOS + draw.below(1_000_000_000);
    let n_spans = TRACE_SPANS[usize::try_from(draw.below(10)).expect("below 10")];
    let mut spans: Vec<(u64, Span)> = Vec::new();
    for number in 0..n_spans {
        let parent = number.checked_sub(1).map(|before| {
            let at = usize::try_from(draw.below(before + 1)).expect("few spans");
            &spans[at]
        });
        let (kind, service, parent_id) = match parent {
            None => (SpanKind::Server, 0, Vec::new()),
            Some((service, parent)) => {
                let (kind, service) = match draw.below(10) {
                    0..4 => (SpanKind::Client, *service),
                    4..6 => (SpanKind::Internal, *service),
                    _ => (SpanKind::Server, 1 + draw.below(SERVICES - 1)),
                };
                (kind, service, parent.span_id.clone())
            }
        };
        let start = begin + number * 1_700_000 + draw.below(900_000);
        let span = Span {
            trace_id: trace_id.clone(),
            span_id: draw.next().to_be_bytes().to_vec(),
            parent_span_id: parent_id,
            flags: 0x101,
            kind: kind.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start + 200_000 + draw.below(40_000_000),
            ..named(kind, draw)
        };
        spans.push((service, span));
    }
    spans
}

fn named(kind: SpanKind, draw: &mut Draw) -> Span {
    let table = ["items", "orders", "users", "stock", "prices"][draw.place(5)];
    let route = ["cart", "orders", "items", "search", "stock", "price"][draw.place(6)];
    let (name, attributes) = match kind {
        SpanKind::Client => (
            format!("SELECT {table}"),
            vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "shop"),
                text("db.collection.name", table),
                text("db.operation.name", "SELECT"),
                text(
                    "db.query.text",
                    &format!(
                        "SELECT * FROM {table} WHERE tenant = $1 AND id = $2 ORDER BY created_at DESC LIMIT {}",
                        draw.below(50)
                    ),
                ),
                text("server.address", "db-primary.shop.internal"),
                int("server.port", 5432),
                text("thread.name", &format!("pool-3-thread-{}", draw.below(32))),
                int("db.response.returned_rows", draw.below(50)),
            ],
        ),
        SpanKind::Internal => (
            format!("apply_{table}"),
            vec![
                text(
                    "code.function.name",
                    &format!("com.shop.{route}.Handler.apply_{table}"),
                ),
                int("code.line.number", draw.below(400)),
                int("thread.id", draw.below(64)),
                text("thread.name", &format!("worker-{}", draw.below(64))),
                text("app.tenant", &format!("tenant-{}", draw.below(200))),
                int("app.items", draw.below(40)),
            ],
        ),
        _ => (
            format!("POST /api/{route}/{{id}}"),
            vec![
                text("http.request.method", "POST"),
                text("http.route", &format!("/api/{route}/{{id}}")),
                text("url.path", &format!("/api/{route}/{}", draw.below(100_000))),
                text("url.scheme", "http"),
                int("http.response.status_code", 200),
                text("server.address", &format!("{route}.shop.internal")),
                int("server.port", 8080),
                text(
                    "client.address",
                    &format!(
                        "10.{}.{}.{}",
                        draw.below(4),
                        draw.below(256),
                        draw.below(256)
                    ),
                ),
                text(
                    "user_agent.original",
                    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                ),
                text("network.protocol.version", "1.1"),
            ],
        ),
    };
    Span {
        name,
        attributes,
        ..Span::default()
    }
}

fn request(service: u64, spans: Vec<Span>) -> Bytes {
    let instance = format!("service-{service}-6d5f7c9b8-x{service}k2p");
    let attributes = vec![
        text("service.name", &format!("service-{service}")),
        text("service.namespace", "shop"),
        text("service.version", &format!("3.{service}.1")),
        text("service.instance.id", &instance),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.version", "1.56.0"),
        text("host.name", &format!("node-{}", service % 5)),
        text("k8s.pod.name", &instance),
    ];
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope {
            name: "io.opentelemetry.javaagent".to_owned(),
            version: "2.22.0".to_owned(),
            ..InstrumentationScope::default()
        }),
        spans,
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        resource: Some(Resource {
            attributes,
            ..Resource::default()
        }),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    };
    request.encode_to_vec().into()
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.cast_signed()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// `SplitMix64`.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn place(&mut self, end: u64) -> usize {
        usize::try_from(self.below(end)).expect("a small number")
    }
}
