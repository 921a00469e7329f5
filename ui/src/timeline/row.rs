//! What a row is.

use super::bar::Bar;
use super::pair::Call;
use super::story::Expansion;
use super::tree::{Node, Under};

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
    /// A span, or a pair of them.
    Span {
        /// Which; of a pair the entry.
        span_idx: usize,
        /// The client of a pair.
        client_idx: Option<usize>,
        /// What it took, both of a pair together.
        call: Call,
        /// What is marked.
        marks: Marks,
        /// What is under it and has no row, itself not counted; nothing when it is open.
        folded: Under,
    },
    /// Calls of one operation, one after another.
    Group {
        /// The first of them, which names them all.
        first: usize,
        /// How many.
        n_calls: usize,
        /// What is marked.
        marks: Marks,
        /// They and what is under them; nothing when the row is open.
        folded: Under,
        /// How long they took, one by one.
        total_nanos: u64,
        /// How long half of them took at most.
        median_nanos: u64,
        /// How long the longest took.
        max_nanos: u64,
        /// How long it was from the first one's start to the last one's end.
        elapsed_nanos: u64,
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

/// What a row is marked as.
#[expect(clippy::struct_excessive_bools, reason = "each is a mark of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// It is the slowest hop's entry, or stands for it.
    pub(crate) is_hot: bool,
    /// It is what took most of the slowest hop's time, or stands for that.
    pub(crate) is_culprit: bool,
    /// It has what is looked for.
    pub(crate) is_match: bool,
    /// Its details are shown.
    pub(crate) is_selected: bool,
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
