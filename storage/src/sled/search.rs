//! Finds requests: over the traces in memory and the blocks, in an order that lets most blocks be
//! left out by their zones once a page is full.
//!
//! What matches is told as cheaply as can be ([`plan`]); traces that must be decoded for it are, of
//! each block those that come first before the others ([`verify`]), until the page is full or the
//! limits of a search's work are reached.

mod blooms;
mod page;
mod plan;
mod sink;
mod verify;

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longpole_proto::TraceId;

use self::blooms::{Asked, Blooms};
use self::page::{Candidate, Page};
pub(super) use self::plan::Plan;
use self::plan::{Verdict, ZoneView, key_of};
pub(super) use self::sink::Sink;
use super::core::Core;
use super::cursor::Position;
use super::entries::Snapshot;
use super::entry;
use super::partition::{Numbers, Partition};
use crate::{
    Cancel, Scanned, SearchLimit, SearchRequest, SearchResult, Stopped, StorageError, Unseen,
};

/// How many traces in memory may wait to be decoded, so that a search takes little of it.
const LIVE_OPEN_MAX: usize = 4_096;

/// A search under way, that gives what it finds to a sink.
pub(super) struct Search<'a, S> {
    core: &'a Core,
    cancel: &'a Cancel,
    plan: Plan,
    snapshot: &'a Snapshot,
    pub(super) sink: S,
    asked: Asked,
    pub(super) scanned: Scanned,
    /// When it began, by the store's clock.
    begin: Duration,
    /// How long it may take.
    time_max: Duration,
    /// When it must only look for what has a place on the page.
    count_end: Duration,
    pub(super) unseen: Unseen,
}

/// A block to look into.
struct BlockRef<'a> {
    partition: &'a Arc<Partition>,
    block: u32,
    view: ZoneView<'a>,
    /// Between which its matches are.
    keys: (u64, u64),
}

impl Core {
    /// Searches everything taken in so far.
    ///
    /// # Errors
    /// When a partition cannot be read, the query cannot be matched, the cursor is none of a search in
    /// this order, or the search was cancelled.
    pub(super) fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        self.search_in(&self.snapshot()?, request)
    }

    /// Searches what there was at a moment.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub(super) fn search_in(
        &self,
        snapshot: &Snapshot,
        request: &SearchRequest,
    ) -> Result<SearchResult, StorageError> {
        let plan = Plan::new(&request.query, request.from, request.to)?;
        let page = Page::new(request)?;
        let mut search = Search::new(self, snapshot, plan, page, &request.cancel);
        if let Some(within) = request.count_within {
            search.count_end = search.begin.saturating_add(within);
        }
        search.walk()?;
        search.finish()
    }
}

impl<'a, S: Sink> Search<'a, S> {
    /// A search over what there was at a moment.
    pub(super) fn new(
        core: &'a Core,
        snapshot: &'a Snapshot,
        plan: Plan,
        sink: S,
        cancel: &'a Cancel,
    ) -> Self {
        let begin = core.settings.clock.elapsed();
        Self {
            core,
            cancel,
            plan,
            snapshot,
            sink,
            asked: Asked::default(),
            scanned: Scanned::default(),
            begin,
            time_max: core.settings.search_time_max,
            count_end: Duration::MAX,
            unseen: Unseen::default(),
        }
    }

    /// Ends the work after so long, if it may take that long at all.
    pub(super) fn end_within(&mut self, within: Duration) {
        self.time_max = self.time_max.min(within);
    }

    /// Looks at all that may match.
    ///
    /// # Errors
    /// When a partition cannot be read or the search was cancelled.
    pub(super) fn walk(&mut self) -> Result<(), StorageError> {
        self.look_at_live()?;
        self.look_into_blocks()
    }

    fn look_at_live(&mut self) -> Result<(), StorageError> {
        let snapshot = self.snapshot;
        let mut open = Vec::new();
        for (&trace_id, entry) in &snapshot.live {
            if self.must_stop(None)? {
                return Ok(());
            }
            open.extend(self.look_at(trace_id, &entry.entry));
            if open.len() == LIVE_OPEN_MAX {
                self.verify_live(std::mem::take(&mut open))?;
            }
        }
        self.verify_live(open)
    }

