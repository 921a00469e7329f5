//! The bytes of a digest: `crc32c u32 | length u32 | zstd` (little-endian), inside varints,
//! column by column. `docs/disk-format.md` has it all.

use std::collections::BTreeMap;

use longpole_analysis::aggregate::BUCKETS;
use zstd::bulk::Compressor;

use super::names::Names;
use super::table::{KINDS, Key, Kind, Tally};
use crate::StorageError;
use crate::sled::block::{Cursor, put_varint};
use crate::sled::checked;

/// The most one takes decompressed; that of a partition of a million cells is far smaller.
const BYTES_MAX: usize = 256 << 20;

/// A digest as it is stored.
#[derive(Debug)]
pub(in crate::sled) struct Stored<'a> {
    names: Vec<&'a str>,
    pub(super) counted: StoredTally,
    /// By partition.
    pub(super) corrections: Vec<(u32, StoredTally)>,
}

/// The cells of all kinds.
#[derive(Debug)]
pub(super) struct StoredTally([Columns; KINDS.len()]);

/// The cells of a kind by minute, then names.
#[derive(Debug, Default)]
struct Columns {
    /// Each less the one before.
    minutes: Vec<u32>,
    /// As many a cell as the kind has, each its number + 1; 0 are those of a cell without names.
    names: Vec<u32>,
    n: Vec<u64>,
    n_errors: Vec<u64>,
    /// How many buckets each cell has.
    n_buckets: Vec<u32>,
    /// Each less the one before in its cell.
    buckets: Vec<u16>,
    counts: Vec<u32>,
}

/// A cell as it is stored.
pub(super) struct StoredCell<'a> {
    /// With the numbers that names have in the stored digest.
    pub(super) key: Key,
    pub(super) n: u64,
    pub(super) n_errors: u64,
    /// By bucket.
    pub(super) durations: &'a [(u16, u32)],
}

/// Packs a digest.
pub(super) fn pack(
    attributes: &[u8],
    names: &Names,
    counted: &Tally,
    corrections: &BTreeMap<u32, Tally>,
    zstd: &mut Compressor<'_>,
) -> Vec<u8> {
    let mut record = Vec::new();
    put_varint(&mut record, attributes.len() as u64);
    record.extend_from_slice(attributes);
    put_varint(&mut record, names.iter().count() as u64);
    for name in names.iter() {
        put_varint(&mut record, name.len() as u64);
        record.extend_from_slice(name.as_bytes());
    }
    put_tally(&mut record, counted);
    put_varint(&mut record, corrections.len() as u64);
    for (partition, correction) in corrections {
        put_varint(&mut record, u64::from(*partition));
        put_tally(&mut record, correction);
    }
    checked::pack(&record, zstd)
}

/// Undoes [`checked::pack`] of a digest's record.
///
/// # Errors
/// When it is damaged.
pub(in crate::sled) fn unpack(value: &[u8]) -> Result<Vec<u8>, StorageError> {
    checked::unpack(value, BYTES_MAX).ok_or_else(damaged)
}

/// The attributes' bytes of what [`unpack`] gave.
///
/// # Errors
/// When it is damaged.
pub(in crate::sled) fn attributes(record: &[u8]) -> Result<&[u8], StorageError> {
    split(record)
        .map(|(attributes, _)| attributes)
        .ok_or_else(damaged)
}

fn split(record: &[u8]) -> Option<(&[u8], Cursor<'_>)> {
    let mut cursor = Cursor::new(record);
    let len = cursor.count().ok()?;
    Some((cursor.take(len).ok()?, cursor))
}

impl<'a> Stored<'a> {
    /// Reads what [`unpack`] gave.
    ///
    /// # Errors
    /// When it is damaged.
    pub(in crate::sled) fn read(record: &'a [u8]) -> Result<Self, StorageError> {
        Self::parse(record).ok_or_else(damaged)
    }

    fn parse(record: &'a [u8]) -> Option<Self> {
        let (_, mut cursor) = split(record)?;
        let n_names = cursor.count().ok()?;
        let mut names = Vec::with_capacity(n_names);
        for _ in 0..n_names {
            let len = cursor.count().ok()?;
            names.push(str::from_utf8(cursor.take(len).ok()?).ok()?);
        }
        let counted = StoredTally::parse(&mut cursor, n_names)?;
        let mut corrections = Vec::new();
        for _ in 0..cursor.count().ok()? {
            let partition = u32::try_from(cursor.varint().ok()?).ok()?;
            corrections.push((partition, StoredTally::parse(&mut cursor, n_names)?));
        }
        cursor.is_empty().then_some(Self {
            names,
            counted,
            corrections,
        })
    }

    /// The names, by number.
    pub(super) fn names(&self) -> &[&'a str] {
        &self.names
    }
}

fn damaged() -> StorageError {
    StorageError::Damaged {
        what: "the digest of some traces".to_owned(),
    }
}

fn put_tally(to: &mut Vec<u8>, tally: &Tally) {
    for kind in KINDS {
        put_columns(to, kind, tally);
    }
}

