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

mod apply;
mod aside;
#[cfg(any(test, feature = "testing"))]
pub mod bench;
mod block;
mod bloom;
mod budget;
mod core;
mod cursor;
mod data_dir;
mod entries;
mod entry;
pub(crate) mod files;
mod history;
mod keeper;
mod live;
mod log;
mod operations;
mod partition;
mod received;
mod recover;
mod seal;
mod search;
pub(crate) mod settings;
mod status;
#[cfg(test)]
mod tests;
mod traces;
mod view;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{RwLock, RwLockReadGuard};

use self::apply::{Applier, Durable, answer};
use self::budget::Budget;
use self::core::{Core, Paths};
use self::data_dir::DataDir;
use self::files::Files;
use self::keeper::Keeper;
use self::live::Take;
use self::log::{Log, LogConfig, Logged, SEGMENT_BYTES_MAX};
use self::partition::Pool;
use self::seal::Sealer;
use self::settings::Settings;
use crate::{
    Appended, Completion, Health, Operation, RecoveryStatus, SearchRequest, SearchResult, Stats,
    StorageError, Store, StoreConfig, StoreStatus, StoredTrace,
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
    core: Arc<Core>,
    applier: Arc<Applier>,
    sealer: Arc<Sealer>,
    keeper: Arc<Keeper>,
    log: Arc<Log>,
    budget: Budget,
    config: StoreConfig,
    threads: Threads,
    /// Last, so that the directory is free only when nobody uses it any more.
    _dir: DataDir,
}

/// The threads, to be joined.
#[derive(Default)]
struct Threads {
    apply: Option<JoinHandle<()>>,
    seal: Option<JoinHandle<()>>,
    keep: Vec<JoinHandle<()>>,
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
        let began = settings.clock.elapsed();
        let dir = DataDir::open(&config.data_dir, &**files)?;
        let paths = Paths {
            data: dir.path().to_owned(),
            log: dir.log(),
            partitions: dir.partitions(),
            quarantine: dir.quarantine(),
            checkpoint: dir.checkpoint(),
        };
        let pool = Arc::new(Pool::new(settings.open_max));
        let recovered = recover::recover(&paths, &pool, settings.clock.now(), &**files)?;
        let found = status::recovery_of(&recovered);
        let log_config = LogConfig {
            dir: dir.log(),
            durability: config.durability,
            segment_bytes_max: SEGMENT_BYTES_MAX
                .min(settings.partition_log_bytes / 4)
                .max(1),
            last_seq: recovered.last_seq,
            replay_from: recovered.replay_from,
            salt: salt(),
        };
        let core = Core::new(
            settings,
            Arc::clone(files),
            paths,
            pool,
            recovered.view,
            recovered.replay_from,
        );
        core.n_lost_partitions
            .store(recovered.n_lost, Ordering::Relaxed);
        let mut n_damaged = recovered.n_lost;
        let mut n_spans = 0;
        let (log, recovery) = Log::open(Arc::clone(files), log_config, |frame| {
            match ExportRequest::parse(frame.body) {
                Ok(request) => {
                    n_spans += request.spans().len() as u64;
                    core.replay(frame.seq, frame.received, request)?;
                    core.seal_down()
                }
                Err(error) => {
                    tracing::warn!(%error, seq = frame.seq, "a frame of the log holds no export request");
                    n_damaged += 1;
                    let reason = format!("frame {} holds no export request: {error}", frame.seq);
                    core.history
                        .damaged(core.settings.clock.now(), &core.paths.log, &reason);
                    Ok(())
                }
            }
        })?;
        core.all_replayed(recovered.last_seq);
        files
            .sync_dir(dir.path())
            .map_err(io_error("sync", dir.path()))?;
        tracing::info!(
            path = %dir.path().display(),
            recovery.n_frames,
            recovery.n_damaged,
            recovery.torn_bytes,
            recovered.n_lost,
            "opened the store"
        );
        core.n_damaged
            .store(recovery.n_damaged + n_damaged, Ordering::Relaxed);
        let took = core.settings.clock.elapsed().saturating_sub(began);
        core.history
            .recovered(took, &recovery, RecoveryStatus { n_spans, ..found });

        let (core, log) = (Arc::new(core), Arc::new(log));
        let mut engine = Engine {
            applier: Arc::new(Applier::new(Arc::clone(&core))),
            sealer: Arc::new(Sealer::new(Arc::clone(&core))),
            keeper: Arc::new(Keeper::new(Arc::clone(&core), Arc::clone(&log))),
            budget: Budget::new(WAITING_BYTES_MAX),
            config: config.clone(),
            core,
            log,
            threads: Threads::default(),
            _dir: dir,
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
        self.keeper.look_at_disk()?;
        self.threads.apply = Some(self.applier.start()?);
        self.threads.seal = Some(self.sealer.start()?);
        self.threads.keep = self.keeper.start()?;
        Ok(())
    }

    fn append(&self, request: ExportRequest, received: UnixNanos, done: Completion) {
        if let Err(error) = self.core.check().and_then(|()| self.core.check_room()) {
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
        let core = Arc::clone(&self.core);
        let written = move |result| match result {
            Ok(Logged {
                seq,
                is_known: false,
            }) => applier.append(Box::new(Durable {
                seq,
                request,
                received,
                done,
                taken,
            })),
            Ok(Logged { seq, .. }) => {
                let n_spans = request.spans().len() as u64;
                drop(request);
                // In turn, because the request it repeats may not be taken in yet.
                applier.barrier(Box::new(move || {
                    drop(taken);
                    let result = core.acknowledge_retry(seq);
                    answer(done, result.map(|()| Appended { n_spans }));
                }));
            }
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
        self.core.check()
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        let (n_traces, n_spans) = self.core.totals()?;
        Ok(Stats {
            n_traces,
            n_spans,
            disk_bytes: keeper::bytes_below(&self.core.paths.data)?,
            log_bytes: self.log.bytes(),
            waiting_bytes: self.budget.taken_bytes(),
            n_damaged: self.core.n_damaged.load(Ordering::Relaxed),
        })
    }

    /// Finishes what waits, ends the threads, and seals what is in memory.
    fn shut_down(&mut self) -> Result<(), StorageError> {
        self.log.close();
        self.applier.close();
        join(self.threads.apply.take());
        self.sealer.stop();
        self.keeper.stop();
        join(self.threads.seal.take());
        for thread in self.threads.keep.drain(..) {
            join(Some(thread));
        }
        while self.core.seal_or_fail(Take::All)? {}
        self.keeper.checkpoint()
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

    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        self.engine()?.core.search(request)
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

    fn stats(&self) -> Result<Stats, StorageError> {
        self.engine()?.stats()
    }

    fn health(&self) -> Result<Health, StorageError> {
        Ok(self.engine()?.health())
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        self.engine()?.status()
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