    fn look_into_blocks(&mut self) -> Result<(), StorageError> {
        let order = self.sink.order();
        let snapshot = self.snapshot;
        let mut blocks: Vec<BlockRef<'_>> = Vec::new();
        let mut service_at = 0;
        for view in snapshot.view.partitions() {
            let before = blocks.len();
            let may_match = self.plan.may_match_partition(&view.partition);
            for (block, zone) in (0..).zip(&*view.zones) {
                if !may_match && !zone.reaches_out_of(view.partition.number()) {
                    continue;
                }
                let of_zone = self.plan.view(zone, &mut service_at);
                if self.plan.may_match_zone(of_zone) {
                    blocks.push(BlockRef {
                        partition: &view.partition,
                        block,
                        view: of_zone,
                        keys: of_zone.keys(order),
                    });
                }
            }
            let n_blocks = blocks.len() - before;
            self.scanned.partitions += u64::from(n_blocks > 0);
            self.scanned.blocks_skipped += (view.zones.len() - n_blocks) as u64;
        }
        blocks.sort_by_key(|of| {
            let place = (of.partition.number(), of.block);
            Reverse((of.keys.1, place))
        });
        for of in &blocks {
            let (least, greatest) = of.keys;
            let n_matches = self.count(of);
            if n_matches.is_some_and(|n| self.sink.count_between(least, greatest, n)) {
                self.scanned.blocks_skipped += 1;
                continue;
            }
            if !self.sink.wants_between(least, greatest) {
                self.sink.leave_out();
                self.scanned.blocks_skipped += 1;
                continue;
            }
            if self.must_stop(Some(greatest))? {
                return Ok(());
            }
            if let Some(n_matches) = n_matches {
                self.sink.begin_counted();
                self.look_into(of)?;
                self.sink.end_counted(n_matches);
            } else {
                self.look_into(of)?;
            }
        }
        Ok(())
    }

    /// How many of a block's traces match, when its zone tells.
    fn count(&self, of: &BlockRef<'_>) -> Option<u64> {
        let is_sure = self.snapshot.is_all_newest(of.partition.number(), of.block)
            && !of.partition.is_broken();
        self.plan.count(of.view).filter(|_| is_sure)
    }

    fn look_into(&mut self, of: &BlockRef<'_>) -> Result<(), StorageError> {
        let number = of.partition.number();
        let snapshot = self.snapshot;
        if self
            .sink
            .recall(&self.plan, snapshot, of.partition, of.block)
        {
            self.scanned.blocks_read += 1;
            return Ok(());
        }
        // Traces with earlier fragments may have there what this block lacks.
        let may_whole_match = !self.plan.asks_blooms || self.bloom_passes(of)?;
        if !may_whole_match && of.view.zone.late.is_empty() {
            self.scanned.blocks_skipped += 1;
            return Ok(());
        }
        let Some(rows) = self.unless_damaged(of.partition, of.partition.rows(of.block))? else {
            return Ok(());
        };
        self.scanned.blocks_read += 1;
        self.sink.see(&rows, of.partition, of.block);
        if self
            .sink
            .recall(&self.plan, snapshot, of.partition, of.block)
        {
            return Ok(());
        }
        let mut open = Vec::new();
        for row in rows.iter() {
            let trace_id = row.trace_id;
            // What is in memory has a newer entry.
            if snapshot.live.contains_key(&trace_id)
                || !snapshot.view.is_newest(trace_id, number, of.block)
                || !(may_whole_match || of.view.zone.late(trace_id).is_some())
            {
                continue;
            }
            if row.entry.is_empty() {
                let view = &snapshot.view;
                let made = self.core.missing_entry(trace_id, number, of.block, view)?;
                open.extend(self.look_at(trace_id, &made.entry));
            } else {
                open.extend(self.look_at(trace_id, row.entry));
            }
        }
        self.verify_block(of, open)
    }

    /// Whether a trace may match that is in this block only.
    fn bloom_passes(&self, of: &BlockRef<'_>) -> Result<bool, StorageError> {
        let blooms = Blooms::new(&self.asked, [(of.partition.as_ref(), of.block)]);
        blooms.may_match(&self.plan, Some(of.view.zone))
    }

