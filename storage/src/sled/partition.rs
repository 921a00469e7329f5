//! Partitions: one sled database each, with the blocks of some hours or of 256 MB of log.
//!
//! One is *active*: blocks are added to it, and the log keeps all that is in it, so that it can be
//! made anew. It is *closed* by sorting its trace IDs into runs, syncing it, opening it again and
//! reading all of it; only then does its sidecar say so and may the log forget.
//!
//! A block is written as its pieces, its summaries, its operations, and last its zone: what has no
//! zone is not there. Every value has a checksum of its own, because sled is not believed.

mod check;
mod db;
mod ids;
mod sidecar;
mod summaries;
mod zone;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{Mutex, RwLock};

use self::check::{check_block, number_of, read_zones};
pub(super) use self::db::{Db, Synced, guarded};
use self::ids::{Filter, IdMap};
use self::sidecar::Sidecar;
pub(super) use self::summaries::{Rows, RowsBuilder};
pub(super) use self::zone::{LateRow, Numbers, Zone};
use super::files::Files;
use super::operations::{self, OperationSet};
use crate::{Operation, StorageError};

/// How long to wait for readers to let a database go that is to be opened again.
const RELEASE_WAITS: u32 = 500;

/// How long to wait each time.
const RELEASE_WAIT: std::time::Duration = std::time::Duration::from_millis(10);

/// A partition.
pub(super) struct Partition {
    number: u32,
    dir: PathBuf,
    created: UnixNanos,
    db: Mutex<Slot>,
    ids: RwLock<Ids>,
    /// Whether its database could not be opened, or not be read.
    is_broken: AtomicBool,
    /// Why not.
    why_broken: OnceLock<String>,
    /// What is known to be durable.
    synced: Mutex<Synced>,
    operations: RwLock<OperationSet>,
    last_used: AtomicU64,
}

/// Counts uses of databases: which one is the least recent.
static USES: AtomicU64 = AtomicU64::new(0);

/// A database that is open, or still is because somebody reads it.
#[derive(Default)]
struct Slot {
    kept: Option<Arc<Db>>,
    used: Weak<Db>,
}

enum Ids {
    Active(IdMap),
    Closed(Filter),
}

/// A partition as it was found.
pub(super) struct Found {
    pub(super) partition: Partition,
    /// By block.
    pub(super) zones: Vec<Arc<Zone>>,
}

/// A block to be written.
pub(super) struct Sealed {
    pub(super) block: Vec<u8>,
    pub(super) rows: Vec<u8>,
    pub(super) zone: Zone,
    pub(super) trace_ids: Vec<TraceId>,
    /// Those that may be new.
    pub(super) operations: Vec<Operation>,
}

impl Partition {
    /// Makes a partition in `dir`, which is not there yet.
    ///
    /// # Errors
    /// When the disk or sled fails.
    pub(super) fn create(
        dir: &Path,
        number: u32,
        created: UnixNanos,
    ) -> Result<Self, StorageError> {
        let db = Db::open(dir)?;
        Ok(Self::new(
            dir,
            number,
            created,
            Some(db),
            Ids::Active(IdMap::default()),
            OperationSet::default(),
        ))
    }

    fn new(
        dir: &Path,
        number: u32,
        created: UnixNanos,
        db: Option<Db>,
        ids: Ids,
        operations: OperationSet,
    ) -> Self {
        let kept = db.map(Arc::new);
        let used = kept.as_ref().map(Arc::downgrade).unwrap_or_default();
        Self {
            number,
            dir: dir.to_owned(),
            created,
            db: Mutex::new(Slot { kept, used }),
            ids: RwLock::new(ids),
            is_broken: AtomicBool::new(false),
            why_broken: OnceLock::new(),
            synced: Mutex::default(),
            operations: RwLock::new(operations),
            last_used: AtomicU64::new(0),
        }
    }

    /// Reads what a closed partition says about itself; `None` when it is not closed.
    ///
    /// # Errors
    /// When the disk fails or what it says is damaged.
    pub(super) fn find_closed(
        dir: &Path,
        number: u32,
        files: &dyn Files,
    ) -> Result<Option<Found>, StorageError> {
        let Some(sidecar) = Sidecar::read(dir, files)? else {
            return Ok(None);
        };
        let operations = OperationSet::new(sidecar.operations());
        let partition = Self::new(
            dir,
            number,
            sidecar.created,
            None,
            Ids::Closed(sidecar.filter),
            operations,
        );
        let zones = sidecar.zones.into_iter().map(Arc::new).collect();
        Ok(Some(Found { partition, zones }))
    }

