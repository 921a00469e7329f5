//! Records the spans of one request as its services would.
//!
//! Times are nanoseconds since the request began. A span is opened, worked under and ended; what
//! it calls is in [`super::calls`].

use fastrand::Rng;
use longpole_proto::UnixNanos;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use super::fleet::{Fleet, Library, Service};
use crate::otlp::attributes::text;

/// A millisecond.
pub(super) const MS: u64 = 1_000_000;

/// W3C trace flags: sampled, and a random trace ID.
const FLAGS: u32 = 0x03;

/// A span and who made it.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    /// An index into [`Fleet::instances`].
    pub(super) instance: usize,
    pub(super) library: Library,
    pub(super) span: Span,
}

/// A recorded span, to work under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SpanRef(usize);

/// The spans of one request so far.
pub(super) struct Recorder<'a> {
    fleet: &'a Fleet,
    rng: &'a mut Rng,
    start: UnixNanos,
    trace_id: Vec<u8>,
    spans: Vec<Recorded>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(fleet: &'a Fleet, rng: &'a mut Rng, start: UnixNanos) -> Self {
        let trace_id = random_id(rng, 16);
        Self {
            fleet,
            rng,
            start,
            trace_id,
            spans: Vec::new(),
        }
    }

    /// The recorded spans, in the order they were opened.
    pub(super) fn finish(self) -> Vec<Recorded> {
        self.spans
    }

    pub(super) fn rng(&mut self) -> &mut Rng {
        self.rng
    }

    /// About `millis` milliseconds, as such things vary: most a bit less, some much more.
    pub(super) fn about(&mut self, millis: f64) -> u64 {
        // The sum of uniform numbers is near enough to a normal one, and bounded.
        let normal = (0..6).map(|_| self.rng.f64()).sum::<f64>() - 3.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a few seconds at most, never negative"
        )]
        let nanos = (millis * (normal * 0.4).exp() * MS as f64) as u64;
        nanos
    }

    /// Opens a span of one of `service`'s instances, which has no parent.
    pub(super) fn root(
        &mut self,
        service: Service,
        library: Library,
        name: &str,
        kind: SpanKind,
    ) -> SpanRef {
        let instance = self.fleet.pick(service, self.rng);
        self.push(instance, Vec::new(), library, name, kind, 0)
    }

    /// Opens a span in the same process as its parent.
    pub(super) fn child(
        &mut self,
        parent: SpanRef,
        library: Library,
        name: &str,
        kind: SpanKind,
        at: u64,
    ) -> SpanRef {
        let instance = self.spans[parent.0].instance;
        self.push(instance, self.span_id(parent), library, name, kind, at)
    }

    /// Opens a span of one of `service`'s instances, called from `parent`'s process.
    pub(super) fn remote_child(
        &mut self,
        parent: SpanRef,
        service: Service,
        library: Library,
        name: &str,
        kind: SpanKind,
        at: u64,
    ) -> SpanRef {
        let instance = self.fleet.pick(service, self.rng);
        self.push(instance, self.span_id(parent), library, name, kind, at)
    }

    /// Ends a span and returns when.
    pub(super) fn end(&mut self, span: SpanRef, at: u64) -> u64 {
        let end = self.time(at);
        self.span(span).end_time_unix_nano = end;
        at
    }

    /// Adds attributes.
    pub(super) fn set(&mut self, span: SpanRef, attributes: impl IntoIterator<Item = KeyValue>) {
        self.span(span).attributes.extend(attributes);
    }

    /// Marks a span as failed.
    pub(super) fn fail(&mut self, span: SpanRef, error_type: &str, message: &str) {
        self.set(span, [text("error.type", error_type)]);
        let code = StatusCode::Error.into();
        self.span(span).status = Some(Status {
            code,
            message: message.to_owned(),
        });
    }

    /// Adds an event.
    pub(super) fn event(&mut self, span: SpanRef, at: u64, name: &str, attributes: Vec<KeyValue>) {
        let time_unix_nano = self.time(at);
        let event = Event {
            time_unix_nano,
            name: name.to_owned(),
            attributes,
            dropped_attributes_count: 0,
        };
        self.span(span).events.push(event);
    }

    fn push(
        &mut self,
        instance: usize,
        parent_span_id: Vec<u8>,
        library: Library,
        name: &str,
        kind: SpanKind,
        at: u64,
    ) -> SpanRef {
        let start = self.time(at);
        let span = Span {
            trace_id: self.trace_id.clone(),
            span_id: random_id(self.rng, 8),
            parent_span_id,
            flags: FLAGS,
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: start,
            end_time_unix_nano: start,
            ..Span::default()
        };
        self.spans.push(Recorded {
            instance,
            library,
            span,
        });
        SpanRef(self.spans.len() - 1)
    }

    fn span(&mut self, span: SpanRef) -> &mut Span {
        &mut self.spans[span.0].span
    }

    fn span_id(&self, span: SpanRef) -> Vec<u8> {
        self.spans[span.0].span.span_id.clone()
    }

    fn time(&self, at: u64) -> u64 {
        self.start.plus_nanos(at).0
    }
}

/// Random bytes that are not all zero.
fn random_id(rng: &mut Rng, n_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; n_bytes];
    rng.fill(&mut bytes);
    bytes[n_bytes - 1] |= u8::from(bytes.iter().all(|&byte| byte == 0));
    bytes
}
