//! The page of a search: what comes first of all that was found so far.

use std::collections::BinaryHeap;

use longpole_analysis::TraceSummary;

use super::sink::Sink;
use crate::sled::cursor::{self, Position};
use crate::sled::entry;
use crate::{Matched, Order, SearchRequest, StorageError};

/// The most requests one search gives.
const LIMIT_MAX: usize = 1_000;

/// A request with its entry; the greatest is the one that comes last.
pub(super) struct Candidate {
    pub(super) position: Position,
    pub(super) entry: Vec<u8>,
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

/// The page being filled.
pub(super) struct Page {
    order: Order,
    limit: usize,
    after: Option<Position>,
    /// Whether all matches are wanted, not only those that have a place on it.
    counts: bool,
    found: BinaryHeap<Candidate>,
    matched: u64,
    /// How many matched before the block at hand, of which it is known how many do.
    before_block: Option<u64>,
    /// Whether something was left out that may match.
    is_lower_bound: bool,
    is_last: bool,
}

/// A page that is full, or all there is.
pub(super) struct Filled {
    pub(super) requests: Vec<TraceSummary>,
    pub(super) matched: Matched,
    pub(super) next: Option<String>,
}

impl Page {
    /// An empty page of a search.
    ///
    /// # Errors
    /// When the cursor is none of a search in this order.
    pub(super) fn new(request: &SearchRequest) -> Result<Self, StorageError> {
        let after = request.after.as_ref().map(|text| {
            cursor::decode(text, request.order).ok_or_else(|| StorageError::Cursor {
                cursor: text.clone(),
            })
        });
        let limit = request.limit.clamp(1, LIMIT_MAX);
        Ok(Self {
            order: request.order,
            limit,
            after: after.transpose()?,
            counts: request.count,
            found: BinaryHeap::with_capacity(limit + 1),
            matched: 0,
            before_block: None,
            is_lower_bound: false,
            is_last: true,
        })
    }

    /// Whether all keys from here on are of earlier pages. Of the key itself trace ids decide.
    fn are_before(&self, least: u64) -> bool {
        self.after.is_some_and(|after| least > after.key())
    }

    /// Whether the page is full of greater keys.
    fn are_behind(&self, greatest: u64) -> bool {
        let last = self.found.peek().map(|last| last.position.key());
        self.found.len() == self.limit && last.is_some_and(|last| last > greatest)
    }

    /// Notes that nothing more is looked at, after all with keys beyond this one was, if there is one.
    /// Says whether the page is sure all the same: full of such. One that is not leads nowhere, for
    /// who goes on behind its last request misses those that were not looked at.
    pub(super) fn stop(&mut self, seen_beyond: Option<u64>) -> bool {
        let last = self.found.peek().map(|last| last.position.key());
        let is_sure = self.found.len() == self.limit
            && last
                .zip(seen_beyond)
                .is_some_and(|(last, seen_beyond)| last > seen_beyond);
        self.is_lower_bound = true;
        self.is_last = !is_sure;
        is_sure
    }

    /// The page.
    ///
    /// # Errors
    /// When an entry is damaged.
    pub(super) fn finish(self) -> Result<Filled, StorageError> {
        let found = self.found.into_sorted_vec();
        let last = found.last().map(|candidate| candidate.position);
        Ok(Filled {
            requests: found
                .iter()
                .map(|candidate| entry::summary(&candidate.entry))
                .collect::<Result<_, _>>()?,
            matched: if self.is_lower_bound {
                Matched::AtLeast(self.matched)
            } else {
                Matched::Exactly(self.matched)
            },
            next: last
                .filter(|_| !self.is_last)
                .map(|last| cursor::encode(last, self.order)),
        })
    }

    /// Whether it was on an earlier page.
    fn is_before(&self, position: Position) -> bool {
        self.after.is_some_and(|after| position <= after)
    }

    /// Whether the page is full of requests that come before this one. One more than it has says
    /// that there is a next one.
    fn is_full_before(&self, position: Position) -> bool {
        !self.is_last
            && self.found.len() == self.limit
            && self
                .found
                .peek()
                .is_some_and(|last| last.position < position)
    }
}

impl Sink for Page {
    fn order(&self) -> Order {
        self.order
    }

    fn wants(&self, position: Position) -> bool {
        let counts = self.counts && self.before_block.is_none();
        counts || (!self.is_before(position) && !self.is_full_before(position))
    }

    fn begin_counted(&mut self) {
        self.before_block = Some(self.matched);
    }

    fn is_counted(&self) -> bool {
        self.before_block.is_some()
    }

    fn end_counted(&mut self, n_matches: u64) {
        if let Some(before) = self.before_block.take() {
            self.matched = before + n_matches;
        }
    }

    fn wants_between(&self, least: u64, greatest: u64) -> bool {
        let is_behind = !self.is_last && self.are_behind(greatest);
        self.counts || !(self.are_before(least) || is_behind)
    }

    fn count_between(&mut self, least: u64, greatest: u64, n_matches: u64) -> bool {
        let is_behind = self.are_behind(greatest);
        if n_matches > 0 && !self.are_before(least) && !is_behind {
            return false;
        }
        self.matched += n_matches;
        self.is_last &= n_matches == 0 || !is_behind;
        true
    }

    fn stop_counting(&mut self) {
        self.counts = false;
    }

    fn leave_out(&mut self) {
        self.is_lower_bound = true;
    }

    fn add(&mut self, position: Position, entry: &[u8]) -> Result<(), StorageError> {
        self.matched += 1;
        if self.is_before(position) {
            return Ok(());
        }
        let is_full = self.found.len() == self.limit;
        if is_full {
            self.is_last = false;
            if self
                .found
                .peek()
                .is_some_and(|last| last.position < position)
            {
                return Ok(());
            }
            self.found.pop();
        }
        self.found.push(Candidate {
            position,
            entry: entry.to_vec(),
        });
        Ok(())
    }
}
