//! Which rows tell the story: the ways to what matters, then whatever took most of the time.
//!
//! A small trace is shown whole, but for what is in its groups. Of a large one, the *targets* (slowest hop, culprit, selected span,
//! rows opened by hand) and the ways down to them are always there; a way that is too long leaves
//! out its middle. Then rows are opened, the one with most critical time under it first, while
//! there is room. Of many children only the most important are kept; the rest are folded where
//! they stand.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use foldhash::{HashMap, HashSet, HashSetExt as _};

use super::list::{PAGE_ROWS, Page};
use super::target::Target;
use super::tree::{Node, Tree};

/// Up to how many spans a trace is shown whole.
pub(crate) const WHOLE_SPANS_MAX: usize = 60;
/// How many rows are shown of a larger one, not counting what is opened by hand; a page of rows that
/// all have their tags keeps below 1,500 elements and 10 KiB compressed.
pub(crate) const ROWS_MAX: usize = 90;
/// How many children of one parent are shown without folding any.
const SIBLINGS_MAX: usize = 14;
/// How many are kept when some are folded.
const SIBLINGS_KEPT: usize = 10;
/// The same where only some spans are shown.
const PARTIAL_SIBLINGS_MAX: usize = 60;
/// How many are kept then.
const PARTIAL_SIBLINGS_KEPT: usize = 40;
/// How many rows the ways down to the targets may take.
const WAY_ROWS_MAX: usize = 36;
/// How many more they may take for each row opened by hand.
const WAY_ROWS_PER_EXPANSION: usize = 24;
/// How many rows of a way are shown at least, however many ways there are.
const WAY_ROWS_MIN: usize = 6;
/// A row opens by itself when a 25th of the critical time is under it.
const OPENS_AT: u64 = 25;
/// Of many children those are kept that have at least a hundredth of the critical time under them.
const KEPT_FROM: u64 = 100;
/// Errors under a row count as a 20th of the critical time.
const ERRORS_COUNT_AS: u64 = 20;

/// A row opened by hand: its children are shown from the page'th two hundred on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expansion {
    pub(crate) node: Node,
    /// Counted from 1.
    pub(crate) page: usize,
}

/// What stands under an open row, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    /// A child's row.
    Row(Node),
    /// Children that are folded into one row.
    Fold {
        /// They.
        children: Vec<Node>,
        /// What shows them.
        expand: Expansion,
    },
    /// Levels that are left out on the way down to `bottom`, which stands under them.
    Levels {
        /// What is left out, the lowest first; at least one.
        nodes: Vec<Node>,
        /// The first row below them.
        bottom: Node,
    },
}

/// Which rows are shown.
#[derive(Default)]
pub(crate) struct Story {
    whole: bool,
    kept: HashSet<Node>,
    /// The open rows, with the page that is shown when opened by hand.
    open: HashMap<Node, Option<usize>>,
    /// By the top of the levels that are left out on a way: the first row below them.
    chains: HashMap<Node, Node>,
    n_rows: usize,
}

impl Story {
    /// Chooses the rows. `targets` are always among them, and so is what is opened by hand.
    pub(crate) fn of(tree: &Tree<'_>, targets: &[Target], expanded: &[Expansion]) -> Self {
        let mut story = Self {
            whole: tree.n_spans() <= WHOLE_SPANS_MAX,
            ..Self::default()
        };
        let wanted = wanted(tree, targets, expanded);
        if story.whole {
            story.open_groups(tree, &wanted, expanded);
            return story;
        }
        story.open_ways(
            tree,
            wanted.into_iter(),
            WAY_ROWS_MAX + WAY_ROWS_PER_EXPANSION * expanded.len(),
        );
        story.n_rows = story
            .open
            .keys()
            .map(|&node| story.items(tree, node).len())
            .sum();
        let mut rows_max = ROWS_MAX;
        for expansion in expanded {
            rows_max += story.open_page(tree, *expansion) + WAY_ROWS_PER_EXPANSION;
        }
        story.open_best(tree, rows_max);
        story
    }

    /// Whether a node's children are shown.
    pub(crate) fn is_open(&self, node: Node) -> bool {
        self.open.contains_key(&node) || (self.whole && !matches!(node, Node::Group(_)))
    }

    /// Whether the row of a node is where a target is seen.
    pub(crate) fn shows(&self, node: Node, target: Target) -> bool {
        node == target.node || (Some(node) == target.stand_in && !self.is_open(node))
    }

    /// Whether a node was opened by hand.
    pub(crate) fn is_opened_by_hand(&self, node: Node) -> bool {
        self.open.get(&node).is_some_and(Option::is_some)
    }

