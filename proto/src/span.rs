//! One span as OTLP has it, decoded ([trace.proto]).
//!
//! [trace.proto]: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto

use std::sync::Arc;

use crate::{Attributes, SpanId, TraceId, UnixNanos};

/// A span: one piece of work of a request. Its trace ID is its [`Trace`](crate::Trace)'s.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The span's ID, unique in its trace save for duplicates and shared Zipkin ids.
    pub span_id: SpanId,
    /// The span this one was started from, wherever that is; `None` for a root.
    pub parent_id: Option<SpanId>,
    /// W3C `tracestate`; empty when not said.
    pub trace_state: String,
    /// W3C trace flags and OTLP's bits above them.
    pub flags: u32,
    /// What the work is called; shared by the spans of an operation where they are many.
    pub name: Arc<str>,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended, as sent: may lie before `start`.
    pub end: UnixNanos,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// What happened during it, in the order sent.
    pub events: Vec<Event>,
    /// How many events the sender left out.
    pub dropped_events_count: u32,
    /// Spans it relates to, in this or other traces.
    pub links: Vec<Link>,
    /// How many links the sender left out.
    pub dropped_links_count: u32,
    /// How it ended.
    pub status: Status,
    /// Its resource, as an index into its trace's resources.
    pub resource_idx: u32,
    /// Its scope, as an index into its trace's scopes.
    pub scope_idx: u32,
}

impl Span {
    /// How long it took; 0 when it ends before it starts.
    pub fn duration_nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }

    /// Whether its status is an error.
    pub fn is_error(&self) -> bool {
        self.status.code == StatusCode::Error
    }
}

/// Which side of a call a span is ([SpanKind]).
///
/// [SpanKind]: https://opentelemetry.io/docs/specs/otel/trace/api/#spankind
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum SpanKind {
    /// Not said, or a number this version does not know.
    #[default]
    Unspecified,
    /// Work inside a process.
    Internal,
    /// Serves a remote request.
    Server,
    /// Makes a remote request.
    Client,
    /// Sends a message that is handled later.
    Producer,
    /// Handles a message.
    Consumer,
}

impl SpanKind {
    /// The kind behind OTLP's number; unknown ones are [`Self::Unspecified`].
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// OTLP's number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Unspecified => 0,
            Self::Internal => 1,
            Self::Server => 2,
            Self::Client => 3,
            Self::Producer => 4,
            Self::Consumer => 5,
        }
    }

    /// The kind's name in lower case, as pages and Jaeger's `span.kind` show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// Unset, ok or error.
    pub code: StatusCode,
    /// What went wrong, in the application's words.
    pub message: String,
}

/// The status's code ([Set status]).
///
/// [Set status]: https://opentelemetry.io/docs/specs/otel/trace/api/#set-status
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StatusCode {
    /// Nobody said.
    #[default]
    Unset,
    /// The application said it went well.
    Ok,
    /// It failed.
    Error,
}

impl StatusCode {
    /// The code behind OTLP's number; unknown ones are [`Self::Unset`].
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }

    /// OTLP's number.
    pub const fn number(self) -> i32 {
        match self {
            Self::Unset => 0,
            Self::Ok => 1,
            Self::Error => 2,
        }
    }
}

/// Something that happened during a span, at one point in time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// When.
    pub time: UnixNanos,
    /// What; `exception` for an exception.
    pub name: String,
    /// Its attributes (`exception.type`, `exception.message`, `exception.stacktrace`).
    pub attributes: Attributes,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
}

/// A pointer to a span of this or another trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other span's trace; `None` when what was sent is no ID.
    pub trace_id: Option<TraceId>,
    /// The other span; `None` when what was sent is no ID.
    pub span_id: Option<SpanId>,
    /// W3C `tracestate`; empty when not said.
    pub trace_state: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// How many attributes the sender left out.
    pub dropped_attributes_count: u32,
    /// W3C trace flags.
    pub flags: u32,
}
