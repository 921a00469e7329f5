//! The housekeeping: checkpoints, closing partitions, letting the log forget, keeping the directory
//! within its bounds. One thread does it, every few seconds.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::io_error;
use super::log::Log;
use super::recover::{self, Mark};
use super::status;
use super::view::{PartitionView, View};
use crate::{Removal, RemovalReason, StorageError};

/// Something to do in each round.
type Step = fn(&Keeper) -> Result<(), StorageError>;

/// Keeps a store's directory in order.
pub(super) struct Keeper {
    core: Arc<Core>,
    log: Arc<Log>,
    /// What the last checkpoint made durable.
    last: Mutex<Option<Mark>>,
    is_stopping: Mutex<bool>,
    stopping: Condvar,
}

impl Keeper {
    /// A keeper without its thread.
    pub(super) fn new(core: Arc<Core>, log: Arc<Log>) -> Self {
        Self {
            core,
            log,
            last: Mutex::default(),
            is_stopping: Mutex::new(false),
            stopping: Condvar::new(),
        }
    }

    /// Starts the thread, which goes round until [`Self::stop`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        let keeper = Arc::clone(self);
        std::thread::Builder::new()
            .name("longpole-keep".to_owned())
            .spawn(move || keeper.run())
            .map_err(io_error("start a thread for", &self.core.paths.data))
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        *self.is_stopping.lock() = true;
        self.stopping.notify_all();
    }

    fn run(&self) {
        let mut is_stopping = self.is_stopping.lock();
        while !*is_stopping {
            let interval = self.core.settings.checkpoint_interval;
            let is_time = self
                .stopping
                .wait_for(&mut is_stopping, interval)
                .timed_out();
            if is_time && !*is_stopping {
                drop(is_stopping);
                self.go_round();
                is_stopping = self.is_stopping.lock();
            }
        }
    }

    /// Does all there is to do; what fails is tried again next time.
    pub(super) fn go_round(&self) {
        let steps: [(&str, Step); 5] = [
            ("look at the disk", Self::look_at_disk),
            ("set partitions aside", Self::set_aside),
            ("make a checkpoint", Self::checkpoint),
            ("close a partition", Self::close_due),
            ("remove partitions", Self::retain),
        ];
        for (what, step) in steps {
            if let Err(error) = step(self) {
                tracing::error!(%error, "the store could not {what}");
            }
        }
        self.core.trim();
    }

    /// Makes all blocks durable and lets the log forget what is in closed partitions.
    ///
    /// # Errors
    /// When sled or the disk fails; the log then stays as it is.
    pub(super) fn checkpoint(&self) -> Result<(), StorageError> {
        let mut last = self.last.lock();
        let core = &self.core;
        let (view, watermark, applied) = {
            let state = core.state.lock();
            (state.view.clone(), state.watermark(), state.applied)
        };
        let counted = unclosed(&view).map(|view| {
            let n_blocks = u32::try_from(view.zones.len()).expect("far fewer than 2^32 blocks");
            (view.partition.number(), n_blocks)
        });
        let mark = Mark {
            watermark,
            applied,
            unclosed: counted.collect(),
        };
        if last.as_ref() != Some(&mark) {
            let is_synced = |last: &Mark| last.unclosed == mark.unclosed;
            if !last.as_ref().is_some_and(is_synced) {
                for partition in unclosed(&view) {
                    partition.partition.sync(&*core.files)?;
                }
            }
            mark.write(&core.paths.checkpoint, &*core.files)?;
            *last = Some(mark);
        }
        let needed = unclosed(&view).filter_map(PartitionView::seq_min).min();
        let forgotten_before = needed.unwrap_or(u64::MAX).min(watermark);
        self.log.forget_through(forgotten_before.saturating_sub(1))
    }

    /// Begins another partition when the active one is full or old, and closes those that take no
    /// blocks any more.
    ///
    /// # Errors
    /// When sled or the disk fails, or a partition is not as it was written.
    pub(super) fn close_due(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let view = core.state.lock().view.clone();
        let active = view.active().expect("there always is an active partition");
        let age = core
            .settings
            .clock
            .now()
            .nanos_since(active.partition.created());
        let is_old = u128::from(age) >= core.settings.partition_age_max.as_nanos();
        let is_full = self.log.bytes() >= core.settings.partition_log_bytes;
        // What the log holds for partitions that still are to be closed does not count again.
        let is_only = unclosed(&view).count() == 1;
        if !active.zones.is_empty() && is_only && (is_old || is_full) {
            self.begin_partition()?;
        }
        self.close_full()
    }

    /// Begins another partition.
    ///
    /// # Errors
    /// When sled or the disk fails.
    pub(super) fn begin_partition(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let _nobody_seals = core.turn.lock();
        let number = {
            let state = core.state.lock();
            let active = state.view.active();
            active.map_or(0, |active| active.partition.number()) + 1
        };
        let now = core.settings.clock.now();
        let partition = recover::create(&core.paths.partitions, number, now, &*core.files)?;
        core.state.lock().view.push_partition(Arc::new(partition));
        // The segment that is only needed for the partitions before can go when they are closed.
        self.log.roll();
        Ok(())
    }

    fn close_full(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let view = core.state.lock().view.clone();
        let n_closed = view.partitions().len() - 1;
        for full in &view.partitions()[..n_closed] {
            let PartitionView { partition, zones } = full;
            if partition.is_closed() || partition.is_broken() {
                continue;
            }
            let salt = RandomState::new().hash_one(0_u8);
            match partition.close(zones, salt, &*core.files) {
                Ok(true) => {
                    partition.release();
                    tracing::info!(path = %partition.dir().display(), "closed a partition");
                }
                Ok(false) => tracing::info!(
                    path = %partition.dir().display(),
                    "a partition is still read; it is closed later"
                ),
                Err(error @ (StorageError::Damaged { .. } | StorageError::Engine(_))) => {
                    // The log still has what is in it: opening the store makes it anew.
                    core.fail(&error.to_string());
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets closed partitions aside that turned out to be damaged.
    pub(super) fn set_aside(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let view = core.state.lock().view.clone();
        for PartitionView { partition, .. } in view.partitions() {
            if !partition.is_broken() {
                continue;
            }
            if !partition.is_closed() {
                core.fail("the active partition is damaged");
                continue;
            }
            core.state.lock().view.remove_partition(partition.number());
            core.n_damaged.fetch_add(1, Ordering::Relaxed);
            core.n_lost_partitions.fetch_add(1, Ordering::Relaxed);
            // What was in it can be sent again.
            self.log.forget_requests();
            partition.abandon();
            if partition.dir().exists() {
                let reason = partition.why_broken();
                recover::quarantine(
                    partition.dir(),
                    &core.paths.quarantine,
                    reason,
                    &*core.files,
                )?;
            }
        }
        Ok(())
    }

    /// Removes partitions that are too old, and the oldest while the directory is too large.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn retain(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let now = core.settings.clock.now();
        let view = core.state.lock().view.clone();
        let mut kept = Vec::new();
        for of in view.partitions() {
            if !of.partition.is_closed() {
                continue;
            }
            let age = now.nanos_since(of.received_max());
            if u128::from(age) >= core.settings.retention.as_nanos() {
                self.remove(of, RemovalReason::Age)?;
            } else {
                kept.push(of);
            }
        }
        let mut n_bytes = bytes_below(&core.paths.data)?;
        for of in kept {
            if n_bytes <= core.settings.disk_bytes_max {
                return Ok(());
            }
            n_bytes = n_bytes.saturating_sub(self.remove(of, RemovalReason::Size)?);
        }
        Ok(())
    }

    /// Removes a partition and says how much room that makes.
    fn remove(&self, of: &PartitionView, reason: RemovalReason) -> Result<u64, StorageError> {
        let (core, partition) = (&self.core, &of.partition);
        let bytes = bytes_below(partition.dir())?;
        core.state.lock().view.remove_partition(partition.number());
        partition.abandon();
        // Who still reads it may go on; what is not there at all is not waited for.
        partition.wait_until_released();
        recover::remove(partition.dir(), &*core.files)?;
        tracing::info!(path = %partition.dir().display(), "removed a partition");
        core.history.removed(Removal {
            id: status::id(of),
            reason,
            removed: core.settings.clock.now(),
            newest_received: of.received_max(),
            n_spans: of.n_spans(),
            bytes,
        });
        Ok(bytes)
    }

    /// Notices when the disk is nearly full, and when it no longer is.
    ///
    /// # Errors
    /// When the disk does not say.
    pub(super) fn look_at_disk(&self) -> Result<(), StorageError> {
        let core = &self.core;
        let path = &core.paths.data;
        let room = core.files.room(path).map_err(io_error("measure", path))?;
        let is_full = room.free_bytes < core.least_free(room.total_bytes);
        let free = if is_full { room.free_bytes.max(1) } else { 0 };
        let before = core.too_little_free.swap(free, Ordering::Relaxed);
        if is_full && before == 0 {
            tracing::error!(
                room.free_bytes,
                "the disk is nearly full; spans are refused until there is room"
            );
        } else if !is_full && before > 0 {
            tracing::info!(room.free_bytes, "there is room on the disk again");
        }
        core.least_free_bytes
            .store(core.least_free(room.total_bytes), Ordering::Relaxed);
        Ok(())
    }
}

/// The partitions the log is still kept for.
fn unclosed(view: &View) -> impl Iterator<Item = &PartitionView> {
    view.partitions()
        .iter()
        .filter(|view| !view.partition.is_closed())
}

/// How many bytes the files below a directory have.
///
/// # Errors
/// When a directory cannot be read.
pub(super) fn bytes_below(dir: &Path) -> Result<u64, StorageError> {
    let mut n_bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            // It was removed meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(io_error("list", &dir))?,
        };
        for entry in entries {
            let entry = entry.map_err(io_error("list", &dir))?;
            // What was removed meanwhile has none.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            if metadata.is_dir() {
                dirs.push(entry.path());
            } else {
                n_bytes += metadata.len();
            }
        }
    }
    Ok(n_bytes)
}
