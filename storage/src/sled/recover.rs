//! What opening a store finds: partitions that are closed, one or two that are not, and damaged
//! ones, which are set aside; what the log still has of those is taken in anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longpole_proto::UnixNanos;

use super::aside;
use super::core::Paths;
use super::files::{self, Files};
use super::io_error;
use super::partition::{Found, Partition, Pool};
use super::view::{PartitionView, View};
use crate::StorageError;

/// More than a mark has.
const MARK_BYTES_MAX: u64 = 1 << 10;

/// What directories that are being removed are called first.
const TRASH: &str = ".trash-";

/// What a checkpoint made durable: in the file CHECKPOINT, replaced whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Everything with a smaller sequence is in a block that is durable.
    pub(super) watermark: u64,
    /// The newest sequence taken in.
    pub(super) applied: u64,
    /// The partitions that are not closed, each with how many durable blocks it has.
    pub(super) unclosed: Vec<(u32, u32)>,
}

impl Mark {
    /// Writes it.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn write(&self, path: &Path, files: &dyn Files) -> Result<(), StorageError> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.watermark.to_le_bytes());
        bytes.extend_from_slice(&self.applied.to_le_bytes());
        for (partition, n_blocks) in &self.unclosed {
            bytes.extend_from_slice(&partition.to_le_bytes());
            bytes.extend_from_slice(&n_blocks.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        files::replace(files, path, &bytes).map_err(io_error("write", path))
    }

    /// Reads it; `None` when there is none, or a damaged one: then the whole log is read.
    ///
    /// # Errors
    /// When the disk fails.
    fn read(path: &Path, files: &dyn Files) -> Result<Option<Self>, StorageError> {
        let bytes = match files.read(path, MARK_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(io_error("read", path))?,
        };
        let mark = Self::decode(&bytes);
        if mark.is_none() {
            tracing::warn!(path = %path.display(), "the mark is damaged: the whole log is read");
        }
        Ok(mark)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fields, crc) = bytes.split_last_chunk::<4>()?;
        let (watermark, rest) = fields.split_first_chunk()?;
        let (applied, rest) = rest.split_first_chunk()?;
        let unclosed = rest.chunks_exact(8).map(|of| {
            let (partition, n_blocks) = of.split_at(4);
            let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("4 of 8 bytes"));
            (number(partition), number(n_blocks))
        });
        (u32::from_le_bytes(*crc) == crc32c::crc32c(fields)).then(|| Self {
            watermark: u64::from_le_bytes(*watermark),
            applied: u64::from_le_bytes(*applied),
            unclosed: unclosed.collect(),
        })
    }
}

impl Mark {
    /// How many durable blocks a partition must have.
    fn n_blocks(&self, number: u32) -> u32 {
        let of = self.unclosed.iter().find(|of| of.0 == number);
        of.map_or(0, |of| of.1)
    }
}

/// What was found.
pub(super) struct Recovered {
    /// The partitions; the last takes blocks.
    pub(super) view: View,
    /// Everything with a smaller sequence is in a block.
    pub(super) replay_from: u64,
    /// The newest sequence known to have been given.
    pub(super) last_seq: u64,
    /// How many partitions were set aside.
    pub(super) n_lost: u64,
}

