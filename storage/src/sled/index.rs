//! Keeps the entries of traces up to date with their chunks.
//!
//! Chunks are applied by one thread, which then marks their traces as *stale*. A background thread
//! makes entries of stale traces when they are due. Who needs every entry to be right
//! ([`Index::refresh_all`]) does what is left itself. A trace is refreshed by one thread at a time,
//! and leaves the stale ones before its chunks are read: what arrives while they are makes it stale
//! anew.

mod stale;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use longpole_proto::wire::decode_traces;
use longpole_proto::{Trace, TraceId};
use parking_lot::{Condvar, Mutex};

use self::stale::Stale;
use super::db::{Db, guarded};
use super::operations::{self, Known};
use super::{chunks, entry, io_error};
use crate::StorageError;

/// How many traces may be stale, of about 150 bytes each, before whoever brings more must wait.
const STALE_MAX: usize = 200_000;

/// The entries of a database, and which of them are behind.
pub(super) struct Index {
    db: Arc<Db>,
    state: Mutex<State>,
    /// Signalled when traces become stale, fewer are, or the background thread is to end.
    changed: Condvar,
    /// Held while a trace is refreshed.
    refreshing: Mutex<Refreshing>,
}

#[derive(Default)]
struct State {
    stale: Stale,
    /// Traces that cannot be read: damaged, or too large. They stay out of the entries.
    unreadable: BTreeSet<TraceId>,
    /// All chunks up to this sequence can be read.
    applied: u64,
    n_refreshed: u64,
    background: Background,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Background {
    #[default]
    Stopped,
    Runs,
    /// Was told to stop.
    Stops,
}

#[derive(Default)]
struct Refreshing {
    known: Known,
    /// Not known until someone asks: counting takes a pass over all entries.
    totals: Option<Totals>,
}

/// What all entries together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) n_traces: u64,
    /// Duplicates included.
    pub(super) n_spans: u64,
}

/// What a checkpoint is to make durable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// All chunks up to this sequence are written.
    pub(super) applied: u64,
    /// The traces whose entries are behind that.
    pub(super) stale: BTreeSet<TraceId>,
    /// How many entries were written.
    pub(super) n_refreshed: u64,
}

impl Index {
    /// The index of a database with its chunks up to `applied`, where `stale` traces are behind.
    pub(super) fn new(db: Arc<Db>, applied: u64, stale: impl IntoIterator<Item = TraceId>) -> Self {
        let index = Self {
            db,
            state: Mutex::default(),
            changed: Condvar::new(),
            refreshing: Mutex::default(),
        };
        index.mark(applied, stale);
        index
    }

    /// Up to which sequence all chunks can be read.
    pub(super) fn applied(&self) -> u64 {
        self.state.lock().applied
    }

    /// Says that the chunks up to `applied` are written, and which traces they are of.
    pub(super) fn mark(&self, applied: u64, trace_ids: impl IntoIterator<Item = TraceId>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.applied = applied;
        for trace_id in trace_ids {
            state.stale.insert(trace_id, now);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits while too many traces are stale, if somebody is at work on them.
    pub(super) fn wait_for_room(&self) {
        self.changed.wait_while(&mut self.state.lock(), |state| {
            state.background == Background::Runs && state.stale.len() > STALE_MAX
        });
    }

    /// How many traces have no right entry, because they cannot be read.
    pub(super) fn n_unreadable(&self) -> u64 {
        self.state.lock().unreadable.len() as u64
    }

    /// Brings the entries of all that is applied by now up to date.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn refresh_all(&self) -> Result<(), StorageError> {
        let trace_ids = self.state.lock().stale.trace_ids();
        // Also without any: one that is being refreshed is no longer among them.
        drop(self.refreshing.lock());
        trace_ids
            .into_iter()
            .try_for_each(|trace_id| self.refresh(trace_id))
    }

    /// How many traces and spans there are, by their entries.
    ///
    /// # Errors
    /// When sled fails or an entry is damaged.
    pub(super) fn totals(&self) -> Result<Totals, StorageError> {
        let mut refreshing = self.refreshing.lock();
        if let Some(totals) = refreshing.totals {
            return Ok(totals);
        }
        let mut totals = Totals::default();
        let mut entries = self.db.summaries.iter();
        while let Some((_, entry)) = guarded(|| entries.next().transpose())? {
            let (head, _) = entry::head(&entry)?;
            totals.n_traces += 1;
            totals.n_spans += head.n_stored;
        }
        refreshing.totals = Some(totals);
        Ok(totals)
    }

    /// How far everything is.
    pub(super) fn progress(&self) -> Progress {
        let _nothing_in_between = self.refreshing.lock();
        let now = self.state.lock();
        let mut stale: BTreeSet<TraceId> = now.stale.trace_ids().into_iter().collect();
        stale.extend(&now.unreadable);
        Progress {
            applied: now.applied,
            stale,
            n_refreshed: now.n_refreshed,
        }
    }

    /// Starts the background thread; it ends with [`Self::stop`], or when sled fails.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        self.state.lock().background = Background::Runs;
        let index = Arc::clone(self);
        std::thread::Builder::new()
            .name("longpole-index".to_owned())
            .spawn(move || index.run())
            .map_err(io_error("start a thread for", self.db.dir()))
    }

