//! A row's bar: where it lies, which of it is the span's own time, what of its caller's time lies
//! around it, and where its label fits.

use std::fmt::Write as _;

use longpole_analysis::Analysis;
use longpole_proto::{Trace, UnixNanos};

use super::own_time;
use super::window::{Percent, Place, Short, Window};

/// Labels right of a bar fit up to here, in percent.
const RIGHT_MAX: f64 = 88.0;
/// Labels left of a bar fit from here.
const LEFT_MIN: f64 = 12.0;
/// Bars wider than this need no label: the column beside says it.
const LABELLED_WIDTH_MAX: f64 = 75.0;
/// Bars are at least this wide, so that they can be seen.
const WIDTH_MIN: f64 = 0.1;
/// Whiskers shorter than this, in thousandths, are not seen.
const WHISKER_MIN: f64 = 1.0;

/// A bar in the timeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// Where it lies.
    pub(crate) place: Place,
    /// Whether it goes on to the left and to the right of the window.
    pub(crate) goes_on: (bool, bool),
    /// The stretches of self time as an SVG path in a box of 1000 by 1; empty when there are none.
    pub(crate) solid: String,
    /// Whether all of it is self time.
    pub(crate) is_solid: bool,
    /// What of the client's time lies outside the bar of its pair, in the same box; mostly empty.
    pub(crate) whisker: String,
    /// Where its duration is written.
    pub(crate) label: Option<Label>,
}

/// What is written beside a bar, and on which side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Label {
    /// Begins so far from the left end.
    Right(Percent),
    /// Ends so far from the right end.
    Left(Percent),
}

impl Bar {
    /// A bar from `start` to `end`, with no self time.
    pub(crate) fn of(window: &Window, start: UnixNanos, end: UnixNanos) -> Self {
        let place = match window.place(start, end) {
            Place::Inside(left, width) if width.0 < WIDTH_MIN => {
                Place::Inside(Percent(left.0.min(100.0 - WIDTH_MIN)), Percent(WIDTH_MIN))
            }
            place => place,
        };
        Self {
            place,
            goes_on: match place {
                Place::Inside(..) => (start < window.start, end > window.end),
                Place::Before(_) | Place::After(_) => (false, false),
            },
            solid: String::new(),
            is_solid: false,
            whisker: String::new(),
            label: label(place),
        }
    }

    /// A span's bar, with its pair's client around it; of its self time the `n_stretches_max` longest
    /// stretches are drawn.
    pub(crate) fn of_span(
        trace: &Trace,
        analysis: &Analysis,
        window: &Window,
        span_idx: usize,
        client_idx: Option<usize>,
        n_stretches_max: usize,
    ) -> Self {
        let span = trace.span(span_idx);
        let mut bar = Self::of(window, span.start, span.end);
        if matches!(bar.place, Place::Inside(..)) {
            let stretches = own_time::stretches(trace, analysis, span_idx);
            bar.is_solid = stretches == [(span.start, span.end)];
            bar.solid = own_time::path(window, stretches, n_stretches_max);
        }
        if let Some(client_idx) = client_idx {
            let client = trace.span(client_idx);
            let (start, end) = (client.start, client.end.max(client.start));
            bar.label = label(window.place(start.min(span.start), end.max(span.end)));
            bar.whisker = whisker(window, (start, end), (span.start, span.end.max(span.start)));
        }
        bar
    }
}

/// Where a bar's label fits.
fn label(place: Place) -> Option<Label> {
    match place {
        Place::Inside(left, width) if width.0 <= LABELLED_WIDTH_MAX => {
            let right = left.0 + width.0;
            if right <= RIGHT_MAX {
                Some(Label::Right(Percent(right)))
            } else {
                (left.0 >= LEFT_MIN).then_some(Label::Left(Percent(100.0 - left.0)))
            }
        }
        Place::Inside(..) => None,
        Place::Before(_) => Some(Label::Right(Percent(0.0))),
        Place::After(_) => Some(Label::Left(Percent(0.0))),
    }
}

/// The stretches of `outer` before and after `inner`, each a line with its outer end marked.
fn whisker(
    window: &Window,
    outer: (UnixNanos, UnixNanos),
    inner: (UnixNanos, UnixNanos),
) -> String {
    let mut path = String::new();
    let mut draw = |end: UnixNanos, inside: UnixNanos| {
        let (end, inside) = (window.percent(end) * 10.0, window.percent(inside) * 10.0);
        if (end - inside).abs() >= WHISKER_MIN {
            let (end, inside) = (Short(end), Short(inside));
            write!(path, "M{inside} .5H{end}M{end} .2v.6")
                .expect("writing to a string cannot fail");
        }
    };
    if outer.0 < inner.0 {
        draw(outer.0, inner.0.min(outer.1));
    }
    if outer.1 > inner.1 {
        draw(outer.1, inner.1.max(outer.0));
    }
    path
}
