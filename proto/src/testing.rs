//! Traces for tests: built, drawn, and at random.

use proptest::prelude::*;

use crate::trace::TraceParts;
use crate::{
    Attributes, Link, Resource, Scope, Span, SpanId, SpanKind, Status, StatusCode, Trace, TraceId,
    UnixNanos,
};

/// Where test traces begin: 2026-11-22T01:47:54.755Z.
pub const START: UnixNanos = UnixNanos(1_795_312_074_755_000_000);

/// A millisecond.
pub const MS: u64 = 1_000_000;

/// The trace ID all test traces have unless they say otherwise.
///
/// # Panics
/// Never: the ID is not zero.
pub fn trace_id() -> TraceId {
    "b7ad6b7169203331a1b2c3d4e5f60709"
        .parse()
        .expect("a trace ID")
}

/// The span ID whose number is `n`.
///
/// # Panics
/// When `n` is 0.
pub fn span_id(n: u64) -> SpanId {
    SpanId::new(n.to_be_bytes()).expect("span ids in tests start at 1")
}

/// Builds one span; times are milliseconds after [`START`].
#[derive(Debug, Clone)]
pub struct SpanBuilder {
    service: String,
    instance: String,
    span: Span,
}

impl SpanBuilder {
    /// A span of the service `app` with the ID number `n`, of kind internal.
    pub fn new(n: u64, name: &str) -> Self {
        Self {
            service: "app".to_owned(),
            instance: String::new(),
            span: Span {
                span_id: span_id(n),
                parent_id: None,
                trace_state: String::new(),
                flags: 0,
                name: name.into(),
                kind: SpanKind::Internal,
                start: START,
                end: START,
                attributes: Attributes::default(),
                dropped_attributes_count: 0,
                events: Vec::new(),
                dropped_events_count: 0,
                links: Vec::new(),
                dropped_links_count: 0,
                status: Status::default(),
                resource_idx: 0,
                scope_idx: 0,
            },
        }
    }

    /// Under the span with the ID number `n`, stored or not.
    #[must_use]
    pub fn parent(mut self, n: u64) -> Self {
        self.span.parent_id = Some(span_id(n));
        self
    }

    /// From and to, in milliseconds after [`START`].
    #[must_use]
    pub fn at(self, start_ms: u64, end_ms: u64) -> Self {
        self.at_nanos(start_ms * MS, end_ms * MS)
    }

    /// From and to, in nanoseconds after [`START`].
    #[must_use]
    pub fn at_nanos(mut self, start: u64, end: u64) -> Self {
        self.span.start = START.plus_nanos(start);
        self.span.end = START.plus_nanos(end);
        self
    }

    /// Of another service.
    #[must_use]
    pub fn service(mut self, service: &str) -> Self {
        service.clone_into(&mut self.service);
        self
    }

    /// Of another resource of the same service.
    #[must_use]
    pub fn instance(mut self, instance: &str) -> Self {
        instance.clone_into(&mut self.instance);
        self
    }

    /// Of another kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.span.kind = kind;
        self
    }

    /// With the status error.
    #[must_use]
    pub fn error(mut self, message: &str) -> Self {
        self.span.status = Status {
            code: StatusCode::Error,
            message: message.to_owned(),
        };
        self
    }

    /// With an attribute.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: impl Into<crate::AttributeValue>) -> Self {
        self.span.attributes.push(key, value);
        self
    }

    /// With a link to a span of the same trace.
    #[must_use]
    pub fn link(mut self, n: u64) -> Self {
        self.span.links.push(Link {
            trace_id: Some(trace_id()),
            span_id: Some(span_id(n)),
            trace_state: String::new(),
            attributes: Attributes::default(),
            dropped_attributes_count: 0,
            flags: 0,
        });
        self
    }

    /// Changes the span itself, for what has no method here.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Span)) -> Self {
        change(&mut self.span);
        self
    }
}

/// The parts of a trace of these spans: a resource for each service and instance, one scope.
pub fn parts_of(spans: impl IntoIterator<Item = SpanBuilder>) -> TraceParts {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut parts = TraceParts {
        scopes: vec![Scope {
            name: "test".to_owned(),
            ..Scope::default()
        }],
        ..TraceParts::default()
    };
    for SpanBuilder {
        service,
        instance,
        mut span,
    } in spans
    {
        let name = (service, instance);
        let at = names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                let mut resource = Resource::default();
                resource.attributes.push("service.name", name.0.as_str());
                if !name.1.is_empty() {
                    resource
                        .attributes
                        .push("service.instance.id", name.1.as_str());
                }
                parts.resources.push(resource.into());
                names.push(name);
                names.len() - 1
            });
        span.resource_idx = u32::try_from(at).expect("few resources");
        parts.spans.push(span);
    }
    parts
}

