//! An open store: its parts, its threads, and how they begin and end.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use longpole_proto::UnixNanos;
use longpole_proto::wire::ExportRequest;

use super::apply::{Applier, Durable, answer};
use super::budget::Budget;
use super::core::{Core, Paths};
use super::data_dir::DataDir;
use super::files::Files;
use super::history::History;
use super::keeper::{self, Keeper};
use super::live::Take;
use super::log::{Log, LogConfig, Logged, SEGMENT_BYTES_MAX};
use super::marks::Marks;
use super::partition::Pool;
use super::reopen::Alarm;
use super::seal::Sealer;
use super::settings::Settings;
use super::{io_error, join, recover, status};
use crate::{Appended, Completion, RecoveryStatus, Stats, StorageError, StoreConfig};

/// How many bytes of export requests may wait to be written: one of the largest, or a second of
/// heavy traffic.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// What a waiting append takes besides its bytes and spans.
const APPEND_BYTES: usize = 512;

/// What a store is opened with, as often as it is.
pub(super) struct Plan {
    pub(super) config: StoreConfig,
    pub(super) settings: Settings,
    pub(super) files: Arc<dyn Files>,
    /// Of all that were opened.
    pub(super) history: Arc<History>,
    /// Rung when one fails.
    pub(super) alarm: Arc<Alarm>,
}

impl Plan {
    /// Opens the store. When what is not closed yet cannot take what the log has, it is set aside and
    /// made anew from the log.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds not be read.
    pub(super) fn open(&self) -> Result<Engine, StorageError> {
        match Engine::open(self, None) {
            // On a full disk another one would fail as well.
            Err(error @ (StorageError::Engine(_) | StorageError::Damaged { .. }))
                if self.has_room() =>
            {
                tracing::error!(%error, "the store could not be opened; what is not closed is made anew");
                Engine::open(self, Some(&error.with_causes()))
            }
            opened => opened,
        }
    }

    /// Whether the disk has as much free as there must be.
    pub(super) fn has_room(&self) -> bool {
        let room = self.files.room(&self.config.data_dir);
        room.is_ok_and(|room| room.free_bytes >= self.settings.least_free(room.total_bytes))
    }
}

/// An open store.
pub(super) struct Engine {
    pub(super) core: Arc<Core>,
    pub(super) applier: Arc<Applier>,
    pub(super) sealer: Arc<Sealer>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) log: Arc<Log>,
    budget: Budget,
    pub(super) config: StoreConfig,
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

impl Engine {
    /// Opens it. With a reason to `distrust` the partitions that are not closed, they are set aside.
    ///
    /// # Errors
    /// When the directory cannot be used, or what it holds not be read.
    pub(super) fn open(plan: &Plan, distrust: Option<&str>) -> Result<Self, StorageError> {
        let Plan {
            config,
            settings,
            files,
            history,
            ..
        } = plan;
        history.opening();
        let began = settings.clock.elapsed();
        let dir = DataDir::open(&config.data_dir, &**files)?;
        let paths = Paths {
            data: dir.path().to_owned(),
            log: dir.log(),
            partitions: dir.partitions(),
            quarantine: dir.quarantine(),
            checkpoint: dir.checkpoint(),
            marks: dir.marks(),
        };
        let pool = Arc::new(Pool::new(settings.open_max));
        let (marks, n_damaged_marks) = Marks::open(paths.marks.clone(), &**files)?;
        let mut recovered =
            recover::recover(&paths, &pool, distrust, settings.clock.now(), &**files)?;
        recovered.view.set_deleted(marks.deleted());
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
            plan,
            paths,
            pool,
            recovered.view,
            marks,
            recovered.replay_from,
        );
        core.n_lost_partitions
            .store(recovered.n_lost, Ordering::Relaxed);
        let mut n_damaged = recovered.n_lost + n_damaged_marks;
        core.note_damaged_marks(n_damaged_marks);
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
        let applier = Arc::new(Applier::new(Arc::clone(&core)));
        let keeper = Keeper::new(Arc::clone(&core), Arc::clone(&log), Arc::clone(&applier));
        let mut engine = Self {
            applier,
            sealer: Arc::new(Sealer::new(Arc::clone(&core))),
            keeper: Arc::new(keeper),
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
        Ok(engine)
    }

    fn start(&mut self) -> Result<(), StorageError> {
        self.core.look_at_disk()?;
        self.threads.apply = Some(self.applier.start()?);
        self.threads.seal = Some(self.sealer.start()?);
        self.threads.keep = self.keeper.start()?;
        Ok(())
    }

    /// See [`crate::Store::append`].
    pub(super) fn append(&self, request: ExportRequest, received: UnixNanos, done: Completion) {
        let body_bytes = request.bytes().len() as u64;
        let is_taken = self
            .core
            .check()
            .and_then(|()| self.core.take_room(body_bytes));
        if let Err(error) = is_taken {
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

    /// See [`crate::Store::flush`].
    pub(super) fn flush(&self) -> Result<(), StorageError> {
        let (sender, reached) = mpsc::sync_channel::<()>(1);
        let applier = Arc::clone(&self.applier);
        self.log.barrier(Box::new(move || {
            applier.barrier(Box::new(move || drop(sender)));
        }));
        // The barrier drops the only sender, so the end of the channel is the signal.
        reached.recv().err();
        self.core.check()
    }

    /// See [`crate::Store::stats`].
    pub(super) fn stats(&self) -> Result<Stats, StorageError> {
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
    ///
    /// # Errors
    /// When it had failed, or sled or the disk fails.
    pub(super) fn shut_down(&mut self) -> Result<(), StorageError> {
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

/// A number no client knows.
fn salt() -> u32 {
    let random = RandomState::new().hash_one(0_u8);
    u32::try_from(random >> 32).expect("half of 64 bits")
}
