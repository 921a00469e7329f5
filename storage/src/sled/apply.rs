//! Takes in what the log has made durable, then answers who appended it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use longpole_proto::UnixNanos;
use longpole_proto::wire::ExportRequest;
use parking_lot::{Condvar, Mutex};

use super::budget::Taken;
use super::core::Core;
use super::io_error;
use crate::{Appended, Completion, StorageError};

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

/// What waits to be taken in, and the thread that does it. Who appends bounds how much waits.
pub(super) struct Applier {
    core: Arc<Core>,
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    is_closed: bool,
}

impl Applier {
    /// An applier without its thread.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
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

    /// Starts the thread; it ends when the queue is closed and empty.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(self: &Arc<Self>) -> Result<JoinHandle<()>, StorageError> {
        let applier = Arc::clone(self);
        std::thread::Builder::new()
            .name("longpole-apply".to_owned())
            .spawn(move || applier.run())
            .map_err(io_error("start a thread for", &self.core.paths.data))
    }

    /// Ends the thread once the queue is empty. Nothing may be queued any more.
    pub(super) fn close(&self) {
        self.queue.lock().is_closed = true;
        self.wake.notify_all();
    }

    fn run(&self) {
        while let Some(items) = self.next_items() {
            for item in items {
                match item {
                    Item::Barrier(reached) => reached(),
                    Item::Append(durable) => self.take_in(*durable),
                }
            }
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

    fn take_in(&self, durable: Durable) {
        let Durable {
            seq,
            request,
            received,
            done,
            taken,
        } = durable;
        // Before, so that what is acknowledged no longer waits.
        self.core.wait_for_room();
        let n_spans = request.spans().len() as u64;
        let result = self.core.check();
        if result.is_ok() {
            self.core.insert(seq, received, request);
        }
        drop(taken);
        answer(done, result.map(|()| Appended { n_spans }));
    }
}

/// Calls a completion; its panic must not end the thread everyone waits for.
pub(super) fn answer(done: Completion, result: Result<Appended, StorageError>) {
    if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
        tracing::error!("the completion of an append panicked");
    }
}
