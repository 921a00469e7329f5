//! The thread that owns the newest segment: takes all that waits, writes it, syncs once, answers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::frame::{self, FrameHead, SegmentHead};
use super::retries::{self, Known};
use super::{Closed, Item, Logged, Shared, Written};
use crate::sled::files::{AppendFile, write_all};
use crate::sled::io_error;
use crate::{Durability, StorageError};

/// How many bytes of bodies are written before they are synced; bounds the buffer, and how long
/// the first of a group waits for the last.
pub(super) const GROUP_BYTES_MAX: usize = 8 << 20;

/// Starts the thread; it ends when the queue is closed and empty.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(
    shared: Arc<Shared>,
    next_seq: u64,
    next_number: u64,
) -> Result<JoinHandle<()>, StorageError> {
    let path = shared.config.dir.clone();
    let mut writer = Writer {
        shared,
        next_seq,
        next_number,
        group_seq: next_seq,
        segment: None,
        buffer: Vec::new(),
        heads: Vec::new(),
    };
    std::thread::Builder::new()
        .name("longpole-log".to_owned())
        .spawn(move || writer.run())
        .map_err(io_error("start a thread for", &path))
}

struct Writer {
    shared: Arc<Shared>,
    next_seq: u64,
    next_number: u64,
    /// The first sequence of the group being written.
    group_seq: u64,
    segment: Option<Segment>,
    buffer: Vec<u8>,
    /// Of the buffer's frames, with where each begins.
    heads: Vec<(usize, FrameHead)>,
}

/// The segment being written.
struct Segment {
    file: Box<dyn AppendFile>,
    place: Arc<retries::Segment>,
    /// How much of it is acknowledged, its head included; 0 until the first append is.
    len: u64,
    last_seq: u64,
}

/// What waits for a group to be durable.
enum Waiting {
    Append(Logged, Written),
    /// A request that is durable already.
    Known(Logged, Written),
    Barrier(Box<dyn FnOnce() + Send>),
}

/// A file operation that failed.
struct Failure {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Failure {
    /// The failure as an error, once for everyone who waits.
    fn to_error(&self) -> StorageError {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        StorageError::Io {
            action: self.action,
            path: self.path.clone(),
            source,
        }
    }
}

impl Writer {
    fn run(&mut self) {
        while let Some(group) = self.next_group() {
            let waiting = self.encode(group);
            let result = if self.buffer.is_empty() {
                Ok(())
            } else {
                self.write_group()
            };
            for waiting in waiting {
                match (waiting, &result) {
                    (Waiting::Append(logged, written), Ok(()))
                    | (Waiting::Known(logged, written), _) => written(Ok(logged)),
                    (Waiting::Append(_, written), Err(failure)) => written(Err(failure.to_error())),
                    (Waiting::Barrier(reached), _) => reached(),
                }
            }
        }
        self.end_segment();
    }

    /// Waits for something to do; `None` when the log is closed and nothing is left.
    fn next_group(&mut self) -> Option<Vec<Item>> {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.lock();
        let mut group = Vec::new();
        let mut n_bytes = 0;
        loop {
            n_bytes += match queue.items.front() {
                Some(Item::Append { body, .. }) => body.len(),
                Some(Item::Barrier(_)) => 0,
                Some(Item::Roll) if group.is_empty() => {
                    queue.items.pop_front();
                    self.end_segment();
                    continue;
                }
                // What stands behind it belongs in the next segment.
                Some(Item::Roll) => return Some(group),
                None if !group.is_empty() => return Some(group),
                None if queue.is_closed => return None,
                None => {
                    shared.wake.wait(&mut queue);
                    continue;
                }
            };
            if n_bytes > GROUP_BYTES_MAX && !group.is_empty() {
                return Some(group);
            }
            group.extend(queue.items.pop_front());
        }
    }

    /// Puts the group's frames into the buffer, but those that are durable already.
    fn encode(&mut self, group: Vec<Item>) -> Vec<Waiting> {
        self.buffer.clear();
        self.heads.clear();
        // One huge request must not cost its memory for ever.
        self.buffer.shrink_to(2 * GROUP_BYTES_MAX);
        self.group_seq = self.next_seq;
        let mut waiting = Vec::with_capacity(group.len());
        for item in group {
            match item {
                Item::Append {
                    body,
                    received,
                    is_anew,
                    written,
                } => {
                    let seq = self.next_seq;
                    let at = self.buffer.len();
                    let salt = self.shared.config.salt;
                    let head = frame::encode(salt, seq, received, &body, &mut self.buffer);
                    let known = (!is_anew).then(|| self.known(at, &head)).flatten();
                    if let Some(Known {
                        seq,
                        is_durable: true,
                    }) = known
                    {
                        self.buffer.truncate(at);
                        let is_known = true;
                        waiting.push(Waiting::Known(Logged { seq, is_known }, written));
                        continue;
                    }
                    self.next_seq += 1;
                    self.heads.push((at, head));
                    let is_known = known.is_some();
                    waiting.push(Waiting::Append(Logged { seq, is_known }, written));
                }
                Item::Barrier(reached) => waiting.push(Waiting::Barrier(reached)),
                Item::Roll => unreachable!("no group holds one"),
            }
        }
        waiting
    }

