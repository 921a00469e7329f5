//! What the load is about: a shop of 15 services, its call trees, and their attributes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use crate::otlp::attributes::{int, text};

/// The services, the first being where requests come in.
pub(super) const SERVICES: [&str; 15] = [
    "gateway",
    "cart",
    "checkout",
    "payments",
    "inventory",
    "pricing",
    "search",
    "catalog",
    "shipping",
    "accounts",
    "reviews",
    "media",
    "mailer",
    "fraud",
    "recommend",
];

/// What stands where a trace's request ID will be: 16 hex digits that occur nowhere else.
pub(super) const REQUEST_ID: &str = "00c0ffee00c0ffee";

const ROUTES: [&str; 8] = [
    "/api/cart/{id}",
    "/api/orders",
    "/api/items/{id}",
    "/api/search",
    "/api/stock/{sku}",
    "/api/price/{sku}",
    "/api/users/{id}",
    "/api/charge",
];
const TABLES: [&str; 6] = ["items", "orders", "users", "stock", "prices", "events"];
const FUNCTIONS: [&str; 6] = [
    "validate",
    "render",
    "apply_discounts",
    "serialize_response",
    "authorize",
    "load_session",
];

/// A trace has at least this many spans, and at most [`SPANS_MAX`].
const SPANS_MIN: usize = 3;
const SPANS_MAX: usize = 500;

/// One request in this many takes over 2 s.
const SLOW_ONE_IN: u32 = 1_000;

/// A span of a trace, its ids still numbers.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) slot: Slot,
    message: otlp::Span,
}

/// Where in its trace a span stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) service: usize,
    /// Its number in the trace.
    pub(super) number: u32,
    /// Its parent's number plus 1; 0 for none.
    pub(super) parent_no: u32,
    /// After the trace's start.
    pub(super) start_nanos: u64,
    pub(super) duration_nanos: u64,
}

/// A new trace: a tree grown from its root, its times cut from its parents'.
pub(super) fn trace(rng: &mut fastrand::Rng) -> Vec<Span> {
    let n_spans = spans_of_a_trace(rng);
    // A log-normal around 60 ms, as latencies are; some are slow.
    let duration = if rng.u32(0..SLOW_ONE_IN) == 0 {
        rng.u64(2_000_000_000..5_000_000_000)
    } else {
        nanos(60e6 * (0.6 * normal(rng)).exp())
    };
    let root = Slot {
        service: 0,
        number: 0,
        parent_no: 0,
        start_nanos: 0,
        duration_nanos: duration,
    };
    let mut spans = vec![server(rng, root)];
    // Spans that serve a request and may call others: (span, where its next child begins).
    let mut open: Vec<(usize, u64)> = vec![(0, duration / 50)];
    while spans.len() < n_spans {
        let at = rng.usize(0..open.len());
        let (parent, free_from) = open[at];
        let above = spans[parent].slot;
        let left = above.duration_nanos.saturating_sub(free_from);
        let length = (left / rng.u64(2..6)).max(1_000);
        open[at].1 = free_from + length;
        let slot = Slot {
            service: above.service,
            number: u32::try_from(spans.len()).expect("few spans"),
            parent_no: u32::try_from(parent + 1).expect("few spans"),
            start_nanos: above.start_nanos + free_from.min(above.duration_nanos),
            duration_nanos: length,
        };
        match rng.u32(0..100) {
            0..40 => spans.push(database(rng, slot)),
            40..60 => spans.push(internal(rng, slot)),
            _ if spans.len() + 2 <= n_spans => {
                let callee = Slot {
                    service: rng.usize(1..SERVICES.len()),
                    number: slot.number + 1,
                    parent_no: slot.number + 1,
                    start_nanos: slot.start_nanos + length / 20,
                    duration_nanos: length - length / 10,
                };
                spans.push(client(rng, slot, callee.service));
                open.push((spans.len(), callee.duration_nanos / 20));
                spans.push(server(rng, callee));
            }
            _ => spans.push(internal(rng, slot)),
        }
    }
    spans
}

/// Log-normal around 12, within the limits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a small positive number"
)]
fn spans_of_a_trace(rng: &mut fastrand::Rng) -> usize {
    ((12.0 * (0.9 * normal(rng)).exp()) as usize).clamp(SPANS_MIN, SPANS_MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive duration"
)]
fn nanos(nanos: f64) -> u64 {
    nanos as u64
}

/// A standard normal (Box and Muller, 1958).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

fn server(rng: &mut fastrand::Rng, slot: Slot) -> Span {
    let route = ROUTES[rng.usize(0..ROUTES.len())];
    let failed = rng.u32(0..200) == 0;
    let mut attributes = vec![
        text(
            "http.request.method",
            ["GET", "GET", "GET", "POST"][rng.usize(0..4)],
        ),
        text("http.route", route),
        text(
            "url.path",
            route
                .replace("{id}", &rng.u32(0..100_000).to_string())
                .replace("{sku}", &format!("sku-{}", rng.u32(0..20_000))),
        ),
        text("url.scheme", "http"),
        int("http.response.status_code", if failed { 500 } else { 200 }),
        text(
            "server.address",
            format!("{}.shop.internal", SERVICES[slot.service]),
        ),
        int("server.port", 8080),
        text(
            "client.address",
            format!("10.{}.{}.{}", rng.u8(0..4), rng.u8(..), rng.u8(..)),
        ),
        text(
            "user_agent.original",
            USER_AGENTS[rng.usize(0..USER_AGENTS.len())],
        ),
        text("network.protocol.version", "1.1"),
    ];
    if slot.number == 0 {
        attributes.push(text("app.request.id", REQUEST_ID));
        attributes.push(text("app.user.id", format!("user-{}", rng.u32(0..50_000))));
    }
    let name = format!(
        "{} {route}",
        if slot.parent_no == 0 { "GET" } else { "POST" }
    );
    let events = if failed { vec![exception(rng)] } else { vec![] };
    span(
        slot,
        otlp::Span {
            name,
            kind: otlp::span::SpanKind::Server as i32,
            attributes,
            events,
            status: failed.then(|| otlp::Status {
                code: 2,
                message: String::new(),
            }),
            ..Default::default()
        },
    )
}

