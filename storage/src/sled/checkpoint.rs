//! Makes the database durable now and then, so that the log need not be kept.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use longpole_proto::TraceId;
use parking_lot::{Condvar, Mutex};

use super::db::{Db, Synced, guarded};
use super::files::Files;
use super::index::{Index, Progress};
use super::io_error;
use super::log::Log;
use crate::StorageError;

/// How often what changed is made durable; the log holds about twice as much.
const INTERVAL: Duration = Duration::from_secs(2);

/// A log segment that holds less than this is kept and filled further: what a restart replays in
/// a few hundred milliseconds.
const ROLL_BYTES_MIN: u64 = 4 << 20;

/// The name in the tree `meta` of the sequence up to which everything is applied.
const APPLIED: &str = "applied";

/// Makes checkpoints of a database, one at a time.
pub(super) struct Checkpoints {
    db: Arc<Db>,
    index: Arc<Index>,
    log: Arc<Log>,
    files: Arc<dyn Files>,
    last: Mutex<Last>,
    is_stopping: Mutex<bool>,
    stopping: Condvar,
}

/// What the last checkpoint did.
#[derive(Default)]
struct Last {
    progress: Progress,
    synced: Synced,
}

/// Reads up to which sequence the last checkpoint's chunks go, and which traces' entries were
/// behind it.
///
/// # Errors
/// When sled fails or either is damaged.
pub(super) fn read(db: &Db) -> Result<(u64, Vec<TraceId>), StorageError> {
    let damaged = |what: &str| StorageError::Damaged {
        what: what.to_owned(),
    };
    let applied = match guarded(|| db.meta.get(APPLIED))? {
        None => 0,
        Some(bytes) => {
            let bytes = bytes
                .as_ref()
                .try_into()
                .map_err(|_| damaged("the last sequence applied"))?;
            u64::from_be_bytes(bytes)
        }
    };
    let mut stale = Vec::new();
    let mut keys = db.stale.iter().keys();
    while let Some(key) = guarded(|| keys.next().transpose())? {
        stale.push(TraceId::from_slice(&key).map_err(|_| damaged("the ID of a stale trace"))?);
    }
    Ok((applied, stale))
}

impl Checkpoints {
    /// Checkpoints of a database whose last one left `stale` traces behind.
    pub(super) fn new(
        db: Arc<Db>,
        index: Arc<Index>,
        log: Arc<Log>,
        files: Arc<dyn Files>,
        stale: Vec<TraceId>,
    ) -> Self {
        let progress = Progress {
            stale: stale.into_iter().collect(),
            ..Progress::default()
        };
        Self {
            db,
            index,
            log,
            files,
            last: Mutex::new(Last {
                progress,
                synced: Synced::default(),
            }),
            is_stopping: Mutex::new(false),
            stopping: Condvar::new(),
        }
    }

    /// Makes all that is applied durable, and forgets the log segments that hold nothing else.
    ///
    /// # Errors
    /// When sled or the disk fails; the log then stays as it is.
    pub(super) fn make(&self) -> Result<(), StorageError> {
        let mut last = self.last.lock();
        let progress = self.index.progress();
        if progress != last.progress {
            let old = &last.progress.stale;
            let mut batch = sled::Batch::default();
            for trace_id in progress.stale.difference(old) {
                batch.insert(trace_id.as_bytes(), &[]);
            }
            for trace_id in old.difference(&progress.stale) {
                batch.remove(trace_id.as_bytes());
            }
            guarded(|| self.db.stale.apply_batch(batch))?;
            guarded(|| {
                self.db
                    .meta
                    .insert(APPLIED, &progress.applied.to_be_bytes())
            })?;
            self.db.sync(&*self.files, &mut last.synced)?;
            last.progress = progress;
        }
        self.log.forget_through(last.progress.applied)?;
        if self.log.current_bytes() >= ROLL_BYTES_MIN {
            self.log.roll();
        }
        Ok(())
    }

    /// Starts the thread that makes one every few seconds, until [`Self::stop`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        let checkpoints = Arc::clone(self);
        std::thread::Builder::new()
            .name("longpole-checkpoint".to_owned())
            .spawn(move || checkpoints.run())
            .map_err(io_error("start a thread for", self.db.dir()))
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        *self.is_stopping.lock() = true;
        self.stopping.notify_all();
    }

    fn run(&self) {
        let mut is_stopping = self.is_stopping.lock();
        while !*is_stopping {
            let is_time = self
                .stopping
                .wait_for(&mut is_stopping, INTERVAL)
                .timed_out();
            if is_time && !*is_stopping {
                drop(is_stopping);
                if let Err(error) = self.make() {
                    tracing::error!(%error, "a checkpoint failed; the log is kept");
                }
                is_stopping = self.is_stopping.lock();
            }
        }
    }
}
