//! Marks: which traces were deleted, and which are kept when their partition goes.
//!
//! The file MARKS is replaced whole before a mark counts, so what was answered survives a power cut. A
//! deleted trace's bytes stay where they are until their partition goes; everything of it with a
//! sequence up to the deletion's is as if it were not there. What comes later is a trace of its own.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use longpole_proto::{TraceId, UnixNanos};

use super::files::{self, Files};
use super::io_error;
use crate::StorageError;

/// What the file begins with.
const MAGIC: [u8; 4] = *b"LPM1";

/// A mark: kind 4, trace ID 16, partition 4, block 4, newest partition 4, sequence 8, number 8, time 8,
/// checksum 4.
const MARK_BYTES: usize = 60;

/// How many marks there may be; a deleted trace has one for each of its fragments. They go with the
/// partitions that there were.
const MARKS_MAX: usize = 65_536;

/// How many traces may be pinned.
const PINNED_MAX: usize = 1_000;

/// The partition of a trace that was only in memory.
const NOWHERE: u32 = u32::MAX;

/// What is said of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    kind: Kind,
    trace_id: TraceId,
    /// Partition and block of a fragment.
    place: (u32, u32),
    /// The newest partition there was.
    until: u32,
    /// All that came with sequences up to this one is deleted.
    seq: u64,
    /// How many spans the fragment has; how many bytes the pinned trace had.
    number: u64,
    /// When it was made.
    at: UnixNanos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deleted = 1,
    Pinned = 2,
}

/// What of deleted traces is still stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Deleted(HashMap<TraceId, DeletedTrace>);

/// What is not there any more of a trace.
#[derive(Debug, Clone, Default)]
pub(super) struct DeletedTrace {
    /// All that came with sequences up to this one.
    pub(super) seq: u64,
    /// When that was.
    pub(super) at: UnixNanos,
    /// The fragments this was in, with how many spans each has.
    pub(super) fragments: Vec<((u32, u32), u64)>,
}

impl Deleted {
    /// What of a trace is deleted; `None` when nothing is.
    pub(super) fn get(&self, trace_id: TraceId) -> Option<&DeletedTrace> {
        self.0.get(&trace_id)
    }

    /// Whether what came of a trace with this sequence is deleted.
    pub(super) fn has(&self, trace_id: TraceId, seq: u64) -> bool {
        self.get(trace_id).is_some_and(|of| seq <= of.seq)
    }

    /// The traces of which something is deleted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TraceId, &DeletedTrace)> {
        self.0.iter().map(|(&trace_id, of)| (trace_id, of))
    }
}

/// A trace to be deleted, as it is now.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) trace_id: TraceId,
    /// The newest sequence that was taken in.
    pub(super) seq: u64,
    /// The newest partition.
    pub(super) until: u32,
    /// Its fragments, with how many spans each has.
    pub(super) fragments: Vec<((u32, u32), u64)>,
    pub(super) now: UnixNanos,
}

/// The marks there are, and where they are kept.
pub(super) struct Marks {
    path: PathBuf,
    marks: Vec<Mark>,
}