    /// Takes a trace in if it matches; gives it back when it must be decoded to know.
    fn look_at(&mut self, trace_id: TraceId, entry: &[u8]) -> Option<Candidate> {
        let order = self.sink.order();
        let position = |numbers: &Numbers| Position::new(key_of(numbers, order), trace_id);
        if self.sink.is_counted()
            && let Ok((head, _)) = entry::head(entry)
            && !self.sink.wants(position(&head.numbers()))
        {
            return None;
        }
        match self.plan.judge(entry) {
            Ok(Verdict::No) => None,
            Ok(Verdict::Match(numbers)) => {
                let position = position(&numbers);
                self.add(position, entry);
                None
            }
            Ok(Verdict::Open(numbers)) => {
                let position = position(&numbers);
                if self.sink.wants(position) {
                    return Some(Candidate {
                        position,
                        entry: entry.to_vec(),
                    });
                }
                self.sink.leave_out();
                None
            }
            Err(_) => {
                self.unseen.n_unreadable += 1;
                None
            }
        }
    }

    /// What was read; `None` when it is damaged, which the result will say, or gone.
    ///
    /// # Errors
    /// When reading failed for another reason.
    fn unless_damaged<T>(
        &mut self,
        partition: &Partition,
        read: Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if is_damage(partition, &error) => {
                self.unseen.n_unreadable += u64::from(!self.is_gone(partition));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a partition was removed meanwhile; one that was set aside is counted as such.
    fn is_gone(&self, partition: &Partition) -> bool {
        let view = self.core.state.lock().view.clone();
        let mut numbers = view.partitions().iter().map(|of| of.partition.number());
        partition.is_broken() && !numbers.any(|number| number == partition.number())
    }

    /// Whether the limits of its work are reached; if so, all with keys beyond `seen_beyond` has been
    /// looked at.
    ///
    /// # Errors
    /// When nobody waits for it any more.
    fn must_stop(&mut self, seen_beyond: Option<u64>) -> Result<bool, StorageError> {
        if self.cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        let settings = &self.core.settings;
        let now = settings.clock.elapsed();
        if now > self.count_end {
            self.sink.stop_counting();
        }
        if self.unseen.stopped.is_none() {
            let limit = if self.scanned.bytes >= settings.search_bytes_max {
                Some(SearchLimit::Bytes(settings.search_bytes_max))
            } else if now > self.begin.saturating_add(self.time_max) {
                Some(SearchLimit::Time(self.time_max))
            } else {
                None
            };
            self.unseen.stopped = limit.map(|limit| Stopped {
                limit,
                seen_beyond: seen_beyond.filter(|&key| key < u64::MAX),
            });
        }
        Ok(self.unseen.stopped.is_some())
    }

    /// Takes in a request that matches.
    fn add(&mut self, position: Position, entry: &[u8]) {
        if self.sink.add(position, entry).is_err() {
            self.unseen.n_unreadable += 1;
        }
    }

    /// Whether nothing was unreadable; if not, the sink knows.
    pub(super) fn saw_all(&mut self) -> bool {
        self.unseen.n_set_aside = self.core.n_lost_partitions.load(Ordering::Relaxed);
        let saw_all = self.unseen.n_unreadable == 0 && self.unseen.n_set_aside == 0;
        if !saw_all {
            self.sink.leave_out();
        }
        saw_all
    }
}

impl Search<'_, Page> {
    fn finish(mut self) -> Result<SearchResult, StorageError> {
        let mut is_complete = self.saw_all();
        if let Some(stopped) = self.unseen.stopped {
            is_complete &= self.sink.stop(stopped.seen_beyond);
        }
        let filled = self.sink.finish()?;
        Ok(SearchResult {
            requests: filled.requests,
            matched: filled.matched,
            complete: is_complete,
            next: filled.next,
            unseen: self.unseen,
            scanned: self.scanned,
        })
    }
}

/// Whether reading of a partition failed because what is stored is not as it was written.
fn is_damage(partition: &Partition, error: &StorageError) -> bool {
    let is_said = matches!(
        error,
        StorageError::Damaged { .. } | StorageError::TooLarge { .. }
    );
    is_said || partition.is_broken()
}