/// Finds the partitions, and makes one that takes blocks when there is none.
///
/// With a reason to `distrust` those that are not closed, they are set aside.
///
/// # Errors
/// When the disk fails.
pub(super) fn recover(
    paths: &Paths,
    pool: &Arc<Pool>,
    distrust: Option<&str>,
    now: UnixNanos,
    files: &dyn Files,
) -> Result<Recovered, StorageError> {
    let dir = &paths.partitions;
    files.create_dir(dir).map_err(io_error("make", dir))?;
    let mark = Mark::read(&paths.checkpoint, files)?;
    let mut found = Vec::new();
    let mut n_lost = 0;
    let mut is_whole = mark.is_some();
    let mut number_max = 0;
    for (number, created, dir) in list(dir)? {
        number_max = number_max.max(number);
        let view = find((number, created, &dir), mark.as_ref(), pool, files)
            .and_then(|view| believed(view, distrust));
        match view {
            Ok(view) => found.push(view),
            Err(error @ (StorageError::Damaged { .. } | StorageError::Engine(_))) => {
                tracing::error!(%error, path = %dir.display(), "a damaged partition is set aside");
                quarantine(&dir, &paths.quarantine, &error.with_causes(), files)?;
                n_lost += 1;
                is_whole = false;
            }
            Err(error) => return Err(error),
        }
    }
    for &(number, n_blocks) in mark.iter().flat_map(|mark| &mark.unclosed) {
        number_max = number_max.max(number);
        // Without a partition the mark is about, the log is all there is.
        is_whole &= n_blocks == 0 || found.iter().any(|of| of.partition.number() == number);
    }
    let zones = found.iter().flat_map(|view| view.zones.iter());
    let sealed = zones.map(|zone| zone.seq).max().unwrap_or(0);
    let applied = mark.as_ref().map_or(0, |mark| mark.applied);
    if found.last().is_none_or(|view| view.partition.is_closed()) {
        let partition = create(dir, number_max + 1, now, files)?;
        found.push(PartitionView::new(Arc::new(partition), Vec::new()));
    }
    let replay_from = mark.filter(|_| is_whole).map_or(0, |mark| mark.watermark);
    Ok(Recovered {
        view: View::new(found),
        replay_from,
        last_seq: sealed.max(applied),
        n_lost,
    })
}

fn find(
    (number, created, dir): (u32, UnixNanos, &Path),
    mark: Option<&Mark>,
    pool: &Arc<Pool>,
    files: &dyn Files,
) -> Result<PartitionView, StorageError> {
    let closed = match Partition::find_closed(dir, number, pool, files) {
        Err(error @ StorageError::Damaged { .. }) => {
            // All it says is in the database as well.
            tracing::warn!(%error, "a partition's index is damaged; it is made anew");
            None
        }
        found => found?,
    };
    let Found { partition, zones } = match closed {
        Some(found) => found,
        None => Partition::find_active(dir, number, created)?,
    };
    let n_durable = mark.map_or(0, |mark| mark.n_blocks(number) as usize);
    if zones.len() < n_durable {
        // sled takes a damaged end of its file for one that was never written.
        return Err(StorageError::Damaged {
            what: format!(
                "{} has {} blocks, a checkpoint had {n_durable}",
                dir.display(),
                zones.len(),
            ),
        });
    }
    Ok(PartitionView::new(Arc::new(partition), zones))
}

fn believed(view: PartitionView, distrust: Option<&str>) -> Result<PartitionView, StorageError> {
    match distrust {
        Some(reason) if !view.partition.is_closed() => Err(StorageError::Damaged {
            what: format!("{} ({reason})", view.partition.dir().display()),
        }),
        _ => Ok(view),
    }
}

/// Makes a partition that takes blocks.
///
/// # Errors
/// When the disk or sled fails.
pub(super) fn create(
    partitions: &Path,
    number: u32,
    now: UnixNanos,
    files: &dyn Files,
) -> Result<Partition, StorageError> {
    let dir = partitions.join(format!("{}-{number:04}", hour_text(now)));
    let partition = Partition::create(&dir, number, now)?;
    files
        .sync_dir(partitions)
        .map_err(io_error("sync", partitions))?;
    Ok(partition)
}

/// Sets a partition aside for whoever wants to look, with the reason beside it.
///
/// # Errors
/// When the disk fails.
pub(super) fn quarantine(
    dir: &Path,
    quarantine: &Path,
    reason: &str,
    files: &dyn Files,
) -> Result<(), StorageError> {
    files
        .create_dir(quarantine)
        .map_err(io_error("make", quarantine))?;
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let free = (0..u32::MAX)
        .map(|n| match n {
            0 => quarantine.join(&*name),
            n => quarantine.join(format!("{name}.{n}")),
        })
        .find(|path| !path.exists())
        .expect("some number is free");
    files.rename(dir, &free).map_err(io_error("move", dir))?;
    aside::explain(&free, reason, files);
    let parent = dir.parent().unwrap_or(Path::new("."));
    for dir in [quarantine, parent] {
        files.sync_dir(dir).map_err(io_error("sync", dir))?;
    }
    Ok(())
}

