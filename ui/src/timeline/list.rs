//! The list of all spans: each has a row of its own, in pre-order, a page at a time. No pairs, no
//! groups, no folds; only the spans of the page are laid out.

use std::cmp::Reverse;
use std::ops::Range;

use longpole_analysis::{Analysis, Section};
use longpole_proto::Trace;

use super::bar::Bar;
use super::extent::Extent;
use super::pair::Call;
use super::row::{Marks, Row, RowKind, Toggle};
use super::target;
use super::tree::Under;

/// How many stretches of self time a bar draws: 200 bars are a page of 12 KB, zipped.
const STRETCHES_MAX: usize = 3;
/// How many rows a page has.
pub(crate) const PAGE_ROWS: usize = 200;

/// A page of some rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Counted from 1.
    pub(crate) number: usize,
    /// How many pages there are; at least 1.
    pub(crate) n_pages: usize,
    /// The positions of its rows among all.
    pub(crate) rows: Range<usize>,
}

impl Page {
    /// A page of `n` rows; the last page when there are not so many.
    pub(crate) fn of(number: usize, n: usize) -> Self {
        let n_pages = n.div_ceil(PAGE_ROWS).max(1);
        let number = number.clamp(1, n_pages);
        let from = (number - 1) * PAGE_ROWS;
        Self {
            number,
            n_pages,
            rows: from..n.min(from + PAGE_ROWS),
        }
    }

    /// The page of `n` rows that has the row at `position`.
    pub(crate) fn with(position: usize, n: usize) -> Self {
        Self::of(position / PAGE_ROWS + 1, n)
    }
}

/// By what a table of spans is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    /// The earliest first.
    Start,
    /// The longest first.
    Duration,
    /// Most self time first.
    SelfTime,
    /// Most time on the critical path first.
    #[default]
    Critical,
}

impl Sort {
    /// As URLs call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Duration => "duration",
            Self::SelfTime => "self",
            Self::Critical => "critical",
        }
    }

    /// What URLs call so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::Start, Self::Duration, Self::SelfTime, Self::Critical];
        all.into_iter().find(|sort| sort.name() == name)
    }

    /// Sorts spans; among equals the first in pre-order stays first.
    pub(crate) fn sort(self, trace: &Trace, analysis: &Analysis, spans: &mut [usize]) {
        match self {
            Self::Start => spans.sort_by_key(|&at| trace.span(at).start),
            Self::Duration => spans.sort_by_key(|&at| Reverse(trace.span(at).duration_nanos())),
            Self::SelfTime => spans.sort_by_key(|&at| Reverse(analysis.self_nanos[at])),
            Self::Critical => spans.sort_by_key(|&at| Reverse(analysis.critical_nanos[at])),
        }
    }
}

/// The spans of an extent that run in its time and, when `matching` is not empty, have what is looked
/// for; in pre-order.
pub(crate) fn spans(trace: &Trace, extent: &Extent, matching: &[bool]) -> Vec<usize> {
    let spans = extent.spans.clone();
    let spans = spans.filter(|&at| extent.has_time_of(trace, at));
    spans
        .filter(|&at| matching.get(at).copied().unwrap_or(true))
        .collect()
}

/// The rows of some spans, which stand in pre-order.
pub(super) fn rows(
    trace: &Trace,
    analysis: &Analysis,
    extent: &Extent,
    selected: Option<usize>,
    spans: &[usize],
) -> Vec<Row> {
    // Of the whole it stands at 0.
    let top_depth = trace.depth(extent.spans.start);
    let hot = target::hot_idx(analysis);
    let culprit = target::main_culprit_idx(analysis);
    let row = |&span_idx: &usize| {
        let subtree = trace.subtree(span_idx);
        Row {
            kind: RowKind::Span {
                span_idx,
                client_idx: None,
                call: Call::of_span(trace, analysis, span_idx),
                marks: Marks {
                    is_hot: span_idx == hot,
                    is_culprit: Some(span_idx) == culprit,
                    // All of them are.
                    is_match: false,
                    is_selected: Some(span_idx) == selected,
                },
                folded: Under::default(),
            },
            depth: trace.depth(span_idx) - top_depth,
            toggle: if subtree.len() > 1 {
                Toggle::Open
            } else {
                Toggle::None
            },
            bar: Bar::of_span(
                trace,
                analysis,
                &extent.window,
                span_idx,
                None,
                STRETCHES_MAX,
            ),
            on_path: false,
        }
    };
    let mut rows: Vec<Row> = spans.iter().map(row).collect();
    mark_path(trace, analysis, extent, spans, &mut rows);
    rows
}

/// Marks the rows of spans that are on the critical path, or above one that is.
fn mark_path(
    trace: &Trace,
    analysis: &Analysis,
    extent: &Extent,
    spans: &[usize],
    rows: &mut [Row],
) {
    let seen = |section: &&Section| extent.window.has(section.start, section.end);
    let on_path = analysis.critical_path.iter().filter(seen);
    let on_path = on_path.map(|section| section.span_idx);
    let mut on_path: Vec<usize> = on_path.collect();
    on_path.sort_unstable();
    for (&span_idx, row) in spans.iter().zip(rows) {
        let subtree = trace.subtree(span_idx);
        let next = on_path.partition_point(|&at| at < subtree.start);
        row.on_path = on_path.get(next).is_some_and(|at| subtree.contains(at));
    }
}
