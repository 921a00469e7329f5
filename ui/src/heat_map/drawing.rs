//! Places the cells, bars, lines and words of a map.

use std::collections::BTreeMap;
use std::time::Duration;

use longpole_analysis::format::{duration, percent};
use longpole_proto::UnixNanos;
use longpole_storage::{Columns, HeatCell, Overview};

use super::rows::{self, Rows};
use super::view::{Bar, Cell, Fact, HeatMap, Line, Pick, Place, Time};
use super::{Asked, axis};
use crate::Urls;
use crate::format::{Count, utc};
use crate::search_form::SearchForm;

/// How many shades cells have.
const SHADES: f64 = 6.0;

/// How many rows a line of text is high.
const TEXT_ROWS: f64 = 1.15;

/// Counts of requests, and of those with errors.
#[derive(Debug, Clone, Copy, Default)]
struct Counts(u64, u64);

impl Counts {
    fn add(&mut self, cell: &HeatCell) {
        self.0 += cell.n_requests;
        self.1 += cell.n_with_errors;
    }
}

/// The columns that are shown.
#[derive(Debug, Clone, Copy)]
struct Shown {
    columns: Columns,
    /// Counted from the overview's first.
    first: i64,
    n: i64,
}

impl Shown {
    /// When a column begins; `None` beyond all times.
    fn begin(&self, column: i64) -> Option<UnixNanos> {
        let since = i128::from(nanos(self.columns.step)) * i128::from(column);
        let begin = i128::from(self.columns.start.0) + since;
        u64::try_from(begin).ok().map(UnixNanos)
    }

    fn start(&self) -> UnixNanos {
        self.begin(self.first).unwrap_or(UnixNanos(0))
    }

    fn end(&self) -> UnixNanos {
        let end = self.begin(self.first + self.n);
        end.unwrap_or(UnixNanos(u64::MAX))
    }

    /// How far from the left a time is, from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
    fn share(&self, time: UnixNanos) -> f64 {
        let since = i128::from(time.0) - i128::from(self.start().0);
        let width = i128::from(nanos(self.columns.step)) * i128::from(self.n);
        (since as f64 / width as f64).clamp(0.0, 1.0)
    }
}

/// A drawing under way.
struct Drawing<'a> {
    urls: &'a Urls,
    form: &'a SearchForm,
    asked: &'a Asked,
    shown: Shown,
    rows: Rows,
    bounds: Vec<(u64, u64)>,
}

impl HeatMap {
    /// The map of a form; `None` when there is nothing to draw.
    pub(crate) fn new(
        urls: &Urls,
        form: &SearchForm,
        asked: &Asked,
        overview: &Overview,
    ) -> Option<Self> {
        let columns = overview.columns?;
        let percentiles = overview.percentiles?;
        let rows = Rows::of(&overview.cells, percentiles.p50_nanos)?;
        let (first, last) = asked.columns(&columns);
        let drawing = Drawing {
            urls,
            form,
            asked,
            shown: Shown {
                columns,
                first,
                n: last - first + 1,
            },
            rows,
            bounds: rows.bounds().collect(),
        };
        Some(drawing.draw(overview))
    }
}

