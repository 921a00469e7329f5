//! What is pinned stays when its partition goes: it is appended once more before, as if it came now.

use std::sync::{Arc, mpsc};

use longpole_proto::TraceId;
use longpole_proto::wire::ExportRequest;

use super::Keeper;
use crate::sled::apply::Durable;
use crate::sled::budget::Budget;
use crate::sled::core::read_trace;
use crate::sled::log::Logged;
use crate::sled::view::{PartitionView, View};
use crate::{Appended, StorageError, StoredTrace};

impl Keeper {
    /// Appends what a partition has of pinned traces once more, so that it can go. Says how many bytes
    /// that is before they are compressed.
    ///
    /// # Errors
    /// When it is not durable: then the partition must stay.
    pub(super) fn save_pinned(
        &self,
        of: &PartitionView,
        pinned: &[TraceId],
    ) -> Result<u64, StorageError> {
        let core = &self.core;
        let bytes_max = core.pinned_bytes_max();
        let mut saved_bytes = 0;
        let mut part = View::new(vec![of.clone()]);
        part.set_deleted(core.state.lock().view.deleted());
        for &trace_id in pinned {
            let lost = match self.save(trace_id, &part, bytes_max - saved_bytes) {
                Ok(n_bytes) => {
                    saved_bytes += n_bytes;
                    continue;
                }
                Err(lost @ (StorageError::Damaged { .. } | StorageError::TooLarge { .. })) => lost,
                Err(error) => return Err(error),
            };
            tracing::error!(error = %lost, %trace_id, "a part of a pinned trace goes with its partition");
            let reason = format!("a part of pinned trace {trace_id} went with it: {lost}");
            let now = core.settings.clock.now();
            core.history.damaged(now, of.partition.dir(), &reason);
        }
        Ok(saved_bytes)
    }

    /// Appends what a view has of a trace, and says how many bytes that is.
    fn save(&self, trace_id: TraceId, part: &View, bytes_max: u64) -> Result<u64, StorageError> {
        let Some(trace) = read_trace(trace_id, &[], part)?.finish() else {
            return Ok(0);
        };
        let n_bytes = trace.otlp.len() as u64;
        // It may have grown since it was pinned.
        if n_bytes > bytes_max {
            return Err(StorageError::TooLarge {
                what: "what is pinned in a partition",
                bytes: n_bytes,
                limit_bytes: bytes_max,
            });
        }
        self.append(trace)?;
        Ok(n_bytes)
    }

    /// Appends a trace, as when it was received, and waits until that is as durable as any append.
    fn append(&self, trace: StoredTrace) -> Result<(), StorageError> {
        let received = trace.last_received;
        let request = ExportRequest::parse(trace.otlp).map_err(|error| StorageError::Damaged {
            what: format!("the spans of trace {}: {error}", trace.trace_id),
        })?;
        let (sender, answer) = mpsc::sync_channel(1);
        let applier = Arc::clone(&self.applier);
        let body = request.bytes().clone();
        let written = move |result: Result<Logged, StorageError>| {
            let done = Box::new(move |result: Result<Appended, StorageError>| {
                // Nobody but the keeper can wait no more, at the end of the process.
                sender.send(result.map(drop)).ok();
            });
            match result {
                Ok(Logged { seq, .. }) => applier.append(Box::new(Durable {
                    seq,
                    request,
                    received,
                    done,
                    // One at a time.
                    taken: Budget::new(u64::MAX).take_anyway(0),
                })),
                Err(error) => done(Err(error)),
            }
        };
        self.log.append_anew(body, received, Box::new(written));
        answer.recv().unwrap_or(Err(StorageError::Closed))
    }
}
