//! What was sent, and what came of it, span by span.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::workload::SpanKey;

/// A trace's spans that were sent, by number.
pub(crate) type Record = BTreeMap<u32, Sent>;

/// What is known of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sent {
    /// How often it was sent: more than once when a server went away without an answer. It may be
    /// stored as often.
    pub(crate) times: usize,
    /// Whether it was acknowledged: it must be there. If not it may be.
    pub(crate) is_acknowledged: bool,
}

/// All that was sent to a data directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    traces: HashMap<u128, Record>,
    /// Those with an acknowledged span, in order of the first one's acknowledgement.
    acknowledged: Vec<u128>,
    /// Those that changed since [`Self::take_changed`].
    changed: HashSet<u128>,
    n_acknowledged: usize,
}

impl Ledger {
    /// Notes spans that are about to be sent.
    pub(crate) fn sent(&mut self, keys: &[SpanKey]) {
        for &(trace, number) in keys {
            self.changed.insert(trace);
            let record = self.traces.entry(trace).or_default();
            record.entry(number).or_default().times += 1;
        }
    }

    /// Notes that spans that were sent are acknowledged.
    pub(crate) fn acknowledged(&mut self, keys: &[SpanKey]) {
        for &(trace, number) in keys {
            self.changed.insert(trace);
            let record = self.traces.entry(trace).or_default();
            if record.values().all(|sent| !sent.is_acknowledged) {
                self.acknowledged.push(trace);
            }
            let sent = record.entry(number).or_default();
            self.n_acknowledged += usize::from(!sent.is_acknowledged);
            sent.is_acknowledged = true;
        }
    }

    /// How many spans were acknowledged.
    pub(crate) fn n_acknowledged(&self) -> usize {
        self.n_acknowledged
    }

    /// Whether a trace was ever sent.
    pub(crate) fn knows(&self, trace: u128) -> bool {
        self.traces.contains_key(&trace)
    }

    /// What is known of a trace.
    pub(crate) fn record(&self, trace: u128) -> Record {
        self.traces.get(&trace).cloned().unwrap_or_default()
    }

    /// Some trace with acknowledged spans.
    pub(crate) fn any(&self, rng: &mut fastrand::Rng) -> Option<u128> {
        let n = self.acknowledged.len();
        // As often one of the last hundred as one of all.
        let from = if rng.bool() { n.saturating_sub(100) } else { 0 };
        (n > 0).then(|| self.acknowledged[rng.usize(from..n)])
    }

    /// All traces.
    pub(crate) fn all(&self) -> Vec<(u128, Record)> {
        let traces = self.traces.iter();
        traces
            .map(|(&trace, record)| (trace, record.clone()))
            .collect()
    }

    /// All traces with an acknowledged span.
    pub(crate) fn all_acknowledged(&self) -> Vec<(u128, Record)> {
        let traces = self.acknowledged.iter();
        traces.map(|&trace| (trace, self.record(trace))).collect()
    }

    /// The traces that changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<(u128, Record)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|trace| (trace, self.record(trace)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_unanswered_until_it_is_acknowledged() {
        let mut ledger = Ledger::default();
        ledger.sent(&[(1, 0), (1, 1), (2, 0)]);
        // Sent again, as exporters do.
        ledger.sent(&[(1, 0), (1, 1)]);
        ledger.acknowledged(&[(1, 0)]);
        let sent = |times, is_acknowledged| Sent {
            times,
            is_acknowledged,
        };
        let expected = [(0, sent(2, true)), (1, sent(2, false))];
        assert_eq!(ledger.record(1), expected.into());
        assert_eq!(ledger.n_acknowledged(), 1);
        assert_eq!(ledger.any(&mut fastrand::Rng::with_seed(1)), Some(1));
        assert_eq!(ledger.take_changed().len(), 2);
        assert!(ledger.take_changed().is_empty());
    }
}