impl Drawing<'_> {
    fn draw(&self, overview: &Overview) -> HeatMap {
        let mut cells: BTreeMap<(i64, usize), Counts> = BTreeMap::new();
        let mut by_row = vec![Counts::default(); self.rows.n()];
        let mut by_column: BTreeMap<i64, Counts> = BTreeMap::new();
        for cell in &overview.cells {
            let (row, column) = (self.rows.below_top(cell.row), i64::from(cell.column));
            cells.entry((column, row)).or_default().add(cell);
            by_row[row].add(cell);
            by_column.entry(column).or_default().add(cell);
        }
        let most = cells.values().map(|of| of.0).max().unwrap_or(1);
        let (start, end) = (self.shown.start(), self.shown.end());
        let (start_seconds, step_seconds) = (start.0 / SECOND, self.shown.columns.step.as_secs());
        let n_columns = u64::try_from(self.shown.n).unwrap_or(1);
        let ticks = axis::ticks(start_seconds, step_seconds * n_columns);
        let texts = |of: &dyn Fn(usize) -> String| {
            let texts: Vec<String> = (0..self.bounds.len()).map(of).collect();
            texts.join(" ")
        };
        let is_selected = self.form.is_selected();
        let is_timed = !self.form.from.is_empty() || !self.form.to.is_empty();
        HeatMap {
            label: format!(
                "Heat map of {}; arrow keys go from cell to cell, dragging selects. The table below has the same in words",
                axis::range(start, end)
            ),
            n_columns: self.shown.n,
            n_rows: self.rows.n(),
            cells: cells
                .iter()
                .map(|(&(column, row), counts)| self.cell(column, row, *counts, most))
                .collect(),
            bars: self.bars(&by_row),
            times: by_column
                .iter()
                .map(|(&column, counts)| self.time(column, *counts))
                .collect(),
            lines: self.lines(overview),
            pick: is_selected.then(|| self.pick()),
            durations: percents(self.rows.labels()),
            ticks: percents(ticks),
            facts: facts(overview),
            said: self.said(overview),
            unselect_href: is_selected.then(|| self.urls.search_for(&self.form.unselected())),
            widen_href: (is_timed && !self.form.has_last()).then(|| {
                let times = (Some(start), (end.0 < u64::MAX).then_some(end));
                self.urls.search_for(&self.form.began(times))
            }),
            count_href: overview
                .unseen
                .stopped
                .filter(|_| self.form.count.is_empty())
                .map(|_| self.urls.search_for(&self.form.counted())),
            json_href: self.urls.api_overview(self.form),
            start_seconds,
            step_seconds,
            least: texts(&|row| self.form.took(self.took(row)).min),
            most: texts(&|row| self.form.took(self.took(row)).max),
        }
    }

    fn cell(&self, column: i64, row: usize, counts: Counts, most: u64) -> Cell {
        let (times, said) = self.times(column);
        Cell {
            row: row + 1,
            column: column - self.shown.first + 1,
            shade: shade(counts.0, most),
            has_errors: counts.1 > 0,
            title: format!(
                "{}, {}, {said}",
                words(counts),
                rows::range(self.bounds[row])
            ),
            href: self
                .urls
                .search_for(&self.form.began(times).took(self.took(row))),
        }
    }

    /// Between which starts a column is, within what the map is of; and in words.
    fn times(&self, column: i64) -> ((Option<UnixNanos>, Option<UnixNanos>), String) {
        let (begin, end) = (self.shown.begin(column), self.shown.begin(column + 1));
        let said = axis::clock_range(
            begin.unwrap_or(UnixNanos(0)),
            end.unwrap_or(UnixNanos(u64::MAX)),
        );
        let asked = &self.asked.request;
        let end = [end, asked.to].into_iter().flatten().min();
        ((begin.max(asked.from), end), said)
    }

    /// A row's least and most as the form has them.
    fn took(&self, row: usize) -> (Option<u64>, Option<u64>) {
        let (least, most) = self.bounds[row];
        (
            (least > 0).then_some(least),
            (most < u64::MAX).then_some(most),
        )
    }

    fn bars(&self, by_row: &[Counts]) -> Vec<Bar> {
        // A bar is of the whole map, and finds that much.
        let from = self.asked.request.from.filter(|_| !self.form.has_last());
        let whole = self.form.began((from, self.asked.request.to));
        let most = by_row.iter().map(|of| of.0).max().unwrap_or(0);
        let all = by_row.iter().map(|of| of.0).sum();
        let filled = by_row.iter().enumerate().filter(|(_, of)| of.0 > 0);
        filled
            .map(|(row, counts)| Bar {
                row: row + 1,
                range: rows::range(self.bounds[row]),
                width: place(ratio(counts.0, most)),
                n: Count(counts.0),
                n_with_errors: Count(counts.1),
                share: percent(counts.0, all),
                href: self.urls.search_for(&whole.took(self.took(row))),
            })
            .collect()
    }

    fn time(&self, column: i64, counts: Counts) -> Time {
        let (times, range) = self.times(column);
        Time {
            range,
            n: Count(counts.0),
            n_with_errors: Count(counts.1),
            href: self.urls.search_for(&self.form.began(times)),
        }
    }

    fn lines(&self, overview: &Overview) -> Vec<Line> {
        let Some(all) = overview.percentiles else {
            return Vec::new();
        };
        let about = about(all.are_exact);
        let lines = [
            ("p99", all.p99_nanos),
            ("p95", all.p95_nanos),
            ("p50", all.p50_nanos),
        ];
        let tops = lines.map(|(_, nanos)| self.rows.height(nanos));
        let text_tops = apart(tops, TEXT_ROWS * self.rows.share());
        let lines = lines.into_iter().zip(tops.into_iter().zip(text_tops));
        lines
            .map(|((name, nanos), (top, text_top))| Line {
                name,
                text: format!("{name} {about}{}", duration(nanos)),
                top: place(top),
                text_top: place(text_top),
            })
            .collect()
    }

    fn pick(&self) -> Pick {
        let (least, most) = self.form.durations();
        let selected = &self.asked.selected;
        let left = selected.from.map_or(0.0, |from| self.shown.share(from));
        let right = selected.to.map_or(1.0, |to| self.shown.share(to));
        let top = most.map_or(0.0, |most| self.rows.height(most.saturating_add(1)));
        let bottom = least.map_or(1.0, |least| self.rows.height(least));
        Pick {
            left: place(left),
            width: place(right - left),
            top: place(top),
            height: place(bottom - top),
        }
    }

    /// What the map is of, in words.
    fn said(&self, overview: &Overview) -> Vec<String> {
        let n = overview.matched.at_least();
        let stopped = overview.unseen.stopped;
        let which = match (overview.complete, stopped) {
            (true, _) => "",
            (false, None) => "readable ",
            (false, Some(_)) => "newest ",
        };
        let of = Count(n);
        let errors = with_errors(overview.n_with_errors);
        let of_what = format!("map of {of} {which}request{}{errors}", of.s());
        let (start, end) = (self.shown.start(), self.shown.end());
        let mut said = vec![of_what, format!("{} UTC", axis::range(start, end))];
        if let Some(beyond) = stopped.and_then(|stopped| stopped.seen_beyond) {
            const MS: u64 = 1_000_000;
            let time = UnixNanos(beyond.div_ceil(MS).saturating_mul(MS));
            said.push(format!("those that began after {} UTC", utc(time)));
        }
        said
    }
}

