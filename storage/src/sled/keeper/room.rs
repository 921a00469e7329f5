//! Keeping the data directory within its bounds: by age, by bytes, and by what the disk has left.
//!
//! The limit on bytes holds at every moment, not on average: so what goes is what is over the limit
//! once as much as lately was written between two looks, twice, has been written again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::Keeper;
use crate::sled::io_error;
use crate::sled::view::{PartitionView, View};
use crate::sled::{aside, recover, status};
use crate::{Removal, RemovalReason, StorageError};

/// The least that is kept free below the limit: this part of it. What comes when there is less is
/// refused.
const LEAST_AHEAD: u64 = 64;

/// The most that is kept free besides for what is pinned: this part of the limit. So much of it may be
/// written again before its partition goes.
const PINNED_AHEAD: u64 = 8;

/// How much of the greatest growth is forgotten with each look.
const FORGOTTEN: u64 = 32;

/// What the data directory has, from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Of closed partitions, which do not change: by number.
    closed: HashMap<u32, u64>,
    /// At the last look, less what was removed then.
    last_bytes: Option<u64>,
    /// The most it grew between two looks, lately.
    growth_bytes: u64,
    /// What tells that something was written since the last look.
    seen: Option<Seen>,
    /// Directories of partitions that nobody knows any more, still to be removed.
    doomed: Vec<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    log_bytes: u64,
    n_blocks: usize,
    n_partitions: usize,
    n_closed: usize,
}

impl Usage {
    /// How much must stay free below the limit.
    fn ahead(&self, limit_bytes: u64) -> u64 {
        self.growth_bytes
            .saturating_mul(2)
            .max(limit_bytes / LEAST_AHEAD)
    }

    fn look(&mut self, n_bytes: u64) {
        let grown = n_bytes.saturating_sub(self.last_bytes.unwrap_or(n_bytes));
        let remembered = self.growth_bytes - self.growth_bytes.div_ceil(FORGOTTEN);
        self.growth_bytes = grown.max(remembered);
    }
}

