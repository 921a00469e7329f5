//! The forest as it is drawn: spans, pairs of them, groups, the row above orphans, and what is above
//! all rows.

use std::ops::Range;

use longpole_analysis::Analysis;
use longpole_proto::{Attachment, Trace};

use super::Options;
use super::extent::Extent;
use super::group::Groups;
use super::pair;
use super::shown::Shown;

/// What a row can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Node {
    /// Above all rows; no row itself.
    Top,
    /// The row above the spans whose parent is not stored.
    Missing,
    /// A span; for a pair its entry.
    Span(usize),
    /// The group whose first member this is.
    Group(usize),
}

/// The nodes under one another, with sums over what is under each.
pub(crate) struct Tree<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) analysis: &'a Analysis,
    /// The spans whose parent is not stored, in pre-order.
    pub(crate) orphans: Vec<usize>,
    groups: Groups,
    /// The spans that are looked at.
    spans: Range<usize>,
    /// What stands at the top, when it is not what stands on its own.
    root: Option<Node>,
    shown: Shown,
    /// By span, whether it is shown; empty when all are.
    is_shown: Vec<bool>,
    /// By position in pre-order: the sums over all spans before it.
    before: Vec<Under>,
}

/// What is under a node, itself included; all but critical time only of spans that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Under {
    pub(crate) critical_nanos: u64,
    pub(crate) n_spans: u64,
    pub(crate) n_errors: u64,
    /// How many have the words that are looked for.
    pub(crate) n_matches: u64,
}

impl Under {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            critical_nanos: self.critical_nanos.saturating_add(other.critical_nanos),
            n_spans: self.n_spans + other.n_spans,
            n_errors: self.n_errors + other.n_errors,
            n_matches: self.n_matches + other.n_matches,
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            critical_nanos: self.critical_nanos.saturating_sub(other.critical_nanos),
            n_spans: self.n_spans.saturating_sub(other.n_spans),
            n_errors: self.n_errors.saturating_sub(other.n_errors),
            n_matches: self.n_matches.saturating_sub(other.n_matches),
        }
    }
}

impl<'a> Tree<'a> {
    /// Of the spans that `shown` means; the request's root, the slowest hop and what is selected are
    /// always there.
    pub(crate) fn of(
        trace: &'a Trace,
        analysis: &'a Analysis,
        options: &Options,
        extent: &Extent,
    ) -> Self {
        let root = options
            .root
            .map(|root| Node::Span(pair::row_span(analysis, root)));
        let hot = analysis.hops[analysis.slowest_hop].entry_idx;
        let critical_nanos = extent.critical_nanos(analysis);
        let top = options.root.unwrap_or(trace.request_root());
        let always = [top, hot].into_iter().chain(options.selected);
        let is_shown = options.shown.spans(trace, extent, &critical_nanos, always);
        let shows = |at: usize| extent.spans.contains(&at) && shows(&is_shown, at);
        let mut before = Vec::with_capacity(trace.len() + 1);
        let mut sum = Under::default();
        before.push(sum);
        for (at, &nanos) in critical_nanos.iter().enumerate() {
            let is_shown = u64::from(shows(at));
            sum = sum.plus(Under {
                critical_nanos: nanos,
                n_spans: is_shown,
                n_errors: is_shown * u64::from(trace.span(at).is_error()),
                n_matches: is_shown * u64::from(options.is_match(at)),
            });
            before.push(sum);
        }
        let is_orphan =
            |&at: &usize| root.is_none() && trace.attachment(at) == Attachment::Orphan && shows(at);
        let orphans = trace.roots().iter().copied().filter(is_orphan).collect();
        Self {
            trace,
            analysis,
            orphans,
            shown: options.shown,
            groups: Groups::of(trace, analysis, extent.spans.clone(), shows),
            spans: extent.spans.clone(),
            root,
            is_shown,
            before,
        }
    }

    /// The node of the row a span has, or would have.
    pub(crate) fn node_of(&self, span_idx: usize) -> Node {
        Node::Span(pair::row_span(self.analysis, span_idx))
    }

    /// Whether a span has a row, or is folded into one.
    pub(crate) fn shows(&self, span_idx: usize) -> bool {
        self.spans.contains(&span_idx) && shows(&self.is_shown, span_idx)
    }

    /// Whether a span has what is looked for.
    pub(crate) fn is_match(&self, span_idx: usize) -> bool {
        self.before[span_idx].n_matches < self.before[span_idx + 1].n_matches
    }

    /// How many spans are looked at.
    pub(crate) fn n_spans(&self) -> usize {
        self.spans.len()
    }

    /// Whether only some spans are shown.
    pub(crate) fn is_partial(&self) -> bool {
        self.shown != Shown::Story
    }

