//! The summaries of a block's traces: `crc32c u32 | length u32 | zstd` (little-endian), inside
//! `trace ID 16 | length u32 | entry` for each, in the order of the block.

use longpole_proto::TraceId;
use zstd::bulk::Compressor;

use crate::StorageError;
use crate::sled::checked;

/// How hard zstd tries.
const ZSTD_LEVEL: i32 = 1;

/// The most they take decompressed; an entry is a few kilobytes.
const BYTES_MAX: usize = 1 << 30;

/// The bytes before an entry.
const HEAD_BYTES: usize = 20;

/// Rows being written; used again for the next block.
pub(in crate::sled) struct RowsBuilder {
    rows: Vec<u8>,
    zstd: Compressor<'static>,
}

impl Default for RowsBuilder {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            zstd: Compressor::new(ZSTD_LEVEL).expect("zstd has this level"),
        }
    }
}

impl RowsBuilder {
    /// Forgets all rows.
    pub(in crate::sled) fn clear(&mut self) {
        self.rows.clear();
    }

    /// Appends a trace's entry; an empty one is to be made by whoever needs it.
    pub(in crate::sled) fn push(&mut self, trace_id: TraceId, entry: &[u8]) {
        self.rows.extend_from_slice(trace_id.as_bytes());
        let len = u32::try_from(entry.len()).expect("an entry is bounded");
        self.rows.extend_from_slice(&len.to_le_bytes());
        self.rows.extend_from_slice(entry);
    }

    /// The value to store.
    pub(in crate::sled) fn finish(&mut self) -> Vec<u8> {
        checked::pack(&self.rows, &mut self.zstd)
    }
}

/// A block's rows as read back.
#[derive(Debug)]
pub(in crate::sled) struct Rows(Vec<u8>);

/// One trace's row.
#[derive(Debug, Clone, Copy)]
pub(in crate::sled) struct Row<'a> {
    pub(in crate::sled) trace_id: TraceId,
    /// Empty when it was not made.
    pub(in crate::sled) entry: &'a [u8],
}

impl Rows {
    /// Reads what [`RowsBuilder::finish`] gave.
    ///
    /// # Errors
    /// When it is damaged.
    pub(in crate::sled) fn read(value: &[u8]) -> Result<Self, StorageError> {
        let rows = checked::unpack(value, BYTES_MAX);
        rows.map(Self).ok_or_else(|| StorageError::Damaged {
            what: "the summaries of a block".to_owned(),
        })
    }

    /// The rows in the order of the block.
    pub(in crate::sled) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (row, behind) = split_row(rest)?;
            rest = behind;
            Some(row)
        })
    }
}

fn split_row(rest: &[u8]) -> Option<(Row<'_>, &[u8])> {
    let (head, behind) = rest.split_at_checked(HEAD_BYTES)?;
    let trace_id = TraceId::from_slice(&head[..16]).ok()?;
    let len = u32::from_le_bytes(head[16..].try_into().ok()?) as usize;
    let (entry, behind) = behind.split_at_checked(len)?;
    Some((Row { trace_id, entry }, behind))
}
