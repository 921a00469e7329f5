//! What a story must show: the request's root, the slowest hop, the culprit, the selected span.

use longpole_analysis::Analysis;

use super::tree::{Node, Tree};

/// A span that is shown, or stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its row.
    pub(crate) node: Node,
    /// The group whose row stands for it while that is closed.
    pub(crate) stand_in: Option<Node>,
}

impl Target {
    /// A span with a row of its own, whatever group it is in.
    pub(crate) fn of(tree: &Tree<'_>, span_idx: usize) -> Self {
        Self {
            node: tree.node_of(span_idx),
            stand_in: None,
        }
    }

    /// The slowest hop's entry; the row of a group it is a member of stands for it.
    pub(crate) fn hot(tree: &Tree<'_>) -> Self {
        Self::or_group(tree, hot_idx(tree.analysis))
    }

    /// A span; the row of a group it is a member of stands for it.
    pub(crate) fn or_group(tree: &Tree<'_>, span_idx: usize) -> Self {
        let node = tree.node_of(span_idx);
        Self {
            node,
            stand_in: tree.parent(node).filter(|above| is_group(*above)),
        }
    }

    /// What took most of the slowest hop's time. The row of a group stands for it that it is a
    /// member of, or that has its spans under several members.
    pub(crate) fn culprit(tree: &Tree<'_>) -> Self {
        let spans = &tree.analysis.culprit.span_idxs;
        let n_in = |node: Node| {
            let run = tree.run(node);
            spans.partition_point(|&at| at < run.end) - spans.partition_point(|&at| at < run.start)
        };
        let node = tree.node_of(culprit_idx(tree.analysis));
        let (mut stand_in, mut at) = (None, node);
        while let Some(above) = tree.parent(at) {
            if is_group(above) && (at == node || n_in(above) > n_in(at)) {
                stand_in = Some(above);
            }
            at = above;
        }
        Self { node, stand_in }
    }
}

fn is_group(node: Node) -> bool {
    matches!(node, Node::Group(_))
}

/// The slowest hop's entry span.
pub(super) fn hot_idx(analysis: &Analysis) -> usize {
    analysis.hops[analysis.slowest_hop].entry_idx
}

/// The culprit's span that has most of its time, when it took more than all else in its hop.
pub(super) fn main_culprit_idx(analysis: &Analysis) -> Option<usize> {
    let hop = &analysis.hops[analysis.slowest_hop];
    let nanos = analysis.culprit.nanos;
    (nanos > hop.nanos.saturating_sub(nanos)).then(|| culprit_idx(analysis))
}

/// The culprit's span that has most of its time; among equals the first.
fn culprit_idx(analysis: &Analysis) -> usize {
    let spans = analysis.culprit.span_idxs.iter().copied();
    spans
        .rev()
        .max_by_key(|&span_idx| analysis.critical_nanos[span_idx])
        .unwrap_or_else(|| hot_idx(analysis))
}
