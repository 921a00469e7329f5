//! What a trace adds to the numbers that are kept of all of them: calls by operation, calls between
//! services, which hop was the slowest.
//!
//! ```text
//! web     GET /      [------------]           a call of web GET /, and the request
//! web       GET        [--------]    client   a call of web GET
//! shop        /stock     [----]               a call of shop /stock; web -> shop, timed by the client
//! shop          SELECT     [-]       client   a call of shop SELECT; shop -> postgresql, a peer
//! ```
//!
//! A pure function of the trace, so that what was added before late spans came can be taken out
//! again: they are computed once more from the spans that were there.

mod sketch;

use longpole_proto::{SpanKind, Trace, UnixNanos};

pub use sketch::{BUCKETS, Sketch};

use crate::{Analysis, culprit, hop};

/// A minute in nanoseconds.
const MINUTE_NANOS: u64 = 60_000_000_000;

/// One thing a trace adds. Spans are indices into it; what it counts for is the minute in which the
/// span named first began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// A call of a span's operation: each span is one.
    Call {
        /// The span.
        span_idx: usize,
        /// Whether the request is seen from it.
        is_request: bool,
    },
    /// A call from one service to another, or to itself where a SERVER span says so.
    Edge {
        /// The span that says how long it took and whether it failed: the caller's CLIENT or PRODUCER
        /// span where there is one, else the callee's.
        timed_idx: usize,
        /// A span of the caller.
        caller_idx: usize,
        /// A span of the callee.
        callee_idx: usize,
    },
    /// A call whose callee has no span: it is known by the [peer](crate::peer) the span names, if it
    /// names one.
    PeerEdge {
        /// The caller's CLIENT or PRODUCER span.
        span_idx: usize,
    },
    /// Of this request, that hop was the slowest.
    SlowestHop {
        /// The request's root.
        root_idx: usize,
        /// The hop's entry.
        entry_idx: usize,
    },
}

impl Fact {
    /// The span whose start is the fact's time.
    pub fn timed_idx(&self) -> usize {
        match *self {
            Self::Call { span_idx, .. } | Self::PeerEdge { span_idx } => span_idx,
            Self::Edge { timed_idx, .. } => timed_idx,
            Self::SlowestHop { root_idx, .. } => root_idx,
        }
    }
}

/// Gives all that a trace adds: a call for each span, the request and its slowest hop once. Takes
/// O(n).
pub fn facts(trace: &Trace, analysis: &Analysis, mut each: impl FnMut(Fact)) {
    let root_idx = trace.request_root();
    each(Fact::SlowestHop {
        root_idx,
        entry_idx: analysis.hops[analysis.slowest_hop].entry_idx,
    });
    for (at, span) in trace.spans().iter().enumerate() {
        each(Fact::Call {
            span_idx: at,
            is_request: at == root_idx,
        });
        if let Some(caller_idx) = trace.parent(at)
            && hop::is_callee(trace, at)
        {
            let is_timed = matches!(
                trace.span(caller_idx).kind,
                SpanKind::Client | SpanKind::Producer
            );
            each(Fact::Edge {
                timed_idx: if is_timed { caller_idx } else { at },
                caller_idx,
                callee_idx: at,
            });
        }
        if matches!(span.kind, SpanKind::Client | SpanKind::Producer)
            && culprit::calls_outside(trace, at)
        {
            each(Fact::PeerEdge { span_idx: at });
        }
    }
}

/// The minute a time is in, counted from the epoch.
pub fn minute_of(time: UnixNanos) -> u32 {
    u32::try_from(time.0 / MINUTE_NANOS).expect("2^64 ns are less than 2^32 minutes")
}

