//! Conditions on the request, told from the trace or from its summary.

use std::cell::OnceCell;

use longpole_proto::Trace;

use super::check::{Check, Hit, Outcome};
use super::field::RequestField;
use crate::{Analysis, TraceSummary};

/// What a store cuts when it keeps a summary; the default is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SummaryLimits {
    /// How much of each text is kept, in bytes; up to three less, so that characters stay whole.
    pub text_bytes_max: usize,
    /// How many services are named.
    pub services_max: usize,
}

impl Default for SummaryLimits {
    fn default() -> Self {
        Self {
            text_bytes_max: usize::MAX,
            services_max: usize::MAX,
        }
    }
}

/// A trace with its analysis, made when it is first asked for.
pub(super) struct Seen<'a> {
    pub(super) trace: &'a Trace,
    analysis: Option<&'a Analysis>,
    made: OnceCell<Analysis>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(trace: &'a Trace, analysis: Option<&'a Analysis>) -> Self {
        Self {
            trace,
            analysis,
            made: OnceCell::new(),
        }
    }

    pub(super) fn analysis(&self) -> &Analysis {
        self.analysis
            .unwrap_or_else(|| self.made.get_or_init(|| Analysis::of(self.trace)))
    }
}

/// A condition on the request.
#[derive(Debug, Clone)]
pub(super) struct RequestCondition {
    pub(super) field: RequestField,
    pub(super) check: Check,
}

impl RequestCondition {
    /// Whether it holds on the request that the trace is.
    pub(super) fn holds(&self, seen: &Seen<'_>) -> bool {
        self.check.holds(self.outcome(seen))
    }

    fn outcome(&self, seen: &Seen<'_>) -> Outcome {
        let (trace, check) = (seen.trace, &self.check);
        let root = trace.request_root();
        let hop = || {
            let analysis = seen.analysis();
            &analysis.hops[analysis.slowest_hop]
        };
        let culprit_idx = || seen.analysis().culprit.span_idxs[0];
        match self.field {
            RequestField::Id => check.of_text(&trace.id().to_string()),
            RequestField::Start => check.of_number(trace.span(root).start.0),
            RequestField::Duration => check.of_number(trace.span(root).duration_nanos()),
            RequestField::RootService => check.of_text(trace.service(root)),
            RequestField::RootName => check.of_text(&trace.span(root).name),
            RequestField::Spans => check.of_number(trace.len() as u64),
            RequestField::Errors => check.of_number(trace.n_errors() as u64),
            RequestField::Service => greatest(trace.services(), check),
            RequestField::SlowestHopService => check.of_text(trace.service(hop().entry_idx)),
            RequestField::SlowestHopName => check.of_text(&trace.span(hop().entry_idx).name),
            RequestField::SlowestHopDuration => check.of_number(hop().nanos),
            RequestField::CulpritService => check.of_text(trace.service(culprit_idx())),
            RequestField::CulpritName => check.of_text(&trace.span(culprit_idx()).name),
            RequestField::CulpritPeer => {
                let peer = &seen.analysis().culprit.peer;
                peer.as_deref()
                    .map_or(Outcome::Absent, |peer| check.of_text(peer))
            }
        }
    }

    /// Whether it holds on the request of the summary; `None` when what was cut from it decides.
    pub(super) fn holds_on_summary(
        &self,
        summary: &TraceSummary,
        limits: SummaryLimits,
    ) -> Option<bool> {
        let check = &self.check;
        let text = |text: &str| {
            let may_be_cut = text.len() >= limits.text_bytes_max.saturating_sub(3);
            (!may_be_cut || matches!(check.hit, Hit::Any)).then(|| check.of_text(text))
        };
        let outcome = match self.field {
            RequestField::Id => Some(check.of_text(&summary.trace_id.to_string())),
            RequestField::Start => Some(check.of_number(summary.start.0)),
            RequestField::Duration => Some(check.of_number(summary.duration_nanos)),
            RequestField::RootService => text(&summary.root_service),
            RequestField::RootName => text(&summary.root_operation),
            RequestField::Spans => Some(check.of_number(summary.n_spans)),
            RequestField::Errors => Some(check.of_number(summary.n_errors)),
            RequestField::Service => {
                let services = &summary.services;
                let known = services.iter().filter_map(|service| text(service));
                let is_whole = services.len() < limits.services_max
                    && services.iter().all(|service| text(service).is_some());
                known
                    .max()
                    .filter(|&outcome| is_whole || outcome == Outcome::Hit)
            }
            RequestField::SlowestHopService => text(&summary.slowest_hop.service),
            RequestField::SlowestHopName => text(&summary.slowest_hop.name),
            RequestField::SlowestHopDuration => Some(check.of_number(summary.slowest_hop.nanos)),
            RequestField::CulpritService => text(&summary.culprit.service),
            RequestField::CulpritName => text(&summary.culprit.name),
            RequestField::CulpritPeer => match &summary.culprit.peer {
                Some(peer) => text(peer),
                None => Some(Outcome::Absent),
            },
        };
        outcome.map(|outcome| check.holds(outcome))
    }
}

/// The greatest outcome over some texts.
fn greatest(texts: &[String], check: &Check) -> Outcome {
    let mut greatest = Outcome::Absent;
    for text in texts {
        greatest = greatest.max(check.of_text(text));
        if greatest == Outcome::Hit {
            break;
        }
    }
    greatest
}
