//! What is sealed, as one point in time saw it: partitions, their blocks, and which fragments of a
//! trace stand for the whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use longpole_proto::{TraceId, UnixNanos};

use super::block::{Block, Fragment};
use super::partition::{LateRow, Partition, Zone};
use super::received::Chunk;
use super::traces::TraceBuilder;
use crate::{StorageError, TraceVersion};

/// The partitions and blocks there are, oldest first. Cheap to clone; a clone does not change.
#[derive(Clone, Default)]
pub(super) struct View {
    partitions: Arc<Vec<PartitionView>>,
    /// By trace with a late fragment: the newest. Its summary is of all the trace's fragments, those
    /// of older ones are void.
    late: Arc<HashMap<TraceId, Late>>,
    superseded: Arc<Superseded>,
}

/// The blocks with fragments that are not their traces' newest.
#[derive(Debug, Clone, Default)]
struct Superseded {
    blocks: HashSet<(u32, u32)>,
    /// Whether a partition is gone between others, and with it what it superseded.
    has_gaps: bool,
}

/// A partition and those of its blocks that count.
#[derive(Clone)]
pub(super) struct PartitionView {
    pub(super) partition: Arc<Partition>,
    pub(super) zones: Arc<Vec<Arc<Zone>>>,
}

/// Where a trace's newest fragment is, and its first was.
#[derive(Debug, Clone, Copy)]
struct Late {
    newest: (u32, u32),
    first_partition: u32,
}

/// A fragment of a trace.
#[derive(Clone)]
pub(super) struct FragmentRef {
    pub(super) partition: Arc<Partition>,
    pub(super) block: u32,
    /// It has the trace's spans with sequences behind `after` up to `seq`.
    pub(super) after: u64,
    pub(super) seq: u64,
    /// Whether its block counts all of the trace up to with it.
    pub(super) is_counted: bool,
}

impl PartitionView {
    /// A partition with all its blocks.
    pub(super) fn new(partition: Arc<Partition>, zones: Vec<Arc<Zone>>) -> Self {
        Self {
            partition,
            zones: Arc::new(zones),
        }
    }

    /// The least sequence in it.
    pub(super) fn seq_min(&self) -> Option<u64> {
        self.zones.iter().map(|zone| zone.seq_min).min()
    }

    /// How many spans it has.
    pub(super) fn n_spans(&self) -> u64 {
        self.zones.iter().map(|zone| zone.n_spans).sum()
    }

    /// When its newest span was received.
    pub(super) fn received_max(&self) -> UnixNanos {
        let received = self.zones.iter().map(|zone| zone.received_max);
        received.max().unwrap_or(self.partition.created())
    }
}

impl View {
    /// A view of these partitions, by number.
    pub(super) fn new(partitions: Vec<PartitionView>) -> Self {
        let mut view = Self {
            partitions: Arc::new(partitions),
            late: Arc::default(),
            superseded: Arc::default(),
        };
        view.find_late();
        view
    }

    fn find_late(&mut self) {
        let mut late = HashMap::new();
        let mut superseded = Superseded::default();
        let numbers = || self.partitions.iter().map(|view| view.partition.number());
        let oldest = numbers().next().unwrap_or(0);
        let numbers: HashSet<u32> = numbers().collect();
        for view in &*self.partitions {
            for (block, zone) in (0..).zip(&*view.zones) {
                add_late(&mut late, view.partition.number(), block, zone);
                for row in &zone.late {
                    superseded.blocks.insert(row.before);
                    superseded.has_gaps |=
                        row.before.0 > oldest && !numbers.contains(&row.before.0);
                }
            }
        }
        self.late = Arc::new(late);
        self.superseded = Arc::new(superseded);
    }

    /// The partitions, oldest first.
    pub(super) fn partitions(&self) -> &[PartitionView] {
        &self.partitions
    }

    /// The one blocks are added to: the newest.
    pub(super) fn active(&self) -> Option<&PartitionView> {
        self.partitions.last()
    }

