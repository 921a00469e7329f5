//! The sled database: its trees, its panics made errors, and what makes it durable.
//!
//! sled reports damage by panicking, and goes on failing after the first failed write. So every use
//! of it goes through [`guarded`], and whoever gets an error gives the engine up; the log has what
//! sled lost. Its `flush` reaches the operating system only, and values over 128 KiB go to blob
//! files it never syncs: [`Db::sync`] does that.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Mode, Tree};

use super::pieces::Pieces;
use crate::StorageError;
use crate::sled::files::Files;
use crate::sled::io_error;

/// How much memory sled's cache takes. What is read once is not read again soon.
const CACHE_BYTES: u64 = 8 << 20;

/// How much of its file sled writes at a time. Pages over a quarter of it become blob files, which
/// sled never syncs and keeps in memory: 17 pieces, the most a page has, stay below.
const SEGMENT_BYTES: usize = 1 << 20;

/// How long to wait for sled's own lock on a database that was just closed: its threads hold the
/// file a moment longer. No other process can have it, the data directory is ours.
const UNLOCK_WAITS: u32 = 2_000;

/// How long to wait each time.
const UNLOCK_WAIT: Duration = Duration::from_millis(1);

/// An open database. Keys are big-endian.
#[derive(Debug)]
pub(in crate::sled) struct Db {
    /// The blocks.
    pub(super) blocks: Pieces,
    /// Their summaries.
    pub(super) summaries: Pieces,
    /// Their blooms.
    pub(super) blooms: Pieces,
    /// Their digests.
    pub(super) digests: Pieces,
    /// `block 4` to where its pieces are, and its zone; written last.
    pub(super) zones: Tree,
    /// `trace ID 16 | block 4` of the first of a run, to the run; once it is closed.
    pub(super) runs: Tree,
    /// What `lanes` says; once it is closed.
    pub(super) lanes: Tree,
    /// Service and span name to nothing.
    pub(in crate::sled) operations: Tree,
    sled: sled::Db,
    dir: PathBuf,
}

/// What earlier calls of [`Db::sync`] made durable for good.
#[derive(Debug, Default)]
pub(in crate::sled) struct Synced {
    /// Blob files never change once they are written.
    blobs: HashSet<PathBuf>,
}

impl Db {
    /// Opens the database in `dir`, making it when it is not there.
    ///
    /// # Errors
    /// When the disk fails or the database is damaged.
    pub(in crate::sled) fn open(dir: &Path) -> Result<Self, StorageError> {
        let config = sled::Config::new()
            .path(dir)
            .mode(Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None);
        let open = || {
            let sled = config.open()?;
            Ok(Self {
                blocks: Pieces::new(sled.open_tree("blocks")?),
                summaries: Pieces::new(sled.open_tree("summaries")?),
                blooms: Pieces::new(sled.open_tree("blooms")?),
                digests: Pieces::new(sled.open_tree("digests")?),
                zones: sled.open_tree("zones")?,
                runs: sled.open_tree("runs")?,
                lanes: sled.open_tree("lanes")?,
                operations: sled.open_tree("operations")?,
                sled,
                dir: dir.to_owned(),
            })
        };
        for _ in 0..UNLOCK_WAITS {
            match catch_unwind(AssertUnwindSafe(open)) {
                Ok(Ok(db)) => return Ok(db),
                Ok(Err(error)) if is_locked(&error) => std::thread::sleep(UNLOCK_WAIT),
                Ok(Err(sled::Error::Io(source))) => return Err(io_error("open", dir)(source)),
                Ok(Err(error)) => return Err(damaged(dir, &error.to_string())),
                Err(panic) => return Err(damaged(dir, panic_text(&*panic))),
            }
        }
        Err(StorageError::InUse {
            path: dir.to_owned(),
        })
    }

    /// One of its trees, to be damaged.
    #[cfg(test)]
    pub(super) fn tree(&self, name: &str) -> Tree {
        self.sled.open_tree(name).expect("sled works")
    }

    /// Makes everything written so far durable. Only one thread may do so at a time: two flushes
    /// at once can wait for each other for ever (sled#1308).
    ///
    /// # Errors
    /// When sled or the disk fails.
    pub(in crate::sled) fn sync(
        &self,
        files: &dyn Files,
        synced: &mut Synced,
    ) -> Result<(), StorageError> {
        let blob_dir = self.dir.join("blobs");
        let list_blobs = || files.list(&blob_dir).map_err(io_error("list", &blob_dir));
        // A blob that is there before the flush is whole behind it.
        let whole: HashSet<PathBuf> = list_blobs()?.into_iter().collect();
        guarded(|| self.sled.flush())?;
        let sync_file = |path: &Path| match files.sync_file(path) {
            // sled removed it in the meantime.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(io_error("sync", path)),
        };
        let blobs = list_blobs()?;
        for path in blobs.iter().filter(|path| !synced.blobs.contains(*path)) {
            sync_file(path)?;
        }
        for path in files.list(&self.dir).map_err(io_error("list", &self.dir))? {
            if path != blob_dir {
                sync_file(&path)?;
            }
        }
        for dir in [&blob_dir, &self.dir] {
            files.sync_dir(dir).map_err(io_error("sync", dir))?;
        }
        synced.blobs = blobs
            .into_iter()
            .filter(|path| whole.contains(path))
            .collect();
        Ok(())
    }
}

/// Uses sled, making its errors and panics errors of the store.
///
/// # Errors
/// When sled fails or panics.
pub(in crate::sled) fn guarded<T>(
    use_sled: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StorageError> {
    match catch_unwind(AssertUnwindSafe(use_sled)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StorageError::Engine(Box::new(error))),
        Err(panic) => Err(StorageError::Engine(panic_text(&*panic).into())),
    }
}

fn is_locked(error: &sled::Error) -> bool {
    // sled has no kind of its own for this.
    matches!(error, sled::Error::Io(source) if source.to_string().contains("could not acquire lock"))
}

fn damaged(dir: &Path, cause: &str) -> StorageError {
    StorageError::Damaged {
        what: format!("the database in {} ({cause})", dir.display()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("sled panicked")
}
