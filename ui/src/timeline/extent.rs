//! What of a trace is looked at: which spans, and which stretch of time.

use std::ops::Range;

use longpole_analysis::Analysis;
use longpole_proto::{Trace, UnixNanos};

use super::pair;
use super::window::Window;

/// A stretch of time that is looked at closer, in microseconds from the start of what is drawn
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zoom {
    /// From here.
    pub(crate) from_micros: u64,
    /// To here; later than that.
    pub(crate) to_micros: u64,
}

/// What of a trace is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The spans that can have rows, as a run of the pre-order; never empty.
    pub(crate) spans: Range<usize>,
    /// The time that is drawn.
    pub(crate) window: Window,
    /// The time that is drawn when it is not zoomed.
    pub(crate) whole: Window,
    /// Whether the window is a part of the time that is drawn otherwise.
    pub(crate) is_zoomed: bool,
}

impl Extent {
    /// All of a trace, or what is under `root` (with the client it shares a row with); and all of
    /// its time, or what `zoom` says of it. A zoom beyond the end shows the last microsecond.
    pub(crate) fn of(
        trace: &Trace,
        analysis: &Analysis,
        root: Option<usize>,
        zoom: Option<Zoom>,
    ) -> Self {
        let spans = root.map_or(0..trace.len(), |root| {
            let row = pair::row_span(analysis, root);
            trace.subtree(pair::client_of(analysis, row).unwrap_or(row))
        });
        let whole = Window::of(trace);
        Self {
            spans,
            window: zoom.map_or(whole, |zoom| whole.part(zoom.from_micros, zoom.to_micros)),
            whole,
            is_zoomed: zoom.is_some(),
        }
    }

    /// From where times are told.
    pub(crate) fn origin(&self) -> UnixNanos {
        self.whole.start
    }

    /// Whether a span runs in the time that is looked at.
    pub(crate) fn has_time_of(&self, trace: &Trace, span_idx: usize) -> bool {
        let span = trace.span(span_idx);
        !self.is_zoomed
            || (span.start < self.window.end && span.end.max(span.start) >= self.window.start)
    }

    /// By span, its time on the critical path that is looked at.
    pub(super) fn critical_nanos(&self, analysis: &Analysis) -> Vec<u64> {
        if !self.is_zoomed {
            return analysis.critical_nanos.clone();
        }
        let mut nanos = vec![0; analysis.critical_nanos.len()];
        for section in &analysis.critical_path {
            let start = section.start.max(self.window.start);
            let end = section.end.min(self.window.end);
            // Nothing when it lies outside.
            nanos[section.span_idx] += end.nanos_since(start);
        }
        nanos
    }
}
