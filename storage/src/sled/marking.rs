//! Deletes traces, and pins them.

use longpole_proto::{TraceId, UnixNanos};

use super::core::Core;
use super::marks::Deletion;
use crate::StorageError;

/// What is pinned may take this part of the data directory.
const PINNED_PART: u64 = 4;

impl Core {
    /// How many bytes all that is pinned may have.
    pub(super) fn pinned_bytes_max(&self) -> u64 {
        self.settings.disk_bytes_max / PINNED_PART
    }

    /// Deletes everything of a trace that was taken in so far; says whether there was anything.
    ///
    /// # Errors
    /// When the disk fails, and when as many traces are deleted as may be.
    pub(super) fn delete(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        let mut marks = self.marks.lock();
        // What is in memory does not become a block meanwhile, of which the mark would not know.
        let _nobody_seals = self.turn.lock();
        self.check()?;
        let (seq, is_live, view) = {
            let state = self.state.lock();
            let is_live = state.live.get(trace_id).is_some();
            (state.applied, is_live, state.view.clone())
        };
        let fragments = view.fragments(trace_id)?;
        if fragments.is_empty() && !is_live {
            return Ok(false);
        }
        let until = view.active().map_or(0, |of| of.partition.number());
        let fragments = fragments.iter().map(|fragment| {
            // Damage does not keep a trace from being deleted: it only is not known what that was.
            let n_spans = fragment.n_spans(trace_id).unwrap_or(0);
            (fragment.place(), n_spans)
        });
        let deletion = Deletion {
            trace_id,
            seq,
            until,
            fragments: fragments.collect(),
            now: self.settings.clock.now(),
        };
        marks.delete(&deletion, &*self.files)?;
        let mut state = self.state.lock();
        let now = self.settings.clock.elapsed();
        state.live.forget(trace_id, seq, now, &self.settings);
        state.view.set_deleted(marks.deleted());
        Ok(true)
    }

    /// When a trace was deleted the last time, as long as anything stored may be of it.
    pub(super) fn deleted(&self, trace_id: TraceId) -> Option<UnixNanos> {
        let deleted = self.state.lock().view.deleted();
        deleted.get(trace_id).map(|of| of.at)
    }

    /// Pins a trace: it is kept when its partition goes. Says whether there is such a trace.
    ///
    /// # Errors
    /// When the disk fails, and when as much is pinned as may be.
    pub(super) fn pin(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        // No partition goes while they are held.
        let mut marks = self.marks.lock();
        let Some(trace) = self.trace(trace_id)? else {
            return Ok(false);
        };
        let (n_bytes, bytes_max) = (trace.otlp.len() as u64, self.pinned_bytes_max());
        let now = self.settings.clock.now();
        marks.pin(trace_id, n_bytes, bytes_max, now, &*self.files)?;
        Ok(true)
    }

    /// Pins a trace no more; says whether it was pinned.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn unpin(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        self.marks.lock().unpin(trace_id, &*self.files)
    }

    /// The traces that are pinned.
    pub(super) fn pinned(&self) -> Vec<TraceId> {
        self.marks.lock().pinned()
    }

    /// Says that so many marks could not be read.
    pub(super) fn note_damaged_marks(&self, n_damaged: u64) {
        if n_damaged == 0 {
            return;
        }
        let reason = format!(
            "{n_damaged} marks are damaged: traces that were deleted may be there again, and others be pinned no \
             more"
        );
        tracing::error!("{reason}");
        let now = self.settings.clock.now();
        self.history.damaged(now, &self.paths.marks, &reason);
    }

    /// Forgets what was deleted and is gone by now.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn forget_marks(&self) -> Result<(), StorageError> {
        let mut marks = self.marks.lock();
        let oldest = {
            let state = self.state.lock();
            let oldest = state.view.partitions().first();
            oldest.map_or(0, |of| of.partition.number())
        };
        if marks.forget_before(oldest, &*self.files)? {
            self.state.lock().view.set_deleted(marks.deleted());
        }
        Ok(())
    }
}