impl Marks {
    /// Reads them, and says how many could not be.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn open(path: PathBuf, files: &dyn Files) -> Result<(Self, u64), StorageError> {
        let bytes_max = (MAGIC.len() + MARKS_MAX * MARK_BYTES) as u64;
        let bytes = match files.read(&path, bytes_max) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::from(MAGIC),
            read => read.map_err(io_error("read", &path))?,
        };
        let (marks, n_damaged) = decode(&bytes);
        Ok((Self { path, marks }, n_damaged))
    }

    /// What is deleted.
    pub(super) fn deleted(&self) -> Arc<Deleted> {
        let mut deleted: HashMap<TraceId, DeletedTrace> = HashMap::new();
        for mark in self.of(Kind::Deleted) {
            let of = deleted.entry(mark.trace_id).or_default();
            of.seq = of.seq.max(mark.seq);
            of.at = of.at.max(mark.at);
            if mark.place.0 != NOWHERE {
                of.fragments.push((mark.place, mark.number));
            }
        }
        Arc::new(Deleted(deleted))
    }

    /// The traces that are pinned, those first that are so longest.
    pub(super) fn pinned(&self) -> Vec<TraceId> {
        self.of(Kind::Pinned).map(|mark| mark.trace_id).collect()
    }

    /// How many bytes they had when they were pinned.
    pub(super) fn pinned_bytes(&self) -> u64 {
        self.of(Kind::Pinned).map(|mark| mark.number).sum()
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Mark> {
        self.marks.iter().filter(move |mark| mark.kind == kind)
    }

    /// Deletes a trace; it is not pinned any more either.
    ///
    /// # Errors
    /// When there are too many marks, or the disk fails: then, as with an append, it may be done nevertheless
    /// when the store is opened the next time.
    pub(super) fn delete(
        &mut self,
        deletion: &Deletion,
        files: &dyn Files,
    ) -> Result<(), StorageError> {
        let mark = |place, number| Mark {
            kind: Kind::Deleted,
            trace_id: deletion.trace_id,
            place,
            until: deletion.until,
            seq: deletion.seq,
            number,
            at: deletion.now,
        };
        let is_other = |of: &&Mark| of.kind != Kind::Pinned || of.trace_id != deletion.trace_id;
        let mut marks: Vec<Mark> = self.marks.iter().filter(is_other).copied().collect();
        marks.push(mark((NOWHERE, 0), 0));
        let fragments = deletion.fragments.iter();
        marks.extend(fragments.map(|&(place, n_spans)| mark(place, n_spans)));
        self.replace(marks, files)
    }

    /// Pins a trace that has so many bytes, all of which may have `bytes_max`.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub(super) fn pin(
        &mut self,
        trace_id: TraceId,
        bytes: u64,
        bytes_max: u64,
        now: UnixNanos,
        files: &dyn Files,
    ) -> Result<(), StorageError> {
        let mut n_bytes = bytes;
        for (n, mark) in (1..).zip(self.of(Kind::Pinned)) {
            if mark.trace_id == trace_id {
                return Ok(());
            }
            if n == PINNED_MAX {
                return Err(StorageError::TooMany {
                    what: "pinned traces",
                    limit: PINNED_MAX,
                });
            }
            n_bytes += mark.number;
        }
        if n_bytes > bytes_max {
            return Err(StorageError::TooLarge {
                what: "all that is pinned",
                bytes: n_bytes,
                limit_bytes: bytes_max,
            });
        }
        let mut marks = self.marks.clone();
        marks.push(Mark {
            kind: Kind::Pinned,
            trace_id,
            place: (NOWHERE, 0),
            until: 0,
            seq: 0,
            number: bytes,
            at: now,
        });
        self.replace(marks, files)
    }

    /// Pins a trace no more; says whether it was pinned.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub(super) fn unpin(
        &mut self,
        trace_id: TraceId,
        files: &dyn Files,
    ) -> Result<bool, StorageError> {
        self.keep(files, |mark| {
            mark.kind != Kind::Pinned || mark.trace_id != trace_id
        })
    }

    /// Forgets what was deleted from partitions that are all gone; the oldest there is has this number.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn forget_before(
        &mut self,
        oldest: u32,
        files: &dyn Files,
    ) -> Result<bool, StorageError> {
        self.keep(files, |mark| {
            mark.kind != Kind::Deleted || mark.until >= oldest
        })
    }

    /// Leaves out what is not to be kept; says whether that is anything.
    fn keep(
        &mut self,
        files: &dyn Files,
        is_kept: impl Fn(&Mark) -> bool,
    ) -> Result<bool, StorageError> {
        let mut marks = self.marks.clone();
        marks.retain(is_kept);
        let is_less = marks.len() < self.marks.len();
        if is_less {
            self.replace(marks, files)?;
        }
        Ok(is_less)
    }

    fn replace(&mut self, marks: Vec<Mark>, files: &dyn Files) -> Result<(), StorageError> {
        if marks.len() > MARKS_MAX {
            return Err(StorageError::TooMany {
                what: "deleted pieces of traces",
                limit: MARKS_MAX,
            });
        }
        files::replace(files, &self.path, &encode(&marks))
            .map_err(io_error("write", &self.path))?;
        self.marks = marks;
        Ok(())
    }
}

