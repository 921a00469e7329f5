//! Findings: what else is worth knowing about a request.

use serde::{Deserialize, Serialize};

/// One sentence of diagnosis, the spans that prove it, and what fixing it would save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What sort of thing it is.
    pub kind: FindingKind,
    /// The sentence.
    pub text: String,
    /// The spans that prove it, in pre-order.
    pub span_idxs: Vec<usize>,
    /// How much of the critical path it would save, at most.
    pub saved_nanos: u64,
}

/// What sort of thing a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// The same call many times, one after another.
    RepeatedCall,
    /// Spans that failed.
    Errors,
    /// Work that goes on after the answer.
    RunsAfterAnswer,
    /// A span that lies outside its parent by more than clocks allow.
    ClockSkew,
    /// Spans whose parent is not stored.
    MissingParent,
    /// Time nobody accounts for in a span that has children.
    UninstrumentedGap,
}
