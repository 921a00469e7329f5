//! The embedded engine: a log, traces in memory, and blocks of whole traces in sled.
//!
//! ```text
//! append -> log (lz4 frame, fdatasync) -> live traces -> done
//!                                            └─> sealed -> block in the active partition
//!                                                             └─> closed partitions -> removed
//! ```
//!
//! What holds:
//! - An append is answered when the log has it as durably as promised *and* its traces can be read.
//! - A trace goes from memory to a block in one switch: whoever takes a snapshot finds each span once.
//! - A block's sequence says up to where the log its traces are in it, so that opening takes in
//!   again what is in no block, and nothing twice.
//! - The log keeps every append until it is in a partition that was closed, synced, opened again
//!   and read whole. Whatever happens to the active partition, it is made anew from the log.
//! - Nothing sled says is believed without a checksum of our own.
//!
//! `docs/disk-format.md` has the bytes.

mod aggregates;
mod apply;
mod aside;
mod attributes;
#[cfg(any(test, feature = "testing"))]
pub mod bench;
mod block;
mod bloom;
mod budget;
mod checked;
mod core;
mod cursor;
mod data_dir;
mod digest;
mod engine;
mod entries;
mod entry;
pub(crate) mod files;
mod free;
mod history;
mod keeper;
mod live;
mod log;
mod marking;
mod marks;
mod operations;
mod overview;
mod partition;
mod received;
mod recover;
mod reopen;
mod seal;
mod search;
pub(crate) mod settings;
mod status;
#[cfg(test)]
mod tests;
mod traces;
mod view;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use parking_lot::Mutex;

pub use self::data_dir::FORMAT;

use self::apply::answer;
use self::engine::{Engine, Plan};
use self::files::Files;
use self::history::History;
use self::reopen::{Alarm, Slot};
use self::settings::Settings;
use crate::{
    Aggregates, AggregatesRequest, Completion, Health, MostFrequent, Operation, Overview,
    OverviewRequest, SearchRequest, SearchResult, Stats, StorageError, Store, StoreConfig,
    StoreStatus, StoredTrace, TraceVersion,
};

/// The embedded store.
pub(crate) struct SledStore {
    slot: Arc<Slot>,
    alarm: Arc<Alarm>,
    /// Opens it anew when it fails.
    reopener: Mutex<Option<JoinHandle<()>>>,
}

impl SledStore {
    /// Opens the store, with all file operations but sled's made by `files`, by the rules of
    /// `settings`.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds not be read.
    pub(crate) fn open(
        config: &StoreConfig,
        settings: Settings,
        files: &Arc<dyn Files>,
    ) -> Result<Self, StorageError> {
        let alarm = Arc::new(Alarm::default());
        let history = History::new(&config.data_dir, settings.clock.now());
        let plan = Plan {
            config: config.clone(),
            settings,
            files: Arc::clone(files),
            history: Arc::new(history),
            alarm: Arc::clone(&alarm),
        };
        let engine = plan.open()?;
        let slot = Arc::new(Slot::new(plan, engine));
        let store = Self {
            slot: Arc::clone(&slot),
            alarm,
            reopener: Mutex::default(),
        };
        let reopener = std::thread::Builder::new()
            .name("longpole-reopen".to_owned())
            .spawn(move || slot.keep_open())
            .map_err(io_error("start a thread for", &config.data_dir))?;
        *store.reopener.lock() = Some(reopener);
        Ok(store)
    }

    fn engine(&self) -> Result<Arc<Engine>, StorageError> {
        self.slot.engine()
    }
}

impl Store for SledStore {
    fn append(&self, request: ExportRequest, received: UnixNanos, done: Completion) {
        match self.engine() {
            Ok(engine) => engine.append(request, received, done),
            Err(error) => answer(done, Err(error)),
        }
    }

    fn trace(&self, trace_id: TraceId) -> Result<Option<StoredTrace>, StorageError> {
        self.engine()?.core.trace(trace_id)
    }

    fn delete(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        self.engine()?.core.delete(trace_id)
    }

    fn deleted(&self, trace_id: TraceId) -> Result<Option<UnixNanos>, StorageError> {
        Ok(self.engine()?.core.deleted(trace_id))
    }

    fn pin(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        self.engine()?.core.pin(trace_id)
    }

    fn unpin(&self, trace_id: TraceId) -> Result<bool, StorageError> {
        self.engine()?.core.unpin(trace_id)
    }

    fn pinned(&self) -> Result<Vec<TraceId>, StorageError> {
        Ok(self.engine()?.core.pinned())
    }

    fn trace_version(&self, trace_id: TraceId) -> Result<Option<TraceVersion>, StorageError> {
        self.engine()?.core.trace_version(trace_id)
    }

    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        self.engine()?.core.search(request)
    }

    fn overview(&self, request: &OverviewRequest) -> Result<Overview, StorageError> {
        self.engine()?.core.overview(request)
    }

    fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        self.engine()?.core.services(limit)
    }

    fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        self.engine()?.core.operations(service, limit)
    }

    fn attribute_names(&self, prefix: &str, limit: usize) -> Result<MostFrequent, StorageError> {
        self.engine()?.core.attribute_names(prefix, limit)
    }

    fn attribute_values(
        &self,
        name: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<MostFrequent, StorageError> {
        self.engine()?.core.attribute_values(name, prefix, limit)
    }

    fn aggregates(&self, request: &AggregatesRequest) -> Result<Aggregates, StorageError> {
        self.engine()?.core.aggregates(request)
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        self.engine()?.stats()
    }

    fn health(&self) -> Result<Health, StorageError> {
        self.slot.health()
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        self.engine()?.status()
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.engine()?.flush()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.alarm.close();
        join(self.reopener.lock().take());
        self.slot.close()
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store did not close well; the log is kept");
        }
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of the store panicked");
    }
}

/// Makes the error of a file operation.
fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StorageError + 'a {
    move |source| StorageError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
