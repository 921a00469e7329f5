//! The waterfall as plain values: trace and analysis in; rows, bars, ticks and the line of the
//! critical path out.
//!
//! Nothing here knows HTML or URLs. Every span stands for itself, or is folded into exactly one
//! row that says so, and the slowest hop's entry always has its own row.

mod bar;
mod path;
mod rows;
mod story;
#[cfg(test)]
mod tests;
mod tree;
mod window;

use longpole_analysis::Analysis;
use longpole_proto::Trace;

pub(crate) use bar::{Bar, Label};
pub(crate) use rows::{Row, RowKind, Toggle};
pub(crate) use story::Expansion;
pub(crate) use tree::{Node, Under};
pub(crate) use window::{Percent, Place, Tick, Window};

use story::Story;
use tree::Tree;

/// How high a row is, in pixels; the style sheet's `--row`.
pub(crate) const ROW_PX: usize = 24;

/// What a viewer asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The span whose details are shown; its row is always there.
    pub(crate) selected: Option<usize>,
    /// The rows opened by hand.
    pub(crate) expanded: Vec<Expansion>,
}

/// The waterfall of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeline {
    /// The time that is drawn.
    pub(crate) window: Window,
    /// Marks on the axis.
    pub(crate) ticks: Vec<Tick>,
    /// From top to bottom.
    pub(crate) rows: Vec<Row>,
    /// The critical path as an SVG path, 1000 wide and [`ROW_PX`] high per row.
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
        let tree = Tree::of(trace, analysis);
        let window = Window::of(trace);
        let entry_idx = analysis.hops[analysis.slowest_hop].entry_idx;
        let mut targets = vec![trace.request_root(), entry_idx, rows::culprit_idx(analysis)];
        targets.extend(options.selected);
        let story = Story::of(&tree, &targets, &options.expanded);
        let (rows, row_of) = rows::rows(&tree, &story, &window, options.selected);
        let entry = trace.span(entry_idx);
        let band = match window.place(entry.start, entry.end) {
            Place::Inside(Percent(left), Percent(width)) => Some(Band {
                left: Percent(left * 10.0),
                right: Percent((left + width) * 10.0),
                width: Percent(width * 10.0),
            }),
            Place::Before(_) | Place::After(_) => None,
        };
        Self {
            ticks: window.ticks(),
            path: path::path(&window, &analysis.critical_path, |span_idx| {
                row_of[span_idx] as usize
            }),
            window,
            rows,
            band,
        }
    }

    /// How high all rows are together, in pixels.
    pub(crate) fn height_px(&self) -> usize {
        self.rows.len() * ROW_PX
    }

    /// How many spans have their own row.
    pub(crate) fn n_spans_shown(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| matches!(row.kind, RowKind::Span { .. }))
            .count()
    }
}
