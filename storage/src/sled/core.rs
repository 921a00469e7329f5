//! What the threads of an open store share: the live traces, the view of the sealed ones, and the
//! lock that makes a trace's way from the one to the other a single switch.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{Condvar, Mutex};

use super::budget::Budget;
use super::engine::Plan;
use super::entries::Entries;
use super::files::Files;
use super::free::Free;
use super::history::History;
use super::io_error;
use super::live::{Live, LiveTrace, Take};
use super::marks::Marks;
use super::overview::Remembered;
use super::partition::Pool;
use super::received::{Chunk, Received};
use super::reopen::Alarm;
use super::seal::Turn;
use super::settings::Settings;
use super::traces::TraceBuilder;
use super::view::{self, FragmentRef, View};
use crate::{StorageError, StoredTrace, TraceVersion};

/// How often it is looked whether there is room, at the least.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// How many there were in this process.
static OPENINGS: AtomicU64 = AtomicU64::new(0);

/// An open store's data, and how to get at it.
pub(super) struct Core {
    /// Tells it from those before it in this process.
    opening: u64,
    pub(super) settings: Settings,
    pub(super) files: Arc<dyn Files>,
    pub(super) paths: Paths,
    /// Which closed partitions are open.
    pub(super) pool: Arc<Pool>,
    pub(super) state: Mutex<State>,
    /// What the requests in memory take.
    requests: Budget,
    /// Signalled when there is work for the sealer, and when it made room.
    pub(super) changed: Condvar,
    /// Which traces are deleted and which pinned. Taken before the turn.
    pub(super) marks: Mutex<Marks>,
    /// Held while traces are sealed, and while the active partition is exchanged.
    pub(super) turn: Mutex<Turn>,
    pub(super) entries: Mutex<Entries>,
    /// What overviews remember of blocks.
    pub(super) remembered: Remembered,
    /// Whether there may be more to remember.
    pub(super) may_remember: AtomicBool,
    /// Why nothing is taken any more.
    failed: Mutex<Option<String>>,
    /// Whether someone makes room in memory.
    pub(super) is_sealing: AtomicBool,
    /// What the disk has free.
    pub(super) free: Free,
    /// How much too large the data directory is, when nothing of it can be removed.
    pub(super) over_bytes: AtomicU64,
    /// How many pieces of anything turned out to be damaged.
    pub(super) n_damaged: AtomicU64,
    /// How many partitions were set aside since the store was opened.
    pub(super) n_lost_partitions: AtomicU64,
    /// What happened since then.
    pub(super) history: Arc<History>,
    /// Rung when the store fails.
    alarm: Arc<Alarm>,
}

/// Where things are.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) partitions: PathBuf,
    pub(super) quarantine: PathBuf,
    pub(super) checkpoint: PathBuf,
    pub(super) marks: PathBuf,
}

/// What a moment looks like.
pub(super) struct State {
    pub(super) live: Live,
    /// What is being sealed: neither live any more nor in the view yet.
    pub(super) sealing: Option<Arc<Batch>>,
    pub(super) view: View,
    /// All that the log has up to here was taken in.
    pub(super) applied: u64,
}

/// Traces that become a block.
#[derive(Debug)]
pub(super) struct Batch {
    /// Everything of its traces up to this sequence is in it, or in an earlier block.
    pub(super) seq: u64,
    /// By ID.
    pub(super) traces: Vec<LiveTrace>,
}

impl Batch {
    /// One of its traces.
    pub(super) fn get(&self, trace_id: TraceId) -> Option<&LiveTrace> {
        self.traces
            .binary_search_by_key(&trace_id, |trace| trace.trace_id)
            .ok()
            .map(|at| &self.traces[at])
    }
}

impl State {
    /// A trace's chunks in memory, in order.
    pub(super) fn chunks(&self, trace_id: TraceId) -> Vec<Chunk> {
        let sealing = self.sealing.as_ref().and_then(|batch| batch.get(trace_id));
        sealing
            .into_iter()
            .chain(self.live.get(trace_id))
            .flat_map(|trace| trace.chunks.iter().cloned())
            .collect()
    }

    /// The traces in memory: those being sealed, then the live ones; one can be among both.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = &LiveTrace> {
        let sealing = self.sealing.iter().flat_map(|batch| &batch.traces);
        sealing.chain(self.live.iter())
    }

    /// Everything with a smaller sequence is in a block.
    pub(super) fn watermark(&self) -> u64 {
        let sealing = self.sealing.iter().flat_map(|batch| &batch.traces);
        sealing
            .map(|trace| trace.chunks[0].seq())
            .chain(self.live.seq_min())
            .min()
            .unwrap_or(self.applied + 1)
    }
}

