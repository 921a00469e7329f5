//! Reads the segments that are there when a log is opened.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, Frame, FrameHead, SEGMENT_HEAD_BYTES, SegmentHead};
use super::replay::{Found, read_segment};
use super::retries::{self, Retries};
use super::{BODY_BYTES_MAX, Closed, LogConfig, SEGMENT_BYTES_MAX, SEQ_GAP, writer};
use crate::sled::files::Files;
use crate::sled::io_error;
use crate::{Durability, StorageError};

/// The largest file taken for a segment: a full one, and a group that went over.
const SEGMENT_FILE_BYTES_MAX: u64 =
    SEGMENT_BYTES_MAX + writer::GROUP_BYTES_MAX as u64 + 2 * BODY_BYTES_MAX as u64;

/// How many damaged stretches are told one by one.
const STRETCHES_MAX: usize = 64;

/// What opening a log found in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recovery {
    /// How many frames came back.
    pub(crate) n_frames: u64,
    /// How many damaged stretches were skipped, each a frame or more that had been acknowledged.
    pub(crate) n_damaged: u64,
    /// The first of them.
    pub(crate) damaged: Vec<Stretch>,
    /// How many bytes were cut off the newest segment: a write that was never acknowledged.
    pub(crate) torn_bytes: u64,
}

/// A part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// The segment's file.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) bytes: Range<usize>,
}

/// The log that was read.
#[derive(Default)]
pub(super) struct Contents {
    /// Oldest first.
    pub(super) segments: Vec<Closed>,
    pub(super) retries: Retries,
    /// No frame has a larger sequence.
    pub(super) last_seq: u64,
    /// No segment has a larger number.
    pub(super) last_number: u64,
}

/// Reads the log's segments, one at a time, and hands each frame from `config.replay_from` on to
/// `replay`.
///
/// # Errors
/// When a file cannot be read or a torn end not be cut, and the first of `replay`'s.
pub(super) fn read(
    files: &dyn Files,
    config: &LogConfig,
    mut replay: impl FnMut(Frame) -> Result<(), StorageError>,
) -> Result<(Contents, Recovery), StorageError> {
    let paths = segment_paths(files, &config.dir)?;
    let mut recovery = Recovery::default();
    let mut contents = Contents {
        last_seq: config.last_seq,
        last_number: paths.last().map_or(0, |(number, _)| *number),
        ..Contents::default()
    };
    for (idx, (number, path)) in paths.iter().enumerate() {
        let is_newest = idx + 1 == paths.len();
        if let Some((_, next)) = paths.get(idx + 1)
            && let Some(closed) = skip(files, path, next, config.replay_from)?
        {
            contents.last_seq = contents.last_seq.max(closed.last_seq);
            contents.segments.push(closed);
            continue;
        }
        let bytes = files
            .read(path, SEGMENT_FILE_BYTES_MAX)
            .map_err(io_error("read", path))?;
        let retries = &mut contents.retries;
        let note = noting(retries, config, path, &bytes);
        let found = read_segment(&bytes, config.replay_from, note, &mut replay)?;
        let damaged = damaged(&bytes, &found, is_newest);
        let mut len = bytes.len();
        if is_newest && damaged == found.damaged && found.intact_bytes < len {
            // Cut now: a later open could no longer tell it from damage.
            recovery.torn_bytes = (len - found.intact_bytes) as u64;
            len = found.intact_bytes;
            files
                .truncate(path, len as u64)
                .map_err(io_error("cut", path))?;
            tracing::info!(
                segment = number,
                recovery.torn_bytes,
                "cut the log's torn end"
            );
        }
        recovery.n_frames += found.n_frames;
        contents.last_seq = contents.last_seq.max(found.last_seq);
        if found.intact_bytes == 0 {
            // Nobody knows where its sequences began; at worst where this open would begin.
            contents.last_seq += SEQ_GAP;
        }
        contents.segments.push(Closed {
            path: path.clone(),
            bytes: len as u64,
            last_seq: found.last_seq,
            is_damaged: !damaged.is_empty(),
        });
        recovery.report(path, damaged);
    }
    Ok((contents, recovery))
}

/// Notes a segment's requests as they are read.
fn noting<'a>(
    retries: &'a mut Retries,
    config: &'a LogConfig,
    path: &Path,
    bytes: &'a [u8],
) -> impl FnMut(usize, &FrameHead) + 'a {
    let segment = Arc::new(retries::Segment {
        path: path.to_owned(),
        salt: SegmentHead::decode(bytes).map_or(0, |head| head.salt),
    });
    move |at, head| {
        let Some(stored) = head.stored(bytes, at) else {
            return;
        };
        // What is in a block was durable before the mark that says so.
        let is_durable = head.seq < config.replay_from || config.durability == Durability::Os;
        let checksum = frame::checksum(config.salt, stored);
        retries.note(&segment, at, checksum, head, is_durable);
    }
}

impl Recovery {
    fn report(&mut self, path: &Path, damaged: Vec<Range<usize>>) {
        self.n_damaged += damaged.len() as u64;
        for bytes in damaged {
            tracing::warn!(
                path = %path.display(),
                from_byte = bytes.start,
                to_byte = bytes.end,
                "a stretch of the log is damaged and was skipped"
            );
            if self.damaged.len() < STRETCHES_MAX {
                let path = path.to_owned();
                self.damaged.push(Stretch { path, bytes });
            }
        }
    }
}

/// A segment that need not be read, because the next one begins with what is needed or before it.
fn skip(
    files: &dyn Files,
    path: &Path,
    next: &Path,
    replay_from: u64,
) -> Result<Option<Closed>, StorageError> {
    if replay_from == 0 {
        return Ok(None);
    }
    let head = files
        .read_start(next, SEGMENT_HEAD_BYTES as u64)
        .map_err(io_error("read", next))?;
    let Some(head) = SegmentHead::decode(&head).filter(|head| head.first_seq <= replay_from) else {
        return Ok(None);
    };
    let bytes = files.len(path).map_err(io_error("read", path))?;
    Ok(Some(Closed {
        path: path.to_owned(),
        bytes,
        last_seq: head.first_seq - 1,
        is_damaged: false,
    }))
}

/// What is damaged in a segment.
fn damaged(bytes: &[u8], found: &Found, is_newest: bool) -> Vec<Range<usize>> {
    let mut damaged = found.damaged.clone();
    // The newest segment may end in a write that was cut off; when it is the first write, the file
    // is shorter than a head or was never filled.
    let is_torn = is_newest
        && (found.intact_bytes > 0
            || bytes.len() < SEGMENT_HEAD_BYTES
            || bytes.iter().all(|&byte| byte == 0));
    if found.intact_bytes < bytes.len() && !is_torn {
        damaged.push(found.intact_bytes..bytes.len());
    }
    damaged
}

/// The segments in a directory, by number; other files are left alone.
fn segment_paths(files: &dyn Files, dir: &Path) -> Result<Vec<(u64, PathBuf)>, StorageError> {
    let mut paths: Vec<(u64, PathBuf)> = files
        .list(dir)
        .map_err(io_error("list", dir))?
        .into_iter()
        .filter_map(|path| {
            let number = path
                .file_name()?
                .to_str()?
                .strip_suffix(".log")?
                .parse()
                .ok()?;
            Some((number, path))
        })
        .collect();
    paths.sort_unstable();
    Ok(paths)
}
