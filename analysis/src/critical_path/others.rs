//! The critical path as Jaeger and CRISP find it, written anew from their descriptions, so that tests
//! can say where ours is the same and why it is not elsewhere. `docs/critical-path.md` has the reasons.
//!
//! Slow and recursive: for traces in tests.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use longpole_proto::{SpanKind, Trace, UnixNanos};

use crate::self_time::{awaited, end};
use crate::{Analysis, Section};

/// Why our critical path may be another than Jaeger's and CRISP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Awaited siblings run at once: we follow each as long as its parent waits for it, they only the
    /// last to end and what ended before that began.
    Overlap,
    /// A sibling begins at the moment at which the one before it ends: Jaeger leaves that out.
    Touch,
    /// Children are not awaited by our definition: work after the answer, and linked work.
    NotAwaited,
    /// PRODUCER spans: for us their callers wait for the sending, for Jaeger not.
    Producer,
}

/// A stretch of time.
type Stretch = (UnixNanos, UnixNanos);

/// By span of the request: its time clipped to its parent's, as both do; `None` for what is left out,
/// with all below it.
struct Clipped(Vec<Option<Stretch>>);

impl Clipped {
    fn of(trace: &Trace, is_kept: impl Fn(usize) -> bool) -> Self {
        let root = trace.request_root();
        let mut clipped: Vec<Option<Stretch>> = vec![None; trace.len()];
        clipped[root] = Some((trace.span(root).start, end(trace, root)));
        for at in trace.subtree(root).skip(1) {
            let parent = trace.parent(at).and_then(|parent| clipped[parent]);
            clipped[at] = parent.filter(|_| is_kept(at)).and_then(|(from, to)| {
                let (start, end) = (trace.span(at).start, end(trace, at));
                let inside = (start.max(from), end.min(to));
                let is_within = start >= from && end <= to;
                (is_within || inside.0 < inside.1).then_some(inside)
            });
        }
        Self(clipped)
    }

    fn children(&self, trace: &Trace, at: usize) -> Vec<(usize, Stretch)> {
        let children = trace.children(at);
        children
            .filter_map(|child| Some((child, self.0[child]?)))
            .collect()
    }
}

/// The critical path as [Jaeger's UI] draws it: of a span the child that ends last, then the one that
/// ends last before that began, and so on; what is between is the span's own.
///
/// [Jaeger's UI]: https://github.com/jaegertracing/jaeger-ui/tree/main/packages/jaeger-ui/src/components/TracePage/CriticalPath
pub fn by_jaeger(trace: &Trace) -> Vec<Section> {
    fn walk(trace: &Trace, clipped: &Clipped, at: usize, to: &mut Vec<Section>) {
        let Some((start, mut cursor)) = clipped.0[at] else {
            return;
        };
        let own = |from: UnixNanos, cursor: UnixNanos, to: &mut Vec<Section>| {
            to.push(Section {
                span_idx: at,
                start: from,
                end: cursor,
            });
        };
        let children = clipped.children(trace, at);
        let mut bound = None;
        while let Some((child, (from, until))) = children
            .iter()
            .filter(|(_, (_, until))| bound.is_none_or(|bound| *until < bound))
            .max_by_key(|(child, (_, until))| (*until, Reverse(*child)))
        {
            own(*until, cursor, to);
            walk(trace, clipped, *child, to);
            (bound, cursor) = (Some(*from), *from);
        }
        own(start, cursor, to);
    }
    let is_blocking =
        |at: usize| !matches!(trace.span(at).kind, SpanKind::Producer | SpanKind::Consumer);
    let mut sections = Vec::new();
    let clipped = Clipped::of(trace, is_blocking);
    walk(trace, &clipped, trace.request_root(), &mut sections);
    sections.reverse();
    sections.retain(|section| section.start < section.end);
    sections.dedup_by(|later, section| {
        let is_one = later.span_idx == section.span_idx && later.start == section.end;
        if is_one {
            section.end = later.end;
        }
        is_one
    });
    sections
}

/// The spans on the critical path as [CRISP] finds it (section 4): of a span the child that ends last, then
/// each that happens before the last one taken. An overlap of less than 1 % of the parent counts as
/// before, where no other sibling begins or ends in it.
///
/// [CRISP]: https://www.usenix.org/conference/atc22/presentation/zhang-zhizhou
pub fn by_crisp(trace: &Trace) -> BTreeSet<usize> {
    const OVERLAP_PERCENT: u64 = 1;
    fn happens_before(parent: Stretch, all: &[(usize, Stretch)], a: Stretch, b: Stretch) -> bool {
        if a.1 < b.0 {
            return true;
        }
        let in_overlap = |at: UnixNanos| usize::from((b.0..=a.1).contains(&at));
        let n_events = all.iter();
        let n_events = n_events.map(|(_, of)| in_overlap(of.0) + in_overlap(of.1));
        a.1 < b.1
            && a.0 < b.0
            && a.1.nanos_since(b.0) * 100 < parent.1.nanos_since(parent.0) * OVERLAP_PERCENT
            && n_events.sum::<usize>() == 2
    }
    fn walk(trace: &Trace, clipped: &Clipped, at: usize, path: &mut BTreeSet<usize>) {
        path.insert(at);
        let Some(own) = clipped.0[at] else { return };
        let mut children = clipped.children(trace, at);
        children.sort_by_key(|(_, (_, until))| *until);
        children.reverse();
        let mut last: Option<Stretch> = None;
        for &(child, of) in &children {
            if last.is_none_or(|last| happens_before(own, &children, of, last)) {
                walk(trace, clipped, child, path);
                last = Some(of);
            }
        }
    }
    let mut path = BTreeSet::new();
    walk(
        trace,
        &Clipped::of(trace, |_| true),
        trace.request_root(),
        &mut path,
    );
    path
}

/// The spans that a request waited for: those on our critical path and all above them.
pub fn by_us(trace: &Trace, analysis: &Analysis) -> BTreeSet<usize> {
    let mut path = BTreeSet::new();
    for section in &analysis.critical_path {
        let mut at = Some(section.span_idx);
        while let Some(span_idx) = at
            && path.insert(span_idx)
        {
            at = trace.parent(span_idx);
        }
    }
    path
}

/// Why our critical path may be another; where there is no reason it must be the same.
pub fn differences(trace: &Trace) -> BTreeSet<Difference> {
    let awaited = awaited(trace);
    let clipped = Clipped::of(trace, |_| true);
    let mut found = BTreeSet::new();
    for at in trace.subtree(trace.request_root()) {
        let mut busy_to = None;
        for (child, (from, until)) in clipped.children(trace, at) {
            if !awaited[child] {
                found.insert(Difference::NotAwaited);
            } else if trace.span(child).kind == SpanKind::Producer {
                found.insert(Difference::Producer);
            }
            found.extend(match busy_to {
                Some(busy_to) if from < busy_to => Some(Difference::Overlap),
                Some(busy_to) if from == busy_to => Some(Difference::Touch),
                _ => None,
            });
            busy_to = busy_to.max(Some(until));
        }
    }
    found
}