    /// Whether a group's row opens like others: where errors are looked for, when some lie below its
    /// members.
    pub(crate) fn is_way_to_errors(&self, group: Node) -> bool {
        let members = self.members(group);
        let of_members = members.iter().flat_map(|&at| {
            let client = pair::client_of(self.analysis, at);
            client.into_iter().chain([at])
        });
        let n_errors = of_members.filter(|&at| self.trace.span(at).is_error());
        self.shown == Shown::Errors && self.under(group).n_errors > n_errors.count() as u64
    }

    /// All groups.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Node> {
        self.groups.firsts().map(Node::Group)
    }

    /// The children of a span that are shown.
    fn shown_children(&self, span_idx: usize) -> impl Iterator<Item = usize> {
        let children = self.trace.children(span_idx);
        children.filter(|&child| self.shows(child))
    }

    /// Whether a node is one of this tree's.
    pub(crate) fn has(&self, node: Node) -> bool {
        match node {
            Node::Top => true,
            Node::Missing => !self.orphans.is_empty(),
            Node::Span(at) => self.node_of(at) == node && self.shows(self.upper(at)),
            Node::Group(first) => !self.groups.members(first).is_empty(),
        }
    }

    /// The members of a group, in order; none for other nodes.
    pub(crate) fn members(&self, node: Node) -> &[usize] {
        match node {
            Node::Group(first) => self.groups.members(first),
            Node::Top | Node::Missing | Node::Span(_) => &[],
        }
    }

    /// The upper span of a row: the client of a pair, else the span itself.
    fn upper(&self, span_idx: usize) -> usize {
        pair::client_of(self.analysis, span_idx).unwrap_or(span_idx)
    }

    pub(crate) fn parent(&self, node: Node) -> Option<Node> {
        let above = |at: usize| {
            let upper = self.upper(at);
            if upper == self.spans.start && self.root.is_some() {
                return Node::Top;
            }
            match (self.trace.parent(upper), self.trace.attachment(upper)) {
                (Some(parent), _) => Node::Span(parent),
                (None, Attachment::Orphan) => Node::Missing,
                (None, _) => Node::Top,
            }
        };
        match node {
            Node::Top => None,
            Node::Missing => Some(Node::Top),
            Node::Group(first) => Some(above(first)),
            Node::Span(at) => Some(match self.groups.first_of(at) {
                Some(first) => Node::Group(first),
                None => above(at),
            }),
        }
    }

    /// A node's children in order; the row above orphans stands where the first of them would.
    pub(crate) fn children(&self, node: Node) -> Vec<Node> {
        // A span's own row, or its group's where the first of that stands.
        let row = |at: usize| {
            let at = pair::row_span(self.analysis, at);
            match self.groups.first_of(at) {
                Some(first) => (first == at).then_some(Node::Group(at)),
                None => Some(Node::Span(at)),
            }
        };
        match node {
            Node::Span(at) => self.shown_children(at).filter_map(row).collect(),
            Node::Group(_) => {
                let members = self.members(node).iter();
                members.copied().map(Node::Span).collect()
            }
            Node::Missing => self.orphans.iter().copied().filter_map(row).collect(),
            Node::Top if self.root.is_some() => self.root.into_iter().collect(),
            Node::Top => {
                let first_orphan = self.orphans.first().copied();
                let roots = self.trace.roots().iter().copied();
                let roots = roots.filter(|&root| self.shows(root));
                roots
                    .filter_map(|root| match self.trace.attachment(root) {
                        Attachment::Orphan => (Some(root) == first_orphan).then_some(Node::Missing),
                        _ => row(root),
                    })
                    .collect()
            }
        }
    }

    pub(crate) fn has_children(&self, node: Node) -> bool {
        match node {
            Node::Span(at) => self.shown_children(at).next().is_some(),
            Node::Missing => !self.orphans.is_empty(),
            Node::Top | Node::Group(_) => true,
        }
    }

    /// A node and all below it, as a run of the pre-order; empty for what is no such run.
    pub(crate) fn run(&self, node: Node) -> Range<usize> {
        let of_row = |at: usize| self.trace.subtree(self.upper(at));
        match node {
            Node::Top => self.spans.clone(),
            Node::Missing => 0..0,
            Node::Span(at) => of_row(at),
            Node::Group(first) => {
                let last = self.members(node).last().copied().unwrap_or(first);
                of_row(first).start..of_row(last).end
            }
        }
    }

    pub(crate) fn under(&self, node: Node) -> Under {
        let of_run = |run: Range<usize>| self.before[run.end].minus(self.before[run.start]);
        match node {
            Node::Missing => self
                .orphans
                .iter()
                .map(|&orphan| of_run(self.trace.subtree(orphan)))
                .fold(Under::default(), Under::plus),
            Node::Top | Node::Span(_) | Node::Group(_) => of_run(self.run(node)),
        }
    }
}

fn shows(is_shown: &[bool], span_idx: usize) -> bool {
    is_shown.get(span_idx).copied().unwrap_or(true)
}