impl Core {
    /// The data of a store with these partitions, before what the log has from `replay_from` on is
    /// taken in.
    pub(super) fn new(
        plan: &Plan,
        paths: Paths,
        pool: Arc<Pool>,
        view: View,
        marks: Marks,
        replay_from: u64,
    ) -> Self {
        let requests = Budget::new(u64::MAX);
        Self {
            opening: OPENINGS.fetch_add(1, Ordering::Relaxed),
            settings: plan.settings.clone(),
            files: Arc::clone(&plan.files),
            paths,
            pool,
            state: Mutex::new(State {
                live: Live::new(requests.clone()),
                sealing: None,
                view,
                // A block sealed now must not say that it has what is still to be read.
                applied: replay_from.saturating_sub(1),
            }),
            requests,
            changed: Condvar::new(),
            marks: Mutex::new(marks),
            turn: Mutex::default(),
            entries: Mutex::default(),
            remembered: Remembered::default(),
            may_remember: AtomicBool::new(false),
            failed: Mutex::default(),
            is_sealing: AtomicBool::new(false),
            free: Free::default(),
            over_bytes: AtomicU64::new(0),
            n_damaged: AtomicU64::new(0),
            n_lost_partitions: AtomicU64::new(0),
            history: Arc::clone(&plan.history),
            alarm: Arc::clone(&plan.alarm),
        }
    }

