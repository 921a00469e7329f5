//! Adds up the digests of all partitions: of those that are closed one each, of others one a block.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longpole_analysis::aggregate::{minute_of, start_of};

use super::core::Core;
use super::digest::{Digest, Key, Kind, Limits, NO_MINUTE, Selection, Stored};
use super::entry::cut;
use super::partition::{Partition, Zone};
use super::view::{PartitionView, View};
use crate::{
    Aggregates, AggregatesRequest, Edge, EdgeNumbers, Operation, OperationNumbers, SlowestHop,
    SlowestHopNumbers, StorageError,
};

/// How much an answer may hold.
const ANSWER: Limits = Limits {
    cells: 100_000,
    minutes: 20_000,
    name_bytes: 16 << 20,
};

/// How many buckets its sketches may have while it is made: 32 MiB of them.
const BUCKETS_MAX: usize = 4 << 20;

/// An answer being made.
struct Adding<'a> {
    core: &'a Core,
    request: &'a AggregatesRequest,
    view: &'a View,
    sum: Digest,
    /// The partitions all of whose numbers in the range were added.
    whole: BTreeSet<u32>,
    /// When it must end, by the store's clock.
    end: Duration,
    is_complete: bool,
    is_stopped: bool,
}

impl Core {
    /// The numbers of the traces that were sealed.
    ///
    /// # Errors
    /// When a partition cannot be read, or it was cancelled.
    pub(super) fn aggregates(
        &self,
        request: &AggregatesRequest,
    ) -> Result<Aggregates, StorageError> {
        let view = self.state.lock().view.clone();
        let lost = self.n_lost_partitions.load(Ordering::Relaxed);
        let now = self.settings.clock.elapsed();
        let mut adding = Adding {
            core: self,
            request,
            view: &view,
            sum: Digest::new(ANSWER),
            whole: BTreeSet::new(),
            end: now.saturating_add(self.settings.search_time_max),
            is_complete: lost == 0,
            is_stopped: false,
        };
        // Newest first: that is what is looked at when not all can be.
        for of in view.partitions().iter().rev() {
            if !adding.add_partition(of)? {
                break;
            }
        }
        Ok(adding.finish())
    }

    /// Notes that a file with a sum of a partition's blocks is damaged, unless that is known.
    pub(super) fn note_damaged_sum(
        &self,
        partition: &Partition,
        path: &Path,
        error: &StorageError,
    ) {
        if !partition.is_lost() && partition.notes_damaged_sum() {
            tracing::warn!(%error, "the sum of a partition is damaged; its blocks are read");
            self.n_damaged.fetch_add(1, Ordering::Relaxed);
            let reason = "the sum of all blocks is damaged; each of them is read";
            let now = self.settings.clock.now();
            self.history.damaged(now, path, reason);
        }
    }
}

