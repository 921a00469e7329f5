//! What export requests brought, kept as it came until the last of its traces is sealed.

use std::sync::Arc;

use longpole_proto::UnixNanos;
use longpole_proto::wire::{ByTrace, ExportRequest, TraceSpans};

use super::budget::{Budget, Taken};

/// What a request takes for each of its spans besides its bytes.
const SPAN_BYTES: u64 = 80;

/// What it takes besides that.
const REQUEST_BYTES: u64 = 512;

/// An export request that the log has.
#[derive(Debug)]
pub(super) struct Received {
    /// Where the log has it.
    pub(super) seq: u64,
    /// When it came.
    pub(super) time: UnixNanos,
    pub(super) by_trace: ByTrace,
    _taken: Taken,
}

impl Received {
    /// Takes what it needs from `memory`.
    pub(super) fn new(
        seq: u64,
        time: UnixNanos,
        request: ExportRequest,
        memory: &Budget,
    ) -> Arc<Self> {
        let n_bytes = request.bytes().len() as u64;
        let n_spans = request.spans().len() as u64;
        Arc::new(Self {
            seq,
            time,
            by_trace: request.by_trace(),
            _taken: memory.take_anyway(n_bytes + n_spans * SPAN_BYTES + REQUEST_BYTES),
        })
    }

    /// What it brought, trace by trace.
    pub(super) fn chunks(self: &Arc<Self>) -> impl Iterator<Item = Chunk> {
        (0_u32..)
            .zip(0..self.by_trace.n_traces())
            .map(|(number, _)| Chunk {
                from: Arc::clone(self),
                number,
            })
    }
}

/// What one export request brought for one trace.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    from: Arc<Received>,
    number: u32,
}

impl Chunk {
    /// The request.
    pub(super) fn from(&self) -> &Arc<Received> {
        &self.from
    }

    /// Where the log has it.
    pub(super) fn seq(&self) -> u64 {
        self.from.seq
    }

    /// When it came.
    pub(super) fn received(&self) -> UnixNanos {
        self.from.time
    }

    /// Its spans.
    pub(super) fn spans(&self) -> TraceSpans<'_> {
        self.from.by_trace.trace(self.number as usize)
    }
}
