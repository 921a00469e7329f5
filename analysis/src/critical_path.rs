//! The critical path: what the request waited for, at each moment.
//!
//! From the end of a span walk back with a cursor. Of the awaited children that started before the
//! cursor take the one with the greatest min(end, cursor); between that and the cursor the time is
//! the span's own; descend into the child, go on at its start:
//!
//! ```text
//! root  [===            ===    ==]
//!   a      [=====]
//!   b         [--=======]              overlaps a: the later end is what root waited for
//!   c                      [===]
//! ```
//!
//! The same question is asked of distributed systems in [CRISP] (section 4) and The Mystery Machine.
//!
//! [CRISP]: https://www.usenix.org/conference/atc22/presentation/zhang-zhizhou

#[cfg(any(test, feature = "testing"))]
pub mod others;

use std::cmp::Reverse;

use longpole_proto::{Trace, UnixNanos};

use crate::Section;
use crate::self_time::end;

/// An awaited child of the span at hand.
#[derive(Clone, Copy)]
struct Child {
    span_idx: usize,
    start: UnixNanos,
    end: UnixNanos,
}

/// A span being walked back through.
struct Frame {
    span_idx: usize,
    /// Where it ends for the request: its start, or its parent's when that is later.
    lo: UnixNanos,
    cursor: UnixNanos,
    /// Where its part of `pending` begins.
    pending_from: usize,
    /// The next of `pending` that ends before the cursor.
    next: usize,
    /// Where its part of `open` begins.
    open_from: usize,
}

/// The walk. Both lists hold a part for each frame, the innermost frame's last.
struct Walk<'a> {
    trace: &'a Trace,
    awaited: &'a [bool],
    frames: Vec<Frame>,
    /// Awaited children by end, latest first.
    pending: Vec<Child>,
    /// Children that end at or after the cursor; the one to take is on top.
    open: Vec<Child>,
    /// What was found, last first.
    sections: Vec<Section>,
}

/// The critical path of the request in order of time. Takes O(n log n); a span without duration has
/// no section, and neighbours of one span are one section.
pub(crate) fn critical_path(trace: &Trace, awaited: &[bool]) -> Vec<Section> {
    let mut walk = Walk::of(trace, awaited);
    while !walk.frames.is_empty() {
        walk.step();
    }
    let mut sections = walk.sections;
    sections.reverse();
    sections
}

impl<'a> Walk<'a> {
    /// At the end of the request.
    fn of(trace: &'a Trace, awaited: &'a [bool]) -> Self {
        let root = trace.request_root();
        let mut walk = Walk {
            trace,
            awaited,
            frames: Vec::new(),
            pending: Vec::new(),
            open: Vec::new(),
            sections: Vec::new(),
        };
        walk.enter(root, trace.span(root).start, end(trace, root));
        walk
    }

    fn enter(&mut self, span_idx: usize, lo: UnixNanos, hi: UnixNanos) {
        let pending_from = self.pending.len();
        let children = self
            .trace
            .children(span_idx)
            .filter(|&child| self.awaited[child])
            .map(|child| Child {
                span_idx: child,
                start: self.trace.span(child).start,
                end: end(self.trace, child),
            });
        self.pending.extend(children);
        // Of children that end together the last is taken first: the later start, the smaller ID
        // (siblings stand by start, then ID).
        self.pending[pending_from..].sort_unstable_by_key(|child| {
            (Reverse(child.end), child.start, Reverse(child.span_idx))
        });
        self.frames.push(Frame {
            span_idx,
            lo,
            cursor: hi,
            pending_from,
            next: pending_from,
            open_from: self.open.len(),
        });
    }

    /// Moves the innermost frame's cursor back once, into a child or to the next child's end. Says how
    /// many children it looked at, which is all its work but entering a child.
    fn step(&mut self) -> usize {
        let mut n_looked_at = 1;
        let frame = self
            .frames
            .last_mut()
            .expect("stepped only while there are frames");
        while let Some(&child) = self.pending.get(frame.next)
            && child.end >= frame.cursor
        {
            self.open.push(child);
            frame.next += 1;
            n_looked_at += 1;
        }
        // The cursor only moves back: what starts at or after it is done with.
        while self.open.len() > frame.open_from
            && self.open[self.open.len() - 1].start >= frame.cursor
        {
            self.open.pop();
            n_looked_at += 1;
        }
        if frame.cursor > frame.lo {
            if self.open.len() > frame.open_from {
                let child = self.open[self.open.len() - 1];
                let (lo, hi) = (child.start.max(frame.lo), frame.cursor);
                frame.cursor = lo;
                self.enter(child.span_idx, lo, hi);
                return n_looked_at;
            }
            let own_from = self
                .pending
                .get(frame.next)
                .map_or(frame.lo, |child| child.end.max(frame.lo));
            let own = Section {
                span_idx: frame.span_idx,
                start: own_from,
                end: frame.cursor,
            };
            frame.cursor = own_from;
            self.note(own);
            return n_looked_at;
        }
        self.pending.truncate(frame.pending_from);
        self.open.truncate(frame.open_from);
        self.frames.pop();
        n_looked_at
    }

