//! The forest as it is drawn: spans, the row above orphans, and what is above all rows.

use longpole_analysis::Analysis;
use longpole_proto::{Attachment, Trace};

/// What a row can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Node {
    /// Above all rows; no row itself.
    Top,
    /// The row above the spans whose parent is not stored.
    Missing,
    /// A span.
    Span(usize),
}

/// The nodes under one another, with sums over what is under each.
pub(crate) struct Tree<'a> {
    pub(crate) trace: &'a Trace,
    pub(crate) analysis: &'a Analysis,
    /// The spans whose parent is not stored, in pre-order.
    pub(crate) orphans: Vec<usize>,
    /// By position in pre-order: the critical time of all spans before it.
    critical_before: Vec<u64>,
    /// By position in pre-order: how many spans before it failed.
    errors_before: Vec<u64>,
}

/// What is under a node, itself included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Under {
    pub(crate) critical_nanos: u64,
    pub(crate) n_spans: u64,
    pub(crate) n_errors: u64,
}

impl Under {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            critical_nanos: self.critical_nanos.saturating_add(other.critical_nanos),
            n_spans: self.n_spans + other.n_spans,
            n_errors: self.n_errors + other.n_errors,
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            critical_nanos: self.critical_nanos.saturating_sub(other.critical_nanos),
            n_spans: self.n_spans.saturating_sub(other.n_spans),
            n_errors: self.n_errors.saturating_sub(other.n_errors),
        }
    }
}

impl<'a> Tree<'a> {
    pub(crate) fn of(trace: &'a Trace, analysis: &'a Analysis) -> Self {
        let mut critical_before = Vec::with_capacity(trace.len() + 1);
        let mut errors_before = Vec::with_capacity(trace.len() + 1);
        let (mut critical, mut errors) = (0_u64, 0_u64);
        critical_before.push(0);
        errors_before.push(0);
        for (span, nanos) in trace.spans().iter().zip(&analysis.critical_nanos) {
            critical = critical.saturating_add(*nanos);
            errors += u64::from(span.is_error());
            critical_before.push(critical);
            errors_before.push(errors);
        }
        let is_orphan = |&root: &usize| trace.attachment(root) == Attachment::Orphan;
        let orphans = trace.roots().iter().copied().filter(is_orphan).collect();
        Self {
            trace,
            analysis,
            orphans,
            critical_before,
            errors_before,
        }
    }

    pub(crate) fn parent(&self, node: Node) -> Option<Node> {
        match node {
            Node::Top => None,
            Node::Missing => Some(Node::Top),
            Node::Span(at) => Some(match (self.trace.parent(at), self.trace.attachment(at)) {
                (Some(parent), _) => Node::Span(parent),
                (None, Attachment::Orphan) => Node::Missing,
                (None, _) => Node::Top,
            }),
        }
    }

    /// A node's children in order; the row above orphans stands where the first of them would.
    pub(crate) fn children(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Span(at) => self.trace.children(at).map(Node::Span).collect(),
            Node::Missing => self.orphans.iter().copied().map(Node::Span).collect(),
            Node::Top => {
                let first_orphan = self.orphans.first().copied();
                let roots = self.trace.roots().iter().copied();
                roots
                    .filter_map(|root| match self.trace.attachment(root) {
                        Attachment::Orphan => (Some(root) == first_orphan).then_some(Node::Missing),
                        _ => Some(Node::Span(root)),
                    })
                    .collect()
            }
        }
    }

    pub(crate) fn has_children(&self, node: Node) -> bool {
        match node {
            Node::Span(at) => self.trace.subtree(at).len() > 1,
            Node::Missing => !self.orphans.is_empty(),
            Node::Top => true,
        }
    }

    pub(crate) fn under(&self, node: Node) -> Under {
        let of_run = |run: std::ops::Range<usize>| Under {
            critical_nanos: self.critical_before[run.end] - self.critical_before[run.start],
            n_spans: run.len() as u64,
            n_errors: self.errors_before[run.end] - self.errors_before[run.start],
        };
        match node {
            Node::Span(at) => of_run(self.trace.subtree(at)),
            Node::Missing => self
                .orphans
                .iter()
                .map(|&orphan| of_run(self.trace.subtree(orphan)))
                .fold(Under::default(), Under::plus),
            Node::Top => of_run(0..self.trace.len()),
        }
    }
}
