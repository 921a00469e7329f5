//! Export requests, drawn by hand.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span, Status, TracesData, status,
};

/// Where drawn traces begin: 2026-11-22T01:47:54.755Z.
pub const START_NANOS: u64 = 1_795_312_074_755_000_000;

/// A millisecond.
pub const MS: u64 = 1_000_000;

/// One drawn span and the service it belongs to.
#[derive(Debug, Clone)]
pub struct Draft {
    service: String,
    span: Span,
}

impl Draft {
    /// A span of kind internal, of the service `app`.
    pub fn new(trace: u128, id: u64, name: &str) -> Self {
        Self {
            service: "app".to_owned(),
            span: Span {
                trace_id: trace.to_be_bytes().to_vec(),
                span_id: id.to_be_bytes().to_vec(),
                name: name.to_owned(),
                kind: SpanKind::Internal.into(),
                start_time_unix_nano: START_NANOS,
                end_time_unix_nano: START_NANOS,
                ..Span::default()
            },
        }
    }

    /// Of another service.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        name.clone_into(&mut self.service);
        self
    }

    /// Of another kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.span.kind = kind.into();
        self
    }

    /// Under the span `id`, sent or not.
    #[must_use]
    pub fn parent(mut self, id: u64) -> Self {
        self.span.parent_span_id = id.to_be_bytes().to_vec();
        self
    }

    /// From and to, in milliseconds after [`START_NANOS`].
    #[must_use]
    pub fn at(mut self, start_ms: u64, end_ms: u64) -> Self {
        self.span.start_time_unix_nano = START_NANOS + start_ms * MS;
        self.span.end_time_unix_nano = START_NANOS + end_ms * MS;
        self
    }

    /// With an attribute that is text.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.span.attributes.push(text(key, value));
        self
    }

    /// Failed, with an exception.
    #[must_use]
    pub fn exception(mut self, kind: &str, message: &str, stack: &str) -> Self {
        self.span.status = Some(Status {
            code: status::StatusCode::Error.into(),
            message: message.to_owned(),
        });
        self.span.events.push(Event {
            time_unix_nano: self.span.end_time_unix_nano,
            name: "exception".to_owned(),
            attributes: vec![
                text("exception.type", kind),
                text("exception.message", message),
                text("exception.stacktrace", stack),
            ],
            dropped_attributes_count: 0,
        });
        self
    }

    /// With a link to a span of another trace.
    #[must_use]
    pub fn link(mut self, trace: u128, id: u64) -> Self {
        self.span.links.push(Link {
            trace_id: trace.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            attributes: vec![text("reason", "retry")],
            ..Link::default()
        });
        self
    }

    /// Changed in a way that has no method here.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Span)) -> Self {
        change(&mut self.span);
        self
    }
}

/// An attribute that is text.
pub fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// One export request of these spans: a resource for each service, by name.
pub fn request(drafts: impl IntoIterator<Item = Draft>) -> ExportTraceServiceRequest {
    let mut by_service: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for draft in drafts {
        by_service
            .entry(draft.service)
            .or_default()
            .push(draft.span);
    }
    let resource_spans = by_service
        .into_iter()
        .map(|(service, spans)| ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", &service)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        })
        .collect();
    ExportTraceServiceRequest { resource_spans }
}

/// A request of one span that took `took_ms`.
pub fn single(trace: u128, service: &str, name: &str, took_ms: u64) -> ExportTraceServiceRequest {
    request([Draft::new(trace, 1, name)
        .service(service)
        .kind(SpanKind::Server)
        .at(0, took_ms)])
}

/// The design's example: a checkout of 390 ms, 200 ms of them in inventory, 152 ms of those behind a lock.
///
/// ```text
/// gateway POST /checkout    |=======================================| 390
///   checkout POST /orders    |=====================================|  378
///     inventory GET /stock     |====================|                 200
///       SELECT stock            |==|                                   31
///       lock wait sku-8812         |===============|                  152
///     pricing POST /quote      |====|                                  48
///     payments POST /charge                          |============|   128
/// ```
pub fn checkout(trace: u128) -> Vec<Draft> {
    let span = |id, name, service, kind| Draft::new(trace, id, name).service(service).kind(kind);
    vec![
        span(1, "POST /checkout", "gateway", SpanKind::Server).at(0, 390),
        span(2, "POST /orders", "checkout", SpanKind::Server)
            .parent(1)
            .at(6, 384),
        span(3, "GET /stock", "inventory", SpanKind::Server)
            .parent(2)
            .at(20, 220),
        span(4, "SELECT stock", "inventory", SpanKind::Client)
            .parent(3)
            .at(24, 55)
            .attribute("db.system.name", "postgresql")
            .attribute("db.query.text", "SELECT quantity FROM stock WHERE sku = $1"),
        span(5, "lock wait sku-8812", "inventory", SpanKind::Internal)
            .parent(3)
            .at(58, 210),
        span(6, "POST /quote", "pricing", SpanKind::Server)
            .parent(2)
            .at(21, 69),
        span(7, "POST /charge", "payments", SpanKind::Server)
            .parent(2)
            .at(226, 354),
    ]
}

/// The checkout of [`checkout`] with what else happens in it: a message is sent, and the payment's
/// provider does not answer in time.
///
/// ```text
///     payments POST /charge                          |============|   128
///       POST api.acme-pay.test ✕                      |==========|    101
///     checkout orders.created publish                              ||   9
/// ```
pub fn checkout_with_errors(trace: u128) -> Vec<Draft> {
    let mut drafts = checkout(trace);
    let provider = Draft::new(trace, 8, "POST api.acme-pay.test")
        .service("payments")
        .kind(SpanKind::Client)
        .parent(7)
        .at(232, 333)
        .attribute("server.address", "api.acme-pay.test")
        .exception(
            "TimeoutError",
            "upstream timed out after 100 ms; retry 1 succeeded",
            "TimeoutError: upstream timed out after 100 ms\n  at acme::client::send (src/client.rs:140)\n  at payments::charge (src/charge.rs:77)",
        );
    let message = Draft::new(trace, 9, "orders.created publish")
        .service("checkout")
        .kind(SpanKind::Producer)
        .parent(2)
        .at(357, 366)
        .attribute("messaging.system", "kafka");
    drafts.extend([provider, message]);
    drafts
}

/// All spans of a trace or request, each with its service's name, by span ID.
pub fn spans_of(data: &TracesData) -> Vec<(String, Span)> {
    let mut spans: Vec<(String, Span)> = data
        .resource_spans
        .iter()
        .flat_map(|resource| {
            let service = service_of(resource);
            resource
                .scope_spans
                .iter()
                .flat_map(|scope| &scope.spans)
                .map(move |span| (service.clone(), span.clone()))
        })
        .collect();
    spans.sort_by(|a, b| a.1.span_id.cmp(&b.1.span_id));
    spans
}

fn service_of(resource: &ResourceSpans) -> String {
    let attributes = resource
        .resource
        .iter()
        .flat_map(|resource| &resource.attributes);
    attributes
        .filter(|attribute| attribute.key == "service.name")
        .find_map(
            |attribute| match attribute.value.as_ref()?.value.as_ref()? {
                any_value::Value::StringValue(name) => Some(name.clone()),
                _ => None,
            },
        )
        .unwrap_or_default()
}
