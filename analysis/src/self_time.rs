//! Who waits for whom, and what time a span spends on its own.
//!
//! ```text
//! parent  [-------------------]
//!   a       [---]
//!   b          [-----]
//!   c                    [--------]   same resource, ends late: not awaited
//! self    --         ----------      what a and b leave
//! ```

use longpole_proto::{SpanKind, Trace, UnixNanos};

/// How much later than its parent a child of the same resource may end and still be awaited: this,
/// or 1 % of the parent when that is more.
const LATE_NANOS: u64 = 1_000_000;

/// When a span ends; its start when it was sent to end before that.
pub(crate) fn end(trace: &Trace, span_idx: usize) -> UnixNanos {
    let span = trace.span(span_idx);
    span.end.max(span.start)
}

/// How much later than its parent a child may end before it counts as late.
pub(crate) fn tolerance_nanos(trace: &Trace, parent_idx: usize) -> u64 {
    (trace.span(parent_idx).duration_nanos() / 100).max(LATE_NANOS)
}

/// By span: whether its parent waits for it. Spans on their own count as awaited.
pub(crate) fn awaited(trace: &Trace) -> Vec<bool> {
    (0..trace.len())
        .map(|at| {
            trace
                .parent(at)
                .is_none_or(|parent| is_awaited(trace, parent, at))
        })
        .collect()
}

fn is_awaited(trace: &Trace, parent_idx: usize, child_idx: usize) -> bool {
    let (parent, child) = (trace.span(parent_idx), trace.span(child_idx));
    let parent_end = end(trace, parent_idx);
    let starts_after = child.start >= parent_end;
    let is_linked_work = child.kind == SpanKind::Consumer
        || child
            .links
            .iter()
            .any(|link| link.span_id == Some(parent.span_id) && link.trace_id == Some(trace.id()));
    let runs_after_answer = child.resource_idx == parent.resource_idx
        && end(trace, child_idx).nanos_since(parent_end) > tolerance_nanos(trace, parent_idx);
    !(starts_after || is_linked_work || runs_after_answer)
}

/// By span: its duration less the union of its awaited children's intervals, clipped to it.
pub(crate) fn self_nanos(trace: &Trace, awaited: &[bool]) -> Vec<u64> {
    (0..trace.len())
        .map(|at| {
            let (start, end_of_span) = (trace.span(at).start, end(trace, at));
            let mut own = end_of_span.nanos_since(start);
            // Children come by start, so one cursor covers their union.
            let mut covered_to = start;
            for child in trace.children(at).filter(|&child| awaited[child]) {
                let from = trace.span(child).start.max(covered_to);
                let to = end(trace, child).min(end_of_span);
                own -= to.nanos_since(from);
                covered_to = covered_to.max(to);
            }
            own
        })
        .collect()
}
