//! What a query can ask about.

use std::fmt;

/// Something of a span or request that a query asks about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// A property every span has.
    Span(SpanField),
    /// A property of the request.
    Request(RequestField),
    /// An attribute.
    Attribute {
        /// Whose.
        scope: Scope,
        /// Its name, as given; old and new names of one thing find each other when matching.
        key: String,
    },
}

impl Field {
    /// The attribute `key` of `scope`.
    pub fn attribute(scope: Scope, key: impl Into<String>) -> Self {
        Self::Attribute {
            scope,
            key: key.into(),
        }
    }

    pub(super) const fn sort(&self) -> Sort {
        match self {
            Self::Span(field) => field.sort(),
            Self::Request(field) => field.sort(),
            Self::Attribute { .. } => Sort::Attribute,
        }
    }
}

impl From<SpanField> for Field {
    fn from(field: SpanField) -> Self {
        Self::Span(field)
    }
}

impl From<RequestField> for Field {
    fn from(field: RequestField) -> Self {
        Self::Request(field)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Span(field) => f.write_str(field.name()),
            Self::Request(field) => f.write_str(field.name()),
            Self::Attribute {
                scope: Scope::Any,
                key,
            } => f.write_str(key),
            Self::Attribute { scope, key } => write!(f, "{}.{key}", scope.name()),
        }
    }
}

/// Whose attribute it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Any of the others'.
    Any,
    /// The span's.
    Span,
    /// Its resource's.
    Resource,
    /// One of its events'.
    Event,
    /// One of its links'.
    Link,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [
        Self::Any,
        Self::Span,
        Self::Resource,
        Self::Event,
        Self::Link,
    ];

    /// Its name; empty for any.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Event => "event",
            Self::Link => "link",
        }
    }
}

/// A property every span has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanField {
    /// Its name; text.
    Name,
    /// Its kind: `server`, `client`, …; compares with text in any case.
    Kind,
    /// Its status: `unset`, `ok` or `error`; compares with text in any case.
    Status,
    /// Its status's message; text, absent when empty.
    StatusMessage,
    /// Its duration.
    Duration,
    /// Its self time.
    SelfTime,
    /// Its service: the resource's `service.name`, or `unknown_service`; text.
    Service,
    /// Its ID; compares with 16 hex digits.
    SpanId,
    /// Its parent's ID as sent, absent when there is none; compares with 16 hex digits.
    ParentId,
    /// The names of its events; text.
    EventName,
}

impl SpanField {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Name,
        Self::Kind,
        Self::Status,
        Self::StatusMessage,
        Self::Duration,
        Self::SelfTime,
        Self::Service,
        Self::SpanId,
        Self::ParentId,
        Self::EventName,
    ];

    /// How it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Kind => "kind",
            Self::Status => "status",
            Self::StatusMessage => "statusMessage",
            Self::Duration => "duration",
            Self::SelfTime => "selfTime",
            Self::Service => "service",
            Self::SpanId => "spanId",
            Self::ParentId => "parentId",
            Self::EventName => "eventName",
        }
    }

    pub(super) const fn sort(self) -> Sort {
        match self {
            Self::Name | Self::StatusMessage | Self::Service | Self::EventName => Sort::Text,
            Self::Kind => Sort::Choice {
                of: &[
                    "unspecified",
                    "internal",
                    "server",
                    "client",
                    "producer",
                    "consumer",
                ],
                expected: "unspecified, internal, server, client, producer or consumer",
            },
            Self::Status => Sort::Choice {
                of: &["unset", "ok", "error"],
                expected: "unset, ok or error",
            },
            Self::Duration | Self::SelfTime => Sort::Duration,
            Self::SpanId | Self::ParentId => Sort::SpanId,
        }
    }
}

/// A property of the request: of the trace seen from its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestField {
    /// The trace's ID; compares with 32 hex digits (16 are padded on the left).
    Id,
    /// The root's start; nanoseconds since the Unix epoch.
    Start,
    /// The root's duration.
    Duration,
    /// The root's service; text.
    RootService,
    /// The root's name; text.
    RootName,
    /// How many spans the trace has.
    Spans,
    /// How many of them failed.
    Errors,
    /// The services that have spans in the trace; text.
    Service,
    /// The slowest hop's service; text.
    SlowestHopService,
    /// The slowest hop's name; text.
    SlowestHopName,
    /// The slowest hop's time.
    SlowestHopDuration,
    /// The culprit's service; text.
    CulpritService,
    /// The culprit's name; text.
    CulpritName,
    /// Whom the culprit calls, absent when that has a span of its own; text.
    CulpritPeer,
}

impl RequestField {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Id,
        Self::Start,
        Self::Duration,
        Self::RootService,
        Self::RootName,
        Self::Spans,
        Self::Errors,
        Self::Service,
        Self::SlowestHopService,
        Self::SlowestHopName,
        Self::SlowestHopDuration,
        Self::CulpritService,
        Self::CulpritName,
        Self::CulpritPeer,
    ];

    /// How it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "trace.id",
            Self::Start => "trace.start",
            Self::Duration => "trace.duration",
            Self::RootService => "trace.rootService",
            Self::RootName => "trace.rootName",
            Self::Spans => "trace.spans",
            Self::Errors => "trace.errors",
            Self::Service => "trace.service",
            Self::SlowestHopService => "trace.slowestHopService",
            Self::SlowestHopName => "trace.slowestHopName",
            Self::SlowestHopDuration => "trace.slowestHopDuration",
            Self::CulpritService => "trace.culpritService",
            Self::CulpritName => "trace.culpritName",
            Self::CulpritPeer => "trace.culpritPeer",
        }
    }

    pub(super) const fn sort(self) -> Sort {
        match self {
            Self::Id => Sort::TraceId,
            Self::Start | Self::Spans | Self::Errors => Sort::Count,
            Self::Duration | Self::SlowestHopDuration => Sort::Duration,
            Self::RootService
            | Self::RootName
            | Self::Service
            | Self::SlowestHopService
            | Self::SlowestHopName
            | Self::CulpritService
            | Self::CulpritName
            | Self::CulpritPeer => Sort::Text,
        }
    }

    /// Whether a trace must be analysed to know it.
    pub(super) const fn needs_analysis(self) -> bool {
        matches!(
            self,
            Self::SlowestHopService
                | Self::SlowestHopName
                | Self::SlowestHopDuration
                | Self::CulpritService
                | Self::CulpritName
                | Self::CulpritPeer
        )
    }
}

/// What sort of values a field has, and so what it compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Whatever was sent.
    Attribute,
    /// Text; no order.
    Text,
    /// One of a few words.
    Choice {
        of: &'static [&'static str],
        expected: &'static str,
    },
    /// A whole number of nanoseconds.
    Duration,
    /// A whole number.
    Count,
    /// 16 hex digits.
    SpanId,
    /// 32 hex digits.
    TraceId,
}
