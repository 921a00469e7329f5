//! The critical path as one line that steps from row to row.

use std::fmt::Write as _;

use longpole_analysis::Section;

use super::ROW_PX;
use super::window::{Short, Window};

/// How many steps are drawn as they are; more are drawn by what lasts longest in each bin of time.
const STEPS_MAX: usize = 60;
/// How many bins of time a longer path is drawn in at most, when it is as wide as the timeline.
const BINS: usize = 500;
/// Where in a row the line runs, in half pixels so that it is sharp.
const LINE_PX: f64 = 20.5;

/// A stretch of the line, in thousandths of the timeline's width.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    /// `None` where it runs through no row that is shown.
    row: Option<usize>,
    from: f64,
    to: f64,
}

/// The line as an SVG path, 1000 wide and [`ROW_PX`] high per row; `row_of` gives a
/// span's row. Where a span has none the line is broken.
pub(crate) fn path(
    window: &Window,
    sections: &[Section],
    row_of: impl Fn(usize) -> Option<usize>,
) -> String {
    let mut steps: Vec<Step> = Vec::new();
    let seen = |section: &&Section| window.has(section.start, section.end);
    for section in sections.iter().filter(seen) {
        let step = Step {
            row: row_of(section.span_idx),
            from: window.percent(section.start) * 10.0,
            to: window.percent(section.end) * 10.0,
        };
        push(&mut steps, step);
    }
    // Bins begin and end with what is seen.
    while steps.pop_if(|last| last.row.is_none()).is_some() {}
    let n_before = steps.iter().take_while(|step| step.row.is_none()).count();
    steps.drain(..n_before);
    if steps.len() > STEPS_MAX {
        steps = binned(&steps);
    }
    draw(&steps)
}

/// Appends a step, joined with the last one when they share a row.
fn push(steps: &mut Vec<Step>, step: Step) {
    match steps.last_mut() {
        Some(last) if last.row == step.row => last.to = step.to,
        _ => steps.push(step),
    }
}

fn binned(steps: &[Step]) -> Vec<Step> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        return Vec::new();
    };
    let width = last.to - first.from;
    // What is narrower than a pixel or two is a blot.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred bins")]
    let n_bins = (1..BINS)
        .find(|&n| n as f64 >= width * BINS as f64 / 1_000.0)
        .unwrap_or(BINS);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred bins")]
    let edge = |bin: usize| first.from + width * bin as f64 / n_bins as f64;
    let mut binned: Vec<Step> = Vec::new();
    let mut at = 0;
    for bin in 0..n_bins {
        let (from, to) = (edge(bin), edge(bin + 1));
        // By row: how long it has the path in this bin; a bin seldom has more than a few.
        let mut shares: Vec<(Option<usize>, f64)> = Vec::new();
        while let Some(step) = steps.get(at) {
            let share = step.to.min(to) - step.from.max(from);
            match shares.iter_mut().find(|(row, _)| *row == step.row) {
                Some((_, sum)) => *sum += share,
                None => shares.push((step.row, share)),
            }
            if step.to > to {
                break;
            }
            at += 1;
        }
        let most = shares.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        if let Some((row, _)) = most {
            push(&mut binned, Step { row, from, to });
        }
    }
    binned
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred rows")]
fn draw(steps: &[Step]) -> String {
    let y = |row: usize| (row * ROW_PX) as f64 + LINE_PX;
    let mut path = String::new();
    let mut last = None;
    for step in steps {
        if let Some(row) = step.row {
            let moved = match last {
                None => write!(path, "M{} {}", Short(step.from), y(row)),
                Some(last) if last == row => Ok(()),
                Some(_) => write!(path, "V{}", y(row)),
            };
            moved
                .and_then(|()| write!(path, "H{}", Short(step.to)))
                .expect("writing to a string cannot fail");
        }
        last = step.row;
    }
    path
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::START;

    use super::*;

    fn sections(n: u64) -> Vec<Section> {
        (0..n)
            .map(|at| Section {
                span_idx: usize::try_from(at).expect("small"),
                start: START.plus_nanos(at),
                end: START.plus_nanos(at + 1),
            })
            .collect()
    }

    #[test]
    fn the_line_steps_between_rows_and_joins_sections_of_one_row() {
        let window = Window {
            start: START,
            end: START.plus_nanos(4),
        };
        let rows = [0, 1, 1, 0];
        assert_eq!(
            path(&window, &sections(4), |span| Some(rows[span])),
            "M0 20.5H250V44.5H750V20.5H1000"
        );
    }

    #[test]
    fn a_long_path_is_drawn_in_bins() {
        let window = Window {
            start: START,
            end: START.plus_nanos(100_000),
        };
        let line = path(&window, &sections(100_000), |span| Some(span % 120));
        assert!(line.matches('H').count() <= BINS, "{}", line.len());
        assert!(line.ends_with("H1000"), "{line}");
        let many_rows = path(&window, &sections(100_000), |span| Some(span / 1_000));
        assert_eq!(
            many_rows.matches('H').count(),
            100,
            "rows that hold whole bins are all there"
        );
    }

    #[test]
    fn the_line_is_broken_where_no_row_is() {
        let window = Window {
            start: START,
            end: START.plus_nanos(8),
        };
        let rows = [None, Some(0), None, None, Some(0), Some(1), None, None];
        assert_eq!(
            path(&window, &sections(8), |span| rows[span]),
            "M125 20.5H250M500 20.5H625V44.5H750"
        );
    }

    #[test]
    fn a_long_path_of_few_rows_is_drawn_where_they_are() {
        let window = Window {
            start: START,
            end: START.plus_nanos(100_000),
        };
        let few = path(&window, &sections(100_000), |span| {
            (50_000..60_000).contains(&span).then_some(span / 200)
        });
        assert_eq!(few.matches('H').count(), 50, "{few}");
        assert!(few.starts_with("M500 ") && few.ends_with("H600"), "{few}");
    }

    #[test]
    fn no_sections_are_no_line() {
        let window = Window {
            start: START,
            end: START.plus_nanos(1),
        };
        assert_eq!(path(&window, &[], |_| Some(0)), "");
    }
}
