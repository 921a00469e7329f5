//! Findings: what else is worth knowing about a request.
//!
//! Each is one sentence with the spans that prove it. `saved_nanos` is counted on the critical path
//! of this request: work nobody waited for saves nothing.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use longpole_proto::{Attachment, SpanKind, Trace};
use serde::{Deserialize, Serialize};

use crate::format::{count, duration, label, percent, span_label};
use crate::hop::{entry_of_client, is_callee};
use crate::self_time;

/// From this many calls on, the same call under one span is a repeated one.
const REPEATED_CALLS_MIN: usize = 10;

/// What a repeated call must cost to be worth a word, in percent of the request.
const REPEATED_PERCENT: u64 = 1;

/// How much of the request one span's self time must be to count as a gap, in percent.
const GAP_PERCENT: u64 = 30;

/// How many findings of one kind are told; the costliest.
const OF_A_KIND_MAX: usize = 5;

/// How many spans a finding names as its proof.
const SPANS_MAX: usize = 1_000;

/// One sentence of diagnosis, the spans that prove it, and what fixing it would save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What sort of thing it is.
    pub kind: FindingKind,
    /// The sentence.
    pub text: String,
    /// The spans that prove it, at most 1,000; the first is the one to show.
    pub span_idxs: Vec<usize>,
    /// How much shorter the request would be without it, at most.
    pub saved_nanos: u64,
}

/// What sort of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FindingKind {
    /// The same call many times under one span.
    RepeatedCall,
    /// Spans that failed.
    Errors,
    /// Work that goes on after the answer.
    RunsAfterAnswer,
    /// A span that lies outside its caller, by more than the network explains.
    ClockSkew,
    /// Spans whose parent is not stored, or that are their own ancestors.
    MissingParent,
    /// Time in a span with children that no child accounts for.
    UninstrumentedGap,
}

impl FindingKind {
    /// The kind's name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RepeatedCall => "Repeated call",
            Self::Errors => "Errors",
            Self::RunsAfterAnswer => "Runs after the answer",
            Self::ClockSkew => "Clocks differ",
            Self::MissingParent => "Missing parent",
            Self::UninstrumentedGap => "Uninstrumented gap",
        }
    }
}

/// What findings are made from.
pub(crate) struct Facts<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) duration_nanos: u64,
    pub(crate) awaited: &'a [bool],
    pub(crate) critical_nanos: &'a [u64],
    /// Whether findings say what they are, or are only there.
    pub(crate) has_words: bool,
}

/// All findings, most saving first, then by kind.
pub(crate) fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = repeated_calls(facts);
    findings.extend(errors(facts));
    findings.extend(runs_after_answer(facts));
    findings.extend(clock_skew(facts));
    findings.extend(missing_parent(facts));
    findings.extend(gaps(facts));
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.saved_nanos), finding.kind));
    for finding in &mut findings {
        finding.span_idxs.truncate(SPANS_MAX);
    }
    findings
}

impl Facts<'_> {
    fn say(&self, text: impl FnOnce() -> String) -> String {
        if self.has_words {
            text()
        } else {
            String::new()
        }
    }

    fn is_at_least(&self, nanos: u64, percent: u64) -> bool {
        nanos > 0
            && u128::from(nanos) * 100 >= u128::from(self.duration_nanos) * u128::from(percent)
    }
}

