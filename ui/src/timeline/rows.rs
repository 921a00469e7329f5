//! The rows of a story, from top to bottom.

use longpole_proto::UnixNanos;

use super::bar::Bar;
use super::pair::{self, Call};
use super::row::{Marks, Row, RowKind, Toggle};
use super::story::{Expansion, Item, Story};
use super::target::Target;
use super::tree::{Node, Tree, Under};
use super::window::Window;

/// How many stretches of self time all bars together draw, about.
const STRETCHES_MAX: usize = 1_200;
/// How many one bar draws at least, and at most.
const STRETCHES_PER_BAR: (usize, usize) = (6, 24);

/// How many stretches of self time each of `n_rows` bars draws.
pub(super) fn stretches_max(n_rows: usize) -> usize {
    let (least, most) = STRETCHES_PER_BAR;
    (STRETCHES_MAX / n_rows.max(1)).clamp(least, most)
}

/// What some rows are marked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked {
    pub(crate) hot: Target,
    /// Only what took more than all else in the hop.
    pub(crate) culprit: Option<Target>,
    pub(crate) selected: Option<Target>,
}

impl Marked {
    fn of(&self, story: &Story, node: Node) -> Marks {
        let shows = |target: Option<Target>| target.is_some_and(|target| story.shows(node, target));
        Marks {
            is_hot: shows(Some(self.hot)),
            is_culprit: shows(self.culprit),
            is_match: false,
            is_selected: shows(self.selected),
        }
    }
}

/// The rows of a story, and by span the row it stands in.
pub(crate) fn rows(
    tree: &Tree<'_>,
    story: &Story,
    window: &Window,
    marked: Marked,
) -> (Vec<Row>, RowOf) {
    let mut builder = Builder {
        tree,
        story,
        window,
        marked,
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
            Item::Levels { nodes, bottom } => {
                builder.levels(&nodes, bottom, depth);
                waiting.push((Item::Row(bottom), depth + 1));
            }
        }
    }
    builder.finish()
}

const NO_ROW: u32 = u32::MAX;

/// By span, the row it stands in.
pub(super) struct RowOf(Vec<u32>);

impl RowOf {
    /// The row a span stands in; `None` when it is not looked at.
    pub(super) fn row(&self, span_idx: usize) -> Option<usize> {
        let row = self.0[span_idx];
        (row != NO_ROW).then_some(row as usize)
    }
}

struct Builder<'a> {
    tree: &'a Tree<'a>,
    story: &'a Story,
    window: &'a Window,
    marked: Marked,
    rows: Vec<Row>,
    row_of: Vec<u32>,
}