    fn note(&mut self, section: Section) {
        match self.sections.last_mut() {
            Some(later) if later.span_idx == section.span_idx && later.start == section.end => {
                later.start = section.start;
            }
            _ => self.sections.push(section),
        }
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::{self, SpanBuilder};
    use proptest::prelude::*;

    use super::*;
    use crate::self_time::{awaited, self_nanos};

    /// The definition, word by word and slowly: (span, start, end), zero-length ones left out.
    fn by_definition(trace: &Trace, awaited: &[bool]) -> Vec<Section> {
        fn walk(
            trace: &Trace,
            awaited: &[bool],
            at: usize,
            lo: UnixNanos,
            hi: UnixNanos,
            out: &mut Vec<Section>,
        ) {
            let mut cursor = hi;
            let mut taken = vec![];
            while cursor > lo {
                let next = trace
                    .children(at)
                    .filter(|child| awaited[*child] && !taken.contains(child))
                    .filter(|&child| trace.span(child).start < cursor)
                    .max_by_key(|&child| {
                        let span = trace.span(child);
                        let ends = end(trace, child);
                        (
                            ends.min(cursor),
                            Reverse(ends),
                            span.start,
                            Reverse(span.span_id),
                            Reverse(child),
                        )
                    });
                let from = next.map_or(lo, |child| end(trace, child).min(cursor).max(lo));
                if from < cursor {
                    out.push(Section {
                        span_idx: at,
                        start: from,
                        end: cursor,
                    });
                }
                let Some(child) = next else { break };
                taken.push(child);
                let start = trace.span(child).start.max(lo).min(from);
                walk(trace, awaited, child, start, from, out);
                cursor = start;
            }
        }
        let root = trace.request_root();
        let mut out = vec![];
        walk(
            trace,
            awaited,
            root,
            trace.span(root).start,
            end(trace, root),
            &mut out,
        );
        out.reverse();
        let mut merged: Vec<Section> = vec![];
        for section in out {
            match merged.last_mut() {
                Some(last) if last.span_idx == section.span_idx && last.end == section.start => {
                    last.end = section.end;
                }
                _ => merged.push(section),
            }
        }
        merged
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn sections_are_the_definitions_and_sum_to_the_request(trace in testing::any_trace(24)) {
            let awaited = awaited(&trace);
            let sections = critical_path(&trace, &awaited);
            prop_assert_eq!(&sections, &by_definition(&trace, &awaited));

            let root = trace.request_root();
            let mut at = trace.span(root).start;
            for section in &sections {
                prop_assert_eq!(section.start, at, "sections follow each other without a gap");
                prop_assert!(section.end > section.start);
                at = section.end;
            }
            prop_assert_eq!(at, end(&trace, root));
        }

        #[test]
        fn critical_time_never_exceeds_self_time(trace in testing::any_trace(24)) {
            let awaited = awaited(&trace);
            let own = self_nanos(&trace, &awaited);
            let mut critical = vec![0; trace.len()];
            for section in critical_path(&trace, &awaited) {
                critical[section.span_idx] += section.nanos();
            }
            for at in 0..trace.len() {
                prop_assert!(critical[at] <= own[at], "span {at}: {} of {}", critical[at], own[at]);
                prop_assert!(own[at] <= trace.span(at).duration_nanos());
            }
        }
    }

    #[test]
    fn a_wide_fan_out_and_a_deep_chain_are_walked_in_one_go() {
        let fan_out = testing::trace_of((1..=50_000_u64).map(|n| {
            if n == 1 {
                SpanBuilder::new(1, "root").at(0, 60_000)
            } else {
                SpanBuilder::new(n, "call").parent(1).at(n, 59_000)
            }
        }));
        // All calls end together; the latest to start is what the root waited for last.
        let path = critical_path(&fan_out, &awaited(&fan_out));
        assert_eq!(path.len(), 50_001);

        let chain = testing::trace_of((1..=50_000_u64).map(|n| {
            let span = SpanBuilder::new(n, "link").at(n, 200_000 - n);
            if n == 1 { span } else { span.parent(n - 1) }
        }));
        let path = critical_path(&chain, &awaited(&chain));
        assert_eq!(path.len(), 2 * 50_000 - 1);
    }

    /// Spans of shapes that are hard on a walk, all of them under one root.
    fn shapes(n: u64) -> [(&'static str, Trace); 5] {
        let under_root = |at: fn(u64, u64) -> (u64, u64)| {
            testing::trace_of((1..=n).map(|id| {
                let span = SpanBuilder::new(id, "call");
                if id == 1 {
                    return span.at_nanos(0, 10 * n);
                }
                let (start, end) = at(id, n);
                span.parent(1).at_nanos(start, end)
            }))
        };
        let chain = testing::trace_of((1..=n).map(|id| {
            let span = SpanBuilder::new(id, "link").at_nanos(id, 10 * n - id);
            if id == 1 { span } else { span.parent(id - 1) }
        }));
        [
            (
                "one after the other",
                under_root(|id, _| (4 * id, 4 * id + 3)),
            ),
            (
                "a staircase of overlaps",
                under_root(|id, n| (id, n + 2 * id)),
            ),
            ("one in the other", under_root(|id, n| (id, 9 * n - id))),
            ("all end together", under_root(|id, n| (id, 9 * n))),
            ("a chain", chain),
        ]
    }

    #[test]
    fn the_walk_is_linear_but_for_sorting_children() {
        for n in [100, 10_000, 100_000] {
            for (shape, trace) in shapes(n) {
                let awaited = awaited(&trace);
                let mut walk = Walk::of(&trace, &awaited);
                let (mut n_looked_at, mut n_entered) = (0, 1);
                while !walk.frames.is_empty() {
                    let depth = walk.frames.len();
                    n_looked_at += walk.step();
                    n_entered += usize::from(walk.frames.len() > depth);
                }
                // A span is entered once. For each, a step in, a step for its own time before the next child
                // ends, and one out; it is put among the open ones once and taken away once.
                assert!(
                    n_entered <= trace.len(),
                    "{shape}, {n}: {n_entered} entered"
                );
                assert!(
                    n_looked_at <= 6 * trace.len(),
                    "{shape}, {n}: {n_looked_at}"
                );
            }
        }
    }
}
