//! The map of a trace: all its spans in a few lanes, so small that where they lie can be seen at once.
//!
//! A lane has the spans of a stretch of the pre-order; a cell of it the colour of what fills it most,
//! where short spans count as much as long ones.

use std::fmt::Write as _;

use longpole_proto::Trace;

use super::extent::Extent;
use super::window::{Place, Short, Window};
use crate::palette::COLOURS;

/// How many lanes there are at most.
const LANES: usize = 26;
/// How wide a map is.
pub(crate) const WIDTH: usize = 200;
/// How many cells a lane has: as many as give few enough runs of one colour.
const CELLS: [usize; 4] = [WIDTH, 100, 50, 20];
/// How many runs are few enough; the coarsest map has no more.
const RUNS_MAX: usize = LANES * 20;

/// A map, [`WIDTH`] wide and one high per lane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Minimap {
    /// How many lanes there are.
    pub(crate) n_lanes: usize,
    /// By colour, the runs of it as an SVG path; empty where there are none.
    pub(crate) colours: [String; COLOURS],
    /// Where spans that failed begin, as an SVG path along the top.
    pub(crate) errors: String,
}

impl Minimap {
    /// Of the spans that are looked at, in the time that is drawn when it is not zoomed; `colour_of`
    /// gives a span's colour. Takes O(n).
    pub(crate) fn of(trace: &Trace, extent: &Extent, colour_of: impl Fn(usize) -> usize) -> Self {
        let n_lanes = extent.spans.len().min(LANES);
        let lane_of =
            |span_idx: usize| (span_idx - extent.spans.start) * n_lanes / extent.spans.len();
        let mut colours = Default::default();
        for n_cells in CELLS {
            let mut filled = Filled::new(n_lanes, n_cells);
            for span_idx in extent.spans.clone() {
                if let Some(cells) = cells(trace, span_idx, &extent.whole, n_cells) {
                    filled.add(lane_of(span_idx), colour_of(span_idx) % COLOURS, cells);
                }
            }
            let n_runs;
            (colours, n_runs) = filled.draw();
            if n_runs <= RUNS_MAX {
                break;
            }
        }
        Self {
            n_lanes,
            colours,
            errors: errors(trace, extent),
        }
    }
}

/// The cells a span fills, at least one; `None` when it lies outside.
fn cells(
    trace: &Trace,
    span_idx: usize,
    window: &Window,
    n_cells: usize,
) -> Option<(usize, usize)> {
    let span = trace.span(span_idx);
    let Place::Inside(left, width) = window.place(span.start, span.end) else {
        return None;
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of at most 200 cells"
    )]
    let cell = |percent: f64| (percent * n_cells as f64 / 100.0) as usize;
    let first = cell(left.0).min(n_cells - 1);
    Some((first, cell(left.0 + width.0).clamp(first + 1, n_cells)))
}

/// How much each colour fills each cell.
struct Filled {
    n_lanes: usize,
    n_cells: usize,
    /// By lane, colour and cell: what comes to be there, and at its end ceases to be.
    changes: Vec<i64>,
}

impl Filled {
    fn new(n_lanes: usize, n_cells: usize) -> Self {
        Self {
            n_lanes,
            n_cells,
            changes: vec![0; n_lanes * COLOURS * (n_cells + 1)],
        }
    }

    fn at(&self, lane: usize, colour: usize, cell: usize) -> usize {
        (lane * COLOURS + colour) * (self.n_cells + 1) + cell
    }

    fn add(&mut self, lane: usize, colour: usize, (first, end): (usize, usize)) {
        // What is short shows in front of what is long.
        let weight = i64::try_from(self.n_cells / (end - first)).expect("at most 200");
        let (first, end) = (self.at(lane, colour, first), self.at(lane, colour, end));
        self.changes[first] += weight;
        self.changes[end] -= weight;
    }

    /// The runs by colour, and how many there are.
    fn draw(&self) -> ([String; COLOURS], usize) {
        let mut paths: [String; COLOURS] = Default::default();
        let mut n_runs = 0;
        let width = WIDTH / self.n_cells;
        for lane in 0..self.n_lanes {
            let mut weights = [0_i64; COLOURS];
            let mut run: Option<(usize, usize)> = None;
            for cell in 0..=self.n_cells {
                for (colour, weight) in weights.iter_mut().enumerate() {
                    *weight += self.changes[self.at(lane, colour, cell)];
                }
                let most = (0..COLOURS).rev().max_by_key(|&colour| weights[colour]);
                let most = most.filter(|&colour| weights[colour] > 0);
                if let Some((colour, first)) = run.filter(|&(colour, _)| Some(colour) != most) {
                    let (x, length) = (first * width, (cell - first) * width);
                    write!(paths[colour], "M{x} {lane}.5h{length}")
                        .expect("writing to a string cannot fail");
                    n_runs += 1;
                    run = None;
                }
                run = run.or(most.map(|colour| (colour, cell)));
            }
        }
        (paths, n_runs)
    }
}

