//! What a trace means: who waited for whom, which hop made the request slow, and the sentence.
//!
//! Pure: no I/O, no clock, no async. [`Analysis::of`] is the one entry point; storage indexes its
//! [`TraceSummary`], pages draw it, JSON and the terminal print it, so none of them can disagree.
//! The words are DESIGN.md's.

pub mod aggregate;
mod critical_path;
mod culprit;
pub mod findings;
pub mod format;
mod hop;
pub mod query;
mod self_time;
mod summary;
pub mod traits;
mod verdict;

use longpole_proto::{Trace, UnixNanos};

#[cfg(any(test, feature = "testing"))]
pub use critical_path::others;
pub use culprit::PEER_KEYS;
pub use findings::{Finding, FindingKind};
pub use summary::{CulpritSummary, HopSummary, TraceSummary};
pub use verdict::{Phrase, Verdict};

/// A stretch of the critical path: what the request waited for from `start` to `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The span whose own time it is.
    pub span_idx: usize,
    /// From.
    pub start: UnixNanos,
    /// To; later than `start`.
    pub end: UnixNanos,
}

impl Section {
    /// How long it is.
    pub const fn nanos(&self) -> u64 {
        self.end.nanos_since(self.start)
    }
}

/// One visit of the request to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its entry span, which names it.
    pub entry_idx: usize,
    /// The client span that belongs to it, whose only stored child is the entry.
    pub client_idx: Option<usize>,
    /// The hop it was called from.
    pub parent: Option<usize>,
    /// Its time: the critical-path sections in it.
    pub nanos: u64,
    /// The client span's part of that: network and queue.
    pub network_nanos: u64,
    /// How many spans it has.
    pub n_spans: usize,
    /// How many of them failed.
    pub n_errors: usize,
}

/// The operation in a hop that has most critical self time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its spans that lie on the critical path, in pre-order; at least one.
    pub span_idxs: Vec<usize>,
    /// Whom its spans call, when that has no span of its own.
    pub peer: Option<String>,
    /// Their time on the critical path.
    pub nanos: u64,
}

/// What one service did for the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceShare {
    /// The service, as an index into [`Trace::services`].
    pub service_idx: usize,
    /// Its time on the critical path.
    pub critical_nanos: u64,
    /// The self time of its spans; may exceed the request's duration.
    pub self_nanos: u64,
    /// How many spans it has.
    pub n_spans: usize,
    /// How many of them failed.
    pub n_errors: usize,
}

/// Everything longpole has to say about one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis {
    /// The request's duration: its root's.
    pub duration_nanos: u64,
    /// By span: whether its parent waits for it; true for spans on their own.
    pub awaited: Vec<bool>,
    /// By span: its self time.
    pub self_nanos: Vec<u64>,
    /// By span: its time on the critical path; never more than its self time.
    pub critical_nanos: Vec<u64>,
    /// The critical path in order of time; the sections sum to the request's duration.
    pub critical_path: Vec<Section>,
    /// All hops, by their first span in pre-order.
    pub hops: Vec<Hop>,
    /// By span: its hop, as an index into [`Self::hops`].
    pub hop_of: Vec<u32>,
    /// The slowest hop, as an index into [`Self::hops`].
    pub slowest_hop: usize,
    /// What in it took most.
    pub culprit: Culprit,
    /// The services by critical time, most first (ties: by name).
    pub services: Vec<ServiceShare>,
    /// Why the request was slow, in words.
    pub verdict: Verdict,
    /// What else is worth knowing, most saving first.
    pub findings: Vec<Finding>,
}

/// Whom a CLIENT or PRODUCER span talks to when the callee has no span: the first of
/// `db.system.name`, `messaging.destination.name`, `server.address` and `peer.service` (old names
/// as well); `None` for other spans and for those whose callee is stored.
pub fn peer(trace: &Trace, span_idx: usize) -> Option<&str> {
    culprit::peer(trace, span_idx)
}