/// When a minute begins; the last there is for what lies behind it.
pub fn start_of(minute: u32) -> UnixNanos {
    UnixNanos(u64::from(minute).saturating_mul(MINUTE_NANOS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Write as _;

    use longpole_proto::testing::{any_trace, draw};
    use proptest::prelude::*;

    use super::*;
    use crate::format::span_label;

    /// The facts of a drawn trace, as text.
    fn told(drawing: &str) -> String {
        let trace = draw(drawing);
        let mut text = String::new();
        facts(&trace, &Analysis::of(&trace), |fact| {
            let label = |at| span_label(&trace, at);
            let ms = trace.span(fact.timed_idx()).duration_nanos() / 1_000_000;
            match fact {
                Fact::Call {
                    span_idx,
                    is_request,
                } => {
                    let what = if is_request { "request" } else { "call" };
                    writeln!(text, "{what} {} {ms} ms", label(span_idx))
                }
                Fact::Edge {
                    caller_idx,
                    callee_idx,
                    ..
                } => {
                    let (from, to) = (trace.service(caller_idx), trace.service(callee_idx));
                    writeln!(text, "  {from} -> {to} {ms} ms")
                }
                Fact::PeerEdge { span_idx } => {
                    let peer = crate::peer(&trace, span_idx).unwrap_or("?");
                    writeln!(text, "  {} -> ({peer}) {ms} ms", trace.service(span_idx))
                }
                Fact::SlowestHop {
                    root_idx,
                    entry_idx,
                } => writeln!(text, "{} <- {}", label(root_idx), label(entry_idx)),
            }
            .expect("a string takes all");
        });
        text
    }

    #[test]
    fn each_span_is_a_call_and_calls_between_services_are_timed_by_the_client() {
        insta::assert_snapshot!(told(
            "
            web GET /      [-------------------]
              web GET        [----]              client
                shop /stock   [--]
              bank pay              [---]
              web publish                [-]     producer messaging.destination.name=orders
              web SELECT                   [-]   client
            "
        ), @r"
        web GET / <- web GET /
        request web GET / 20 ms
        call web GET 5 ms
        call shop /stock 3 ms
          web -> shop 5 ms
        call bank pay 4 ms
          web -> bank 4 ms
        call web publish 2 ms
          web -> (orders) 2 ms
        call web SELECT 2 ms
          web -> (?) 2 ms
        ");
    }

    #[test]
    fn a_request_without_its_root_is_seen_from_the_earliest_orphan() {
        insta::assert_snapshot!(told(
            "
            shop /stock   [--]     orphan
            bank pay         [--]  orphan
            bank check       [--]  server orphan
            "
        ), @r"
        shop /stock <- shop /stock
        request shop /stock 3 ms
        call bank pay 3 ms
        call bank check 3 ms
        ");
    }

    proptest! {
        #[test]
        fn every_span_is_one_call_and_every_trace_one_request(trace in any_trace(24)) {
            let mut calls: BTreeMap<usize, bool> = BTreeMap::new();
            let (mut n_slowest, mut n_edges) = (0, 0);
            facts(&trace, &Analysis::of(&trace), |fact| match fact {
                Fact::Call { span_idx, is_request } => {
                    assert!(calls.insert(span_idx, is_request).is_none());
                }
                Fact::SlowestHop { root_idx, .. } => {
                    n_slowest += usize::from(root_idx == trace.request_root());
                }
                Fact::Edge { caller_idx, callee_idx, timed_idx } => {
                    n_edges += 1;
                    assert_eq!(trace.parent(callee_idx), Some(caller_idx));
                    assert!(timed_idx == caller_idx || timed_idx == callee_idx);
                }
                Fact::PeerEdge { span_idx } => {
                    assert!(!trace.children(span_idx).any(|child| hop::is_callee(&trace, child)));
                }
            });
            prop_assert_eq!(calls.len(), trace.len());
            prop_assert_eq!(calls.values().filter(|is_request| **is_request).count(), 1);
            prop_assert_eq!(n_slowest, 1);
            let n_callees = (0..trace.len()).filter(|&at| hop::is_callee(&trace, at)).count();
            prop_assert_eq!(n_edges, n_callees);
        }

        #[test]
        fn a_time_lies_in_its_minute(nanos in any::<u64>()) {
            let minute = minute_of(UnixNanos(nanos));
            prop_assert!(start_of(minute).0 <= nanos);
            prop_assert!(nanos - start_of(minute).0 < MINUTE_NANOS);
        }
    }
}