fn client(rng: &mut fastrand::Rng, slot: Slot, callee: usize) -> Span {
    let host = format!("{}.shop.internal", SERVICES[callee]);
    let path = ROUTES[rng.usize(0..ROUTES.len())].replace("{id}", &rng.u32(0..100_000).to_string());
    span(
        slot,
        otlp::Span {
            name: "POST".to_owned(),
            kind: otlp::span::SpanKind::Client as i32,
            attributes: vec![
                text("http.request.method", "POST"),
                text("url.full", format!("http://{host}:8080{path}")),
                text("server.address", &host),
                int("server.port", 8080),
                int("http.response.status_code", 200),
                text(
                    "network.peer.address",
                    format!("10.9.{}.{}", callee, rng.u8(0..4)),
                ),
                int("network.peer.port", 8080),
                text("network.protocol.version", "1.1"),
                text(
                    "thread.name",
                    format!("reactor-http-epoll-{}", rng.u32(1..16)),
                ),
            ],
            ..Default::default()
        },
    )
}

fn database(rng: &mut fastrand::Rng, slot: Slot) -> Span {
    let table = TABLES[rng.usize(0..TABLES.len())];
    span(
        slot,
        otlp::Span {
            name: format!("SELECT {table}"),
            kind: otlp::span::SpanKind::Client as i32,
            attributes: vec![
                text("db.system.name", "postgresql"),
                text("db.namespace", "shop"),
                text("db.collection.name", table),
                text("db.operation.name", "SELECT"),
                text(
                    "db.query.text",
                    format!(
                        "SELECT * FROM {table} WHERE tenant = $1 AND id = $2 ORDER BY created_at DESC LIMIT {}",
                        rng.u32(1..50)
                    ),
                ),
                text("server.address", "db-primary.shop.internal"),
                int("server.port", 5432),
                text("thread.name", format!("pool-3-thread-{}", rng.u32(1..32))),
                int("db.response.returned_rows", i64::from(rng.u32(0..50))),
            ],
            ..Default::default()
        },
    )
}

fn internal(rng: &mut fastrand::Rng, slot: Slot) -> Span {
    let function = FUNCTIONS[rng.usize(0..FUNCTIONS.len())];
    span(
        slot,
        otlp::Span {
            name: function.to_owned(),
            kind: otlp::span::SpanKind::Internal as i32,
            attributes: vec![
                text(
                    "code.function.name",
                    format!("com.shop.{}.Handler.{function}", SERVICES[slot.service]),
                ),
                int("code.line.number", i64::from(rng.u32(10..400))),
                int("thread.id", i64::from(rng.u32(1..64))),
                text("thread.name", format!("worker-{}", rng.u32(1..64))),
                text("app.tenant", format!("tenant-{}", rng.u32(0..200))),
                int("app.items", i64::from(rng.u32(0..40))),
            ],
            ..Default::default()
        },
    )
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
    "shop-android/8.14.2 (Android 16; Pixel 9)",
    "shop-ios/8.14.0 (iOS 26.1; iPhone17,2)",
];

/// One span with ids to be patched: present where they will be, so that the bytes have room.
fn span(slot: Slot, message: otlp::Span) -> Span {
    let message = otlp::Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        parent_span_id: if slot.parent_no > 0 {
            vec![1; 8]
        } else {
            vec![]
        },
        start_time_unix_nano: 1,
        end_time_unix_nano: 1,
        flags: 0x101,
        ..message
    };
    let duration_nanos = slot.duration_nanos.max(1_000);
    Span {
        slot: Slot {
            duration_nanos,
            ..slot
        },
        message,
    }
}

fn exception(rng: &mut fastrand::Rng) -> otlp::span::Event {
    otlp::span::Event {
        time_unix_nano: 1,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "java.sql.SQLTransientConnectionException"),
            text(
                "exception.message",
                format!(
                    "HikariPool-1 - Connection is not available, request timed out after {}ms.",
                    rng.u32(1_000..30_000)
                ),
            ),
            text(
                "exception.stacktrace",
                "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available\n\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n\tat com.shop.Repository.find(Repository.java:81)",
            ),
        ],
        dropped_attributes_count: 0,
    }
}

/// The request that exports these spans of one service.
pub(super) fn request<'a>(
    service: usize,
    spans: impl Iterator<Item = &'a Span>,
) -> ExportTraceServiceRequest {
    let name = SERVICES[service];
    ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", name),
                    text("service.namespace", "shop"),
                    text("service.version", format!("3.{service}.1")),
                    text(
                        "service.instance.id",
                        format!("{name}-6d5f7c9b8-x{service}k2p"),
                    ),
                    text("deployment.environment.name", "production"),
                    text("telemetry.sdk.name", "opentelemetry"),
                    text("telemetry.sdk.language", "java"),
                    text("telemetry.sdk.version", "1.56.0"),
                    text("host.name", format!("node-{}", service % 5)),
                    text("k8s.pod.name", format!("{name}-6d5f7c9b8-x{service}k2p")),
                ],
                ..Default::default()
            }),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "io.opentelemetry.javaagent".to_owned(),
                    version: "2.22.0".to_owned(),
                    ..Default::default()
                }),
                spans: spans.map(|span| span.message.clone()).collect(),
                schema_url: String::new(),
            }],
            schema_url: String::new(),
        }],
    }
}
