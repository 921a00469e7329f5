//! Columns: the values of one thing over all spans of a block, each distinct value once.
//!
//! A row is the number of its value, counted in order of first appearance; a value's first row is
//! written as 0, a repetition as the number plus 1. So a column of one value, and one whose values
//! are all different, both write almost nothing but zeros.

use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use super::Damage;
use super::bytes::{Cursor, put_varint};

/// A column being filled.
#[derive(Default)]
pub(super) struct ColumnBuilder {
    /// The distinct values, end to end.
    values: Vec<u8>,
    /// By value: one past its last byte in `values`.
    ends: Vec<u32>,
    /// Values by their bytes.
    by_value: HashTable<u32>,
    rows: Vec<u32>,
    last: u32,
}

/// A column whose memory is larger is not kept to be filled again.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// After so many rows it is known whether a column's values repeat.
const REPEATS_FROM_ROWS: usize = 64;

impl ColumnBuilder {
    /// Empties it; whether its memory is worth keeping.
    pub(super) fn clear(&mut self) -> bool {
        self.values.clear();
        self.ends.clear();
        self.by_value.clear();
        self.rows.clear();
        self.last = 0;
        self.values.capacity() <= SPARE_BYTES_MAX
    }

    /// Whether values are hardly ever the same, so that looking for one costs more than it saves.
    fn is_distinct(&self) -> bool {
        self.rows.len() >= REPEATS_FROM_ROWS && self.ends.len() > self.rows.len() / 16 * 15
    }

    fn value(&self, number: u32) -> &[u8] {
        &self.values[range(&self.ends, number)]
    }

    /// The values, hardly any twice.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..).zip(&self.ends).map(|(number, _)| self.value(number))
    }

    /// How many rows there are.
    pub(super) fn n_rows(&self) -> u64 {
        self.rows.len() as u64
    }

    /// How many values there are.
    pub(super) fn n_values(&self) -> usize {
        self.ends.len()
    }

    /// How many rows each value has.
    pub(super) fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.ends.len()];
        if let [count] = counts.as_mut_slice() {
            *count = self.rows.len() as u64;
            return counts;
        }
        let mut next = 0;
        for &row in &self.rows {
            // The first row of a value is 0.
            let number = match row {
                0 => {
                    next += 1;
                    next - 1
                }
                row => row as usize - 1,
            };
            counts[number] += 1;
        }
        counts
    }

    /// Appends a row that is likely to be the value with that number, and notes which it is.
    pub(super) fn push_likely(&mut self, value: &[u8], likely: &mut u32, hasher: &RandomState) {
        if (*likely as usize) < self.ends.len() && self.value(*likely) == value {
            self.rows.push(*likely + 1);
            return;
        }
        self.push(value, hasher);
        *likely = self.last;
    }

    /// Appends a row.
    pub(super) fn push(&mut self, value: &[u8], hasher: &RandomState) {
        // Runs of one value are common: a service's spans stand together.
        if !self.ends.is_empty() && self.value(self.last) == value {
            self.rows.push(self.last + 1);
            return;
        }
        let hash = (!self.is_distinct()).then(|| hasher.hash_one(value));
        let found = hash.and_then(|hash| {
            self.by_value.find(hash, |&number| {
                self.values[range(&self.ends, number)] == *value
            })
        });
        if let Some(&number) = found {
            self.last = number;
            self.rows.push(number + 1);
            return;
        }
        let number = u32::try_from(self.ends.len()).expect("a block is far below 2^32 values");
        self.values.extend_from_slice(value);
        self.ends
            .push(u32::try_from(self.values.len()).expect("a block is far below 4 GiB"));
        if let Some(hash) = hash {
            let (values, ends) = (&self.values, &self.ends);
            self.by_value.insert_unique(hash, number, |&number| {
                hasher.hash_one(&values[range(ends, number)])
            });
        }
        self.last = number;
        self.rows.push(0);
    }

    /// Writes the values to `values` and the rows to `rows`.
    pub(super) fn write(&self, values: &mut Vec<u8>, rows: &mut Vec<u8>) {
        put_varint(values, self.ends.len() as u64);
        let mut start = 0;
        for &end in &self.ends {
            put_varint(values, u64::from(end - start));
            start = end;
        }
        values.extend_from_slice(&self.values);

        put_varint(rows, self.rows.len() as u64);
        // The low bytes stand together and the high bytes stand together: zstd likes them so.
        let width = Width::of(self.ends.len());
        rows.extend(self.rows.iter().map(|row| row.to_le_bytes()[0]));
        for byte in 1..width.bytes() {
            rows.extend(self.rows.iter().map(|row| row.to_le_bytes()[byte]));
        }
    }
}