/// The same call under one parent, again and again: the N+1 query.
fn repeated_calls(facts: &Facts<'_>) -> Vec<Finding> {
    let trace = facts.trace;
    let mut n_awaited = vec![0_usize; trace.len()];
    let awaited_by = |at: usize| trace.parent(at).filter(|_| facts.awaited[at]);
    for parent in (0..trace.len()).filter_map(awaited_by) {
        n_awaited[parent] += 1;
    }
    if n_awaited.iter().all(|&n| n < REPEATED_CALLS_MIN) {
        return Vec::new();
    }
    // Critical time before each position, so that a subtree's is one subtraction.
    let mut before = Vec::with_capacity(trace.len() + 1);
    before.push(0_u64);
    for (at, nanos) in facts.critical_nanos.iter().enumerate() {
        before.push(before[at] + nanos);
    }
    let critical = |at: usize| {
        let subtree = trace.subtree(at);
        before[subtree.end] - before[subtree.start]
    };
    let mut calls: HashMap<(usize, usize, &str), Vec<usize>, RandomState> = HashMap::default();
    for at in 0..trace.len() {
        if let Some(parent) =
            awaited_by(at).filter(|&parent| n_awaited[parent] >= REPEATED_CALLS_MIN)
        {
            // Client spans are all called "GET": the callee says what was called.
            let called = entry_of_client(trace, at).unwrap_or(at);
            let name = trace.span(called).name.as_ref();
            calls
                .entry((parent, trace.service_idx(called), name))
                .or_default()
                .push(at);
        }
    }
    let mut found: Vec<Finding> = calls
        .into_iter()
        .filter(|(_, spans)| spans.len() >= REPEATED_CALLS_MIN)
        .filter_map(|((parent, ..), spans)| {
            let nanos: u64 = spans.iter().map(|&at| critical(at)).sum();
            let longest = spans.iter().map(|&at| critical(at)).max().unwrap_or(0);
            facts.is_at_least(nanos, REPEATED_PERCENT).then(|| Finding {
                kind: FindingKind::RepeatedCall,
                text: facts.say(|| {
                    format!(
                        "{} × {} in {}, {} on the critical path",
                        span_label(trace, entry_of_client(trace, spans[0]).unwrap_or(spans[0])),
                        count(spans.len() as u64),
                        label(&trace.span(parent).name),
                        duration(nanos),
                    )
                }),
                span_idxs: spans,
                saved_nanos: nanos - longest,
            })
        })
        .collect();
    found.sort_unstable_by_key(|finding| {
        (std::cmp::Reverse(finding.saved_nanos), finding.span_idxs[0])
    });
    found.truncate(OF_A_KIND_MAX);
    found
}

/// The failed spans, those that no failed span below explains first.
fn errors(facts: &Facts<'_>) -> Option<Finding> {
    let trace = facts.trace;
    let failed: Vec<usize> = (0..trace.len())
        .filter(|&at| trace.span(at).is_error())
        .collect();
    let mut has_failed_child = vec![false; trace.len()];
    for parent in failed.iter().filter_map(|&at| trace.parent(at)) {
        has_failed_child[parent] = true;
    }
    let (mut spans, carriers): (Vec<usize>, Vec<usize>) =
        failed.into_iter().partition(|&at| !has_failed_child[at]);
    // An origin the request waited for says more than one it did not.
    spans.sort_by_key(|&at| (std::cmp::Reverse(facts.critical_nanos[at]), at));
    let origin = *spans.first()?;
    spans.extend(carriers);
    let text = facts.say(|| {
        let from = match spans.len() {
            1 => "1 span failed:".to_owned(),
            n => format!("{} spans failed, beginning with", count(n as u64)),
        };
        let took = duration(trace.span(origin).duration_nanos());
        format!("{from} {} after {took}", span_label(trace, origin))
    });
    Some(Finding {
        kind: FindingKind::Errors,
        text,
        span_idxs: spans,
        saved_nanos: 0,
    })
}

/// Work that nobody waits for and that ends after its caller answered.
fn runs_after_answer(facts: &Facts<'_>) -> Vec<Finding> {
    let trace = facts.trace;
    let late = |at: usize| {
        trace.parent(at).map_or(0, |parent| {
            self_time::end(trace, at).nanos_since(self_time::end(trace, parent))
        })
    };
    let mut spans: Vec<usize> = (0..trace.len())
        .filter(|&at| !facts.awaited[at] && late(at) > 0)
        .collect();
    spans.sort_by_key(|&at| (std::cmp::Reverse(late(at)), at));
    spans
        .into_iter()
        .take(OF_A_KIND_MAX)
        .map(|at| Finding {
            kind: FindingKind::RunsAfterAnswer,
            text: facts.say(|| {
                format!(
                    "{} goes on for {} after its caller is done; it does not delay the request",
                    span_label(trace, at),
                    duration(late(at)),
                )
            }),
            span_idxs: vec![at],
            saved_nanos: 0,
        })
        .collect()
}