impl Analysis {
    /// Analyses a trace. Takes O(n log n), never recurses, never fails.
    pub fn of(trace: &Trace) -> Self {
        let mut analysis = Self::measure(trace, &|at| named_peer(trace, at), true);
        analysis.verdict = verdict::verdict(&verdict::Facts {
            trace,
            duration_nanos: analysis.duration_nanos,
            hops: &analysis.hops,
            hop_of: &analysis.hop_of,
            slowest_hop: analysis.slowest_hop,
            culprit: &analysis.culprit,
        });
        analysis
    }

    /// All but the words, of a trace whose spans have at least the attributes that
    /// [name a peer](PEER_KEYS).
    pub fn of_outline(trace: &Trace) -> Self {
        Self::without_words(trace, &|at| named_peer(trace, at))
    }

    /// All but the verdict and the findings' texts, which nobody reads when only the summary and the
    /// numbers are wanted, of a trace whose spans may have no attributes here: `peer_of` tells what those that
    /// [name a peer](PEER_KEYS) say. Few are asked for.
    pub fn without_words(trace: &Trace, peer_of: &dyn Fn(usize) -> Option<String>) -> Self {
        Self::measure(trace, peer_of, false)
    }

    fn measure(trace: &Trace, peer_of: &dyn Fn(usize) -> Option<String>, has_words: bool) -> Self {
        let duration_nanos = trace.span(trace.request_root()).duration_nanos();
        let awaited = self_time::awaited(trace);
        let self_nanos = self_time::self_nanos(trace, &awaited);
        let critical_path = critical_path::critical_path(trace, &awaited);
        let mut critical_nanos = vec![0; trace.len()];
        for section in &critical_path {
            critical_nanos[section.span_idx] += section.nanos();
        }
        let (hops, hop_of) = hop::hops(trace, &critical_nanos);
        let slowest_hop = hop::slowest(trace, &hops, &hop_of);
        let culprit = culprit::culprit(
            trace,
            slowest_hop,
            &hops[slowest_hop],
            &hop_of,
            &critical_nanos,
            peer_of,
        );
        let services = service_shares(trace, &self_nanos, &critical_nanos);
        let findings = findings::findings(&findings::Facts {
            trace,
            duration_nanos,
            awaited: &awaited,
            critical_nanos: &critical_nanos,
            has_words,
        });
        Self {
            duration_nanos,
            awaited,
            self_nanos,
            critical_nanos,
            critical_path,
            hops,
            hop_of,
            slowest_hop,
            culprit,
            services,
            verdict: Verdict::default(),
            findings,
        }
    }
}

/// The peer a span's attributes name.
fn named_peer(trace: &Trace, span_idx: usize) -> Option<String> {
    let attributes = &trace.span(span_idx).attributes;
    attributes.text_of_any(&PEER_KEYS).map(str::to_owned)
}

/// What each service did, most critical time first (ties: by name).
fn service_shares(trace: &Trace, self_nanos: &[u64], critical_nanos: &[u64]) -> Vec<ServiceShare> {
    let mut shares: Vec<ServiceShare> = (0..trace.services().len())
        .map(|service_idx| ServiceShare {
            service_idx,
            critical_nanos: 0,
            self_nanos: 0,
            n_spans: 0,
            n_errors: 0,
        })
        .collect();
    for at in 0..trace.len() {
        let share = &mut shares[trace.service_idx(at)];
        share.critical_nanos += critical_nanos[at];
        share.self_nanos = share.self_nanos.saturating_add(self_nanos[at]);
        share.n_spans += 1;
        share.n_errors += usize::from(trace.span(at).is_error());
    }
    shares.sort_unstable_by_key(|share| {
        (
            std::cmp::Reverse(share.critical_nanos),
            &trace.services()[share.service_idx],
        )
    });
    shares
}

#[cfg(test)]
mod tests;
