//! Which traces are stale, and when the background thread takes each.
//!
//! Not at once: the pieces of a request arrive from several services, and reading a large trace
//! anew for each of them would take time quadratic in its size.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use longpole_proto::TraceId;

/// How long a trace stays stale before it is due, so that what arrives meanwhile is read with it.
const DELAY: Duration = Duration::from_millis(500);

/// A trace that takes longer than this is left alone for a while after.
const COST_MIN: Duration = Duration::from_millis(5);

/// For how long, as a multiple of what it took: at most a twentieth of a core goes into it.
const REST: u32 = 20;

/// How many rests are remembered before those that are over are dropped.
const RESTING_MAX: usize = 1_000;

/// The stale traces by when they are due.
#[derive(Debug, Default)]
pub(super) struct Stale {
    due: HashMap<TraceId, Instant>,
    by_due: BTreeSet<(Instant, TraceId)>,
    /// Until when expensive traces are left alone.
    resting: HashMap<TraceId, Instant>,
}

impl Stale {
    /// Adds a trace that got spans at `now`.
    pub(super) fn insert(&mut self, trace_id: TraceId, now: Instant) {
        self.due.entry(trace_id).or_insert_with(|| {
            let due = self
                .resting
                .get(&trace_id)
                .copied()
                .unwrap_or(now)
                .max(now + DELAY);
            self.by_due.insert((due, trace_id));
            due
        });
    }

    /// Removes a trace and says whether it was there.
    pub(super) fn remove(&mut self, trace_id: TraceId) -> bool {
        let due = self.due.remove(&trace_id);
        due.is_some_and(|due| self.by_due.remove(&(due, trace_id)))
    }

    /// Leaves a trace alone for a while when reading it, from `start` to `end`, took long.
    pub(super) fn rest(&mut self, trace_id: TraceId, start: Instant, end: Instant) {
        let cost = end - start;
        if cost < COST_MIN {
            return;
        }
        if self.resting.len() >= RESTING_MAX {
            self.resting.retain(|_, until| *until > end);
        }
        self.resting.insert(trace_id, end + cost * REST);
    }

    /// The trace that is due first, and when.
    pub(super) fn first(&self) -> Option<(Instant, TraceId)> {
        self.by_due.first().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// All of them.
    pub(super) fn trace_ids(&self) -> Vec<TraceId> {
        self.due.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> TraceId {
        TraceId::new([n; 16]).expect("not zero")
    }

    #[test]
    fn a_trace_is_due_a_while_after_its_first_new_span() {
        let start = Instant::now();
        let mut stale = Stale::default();
        stale.insert(id(1), start);
        stale.insert(id(2), start + DELAY / 2);
        stale.insert(id(1), start + DELAY / 2);
        assert_eq!(stale.first(), Some((start + DELAY, id(1))));
        assert!(stale.remove(id(1)));
        assert!(!stale.remove(id(1)));
        assert_eq!(stale.first(), Some((start + DELAY / 2 + DELAY, id(2))));
        assert_eq!(stale.len(), 1);
    }

    #[test]
    fn an_expensive_trace_rests_in_proportion() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let mut stale = Stale::default();
        stale.rest(id(1), start, end);
        stale.rest(id(2), start, start + COST_MIN / 2);
        stale.insert(id(1), end);
        stale.insert(id(2), end);
        assert_eq!(stale.first(), Some((end + DELAY, id(2))));
        stale.remove(id(2));
        assert_eq!(stale.first(), Some((end + Duration::from_secs(20), id(1))));
    }

    #[test]
    fn rests_that_are_over_are_forgotten() {
        let start = Instant::now();
        let mut stale = Stale::default();
        for n in 1..=RESTING_MAX as u128 + 1 {
            let trace_id = TraceId::new(n.to_be_bytes()).expect("not zero");
            let begin = start + Duration::from_secs(n.try_into().expect("few"));
            stale.rest(trace_id, begin, begin + COST_MIN);
        }
        assert!(stale.resting.len() < 10, "{}", stale.resting.len());
    }
}
