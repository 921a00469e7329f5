//! Which blocks have a trace: a map in memory while a partition is filled, sorted runs in its
//! database and a filter in memory once it is closed.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use longpole_proto::TraceId;
use serde::{Deserialize, Serialize};

use super::db::{Db, guarded};
use crate::StorageError;
use crate::sled::checked::{with_crc, without_crc};

/// How many traces a run has.
const RUN_LEN: usize = 256;

/// The bytes of a run's entry: a trace ID and a block.
const ENTRY_BYTES: usize = 20;

/// Bits of the filter for each trace: one in fifty thousand other traces passes it. Each new trace is
/// asked for in every closed partition, of which there may be hundreds, and one that passes costs
/// the opening of a database.
const BITS_PER_TRACE: usize = 24;

/// The least bits of a filter. Probes are a step apart: in a smaller one, too many traces begin at the
/// same bit with the same step.
const BITS_MIN: usize = 8 << 10;

/// How many bits are set for a trace.
const N_PROBES: u64 = 17;

/// The blocks of each trace.
#[derive(Debug, Default)]
pub(super) struct IdMap {
    /// The newest block.
    newest: HashMap<TraceId, u32, RandomState>,
    /// Those before, for the few traces that have several.
    earlier: HashMap<TraceId, Vec<u32>, RandomState>,
}

impl IdMap {
    /// Adds a trace's newest block.
    pub(super) fn insert(&mut self, trace_id: TraceId, block: u32) {
        if let Some(before) = self.newest.insert(trace_id, block) {
            self.earlier.entry(trace_id).or_default().push(before);
        }
    }

    /// A trace's blocks, oldest first.
    pub(super) fn blocks(&self, trace_id: TraceId) -> Vec<u32> {
        let Some(&newest) = self.newest.get(&trace_id) else {
            return Vec::new();
        };
        let mut blocks = self.earlier.get(&trace_id).cloned().unwrap_or_default();
        blocks.push(newest);
        blocks
    }

    fn sorted(&self) -> Vec<(TraceId, u32)> {
        let earlier = self
            .earlier
            .iter()
            .flat_map(|(&id, blocks)| blocks.iter().map(move |&block| (id, block)));
        let mut all: Vec<_> = self
            .newest
            .iter()
            .map(|(&id, &block)| (id, block))
            .chain(earlier)
            .collect();
        all.sort_unstable();
        all
    }

