//! Partitions: one sled database each, with the blocks of some hours or of 256 MB of log.
//!
//! One is *active*: blocks are added to it, and the log keeps all that is in it, so that it can be
//! made anew. It is *closed* by sorting its trace IDs into runs and its blooms into lanes, syncing it,
//! opening it again and reading all of it; only then does its sidecar say so and may the log forget.
//!
//! A block is written as its pieces, its summaries, its bloom, its digest, its operations, and last its zone: what
//! has no zone is not there. Every value has a checksum of its own, because sled is not believed.

mod check;
mod db;
mod digests;
mod handle;
mod ids;
mod lanes;
mod pieces;
mod pool;
mod sidecar;
mod summaries;
mod zone;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use self::check::{check_block, check_rest, read_zones, zone_value};
pub(super) use self::db::{Db, Synced, guarded};
use self::handle::Handle;
use self::ids::{Filter, IdMap};
pub(super) use self::lanes::{Answers, GROUP_BLOCKS};
use self::pieces::Place;
pub(super) use self::pool::Pool;
use self::sidecar::Sidecar;
pub(super) use self::summaries::{Rows, RowsBuilder};
pub(super) use self::zone::{LateRow, Numbers, Zone};
use super::bloom::Item;
use super::files::Files;
use super::operations::{self, OperationSet};
use crate::{Operation, StorageError};

/// A partition.
pub(super) struct Partition {
    number: u32,
    created: UnixNanos,
    handle: Arc<Handle>,
    ids: RwLock<Ids>,
    /// By block.
    places: RwLock<Vec<Places>>,
    /// What is known to be durable.
    synced: Mutex<Synced>,
    operations: RwLock<OperationSet>,
    has_damaged_sum: AtomicBool,
    /// What was added up of it while it was not closed.
    attributes: Mutex<digests::Added>,
}

