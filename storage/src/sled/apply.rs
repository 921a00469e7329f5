//! Brings what the log has made durable into the database, then answers who appended it.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};
use parking_lot::{Condvar, Mutex};
use sled::Batch;

use super::budget::Taken;
use super::db::{Db, guarded};
use super::index::Index;
use super::{chunks, io_error};
use crate::{Appended, Completion, StorageError};

/// When a batch goes to sled, which copies it: bounds what a request of many traces takes.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// An append that the log has made durable.
pub(super) struct Durable {
    pub(super) seq: u64,
    pub(super) request: ExportRequest,
    pub(super) received: UnixNanos,
    pub(super) done: Completion,
    pub(super) taken: Taken,
}

enum Item {
    Append(Box<Durable>),
    Barrier(Box<dyn FnOnce() + Send>),
}

/// What waits to be applied, and the thread that does it. Who appends bounds how much waits.
pub(super) struct Applier {
    db: Arc<Db>,
    index: Arc<Index>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    is_closed: bool,
    /// Why nothing is applied any more.
    failed: Option<String>,
}

impl Applier {
    /// An applier without its thread.
    pub(super) fn new(db: Arc<Db>, index: Arc<Index>) -> Self {
        Self {
            db,
            index,
            queue: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// Queues an append, in the order of the sequences.
    pub(super) fn append(&self, durable: Box<Durable>) {
        self.push(Item::Append(durable));
    }

    /// Calls `reached` once everything queued before it was answered.
    pub(super) fn barrier(&self, reached: Box<dyn FnOnce() + Send>) {
        self.push(Item::Barrier(reached));
    }

    fn push(&self, item: Item) {
        self.queue.lock().items.push_back(item);
        self.wake.notify_one();
    }

    /// Fails once sled has: what is appended from then on would be durable but not found.
    ///
    /// # Errors
    /// With what sled said.
    pub(super) fn check(&self) -> Result<(), StorageError> {
        match &self.queue.lock().failed {
            None => Ok(()),
            Some(cause) => Err(failed(cause)),
        }
    }

    /// Gives the database up: nothing is applied or acknowledged any more.
    pub(super) fn fail(&self, cause: &str) {
        self.queue.lock().failed.get_or_insert_with(|| {
            tracing::error!(
                cause,
                "the database failed; spans are refused until a restart, those acknowledged are in the log"
            );
            cause.to_owned()
        });
    }

    /// Starts the thread; it ends when the queue is closed and empty.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        let applier = Arc::clone(self);
        std::thread::Builder::new()
            .name("longpole-apply".to_owned())
            .spawn(move || applier.run())
            .map_err(io_error("start a thread for", self.db.dir()))
    }

    /// Ends the thread once the queue is empty. Nothing may be queued any more.
    pub(super) fn close(&self) {
        self.queue.lock().is_closed = true;
        self.wake.notify_all();
    }

    fn run(&self) {
        while let Some(items) = self.next_items() {
            if let Err(error) = self.apply(&items) {
                self.fail(&error_text(&error));
            }
            for item in items {
                match item {
                    Item::Barrier(reached) => reached(),
                    Item::Append(durable) => {
                        let Durable {
                            request,
                            done,
                            taken,
                            ..
                        } = *durable;
                        let n_spans = request.spans().len() as u64;
                        drop((request, taken));
                        answer(done, self.check().map(|()| Appended { n_spans }));
                    }
                }
            }
            self.index.wait_for_room();
        }
    }

    fn next_items(&self) -> Option<VecDeque<Item>> {
        let mut queue = self.queue.lock();
        self.wake.wait_while(&mut queue, |queue| {
            queue.items.is_empty() && !queue.is_closed
        });
        let items = std::mem::take(&mut queue.items);
        (!items.is_empty()).then_some(items)
    }

    fn apply(&self, items: &VecDeque<Item>) -> Result<(), StorageError> {
        self.check()?;
        let mut writer = ChunkWriter::new(&self.db, &self.index);
        for item in items {
            if let Item::Append(durable) = item {
                writer.write(durable.seq, durable.received, &durable.request)?;
            }
        }
        writer.finish()
    }
}

/// Calls a completion; its panic must not end the thread everyone waits for.
pub(super) fn answer(done: Completion, result: Result<Appended, StorageError>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("the completion of an append panicked");
    }
}

fn failed(cause: &str) -> StorageError {
    StorageError::Engine(cause.into())
}

fn error_text(error: &StorageError) -> String {
    match error {
        StorageError::Engine(source) => source.to_string(),
        other => other.to_string(),
    }
}

/// Writes chunks in batches; the same chunks again change nothing.
pub(super) struct ChunkWriter<'a> {
    db: &'a Db,
    index: &'a Index,
    batch: Batch,
    batch_bytes: usize,
    trace_ids: HashSet<TraceId>,
    last_seq: Option<u64>,
}

impl<'a> ChunkWriter<'a> {
    /// A writer into a database and its index.
    pub(super) fn new(db: &'a Db, index: &'a Index) -> Self {
        Self {
            db,
            index,
            batch: Batch::default(),
            batch_bytes: 0,
            trace_ids: HashSet::new(),
            last_seq: None,
        }
    }

    /// Writes a request's chunks; they are found from [`Self::finish`] on.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn write(
        &mut self,
        seq: u64,
        received: UnixNanos,
        request: &ExportRequest,
    ) -> Result<(), StorageError> {
        for (trace_id, traces_data) in request.by_trace() {
            self.batch_bytes +=
                chunks::insert(&mut self.batch, trace_id, seq, received, &traces_data);
            self.trace_ids.insert(trace_id);
            if self.batch_bytes > BATCH_BYTES_MAX {
                self.write_batch()?;
            }
        }
        self.last_seq = Some(seq);
        Ok(())
    }

    /// Writes what is left, and marks the traces as stale.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn finish(&mut self) -> Result<(), StorageError> {
        if let Some(last_seq) = self.last_seq.take() {
            self.write_batch()?;
            self.index.mark(last_seq, self.trace_ids.drain());
        }
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), StorageError> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        guarded(|| self.db.chunks.apply_batch(batch))
    }
}