    /// The filter that lets its traces pass.
    pub(super) fn filter(&self, salt: u64) -> Filter {
        let n_bits = (self.newest.len() * BITS_PER_TRACE).max(BITS_MIN);
        let mut filter = Filter {
            salt,
            bits: vec![0; n_bits.div_ceil(8)],
        };
        for &trace_id in self.newest.keys() {
            for bit in filter.probes(trace_id) {
                filter.bits[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }

    /// Writes the runs, in place of any that an earlier attempt left.
    ///
    /// # Errors
    /// When sled fails.
    pub(super) fn write(&self, db: &Db) -> Result<(), StorageError> {
        guarded(|| db.runs.clear())?;
        let entries = self.sorted();
        // The keys first: see `pieces`.
        for run in entries.chunks(RUN_LEN) {
            guarded(|| db.runs.insert(run_key(&run[0]), &[]))?;
        }
        for run in entries.chunks(RUN_LEN) {
            let value = with_crc(run.iter().flat_map(run_key));
            guarded(|| db.runs.insert(run_key(&run[0]), value))?;
        }
        Ok(())
    }
}

fn run_key((trace_id, block): &(TraceId, u32)) -> [u8; ENTRY_BYTES] {
    let mut key = [0; ENTRY_BYTES];
    key[..16].copy_from_slice(trace_id.as_bytes());
    key[16..].copy_from_slice(&block.to_be_bytes());
    key
}

/// Reads a trace's blocks from the runs, oldest first.
///
/// # Errors
/// When sled fails or a run is damaged.
pub(super) fn read_runs(db: &Db, trace_id: TraceId) -> Result<Vec<u32>, StorageError> {
    let mut first = [0; ENTRY_BYTES];
    first[..16].copy_from_slice(trace_id.as_bytes());
    let mut blocks = Vec::new();
    // The run it may begin in the middle of, then those that begin with it.
    let before = guarded(|| db.runs.range(..first).next_back().transpose())?;
    if let Some((_, run)) = before {
        find(&run, trace_id, &mut blocks)?;
    }
    let mut behind = db.runs.range(first..);
    while let Some((key, run)) = guarded(|| behind.next().transpose())? {
        if !key.starts_with(trace_id.as_bytes()) {
            break;
        }
        find(&run, trace_id, &mut blocks)?;
    }
    Ok(blocks)
}

/// How many entries all runs have.
///
/// # Errors
/// When sled fails or a run is damaged.
pub(super) fn count(db: &Db) -> Result<u64, StorageError> {
    let mut n_entries = 0;
    let mut runs = db.runs.iter();
    while let Some((_, run)) = guarded(|| runs.next().transpose())? {
        n_entries += checked(&run)?.count() as u64;
    }
    Ok(n_entries)
}

fn checked(run: &[u8]) -> Result<impl Iterator<Item = (&[u8], u32)>, StorageError> {
    let entries = without_crc(run).ok_or_else(|| StorageError::Damaged {
        what: "a run of trace IDs".to_owned(),
    })?;
    Ok(entries.chunks_exact(ENTRY_BYTES).map(|entry| {
        let (trace_id, block) = entry.split_at(16);
        let block = block
            .try_into()
            .expect("an entry has 4 bytes behind its ID");
        (trace_id, u32::from_be_bytes(block))
    }))
}

fn find(run: &[u8], trace_id: TraceId, blocks: &mut Vec<u32>) -> Result<(), StorageError> {
    blocks.extend(
        checked(run)?
            .filter(|(id, _)| *id == trace_id.as_bytes())
            .map(|(_, block)| block),
    );
    Ok(())
}

/// Says of a trace that it is not there, or that it may be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Filter {
    /// Keeps senders from choosing IDs that all pass.
    salt: u64,
    bits: Vec<u8>,
}

impl Filter {
    /// Whether a trace may be there.
    pub(super) fn passes(&self, trace_id: TraceId) -> bool {
        self.probes(trace_id).all(|bit| {
            self.bits
                .get(bit / 8)
                .is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
        })
    }

    fn probes(&self, trace_id: TraceId) -> impl Iterator<Item = usize> + use<> {
        let (high, low) = trace_id.as_bytes().split_at(8);
        let half = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("half of 16 bytes"));
        let first = mix(half(high) ^ self.salt);
        let second = mix(half(low) ^ first) | 1;
        let n_bits = (self.bits.len() * 8).max(1) as u64;
        (0..N_PROBES).map(move |probe| {
            let bit = first.wrapping_add(probe.wrapping_mul(second)) % n_bits;
            usize::try_from(bit).expect("a bit of a filter in memory")
        })
    }
}

/// Spreads a number over all 64 bits (the finish of `SplitMix64`).
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    fn id(n: u16) -> TraceId {
        TraceId::new(
            u128::from(n)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c0c)
                .to_be_bytes(),
        )
        .expect("numbers start at 1")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn runs_and_filter_know_every_trace(
            blocks in prop::collection::vec(prop::collection::btree_set(1..900_u16, 1..300), 1..12),
        ) {
            let dir = TempDir::new().expect("a directory");
            let db = Db::open(dir.path()).expect("a database");
            let mut map = IdMap::default();
            for (block, ids) in (0..).zip(&blocks) {
                for &n in ids {
                    map.insert(id(n), block);
                }
            }
            // An attempt that was interrupted left others.
            map.write(&db).expect("sled works");
            map.write(&db).expect("sled works");
            let filter = map.filter(7);
            prop_assert_eq!(
                count(&db).expect("sled works"),
                blocks.iter().map(|ids| ids.len() as u64).sum::<u64>()
            );
            let mut n_wrong = 0;
            for n in 1..1_000 {
                let expected: Vec<u32> = (0..)
                    .zip(&blocks)
                    .filter(|(_, ids)| ids.contains(&n))
                    .map(|(block, _)| block)
                    .collect();
                prop_assert_eq!(&map.blocks(id(n)), &expected);
                prop_assert_eq!(&read_runs(&db, id(n)).expect("sled works"), &expected);
                prop_assert!(expected.is_empty() || filter.passes(id(n)));
                n_wrong += usize::from(expected.is_empty() && filter.passes(id(n)));
            }
            prop_assert!(n_wrong < 3, "{} wrong", n_wrong);
        }
    }

    #[test]
    fn hardly_any_other_trace_passes_the_filter() {
        for n_traces in [1, 10, 300, 1_000, 9_999] {
            let mut map = IdMap::default();
            for n in 1..=n_traces {
                map.insert(id(n), 0);
            }
            let filter = map.filter(3);
            let n_wrong = (10_000..60_000).filter(|&n| filter.passes(id(n))).count();
            assert!(n_wrong < 10, "{n_wrong} of 50,000 beside {n_traces}");
        }
    }
}
