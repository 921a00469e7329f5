//! Which stretches of a span's time are its own, and how they are drawn.

use std::fmt::Write as _;

use longpole_analysis::Analysis;
use longpole_proto::{Trace, UnixNanos};

use super::window::{Short, Window};

/// Stretches that are not wider than this, in thousandths, are not seen.
const WIDTH_MIN: f64 = 0.5;

/// From and to.
pub(crate) type Stretch = (UnixNanos, UnixNanos);

/// The stretches of a span in which none of its awaited children runs, in order.
pub(crate) fn stretches(trace: &Trace, analysis: &Analysis, span_idx: usize) -> Vec<Stretch> {
    let span = trace.span(span_idx);
    let end = span.end.max(span.start);
    let mut stretches = Vec::new();
    let mut free_from = span.start;
    // Children stand by start.
    for child in trace
        .children(span_idx)
        .filter(|&child| analysis.awaited[child])
    {
        let child = trace.span(child);
        let (child_start, child_end) = (child.start.min(end), child.end.min(end));
        if child_start > free_from {
            stretches.push((free_from, child_start));
        }
        free_from = free_from.max(child_end);
    }
    if end > free_from {
        stretches.push((free_from, end));
    }
    stretches
}

/// The `n_max` longest of some stretches as an SVG path in a box of 1000 by 1.
pub(crate) fn path(window: &Window, mut stretches: Vec<Stretch>, n_max: usize) -> String {
    if stretches.len() > n_max {
        stretches.sort_by_key(|&(start, end)| (std::cmp::Reverse(end.nanos_since(start)), start));
        stretches.truncate(n_max);
        stretches.sort_unstable();
    }
    let mut path = String::new();
    for (start, end) in stretches {
        let (from, to) = (window.percent(start) * 10.0, window.percent(end) * 10.0);
        if to - from > WIDTH_MIN {
            let (from, width) = (Short(from), Short(to - from));
            write!(path, "M{from} 0h{width}v1h-{width}z").expect("writing to a string cannot fail");
        }
    }
    path
}
