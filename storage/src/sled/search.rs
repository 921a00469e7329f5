//! Finds requests: over the traces in memory and the blocks, in an order that lets most blocks be
//! left out by their zones once a page is full.

use std::collections::BinaryHeap;
use std::sync::Arc;

use longpole_proto::TraceId;

use super::core::{Core, read_trace};
use super::cursor::{self, Position};
use super::entries::Snapshot;
use super::entry::{self, Head, Names};
use super::partition::{Numbers, Partition, Zone};
use crate::{Order, SearchRequest, SearchResult, StorageError};

/// The most requests one search gives.
pub(super) const LIMIT_MAX: usize = 1_000;

/// A request that matches; the greatest is the one that comes last.
struct Candidate {
    position: Position,
    entry: Vec<u8>,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}

/// A search under way.
struct Search<'a> {
    core: &'a Core,
    request: &'a SearchRequest,
    names: Option<Names<'a>>,
    after: Option<Position>,
    limit: usize,
    snapshot: &'a Snapshot,
    page: BinaryHeap<Candidate>,
    matched: u64,
    is_last_page: bool,
    is_complete: bool,
    /// Whether a block was left out that may have matches.
    is_cut_short: bool,
}

/// A block to look into.
struct BlockRef<'a> {
    partition: &'a Arc<Partition>,
    block: u32,
    zone: &'a Zone,
}

impl Core {
    /// Searches everything taken in so far.
    ///
    /// # Errors
    /// When a partition cannot be read or the cursor is none of a search in this order.
    pub(super) fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        let after =
            match &request.after {
                None => None,
                Some(text) => Some(cursor::decode(text, request.order).ok_or_else(|| {
                    StorageError::Cursor {
                        cursor: text.clone(),
                    }
                })?),
            };
        let snapshot = self.snapshot()?;
        let limit = request.limit.clamp(1, LIMIT_MAX);
        let lost = self
            .n_lost_partitions
            .load(std::sync::atomic::Ordering::Relaxed);
        let mut search = Search {
            core: self,
            request,
            names: Names::new(request.service.as_deref(), request.operation.as_deref()),
            after,
            limit,
            snapshot: &snapshot,
            page: BinaryHeap::with_capacity(limit + 1),
            matched: 0,
            is_last_page: true,
            is_complete: lost == 0,
            is_cut_short: false,
        };
        for (&trace_id, entry) in &snapshot.live {
            search.look_at(trace_id, &entry.entry)?;
        }
        search.look_into_blocks()?;
        search.finish()
    }
}