impl Keeper {
    /// Removes partitions that are too old, and what is too much.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::sled) fn retain(&self) -> Result<(), StorageError> {
        let mut usage = self.usage.lock();
        // Opening one changes it a little.
        usage.closed.clear();
        self.bury(&mut usage)?;
        let now = self.core.settings.clock.now();
        let view = self.view();
        for of in view.partitions() {
            let age = now.nanos_since(of.received_max());
            let is_old = u128::from(age) >= self.core.settings.retention.as_nanos();
            if is_old && of.partition.is_closed() {
                self.remove(of, RemovalReason::Age, &mut usage)?;
            }
        }
        self.make_room(&mut usage)?;
        self.core.forget_marks()
    }

    /// Removes what is too much, when something was written since the last time.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::sled) fn retain_bytes(&self) -> Result<(), StorageError> {
        let mut usage = self.usage.lock();
        let is_idle = usage.seen.as_ref() == Some(&self.seen(&self.view()));
        if is_idle && self.core.over_bytes.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        self.make_room(&mut usage)
    }

    /// Removes what is damaged, then the oldest partitions, while the directory is too large or soon
    /// would be. When nothing is left to remove, nothing more is taken in.
    fn make_room(&self, usage: &mut Usage) -> Result<(), StorageError> {
        let core = &self.core;
        let limit_bytes = core.settings.disk_bytes_max;
        let view = self.view();
        usage.seen = Some(self.seen(&view));
        let mut n_bytes = self.measure(usage, &view)?;
        usage.look(n_bytes);
        let pinned_bytes = core.marks.lock().pinned_bytes();
        let ahead_bytes = usage.ahead(limit_bytes) + pinned_bytes.min(limit_bytes / PINNED_AHEAD);
        let most_bytes = limit_bytes.saturating_sub(ahead_bytes);
        if n_bytes > most_bytes {
            n_bytes -= self.remove_quarantined(n_bytes - most_bytes)?;
        }
        let mut closed = view
            .partitions()
            .iter()
            .filter(|of| of.partition.is_closed());
        while n_bytes > most_bytes
            && let Some(of) = closed.next()
        {
            n_bytes = n_bytes.saturating_sub(self.remove(of, RemovalReason::Size, usage)?);
        }
        usage.last_bytes = Some(n_bytes);
        let over_bytes = n_bytes.saturating_sub(limit_bytes - limit_bytes / LEAST_AHEAD);
        if core.over_bytes.swap(over_bytes, Ordering::Relaxed) == 0 && over_bytes > 0 {
            tracing::error!(
                n_bytes,
                limit_bytes,
                "the data directory is full and has nothing to remove; spans are refused until it has"
            );
        }
        Ok(())
    }

    fn view(&self) -> View {
        self.core.state.lock().view.clone()
    }

    fn seen(&self, view: &View) -> Seen {
        let partitions = view.partitions();
        Seen {
            log_bytes: self.log.bytes(),
            n_blocks: view.active().map_or(0, |active| active.zones.len()),
            n_partitions: partitions.len(),
            n_closed: partitions
                .iter()
                .filter(|of| of.partition.is_closed())
                .count(),
        }
    }

    /// How many bytes the directory has; closed partitions are measured once.
    fn measure(&self, usage: &mut Usage, view: &View) -> Result<u64, StorageError> {
        let paths = &self.core.paths;
        let mut n_bytes = 0;
        for path in list(&paths.data)? {
            if path != paths.partitions {
                n_bytes += bytes_below(&path)?;
            }
        }
        let closed: HashMap<&Path, u32> = view
            .partitions()
            .iter()
            .filter(|of| of.partition.is_closed())
            .map(|of| (of.partition.dir(), of.partition.number()))
            .collect();
        for path in list(&paths.partitions)? {
            n_bytes += match closed.get(&*path) {
                None => bytes_below(&path)?,
                Some(number) => match usage.closed.get(number) {
                    Some(&known) => known,
                    None => *usage.closed.entry(*number).or_insert(bytes_below(&path)?),
                },
            };
        }
        Ok(n_bytes)
    }

    /// Looks what the disk has left; when that is too little, what lies aside goes.
    ///
    /// # Errors
    /// When the disk fails.
    pub(in crate::sled) fn look_at_disk(&self) -> Result<(), StorageError> {
        let core = &self.core;
        core.look_at_disk()?;
        if let Some((free_bytes, least_bytes)) = core.free.too_little() {
            let _nobody_else_removes = self.usage.lock();
            if self.remove_quarantined(least_bytes - free_bytes)? > 0 {
                core.look_at_disk()?;
            }
        }
        Ok(())
    }

    /// Removes the oldest damaged partitions until so much is freed; says how much is.
    fn remove_quarantined(&self, wanted_bytes: u64) -> Result<u64, StorageError> {
        let quarantine = &self.core.paths.quarantine;
        let mut freed = 0;
        let mut found: Vec<PathBuf> = aside::in_quarantine(quarantine).collect();
        found.sort_unstable();
        for path in found {
            if freed >= wanted_bytes {
                break;
            }
            let n_bytes = bytes_below(&path)?;
            aside::remove(&path).map_err(io_error("remove", &path))?;
            freed += n_bytes;
            tracing::warn!(path = %path.display(), "removed a damaged partition to make room");
        }
        Ok(freed)
    }

    /// Removes a partition and says how much room that makes, less what is pinned in it takes again.
    fn remove(
        &self,
        of: &PartitionView,
        reason: RemovalReason,
        usage: &mut Usage,
    ) -> Result<u64, StorageError> {
        let (core, partition) = (&self.core, &of.partition);
        // Held until the partition is gone, so that nothing is pinned that goes with it.
        let marks = core.marks.lock();
        let saved_bytes = self.save_pinned(of, &marks.pinned())?;
        let bytes = match usage.closed.remove(&partition.number()) {
            Some(known) => known,
            None => bytes_below(partition.dir())?,
        };
        core.state.lock().view.remove_partition(partition.number());
        drop(marks);
        partition.abandon();
        // Who still reads it may go on; what is not there at all is not waited for.
        partition.wait_until_released();
        usage.doomed.push(partition.dir().to_owned());
        self.bury(usage)?;
        tracing::info!(path = %partition.dir().display(), "removed a partition");
        core.history.removed(Removal {
            id: status::id(of),
            reason,
            removed: core.settings.clock.now(),
            newest_received: of.received_max(),
            n_spans: of.n_spans(),
            bytes,
        });
        Ok(bytes.saturating_sub(saved_bytes))
    }

    /// Removes directories that are to go; those that cannot are tried again the next time.
    fn bury(&self, usage: &mut Usage) -> Result<(), StorageError> {
        let core = &self.core;
        while let Some(dir) = usage.doomed.last() {
            if dir.exists() {
                recover::rename_to_trash(dir, &*core.files)?;
            }
            usage.doomed.pop();
        }
        recover::remove_trash(&core.paths.partitions)
    }
}

/// How many bytes a file has, or those below a directory.
///
/// # Errors
/// When a directory cannot be read.
pub(in crate::sled) fn bytes_below(path: &Path) -> Result<u64, StorageError> {
    let mut n_bytes = 0;
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        // What was removed meanwhile has none.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            paths.extend(list(&path)?);
        } else {
            n_bytes += metadata.len();
        }
    }
    Ok(n_bytes)
}

/// What lies in a directory, in no order; nothing when it is not there.
fn list(dir: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("list", dir))?,
    };
    entries
        .map(|entry| Ok(entry.map_err(io_error("list", dir))?.path()))
        .collect()
}
