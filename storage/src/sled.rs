//! The embedded engine, first layout: a log, and one sled database with a chunk for each trace of
//! each export request.
//!
//! ```text
//! append -> log (lz4 frame, fdatasync) -> chunks in sled -> done
//!                                            └─> stale traces -> entries in sled <- search
//! ```
//!
//! What holds:
//! - An append is answered when the log has it as durably as promised *and* its chunks can be read.
//! - The log keeps every append until a checkpoint made its chunks durable; opening applies what
//!   the log holds once more, which changes nothing where it was applied before.
//! - Entries, which search reads, are made of chunks and can be behind; what reads them brings them
//!   up to date first.
//!
//! `docs/disk-format.md` has the bytes.

mod apply;
mod block;
mod budget;
mod checkpoint;
mod chunks;
mod cursor;
mod data_dir;
mod db;
mod entry;
pub(crate) mod files;
mod index;
mod log;
mod operations;
mod search;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{RwLock, RwLockReadGuard};

use self::apply::{Applier, ChunkWriter, Durable, answer};
use self::budget::Budget;
use self::checkpoint::Checkpoints;
use self::data_dir::DataDir;
use self::db::Db;
use self::files::Files;
use self::index::Index;
use self::log::{Log, LogConfig, SEGMENT_BYTES_MAX};
use crate::{
    Completion, Operation, SearchRequest, SearchResult, Stats, StorageError, Store, StoreConfig,
    StoredTrace,
};

/// How many bytes of export requests may wait to be written: one of the largest, or a second of
/// heavy traffic.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// What a waiting append takes besides its bytes and spans.
const APPEND_BYTES: usize = 512;

/// The embedded store.
pub(crate) struct SledStore {
    /// `None` once it is closed.
    engine: RwLock<Option<Engine>>,
}

/// An open store.
struct Engine {
    db: Arc<Db>,
    index: Arc<Index>,
    applier: Arc<Applier>,
    log: Arc<Log>,
    checkpoints: Arc<Checkpoints>,
    budget: Budget,
    n_damaged: u64,
    threads: Threads,
    /// Last, so that the directory is free only when nobody uses it any more.
    dir: DataDir,
}

/// The threads, to be joined.
#[derive(Default)]
struct Threads {
    apply: Option<JoinHandle<()>>,
    index: Option<JoinHandle<()>>,
    checkpoint: Option<JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store, with the log's and the checkpoints' file operations made by `files`.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds not be read.
    pub(crate) fn open(config: &StoreConfig, files: &Arc<dyn Files>) -> Result<Self, StorageError> {
        let dir = DataDir::open(&config.data_dir, &**files)?;
        let db = Arc::new(Db::open(&dir.db())?);
        let (last_seq, stale) = checkpoint::read(&db, &**files)?;
        let index = Arc::new(Index::new(Arc::clone(&db), last_seq, stale.iter().copied()));

        let log_config = LogConfig {
            dir: dir.log(),
            durability: config.durability,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            last_seq,
            salt: salt(),
        };
        let mut writer = ChunkWriter::new(&db, &index);
        let mut n_unparsed = 0;
        let (log, recovery) = Log::open(Arc::clone(files), log_config, |frame| {
            match ExportRequest::parse(frame.body) {
                Ok(request) => {
                    writer.write(frame.seq, frame.received, &request)?;
                    writer.finish()
                }
                Err(error) => {
                    tracing::warn!(%error, seq = frame.seq, "a frame of the log holds no export request");
                    n_unparsed += 1;
                    Ok(())
                }
            }
        })?;
        files
            .sync_dir(dir.path())
            .map_err(io_error("sync", dir.path()))?;
        tracing::info!(
            path = %dir.path().display(),
            recovery.n_frames,
            recovery.n_damaged,
            recovery.torn_bytes,
            "opened the store"
        );

        let log = Arc::new(log);
        let applier = Arc::new(Applier::new(Arc::clone(&db), Arc::clone(&index)));
        let checkpoints = Arc::new(Checkpoints::new(
            Arc::clone(&db),
            Arc::clone(&index),
            Arc::clone(&log),
            Arc::clone(files),
            stale,
        ));
        let mut engine = Engine {
            db,
            index,
            applier,
            log,
            checkpoints,
            budget: Budget::new(WAITING_BYTES_MAX),
            n_damaged: recovery.n_damaged + n_unparsed,
            threads: Threads::default(),
            dir,
        };
        if let Err(error) = engine.start() {
            drop(engine.shut_down());
            return Err(error);
        }
        Ok(Self {
            engine: RwLock::new(Some(engine)),
        })
    }
}