fn range(ends: &[u32], number: u32) -> Range<usize> {
    let start = number
        .checked_sub(1)
        .map_or(0, |before| ends[before as usize]);
    start as usize..ends[number as usize] as usize
}

/// How many bytes a row takes.
#[derive(Clone, Copy)]
enum Width {
    One,
    Two,
    Four,
}

impl Width {
    /// Of a column with so many distinct values: rows go from 0 to that number.
    fn of(n_values: usize) -> Self {
        match n_values {
            0..=0xff => Self::One,
            0x100..=0xffff => Self::Two,
            _ => Self::Four,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// A column as read back; borrows the block's decompressed bytes.
pub(super) struct Column<'a> {
    values: &'a [u8],
    ends: Vec<u32>,
    rows: &'a [u8],
    n_rows: usize,
    width: Width,
}

impl<'a> Column<'a> {
    /// Reads what [`ColumnBuilder::write`] wrote.
    pub(super) fn read(values: &mut Cursor<'a>, rows: &mut Cursor<'a>) -> Result<Self, Damage> {
        let n_values = values.count()?;
        let mut ends = Vec::with_capacity(n_values);
        let mut end = 0_u32;
        for _ in 0..n_values {
            let len = u32::try_from(values.varint()?).map_err(|_| Damage("a value's length"))?;
            end = end.checked_add(len).ok_or(Damage("a column's length"))?;
            ends.push(end);
        }
        let values = values.take(end as usize)?;
        let n_rows = rows.count()?;
        let width = Width::of(n_values);
        let rows = rows.take(
            n_rows
                .checked_mul(width.bytes())
                .ok_or(Damage("a column's rows"))?,
        )?;
        Ok(Self {
            values,
            ends,
            rows,
            n_rows,
            width,
        })
    }

    /// The values, in order of first appearance.
    pub(super) fn values(&self) -> impl Iterator<Item = &'a [u8]> {
        let ends = self.ends.iter().map(|&end| end as usize);
        let begins = std::iter::once(0).chain(ends.clone());
        begins
            .zip(ends)
            .map(|(begin, end)| &self.values[begin..end])
    }

    fn row(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        for (plane, byte) in bytes.iter_mut().enumerate().take(self.width.bytes()) {
            *byte = self.rows[plane * self.n_rows + at];
        }
        u32::from_le_bytes(bytes)
    }

    /// A reader that begins at a row.
    pub(super) fn rows_from(&self, at: usize) -> Result<Rows<'_, 'a>, Damage> {
        let mut rows = Rows {
            column: self,
            at: 0,
            n_new: 0,
        };
        rows.skip_to(at)?;
        Ok(rows)
    }
}

/// Reads a column's rows in order.
pub(super) struct Rows<'c, 'a> {
    column: &'c Column<'a>,
    at: usize,
    /// How many values appeared before.
    n_new: usize,
}

impl<'a> Rows<'_, 'a> {
    /// Leaves out the rows before one that is not behind it.
    pub(super) fn skip_to(&mut self, at: usize) -> Result<(), Damage> {
        if at > self.column.n_rows {
            return Err(Damage("a column has fewer rows than spans need"));
        }
        let skipped = self.at..at;
        self.n_new += skipped.filter(|&row| self.column.row(row) == 0).count();
        self.at = at;
        Ok(())
    }

    /// The next row's value.
    pub(super) fn next(&mut self) -> Result<&'a [u8], Damage> {
        let number = self.next_number()?;
        Ok(&self.column.values[range(&self.column.ends, number)])
    }

    /// The number of the next row's value, counted in order of first appearance.
    pub(super) fn next_number(&mut self) -> Result<u32, Damage> {
        if self.at >= self.column.n_rows {
            return Err(Damage("a column has fewer rows than spans need"));
        }
        let row = self.column.row(self.at) as usize;
        self.at += 1;
        let number = if row == 0 {
            self.n_new += 1;
            self.n_new - 1
        } else {
            row - 1
        };
        if number >= self.column.ends.len() {
            return Err(Damage("a row names no value"));
        }
        u32::try_from(number).map_err(|_| Damage("a row names no value"))
    }
}
