//! The housekeeping: checkpoints, closing partitions, letting the log forget, every few seconds; and
//! keeping the directory within its bounds, more often, on a thread that waits for nothing else.

mod pinned;
mod room;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use self::room::Usage;
pub(super) use self::room::bytes_below;
use super::apply::Applier;
use super::core::Core;
use super::io_error;
use super::log::Log;
use super::recover::{self, Mark};
use super::view::{PartitionView, View};
use crate::StorageError;

/// Something to do in each round.
type Step = fn(&Keeper) -> Result<(), StorageError>;

/// Keeps a store's directory in order.
pub(super) struct Keeper {
    core: Arc<Core>,
    log: Arc<Log>,
    applier: Arc<Applier>,
    /// What the last checkpoint made durable.
    last: Mutex<Option<Mark>>,
    /// Held while anything is removed.
    usage: Mutex<Usage>,
    is_stopping: Mutex<bool>,
    stopping: Condvar,
}

impl Keeper {
    /// A keeper without its thread.
    pub(super) fn new(core: Arc<Core>, log: Arc<Log>, applier: Arc<Applier>) -> Self {
        Self {
            core,
            log,
            applier,
            last: Mutex::default(),
            usage: Mutex::default(),
            is_stopping: Mutex::new(false),
            stopping: Condvar::new(),
        }
    }

    /// Starts the threads, which go round until [`Self::stop`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<Vec<JoinHandle<()>>, StorageError> {
        let settings = &self.core.settings;
        Ok(vec![
            self.every(settings.checkpoint_interval, "keep", Self::go_round)?,
            self.every(settings.room_interval, "room", Self::make_room_or_say)?,
        ])
    }

    fn every(
        self: &Arc<Self>,
        interval: Duration,
        name: &str,
        turn: fn(&Self),
    ) -> Result<JoinHandle<()>, StorageError> {
        let keeper = Arc::clone(self);
        std::thread::Builder::new()
            .name(format!("longpole-{name}"))
            .spawn(move || keeper.run(interval, turn))
            .map_err(io_error("start a thread for", &self.core.paths.data))
    }

    /// Tells the threads to end.
    pub(super) fn stop(&self) {
        *self.is_stopping.lock() = true;
        self.stopping.notify_all();
    }

    fn run(&self, interval: Duration, turn: fn(&Self)) {
        let mut is_stopping = self.is_stopping.lock();
        while !*is_stopping {
            let is_time = self
                .stopping
                .wait_for(&mut is_stopping, interval)
                .timed_out();
            if is_time && !*is_stopping {
                drop(is_stopping);
                turn(self);
                is_stopping = self.is_stopping.lock();
            }
        }
    }

    /// Does all there is to do; what fails is tried again next time.
    pub(super) fn go_round(&self) {
        let steps: [(&str, Step); 6] = [
            ("look at the disk", Self::look_at_disk),
            ("set partitions aside", Self::set_aside),
            ("make a checkpoint", Self::checkpoint),
            ("close a partition", Self::close_due),
            ("remove partitions", Self::retain),
            ("look at blocks", |keeper| keeper.core.remember_blocks()),
        ];
        for (what, step) in steps {
            if let Err(error) = step(self) {
                tracing::error!(%error, "the store could not {what}");
            }
        }
        self.core.pool.turn();
    }

    fn make_room_or_say(&self) {
        if let Err(error) = self.retain_bytes() {
            tracing::error!(%error, "the store could not make room");
        }
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
        // A closed partition can be removed, and does not need the log.
        let is_full = self.log.bytes() >= core.settings.partition_log_bytes
            || core.over_bytes.load(Ordering::Relaxed) > 0;
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
            match partition.close(zones, salt, &core.pool, &*core.files) {
                Ok(true) => {
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
            // Before it leaves the view: a search that misses it there finds it here.
            core.n_lost_partitions.fetch_add(1, Ordering::Relaxed);
            core.state.lock().view.remove_partition(partition.number());
            core.n_damaged.fetch_add(1, Ordering::Relaxed);
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
}

/// The partitions the log is still kept for.
fn unclosed(view: &View) -> impl Iterator<Item = &PartitionView> {
    view.partitions()
        .iter()
        .filter(|view| !view.partition.is_closed())
}
