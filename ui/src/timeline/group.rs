//! Groups: many calls of one operation in a row are one row, and so are many spans on their own.

use std::ops::Range;

use longpole_analysis::Analysis;
use longpole_proto::{Attachment, Trace};

use super::pair;

/// From how many on consecutive siblings of one operation are a group.
pub(crate) const MEMBERS_MIN: usize = 5;
/// No group.
const NONE: u32 = u32::MAX;

/// The groups of a trace; their members are the spans whose rows they are, entries for pairs.
pub(crate) struct Groups {
    /// In order, each at least [`MEMBERS_MIN`].
    members: Vec<Vec<usize>>,
    /// By span, its group; empty when there are none.
    group_of: Vec<u32>,
}

impl Groups {
    /// Looks through the children of these spans and those on their own among them, but for what is
    /// not shown.
    pub(crate) fn of(
        trace: &Trace,
        analysis: &Analysis,
        spans: Range<usize>,
        shows: impl Fn(usize) -> bool,
    ) -> Self {
        let mut groups = Self {
            members: Vec::new(),
            group_of: Vec::new(),
        };
        let mut run: Vec<usize> = Vec::new();
        let roots = trace.roots().iter().copied();
        let mut was_orphan = false;
        for at in roots.filter(|at| spans.contains(at) && shows(*at)) {
            let root = pair::row_span(analysis, at);
            let is_orphan = trace.attachment(at) == Attachment::Orphan;
            let is_same = |&last: &usize| was_orphan == is_orphan && is_same(trace, last, root);
            if !run.last().is_none_or(is_same) {
                groups.end(&mut run, trace.len());
            }
            was_orphan = is_orphan;
            run.push(root);
        }
        groups.end(&mut run, trace.len());
        for parent in spans {
            if trace.subtree(parent).len() <= MEMBERS_MIN {
                continue;
            }
            for child in trace.children(parent).filter(|&child| shows(child)) {
                let child = pair::row_span(analysis, child);
                if run.last().is_some_and(|&last| !is_same(trace, last, child)) {
                    groups.end(&mut run, trace.len());
                }
                run.push(child);
            }
            groups.end(&mut run, trace.len());
        }
        groups
    }

    /// Ends a run of siblings of one operation.
    fn end(&mut self, run: &mut Vec<usize>, n_spans: usize) {
        if run.len() < MEMBERS_MIN {
            run.clear();
            return;
        }
        self.group_of.resize(n_spans, NONE);
        let group = u32::try_from(self.members.len()).expect("no more groups than spans");
        for &member in run.iter() {
            self.group_of[member] = group;
        }
        self.members.push(std::mem::take(run));
    }

    /// The first member of each group.
    pub(crate) fn firsts(&self) -> impl Iterator<Item = usize> {
        self.members
            .iter()
            .filter_map(|members| members.first().copied())
    }

    /// The first member of the group a row's span is in.
    pub(crate) fn first_of(&self, span_idx: usize) -> Option<usize> {
        self.members_at(span_idx)?.first().copied()
    }

    /// The members of the group that begins with `first`; none when no group does.
    pub(crate) fn members(&self, first: usize) -> &[usize] {
        self.members_at(first)
            .filter(|members| members.first() == Some(&first))
            .unwrap_or_default()
    }

    fn members_at(&self, span_idx: usize) -> Option<&[usize]> {
        let group = *self.group_of.get(span_idx)?;
        (group != NONE).then(|| self.members[group as usize].as_slice())
    }
}

fn is_same(trace: &Trace, a: usize, b: usize) -> bool {
    trace.service_idx(a) == trace.service_idx(b) && trace.span(a).name == trace.span(b).name
}
