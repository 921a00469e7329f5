//! What is sealed, as one point in time saw it: partitions, their blocks, and which fragments of a
//! trace stand for the whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use longpole_proto::{TraceId, UnixNanos};

use super::block::{Block, Fragment};
use super::marks::Deleted;
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
    deleted: Arc<Deleted>,
}

/// The blocks with fragments that are not their traces' newest, or deleted.
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

    /// When its newest span was received, or it was made if that is later.
    pub(super) fn received_max(&self) -> UnixNanos {
        let received = self.zones.iter().map(|zone| zone.received_max);
        // What is pinned comes into it a second time, long after it was received.
        received.fold(self.partition.created(), UnixNanos::max)
    }
}

impl View {
    /// A view of these partitions, by number.
    pub(super) fn new(partitions: Vec<PartitionView>) -> Self {
        let mut view = Self {
            partitions: Arc::new(partitions),
            late: Arc::default(),
            superseded: Arc::default(),
            deleted: Arc::default(),
        };
        view.find_late();
        view
    }

    /// Leaves out what is deleted, and nothing else.
    pub(super) fn set_deleted(&mut self, deleted: Arc<Deleted>) {
        self.deleted = deleted;
        self.find_late();
    }

    /// What is deleted.
    pub(super) fn deleted(&self) -> Arc<Deleted> {
        Arc::clone(&self.deleted)
    }

    /// Whether what came of a trace with this sequence is deleted.
    pub(super) fn is_deleted(&self, trace_id: TraceId, seq: u64) -> bool {
        self.deleted.has(trace_id, seq)
    }

    fn find_late(&mut self) {
        let mut late = HashMap::new();
        let mut superseded = Superseded::default();
        let numbers = || self.partitions.iter().map(|view| view.partition.number());
        let oldest = numbers().next().unwrap_or(0);
        let numbers: HashSet<u32> = numbers().collect();
        for view in &*self.partitions {
            for (block, zone) in (0..).zip(&*view.zones) {
                add_late(
                    &mut late,
                    &self.deleted,
                    view.partition.number(),
                    block,
                    zone,
                );
                for row in &zone.late {
                    superseded.blocks.insert(row.before);
                    superseded.has_gaps |=
                        row.before.0 > oldest && !numbers.contains(&row.before.0);
                }
            }
        }
        let deleted = self.deleted.iter().flat_map(|(_, of)| &of.fragments);
        superseded.blocks.extend(deleted.map(|&(place, _)| place));
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
            add_late(late, &self.deleted, active.partition.number(), block, &zone);
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
        let deleted_firsts = self
            .stored_deleted()
            .filter(|(zone, trace_id, _)| zone.late(*trace_id).is_none());
        (firsts + orphans.count() as u64).saturating_sub(deleted_firsts.count() as u64)
    }

    /// How many spans there are, duplicates included.
    pub(super) fn n_spans(&self) -> u64 {
        let n_spans: u64 = self.partitions.iter().map(PartitionView::n_spans).sum();
        let n_deleted: u64 = self.stored_deleted().map(|(.., n_spans)| n_spans).sum();
        n_spans.saturating_sub(n_deleted)
    }

    /// The fragments of deleted traces that are still there: the zone of each one's block, its trace,
    /// and how many spans it has.
    fn stored_deleted(&self) -> impl Iterator<Item = (&Zone, TraceId, u64)> {
        let all = self.deleted.iter();
        let all = all.flat_map(|(trace_id, of)| of.fragments.iter().map(move |of| (trace_id, of)));
        all.filter_map(|(trace_id, &(place, n_spans))| {
            let (view, zone) = self.zone(place)?;
            // One made anew from the log was made without it.
            let is_there = self.is_deleted(trace_id, zone.seq) && view.partition.may_have(trace_id);
            is_there.then_some((zone, trace_id, n_spans))
        })
    }

    /// A block's zone, and its partition.
    fn zone(&self, (partition, block): (u32, u32)) -> Option<(&PartitionView, &Zone)> {
        let at = self
            .partitions
            .binary_search_by_key(&partition, |view| view.partition.number())
            .ok()?;
        let view = &self.partitions[at];
        Some((view, view.zones.get(block as usize)?))
    }

    /// Whether the summary in this block stands for the whole trace.
    pub(super) fn is_newest(&self, trace_id: TraceId, partition: u32, block: u32) -> bool {
        let place = (partition, block);
        let is_newest = self
            .late
            .get(&trace_id)
            .is_none_or(|late| late.newest == place);
        is_newest && !self.is_deleted_at(trace_id, place)
    }

    fn is_deleted_at(&self, trace_id: TraceId, place: (u32, u32)) -> bool {
        let zone = || self.zone(place).map_or(0, |(_, zone)| zone.seq);
        self.deleted
            .get(trace_id)
            .is_some_and(|of| zone() <= of.seq)
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
                if let Some(zone) = view.zones.get(block as usize)
                    && !self.is_deleted(trace_id, zone.seq)
                {
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
        self.open(to.trace_id(), |block, fragment, damaged| {
            let spans = block.traces(&[fragment]).map_err(|error| damaged(&error))?;
            let facts = fragment.facts;
            for received in [facts.first_received, facts.last_received] {
                to.received(UnixNanos(received));
            }
            spans.iter().try_for_each(|spans| to.push(spans))
        })
    }

    /// How many spans it has of a trace.
    ///
    /// # Errors
    /// When the block cannot be read or is damaged.
    pub(super) fn n_spans(&self, trace_id: TraceId) -> Result<u64, StorageError> {
        self.open(trace_id, |_, fragment, _| Ok(fragment.n_spans as u64))
    }

    fn open<T>(
        &self,
        trace_id: TraceId,
        read: impl FnOnce(
            &Block<'_>,
            Fragment,
            &dyn Fn(&dyn std::fmt::Display) -> StorageError,
        ) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
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
            .find(|fragment| fragment.trace_id == trace_id)
            .ok_or_else(|| damaged(&"a trace is not in it"))?;
        read(&block, fragment, &damaged)
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

fn add_late(
    late: &mut HashMap<TraceId, Late>,
    deleted: &Deleted,
    partition: u32,
    block: u32,
    zone: &Zone,
) {
    for row in &zone.late {
        if let Some(trace_id) = TraceId::new(row.trace_id)
            && !deleted.has(trace_id, zone.seq)
        {
            let new = Late {
                newest: (partition, block),
                first_partition: row.first_partition,
            };
            late.insert(trace_id, new);
        }
    }
}