impl Adding<'_> {
    /// Adds a partition; says whether there is time and room for more.
    fn add_partition(&mut self, of: &PartitionView) -> Result<bool, StorageError> {
        let PartitionView { partition, zones } = of;
        if partition.is_lost() {
            self.is_complete = false;
            return Ok(true);
        }
        if !zones.iter().any(|zone| self.overlaps(zone)) {
            self.whole.insert(partition.number());
            return Ok(true);
        }
        if self.must_stop()? {
            return Ok(false);
        }
        let is_added = match self.read_whole(partition)? {
            Some(record) => self.add(partition, Ok(record))?,
            None => self.add_blocks(partition, zones)?,
        };
        if is_added {
            self.whole.insert(partition.number());
        }
        Ok(!self.is_stopped)
    }

    /// The digest of all blocks of a partition, when it has an intact one.
    fn read_whole(&self, partition: &Partition) -> Result<Option<Vec<u8>>, StorageError> {
        match partition.digest(&*self.core.files) {
            Err(error @ StorageError::Damaged { .. }) => {
                let path = partition.digest_path();
                self.core.note_damaged_sum(partition, &path, &error);
                Ok(None)
            }
            result => result,
        }
    }

    /// Adds a partition block by block; says whether all that is asked for was added.
    fn add_blocks(
        &mut self,
        partition: &Partition,
        zones: &[Arc<Zone>],
    ) -> Result<bool, StorageError> {
        let mut is_whole = true;
        for (block, zone) in (0..).zip(zones) {
            if !self.overlaps(zone) {
                continue;
            }
            if self.must_stop()? {
                return Ok(false);
            }
            is_whole &= self.add(partition, partition.block_digest(block))?;
        }
        Ok(is_whole)
    }

    /// Adds a digest; says whether it could be read.
    fn add(
        &mut self,
        partition: &Partition,
        record: Result<Vec<u8>, StorageError>,
    ) -> Result<bool, StorageError> {
        let stored = record
            .as_ref()
            .map_err(|_| ())
            .and_then(|record| Stored::read(record).map_err(|_| ()));
        if let Ok(stored) = stored {
            let request = self.request;
            let minute = |minute| minute_in(request, minute);
            self.sum.add(
                &stored,
                &Selection {
                    minute: &minute,
                    service: request.service.as_deref().map(cut),
                },
            );
            return Ok(true);
        }
        self.is_complete = false;
        match record {
            Ok(_) | Err(StorageError::Damaged { .. }) => Ok(false),
            Err(_) if partition.is_broken() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a block's digest may have anything that is asked for.
    fn overlaps(&self, zone: &Zone) -> bool {
        let from = self.request.from.map_or(0, minute_of);
        let to = self.request.to.map_or(NO_MINUTE, minute_of);
        zone.minutes.start <= to && from < zone.minutes.end
    }

    /// Whether the limits of the work are reached.
    fn must_stop(&mut self) -> Result<bool, StorageError> {
        if self.request.cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        self.is_stopped = self.is_stopped
            || self.sum.n_buckets() > BUCKETS_MAX
            || self.core.settings.clock.elapsed() > self.end;
        Ok(self.is_stopped)
    }

    fn finish(mut self) -> Aggregates {
        let oldest = self.view.partitions().first();
        let oldest = oldest.map(|of| of.partition.number());
        for partition in self.sum.corrected() {
            if self.whole.contains(&partition) {
                self.sum.settle(partition);
            } else if oldest.is_some_and(|oldest| oldest < partition) {
                // What it took out of one before it, nobody takes out now.
                self.is_complete = false;
            }
        }
        let has_all = self.is_complete && !self.is_stopped && !self.sum.is_out_of_minutes();
        answer(&self.sum, has_all)
    }
}

/// The minute that stands for a minute in the answer; `None` when it is not asked for.
fn minute_in(request: &AggregatesRequest, minute: u32) -> Option<u32> {
    let is_asked_for = request.from.is_none_or(|from| minute_of(from) <= minute)
        && request.to.is_none_or(|to| start_of(minute) < to);
    let step = request.step_minutes;
    is_asked_for.then(|| minute.checked_div(step).map_or(0, |steps| steps * step))
}

fn answer(sum: &Digest, complete: bool) -> Aggregates {
    let operation = |service, name| Operation {
        service: sum.name(service).to_owned(),
        name: sum.name(name).to_owned(),
    };
    let mut answer = Aggregates {
        complete,
        ..Aggregates::default()
    };
    for (key, cell) in placed(sum, Kind::Operation) {
        answer.operations.push(OperationNumbers {
            start: start_of(key.minute),
            operation: (!key.is_other()).then(|| operation(key.names[0], key.names[1])),
            n_requests: cell.n,
            n_errors: cell.n_errors,
            durations: cell.durations.clone(),
        });
    }
    for (kind, is_peer) in [(Kind::Edge, false), (Kind::PeerEdge, true)] {
        for (key, cell) in placed(sum, kind) {
            answer.edges.push(EdgeNumbers {
                start: start_of(key.minute),
                edge: (!key.is_other()).then(|| Edge {
                    caller: sum.name(key.names[0]).to_owned(),
                    callee: sum.name(key.names[1]).to_owned(),
                    is_peer,
                }),
                n_errors: cell.n_errors,
                durations: cell.durations.clone(),
            });
        }
    }
    for (key, cell) in placed(sum, Kind::SlowestHop) {
        let [service, name, hop_service, hop_name] = key.names;
        answer.slowest_hops.push(SlowestHopNumbers {
            start: start_of(key.minute),
            hop: (!key.is_other()).then(|| SlowestHop {
                request: operation(service, name),
                hop: operation(hop_service, hop_name),
            }),
            n_requests: cell.n,
        });
    }
    answer.operations.sort_by(|a, b| {
        let key = |of: &OperationNumbers| (of.start, Reverse(of.operation.is_some()));
        (key(a), &a.operation).cmp(&(key(b), &b.operation))
    });
    answer.edges.sort_by(|a, b| {
        let key = |of: &EdgeNumbers| (of.start, Reverse(of.edge.is_some()));
        (key(a), &a.edge).cmp(&(key(b), &b.edge))
    });
    answer.slowest_hops.sort_by(|a, b| {
        let key = |of: &SlowestHopNumbers| (of.start, Reverse(of.hop.is_some()));
        (key(a), &a.hop).cmp(&(key(b), &b.hop))
    });
    let uncounted = sum.cells(Kind::Uncounted).map(|(_, cell)| cell.n);
    let unplaced = sum
        .cells(Kind::Operation)
        .filter(|(key, _)| key.minute == NO_MINUTE);
    answer.n_uncounted_spans =
        uncounted.sum::<u64>() + unplaced.map(|(_, cell)| cell.durations.len()).sum::<u64>();
    answer
}

/// The cells that are at a minute.
fn placed(sum: &Digest, kind: Kind) -> impl Iterator<Item = (Key, &super::digest::Cell)> {
    sum.cells(kind).filter(|(key, _)| key.minute != NO_MINUTE)
}
