//! Columns of time of a round width, found while requests come in any order: counted finely first, in
//! twice to thrice as many columns as are wanted, and then put together.

use std::collections::VecDeque;
use std::time::Duration;

use longpole_proto::UnixNanos;

use super::{HEAT_ROWS, HeatCell, heat_row};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How wide a column may be. Of the widest, three are all of time.
const STEPS: [u64; 37] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    20 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    4 * HOUR,
    6 * HOUR,
    8 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    20 * DAY,
    50 * DAY,
    100 * DAY,
    200 * DAY,
    500 * DAY,
    1_000 * DAY,
    2_000 * DAY,
    5_000 * DAY,
    10_000 * DAY,
    20_000 * DAY,
    50_000 * DAY,
    100_000 * DAY,
];

/// Those that are counted by, each a multiple of the one before: what was counted by one can be put
/// together to the next.
const FINE_STEPS: [u64; 18] = [
    SECOND,
    5 * SECOND,
    15 * SECOND,
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    3 * HOUR,
    12 * HOUR,
    DAY,
    10 * DAY,
    50 * DAY,
    100 * DAY,
    500 * DAY,
    1_000 * DAY,
    5_000 * DAY,
    10_000 * DAY,
    50_000 * DAY,
    100_000 * DAY,
];

/// How many columns there are at least, if any.
const COLUMNS_MIN: usize = 4;

/// How many there are at most.
const COLUMNS_MAX: usize = 240;

/// How many fine columns there are to one that is wanted.
const FINE: usize = 8;

/// Columns of time, each as wide as the next; they begin at multiples of their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// When the first begins.
    pub start: UnixNanos,
    /// How wide each is: a round number of seconds, minutes, hours or days.
    pub step: Duration,
    /// How many there are.
    pub n: u32,
}

impl Columns {
    /// When a column begins, and when the next does; `None` when that is beyond all times.
    pub fn bounds(&self, column: u32) -> (UnixNanos, Option<UnixNanos>) {
        let begin = |column: u64| {
            let since = nanos(self.step).checked_mul(column)?;
            self.start.0.checked_add(since).map(UnixNanos)
        };
        let column = u64::from(column);
        (
            begin(column).unwrap_or(UnixNanos(u64::MAX)),
            begin(column + 1),
        )
    }
}

fn nanos(step: Duration) -> u64 {
    u64::try_from(step.as_nanos()).unwrap_or(u64::MAX)
}

/// How many requests, and how many of them with errors.
#[derive(Debug, Clone, Copy, Default)]
struct Cell(u64, u64);

impl Cell {
    fn add(&mut self, more: Self) {
        self.0 += more.0;
        self.1 += more.1;
    }
}

type Rows = [Cell; HEAT_ROWS as usize];

const NO_ROWS: Rows = [Cell(0, 0); HEAT_ROWS as usize];

/// Requests by when they began and how long they took.
#[derive(Debug)]
pub(super) struct Grid {
    n_columns: usize,
    /// Which of [`FINE_STEPS`].
    fine: usize,
    /// Which multiple of the step the first column begins at.
    first: u64,
    columns: VecDeque<Rows>,
}

impl Grid {
    /// Counts for at most so many columns; `None` when none are wanted.
    pub(super) fn new(n_columns: usize) -> Option<Self> {
        (n_columns > 0).then(|| Self {
            n_columns: n_columns.clamp(COLUMNS_MIN, COLUMNS_MAX),
            fine: 0,
            first: 0,
            columns: VecDeque::new(),
        })
    }

    /// Counts a request.
    pub(super) fn add(&mut self, start: UnixNanos, duration_nanos: u64, has_errors: bool) {
        let at = self.include(start);
        let row = usize::from(heat_row(duration_nanos));
        self.columns[at][row].add(Cell(1, u64::from(has_errors)));
    }

    /// Makes a column of a time, if there is none, and says which it is.
    pub(super) fn include(&mut self, time: UnixNanos) -> usize {
        loop {
            let column = time.0 / self.step();
            if self.columns.is_empty() {
                self.first = column;
            }
            let last = self.first + self.columns.len() as u64;
            let (first, last) = (self.first.min(column), last.max(column + 1));
            if usize::try_from(last - first).is_ok_and(|n| n <= FINE * self.n_columns) {
                while self.first > first {
                    self.first -= 1;
                    self.columns.push_front(NO_ROWS);
                }
                while self.first + (self.columns.len() as u64) < last {
                    self.columns.push_back(NO_ROWS);
                }
                return usize::try_from(column - first).expect("few columns");
            }
            self.coarsen();
        }
    }

    fn step(&self) -> u64 {
        FINE_STEPS[self.fine]
    }

    /// Goes over to the next step. At the last all times have a column.
    fn coarsen(&mut self) {
        let times = FINE_STEPS[self.fine + 1] / self.step();
        self.fine += 1;
        self.put_together(times);
    }

    fn put_together(&mut self, times: u64) {
        let columns = std::mem::take(&mut self.columns);
        let first = self.first / times;
        for (column, rows) in (self.first..).zip(columns) {
            let at = usize::try_from(column / times - first).expect("few columns");
            if at == self.columns.len() {
                self.columns.push_back(NO_ROWS);
            }
            for (to, more) in self.columns[at].iter_mut().zip(rows) {
                to.add(more);
            }
        }
        self.first = first;
    }

    /// The columns and what is in them.
    pub(super) fn finish(mut self) -> (Columns, Vec<HeatCell>) {
        let fine = self.step();
        let last = (self.first + self.columns.len() as u64).saturating_sub(1);
        let n_columns = self.n_columns as u64;
        let fits = |step: u64| {
            let times = step / fine;
            step.is_multiple_of(fine) && last / times - self.first / times < n_columns
        };
        let step = STEPS.into_iter().find(|&step| fits(step));
        let step = step.unwrap_or(fine);
        self.put_together(step / fine);
        let mut cells = Vec::new();
        for (column, rows) in (0..).zip(&self.columns) {
            let filled = (0..).zip(rows).filter(|(_, cell)| cell.0 > 0);
            cells.extend(filled.map(|(row, cell)| HeatCell {
                column,
                row,
                n_requests: cell.0,
                n_with_errors: cell.1,
            }));
        }
        let columns = Columns {
            start: UnixNanos(self.first * step),
            step: Duration::from_nanos(step),
            n: u32::try_from(self.columns.len()).expect("few columns"),
        };
        (columns, cells)
    }
}