/// The trace of these spans.
///
/// # Panics
/// When there is none.
pub fn trace_of(spans: impl IntoIterator<Item = SpanBuilder>) -> Trace {
    Trace::new(trace_id(), parts_of(spans)).expect("a test trace has spans")
}

/// The trace of a drawing, a line a span:
///
/// ```text
/// gateway POST /checkout   [------------------]  server
///   inventory GET /stock     [--------]          server error
///     inventory SELECT       [--]                client db.system.name=postgresql
/// ```
///
/// The first word is the service, the rest up to the bar the name; indentation (two blanks a level)
/// is who called whom; a column is a millisecond, so `[--]` takes 3 ms and `|` none. Behind the bar:
/// the kind (not said: server where the service differs from the parent's, else internal), `error`,
/// `orphan` (its parent is not stored), `instance=…` (another resource of the service), `link=3`
/// (to the span of the third line), and attributes `key=value`. Span ids are line numbers.
///
/// # Panics
/// When the drawing cannot be read.
pub fn draw(drawing: &str) -> Trace {
    Trace::new(trace_id(), parts_of(drawn_spans(drawing))).expect("a drawing has spans")
}

/// The spans of a drawing as [`draw`] reads it.
///
/// # Panics
/// When the drawing cannot be read.
pub fn drawn_spans(drawing: &str) -> Vec<SpanBuilder> {
    let lines: Vec<&str> = drawing
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let margin = lines
        .iter()
        .map(|line| line.len() - line.trim_start().len())
        .min()
        .unwrap_or(0);
    let bar_start = |line: &str| {
        line.find(['[', '|'])
            .unwrap_or_else(|| panic!("no bar in {line:?}"))
    };
    let left = lines.iter().map(|line| bar_start(line)).min().unwrap_or(0);
    // (indentation, ID, service) of the line's ancestors.
    let mut ancestors: Vec<(usize, u64, String)> = Vec::new();
    (1_u64..)
        .zip(&lines)
        .map(|(n, line)| {
            let from = bar_start(line);
            let to = if line.as_bytes()[from] == b'|' {
                from
            } else {
                line.find(']')
                    .unwrap_or_else(|| panic!("no end of the bar in {line:?}"))
            };
            let indent = line.len() - line.trim_start().len() - margin;
            ancestors.retain(|(above, ..)| *above < indent);
            let label = line[..from].trim();
            let (service, name) = label.split_once(' ').unwrap_or((label, label));
            let parent = ancestors.last();
            let kind = if parent.is_none_or(|(.., above)| above != service) {
                SpanKind::Server
            } else {
                SpanKind::Internal
            };
            let mut span = SpanBuilder::new(n, name.trim())
                .service(service)
                .kind(kind)
                .at((from - left) as u64, (to - left) as u64);
            if let Some((_, id, _)) = parent {
                span = span.parent(*id);
            }
            for word in line[to + 1..].split_whitespace() {
                span = match (word, word.split_once('=')) {
                    ("server", _) => span.kind(SpanKind::Server),
                    ("client", _) => span.kind(SpanKind::Client),
                    ("internal", _) => span.kind(SpanKind::Internal),
                    ("producer", _) => span.kind(SpanKind::Producer),
                    ("consumer", _) => span.kind(SpanKind::Consumer),
                    ("error", _) => span.error(""),
                    ("orphan", _) => span.parent(u64::MAX),
                    (_, Some(("instance", instance))) => span.instance(instance),
                    (_, Some(("link", n))) => span.link(n.parse().expect("a line number")),
                    (_, Some((key, value))) => span.attribute(key, value),
                    _ => panic!("what is {word:?} in {line:?}?"),
                };
            }
            ancestors.push((indent, n, service.to_owned()));
            span
        })
        .collect()
}

/// Any trace of up to `n_spans_max` spans: orphans, cycles, duplicates, shared ids, several roots,
/// spans that end before they start, children outside their parents.
pub fn any_trace(n_spans_max: usize) -> impl Strategy<Value = Trace> {
    let span = (
        1..=n_spans_max as u64 + 3,
        0..=n_spans_max as u64 + 3,
        0..60_u64,
        0..60_u64,
        0..4_usize,
        0..6_i32,
        0..8_u8,
    );
    prop::collection::vec(span, 1..=n_spans_max).prop_map(|spans| {
        trace_of(
            spans
                .into_iter()
                .map(|(id, parent, start, end, service, kind, extra)| {
                    let mut span = SpanBuilder::new(id, ["a", "b", "c"][usize::from(extra % 3)])
                        .at(start, end)
                        .service(["web", "shop", "stock", "bank"][service])
                        .kind(SpanKind::from_number(kind));
                    if parent > 0 {
                        span = span.parent(parent);
                    }
                    if extra == 7 {
                        span = span.link(parent.max(1)).error("").instance("2");
                    }
                    span
                }),
        )
    })
}