fn encode(marks: &[Mark]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + marks.len() * MARK_BYTES);
    bytes.extend(MAGIC);
    for mark in marks {
        let at = bytes.len();
        bytes.extend((mark.kind as u32).to_le_bytes());
        bytes.extend(mark.trace_id.as_bytes());
        for number in [mark.place.0, mark.place.1, mark.until] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [mark.seq, mark.number, mark.at.0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(crc32c::crc32c(&bytes[at..]).to_le_bytes());
    }
    bytes
}

/// The marks that are intact, and how many are not.
fn decode(bytes: &[u8]) -> (Vec<Mark>, u64) {
    // Marks have one length, so a damaged one costs no other.
    let marks = bytes.get(MAGIC.len()..).unwrap_or_default();
    let all = marks.chunks(MARK_BYTES).map(decode_mark);
    let (intact, damaged): (Vec<_>, Vec<_>) = all.partition(Option::is_some);
    let is_damaged = !bytes.starts_with(&MAGIC) && damaged.is_empty();
    let n_damaged = damaged.len() as u64 + u64::from(is_damaged);
    (intact.into_iter().flatten().collect(), n_damaged)
}

fn decode_mark(bytes: &[u8]) -> Option<Mark> {
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    if bytes.len() != MARK_BYTES || u32::from_le_bytes(*crc) != crc32c::crc32c(fields) {
        return None;
    }
    let u32_at = |at: usize| Some(u32::from_le_bytes(fields.get(at..at + 4)?.try_into().ok()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(fields.get(at..at + 8)?.try_into().ok()?));
    Some(Mark {
        kind: match u32_at(0)? {
            1 => Kind::Deleted,
            2 => Kind::Pinned,
            _ => return None,
        },
        trace_id: TraceId::from_slice(fields.get(4..20)?).ok()?,
        place: (u32_at(20)?, u32_at(24)?),
        until: u32_at(28)?,
        seq: u64_at(32)?,
        number: u64_at(40)?,
        at: UnixNanos(u64_at(48)?),
    })
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::trace_id;

    use super::*;
    use crate::sled::files::OsFiles;

    fn mark(kind: Kind, n: u64) -> Mark {
        Mark {
            kind,
            trace_id: trace_id(),
            place: (7, 3),
            until: 9,
            seq: n,
            number: n << 40,
            at: UnixNanos(n),
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_mark_and_is_counted() {
        let marks = [
            mark(Kind::Deleted, 1),
            mark(Kind::Pinned, 2),
            mark(Kind::Deleted, u64::MAX),
        ];
        let bytes = encode(&marks);
        assert_eq!(decode(&bytes), (marks.to_vec(), 0));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let n_intact = if at < MAGIC.len() { 3 } else { 2 };
            let (intact, n_damaged) = decode(&damaged);
            assert_eq!((intact.len(), n_damaged), (n_intact, 1), "byte {at}");
            assert!(intact.iter().all(|mark| marks.contains(mark)));
            let (_, n_damaged) = decode(&bytes[..at]);
            let is_whole = at >= MAGIC.len() && (at - MAGIC.len()).is_multiple_of(MARK_BYTES);
            assert_eq!(n_damaged, u64::from(!is_whole), "{at} bytes");
        }
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("MARKS");
        let (mut marks, _) = Marks::open(path.clone(), &OsFiles).expect("readable");
        let pin = |marks: &mut Marks, n: usize, bytes| {
            let trace_id = TraceId::new((n as u128 + 1).to_be_bytes()).expect("not zero");
            marks.pin(trace_id, bytes, 5_000, UnixNanos(1), &OsFiles)
        };
        for n in 0..PINNED_MAX {
            pin(&mut marks, n, 5).expect("room");
        }
        pin(&mut marks, 7, 5).expect("it is already");
        assert!(matches!(
            pin(&mut marks, PINNED_MAX, 0),
            Err(StorageError::TooMany {
                limit: PINNED_MAX,
                ..
            })
        ));
        let first = marks.pinned()[0];
        assert!(marks.unpin(first, &OsFiles).expect("written"));
        assert!(!marks.unpin(first, &OsFiles).expect("nothing to write"));
        assert!(matches!(
            pin(&mut marks, PINNED_MAX, 6),
            Err(StorageError::TooLarge {
                bytes: 5_001,
                limit_bytes: 5_000,
                ..
            })
        ));
        let (again, n_damaged) = Marks::open(path, &OsFiles).expect("readable");
        assert_eq!((again.marks, n_damaged), (marks.marks, 0));
    }
}