    /// Tells the background thread to end.
    pub(super) fn stop(&self) {
        self.state.lock().background = Background::Stops;
        self.changed.notify_all();
    }

    fn run(&self) {
        while let ControlFlow::Continue(trace_id) = self.wait_for_due() {
            if let Err(error) = self.refresh(trace_id) {
                tracing::error!(%error, "indexing stopped; restart to go on");
                break;
            }
        }
        self.state.lock().background = Background::Stopped;
        self.changed.notify_all();
    }

    fn wait_for_due(&self) -> ControlFlow<(), TraceId> {
        let mut state = self.state.lock();
        loop {
            if state.background == Background::Stops {
                return ControlFlow::Break(());
            }
            let now = Instant::now();
            match state.stale.first() {
                Some((due, trace_id)) if due <= now || state.stale.len() > STALE_MAX / 2 => {
                    return ControlFlow::Continue(trace_id);
                }
                Some((due, _)) => {
                    self.changed.wait_until(&mut state, due);
                }
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Makes a trace's entry anew when it is stale.
    fn refresh(&self, trace_id: TraceId) -> Result<(), StorageError> {
        let mut refreshing = self.refreshing.lock();
        let applied = {
            let mut state = self.state.lock();
            if !state.stale.remove(trace_id) {
                return Ok(());
            }
            state.applied
        };
        let start = Instant::now();
        let result = self.make_entry(trace_id, applied, &mut refreshing);
        let end = Instant::now();

        let mut state = self.state.lock();
        let result = match result {
            Ok(()) => {
                state.n_refreshed += 1;
                state.unreadable.remove(&trace_id);
                state.stale.rest(trace_id, start, end);
                Ok(())
            }
            Err(error @ (StorageError::Damaged { .. } | StorageError::TooLarge { .. })) => {
                tracing::warn!(%error, %trace_id, "a trace cannot be indexed");
                state.unreadable.insert(trace_id);
                state.stale.rest(trace_id, start, end);
                Ok(())
            }
            Err(error) => {
                state.stale.insert(trace_id, end);
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        result
    }

    fn make_entry(
        &self,
        trace_id: TraceId,
        applied: u64,
        refreshing: &mut Refreshing,
    ) -> Result<(), StorageError> {
        let damaged = || StorageError::Damaged {
            what: format!("the spans of trace {trace_id}"),
        };
        let stored = chunks::read(&self.db.chunks, trace_id, applied)?.ok_or_else(damaged)?;
        let parts = decode_traces(trace_id, &stored.otlp).map_err(|_| damaged())?;
        drop(stored);
        let trace = Trace::new(trace_id, parts).ok_or_else(damaged)?;
        operations::insert(
            &self.db.operations,
            &mut refreshing.known,
            entry::operations(&trace),
        )?;
        let new = entry::encode(&trace);
        let old = guarded(|| self.db.summaries.insert(trace_id.as_bytes(), &*new))?;
        let n_new = entry::head(&new)?.0.n_stored;
        let n_old = old
            .map(|old| entry::head(&old).map(|(head, _)| head.n_stored))
            .transpose();
        refreshing.totals = match (refreshing.totals, n_old) {
            (Some(totals), Ok(n_old)) => Some(Totals {
                n_traces: totals.n_traces + u64::from(n_old.is_none()),
                n_spans: totals.n_spans + n_new - n_old.unwrap_or(0),
            }),
            // What a damaged entry had counted is not known.
            _ => None,
        };
        Ok(())
    }
}
