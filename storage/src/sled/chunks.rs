//! Chunks: what one export request brought for one trace.
//!
//! A chunk is `received u64 | length u32 | lz4 block` (little-endian), the block a `TracesData`
//! message of that length. It is cut into pieces, one value each, so that a leaf of sled's tree
//! (16 values and more) stays below the 128 KiB from which on sled writes blob files.

use longpole_proto::{TraceId, UnixNanos};
use sled::{Batch, Tree};

use super::db::guarded;
use crate::{StorageError, StoredTrace};

/// The largest value.
const PIECE_BYTES_MAX: usize = 4 << 10;

/// The bytes of a chunk before its block.
const HEAD_BYTES: usize = 12;

/// The largest trace that is given back whole, its spans' bytes: an export request of the largest
/// size twice over. Reading one holds it in memory, decoding it takes many times that.
pub(super) const TRACE_BYTES_MAX: u64 = 128 << 20;

/// Adds a chunk to a batch and says how many bytes it takes there.
pub(super) fn insert(
    batch: &mut Batch,
    trace_id: TraceId,
    seq: u64,
    received: UnixNanos,
    traces_data: &[u8],
) -> usize {
    let mut chunk = Vec::with_capacity(HEAD_BYTES + traces_data.len() / 2);
    chunk.extend_from_slice(&received.0.to_le_bytes());
    chunk.extend_from_slice(&lz4_flex::compress_prepend_size(traces_data));
    for (piece, bytes) in (0_u32..).zip(chunk.chunks(PIECE_BYTES_MAX)) {
        let mut key = [0; 28];
        key[..16].copy_from_slice(trace_id.as_bytes());
        key[16..24].copy_from_slice(&seq.to_be_bytes());
        key[24..].copy_from_slice(&piece.to_be_bytes());
        batch.insert(&key[..], bytes);
    }
    chunk.len()
}

/// Reads a trace's chunks up to the sequence `applied`; later ones may still be in the making.
/// `None` when there is none.
///
/// # Errors
/// When sled fails, a chunk is damaged, or the trace is larger than [`TRACE_BYTES_MAX`].
pub(super) fn read(
    tree: &Tree,
    trace_id: TraceId,
    applied: u64,
) -> Result<Option<StoredTrace>, StorageError> {
    let mut reader = Reader::new(trace_id);
    let mut pieces = tree.scan_prefix(trace_id.as_bytes());
    while let Some((key, bytes)) = guarded(|| pieces.next().transpose())? {
        let (seq, piece) = read_key(&key).ok_or_else(|| reader.damaged())?;
        if seq > applied {
            break;
        }
        reader.piece(seq, piece, &bytes)?;
    }
    reader.finish()
}

fn read_key(key: &[u8]) -> Option<(u64, u32)> {
    let seq = key.get(16..24)?.try_into().ok()?;
    let piece = key.get(24..)?.try_into().ok()?;
    Some((u64::from_be_bytes(seq), u32::from_be_bytes(piece)))
}

/// Puts pieces together to chunks and chunks to a trace.
struct Reader {
    trace_id: TraceId,
    seq: u64,
    n_pieces: u32,
    chunk: Vec<u8>,
    otlp: Vec<u8>,
    received: Option<(UnixNanos, UnixNanos)>,
}

impl Reader {
    fn new(trace_id: TraceId) -> Self {
        Self {
            trace_id,
            seq: 0,
            n_pieces: 0,
            chunk: Vec::new(),
            otlp: Vec::new(),
            received: None,
        }
    }

