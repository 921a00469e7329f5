//! The numbers of all traces: calls by operation, calls between services, the slowest hops.

use longpole_analysis::aggregate::Sketch;
use longpole_proto::UnixNanos;

use crate::{Cancel, Operation};

/// Which numbers to give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AggregatesRequest {
    /// Of what began in this minute or later.
    pub from: Option<UnixNanos>,
    /// Of what began before this time, or in the minute it lies in.
    pub to: Option<UnixNanos>,
    /// How many minutes are taken together, counted from the epoch; 0 takes all of them together.
    pub step_minutes: u32,
    /// Only what this service has a part in.
    pub service: Option<String>,
    /// Ends it when nobody waits for it any more.
    pub cancel: Cancel,
}

/// The numbers of the traces that were sealed: what is still in memory is not among them, for up to a
/// minute and, where it waits for a fuller block, another.
///
/// Whole minutes, each by when the span began. A span counts once however often it was sent; one
/// that came late changes what its trace counted before. Each list is by time, then by names; what
/// was too much to be kept apart has no name and comes last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aggregates {
    /// By operation.
    pub operations: Vec<OperationNumbers>,
    /// By caller and callee.
    pub edges: Vec<EdgeNumbers>,
    /// By the request's operation and its slowest hop.
    pub slowest_hops: Vec<SlowestHopNumbers>,
    /// How many spans came so late that their trace could not be counted anew (it has very many fragments, or
    /// one that cannot be read): it counts as it was before them. Also counts spans at too many
    /// different minutes to be kept apart. Duplicates included.
    pub n_uncounted_spans: u64,
    /// Whether nothing was unreadable or left out because the limits of the work were reached.
    pub complete: bool,
}

/// The numbers of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationNumbers {
    /// When the minutes begin that these are of.
    pub start: UnixNanos,
    /// The operation, its names cut at 512 bytes; `None` for those that were too many to be kept apart.
    pub operation: Option<Operation>,
    /// How many requests are seen from one of its spans.
    pub n_requests: u64,
    /// How many of its spans failed.
    pub n_errors: u64,
    /// How long its spans took: as many as there are.
    pub durations: Sketch,
}

/// The numbers of the calls from one service to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeNumbers {
    /// When the minutes begin that these are of.
    pub start: UnixNanos,
    /// Who calls whom; `None` for those that were too many to be kept apart.
    pub edge: Option<Edge>,
    /// How many calls failed, as the caller's span has it where there is one.
    pub n_errors: u64,
    /// How long the calls took, likewise: as many as there are.
    pub durations: Sketch,
}

/// Who calls whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The service that calls.
    pub caller: String,
    /// What it calls: a service or, where that has no spans, the peer its span names.
    pub callee: String,
    /// Whether that is a peer.
    pub is_peer: bool,
}

/// How often a hop was the slowest of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowestHopNumbers {
    /// When the minutes begin that these are of.
    pub start: UnixNanos,
    /// The root's operation and the hop's; `None` for those that were too many to be kept apart.
    pub hop: Option<SlowestHop>,
    /// How many requests.
    pub n_requests: u64,
}

/// A request's operation and its slowest hop.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlowestHop {
    /// The root's operation.
    pub request: Operation,
    /// The operation of the hop's entry.
    pub hop: Operation,
}
