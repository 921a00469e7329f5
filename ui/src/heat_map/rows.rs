//! The rows of a map: neighbouring rows of the overview, with all that is beyond in the first and last.

use longpole_analysis::format::count;
use longpole_storage::{HEAT_ROWS, HeatCell, heat_row, heat_row_bounds};

/// How many rows there are at most.
const ROWS_MAX: u8 = 14;

/// How many there are at least, so that one is not alone.
const ROWS_MIN: u8 = 5;

/// How many rows may be above the median's: three decades, beyond which are mistakes.
const ABOVE_MEDIAN: u8 = 10;

/// Which rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    bottom: u8,
    top: u8,
    /// The lowest and the highest row that has any.
    filled: (u8, u8),
}

impl Rows {
    /// Those of these cells, half of whose requests took no longer than `p50_nanos`: at most 14, of
    /// which at most ten are above the median's.
    pub(super) fn of(cells: &[HeatCell], p50_nanos: u64) -> Option<Self> {
        let rows = || cells.iter().map(|cell| cell.row);
        let filled = (rows().min()?, rows().max()?);
        let mut top = filled.1.min(heat_row(p50_nanos) + ABOVE_MEDIAN);
        let mut bottom = filled.0.max((top + 1).saturating_sub(ROWS_MAX));
        while top - bottom + 1 < ROWS_MIN {
            if top + 1 < HEAT_ROWS {
                top += 1;
            }
            if top - bottom + 1 < ROWS_MIN {
                bottom = bottom.saturating_sub(1);
            }
        }
        Some(Self {
            bottom,
            top,
            filled,
        })
    }

    /// How many.
    pub(super) fn n(self) -> usize {
        usize::from(self.top - self.bottom) + 1
    }

    /// One's share of the height.
    #[expect(clippy::cast_precision_loss, reason = "at most 14")]
    pub(super) fn share(self) -> f64 {
        1.0 / self.n() as f64
    }

    /// Which of them a row of the overview is in, counted from the top.
    pub(super) fn below_top(self, row: u8) -> usize {
        usize::from(self.top - row.clamp(self.bottom, self.top))
    }

    /// The shortest and longest duration of each, from the top.
    pub(super) fn bounds(self) -> impl Iterator<Item = (u64, u64)> {
        (self.bottom..=self.top).rev().map(move |row| {
            let (least, most) = heat_row_bounds(row);
            let is_open = (
                row == self.bottom && self.filled.0 < self.bottom,
                row == self.top && self.filled.1 > self.top,
            );
            (
                if is_open.0 { 0 } else { least },
                if is_open.1 { u64::MAX } else { most },
            )
        })
    }

    /// How far from the top a duration is, from 0 to 1; rows are as high as each other, whatever they
    /// hold.
    #[expect(clippy::cast_precision_loss, reason = "a place on a screen")]
    pub(super) fn height(self, nanos: u64) -> f64 {
        let row = heat_row(nanos);
        let n = self.n() as f64;
        if row > self.top {
            return 0.0;
        }
        if row < self.bottom {
            return 1.0;
        }
        let (least, most) = heat_row_bounds(row);
        let (least, end) = (least as f64, most as f64 + 1.0);
        let in_row = if least > 0.0 {
            (nanos as f64 / least).ln() / (end / least).ln()
        } else {
            0.0
        };
        (self.below_top(row) as f64 + 1.0 - in_row) / n
    }

    /// The durations at which a decade begins, and how far from the top.
    pub(super) fn labels(self) -> Vec<(String, f64)> {
        let starts = (self.bottom..=self.top).map(|row| heat_row_bounds(row).0);
        starts
            .filter(|&start| start > 0 && 10_u64.pow(start.ilog10()) == start)
            .map(|start| (bound(start), self.height(start)))
            .collect()
    }
}

/// Where rows meet, for people: `200 ms`.
pub(super) fn bound(nanos: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let unit = units.into_iter().find(|(unit, _)| nanos >= *unit);
    let (unit, name) = unit.unwrap_or((1, "ns"));
    format!("{} {name}", count(nanos / unit))
}

/// The durations of a row, for people: `100–200 ms`.
pub(super) fn range((least, most): (u64, u64)) -> String {
    match (least, most.checked_add(1)) {
        (0, None) => "any duration".to_owned(),
        (0, Some(1)) => "0 ns".to_owned(),
        (0, Some(end)) => format!("under {}", bound(end)),
        (least, None) => format!("{} and more", bound(least)),
        (least, Some(end)) => {
            let (from, to) = (bound(least), bound(end));
            match (from.split_once(' '), to.split_once(' ')) {
                (Some((number, unit)), Some((_, same))) if unit == same => format!("{number}–{to}"),
                _ => format!("{from}–{to}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn cell(nanos: u64) -> HeatCell {
        HeatCell {
            column: 0,
            row: heat_row(nanos),
            n_requests: 1,
            n_with_errors: 0,
        }
    }

    fn of(durations: &[u64], p50: u64) -> Vec<String> {
        let cells: Vec<HeatCell> = durations.iter().map(|&nanos| cell(nanos)).collect();
        let rows = Rows::of(&cells, p50).expect("some");
        rows.bounds().map(range).collect()
    }

    #[test]
    fn few_rows_have_room_around() {
        assert_eq!(
            of(&[150 * MS], 150 * MS),
            [
                "500 ms–1 s",
                "200–500 ms",
                "100–200 ms",
                "50–100 ms",
                "20–50 ms"
            ]
        );
        assert_eq!(
            of(&[0], 0),
            ["10–20 ns", "5–10 ns", "2–5 ns", "1–2 ns", "0 ns"]
        );
        assert_eq!(of(&[u64::MAX], u64::MAX).len(), 5);
    }

    #[test]
    fn what_is_far_from_the_median_is_in_the_first_and_last_row() {
        let rows = of(&[0, 100 * MS, u64::MAX], 100 * MS);
        assert_eq!(rows.len(), 14);
        assert_eq!(rows[0], "200 s and more");
        assert_eq!(rows[10], "100–200 ms");
        assert_eq!(rows[13], "under 20 ms");
    }

    #[test]
    fn heights_go_by_the_logarithm() {
        let cells = [cell(MS), cell(9 * MS)];
        let rows = Rows::of(&cells, MS).expect("some");
        let near = |nanos, expected: f64| {
            let height = rows.height(nanos);
            assert!((height - expected).abs() < 1e-6, "{nanos}: {height}");
        };
        // 1, 2, 5 ms, and a row each above and below.
        assert_eq!(rows.n(), 5);
        near(MS, 0.8);
        near(2 * MS, 0.6);
        near(10 * MS, 0.2);
        near(0, 1.0);
        near(u64::MAX, 0.0);
    }
}