    fn piece(&mut self, seq: u64, piece: u32, bytes: &[u8]) -> Result<(), StorageError> {
        if piece == 0 {
            self.end_chunk()?;
            self.seq = seq;
        }
        if seq != self.seq || piece != self.n_pieces {
            return Err(self.damaged());
        }
        self.n_pieces += 1;
        self.chunk.extend_from_slice(bytes);
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), StorageError> {
        if self.n_pieces == 0 {
            return Ok(());
        }
        let (received, block) = self
            .chunk
            .split_first_chunk::<8>()
            .ok_or_else(|| self.damaged())?;
        let (block_bytes, block) =
            lz4_flex::block::uncompressed_size(block).map_err(|_| self.damaged())?;
        let n_bytes = self.otlp.len() as u64 + block_bytes as u64;
        if n_bytes > TRACE_BYTES_MAX {
            return Err(StorageError::TooLarge {
                what: "trace",
                bytes: n_bytes,
                limit_bytes: TRACE_BYTES_MAX,
            });
        }
        let at = self.otlp.len();
        self.otlp.resize(at + block_bytes, 0);
        let n_written = lz4_flex::decompress_into(block, &mut self.otlp[at..]);
        if n_written.ok() != Some(block_bytes) {
            return Err(self.damaged());
        }
        let received = UnixNanos(u64::from_le_bytes(*received));
        self.received = Some(match self.received {
            None => (received, received),
            Some((first, last)) => (first.min(received), last.max(received)),
        });
        self.chunk.clear();
        self.n_pieces = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Option<StoredTrace>, StorageError> {
        self.end_chunk()?;
        Ok(self
            .received
            .map(|(first_received, last_received)| StoredTrace {
                trace_id: self.trace_id,
                otlp: self.otlp.into(),
                first_received,
                last_received,
            }))
    }

    fn damaged(&self) -> StorageError {
        StorageError::Damaged {
            what: format!("trace {}, in sequence {}", self.trace_id, self.seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::trace_id;
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::sled::db::Db;

    fn tree(test: impl FnOnce(&Tree)) {
        let dir = TempDir::new().expect("a directory");
        test(&Db::open(dir.path()).expect("a database").chunks);
    }

    fn put(tree: &Tree, seq: u64, received: u64, data: &[u8]) {
        let mut batch = Batch::default();
        insert(&mut batch, trace_id(), seq, UnixNanos(received), data);
        tree.apply_batch(batch).expect("sled works");
    }

    fn otlp(tree: &Tree, applied: u64) -> Vec<u8> {
        read(tree, trace_id(), applied)
            .expect("sled works")
            .map(|trace| trace.otlp.to_vec())
            .unwrap_or_default()
    }

    #[test]
    fn chunks_are_joined_in_order_of_sequence() {
        tree(|tree| {
            assert!(
                read(tree, trace_id(), u64::MAX)
                    .expect("sled works")
                    .is_none()
            );
            put(tree, 300, 9, b"third");
            put(tree, 1, 8, b"first ");
            put(tree, 2, 7, b"second ");
            let trace = read(tree, trace_id(), u64::MAX)
                .expect("sled works")
                .expect("a trace");
            assert_eq!(trace.otlp, "first second third");
            assert_eq!(
                (trace.first_received, trace.last_received),
                (UnixNanos(7), UnixNanos(9))
            );
        });
    }

    #[test]
    fn what_is_not_wholly_applied_is_left_out() {
        tree(|tree| {
            put(tree, 1, 0, b"whole");
            put(tree, 2, 0, b"in the making");
            assert_eq!(otlp(tree, 1), b"whole");
        });
    }

    #[test]
    fn a_chunk_put_twice_is_one() {
        tree(|tree| {
            put(tree, 1, 0, b"once");
            put(tree, 1, 0, b"once");
            assert_eq!(otlp(tree, 1), b"once");
        });
    }

    #[test]
    fn a_missing_or_damaged_piece_is_noticed() {
        tree(|tree| {
            let data: Vec<u8> = (0..40_000_u32)
                .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
                .collect();
            put(tree, 1, 0, &data);
            assert_eq!(otlp(tree, 1), data);
            let keys: Vec<_> = tree
                .iter()
                .keys()
                .map(|key| key.expect("sled works"))
                .collect();
            assert!(keys.len() > 30);
            for key in [&keys[0], &keys[7], &keys[keys.len() - 1]] {
                let value = tree.remove(key).expect("sled works").expect("a piece");
                let result = read(tree, trace_id(), 1);
                assert!(
                    matches!(result, Err(StorageError::Damaged { .. })),
                    "{result:?}"
                );
                tree.insert(key, value).expect("sled works");
            }
        });
    }

    #[test]
    fn a_trace_that_claims_to_be_huge_is_not_read() {
        tree(|tree| {
            put(tree, 1, 0, b"small");
            let (key, value) = tree.first().expect("sled works").expect("a piece");
            let mut value = value.to_vec();
            value[8..HEAD_BYTES].fill(0xff);
            tree.insert(key, value).expect("sled works");
            assert!(matches!(
                read(tree, trace_id(), 1),
                Err(StorageError::TooLarge { .. })
            ));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_pieces_are_read_without_panic(
            pieces in prop::collection::vec((0..3_u64, 0..3_u32, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let mut reader = Reader::new(trace_id());
            let is_read = pieces.iter().try_for_each(|(seq, piece, bytes)| reader.piece(*seq, *piece, bytes));
            // Random bytes may claim to be 0 bytes long, and so be a chunk.
            if let Ok(Some(trace)) = is_read.and_then(|()| reader.finish()) {
                prop_assert_eq!(trace.otlp.len(), 0);
            }
        }
    }
}