    /// What stands under an open node.
    pub(crate) fn items(&self, tree: &Tree<'_>, node: Node) -> Vec<Item> {
        let children = tree.children(node);
        if self.whole {
            return children.into_iter().map(Item::Row).collect();
        }
        let page = self.open.get(&node).copied().flatten();
        let paged = page.map_or(0..0, |page| Page::of(page, children.len()).rows);
        let mut items = Vec::new();
        let mut folded: Vec<Node> = Vec::new();
        let mut folded_from = 0;
        for (at, &child) in children.iter().enumerate() {
            let item = if let Some(&bottom) = self.chains.get(&child) {
                let nodes = chain(tree, child, bottom);
                Some(Item::Levels { nodes, bottom })
            } else if paged.contains(&at) || self.kept.contains(&child) {
                Some(Item::Row(child))
            } else {
                None
            };
            if let Some(item) = item {
                fold(&mut items, &mut folded, node, folded_from, page);
                items.push(item);
            } else {
                if folded.is_empty() {
                    folded_from = at;
                }
                folded.push(child);
            }
        }
        fold(&mut items, &mut folded, node, folded_from, page);
        items
    }

    /// In a trace that is shown whole, opens the groups that ways lead through, or by hand.
    fn open_groups(&mut self, tree: &Tree<'_>, wanted: &[Node], expanded: &[Expansion]) {
        for &node in wanted {
            let mut at = node;
            while let Some(above) = tree.parent(at) {
                if matches!(above, Node::Group(_)) {
                    self.open.insert(above, None);
                }
                at = above;
            }
        }
        let to_errors = tree.groups().filter(|&group| tree.is_way_to_errors(group));
        self.open.extend(to_errors.map(|group| (group, None)));
        for expansion in expanded {
            if matches!(expansion.node, Node::Group(_)) {
                self.open.insert(expansion.node, Some(expansion.page));
            }
        }
    }

    /// Keeps the wanted nodes and the ways down to them in about `rows_max` rows.
    fn open_ways(&mut self, tree: &Tree<'_>, wanted: impl Iterator<Item = Node>, rows_max: usize) {
        // Where ways end, begin or part.
        let mut joints: HashSet<Node> = HashSet::from_iter([Node::Top]);
        let mut on_way: HashSet<Node> = HashSet::from_iter([Node::Top]);
        for node in wanted {
            joints.insert(node);
            let mut at = node;
            while on_way.insert(at) {
                at = tree.parent(at).unwrap_or(Node::Top);
            }
            joints.insert(at);
        }
        let n_between = on_way.len() - joints.len();
        let mut joints: Vec<Node> = joints.into_iter().collect();
        joints.sort_unstable();
        let per_way = if on_way.len() <= rows_max {
            n_between
        } else {
            (rows_max / joints.len()).max(WAY_ROWS_MIN)
        };
        let is_joint: HashSet<Node> = joints.iter().copied().collect();
        for &joint in &joints {
            self.kept.insert(joint);
            let mut between: Vec<Node> = Vec::new();
            let mut at = tree.parent(joint);
            while let Some(node) = at.filter(|node| !is_joint.contains(node)) {
                between.push(node);
                at = tree.parent(node);
            }
            if let Some(above) = at {
                self.open.entry(above).or_insert(None);
            }
            // Lowest first: some above the joint, some below the one above, the middle left out.
            let n_low = (per_way - per_way / 2).min(between.len());
            let n_high = (per_way / 2).min(between.len() - n_low);
            let n_out = between.len() - n_low - n_high;
            let (n_low, n_out) = if n_out == 1 {
                (n_low + 1, 0)
            } else {
                (n_low, n_out)
            };
            if n_out > 0 {
                let bottom = if n_low == 0 {
                    joint
                } else {
                    between[n_low - 1]
                };
                self.chains.insert(between[n_low + n_out - 1], bottom);
            }
            for &node in between[..n_low].iter().chain(&between[n_low + n_out..]) {
                self.kept.insert(node);
                self.open.entry(node).or_insert(None);
            }
        }
    }

    /// Opens a row by hand; gives how many rows that adds.
    fn open_page(&mut self, tree: &Tree<'_>, expansion: Expansion) -> usize {
        let n_before = self
            .open
            .get(&expansion.node)
            .map_or(0, |_| self.items(tree, expansion.node).len());
        let children = tree.children(expansion.node);
        self.open.insert(expansion.node, Some(expansion.page));
        self.kept
            .extend(&children[Page::of(expansion.page, children.len()).rows]);
        let n_more = self
            .items(tree, expansion.node)
            .len()
            .saturating_sub(n_before);
        self.n_rows += n_more;
        n_more
    }