impl Builder<'_> {
    /// Notes that a row's spans (and what is under them and has no own row) stand in the row added
    /// next.
    fn stands_here(&mut self, span_idx: usize) {
        let row = u32::try_from(self.rows.len()).expect("no more rows than spans and folds");
        self.row_of[span_idx] = row;
        if let Some(client_idx) = pair::client_of(self.tree.analysis, span_idx) {
            self.row_of[client_idx] = row;
        }
    }

    fn node(&mut self, node: Node, depth: usize) {
        let under = self.tree.under(node);
        let is_open = self.story.is_open(node);
        let has_children = self.tree.has_children(node);
        let toggle = match (has_children, is_open) {
            (false, _) => Toggle::None,
            (true, true) if self.story.is_opened_by_hand(node) => Toggle::Close(node),
            (true, true) => Toggle::Open,
            (true, false) => Toggle::Expand(Expansion { node, page: 1 }),
        };
        let folded = if has_children && !is_open {
            under
        } else {
            Under::default()
        };
        let (kind, bar) = match node {
            Node::Span(span_idx) => {
                self.stands_here(span_idx);
                let span = self.tree.trace.span(span_idx);
                (
                    self.span_kind(span_idx, folded),
                    Bar::of(self.window, span.start, span.end),
                )
            }
            Node::Group(first) => {
                if !is_open {
                    for &member in self.tree.members(node) {
                        self.stands_here(member);
                    }
                }
                let (start, end) = self.extent(self.tree.members(node).iter().copied());
                let elapsed_nanos = end.nanos_since(start);
                (
                    self.group_kind(first, folded, elapsed_nanos),
                    Bar::of(self.window, start, end),
                )
            }
            Node::Missing | Node::Top => {
                for &orphan in &self.tree.orphans {
                    self.stands_here(orphan);
                }
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

    fn span_kind(&self, span_idx: usize, folded: Under) -> RowKind {
        let (trace, analysis) = (self.tree.trace, self.tree.analysis);
        let client_idx = pair::client_of(analysis, span_idx);
        let mut itself = Under::default();
        for at in client_idx.into_iter().chain([span_idx]) {
            itself.n_spans += 1;
            itself.n_errors += u64::from(trace.span(at).is_error());
            itself.n_matches += u64::from(self.tree.is_match(at));
        }
        let mut marks = self.marked.of(self.story, Node::Span(span_idx));
        marks.is_match = itself.n_matches > 0;
        RowKind::Span {
            span_idx,
            client_idx,
            call: Call::of(trace, analysis, span_idx),
            marks,
            folded: folded.minus(itself),
        }
    }

    fn group_kind(&self, first: usize, folded: Under, elapsed_nanos: u64) -> RowKind {
        let node = Node::Group(first);
        let mut nanos: Vec<u64> = self.took(self.tree.members(node)).collect();
        nanos.sort_unstable();
        RowKind::Group {
            first,
            n_calls: nanos.len(),
            marks: self.marked.of(self.story, node),
            folded,
            total_nanos: nanos.iter().copied().fold(0, u64::saturating_add),
            median_nanos: nanos[(nanos.len() - 1) / 2],
            max_nanos: nanos[nanos.len() - 1],
            elapsed_nanos,
        }
    }

    /// How long the calls took whose rows these are.
    fn took(&self, spans: &[usize]) -> impl Iterator<Item = u64> {
        let (trace, analysis) = (self.tree.trace, self.tree.analysis);
        spans
            .iter()
            .map(|&span_idx| Call::of(trace, analysis, span_idx).nanos)
    }

    fn fold(&mut self, children: &[Node], expand: Expansion, depth: usize) {
        let mut folded = Under::default();
        let mut spans: Vec<usize> = Vec::with_capacity(children.len());
        for &child in children {
            folded = folded.plus(self.tree.under(child));
            match child {
                Node::Span(span_idx) => spans.push(span_idx),
                Node::Group(_) => spans.extend(self.tree.members(child)),
                Node::Missing | Node::Top => spans.extend(&self.tree.orphans),
            }
        }
        for &span_idx in &spans {
            self.stands_here(span_idx);
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
        let (start, end) = self.extent(spans.iter().copied());
        self.rows.push(Row {
            kind: RowKind::Fold {
                operation_of,
                n_calls: spans.len(),
                is_all: children.len() == self.tree.children(expand.node).len(),
                folded,
                total_nanos: self.took(&spans).fold(0, u64::saturating_add),
                elapsed_nanos: end.nanos_since(start),
            },
            depth,
            toggle: Toggle::Expand(expand),
            bar: Bar::of(self.window, start, end),
            on_path: folded.critical_nanos > 0,
        });
    }

    fn levels(&mut self, nodes: &[Node], bottom: Node, depth: usize) {
        let top = nodes.last().copied().unwrap_or(bottom);
        let mut spans: Vec<usize> = Vec::with_capacity(nodes.len());
        for &node in nodes {
            match node {
                Node::Span(span_idx) => spans.push(span_idx),
                // What is beside the way stands here as well.
                Node::Group(_) => {
                    for &member in self.tree.members(node) {
                        self.stands_here(member);
                    }
                }
                Node::Missing | Node::Top => {}
            }
        }
        for &span_idx in &spans {
            self.stands_here(span_idx);
        }
        let folded = self.tree.under(top).minus(self.tree.under(bottom));
        let middle = nodes.get(nodes.len() / 2).copied().unwrap_or(bottom);
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

    /// From the earliest start to the latest end of some rows' spans.
    fn extent(&self, spans: impl Iterator<Item = usize>) -> (UnixNanos, UnixNanos) {
        let client_of = |span_idx| pair::client_of(self.tree.analysis, span_idx);
        let spans = spans.flat_map(|span_idx| client_of(span_idx).into_iter().chain([span_idx]));
        let spans = spans.map(|span_idx| self.tree.trace.span(span_idx));
        let extent = spans.map(|span| (span.start, span.end.max(span.start)));
        extent
            .reduce(|(start, end), (from, to)| (start.min(from), end.max(to)))
            .unwrap_or_default()
    }

    fn finish(mut self) -> (Vec<Row>, RowOf) {
        // Parents stand before their children, clients before their pair's entry.
        for span_idx in 0..self.row_of.len() {
            if self.row_of[span_idx] == NO_ROW
                && let Some(parent) = self.tree.trace.parent(span_idx)
            {
                self.row_of[span_idx] = self.row_of[parent];
            }
        }
        debug_assert!(
            self.row_of
                .iter()
                .enumerate()
                .all(|(at, &row)| row != NO_ROW || !self.tree.shows(at)),
            "every span that is shown stands in a row"
        );
        // How much detail a bar may have depends on how many there are.
        let n_stretches_max = stretches_max(self.rows.len());
        for row in &mut self.rows {
            if let RowKind::Span {
                span_idx,
                client_idx,
                ..
            } = row.kind
            {
                row.bar = Bar::of_span(
                    self.tree.trace,
                    self.tree.analysis,
                    self.window,
                    span_idx,
                    client_idx,
                    n_stretches_max,
                );
            }
        }
        (self.rows, RowOf(self.row_of))
    }
}
