//! The write-ahead log: what makes an acknowledgement true.
//!
//! `log/00000042.log` is a segment: a head, then frames, one an append. One thread owns the newest
//! segment. It takes all that waits, writes it with one write, syncs once, and only then calls the
//! appends' completions; so the cost of a sync is shared by all who wait for it.
//!
//! Rules, which the tests hold at every file operation that can fail:
//! - A frame whose completion got `Ok` comes back on every later open until
//!   [`Log::forget_through`] lets it go.
//! - When a write fails, every append of that write gets the error, and the segment is cut back to
//!   its last acknowledged frame. When the cut or a sync fails, the segment is never written again:
//!   after a failed sync the system may have dropped what it could not write and call later syncs
//!   good. What was synced before stays valid; the next append begins a new segment. Nothing is
//!   written a second time: who got an error sends again.
//! - A sequence is given once, whether its append succeeded or not, so what a failed append left
//!   behind never takes the place of another.
//! - An append that got an error may still come back after a restart, as may one that got no
//!   answer at all. Exporters repeat such requests anyway.
//! - A log is never continued in an old segment, whose sync state nobody knows.
//! - A request it has is not written again ([`retries`]), save when only a process before can know
//!   whether it is durable: then it is, and counts as known once that is.

mod frame;
mod open;
mod replay;
mod retries;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use longpole_proto::UnixNanos;
use parking_lot::{Condvar, Mutex};

pub(crate) use self::frame::{BODY_BYTES_MAX, Frame};
pub(crate) use self::open::Recovery;
use self::retries::Retries;
use super::files::Files;
use super::io_error;
use crate::{Durability, StorageError};

/// When a segment is full and the next begins. Small enough to read whole, large enough that
/// making files costs nothing.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// How many sequences each open leaves out. Frames that can no longer be read may have had any of
/// the next ones, and nobody must get theirs again. Enough for 16 million opens, and for more
/// appends than one process makes.
const SEQ_GAP: u64 = 1 << 40;

/// Called once when the append is durable, or with why it never will be; from the log's thread, so it
/// must not block.
pub(crate) type Written = Box<dyn FnOnce(Result<Logged, StorageError>) + Send>;

/// An append that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Its sequence, or that of the same request.
    pub(crate) seq: u64,
    /// Whether the log had the same request before: then it is not to be taken in again.
    pub(crate) is_known: bool,
}

/// How to open a log.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    /// The directory of the segments.
    pub(crate) dir: PathBuf,
    /// Whether an append waits for the disk.
    pub(crate) durability: Durability,
    /// When a segment is full.
    pub(crate) segment_bytes_max: u64,
    /// The last sequence known to have been given; segments may hold later ones.
    pub(crate) last_seq: u64,
    /// Segments that hold nothing from here on are not read.
    pub(crate) replay_from: u64,
    /// Where the checksums of new segments start; a number no client knows.
    pub(crate) salt: u32,
}

/// A write-ahead log that is open. Its caller bounds how much waits in it.
pub(crate) struct Log {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the log's thread and its callers share.
struct Shared {
    files: Arc<dyn Files>,
    config: LogConfig,
    queue: Mutex<Queue>,
    /// Signalled when the queue gets its first item, and when it closes.
    wake: Condvar,
    segments: Mutex<Segments>,
    retries: Mutex<Retries>,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    is_closed: bool,
}

enum Item {
    Append {
        body: Bytes,
        received: UnixNanos,
        /// Whether it is written even if the log has the same request.
        is_anew: bool,
        written: Written,
    },
    Barrier(Box<dyn FnOnce() + Send>),
    Roll,
}

/// The segments on disk.
#[derive(Default)]
struct Segments {
    /// Those never written again, oldest first.
    closed: Vec<Closed>,
    /// The length of the one being written; 0 when there is none.
    current_bytes: u64,
}

/// A segment that is never written again.
struct Closed {
    path: PathBuf,
    bytes: u64,
    /// No frame in it has a larger sequence.
    last_seq: u64,
    /// Kept under another name when it is forgotten, for whoever wants to look.
    is_damaged: bool,
}

impl Log {
    /// Opens the log, making its directory when it is not there, and hands every frame it holds to
    /// `replay`, in order. Reads one segment at a time.
    ///
    /// # Errors
    /// When a file cannot be read or a torn end not be cut, and the first of `replay`'s.
    pub(crate) fn open(
        files: Arc<dyn Files>,
        config: LogConfig,
        replay: impl FnMut(Frame) -> Result<(), StorageError>,
    ) -> Result<(Self, Recovery), StorageError> {
        files
            .create_dir(&config.dir)
            .map_err(io_error("make", &config.dir))?;
        let (contents, recovery) = open::read(&*files, &config, replay)?;
        let shared = Arc::new(Shared {
            files,
            config,
            queue: Mutex::default(),
            wake: Condvar::new(),
            segments: Mutex::new(Segments {
                closed: contents.segments,
                current_bytes: 0,
            }),
            retries: Mutex::new(contents.retries),
        });
        let next_seq = contents.last_seq + SEQ_GAP;
        let writer = writer::start(Arc::clone(&shared), next_seq, contents.last_number + 1)?;
        Ok((
            Self {
                shared,
                writer: Mutex::new(Some(writer)),
            },
            recovery,
        ))
    }

