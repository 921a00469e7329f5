//! The entries of traces in memory, made when somebody asks and kept until more spans arrive.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use longpole_analysis::TraceSummary;
use longpole_proto::{Trace, TraceId};

use super::core::{Core, read_fragments};
use super::entry::{self, cut};
use super::live::LiveTrace;
use super::received::Chunk;
use super::view::View;
use crate::{Operation, StorageError};

/// How many entries of sealed traces that were written without one are kept.
const SEALED_MAX: usize = 256;

/// Entries that were made.
#[derive(Default)]
pub(super) struct Entries {
    live: HashMap<TraceId, (Version, Arc<MemoryEntry>)>,
    /// By trace, partition and block.
    sealed: HashMap<(TraceId, u32, u32), Arc<MemoryEntry>>,
}

/// Which chunks a trace had: how many, the first's sequence and the last's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Version(usize, u64, u64);

impl Version {
    fn add(&mut self, trace: &LiveTrace) {
        let chunks = &trace.chunks;
        if self.0 == 0 {
            self.1 = chunks[0].seq();
        }
        self.0 += chunks.len();
        self.2 = chunks.last().map_or(0, Chunk::seq);
    }
}

/// A trace's entry as memory keeps it.
#[derive(Debug)]
pub(super) struct MemoryEntry {
    /// Empty when the trace cannot be read.
    pub(super) entry: Vec<u8>,
    operations: BTreeSet<Operation>,
    /// Where the newest of its fragments is that are sealed.
    sealed: Option<(u32, u32)>,
}

/// A moment, with an entry for every trace in memory.
pub(super) struct Snapshot {
    pub(super) view: View,
    pub(super) live: HashMap<TraceId, Arc<MemoryEntry>>,
    /// The blocks with the newest fragment of a trace in memory.
    superseded: HashSet<(u32, u32)>,
}

impl Snapshot {
    /// Whether every summary in a block stands for its trace.
    pub(super) fn is_all_newest(&self, partition: u32, block: u32) -> bool {
        self.view.is_all_newest(partition, block) && !self.superseded.contains(&(partition, block))
    }
}

impl MemoryEntry {
    fn of(trace: &Trace, sealed: Option<(u32, u32)>) -> Self {
        let operations = trace.spans().iter().enumerate().map(|(span_idx, span)| {
            let (service, name) = (cut(trace.service(span_idx)), cut(&span.name));
            Operation {
                service: service.to_owned(),
                name: name.to_owned(),
            }
        });
        Self {
            entry: entry::encode(trace, TraceSummary::of(trace)).entry,
            operations: operations.collect(),
            sealed,
        }
    }

    fn unreadable(trace_id: TraceId, sealed: Option<(u32, u32)>, error: &StorageError) -> Self {
        tracing::warn!(%error, %trace_id, "a trace cannot be summarised");
        Self {
            entry: Vec::new(),
            operations: BTreeSet::new(),
            sealed,
        }
    }
}

impl Core {
    /// The present moment.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let mut entries = self.entries.lock();
        let (versions, outdated, view) = {
            let state = self.state.lock();
            let mut versions: HashMap<TraceId, Version> = HashMap::new();
            for trace in state.in_memory() {
                versions.entry(trace.trace_id).or_default().add(trace);
            }
            let outdated: Vec<(TraceId, Vec<Chunk>)> = versions
                .iter()
                .filter(|(trace_id, version)| {
                    entries
                        .live
                        .get(*trace_id)
                        .is_none_or(|(of, _)| of != *version)
                })
                .map(|(&trace_id, _)| (trace_id, state.chunks(trace_id)))
                .collect();
            (versions, outdated, state.view.clone())
        };
        entries
            .live
            .retain(|trace_id, _| versions.contains_key(trace_id));
        for (trace_id, chunks) in outdated {
            let entry = make(trace_id, &chunks, &view)?;
            let entry = (versions[&trace_id], Arc::new(entry));
            entries.live.insert(trace_id, entry);
        }
        let live = entries
            .live
            .iter()
            .map(|(&trace_id, (_, entry))| (trace_id, Arc::clone(entry)))
            .collect();
        let superseded = entries.live.values().filter_map(|(_, entry)| entry.sealed);
        Ok(Snapshot {
            view,
            live,
            superseded: superseded.collect(),
        })
    }

    /// The entry of a trace whose newest block was written without one.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn missing_entry(
        &self,
        trace_id: TraceId,
        partition: u32,
        block: u32,
        view: &View,
    ) -> Result<Arc<MemoryEntry>, StorageError> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.sealed.get(&(trace_id, partition, block)) {
            return Ok(Arc::clone(entry));
        }
        let entry = Arc::new(make(trace_id, &[], view)?);
        if entries.sealed.len() >= SEALED_MAX {
            entries.sealed.clear();
        }
        entries
            .sealed
            .insert((trace_id, partition, block), Arc::clone(&entry));
        Ok(entry)
    }

    /// All operations in order, at most `limit`, of a service or of all.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        let snapshot = self.snapshot()?;
        let mut all: BTreeSet<Operation> = BTreeSet::new();
        for entry in snapshot.live.values() {
            let is_wanted =
                |of: &&Operation| service.is_none_or(|service| of.service == cut(service));
            all.extend(entry.operations.iter().filter(is_wanted).cloned());
        }
        for view in snapshot.view.partitions() {
            match view.partition.operations(service, limit) {
                Err(_) if view.partition.is_broken() => {}
                listed => all.extend(listed?),
            }
        }
        Ok(all.into_iter().take(limit).collect())
    }

    /// All services in order, at most `limit`.
    ///
    /// # Errors
    /// When a partition cannot be read.
    pub(super) fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        let snapshot = self.snapshot()?;
        let mut all: BTreeSet<String> = BTreeSet::new();
        for entry in snapshot.live.values() {
            for operation in &entry.operations {
                if !all.contains(&operation.service) {
                    all.insert(operation.service.clone());
                }
            }
        }
        for view in snapshot.view.partitions() {
            match view.partition.services(limit) {
                Err(_) if view.partition.is_broken() => {}
                listed => all.extend(listed?),
            }
        }
        Ok(all.into_iter().take(limit).collect())
    }
}

fn make(trace_id: TraceId, chunks: &[Chunk], view: &View) -> Result<MemoryEntry, StorageError> {
    let fragments = view.fragments(trace_id)?;
    let sealed = view.newest(trace_id, &fragments);
    let trace = read_fragments(trace_id, &fragments, chunks).and_then(|trace| trace.outline());
    match trace {
        Ok(trace) => Ok(MemoryEntry::of(&trace, sealed)),
        Err(error @ (StorageError::Damaged { .. } | StorageError::TooLarge { .. })) => {
            Ok(MemoryEntry::unreadable(trace_id, sealed, &error))
        }
        Err(error) => Err(error),
    }
}
