//! The rows of a story, from top to bottom.

use longpole_analysis::Analysis;
use longpole_proto::UnixNanos;

use super::bar::Bar;
use super::story::{Expansion, Item, Story};
use super::tree::{Node, Tree, Under};
use super::window::Window;

/// How many stretches of self time all bars together draw, about.
const STRETCHES_MAX: usize = 1_200;
/// How many one bar draws at least, and at most.
const STRETCHES_PER_BAR: (usize, usize) = (6, 24);

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What it stands for.
    pub(crate) kind: RowKind,
    /// How far it is indented; the topmost rows are at 0.
    pub(crate) depth: usize,
    /// What opens or closes it.
    pub(crate) toggle: Toggle,
    /// Its bar.
    pub(crate) bar: Bar,
    /// Whether it or what is under it is on the critical path.
    pub(crate) on_path: bool,
}

/// What a row stands for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowKind {
    /// A span.
    Span {
        /// Which.
        span_idx: usize,
        /// Whether it is the slowest hop's entry.
        is_hot: bool,
        /// Whether it is what took most of the slowest hop's time.
        is_culprit: bool,
        /// Whether its details are shown.
        is_selected: bool,
        /// What is under it and has no row, itself not counted; nothing when it is open.
        folded: Under,
    },
    /// The spans below name parents that are not stored.
    Missing {
        /// How many name one.
        n_orphans: usize,
        /// What is under the row and not shown; nothing when it is open.
        folded: Under,
    },
    /// Siblings that are folded.
    Fold {
        /// How many siblings.
        n_calls: usize,
        /// Whether they are all their parent has.
        is_all: bool,
        /// They and what is under them.
        folded: Under,
        /// How long they took, one by one.
        total_nanos: u64,
        /// How long it was from the first one's start to the last one's end.
        elapsed_nanos: u64,
        /// The first of them, when all are of one operation.
        operation_of: Option<usize>,
    },
    /// Levels that are left out on the way down to the next row.
    Levels {
        /// How many.
        n_levels: usize,
        /// They and what hangs beside the way.
        folded: Under,
    },
}

/// What opens or closes a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toggle {
    /// Nothing is under it.
    None,
    /// It is open, and stays so.
    Open,
    /// It was opened by hand.
    Close(Node),
    /// It is closed.
    Expand(Expansion),
}

/// The culprit's span that has most of its time; among equals the first.
pub(crate) fn culprit_idx(analysis: &Analysis) -> usize {
    let spans = &analysis.culprit.span_idxs;
    spans
        .iter()
        .copied()
        .rev()
        .max_by_key(|&span_idx| analysis.critical_nanos[span_idx])
        .unwrap_or(analysis.hops[analysis.slowest_hop].entry_idx)
}

/// The rows of a story, and by span the row it stands in.
pub(crate) fn rows(
    tree: &Tree<'_>,
    story: &Story,
    window: &Window,
    selected: Option<usize>,
) -> (Vec<Row>, Vec<u32>) {
    let mut builder = Builder {
        tree,
        story,
        window,
        selected,
        rows: Vec::new(),
        row_of: vec![NO_ROW; tree.trace.len()],
    };
    let mut waiting: Vec<(Item, usize)> = Vec::new();
    let push_items = |waiting: &mut Vec<(Item, usize)>, node, depth| {
        waiting.extend(
            story
                .items(tree, node)
                .into_iter()
                .rev()
                .map(|item| (item, depth)),
        );
    };
    push_items(&mut waiting, Node::Top, 0);
    while let Some((item, depth)) = waiting.pop() {
        match item {
            Item::Row(node) => {
                builder.node(node, depth);
                if story.is_open(node) {
                    push_items(&mut waiting, node, depth + 1);
                }
            }
            Item::Fold { children, expand } => builder.fold(&children, expand, depth),
            Item::Levels { spans, bottom } => {
                builder.levels(&spans, bottom, depth);
                waiting.push((Item::Row(bottom), depth + 1));
            }
        }
    }
    builder.finish()
}

const NO_ROW: u32 = u32::MAX;

struct Builder<'a> {
    tree: &'a Tree<'a>,
    story: &'a Story,
    window: &'a Window,
    selected: Option<usize>,
    rows: Vec<Row>,
    row_of: Vec<u32>,
}

