//! What the store says about itself.

use std::fs;
use std::sync::atomic::Ordering;

use longpole_proto::UnixNanos;

use super::core::Core;
use super::data_dir::FORMAT;
use super::engine::Engine;
use super::keeper::bytes_below;
use super::recover::Recovered;
use super::view::{PartitionView, View};
use super::{aside, io_error};
use crate::{
    Concern, DiskStatus, Health, LiveStatus, MemoryStatus, PartitionState, PartitionStatus,
    RecoveryStatus, StorageError, StoreStatus,
};

impl Engine {
    /// How it is.
    pub(super) fn health(&self) -> Health {
        let core = &self.core;
        let (view, is_live) = {
            let state = core.state.lock();
            let is_live = state.in_memory().next().is_some();
            (state.view.clone(), is_live)
        };
        let sealed = view.partitions().iter().find_map(received);
        let oldest = match sealed {
            Some((oldest, _)) => Some(oldest),
            None if is_live => core.live_received().map(|(oldest, _)| oldest),
            None => None,
        };
        Health {
            concerns: core.concerns(),
            opened: core.history.opened(),
            retention: self.config.retention,
            max_disk_bytes: self.config.max_disk_bytes,
            oldest_received: oldest,
            last_removal: core.history.all_removed().last,
        }
    }

    /// All it knows of itself.
    ///
    /// # Errors
    /// When the disk or sled fails.
    pub(super) fn status(&self) -> Result<StoreStatus, StorageError> {
        let core = &self.core;
        let data_dir = &core.paths.data;
        let room = core
            .files
            .room(data_dir)
            .map_err(io_error("measure", data_dir))?;
        let (live, view) = core.live();
        let sealed = view.partitions().iter().rev().find_map(received);
        let newest = [core.live_received(), sealed]
            .into_iter()
            .flatten()
            .map(|(_, newest)| newest)
            .max();
        let mut set_aside = aside::list(&core.paths.quarantine, &core.paths.log, &*core.files);
        for piece in &mut set_aside {
            piece.path = core.history.relative(&piece.path);
            let reason = piece.reason.take();
            piece.reason = reason.map(|reason| core.history.without_data_dir(&reason));
        }
        Ok(StoreStatus {
            health: self.health(),
            stats: self.stats()?,
            data_dir: std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.clone()),
            format: FORMAT.to_owned(),
            durability: self.config.durability,
            newest_received: newest,
            live,
            n_log_segments: self.log.n_segments(),
            partitions: partitions(&view)?,
            removed: core.history.all_removed(),
            set_aside,
            damaged: core.history.all_damaged(),
            recovery: core.history.recovery(),
            disk: DiskStatus {
                free_bytes: room.free_bytes,
                total_bytes: room.total_bytes,
                least_free_bytes: core.settings.least_free(room.total_bytes),
            },
            memory: MemoryStatus {
                limit_bytes: self.config.memory_limit_bytes,
                resident_bytes: resident_bytes(),
            },
            n_retries: core.history.n_retries(),
        })
    }
}

impl Core {
    /// What needs attention.
    fn concerns(&self) -> Vec<Concern> {
        let mut concerns = Vec::new();
        if let Err(error) = self.check() {
            let cause = self.history.without_data_dir(&error.with_causes());
            concerns.push(Concern::Failed { cause });
        }
        if let Err(StorageError::Full {
            free_bytes,
            least_bytes,
            ..
        }) = self.check_room()
        {
            concerns.push(Concern::DiskFull {
                free_bytes,
                least_bytes,
            });
        }
        let n_aside = aside::count(&self.paths.quarantine, &self.paths.log);
        if n_aside > 0 {
            concerns.push(Concern::SetAside { n_pieces: n_aside });
        }
        let n_lost = self.n_lost_partitions.load(Ordering::Relaxed);
        let n_skipped = self
            .n_damaged
            .load(Ordering::Relaxed)
            .saturating_sub(n_lost);
        if n_skipped > 0 {
            concerns.push(Concern::Damaged {
                n_pieces: n_skipped,
            });
        }
        concerns
    }

    fn live(&self) -> (LiveStatus, View) {
        let state = self.state.lock();
        let live = LiveStatus {
            n_traces: state.in_memory().count() as u64,
            n_spans: state.in_memory().map(|trace| trace.n_spans as u64).sum(),
            bytes: state.live.n_bytes(),
            soft_limit_bytes: self.settings.live_bytes_soft,
            hard_limit_bytes: self.settings.live_bytes_hard,
        };
        (live, state.view.clone())
    }

    /// When the oldest and the newest in memory were received.
    fn live_received(&self) -> Option<(UnixNanos, UnixNanos)> {
        let state = self.state.lock();
        let chunks = || state.in_memory().flat_map(|trace| &trace.chunks);
        let oldest = chunks().map(super::received::Chunk::received).min()?;
        let newest = chunks().map(super::received::Chunk::received).max()?;
        Some((oldest, newest))
    }
}

/// What opening a store did, as far as the partitions tell.
pub(super) fn recovery_of(recovered: &Recovered) -> RecoveryStatus {
    let partitions = recovered.view.partitions();
    let n_partitions = partitions.iter().filter(|of| !of.zones.is_empty()).count() as u64;
    RecoveryStatus {
        n_partitions,
        n_set_aside: recovered.n_lost,
        is_rebuilt: recovered.n_lost > 0 || (n_partitions > 0 && recovered.replay_from == 0),
        ..RecoveryStatus::default()
    }
}

fn partitions(view: &View) -> Result<Vec<PartitionStatus>, StorageError> {
    let n_partitions = view.partitions().len();
    let status = |(idx, of): (usize, &PartitionView)| {
        let partition = &of.partition;
        let state = if partition.is_broken() {
            PartitionState::Damaged
        } else if partition.is_closed() {
            PartitionState::Closed
        } else if idx + 1 == n_partitions {
            PartitionState::Open
        } else {
            PartitionState::Full
        };
        Ok(PartitionStatus {
            id: id(of),
            state,
            received: received(of),
            n_spans: of.n_spans(),
            bytes: bytes_below(partition.dir())?,
        })
    };
    view.partitions().iter().enumerate().map(status).collect()
}

/// What a partition is called.
pub(super) fn id(of: &PartitionView) -> String {
    let name = of.partition.dir().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// When the first and the last block of a partition had got their newest spans.
fn received(of: &PartitionView) -> Option<(UnixNanos, UnixNanos)> {
    let received = || of.zones.iter().map(|zone| zone.received_max);
    Some((received().min()?, received().max()?))
}

/// How much memory the process takes.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