/// Takes a partition's name away, so that it is gone at once and for good.
///
/// # Errors
/// When the disk fails.
pub(super) fn rename_to_trash(dir: &Path, files: &dyn Files) -> Result<(), StorageError> {
    let parent = dir.parent().unwrap_or(Path::new("."));
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let trash = parent.join(format!("{TRASH}{name}"));
    files.rename(dir, &trash).map_err(io_error("move", dir))?;
    files.sync_dir(parent).map_err(io_error("sync", parent))
}

/// Removes what is left of removed partitions.
///
/// # Errors
/// When the disk fails.
pub(super) fn remove_trash(partitions: &Path) -> Result<(), StorageError> {
    for entry in fs::read_dir(partitions).map_err(io_error("list", partitions))? {
        let path = entry.map_err(io_error("list", partitions))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(TRASH) {
            fs::remove_dir_all(&path).map_err(io_error("remove", &path))?;
        }
    }
    Ok(())
}

/// The partitions' directories by number; removes what is left of removed ones.
fn list(dir: &Path) -> Result<Vec<(u32, UnixNanos, PathBuf)>, StorageError> {
    remove_trash(dir)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let path = entry.map_err(io_error("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some((number, created)) = parse_name(&name) {
            found.push((number, created, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A partition's number, and the hour it was made in.
fn parse_name(name: &str) -> Option<(u32, UnixNanos)> {
    let (hour, number) = name.rsplit_once('-')?;
    let number = number.parse().ok()?;
    Some((number, parse_hour(hour)?))
}

const HOUR_NANOS: u64 = 3_600_000_000_000;

/// `2026-11-22T02`, in UTC.
fn hour_text(at: UnixNanos) -> String {
    let hours = at.0 / HOUR_NANOS;
    let (year, month, day) = date_of(hours / 24);
    format!("{year:04}-{month:02}-{day:02}T{:02}", hours % 24)
}

fn parse_hour(text: &str) -> Option<UnixNanos> {
    let (date, hour) = text.split_once('T')?;
    let mut parts = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let hour: u64 = hour.parse().ok()?;
    if parts.next().is_some() || !(1970..=2_600).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_to(year, month) + day.checked_sub(1)?;
    let nanos = days
        .checked_mul(24)?
        .checked_add(hour)?
        .checked_mul(HOUR_NANOS)?;
    Some(UnixNanos(nanos))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How many days lie between the epoch and a month's first.
fn days_to(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year)
        .map(|year| 365 + u64::from(is_leap(year)))
        .sum();
    years + (1..month).map(|month| days_in(year, month)).sum::<u64>()
}

fn date_of(mut days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_named_and_read_back() {
        let cases = [
            (0, "1970-01-01T00"),
            (1_709_164_800_000_000_000, "2024-02-29T00"),
            (1_795_320_000_000_000_000, "2026-11-22T04"),
            (4_102_441_200_000_000_000, "2099-12-31T23"),
        ];
        for (nanos, text) in cases {
            assert_eq!(hour_text(UnixNanos(nanos)), text);
            assert_eq!(parse_hour(text), Some(UnixNanos(nanos)));
            assert_eq!(hour_text(UnixNanos(nanos + HOUR_NANOS - 1)), text);
        }
        assert_eq!(
            parse_name("2026-11-22T04-0012").map(|(number, _)| number),
            Some(12)
        );
        for name in ["lost+found", "2026-11-22", "2026-11-T04-1", "1-2-3T4-x", ""] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_damaged_mark_is_none() {
        let mark = Mark {
            watermark: 7,
            applied: 9,
            unclosed: vec![(3, 5), (4, 0)],
        };
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("CHECKPOINT");
        let files = files::OsFiles;
        assert_eq!(Mark::read(&path, &files).expect("readable"), None);
        mark.write(&path, &files).expect("writable");
        assert_eq!(
            Mark::read(&path, &files).expect("readable"),
            Some(mark.clone())
        );
        let bytes = fs::read(&path).expect("a file");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 8;
            assert_eq!(Mark::decode(&damaged), None, "byte {at}");
            assert_eq!(Mark::decode(&bytes[..at]), None, "{at} bytes");
        }
    }
}