/// Where a block's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Places {
    block: Place,
    rows: Place,
    bloom: Place,
    digest: Place,
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
    pub(super) bloom: Vec<u8>,
    pub(super) digest: Vec<u8>,
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
        Ok(Self {
            number,
            created,
            handle: Arc::new(Handle::new(dir, Some(Db::open(dir)?))),
            ids: RwLock::new(Ids::Active(IdMap::default())),
            places: RwLock::default(),
            synced: Mutex::default(),
            operations: RwLock::default(),
            has_damaged_sum: AtomicBool::default(),
            attributes: Mutex::default(),
        })
    }

    /// Reads what a closed partition says about itself; `None` when it is not closed.
    ///
    /// # Errors
    /// When the disk fails or what it says is damaged.
    pub(super) fn find_closed(
        dir: &Path,
        number: u32,
        pool: &Arc<Pool>,
        files: &dyn Files,
    ) -> Result<Option<Found>, StorageError> {
        let Some(sidecar) = Sidecar::read(dir, files)? else {
            return Ok(None);
        };
        let handle = Handle::new(dir, None);
        handle.join(pool);
        let operations = OperationSet::new(sidecar.operations());
        let partition = Self {
            number,
            created: sidecar.created,
            handle: Arc::new(handle),
            ids: RwLock::new(Ids::Closed(sidecar.filter)),
            places: RwLock::new(sidecar.places),
            synced: Mutex::default(),
            operations: RwLock::new(operations),
            has_damaged_sum: AtomicBool::default(),
            attributes: Mutex::default(),
        };
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
        let (places, zones) = read_zones(&db)?;
        let mut ids = IdMap::default();
        for (block, (places, zone)) in (0..).zip(places.iter().zip(&zones)) {
            for trace_id in check_block(&db, block, places, zone)? {
                ids.insert(trace_id, block);
            }
        }
        check_rest(&db, &places)?;
        let listed = operations::list(&db.operations, None, operations::IN_MEMORY_MAX + 1)?;
        let partition = Self {
            number,
            created,
            handle: Arc::new(Handle::new(dir, Some(db))),
            ids: RwLock::new(Ids::Active(ids)),
            places: RwLock::new(places),
            synced: Mutex::default(),
            operations: RwLock::new(OperationSet::new(Some(listed))),
            has_damaged_sum: AtomicBool::default(),
            attributes: Mutex::default(),
        };
        Ok(Found { partition, zones })
    }

    /// Its number; later ones have larger ones.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        self.handle.dir()
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
        self.handle.is_broken()
    }

    /// Whether what it has is there no more. Of one that is broken but not closed the log has all:
    /// who reads it gets the error, not an answer that lacks something.
    pub(super) fn is_lost(&self) -> bool {
        self.is_closed() && self.is_broken()
    }

    /// Gives it up: it is not opened any more.
    pub(super) fn abandon(&self) {
        self.handle.abandon();
    }

    /// Waits until nobody reads the database any more; says `false` when it takes too long.
    pub(super) fn wait_until_released(&self) -> bool {
        self.handle.wait_until_released()
    }

    /// Why it could not be read.
    pub(super) fn why_broken(&self) -> &str {
        self.handle.why_broken()
    }

    /// Writes a block, which others see once the caller says so.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn write(&self, block: u32, sealed: &Sealed) -> Result<(), StorageError> {
        let db = self.handle.db()?;
        let last = self.places.read().last().copied().unwrap_or_default();
        let places = Places {
            block: db.blocks.put(last.block.end(), &sealed.block)?,
            rows: db.summaries.put(last.rows.end(), &sealed.rows)?,
            bloom: db.blooms.put(last.bloom.end(), &sealed.bloom)?,
            digest: db.digests.put(last.digest.end(), &sealed.digest)?,
        };
        for operation in &sealed.operations {
            operations::insert(&db.operations, operation)?;
        }
        self.operations.write().extend(&sealed.operations);
        let value = zone_value(&places, &sealed.zone);
        guarded(|| db.zones.insert(block.to_be_bytes(), value))?;
        self.places.write().push(places);
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
        let db = self.handle.db()?;
        self.handle
            .unless_engine_fails(ids::read_runs(&db, trace_id))
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
        let place = self.places(block)?.block;
        let db = self.handle.db()?;
        self.handle.unless_engine_fails(db.blocks.get(place))
    }

    /// A block's summaries.
    ///
    /// # Errors
    /// When sled fails or they are damaged.
    pub(super) fn rows(&self, block: u32) -> Result<Rows, StorageError> {
        let place = self.places(block)?.rows;
        let db = self.handle.db()?;
        let value = self.handle.unless_engine_fails(db.summaries.get(place))?;
        Rows::read(&value)
    }

    /// A block's bloom, not yet checked.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn bloom(&self, block: u32) -> Result<Vec<u8>, StorageError> {
        let place = self.places(block)?.bloom;
        let db = self.handle.db()?;
        self.handle.unless_engine_fails(db.blooms.get(place))
    }

    /// What is known of an item in a group of [`GROUP_BLOCKS`] blocks without asking each block's
    /// bloom: nothing while it is not closed, and of what is damaged.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn ask_lanes(&self, group: u32, item: Item) -> Result<Answers, StorageError> {
        if !self.is_closed() {
            return Ok(Answers::new());
        }
        // That sled cannot read a lane is no reason to give the partition up.
        lanes::ask(&*self.handle.db()?, group, item)
    }

    /// Flips a bit of every value in a tree.
    #[cfg(test)]
    pub(super) fn damage_tree(&self, name: &str) {
        let tree = self.handle.db().expect("a database").tree(name);
        for entry in &tree {
            let (key, value) = entry.expect("sled works");
            let mut value = value.to_vec();
            if let Some(last) = value.last_mut() {
                *last ^= 1;
                tree.insert(key, value).expect("sled works");
            }
        }
    }

    /// The blooms of a group, not yet checked.
    fn blooms(&self, group: u32) -> Result<Vec<Vec<u8>>, StorageError> {
        let db = self.handle.db()?;
        let places = lanes::of_group(group, &self.places.read()).to_vec();
        let places = places.iter();
        places.map(|places| db.blooms.get(places.bloom)).collect()
    }

    fn write_lanes(&self) -> Result<(), StorageError> {
        let n_groups = lanes::n_groups(self.places.read().len());
        (0..n_groups).try_for_each(|group| {
            let blooms = self.blooms(group)?;
            lanes::write(&*self.handle.db()?, group, &blooms)
        })
    }

    fn places(&self, block: u32) -> Result<Places, StorageError> {
        let places = self.places.read().get(block as usize).copied();
        places.ok_or_else(|| StorageError::Damaged {
            what: format!("block {block} in {} is not there", self.dir().display()),
        })
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
        operations::list(&self.handle.db()?.operations, service, limit)
    }

    /// Whether it may have an operation that is meant, from memory.
    pub(super) fn may_have_operation(&self, is_meant: impl FnMut(&Operation) -> bool) -> bool {
        self.operations.read().may_any(is_meant)
    }

    /// Its services in order, at most `limit`.
    ///
    /// # Errors
    /// When sled fails or what it gives is damaged.
    pub(super) fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        if let Some(listed) = self.operations.read().services(limit) {
            return Ok(listed);
        }
        operations::services(&self.handle.db()?.operations, limit)
    }

    /// Makes everything written so far durable; only one thread may do so.
    ///
    /// # Errors
    /// When sled or the disk fails.
    pub(super) fn sync(&self, files: &dyn Files) -> Result<(), StorageError> {
        let db = self.handle.db()?;
        db.sync(files, &mut self.synced.lock())
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
        pool: &Arc<Pool>,
        files: &dyn Files,
    ) -> Result<bool, StorageError> {
        let filter = {
            let ids = self.ids.read();
            let Ids::Active(map) = &*ids else {
                return Ok(true);
            };
            map.write(&*self.handle.db()?)?;
            map.filter(salt)
        };
        self.write_lanes()?;
        self.sync(files)?;
        if !self.check_reopened(zones)? {
            return Ok(false);
        }
        self.write_sums(zones, files)?;
        let operations = self.operations.read().complete();
        let sidecar = Sidecar {
            created: self.created,
            places: self.places.read().clone(),
            zones: zones.iter().map(|zone| Zone::clone(zone)).collect(),
            filter,
            operations: operations.map(|operations| {
                operations
                    .into_iter()
                    .map(|of| (of.service, of.name))
                    .collect()
            }),
        };
        sidecar.write(self.dir(), files)?;
        *self.ids.write() = Ids::Closed(sidecar.filter);
        self.handle.join(pool);
        self.handle.release();
        Ok(true)
    }

    /// Opens the database anew and reads all of it; `Ok(false)` when readers do not let it go. They
    /// wait while it is opened, not while it is read.
    fn check_reopened(&self, zones: &[Arc<Zone>]) -> Result<bool, StorageError> {
        let Some(db) = self.handle.reopen()? else {
            return Ok(false);
        };
        let damaged = |what: &str| StorageError::Damaged {
            what: format!("{} after it was closed: {what}", self.dir().display()),
        };
        let places = self.places.read().clone();
        let (found_places, found_zones) = read_zones(&db)?;
        if found_places != places || found_zones != zones {
            return Err(damaged("its zones"));
        }
        let mut n_entries = 0;
        for (block, (places, zone)) in (0..).zip(places.iter().zip(zones)) {
            n_entries += check_block(&db, block, places, zone)?.len() as u64;
        }
        if ids::count(&db)? != n_entries {
            return Err(damaged("its runs of trace IDs"));
        }
        for group in 0..lanes::n_groups(places.len()) {
            if !lanes::is_as_written(&db, group, &self.blooms(group)?)? {
                return Err(damaged("its lanes"));
            }
        }
        Ok(true)
    }
}