    /// Opens rows while there is room, the one with most critical time under it first.
    fn open_best(&mut self, tree: &Tree<'_>, rows_max: usize) {
        let total = tree.under(Node::Top).critical_nanos;
        let importance = |node: Node| {
            let under = tree.under(node);
            let errors = if under.n_errors > 0 {
                total / ERRORS_COUNT_AS
            } else {
                0
            };
            under.critical_nanos.saturating_add(errors)
        };
        let mut waiting: BinaryHeap<(u64, Reverse<Node>)> = BinaryHeap::new();
        waiting.extend(
            self.kept
                .iter()
                .map(|&node| (importance(node), Reverse(node))),
        );
        // Where only some spans are shown, all of them are wanted.
        let (opens_from, kept_from, siblings) = if tree.is_partial() {
            (0, 0, (PARTIAL_SIBLINGS_MAX, PARTIAL_SIBLINGS_KEPT))
        } else {
            let siblings = (SIBLINGS_MAX, SIBLINGS_KEPT);
            (total / OPENS_AT, total / KEPT_FROM, siblings)
        };
        while let Some((share, Reverse(node))) = waiting.pop() {
            if share < opens_from {
                break;
            }
            let stays_closed = matches!(node, Node::Group(_)) && !tree.is_way_to_errors(node);
            if stays_closed || self.is_opened_by_hand(node) || !tree.has_children(node) {
                continue;
            }
            let n_before = if self.is_open(node) {
                self.items(tree, node).len()
            } else {
                0
            };
            let picked = self.pick(tree.children(node), importance, kept_from, siblings);
            let was_open = self.open.insert(node, None).is_some();
            self.kept.extend(&picked);
            let n_rows = self.n_rows - n_before + self.items(tree, node).len();
            if n_rows > rows_max {
                for child in &picked {
                    self.kept.remove(child);
                }
                if !was_open {
                    self.open.remove(&node);
                }
                continue;
            }
            self.n_rows = n_rows;
            waiting.extend(
                picked
                    .into_iter()
                    .map(|child| (importance(child), Reverse(child))),
            );
        }
    }

    /// The children to show that are not shown anyway.
    fn pick(
        &self,
        children: Vec<Node>,
        importance: impl Fn(Node) -> u64,
        kept_from: u64,
        (siblings_max, siblings_kept): (usize, usize),
    ) -> Vec<Node> {
        let n_children = children.len();
        let is_hidden = |node: &Node| !self.kept.contains(node) && !self.chains.contains_key(node);
        let mut hidden: Vec<Node> = children.into_iter().filter(is_hidden).collect();
        if n_children > siblings_max {
            let n_shown = n_children - hidden.len();
            hidden.retain(|&child| importance(child) >= kept_from);
            // Stable, so that among equals the earlier stays.
            hidden.sort_by_cached_key(|&child| Reverse(importance(child)));
            hidden.truncate(siblings_kept.saturating_sub(n_shown));
        }
        hidden
    }
}

/// Ends a run of folded children, the first of which stands at `from` under `parent`.
fn fold(
    items: &mut Vec<Item>,
    folded: &mut Vec<Node>,
    parent: Node,
    from: usize,
    shown_page: Option<usize>,
) {
    if folded.is_empty() {
        return;
    }
    let children = std::mem::take(folded);
    if let [child] = children[..] {
        // A fold of one would take as much room as the one.
        items.push(Item::Row(child));
        return;
    }
    let (first, last) = (
        from / PAGE_ROWS + 1,
        (from + children.len() - 1) / PAGE_ROWS + 1,
    );
    // Behind the shown page comes the next, before it the one before.
    let page = if shown_page.is_some_and(|shown| shown > last) {
        last
    } else {
        first
    };
    items.push(Item::Fold {
        children,
        expand: Expansion { node: parent, page },
    });
}

/// The nodes from `top` down to above `bottom`, the lowest first.
fn chain(tree: &Tree<'_>, top: Node, bottom: Node) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = tree.parent(bottom);
    while let Some(node) = at {
        nodes.push(node);
        at = (node != top).then(|| tree.parent(node)).flatten();
    }
    nodes
}

/// What must have a row: the targets, or what stands in for them, and what is opened by hand.
fn wanted(tree: &Tree<'_>, targets: &[Target], expanded: &[Expansion]) -> Vec<Node> {
    let opened = expanded.iter().map(|expansion| expansion.node);
    let shown = targets
        .iter()
        .map(|target| target.stand_in.unwrap_or(target.node));
    let mut wanted: Vec<Node> = shown.chain(opened.clone()).collect();
    if targets.iter().all(|target| target.stand_in.is_none()) {
        return wanted;
    }
    // A group that is opened stands for nothing: what it stood for has a row of its own.
    let to_errors = tree.groups().filter(|&group| tree.is_way_to_errors(group));
    let mut open: HashSet<Node> = opened.chain(to_errors).collect();
    let mut on_way: HashSet<Node> = HashSet::new();
    for &node in &wanted {
        let mut at = tree.parent(node);
        while let Some(above) = at.filter(|&above| on_way.insert(above)) {
            at = tree.parent(above);
        }
    }
    open.extend(on_way);
    for target in targets {
        if target.stand_in.is_some_and(|group| open.contains(&group)) {
            wanted.push(target.node);
        }
    }
    wanted
}