/// The cells in which spans begin that failed, as runs.
fn errors(trace: &Trace, extent: &Extent) -> String {
    let mut has_error = [false; WIDTH + 1];
    for span_idx in extent.spans.clone() {
        if trace.span(span_idx).is_error()
            && let Some((first, _)) = cells(trace, span_idx, &extent.whole, WIDTH)
        {
            has_error[first] = true;
        }
    }
    let mut path = String::new();
    let mut from = None;
    for (cell, &has_error) in has_error.iter().enumerate() {
        match (from, has_error) {
            (None, true) => from = Some(cell),
            (Some(first), false) => {
                write!(path, "M{first} 0h{}", cell - first)
                    .expect("writing to a string cannot fail");
                from = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    path
}

/// Where a stretch of time lies in a map; as much as is in it.
pub(crate) fn stretch(whole: &Window, part: &Window) -> (Short, Short) {
    #[expect(clippy::cast_precision_loss, reason = "200")]
    let at = |time| Short(whole.percent(time) * WIDTH as f64 / 100.0);
    (at(part.start), at(part.end))
}

#[cfg(test)]
mod tests {
    use longpole_analysis::Analysis;
    use longpole_proto::testing::{self, SpanBuilder};

    use super::*;

    fn minimap(trace: &Trace) -> Minimap {
        let extent = Extent::of(trace, &Analysis::of(trace), None, None);
        Minimap::of(trace, &extent, |at| trace.service_idx(at))
    }

    #[test]
    fn a_small_trace_has_a_lane_for_each_span() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "GET /").service("web").at(0, 200),
            SpanBuilder::new(2, "GET")
                .service("stock")
                .parent(1)
                .at(20, 100),
            SpanBuilder::new(3, "SELECT")
                .service("db")
                .parent(1)
                .at(120, 170)
                .error("no"),
        ]);
        let map = minimap(&trace);
        assert_eq!(map.n_lanes, 3);
        assert_eq!(map.colours[0], "M0 0.5h200");
        assert_eq!(map.colours[1], "M20 1.5h80");
        assert_eq!(map.colours[2], "M120 2.5h50");
        assert_eq!(map.errors, "M120 0h1");
    }

    #[test]
    fn what_is_short_shows_in_front_of_what_is_long() {
        let short = (0..200).map(|at| {
            let call = SpanBuilder::new(2 + at, "call").service("db").parent(1);
            call.at(500, 510)
        });
        let root = SpanBuilder::new(1, "GET /").service("web").at(0, 1_000);
        let map = minimap(&testing::trace_of(std::iter::once(root).chain(short)));
        assert_eq!(map.n_lanes, LANES);
        assert!(
            map.colours[0].starts_with("M0 0.5h100M102 0.5h98"),
            "{map:?}"
        );
        assert_eq!(map.colours[1].matches("M100 ").count(), LANES);
    }

    #[test]
    fn a_motley_trace_is_drawn_coarsely() {
        // In every lane another service every tenth of a second.
        let spans = (0..26).flat_map(|lane| {
            let caller = 2 + lane * 201;
            let calls = (0..200).map(move |at| {
                let service = format!("service {}", (at / 5 + lane) % 10);
                let call = SpanBuilder::new(caller + 1 + at, "call").service(&service);
                let call = call.parent(caller).at(at * 20, at * 20 + 20);
                if at % 2 == 0 { call.error("no") } else { call }
            });
            let caller = SpanBuilder::new(caller, "caller").parent(1).at(0, 4_000);
            std::iter::once(caller).chain(calls)
        });
        let root = SpanBuilder::new(1, "GET /").at(0, 4_000);
        let map = minimap(&testing::trace_of(std::iter::once(root).chain(spans)));
        let n_runs: usize = map
            .colours
            .iter()
            .map(|path| path.matches('M').count())
            .sum();
        assert!((100..=RUNS_MAX).contains(&n_runs), "{n_runs}");
        assert!(map.errors.matches('M').count() <= WIDTH / 2);
    }
}