impl Search<'_> {
    fn look_into_blocks(&mut self) -> Result<(), StorageError> {
        let snapshot = self.snapshot;
        let mut blocks: Vec<BlockRef<'_>> = Vec::new();
        for view in snapshot.view.partitions() {
            for (block, zone) in (0..).zip(&*view.zones) {
                if zone.is_open || may_match(zone, self.request) {
                    blocks.push(BlockRef {
                        partition: &view.partition,
                        block,
                        zone,
                    });
                }
            }
        }
        let greatest = |zone: &Zone| {
            if zone.is_open {
                u64::MAX
            } else {
                key_of(&zone.greatest, self.request.order)
            }
        };
        blocks.sort_by_key(|of| {
            let place = (of.partition.number(), of.block);
            std::cmp::Reverse((greatest(of.zone), place))
        });
        for of in &blocks {
            if !self.request.count && self.is_full_above(greatest(of.zone)) {
                self.is_cut_short = true;
                self.is_last_page = false;
                break;
            }
            self.look_into(of)?;
        }
        Ok(())
    }

    /// Whether the page is full of requests that come before all whose number is `greatest`.
    fn is_full_above(&self, greatest: u64) -> bool {
        // One more than the page has says that there is a next one.
        !self.is_last_page
            && self
                .page
                .peek()
                .is_some_and(|last| last.position.key() > greatest)
    }

    fn look_into(&mut self, of: &BlockRef<'_>) -> Result<(), StorageError> {
        let number = of.partition.number();
        let rows = match of.partition.rows(of.block) {
            Ok(rows) => rows,
            Err(StorageError::Damaged { .. }) => {
                self.is_complete = false;
                return Ok(());
            }
            Err(_) if of.partition.is_broken() => {
                self.is_complete = false;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for row in rows.iter() {
            let trace_id = row.trace_id;
            // What is in memory has a newer entry.
            if self.snapshot.live.contains_key(&trace_id) {
                continue;
            }
            let view = &self.snapshot.view;
            if !view.is_newest(trace_id, number, of.block) {
                continue;
            }
            if row.entry.is_empty() {
                let entry = self.core.missing_entry(trace_id, number, of.block, view)?;
                self.look_at(trace_id, &entry.entry)?;
            } else {
                self.look_at(trace_id, row.entry)?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, trace_id: TraceId, entry: &[u8]) -> Result<(), StorageError> {
        let Ok((head, behind_head)) = entry::head(entry) else {
            self.is_complete = false;
            return Ok(());
        };
        if !is_in_range(&head, self.request) {
            return Ok(());
        }
        if let Some(names) = &self.names {
            match self.has_names(trace_id, behind_head, names) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(StorageError::Damaged { .. } | StorageError::TooLarge { .. }) => {
                    self.is_complete = false;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.matched += 1;
        let position = Position::new(key_of(&head.numbers(), self.request.order), trace_id);
        if self.after.is_some_and(|after| position <= after) {
            return Ok(());
        }
        let is_full = self.page.len() == self.limit;
        if is_full
            && self
                .page
                .peek()
                .is_some_and(|last| last.position < position)
        {
            self.is_last_page = false;
            return Ok(());
        }
        self.page.push(Candidate {
            position,
            entry: entry.to_vec(),
        });
        if is_full {
            self.page.pop();
            self.is_last_page = false;
        }
        Ok(())
    }

    fn has_names(
        &self,
        trace_id: TraceId,
        behind_head: &[u8],
        names: &Names<'_>,
    ) -> Result<bool, StorageError> {
        if let Some(has) = entry::take_labels(behind_head)?.0.has(names) {
            return Ok(has);
        }
        let (chunks, view) = {
            let state = self.core.state.lock();
            (state.chunks(trace_id), state.view.clone())
        };
        let trace = read_trace(trace_id, &chunks, &view)?.outline()?;
        Ok(names.is_in(&trace))
    }

    fn finish(self) -> Result<SearchResult, StorageError> {
        let order = self.request.order;
        let page = self.page.into_sorted_vec();
        let last = page.last().map(|candidate| candidate.position);
        Ok(SearchResult {
            requests: page
                .iter()
                .map(|candidate| entry::summary(&candidate.entry))
                .collect::<Result<_, _>>()?,
            matched: (!self.is_cut_short).then_some(self.matched),
            complete: self.is_complete,
            next: last
                .filter(|_| !self.is_last_page)
                .map(|last| cursor::encode(last, order)),
        })
    }
}

fn key_of(numbers: &Numbers, order: Order) -> u64 {
    match order {
        Order::Slowest => numbers.duration_nanos,
        Order::Newest => numbers.start,
        Order::Spans => numbers.n_spans,
        Order::Errors => numbers.n_errors,
    }
}

fn may_match(zone: &Zone, request: &SearchRequest) -> bool {
    let (least, greatest) = (&zone.least, &zone.greatest);
    request
        .min_nanos
        .is_none_or(|min| greatest.duration_nanos >= min)
        && request
            .max_nanos
            .is_none_or(|max| least.duration_nanos <= max)
        && request.from.is_none_or(|from| greatest.start >= from.0)
        && request.to.is_none_or(|to| least.start < to.0)
}

fn is_in_range(head: &Head, request: &SearchRequest) -> bool {
    request
        .min_nanos
        .is_none_or(|min| head.duration_nanos >= min)
        && request
            .max_nanos
            .is_none_or(|max| head.duration_nanos <= max)
        && request.from.is_none_or(|from| head.start >= from)
        && request.to.is_none_or(|to| head.start < to)
}