    /// Adds a partition, into which the next blocks go.
    pub(super) fn push_partition(&mut self, partition: Arc<Partition>) {
        let view = PartitionView::new(partition, Vec::new());
        Arc::make_mut(&mut self.partitions).push(view);
    }

    /// Adds a block to the active partition.
    pub(super) fn push_block(&mut self, zone: Arc<Zone>) {
        let partitions = Arc::make_mut(&mut self.partitions);
        let active = partitions
            .last_mut()
            .expect("there always is an active one");
        let block = u32::try_from(active.zones.len()).expect("far fewer than 2^32 blocks");
        if !zone.late.is_empty() {
            let late = Arc::make_mut(&mut self.late);
            add_late(late, active.partition.number(), block, &zone);
            let superseded = Arc::make_mut(&mut self.superseded);
            let before = zone.late.iter().map(|row| row.before);
            superseded.blocks.extend(before);
        }
        Arc::make_mut(&mut active.zones).push(zone);
    }

    /// Leaves a partition out.
    pub(super) fn remove_partition(&mut self, number: u32) {
        Arc::make_mut(&mut self.partitions).retain(|view| view.partition.number() != number);
        self.find_late();
    }

    /// How many traces there are.
    pub(super) fn n_traces(&self) -> u64 {
        let is_there = |number| {
            self.partitions
                .binary_search_by_key(&number, |view| view.partition.number())
                .is_ok()
        };
        let firsts: u64 = self
            .partitions
            .iter()
            .flat_map(|view| &*view.zones)
            .map(|zone| zone.n_traces - zone.late.len() as u64)
            .sum();
        let orphans = self
            .late
            .values()
            .filter(|late| !is_there(late.first_partition));
        firsts + orphans.count() as u64
    }

    /// Whether the summary in this block stands for the whole trace.
    pub(super) fn is_newest(&self, trace_id: TraceId, partition: u32, block: u32) -> bool {
        self.late
            .get(&trace_id)
            .is_none_or(|late| late.newest == (partition, block))
    }

    /// The fragment of a trace whose summary stands for the whole: partition and block.
    pub(super) fn newest(
        &self,
        trace_id: TraceId,
        fragments: &[FragmentRef],
    ) -> Option<(u32, u32)> {
        let late = self.late.get(&trace_id).map(|late| late.newest);
        late.or_else(|| fragments.last().map(FragmentRef::place))
    }

    /// Whether that is so of all summaries in a block; when it is not known, it is not.
    pub(super) fn is_all_newest(&self, partition: u32, block: u32) -> bool {
        !self.superseded.has_gaps && !self.superseded.blocks.contains(&(partition, block))
    }

    /// A trace's fragments, in order of sequence.
    ///
    /// # Errors
    /// When a partition cannot be read; one that is lost has none.
    pub(super) fn fragments(&self, trace_id: TraceId) -> Result<Vec<FragmentRef>, StorageError> {
        self.fragments_since(trace_id, 0)
    }

    /// Those in partitions that have anything of the sequence `seq` or later.
    ///
    /// # Errors
    /// As [`Self::fragments`].
    pub(super) fn fragments_since(
        &self,
        trace_id: TraceId,
        seq: u64,
    ) -> Result<Vec<FragmentRef>, StorageError> {
        let mut fragments = Vec::new();
        for view in &*self.partitions {
            // Later blocks have later sequences, save after a partition was made anew.
            if !view.zones.iter().rev().any(|zone| zone.seq >= seq) || view.partition.is_lost() {
                continue;
            }
            let blocks = match view.partition.blocks_of(trace_id) {
                Err(_) if view.partition.is_lost() => continue,
                result => result?,
            };
            for block in blocks {
                // One being written is not there yet.
                if let Some(zone) = view.zones.get(block as usize) {
                    let late = zone.late(trace_id);
                    fragments.push(FragmentRef {
                        partition: Arc::clone(&view.partition),
                        block,
                        after: late.map_or(0, |row| row.after),
                        seq: zone.seq,
                        is_counted: late.is_none_or(|row| row.is_counted),
                    });
                }
            }
        }
        fragments.sort_by_key(|fragment| fragment.seq);
        Ok(fragments)
    }
}

