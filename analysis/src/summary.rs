//! The trace summary: what lists show and storage indexes.

use longpole_proto::{SpanId, Trace, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::{Analysis, FindingKind};

/// How many services a summary keeps the critical time of.
pub(crate) const CRITICAL_SERVICES_MAX: usize = 5;

/// One request, as lists show it and storage indexes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// The trace's ID.
    pub trace_id: TraceId,
    /// The root's service.
    pub root_service: String,
    /// The root's name.
    pub root_operation: String,
    /// The root's start.
    pub start: UnixNanos,
    /// The root's duration.
    pub duration_nanos: u64,
    /// How many spans the trace has.
    pub n_spans: u64,
    /// How many of them failed.
    pub n_errors: u64,
    /// The services, by name.
    pub services: Vec<String>,
    /// The slowest hop.
    pub slowest_hop: HopSummary,
    /// What in it took most.
    pub culprit: CulpritSummary,
    /// The critical time of the services that have most, at most five.
    pub critical_nanos: Vec<(String, u64)>,
    /// The kinds of findings, each once.
    pub findings: Vec<FindingKind>,
    /// Whether the root is not stored.
    pub incomplete: bool,
}

/// A hop, in a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopSummary {
    /// The entry span's service.
    pub service: String,
    /// The entry span's name.
    pub name: String,
    /// The entry span.
    pub span_id: SpanId,
    /// The hop's time.
    pub nanos: u64,
}

/// A culprit, in a summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CulpritSummary {
    /// The spans' service.
    pub service: String,
    /// The spans' name.
    pub name: String,
    /// Whom they call, when that has no span of its own.
    pub peer: Option<String>,
    /// How many spans it is.
    pub count: u64,
    /// Their time on the critical path.
    pub nanos: u64,
}

impl TraceSummary {
    /// The summary of a trace. Takes less than its whole [`Analysis`] does.
    pub fn of(trace: &Trace) -> Self {
        Analysis::of_outline(trace).summary(trace)
    }

    /// The slowest hop's share of the request, from 0 to 1; 0 for a request that took no time.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share is shown with two digits"
    )]
    pub fn slowest_hop_share(&self) -> f64 {
        if self.duration_nanos == 0 {
            return 0.0;
        }
        self.slowest_hop.nanos as f64 / self.duration_nanos as f64
    }
}

impl Analysis {
    /// The summary of the trace this is the analysis of.
    pub fn summary(&self, trace: &Trace) -> TraceSummary {
        let root = trace.request_root();
        let hop = &self.hops[self.slowest_hop];
        let culprit_idx = self.culprit.span_idxs[0];
        let mut services = trace.services().to_vec();
        services.sort_unstable();
        let mut findings: Vec<FindingKind> =
            self.findings.iter().map(|finding| finding.kind).collect();
        findings.sort_unstable();
        findings.dedup();
        TraceSummary {
            trace_id: trace.id(),
            root_service: trace.service(root).to_owned(),
            root_operation: trace.span(root).name.to_string(),
            start: trace.span(root).start,
            duration_nanos: self.duration_nanos,
            n_spans: trace.len() as u64,
            n_errors: trace.n_errors() as u64,
            services,
            slowest_hop: HopSummary {
                service: trace.service(hop.entry_idx).to_owned(),
                name: trace.span(hop.entry_idx).name.to_string(),
                span_id: trace.span(hop.entry_idx).span_id,
                nanos: hop.nanos,
            },
            culprit: CulpritSummary {
                service: trace.service(culprit_idx).to_owned(),
                name: trace.span(culprit_idx).name.to_string(),
                peer: self.culprit.peer.clone(),
                count: self.culprit.span_idxs.len() as u64,
                nanos: self.culprit.nanos,
            },
            critical_nanos: self
                .services
                .iter()
                .filter(|share| share.critical_nanos > 0)
                .take(CRITICAL_SERVICES_MAX)
                .map(|share| {
                    (
                        trace.services()[share.service_idx].clone(),
                        share.critical_nanos,
                    )
                })
                .collect(),
            findings,
            incomplete: trace.is_incomplete(),
        }
    }
}