/// Spans of other resources that begin before their caller did, or end after it was done.
fn clock_skew(facts: &Facts<'_>) -> Option<Finding> {
    let trace = facts.trace;
    let skew = |at: usize| {
        let Some(parent) = trace.parent(at).filter(|_| facts.awaited[at]) else {
            return 0;
        };
        let (caller, span) = (trace.span(parent), trace.span(at));
        if caller.resource_idx == span.resource_idx {
            return 0;
        }
        let early = caller.start.nanos_since(span.start);
        let late = self_time::end(trace, at).nanos_since(self_time::end(trace, parent));
        let most = early.max(late);
        if most > self_time::tolerance_nanos(trace, parent) {
            most
        } else {
            0
        }
    };
    let mut spans: Vec<usize> = (0..trace.len()).filter(|&at| skew(at) > 0).collect();
    spans.sort_by_key(|&at| (std::cmp::Reverse(skew(at)), at));
    let most = *spans.first()?;
    let others = match spans.len() {
        1 => String::new(),
        n => format!(" and {} more", count(n as u64 - 1)),
    };
    Some(Finding {
        kind: FindingKind::ClockSkew,
        text: facts.say(|| format!(
            "{}{others} lies outside its caller by up to {}: the hosts' clocks differ, or the caller gave up",
            span_label(trace, most),
            duration(skew(most)),
        )),
        span_idxs: spans,
        saved_nanos: 0,
    })
}

/// Spans that stand on their own though they name a parent.
fn missing_parent(facts: &Facts<'_>) -> Option<Finding> {
    let trace = facts.trace;
    let of = |kind| {
        trace
            .roots()
            .iter()
            .copied()
            .filter(move |&at| trace.attachment(at) == kind)
    };
    let spans: Vec<usize> = of(Attachment::Orphan)
        .chain(of(Attachment::CycleCut))
        .collect();
    let first = *spans.first()?;
    let n_cut = of(Attachment::CycleCut).count() as u64;
    let n_orphans = spans.len() as u64 - n_cut;
    let mut parts = Vec::new();
    if n_orphans > 0 {
        let spans = if n_orphans == 1 {
            "span names a parent"
        } else {
            "spans name parents"
        };
        parts.push(format!("{} {spans} that never arrived", count(n_orphans)));
    }
    if n_cut > 0 {
        let chains = if n_cut == 1 {
            "chain of parents leads"
        } else {
            "chains of parents lead"
        };
        parts.push(format!("{} {chains} back to itself", count(n_cut)));
    }
    Some(Finding {
        kind: FindingKind::MissingParent,
        text: facts.say(|| {
            format!(
                "{}, beginning with {}",
                parts.join("; "),
                span_label(trace, first)
            )
        }),
        span_idxs: spans,
        saved_nanos: 0,
    })
}

/// Whether a span is the caller's side of its child's call.
fn calls(trace: &Trace, span_idx: usize, child_idx: usize) -> bool {
    trace.span(span_idx).kind == SpanKind::Client && is_callee(trace, child_idx)
}

/// Spans with children that spend much of the request on their own, where no span says on what.
fn gaps(facts: &Facts<'_>) -> Vec<Finding> {
    let trace = facts.trace;
    (0..trace.len())
        .filter(|&at| trace.subtree(at).len() > 1)
        // A caller's own time around its callee is network and queue, not a gap.
        .filter(|&at| !trace.children(at).any(|child| calls(trace, at, child)))
        .filter(|&at| facts.is_at_least(facts.critical_nanos[at], GAP_PERCENT))
        .take(OF_A_KIND_MAX)
        .map(|at| Finding {
            kind: FindingKind::UninstrumentedGap,
            text: facts.say(|| {
                format!(
                    "{} spends {} ({}) in no span of its own: spans inside it would say where",
                    span_label(trace, at),
                    duration(facts.critical_nanos[at]),
                    percent(facts.critical_nanos[at], facts.duration_nanos),
                )
            }),
            span_idxs: vec![at],
            saved_nanos: 0,
        })
        .collect()
}