    /// Whether the log has the request of the buffer's last frame, which begins at `at`.
    fn known(&self, at: usize, head: &FrameHead) -> Option<Known> {
        let retries = self.shared.retries.lock();
        retries.find(&*self.shared.files, head, &self.buffer[at..])
    }

    /// Notes the buffer's frames, which were written behind `before` of a segment.
    fn note(&self, segment: &Segment, before: u64) {
        let before = usize::try_from(before).expect("segments are read whole");
        let mut retries = self.shared.retries.lock();
        for (at, head) in &self.heads {
            retries.note(&segment.place, before + at, head.body_crc(), head, true);
        }
    }

    /// Makes the buffer's frames as durable as promised, or leaves nothing of them that a later
    /// write could trip over.
    fn write_group(&mut self) -> Result<(), Failure> {
        let n_bytes = self.buffer.len() as u64;
        let is_full =
            |segment: &Segment| segment.len + n_bytes > self.shared.config.segment_bytes_max;
        if self.segment.as_ref().is_some_and(is_full) {
            self.end_segment();
        }
        let mut segment = match self.segment.take() {
            Some(segment) => segment,
            None => self.begin_segment()?,
        };
        let is_new = segment.len == 0;

        let head = if is_new { self.head() } else { Vec::new() };
        let written = write_all(&mut *segment.file, &head)
            .and_then(|()| write_all(&mut *segment.file, &self.buffer));
        if let Err(source) = written {
            let failure = Failure {
                action: "write",
                path: segment.place.path.clone(),
                source,
            };
            if !is_new && segment.file.truncate(segment.len).is_ok() {
                self.segment = Some(segment);
            } else {
                self.abandon(segment);
            }
            return Err(failure);
        }
        if let Err(failure) = self.sync(&mut segment, is_new) {
            self.abandon(segment);
            return Err(failure);
        }

        self.note(&segment, segment.len + head.len() as u64);
        segment.len += head.len() as u64 + n_bytes;
        segment.last_seq = self.next_seq - 1;
        self.shared.segments.lock().current_bytes = segment.len;
        self.segment = Some(segment);
        Ok(())
    }

    fn begin_segment(&mut self) -> Result<Segment, Failure> {
        let path = self
            .shared
            .config
            .dir
            .join(format!("{:08}.log", self.next_number));
        self.next_number += 1;
        match self.shared.files.create(&path) {
            Ok(file) => Ok(Segment {
                file,
                place: Arc::new(retries::Segment {
                    path,
                    salt: self.shared.config.salt,
                }),
                len: 0,
                last_seq: 0,
            }),
            Err(source) => Err(Failure {
                action: "create",
                path,
                source,
            }),
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let salt = self.shared.config.salt;
        SegmentHead {
            salt,
            first_seq: self.group_seq,
        }
        .encode(&mut bytes);
        bytes
    }

    fn sync(&self, segment: &mut Segment, is_new: bool) -> Result<(), Failure> {
        if self.shared.config.durability == Durability::Os {
            return Ok(());
        }
        if let Err(source) = segment.file.sync() {
            return Err(Failure {
                action: "sync",
                path: segment.place.path.clone(),
                source,
            });
        }
        let dir = &self.shared.config.dir;
        if is_new && let Err(source) = self.shared.files.sync_dir(dir) {
            return Err(Failure {
                action: "sync",
                path: dir.clone(),
                source,
            });
        }
        Ok(())
    }

    /// Ends the segment being written.
    fn end_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.keep(segment);
        }
    }

    /// Never writes a segment again, because what it holds behind its acknowledged frames is not
    /// known. It is cut back to them where that still works; else replay finds out.
    fn abandon(&mut self, mut segment: Segment) {
        tracing::warn!(path = %segment.place.path.display(), "a log segment is given up");
        let cut = if segment.len == 0 {
            self.shared.files.remove(&segment.place.path)
        } else {
            segment.file.truncate(segment.len)
        };
        match cut {
            Ok(()) if segment.len == 0 => self.shared.segments.lock().current_bytes = 0,
            Ok(()) => self.keep(segment),
            Err(error) => {
                tracing::warn!(%error, "nor could it be cut back");
                self.keep(segment);
            }
        }
    }

    fn keep(&self, segment: Segment) {
        let Segment {
            place,
            len,
            last_seq,
            ..
        } = segment;
        let mut segments = self.shared.segments.lock();
        segments.current_bytes = 0;
        segments.closed.push(Closed {
            path: place.path.clone(),
            bytes: len,
            last_seq,
            is_damaged: false,
        });
    }
}