    /// Opens a partition that was not closed, and checks every byte of it.
    ///
    /// # Errors
    /// When the disk fails or anything of it is damaged.
    pub(super) fn find_active(
        dir: &Path,
        number: u32,
        created: UnixNanos,
    ) -> Result<Found, StorageError> {
        let db = Db::open(dir)?;
        let zones = read_zones(&db)?;
        let mut ids = IdMap::default();
        for block in 0..number_of(zones.len()) {
            for trace_id in check_block(&db, block, &zones[block as usize])? {
                ids.insert(trace_id, block);
            }
        }
        let listed = operations::list(&db.operations, None, operations::IN_MEMORY_MAX + 1)?;
        let operations = OperationSet::new(Some(listed));
        let partition = Self::new(dir, number, created, Some(db), Ids::Active(ids), operations);
        Ok(Found { partition, zones })
    }

    /// Its number; later ones have larger ones.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// When it was made.
    pub(super) fn created(&self) -> UnixNanos {
        self.created
    }

    /// Whether it is closed.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.ids.read(), Ids::Closed(_))
    }

    /// Whether it could not be read.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Its database, opened when it is not.
    ///
    /// # Errors
    /// When the disk fails, it is damaged, or it was given up.
    pub(super) fn db(&self) -> Result<Arc<Db>, StorageError> {
        self.last_used
            .store(USES.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut slot = self.db.lock();
        let used = slot.kept.clone().or_else(|| slot.used.upgrade());
        let db = match used {
            Some(db) => db,
            None if self.is_broken() || !self.dir.exists() => {
                // sled would make an empty one.
                self.is_broken.store(true, Ordering::Relaxed);
                return Err(StorageError::Damaged {
                    what: format!("{} is gone", self.dir.display()),
                });
            }
            None => Arc::new(self.unless_broken(Db::open(&self.dir))?),
        };
        slot.used = Arc::downgrade(&db);
        slot.kept = Some(Arc::clone(&db));
        Ok(db)
    }

    /// Gives it up: it is not opened any more.
    pub(super) fn abandon(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
        self.release();
    }

    /// Lets the database go once nobody reads it.
    pub(super) fn release(&self) {
        self.db.lock().kept = None;
    }

    /// Whether the database is kept open.
    pub(super) fn is_open(&self) -> bool {
        self.db.lock().kept.is_some()
    }

    /// When it was last used, counted in uses.
    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    fn unless_engine_fails<T>(&self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        match result {
            Err(StorageError::Engine(_)) => self.unless_broken(result),
            result => result,
        }
    }

    /// Why it could not be read.
    pub(super) fn why_broken(&self) -> &str {
        self.why_broken
            .get()
            .map_or("it could not be read", |why| why)
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

    /// Writes a block, which others see once the caller says so.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn write(&self, block: u32, sealed: &Sealed) -> Result<(), StorageError> {
        let db = self.db()?;
        Db::put(&db.blocks, block, &sealed.block)?;
        Db::put(&db.summaries, block, &sealed.rows)?;
        for operation in &sealed.operations {
            operations::insert(&db.operations, operation)?;
        }
        self.operations.write().extend(&sealed.operations);
        let zone = postcard::to_allocvec(&sealed.zone).expect("numbers can be written");
        let mut value = crc32c::crc32c(&zone).to_le_bytes().to_vec();
        value.extend_from_slice(&zone);
        guarded(|| db.zones.insert(block.to_be_bytes(), value))?;
        if let Ids::Active(ids) = &mut *self.ids.write() {
            for &trace_id in &sealed.trace_ids {
                ids.insert(trace_id, block);
            }
        }
        Ok(())
    }

    /// The blocks that have a trace, oldest first; those being written among them.
    ///
    /// # Errors
    /// When sled fails or what it gives is damaged.
    pub(super) fn blocks_of(&self, trace_id: TraceId) -> Result<Vec<u32>, StorageError> {
        match &*self.ids.read() {
            Ids::Active(ids) => return Ok(ids.blocks(trace_id)),
            Ids::Closed(filter) if !filter.passes(trace_id) => return Ok(Vec::new()),
            Ids::Closed(_) => {}
        }
        let db = self.db()?;
        self.unless_engine_fails(ids::read_runs(&db, trace_id))
    }

    /// Whether a trace may be in it, from memory.
    pub(super) fn may_have(&self, trace_id: TraceId) -> bool {
        match &*self.ids.read() {
            Ids::Active(ids) => !ids.blocks(trace_id).is_empty(),
            Ids::Closed(filter) => filter.passes(trace_id),
        }
    }

    /// A block's bytes, not yet checked.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn block(&self, block: u32) -> Result<Vec<u8>, StorageError> {
        let db = self.db()?;
        self.unless_engine_fails(Db::get(&db.blocks, block))
    }

    /// A block's summaries.
    ///
    /// # Errors
    /// When sled fails or they are damaged.
    pub(super) fn rows(&self, block: u32) -> Result<Rows, StorageError> {
        let db = self.db()?;
        let value = self.unless_engine_fails(Db::get(&db.summaries, block))?;
        Rows::read(&value)
    }

    /// Its operations in order, at most `limit`, of a service or of all.
    ///
    /// # Errors
    /// When sled fails or what it gives is damaged.
    pub(super) fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        if let Some(listed) = self.operations.read().list(service, limit) {
            return Ok(listed);
        }
        operations::list(&self.db()?.operations, service, limit)
    }

    /// Its services in order, at most `limit`.
    ///
    /// # Errors
    /// When sled fails or what it gives is damaged.
    pub(super) fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        if let Some(listed) = self.operations.read().services(limit) {
            return Ok(listed);
        }
        operations::services(&self.db()?.operations, limit)
    }

    /// Makes everything written so far durable; only one thread may do so.
    ///
    /// # Errors
    /// When sled or the disk fails.
    pub(super) fn sync(&self, files: &dyn Files) -> Result<(), StorageError> {
        self.db()?.sync(files, &mut self.synced.lock())
    }

    /// Closes it, to which nothing is added any more and whose zones are these: sorts, syncs,
    /// opens it again, reads all of it, and says so in its sidecar. `Ok(false)` when readers do not
    /// let it go; then it can be tried again.
    ///
    /// # Errors
    /// When sled or the disk fails, or it is not as it was written.
    pub(super) fn close(
        &self,
        zones: &[Arc<Zone>],
        salt: u64,
        files: &dyn Files,
    ) -> Result<bool, StorageError> {
        let filter = {
            let ids = self.ids.read();
            let Ids::Active(map) = &*ids else {
                return Ok(true);
            };
            map.write(&*self.db()?)?;
            map.filter(salt)
        };
        self.sync(files)?;
        if !self.check_reopened(zones)? {
            return Ok(false);
        }
        let operations = self.operations.read().complete();
        let sidecar = Sidecar {
            created: self.created,
            zones: zones.iter().map(|zone| Zone::clone(zone)).collect(),
            filter,
            operations: operations.map(|operations| {
                operations
                    .into_iter()
                    .map(|of| (of.service, of.name))
                    .collect()
            }),
        };
        sidecar.write(&self.dir, files)?;
        *self.ids.write() = Ids::Closed(sidecar.filter);
        Ok(true)
    }

    /// Waits until nobody reads the database any more; says `false` when it takes too long.
    pub(super) fn wait_until_released(&self) -> bool {
        (0..RELEASE_WAITS).any(|n_waits| {
            if n_waits > 0 {
                std::thread::sleep(RELEASE_WAIT);
            }
            self.db.lock().used.strong_count() == 0
        })
    }

    /// Opens the database anew and reads all of it; `Ok(false)` when readers do not let it go.
    fn check_reopened(&self, zones: &[Arc<Zone>]) -> Result<bool, StorageError> {
        // Held, so that nobody opens it meanwhile.
        let mut slot = self.db.lock();
        slot.kept = None;
        let mut n_waits = 0;
        while slot.used.strong_count() > 0 {
            if n_waits == RELEASE_WAITS {
                return Ok(false);
            }
            n_waits += 1;
            std::thread::sleep(RELEASE_WAIT);
        }
        let db = Db::open(&self.dir)?;
        let damaged = |what: &str| StorageError::Damaged {
            what: format!("{} after it was closed: {what}", self.dir.display()),
        };
        let mut n_entries = 0;
        if read_zones(&db)? != zones {
            return Err(damaged("its zones"));
        }
        for (block, zone) in (0..).zip(zones) {
            n_entries += check_block(&db, block, zone)?.len() as u64;
        }
        if ids::count(&db)? != n_entries {
            return Err(damaged("its runs of trace IDs"));
        }
        let db = Arc::new(db);
        slot.used = Arc::downgrade(&db);
        slot.kept = Some(db);
        Ok(true)
    }
}
