//! What happened since the store was opened, for whoever asks how it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longpole_proto::UnixNanos;
use parking_lot::Mutex;

use super::log::Recovery;
use crate::{Damage, RecoveryStatus, Removal, RemovedStatus};

/// How many pieces are told one by one.
const PIECES_MAX: usize = 100;

/// What happened; small whatever did.
#[derive(Debug)]
pub(super) struct History {
    data_dir: PathBuf,
    opened: UnixNanos,
    /// How many requests were acknowledged that had been taken in before.
    n_retries: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    recovery: RecoveryStatus,
    removed: RemovedStatus,
    damaged: Vec<Damage>,
}

impl History {
    /// The history of a store that is opened now for the first time.
    pub(super) fn new(data_dir: &Path, opened: UnixNanos) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            opened,
            n_retries: AtomicU64::new(0),
            notes: Mutex::default(),
        }
    }

    /// Notes that the store is opened, once more after it failed.
    pub(super) fn opening(&self) {
        // Opening it finds again what of it is still there.
        self.notes.lock().damaged.clear();
    }

    /// When the store was opened.
    pub(super) fn opened(&self) -> UnixNanos {
        self.opened
    }

    /// Notes that a retry was acknowledged.
    pub(super) fn retried(&self) {
        self.n_retries.fetch_add(1, Ordering::Relaxed);
    }

    /// How many retries were acknowledged.
    pub(super) fn n_retries(&self) -> u64 {
        self.n_retries.load(Ordering::Relaxed)
    }

    /// Notes what opening the store did: how long it took, what the log was like, and the rest.
    pub(super) fn recovered(&self, took: Duration, log: &Recovery, rest: RecoveryStatus) {
        for stretch in &log.damaged {
            let reason = format!(
                "bytes {} to {} are damaged and were skipped",
                stretch.bytes.start, stretch.bytes.end
            );
            self.damaged(self.opened, &stretch.path, &reason);
        }
        self.notes.lock().recovery = RecoveryStatus {
            took,
            n_requests: log.n_frames,
            n_skipped: log.n_damaged,
            torn_bytes: log.torn_bytes,
            ..rest
        };
    }

    /// What opening the store did.
    pub(super) fn recovery(&self) -> RecoveryStatus {
        self.notes.lock().recovery
    }

    /// Notes that a partition was removed.
    pub(super) fn removed(&self, removal: Removal) {
        let removed = &mut self.notes.lock().removed;
        removed.n_partitions += 1;
        removed.n_spans += removal.n_spans;
        removed.last = Some(removal);
    }

    /// What was removed.
    pub(super) fn all_removed(&self) -> RemovedStatus {
        self.notes.lock().removed.clone()
    }

    /// Notes that something could not be read.
    pub(super) fn damaged(&self, found: UnixNanos, path: &Path, reason: &str) {
        let mut notes = self.notes.lock();
        if notes.damaged.len() < PIECES_MAX {
            notes.damaged.push(Damage {
                found,
                path: self.relative(path),
                reason: self.without_data_dir(reason),
            });
        }
    }

    /// What could not be read.
    pub(super) fn all_damaged(&self) -> Vec<Damage> {
        self.notes.lock().damaged.clone()
    }

    /// A path within the data directory.
    pub(super) fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.data_dir).unwrap_or(path).to_owned()
    }

    /// A text in which paths are within the data directory.
    pub(super) fn without_data_dir(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.data_dir.display()), "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_damage_is_told_and_with_paths_in_the_data_directory() {
        let history = History::new(Path::new("/var/lib/longpole"), UnixNanos(1));
        for n in 0..PIECES_MAX as u64 + 5 {
            let path = format!("/var/lib/longpole/log/{n:08}.log");
            let reason = format!("{path} and /var/log are damaged");
            history.damaged(UnixNanos(n), Path::new(&path), &reason);
        }
        let damaged = history.all_damaged();
        assert_eq!(damaged.len(), PIECES_MAX);
        assert_eq!(
            damaged[7],
            Damage {
                found: UnixNanos(7),
                path: "log/00000007.log".into(),
                reason: "log/00000007.log and /var/log are damaged".into(),
            }
        );
    }
}