    /// Appends a frame. `written` is called in the order of the appends, save when the log is
    /// closed or the body over [`BODY_BYTES_MAX`]: then at once.
    pub(crate) fn append(&self, body: Bytes, received: UnixNanos, written: Written) {
        self.push_append(body, received, false, written);
    }

    /// Likewise, even when the log has the same request.
    pub(crate) fn append_anew(&self, body: Bytes, received: UnixNanos, written: Written) {
        self.push_append(body, received, true, written);
    }

    fn push_append(&self, body: Bytes, received: UnixNanos, is_anew: bool, written: Written) {
        if body.len() > BODY_BYTES_MAX {
            written(Err(StorageError::TooLarge {
                what: "export request",
                bytes: body.len() as u64,
                limit_bytes: BODY_BYTES_MAX as u64,
            }));
            return;
        }
        if let Err(Item::Append { written, .. }) = self.shared.push(Item::Append {
            body,
            received,
            is_anew,
            written,
        }) {
            written(Err(StorageError::Closed));
        }
    }

    /// Calls `reached` once all completions of earlier appends were called; from the log's thread,
    /// or at once when the log is closed.
    pub(crate) fn barrier(&self, reached: Box<dyn FnOnce() + Send>) {
        if let Err(Item::Barrier(reached)) = self.shared.push(Item::Barrier(reached)) {
            // The thread drains its queue before it ends.
            self.join();
            reached();
        }
    }

    /// Ends the segment being written, so that it can be forgotten; the next append begins another.
    pub(crate) fn roll(&self) {
        // A closed log has ended its last segment.
        drop(self.shared.push(Item::Roll));
    }

    /// Knows no request any more: each is stored when it comes again.
    pub(crate) fn forget_requests(&self) {
        self.shared.retries.lock().clear();
    }

    /// How many bytes the segments take.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = self.shared.segments.lock();
        segments
            .closed
            .iter()
            .map(|closed| closed.bytes)
            .sum::<u64>()
            + segments.current_bytes
    }

    /// How many segments there are.
    pub(crate) fn n_segments(&self) -> u64 {
        let segments = self.shared.segments.lock();
        segments.closed.len() as u64 + u64::from(segments.current_bytes > 0)
    }

    /// Removes the ended segments that hold no frame above `seq`. Damaged ones are renamed to
    /// `….damaged` instead and no longer read.
    ///
    /// # Errors
    /// When a file cannot be removed; the next call tries again.
    pub(crate) fn forget_through(&self, seq: u64) -> Result<(), StorageError> {
        let files = &*self.shared.files;
        let mut n_removed = 0_usize;
        loop {
            // The lock is not held over file operations: the writer needs it.
            let mut segments = self.shared.segments.lock();
            let Some(idx) = segments
                .closed
                .iter()
                .position(|closed| closed.last_seq <= seq)
            else {
                break;
            };
            let closed = segments.closed.remove(idx);
            drop(segments);
            let removed = if closed.is_damaged {
                files.rename(&closed.path, &closed.path.with_extension("damaged"))
            } else {
                files.remove(&closed.path)
            };
            match removed {
                Ok(()) => n_removed += 1,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let error = io_error("remove", &closed.path)(error);
                    self.shared.segments.lock().closed.insert(idx, closed);
                    return Err(error);
                }
            }
        }
        if n_removed > 0 {
            let dir = &self.shared.config.dir;
            files.sync_dir(dir).map_err(io_error("sync", dir))?;
        }
        Ok(())
    }

    /// Takes no more appends, finishes those that wait, and ends the last segment.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().is_closed = true;
        self.shared.wake.notify_all();
        self.join();
    }

    fn join(&self) {
        // Holding the lock makes every caller wait until the thread has ended.
        let mut writer = self.writer.lock();
        if let Some(handle) = writer.take()
            && handle.join().is_err()
        {
            tracing::error!("the log's thread panicked");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Queues an item for the writer; gives it back when the log is closed.
    fn push(&self, item: Item) -> Result<(), Item> {
        let mut queue = self.queue.lock();
        if queue.is_closed {
            return Err(item);
        }
        queue.items.push_back(item);
        drop(queue);
        self.wake.notify_one();
        Ok(())
    }
}
