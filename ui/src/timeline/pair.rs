//! RPC pairs: a client span and the entry span it called are one row, the entry's.
//!
//! A pair is what the analysis calls one: a CLIENT span whose only stored child is the entry span of
//! a hop belongs to that hop. Its row says how long the call took: the longer of the two, which is
//! the client's unless the caller gave up. What the client took longer is *network and queue*; as it
//! compares durations, wrong clocks do not change it. The row's self time is the entry's and that,
//! its critical time the sections of both: nothing counts twice.

use longpole_analysis::Analysis;
use longpole_proto::Trace;

/// From a 20th of the client's time on, network and queue are worth a word.
const NETWORK_SHOWN_FROM: u64 = 20;

/// The client span that shares an entry span's row.
pub(crate) fn client_of(analysis: &Analysis, span_idx: usize) -> Option<usize> {
    let hop = &analysis.hops[analysis.hop_of[span_idx] as usize];
    hop.client_idx.filter(|_| hop.entry_idx == span_idx)
}

/// The span whose row a span shares: for the client of a pair its entry, else the span itself.
pub(crate) fn row_span(analysis: &Analysis, span_idx: usize) -> usize {
    let hop = &analysis.hops[analysis.hop_of[span_idx] as usize];
    if hop.client_idx == Some(span_idx) {
        hop.entry_idx
    } else {
        span_idx
    }
}

/// What a row says of its span, or of both spans of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// How long it took.
    pub(crate) nanos: u64,
    /// How much of that is its own, network and queue among it.
    pub(crate) self_nanos: u64,
    /// Its time on the critical path.
    pub(crate) critical_nanos: u64,
    /// Network and queue, when they are worth a word.
    pub(crate) network_nanos: Option<u64>,
}

impl Call {
    /// Of one span alone, whether it is one of a pair or not.
    pub(crate) fn of_span(trace: &Trace, analysis: &Analysis, span_idx: usize) -> Self {
        Self {
            nanos: trace.span(span_idx).duration_nanos(),
            self_nanos: analysis.self_nanos[span_idx],
            critical_nanos: analysis.critical_nanos[span_idx],
            network_nanos: None,
        }
    }

    /// Of the row of `span_idx`, which is no pair's client.
    pub(crate) fn of(trace: &Trace, analysis: &Analysis, span_idx: usize) -> Self {
        let alone = Self::of_span(trace, analysis, span_idx);
        let nanos = alone.nanos;
        let Some(client_idx) = client_of(analysis, span_idx) else {
            return alone;
        };
        let client_nanos = trace.span(client_idx).duration_nanos();
        let network = client_nanos.saturating_sub(nanos);
        Self {
            nanos: nanos.max(client_nanos),
            self_nanos: alone.self_nanos + network,
            critical_nanos: alone.critical_nanos + analysis.critical_nanos[client_idx],
            network_nanos: (network > 0 && network >= client_nanos.div_ceil(NETWORK_SHOWN_FROM))
                .then_some(network),
        }
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::SpanKind;
    use longpole_proto::testing::{self, MS, SpanBuilder};

    use super::*;

    /// A client span of 100 ms and the server span under it, from and to when.
    fn call(start_ms: u64, end_ms: u64) -> (Trace, Call) {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "GET /").service("web").at(0, 200),
            SpanBuilder::new(2, "GET")
                .service("web")
                .kind(SpanKind::Client)
                .parent(1)
                .at(50, 150),
            SpanBuilder::new(3, "GET /stock")
                .service("stock")
                .kind(SpanKind::Server)
                .parent(2)
                .at(start_ms, end_ms),
        ]);
        let call = Call::of(&trace, &Analysis::of(&trace), 2);
        (trace, call)
    }

    #[test]
    fn a_pair_takes_as_long_as_its_client_and_nothing_counts_twice() {
        let (trace, of_pair) = call(60, 140);
        assert_eq!(
            of_pair,
            Call {
                nanos: 100 * MS,
                self_nanos: 100 * MS,
                critical_nanos: 100 * MS,
                network_nanos: Some(20 * MS)
            }
        );
        let analysis = Analysis::of(&trace);
        assert_eq!(client_of(&analysis, 2), Some(1));
        assert_eq!(client_of(&analysis, 1), None);
        assert_eq!([0, 1, 2].map(|at| row_span(&analysis, at)), [0, 2, 2]);
    }

    #[test]
    fn wrong_clocks_and_callers_that_give_up_do_not_make_network() {
        let (_, skewed) = call(10, 105);
        assert_eq!(skewed.network_nanos, Some(5 * MS));
        assert_eq!(skewed.self_nanos, 100 * MS);
        let (_, gave_up) = call(60, 400);
        assert_eq!(gave_up.network_nanos, None);
        assert_eq!(gave_up.nanos, 340 * MS);
        let (_, quick) = call(52, 148);
        assert_eq!(quick.network_nanos, None, "4 % is not worth a word");
    }

    #[test]
    fn a_client_of_several_calls_is_no_pair() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "GET /").service("web").at(0, 200),
            SpanBuilder::new(2, "retries")
                .service("web")
                .kind(SpanKind::Client)
                .parent(1)
                .at(50, 150),
            SpanBuilder::new(3, "first")
                .service("stock")
                .kind(SpanKind::Server)
                .parent(2)
                .at(60, 70),
            SpanBuilder::new(4, "second")
                .service("stock")
                .kind(SpanKind::Server)
                .parent(2)
                .at(80, 90),
        ]);
        let analysis = Analysis::of(&trace);
        for at in 0..trace.len() {
            assert_eq!(row_span(&analysis, at), at);
            assert_eq!(client_of(&analysis, at), None);
        }
    }
}