impl Engine {
    fn start(&mut self) -> Result<(), StorageError> {
        self.threads.apply = Some(self.applier.start()?);
        self.threads.index = Some(self.index.start()?);
        self.threads.checkpoint = Some(self.checkpoints.start()?);
        Ok(())
    }

    fn append(&self, request: ExportRequest, received: UnixNanos, done: Completion) {
        if let Err(error) = self.applier.check() {
            return answer(done, Err(error));
        }
        let n_bytes = request.bytes().len() + size_of_val(request.spans()) + APPEND_BYTES;
        let Some(taken) = self.budget.take(n_bytes as u64) else {
            let busy = StorageError::Busy {
                waiting_bytes: self.budget.taken_bytes(),
                limit_bytes: self.budget.limit_bytes(),
            };
            return answer(done, Err(busy));
        };
        let body = request.bytes().clone();
        let applier = Arc::clone(&self.applier);
        let written = move |result| match result {
            Ok(seq) => applier.append(Box::new(Durable {
                seq,
                request,
                received,
                done,
                taken,
            })),
            Err(error) => {
                drop(taken);
                answer(done, Err(error));
            }
        };
        self.log.append(body, received, Box::new(written));
    }

    fn flush(&self) -> Result<(), StorageError> {
        let (sender, reached) = mpsc::sync_channel::<()>(1);
        let applier = Arc::clone(&self.applier);
        self.log.barrier(Box::new(move || {
            applier.barrier(Box::new(move || drop(sender)));
        }));
        // The barrier drops the only sender, so the end of the channel is the signal.
        reached.recv().err();
        self.applier.check()?;
        self.index.refresh_all()
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        self.index.refresh_all()?;
        let totals = self.index.totals()?;
        Ok(Stats {
            n_traces: totals.n_traces,
            n_spans: totals.n_spans,
            disk_bytes: self.dir.bytes()?,
            log_bytes: self.log.bytes(),
            waiting_bytes: self.budget.taken_bytes(),
            n_damaged: self.n_damaged + self.index.n_unreadable(),
        })
    }

    /// Finishes what waits, ends the threads, and leaves an empty log behind where it can.
    fn shut_down(&mut self) -> Result<(), StorageError> {
        self.log.close();
        self.applier.close();
        join(self.threads.apply.take());
        let indexed = self.applier.check().and_then(|()| self.index.refresh_all());
        self.index.stop();
        self.checkpoints.stop();
        join(self.threads.index.take());
        join(self.threads.checkpoint.take());
        indexed.and_then(|()| self.checkpoints.make())
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
        let engine = self.engine()?;
        chunks::read(&engine.db.chunks, trace_id, engine.index.applied())
    }

    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        let engine = self.engine()?;
        engine.index.refresh_all()?;
        let applied = engine.index.applied();
        search::search(
            &engine.db,
            request,
            applied,
            engine.index.n_unreadable() == 0,
        )
    }

    fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        let engine = self.engine()?;
        engine.index.refresh_all()?;
        operations::services(&engine.db.operations, limit)
    }

    fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        let engine = self.engine()?;
        engine.index.refresh_all()?;
        operations::list(&engine.db.operations, service, limit)
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        self.engine()?.stats()
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.engine()?.flush()
    }

    fn close(&self) -> Result<(), StorageError> {
        // Waits for the calls that are under way.
        let engine = self.engine.write().take();
        engine.map_or(Ok(()), |mut engine| engine.shut_down())
    }
}

impl SledStore {
    fn engine(&self) -> Result<impl std::ops::Deref<Target = Engine> + '_, StorageError> {
        RwLockReadGuard::try_map(self.engine.read(), Option::as_ref)
            .map_err(|_| StorageError::Closed)
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

/// A number no client knows.
fn salt() -> u32 {
    let random = RandomState::new().hash_one(0_u8);
    u32::try_from(random >> 32).expect("half of 64 bits")
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
