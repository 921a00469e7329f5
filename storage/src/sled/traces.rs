//! Traces put together from their pieces, and taken apart into spans.

use std::borrow::Cow;

use longpole_analysis::PEER_KEYS;
use longpole_proto::wire::reader::Reader;
use longpole_proto::wire::{WireError, decode_outline};
use longpole_proto::{Trace, TraceId, UnixNanos};

use super::live::Chunk;
use crate::{StorageError, StoredTrace};

/// The largest trace that is given back whole, its spans' bytes: an export request of the largest
/// size twice over. Reading one holds it in memory, decoding it takes many times that.
pub(super) const TRACE_BYTES_MAX: u64 = 128 << 20;

/// A trace being put together in order of sequence.
#[derive(Debug)]
pub(super) struct TraceBuilder {
    trace_id: TraceId,
    otlp: Vec<u8>,
    received: Option<(UnixNanos, UnixNanos)>,
}

impl TraceBuilder {
    /// A trace without spans.
    pub(super) fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            otlp: Vec::new(),
            received: None,
        }
    }

    /// Which trace it is.
    pub(super) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Takes in when some of it was received.
    pub(super) fn received(&mut self, received: UnixNanos) {
        self.received = Some(match self.received {
            None => (received, received),
            Some((first, last)) => (first.min(received), last.max(received)),
        });
    }

    /// Appends a `TracesData` message.
    ///
    /// # Errors
    /// When the trace becomes larger than [`TRACE_BYTES_MAX`].
    pub(super) fn push(&mut self, traces_data: &[u8]) -> Result<(), StorageError> {
        let n_bytes = self.otlp.len() as u64 + traces_data.len() as u64;
        if n_bytes > TRACE_BYTES_MAX {
            return Err(StorageError::TooLarge {
                what: "trace",
                bytes: n_bytes,
                limit_bytes: TRACE_BYTES_MAX,
            });
        }
        self.otlp.extend_from_slice(traces_data);
        Ok(())
    }

    /// Appends chunks.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn push_chunks(&mut self, chunks: &[Chunk]) -> Result<(), StorageError> {
        chunks.iter().try_for_each(|chunk| {
            self.received(chunk.received);
            self.push(&chunk.data)
        })
    }

    /// The trace; `None` when nothing was received.
    pub(super) fn finish(self) -> Option<StoredTrace> {
        let (first_received, last_received) = self.received?;
        Some(StoredTrace {
            trace_id: self.trace_id,
            otlp: self.otlp.into(),
            first_received,
            last_received,
        })
    }

    /// As much of it as its summary needs.
    ///
    /// # Errors
    /// When it has no spans, or they are damaged.
    pub(super) fn outline(&self) -> Result<Trace, StorageError> {
        outline(self.trace_id, &self.otlp)
    }
}

/// As much of a trace as its summary needs.
///
/// # Errors
/// When it has no spans, or they are damaged.
pub(super) fn outline(trace_id: TraceId, traces_data: &[u8]) -> Result<Trace, StorageError> {
    decode_outline(trace_id, traces_data, &PEER_KEYS)
        .ok()
        .and_then(|parts| Trace::new(trace_id, parts))
        .ok_or_else(|| StorageError::Damaged {
            what: format!("the spans of trace {trace_id}"),
        })
}

/// A span's bytes: the own fields of its `ResourceSpans` and `ScopeSpans`, and its message.
pub(super) type SpanBytes<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>, &'a [u8]);

/// Appends the spans of a `TracesData` message.
///
/// # Errors
/// When it is none.
pub(super) fn spans_of<'a>(
    traces_data: &'a [u8],
    to: &mut Vec<SpanBytes<'a>>,
) -> Result<(), WireError> {
    for field in Reader::new(traces_data) {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        let (resource, scopes) = split(field.bytes()?)?;
        for scope_spans in scopes {
            let (scope, messages) = split(scope_spans)?;
            for message in messages {
                to.push((resource.clone(), scope.clone(), message));
            }
        }
    }
    Ok(())
}

/// Own fields, and nested messages.
type Split<'a> = (Cow<'a, [u8]>, Vec<&'a [u8]>);

/// A message's own fields, and the messages in its field 2.
fn split(message: &[u8]) -> Result<Split<'_>, WireError> {
    let mut own: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut nested = Vec::new();
    // Where the own fields end that stand in front, as all do that were split by trace.
    let mut front = 0;
    for field in Reader::new(message) {
        let field = field?;
        if field.number == 2 {
            nested.push(field.bytes()?);
        } else if field.whole.start == front {
            front = field.whole.end;
            own = Cow::Borrowed(&message[..front]);
        } else {
            own.to_mut().extend_from_slice(&message[field.whole]);
        }
    }
    Ok((own, nested))
}