/// Appends [`Columns`].
fn put_columns(to: &mut Vec<u8>, kind: Kind, tally: &Tally) {
    let mut cells: Vec<_> = tally.cells(kind).collect();
    cells.sort_unstable_by_key(|(key, _)| *key);
    put_varint(to, cells.len() as u64);
    let mut last = 0;
    for (key, _) in &cells {
        put_varint(to, u64::from(key.minute - last));
        last = key.minute;
    }
    for (key, _) in &cells {
        for name in &key.names[..kind.n_names()] {
            put_varint(to, u64::from(name.wrapping_add(1)));
        }
    }
    for (_, cell) in &cells {
        put_varint(to, cell.n);
    }
    for (_, cell) in &cells {
        put_varint(to, cell.n_errors);
    }
    let counts = || cells.iter().map(|(_, cell)| cell.durations.counts());
    for counts in counts() {
        put_varint(to, counts.len() as u64);
    }
    for counts in counts() {
        let mut last = 0;
        for &(bucket, _) in counts {
            put_varint(to, u64::from(bucket - last));
            last = bucket;
        }
    }
    for &(_, n) in counts().flatten() {
        put_varint(to, u64::from(n));
    }
}

impl StoredTally {
    fn parse(cursor: &mut Cursor<'_>, n_names: usize) -> Option<Self> {
        let mut tally = Self(Default::default());
        for (kind, columns) in KINDS.into_iter().zip(&mut tally.0) {
            *columns = Columns::parse(cursor, kind)?;
            if !columns.is_sound(kind, n_names) {
                return None;
            }
        }
        Some(tally)
    }

    /// Calls `each` with the cells of a kind.
    pub(super) fn cells(&self, kind: Kind, mut each: impl FnMut(&StoredCell<'_>)) {
        let columns = &self.0[kind as usize];
        let mut names = columns.names.chunks_exact(kind.n_names().max(1));
        let mut durations = columns.buckets.iter().zip(&columns.counts);
        let mut of_cell = Vec::new();
        let mut minute = 0;
        for (at, &later) in columns.minutes.iter().enumerate() {
            minute += later;
            let mut key = Key::other(minute);
            if let Some(numbers) = names.next() {
                for (to, number) in key.names.iter_mut().zip(numbers) {
                    *to = number.wrapping_sub(1);
                }
            }
            of_cell.clear();
            let mut bucket = 0;
            let n_buckets = columns.n_buckets[at] as usize;
            for (&later, &n) in durations.by_ref().take(n_buckets) {
                bucket += later;
                of_cell.push((bucket, n));
            }
            each(&StoredCell {
                key,
                n: columns.n[at],
                n_errors: columns.n_errors[at],
                durations: &of_cell,
            });
        }
    }
}

impl Columns {
    fn parse(cursor: &mut Cursor<'_>, kind: Kind) -> Option<Self> {
        let n_cells = cursor.count().ok()?;
        let minutes = numbers(cursor, n_cells)?;
        let names = numbers(cursor, n_cells * kind.n_names())?;
        let n = numbers(cursor, n_cells)?;
        let n_errors = numbers(cursor, n_cells)?;
        let n_buckets: Vec<u32> = numbers(cursor, n_cells)?;
        let n_all = n_buckets.iter().map(|n| *n as usize).sum();
        Some(Self {
            buckets: numbers(cursor, n_all)?,
            counts: numbers(cursor, n_all)?,
            minutes,
            names,
            n,
            n_errors,
            n_buckets,
        })
    }

    /// Whether [`StoredTally::cells`] can read it.
    fn is_sound(&self, kind: Kind, n_names: usize) -> bool {
        let sum = |numbers: &[u32]| numbers.iter().try_fold(0_u32, |sum, n| sum.checked_add(*n));
        if sum(&self.minutes).is_none() {
            return false;
        }
        let has_names = self.names.chunks_exact(kind.n_names().max(1)).all(|names| {
            names.iter().all(|name| *name == 0)
                || names
                    .iter()
                    .all(|&name| name != 0 && name as usize <= n_names)
        });
        let mut rest = self.buckets.as_slice();
        let has_buckets = self.n_buckets.iter().all(|&n| {
            let Some((of_cell, behind)) = rest.split_at_checked(n as usize) else {
                return false;
            };
            rest = behind;
            let is_rising = of_cell.iter().skip(1).all(|later| *later > 0);
            is_rising && of_cell.iter().map(|of| u64::from(*of)).sum::<u64>() < BUCKETS.into()
        });
        has_names && has_buckets && rest.is_empty()
    }
}

/// So many numbers.
fn numbers<T: TryFrom<u64>>(cursor: &mut Cursor<'_>, n: usize) -> Option<Vec<T>> {
    // Each takes a byte at least.
    let mut numbers = Vec::with_capacity(n.min(cursor.rest()));
    for _ in 0..n {
        numbers.push(T::try_from(cursor.varint().ok()?).ok()?);
    }
    Some(numbers)
}
