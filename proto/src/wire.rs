//! OTLP over the wire: export requests walked without decoding them, stored traces decoded.
//!
//! An [`ExportRequest`] keeps the bytes it came in and knows where each span lies in them, so that
//! what is stored is what was sent, unknown fields included.

use std::ops::Range;

use bytes::Bytes;

use crate::trace::TraceParts;
use crate::{SpanId, SpanKind, StatusCode, TraceId, UnixNanos};

/// Why bytes are not a protobuf message of the expected shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("message is cut off at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
}

/// An `ExportTraceServiceRequest`, walked and checked.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    bytes: Bytes,
    spans: Vec<SpanSlice>,
    rejections: Rejections,
}

/// An accepted span of an export request: what is read on the way in, and where its bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSlice {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its ID.
    pub span_id: SpanId,
    /// Its parent's ID.
    pub parent_id: Option<SpanId>,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended, as sent.
    pub end: UnixNanos,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// How it ended.
    pub status: StatusCode,
    /// Its name's bytes in the request; not always UTF-8.
    pub name: Range<usize>,
    /// Its message's bytes in the request.
    pub message: Range<usize>,
}

impl ExportRequest {
    /// Walks an export request. Spans that are refused are counted in [`Self::rejections`].
    ///
    /// # Errors
    /// When the bytes are not an `ExportTraceServiceRequest` at all.
    pub fn parse(_bytes: Bytes) -> Result<Self, WireError> {
        todo!()
    }

    /// The bytes it came in.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The accepted spans, in the order sent.
    pub fn spans(&self) -> &[SpanSlice] {
        &self.spans
    }

    /// The refused spans.
    pub fn rejections(&self) -> &Rejections {
        &self.rejections
    }

    /// Adds refusals that were found before the request had this form (a JSON reader's).
    pub fn add_rejections(&mut self, _rejections: &Rejections) {
        todo!()
    }

    /// The accepted spans by trace, each trace's as one OTLP `TracesData` message with the bytes of
    /// resources, scopes and spans as sent; traces in order of first appearance. Such messages of
    /// one trace can be joined end to end: protobuf reads the whole as one message.
    pub fn by_trace(&self) -> Vec<(TraceId, Vec<u8>)> {
        todo!()
    }
}

/// Decodes a `TracesData` message (or several joined end to end) into the parts of a trace. Spans
/// of other traces than `trace_id` and spans an [`ExportRequest`] would refuse are left out;
/// resources and scopes that are equal byte for byte are one. Text that is not UTF-8 gets
/// replacement characters; a damaged field inside a span or resource ends that message there.
///
/// # Errors
/// When the bytes are not a `TracesData` at all.
pub fn decode_traces(_trace_id: TraceId, _traces_data: &[u8]) -> Result<TraceParts, WireError> {
    todo!()
}

/// The spans of an export request that are refused, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejections(Vec<(RejectReason, u64)>);

/// Why one span is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// The trace ID has not 16 bytes, or is all zero.
    TraceId,
    /// The span ID has not 8 bytes, or is all zero.
    SpanId,
    /// The parent's ID is there and has not 8 bytes.
    ParentId,
    /// The span is not of the shape OTLP says.
    Malformed,
}

impl RejectReason {
    /// The reason's name in metrics: `trace_id`, `span_id`, `parent_id`, `malformed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::ParentId => "parent_id",
            Self::Malformed => "malformed",
        }
    }
}

impl Rejections {
    /// Counts one more.
    pub fn add(&mut self, _reason: RejectReason, _count: u64) {
        todo!()
    }

    /// How many spans are refused in all.
    pub fn total(&self) -> u64 {
        todo!()
    }

    /// The counts by reason.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The sentence for `partial_success.error_message`, such as `2 spans refused: invalid trace ID
    /// (not 16 bytes, or all zero)`; empty when nothing is refused.
    pub fn message(&self) -> String {
        todo!()
    }
}
