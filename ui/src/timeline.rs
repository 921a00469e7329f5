//! The waterfall as plain values: trace and analysis in; rows, bars, ticks and the line of the
//! critical path out.
//!
//! Nothing here knows HTML or URLs. Every span has a row, shares one with the other of its [pair],
//! or is folded into exactly one row that says so; and exactly one row is, or as a closed group
//! stands for, the slowest hop's entry.

mod bar;
mod extent;
mod group;
pub(crate) mod list;
pub(crate) mod minimap;
pub(crate) mod own_time;
pub(crate) mod pair;
mod path;
mod row;
mod rows;
mod shown;
mod story;
mod target;
#[cfg(test)]
mod tests;
mod tree;
mod window;

use longpole_analysis::Analysis;
use longpole_proto::Trace;

pub(crate) use bar::{Bar, Label};
pub(crate) use extent::{Extent, Zoom};
pub(crate) use list::Sort;
pub(crate) use row::{Marks, Row, RowKind, Toggle};
pub(crate) use shown::Shown;
pub(crate) use story::Expansion;
pub(crate) use tree::{Node, Under};
pub(crate) use window::{Percent, Place, Tick, Window};

use rows::Marked;
use story::Story;
use target::Target;
use tree::Tree;

/// How high a row is, in pixels; the style sheet's `--row`.
pub(crate) const ROW_PX: usize = 24;

/// What a viewer asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Which rows there are.
    pub(crate) shown: Shown,
    /// The span whose details are shown; its row is always there.
    pub(crate) selected: Option<usize>,
    /// The rows opened by hand.
    pub(crate) expanded: Vec<Expansion>,
    /// The span that is looked at with what is under it; all when there is none.
    pub(crate) root: Option<usize>,
    /// The time that is looked at closer.
    pub(crate) zoom: Option<Zoom>,
    /// By span, whether it has what is looked for; empty when nothing is.
    pub(crate) matching: Vec<bool>,
}

impl Options {
    /// Whether a span has what is looked for.
    fn is_match(&self, span_idx: usize) -> bool {
        self.matching.get(span_idx).copied().unwrap_or(false)
    }
}

/// The waterfall of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeline {
    /// The spans and the time that are drawn.
    pub(crate) extent: Extent,
    /// Marks on the axis.
    pub(crate) ticks: Vec<Tick>,
    /// From top to bottom.
    pub(crate) rows: Vec<Row>,
    /// The critical path as an SVG path (empty where only errors are shown), 1000 wide and [`ROW_PX`] high per row.
    pub(crate) path: String,
    /// Where the slowest hop's entry lies in time.
    pub(crate) band: Option<Band>,
}

/// A stretch of the timeline over all rows; the line of the critical path has the same units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Band {
    /// From here, in thousandths of the width.
    pub(crate) left: Percent,
    /// To here.
    pub(crate) right: Percent,
    /// So wide.
    pub(crate) width: Percent,
}

impl Timeline {
    /// Lays a trace out.
    pub(crate) fn of(trace: &Trace, analysis: &Analysis, options: &Options) -> Self {
        let extent = Extent::of(trace, analysis, options.root, options.zoom);
        let tree = Tree::of(trace, analysis, options, &extent);
        let marked = Marked {
            hot: Target::hot(&tree),
            culprit: target::main_culprit_idx(analysis).map(|_| Target::culprit(&tree)),
            selected: options.selected.map(|selected| Target::of(&tree, selected)),
        };
        let targets = [
            Target::or_group(&tree, options.root.unwrap_or(trace.request_root())),
            marked.hot,
            Target::culprit(&tree),
        ];
        let targets = targets.into_iter().chain(marked.selected);
        let targets: Vec<Target> = targets.filter(|target| tree.has(target.node)).collect();
        let expanded = options.expanded.iter().copied();
        let expanded: Vec<Expansion> = expanded.filter(|open| tree.has(open.node)).collect();
        let story = Story::of(&tree, &targets, &expanded);
        let (rows, row_of) = rows::rows(&tree, &story, &extent.window, marked);
        let path = match options.shown {
            // What has it mostly has no rows where only errors are shown.
            Shown::Errors => String::new(),
            Shown::Story | Shown::Path | Shown::All | Shown::Table => {
                path::path(&extent.window, &analysis.critical_path, |span_idx| {
                    row_of.row(span_idx)
                })
            }
        };
        Self::drawn(trace, analysis, extent, rows, path)
    }

    /// Lays some spans out that stand in pre-order, each in a row of its own.
    pub(crate) fn of_list(
        trace: &Trace,
        analysis: &Analysis,
        options: &Options,
        spans: &[usize],
    ) -> Self {
        let extent = Extent::of(trace, analysis, options.root, options.zoom);
        let rows = list::rows(trace, analysis, &extent, options.selected, spans);
        let path = path::path(&extent.window, &analysis.critical_path, |span_idx| {
            spans.binary_search(&span_idx).ok()
        });
        Self::drawn(trace, analysis, extent, rows, path)
    }

    fn drawn(
        trace: &Trace,
        analysis: &Analysis,
        extent: Extent,
        rows: Vec<Row>,
        path: String,
    ) -> Self {
        let entry = trace.span(target::hot_idx(analysis));
        let band = match extent.window.place(entry.start, entry.end) {
            Place::Inside(Percent(left), Percent(width)) => Some(Band {
                left: Percent(left * 10.0),
                right: Percent((left + width) * 10.0),
                width: Percent(width * 10.0),
            }),
            Place::Before(_) | Place::After(_) => None,
        };
        Self {
            ticks: extent.window.ticks(),
            path,
            extent,
            rows,
            band,
        }
    }

    /// How high all rows are together, in pixels.
    pub(crate) fn height_px(&self) -> usize {
        self.rows.len() * ROW_PX
    }

    /// How many spans have a row, alone or as one of a pair.
    pub(crate) fn n_spans_shown(&self) -> usize {
        self.rows
            .iter()
            .map(|row| match row.kind {
                RowKind::Span { client_idx, .. } => 1 + usize::from(client_idx.is_some()),
                _ => 0,
            })
            .sum()
    }
}