const SECOND: u64 = 1_000_000_000;

/// A step in nanoseconds.
pub(super) fn nanos(step: Duration) -> u64 {
    u64::try_from(step.as_nanos()).unwrap_or(u64::MAX)
}

/// Before a percentile.
fn about(is_exact: bool) -> &'static str {
    if is_exact { "" } else { "about " }
}

/// Moves texts that would lie on one another apart, from the top: each at least `gap` below the one
/// before, and the last not below the map.
fn apart<const N: usize>(mut tops: [f64; N], gap: f64) -> [f64; N] {
    for at in 1..N {
        tops[at] = tops[at].max(tops[at - 1] + gap);
    }
    let mut lowest = 1.0;
    for top in tops.iter_mut().rev() {
        *top = top.min(lowest);
        lowest = *top - gap;
    }
    tops
}

fn facts(overview: &Overview) -> Vec<Fact> {
    let all = overview.percentiles.iter();
    all.flat_map(|all| {
        let about = about(all.are_exact);
        let fact = |name, nanos| Fact {
            name,
            value: format!("{about}{}", duration(nanos)),
        };
        [
            fact("p50", all.p50_nanos),
            fact("p95", all.p95_nanos),
            fact("p99", all.p99_nanos),
        ]
    })
    .collect()
}

/// How many requests a cell has, in words.
fn words(Counts(n, n_with_errors): Counts) -> String {
    let n = Count(n);
    format!("{n} request{}{}", n.s(), with_errors(n_with_errors))
}

fn with_errors(n: u64) -> String {
    if n == 0 {
        return String::new();
    }
    format!(", {} with errors", Count(n))
}

/// The shade of a cell, from 1 to 6, by the logarithm: few are seen beside many.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "one of six shades"
)]
fn shade(n: u64, most: u64) -> u8 {
    if most <= 1 {
        return 4;
    }
    let share = (n.max(1) as f64).ln() / (most as f64).ln();
    1 + (share * (SHADES - 1.0)).round() as u8
}

#[expect(clippy::cast_precision_loss, reason = "a width on a screen")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// A share from 0 to 1 as a place.
fn place(share: f64) -> Place {
    format!("{:.2}%", share * 100.0)
}

fn percents(places: Vec<(String, f64)>) -> Vec<(String, Place)> {
    let places = places.into_iter();
    places.map(|(text, share)| (text, place(share))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_do_not_lie_on_one_another() {
        let near = |tops, expected: [f64; 3]| {
            let moved = apart(tops, 0.2);
            let is_near = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
            assert!(moved.into_iter().zip(expected).all(is_near), "{moved:?}");
        };
        near([0.1, 0.4, 0.8], [0.1, 0.4, 0.8]);
        near([0.0, 0.0, 0.0], [0.0, 0.2, 0.4]);
        near([1.0, 1.0, 1.0], [0.6, 0.8, 1.0]);
    }

    #[test]
    fn few_are_seen_beside_many() {
        assert_eq!([1, 10, 1_000].map(|n| shade(n, 1_000)), [1, 3, 6]);
        assert_eq!(shade(1, 1), 4);
    }
}
