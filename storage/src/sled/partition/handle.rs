//! A partition's database, opened when somebody needs it, and closed when nobody does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::db::Db;
use super::pool::Pool;
use crate::StorageError;

/// How long to wait for readers to let a database go.
const RELEASE_WAITS: u32 = 5_000;

/// How long to wait each time.
const RELEASE_WAIT: Duration = Duration::from_millis(1);

/// Counts uses of databases: which one is the least recent.
static USES: AtomicU64 = AtomicU64::new(0);

/// How many uses there were.
pub(super) fn n_uses() -> u64 {
    USES.load(Ordering::Relaxed)
}

/// A way to a database.
pub(super) struct Handle {
    dir: PathBuf,
    slot: Mutex<Slot>,
    /// Whether it could not be opened, or not be read.
    is_broken: AtomicBool,
    /// Why not.
    why_broken: OnceLock<String>,
    last_used: AtomicU64,
    /// Bounds how many are open; once it is closed for good.
    pool: OnceLock<Arc<Pool>>,
}

/// A database that is open, or still is because somebody reads it.
#[derive(Default)]
struct Slot {
    kept: Option<Arc<Db>>,
    used: Weak<Db>,
}

impl Slot {
    fn keep(&mut self, db: Db) -> Arc<Db> {
        let db = Arc::new(db);
        self.used = Arc::downgrade(&db);
        self.kept = Some(Arc::clone(&db));
        db
    }
}

impl Handle {
    /// The way to the database in `dir`, which may be open.
    pub(super) fn new(dir: &Path, db: Option<Db>) -> Self {
        let mut slot = Slot::default();
        if let Some(db) = db {
            slot.keep(db);
        }
        Self {
            dir: dir.to_owned(),
            slot: Mutex::new(slot),
            is_broken: AtomicBool::new(false),
            why_broken: OnceLock::new(),
            last_used: AtomicU64::new(0),
            pool: OnceLock::new(),
        }
    }

    /// Leaves it to the pool when the database is closed.
    pub(super) fn join(&self, pool: &Arc<Pool>) {
        self.pool.get_or_init(|| Arc::clone(pool));
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The database, opened when it is not.
    ///
    /// # Errors
    /// When the disk fails, it is damaged, or it was given up.
    pub(super) fn db(self: &Arc<Self>) -> Result<Arc<Db>, StorageError> {
        self.last_used
            .store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut slot = self.slot.lock();
        if let Some(db) = &slot.kept {
            return Ok(Arc::clone(db));
        }
        let db = match slot.used.upgrade() {
            // Somebody still reads it.
            Some(db) => {
                slot.kept = Some(Arc::clone(&db));
                db
            }
            None if self.is_broken() || !self.dir.exists() => {
                // sled would make an empty one.
                self.is_broken.store(true, Ordering::Relaxed);
                return Err(StorageError::Damaged {
                    what: format!("{} is gone", self.dir.display()),
                });
            }
            None => slot.keep(self.unless_broken(Db::open(&self.dir))?),
        };
        drop(slot);
        if let Some(pool) = self.pool.get() {
            pool.opened(self);
        }
        Ok(db)
    }

    /// Opens the database anew; `None` when readers do not let it go. Others who want to read wait
    /// meanwhile, some ten milliseconds.
    ///
    /// # Errors
    /// When the disk fails or it is damaged.
    pub(super) fn reopen(&self) -> Result<Option<Arc<Db>>, StorageError> {
        // Held, so that nobody opens it meanwhile.
        let mut slot = self.slot.lock();
        slot.kept = None;
        let is_released = wait(|| slot.used.strong_count() == 0);
        if !is_released {
            return Ok(None);
        }
        Ok(Some(slot.keep(Db::open(&self.dir)?)))
    }

    /// Gives it up: it is not opened any more.
    pub(super) fn abandon(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.release();
    }

    /// Lets the database go once nobody reads it.
    pub(super) fn release(&self) {
        self.slot.lock().kept = None;
    }

    /// Waits until nobody reads the database any more; says `false` when it takes too long.
    pub(super) fn wait_until_released(&self) -> bool {
        wait(|| self.slot.lock().used.strong_count() == 0)
    }

    /// Whether the database is kept open.
    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.slot.lock().kept.is_some()
    }

    /// When it was last used, counted in uses.
    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Whether it could not be read, or was given up.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Why it could not be read.
    pub(super) fn why_broken(&self) -> &str {
        self.why_broken
            .get()
            .map_or("it could not be read", |why| why)
    }

    /// Notes when sled failed.
    ///
    /// # Errors
    /// As `result`.
    pub(super) fn unless_engine_fails<T>(
        &self,
        result: Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match result {
            Err(StorageError::Engine(_)) => self.unless_broken(result),
            result => result,
        }
    }

    fn unless_broken<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error @ (StorageError::Damaged { .. } | StorageError::Engine(_))) = &result
            && !self.is_broken.swap(true, Ordering::Relaxed)
        {
            self.why_broken.get_or_init(|| error.with_causes());
            tracing::error!(path = %self.dir.display(), "a partition cannot be read");
        }
        result
    }
}

/// Waits a while for something; says whether it came.
fn wait(mut is_there: impl FnMut() -> bool) -> bool {
    (0..RELEASE_WAITS).any(|n_waits| {
        if n_waits > 0 {
            std::thread::sleep(RELEASE_WAIT);
        }
        is_there()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_opened_it_anew_shares_it_with_readers() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let handle = Handle::new(dir.path(), Some(Db::open(dir.path()).expect("a database")));
        let handle = Arc::new(handle);
        let anew = handle.reopen().expect("intact").expect("nobody reads it");
        let read = handle.db().expect("open");
        assert!(Arc::ptr_eq(&anew, &read));
        handle.release();
        assert!(!handle.is_open());
        assert!(
            Arc::ptr_eq(&handle.db().expect("open"), &read),
            "it is not opened twice"
        );
    }

    #[test]
    fn one_that_was_given_up_is_not_made_anew() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("partition");
        let handle = Arc::new(Handle::new(
            &path,
            Some(Db::open(&path).expect("a database")),
        ));
        handle.abandon();
        assert!(handle.wait_until_released());
        std::fs::remove_dir_all(&path).expect("a directory");
        assert!(matches!(handle.db(), Err(StorageError::Damaged { .. })));
        assert!(!path.exists());
    }
}