    /// Fails once the store has: what is appended from then on would be durable but not found.
    ///
    /// # Errors
    /// With what failed.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        match &*self.failed.lock() {
            None => Ok(()),
            Some(cause) => Err(StorageError::Engine(cause.as_str().into())),
        }
    }

    /// Gives the store up: nothing is taken or acknowledged until it is opened anew.
    pub(super) fn fail(&self, cause: &str) {
        self.failed.lock().get_or_insert_with(|| {
            tracing::error!(
                cause,
                "the store failed; spans are refused until it is open again, those acknowledged are in the log"
            );
            cause.to_owned()
        });
        self.alarm.ring();
        self.changed.notify_all();
    }

    /// Fails while the disk, or the data directory below its limit, has too little room.
    ///
    /// # Errors
    /// With how much there is.
    pub(super) fn check_room(&self) -> Result<(), StorageError> {
        let full = |free_bytes, least_bytes| {
            Err(StorageError::Full {
                path: self.paths.data.clone(),
                free_bytes,
                least_bytes,
            })
        };
        match self.over_bytes.load(Ordering::Relaxed) {
            0 => {}
            over_bytes => return full(0, over_bytes),
        }
        match self.free.too_little() {
            None => Ok(()),
            Some((free_bytes, least_bytes)) => full(free_bytes, least_bytes),
        }
    }

    /// Counts so many bytes as coming in.
    ///
    /// # Errors
    /// As [`Self::check_room`].
    pub(super) fn take_room(&self, n_bytes: u64) -> Result<(), StorageError> {
        self.check_room()?;
        if !self.free.spend(n_bytes) {
            // More came since the last look than there was room for.
            self.look_at_disk()?;
            self.free.spend(n_bytes);
        }
        self.check_room()
    }

    /// Notices when the disk is nearly full, and when it no longer is.
    ///
    /// # Errors
    /// When the disk does not say.
    pub(super) fn look_at_disk(&self) -> Result<(), StorageError> {
        let path = &self.paths.data;
        let room = self.files.room(path).map_err(io_error("measure", path))?;
        self.free.note(room, &self.settings);
        Ok(())
    }

    /// Takes a request in that the log has as `seq`; the sequences of calls grow.
    pub(super) fn insert(&self, seq: u64, received: UnixNanos, request: ExportRequest) {
        let received = Received::new(seq, received, request, &self.requests);
        self.insert_chunks(seq, received.chunks());
    }

    fn insert_chunks(&self, seq: u64, chunks: impl IntoIterator<Item = Chunk>) {
        let now = self.settings.clock.elapsed();
        let mut state = self.state.lock();
        for chunk in chunks {
            state.live.insert(chunk, now, &self.settings);
        }
        state.applied = state.applied.max(seq);
        let is_pressed = state.live.n_bytes() > self.settings.live_bytes_soft;
        drop(state);
        if is_pressed {
            self.changed.notify_all();
        }
    }

    /// Counts a request as acknowledged that was taken in before and that the log now has as `seq`.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn acknowledge_retry(&self, seq: u64) -> Result<(), StorageError> {
        self.check()?;
        let mut state = self.state.lock();
        state.applied = state.applied.max(seq);
        drop(state);
        self.history.retried();
        Ok(())
    }

    /// Takes in what the log still has, leaving out what is in a block.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn replay(
        &self,
        seq: u64,
        received: UnixNanos,
        request: ExportRequest,
    ) -> Result<(), StorageError> {
        let view = self.state.lock().view.clone();
        let received = Received::new(seq, received, request, &self.requests);
        let mut chunks = Vec::new();
        for chunk in received.chunks() {
            let trace_id = chunk.spans().trace_id();
            if !view.is_deleted(trace_id, seq)
                && !view::covers(&view.fragments_since(trace_id, seq)?, seq)
            {
                chunks.push(chunk);
            }
        }
        self.insert_chunks(seq, chunks);
        Ok(())
    }

    /// Notes that the log was read whole; sequences up to `last_seq` were given.
    pub(super) fn all_replayed(&self, last_seq: u64) {
        let mut state = self.state.lock();
        state.applied = state.applied.max(last_seq);
    }

    /// Waits while memory is full, if somebody is at work on it.
    pub(super) fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.live.n_bytes() > self.settings.live_bytes_hard
            && self.is_sealing.load(Ordering::Relaxed)
        {
            // What readers hold on to is given back without a signal.
            self.changed.wait_for(&mut state, ROOM_CHECK_INTERVAL);
        }
    }

    /// Seals while memory is over its soft limit; for as long as no sealer does.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn seal_down(&self) -> Result<(), StorageError> {
        while self.state.lock().live.n_bytes() > self.settings.live_bytes_soft
            && self.seal_or_fail(Take::Pressed)?
        {}
        Ok(())
    }

    /// How many traces and spans there are, spans with duplicates.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn totals(&self) -> Result<(u64, u64), StorageError> {
        let (trace_ids, mut n_spans, view) = {
            let state = self.state.lock();
            let trace_ids: HashSet<TraceId> =
                state.in_memory().map(|trace| trace.trace_id).collect();
            let n_spans: u64 = state.in_memory().map(|trace| trace.n_spans as u64).sum();
            (trace_ids, n_spans, state.view.clone())
        };
        let mut n_traces = view.n_traces();
        for trace_id in trace_ids {
            let may_be_sealed = view
                .partitions()
                .iter()
                .any(|view| view.partition.may_have(trace_id));
            if !may_be_sealed || view.fragments(trace_id)?.is_empty() {
                n_traces += 1;
            }
        }
        n_spans += view.n_spans();
        Ok((n_traces, n_spans))
    }

    /// A trace with everything taken in so far.
    ///
    /// # Errors
    /// When what is stored of it cannot be read or is too large.
    pub(super) fn trace(&self, trace_id: TraceId) -> Result<Option<StoredTrace>, StorageError> {
        let (chunks, view) = self.parts(trace_id);
        let trace = read_trace(trace_id, &chunks, &view)?;
        Ok(trace.finish())
    }

    /// What a trace consists of now.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn trace_version(
        &self,
        trace_id: TraceId,
    ) -> Result<Option<TraceVersion>, StorageError> {
        let (chunks, view) = self.parts(trace_id);
        let fragments = view.fragments(trace_id)?;
        Ok(view::version(self.opening, &fragments, &chunks))
    }

    fn parts(&self, trace_id: TraceId) -> (Vec<Chunk>, View) {
        let state = self.state.lock();
        (state.chunks(trace_id), state.view.clone())
    }
}

/// Puts a trace together from what is sealed in a view and the chunks that were in memory then.
///
/// # Errors
/// When what is stored of it cannot be read or is too large.
pub(super) fn read_trace(
    trace_id: TraceId,
    chunks: &[Chunk],
    view: &View,
) -> Result<TraceBuilder, StorageError> {
    read_fragments(trace_id, &view.fragments(trace_id)?, chunks)
}

/// Puts a trace together from its fragments and the chunks that were in memory.
///
/// # Errors
/// As [`read_trace`].
pub(super) fn read_fragments(
    trace_id: TraceId,
    fragments: &[FragmentRef],
    chunks: &[Chunk],
) -> Result<TraceBuilder, StorageError> {
    let mut trace = TraceBuilder::new(trace_id);
    for fragment in fragments {
        match fragment.read(&mut trace) {
            Err(_) if fragment.partition.is_lost() => {}
            result => result?,
        }
    }
    trace.push_chunks(chunks)?;
    Ok(trace)
}