impl Builder<'_> {
    /// Notes that a span (and what is under it and has no own row) stands in the row added next.
    fn stands_here(&mut self, span_idx: usize) {
        self.row_of[span_idx] =
            u32::try_from(self.rows.len()).expect("no more rows than spans and folds");
    }

    fn node(&mut self, node: Node, depth: usize) {
        let under = self.tree.under(node);
        let is_open = self.story.is_open(node);
        let toggle = match (self.tree.has_children(node), is_open) {
            (false, _) => Toggle::None,
            (true, true) if self.story.is_opened_by_hand(node) => Toggle::Close(node),
            (true, true) => Toggle::Open,
            (true, false) => Toggle::Expand(Expansion { node, page: 1 }),
        };
        let (kind, bar) = match node {
            Node::Span(span_idx) => {
                self.stands_here(span_idx);
                let span = self.tree.trace.span(span_idx);
                (
                    self.span_kind(span_idx, under, is_open),
                    Bar::of(self.window, span.start, span.end),
                )
            }
            Node::Missing | Node::Top => {
                for &orphan in &self.tree.orphans {
                    self.stands_here(orphan);
                }
                let folded = if is_open { Under::default() } else { under };
                let (start, end) = self.extent(self.tree.orphans.iter().copied());
                let kind = RowKind::Missing {
                    n_orphans: self.tree.orphans.len(),
                    folded,
                };
                (kind, Bar::of(self.window, start, end))
            }
        };
        self.rows.push(Row {
            kind,
            depth,
            toggle,
            bar,
            on_path: under.critical_nanos > 0,
        });
    }

    fn span_kind(&self, span_idx: usize, under: Under, is_open: bool) -> RowKind {
        let analysis = self.tree.analysis;
        let hop = &analysis.hops[analysis.slowest_hop];
        let is_error = self.tree.trace.span(span_idx).is_error();
        let itself = Under {
            critical_nanos: 0,
            n_spans: 1,
            n_errors: u64::from(is_error),
        };
        RowKind::Span {
            span_idx,
            is_hot: span_idx == hop.entry_idx,
            is_culprit: span_idx == culprit_idx(analysis)
                && analysis.culprit.nanos > hop.nanos.saturating_sub(analysis.culprit.nanos),
            is_selected: self.selected == Some(span_idx),
            folded: if is_open {
                Under::default()
            } else {
                under.minus(itself)
            },
        }
    }

    fn fold(&mut self, children: &[Node], expand: Expansion, depth: usize) {
        let mut folded = Under::default();
        let mut total_nanos = 0_u64;
        let mut spans: Vec<usize> = Vec::with_capacity(children.len());
        for &child in children {
            folded = folded.plus(self.tree.under(child));
            match child {
                Node::Span(span_idx) => spans.push(span_idx),
                Node::Missing | Node::Top => spans.extend(&self.tree.orphans),
            }
        }
        for &span_idx in &spans {
            self.stands_here(span_idx);
            total_nanos =
                total_nanos.saturating_add(self.tree.trace.span(span_idx).duration_nanos());
        }
        let operation = |span_idx: usize| {
            (
                self.tree.trace.service_idx(span_idx),
                &self.tree.trace.span(span_idx).name,
            )
        };
        let first = spans.first().copied();
        let operation_of = first.filter(|&first| {
            spans
                .iter()
                .all(|&span_idx| operation(span_idx) == operation(first))
        });
        let (start, end) = self.extent(spans.into_iter());
        self.rows.push(Row {
            kind: RowKind::Fold {
                operation_of,
                n_calls: children.len(),
                is_all: children.len() == self.tree.children(expand.node).len(),
                folded,
                total_nanos,
                elapsed_nanos: end.nanos_since(start),
            },
            depth,
            toggle: Toggle::Expand(expand),
            bar: Bar::of(self.window, start, end),
            on_path: folded.critical_nanos > 0,
        });
    }

    fn levels(&mut self, spans: &[usize], bottom: Node, depth: usize) {
        let top = spans
            .last()
            .map_or(bottom, |&span_idx| Node::Span(span_idx));
        for &span_idx in spans {
            self.stands_here(span_idx);
        }
        let folded = self.tree.under(top).minus(self.tree.under(bottom));
        let middle = spans
            .get(spans.len() / 2)
            .map_or(bottom, |&span_idx| Node::Span(span_idx));
        let (start, end) = self.extent(spans.iter().copied());
        self.rows.push(Row {
            kind: RowKind::Levels {
                n_levels: spans.len(),
                folded,
            },
            depth,
            toggle: Toggle::Expand(Expansion {
                node: middle,
                page: 1,
            }),
            bar: Bar::of(self.window, start, end),
            on_path: folded.critical_nanos > 0,
        });
    }

    /// From the earliest start to the latest end of some spans.
    fn extent(&self, spans: impl Iterator<Item = usize>) -> (UnixNanos, UnixNanos) {
        let spans = spans.map(|span_idx| self.tree.trace.span(span_idx));
        let extent = spans.map(|span| (span.start, span.end.max(span.start)));
        extent
            .reduce(|(start, end), (from, to)| (start.min(from), end.max(to)))
            .unwrap_or_default()
    }

    fn finish(mut self) -> (Vec<Row>, Vec<u32>) {
        // Parents stand before their children.
        for span_idx in 0..self.row_of.len() {
            if self.row_of[span_idx] == NO_ROW
                && let Some(parent) = self.tree.trace.parent(span_idx)
            {
                self.row_of[span_idx] = self.row_of[parent];
            }
        }
        debug_assert!(
            self.row_of.iter().all(|&row| row != NO_ROW),
            "every span stands in a row"
        );
        // How much detail a bar may have depends on how many there are.
        let (least, most) = STRETCHES_PER_BAR;
        let n_stretches_max = (STRETCHES_MAX / self.rows.len().max(1)).clamp(least, most);
        for row in &mut self.rows {
            if let RowKind::Span { span_idx, .. } = row.kind {
                row.bar = Bar::of_span(self.tree, self.window, span_idx, n_stretches_max);
            }
        }
        (self.rows, self.row_of)
    }
}