impl FragmentRef {
    /// Its partition and block.
    pub(super) fn place(&self) -> (u32, u32) {
        (self.partition.number(), self.block)
    }

    /// Appends its spans to a trace.
    ///
    /// # Errors
    /// When the block cannot be read, is damaged, or makes the trace too large.
    pub(super) fn read(&self, to: &mut TraceBuilder) -> Result<(), StorageError> {
        let bytes = self.partition.block(self.block)?;
        let damaged = |what: &dyn std::fmt::Display| StorageError::Damaged {
            what: format!(
                "block {} in {}: {what}",
                self.block,
                self.partition.dir().display()
            ),
        };
        let block = Block::open(&bytes).map_err(|error| damaged(&error))?;
        let fragment: Fragment = *block
            .fragments()
            .iter()
            .find(|fragment| fragment.trace_id == to.trace_id())
            .ok_or_else(|| damaged(&"a trace is not in it"))?;
        let spans = block.traces(&[fragment]).map_err(|error| damaged(&error))?;
        let facts = fragment.facts;
        for received in [facts.first_received, facts.last_received] {
            to.received(UnixNanos(received));
        }
        spans.iter().try_for_each(|spans| to.push(spans))
    }
}

/// Whether one of these fragments has the spans of its trace that came with `seq`.
pub(super) fn covers(fragments: &[FragmentRef], seq: u64) -> bool {
    fragments
        .iter()
        .any(|fragment| fragment.after < seq && seq <= fragment.seq)
}

/// What a trace is that consists, in this opening of its store, of these fragments and, in memory, of
/// these chunks; `None` when there are none.
pub(super) fn version(
    opening: u64,
    fragments: &[FragmentRef],
    chunks: &[Chunk],
) -> Option<TraceVersion> {
    if fragments.is_empty() && chunks.is_empty() {
        return None;
    }
    // A block is what its partition and number say for as long as the store is open: neither
    // changes, and no number is given twice. A store that failed and was opened anew may give them to
    // others.
    let blocks = fragments
        .iter()
        .map(|fragment| u64::from(fragment.partition.number()) << 32 | u64::from(fragment.block));
    let seqs = chunks.iter().map(Chunk::seq);
    // How many there are of the one tells where the other begins.
    let head = [opening, fragments.len() as u64];
    Some(TraceVersion::new(
        head.into_iter().chain(blocks).chain(seqs),
    ))
}

/// The row a new fragment gets whose spans begin at `seq_min`, when there are earlier ones.
pub(super) fn late_row(
    view: &View,
    trace_id: TraceId,
    fragments: &[FragmentRef],
    seq_min: u64,
) -> Option<LateRow> {
    let first = fragments.first()?;
    // Of fragments that were late themselves the first partition is known.
    let late = view.late.get(&trace_id);
    let first_partition = late.map_or(first.partition.number(), |late| late.first_partition);
    let before = fragments.iter().map(|fragment| fragment.seq);
    Some(LateRow {
        trace_id: trace_id.to_bytes(),
        first_partition,
        after: before.filter(|&seq| seq < seq_min).max().unwrap_or(0),
        is_counted: false,
        before: view.newest(trace_id, fragments)?,
    })
}

fn add_late(late: &mut HashMap<TraceId, Late>, partition: u32, block: u32, zone: &Zone) {
    for row in &zone.late {
        if let Some(trace_id) = TraceId::new(row.trace_id) {
            let new = Late {
                newest: (partition, block),
                first_partition: row.first_partition,
            };
            late.insert(trace_id, new);
        }
    }
}
