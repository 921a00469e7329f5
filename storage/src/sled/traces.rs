//! Traces put together from their pieces.

use longpole_analysis::PEER_KEYS;
use longpole_proto::wire::decode_outline;
use longpole_proto::{Trace, TraceId, UnixNanos};

use super::received::Chunk;
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
        self.reserve(traces_data.len())?;
        self.otlp.extend_from_slice(traces_data);
        Ok(())
    }

    fn reserve(&mut self, more_bytes: usize) -> Result<(), StorageError> {
        let n_bytes = self.otlp.len() as u64 + more_bytes as u64;
        if n_bytes > TRACE_BYTES_MAX {
            return Err(StorageError::TooLarge {
                what: "trace",
                bytes: n_bytes,
                limit_bytes: TRACE_BYTES_MAX,
            });
        }
        self.otlp.reserve(more_bytes);
        Ok(())
    }

    /// Appends chunks.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn push_chunks(&mut self, chunks: &[Chunk]) -> Result<(), StorageError> {
        chunks.iter().try_for_each(|chunk| {
            self.received(chunk.received());
            self.reserve(chunk.spans().message_len())?;
            chunk.spans().write_message(&mut self.otlp);
            Ok(())
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
