//! What to look at together: the requests that match, by when they began and how long they took.

mod builder;
mod columns;
#[cfg(test)]
mod tests;

use std::time::Duration;

use longpole_analysis::query::Query;
use longpole_proto::{TraceId, UnixNanos};

pub use self::builder::OverviewBuilder;
pub use self::columns::Columns;
use crate::{Cancel, Matched, Operation, Scanned, Unseen};

/// Of how many requests the percentiles are exact; their durations take 8 MiB.
pub const EXACT_PERCENTILES_MAX: usize = 1 << 20;

/// The most trace IDs that are drawn.
pub const SAMPLE_MAX: usize = 1_000;

/// Into how many rows durations fall.
pub const HEAT_ROWS: u8 = 59;

/// What to look at together: requests that match the query and began in the range.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OverviewRequest {
    /// What must hold on them; the default matches all.
    pub query: Query,
    /// They began at this time or later.
    pub from: Option<UnixNanos>,
    /// They began before this time.
    pub to: Option<UnixNanos>,
    /// How many columns of time there may be, taken as 4 when it is less and as 240 when it is more; 0
    /// for no cells.
    pub n_columns: usize,
    /// Whether the columns begin at `from` and end at `to`, where those are given, instead of where the
    /// first and the last match are.
    pub is_whole_range: bool,
    /// How many of the slowest hops to name, the most frequent first; 0 for none.
    pub n_hops: usize,
    /// How many trace IDs to draw, at most [`SAMPLE_MAX`].
    pub n_sample: usize,
    /// Ends the work after so long, and says so; `None` for as long as a search may take.
    pub within: Option<Duration>,
    /// Ends it when nobody waits for it any more.
    pub cancel: Cancel,
}

/// The requests that match, together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// How many match.
    pub matched: Matched,
    /// How many of those that were looked at have spans that failed.
    pub n_with_errors: u64,
    /// The columns the cells are in; `None` when none were asked for or nothing matches.
    pub columns: Option<Columns>,
    /// The cells that have any, by column, then by row.
    pub cells: Vec<HeatCell>,
    /// How long the requests took; `None` when nothing matches.
    pub percentiles: Option<Percentiles>,
    /// Operations whose calls were a request's slowest hop, each of how many: most first (ties: by name),
    /// with names cut as summaries have them.
    pub slowest_hops: Vec<(Operation, u64)>,
    /// Whether all of them could be told apart, so that those counts are exact.
    pub has_all_hops: bool,
    /// Some of the requests, as many as were asked for or all: each match is as likely among them as any
    /// other, and it is the same ones each time. By a hash of their IDs.
    pub sample: Vec<TraceId>,
    /// Whether all that was asked for was looked at.
    pub complete: bool,
    /// What was not seen. Everything that began later than `seen_beyond` was.
    pub unseen: Unseen,
    /// What it took.
    pub scanned: Scanned,
}

/// The requests that began in a column and took as long as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeatCell {
    /// Which of [`Columns`].
    pub column: u32,
    /// Which row; see [`heat_row`].
    pub row: u8,
    /// How many.
    pub n_requests: u64,
    /// How many of them have spans that failed.
    pub n_with_errors: u64,
}

/// What share of the requests took no longer, in nanoseconds: of `n` in order, the one at place
/// `ceil(share * n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// Half of them.
    pub p50_nanos: u64,
    /// 95 of 100.
    pub p95_nanos: u64,
    /// 99 of 100.
    pub p99_nanos: u64,
    /// Whether they are exact. Of more than [`EXACT_PERCENTILES_MAX`] requests they are within 1 %.
    pub are_exact: bool,
}

/// The row a duration falls into; less than [`HEAT_ROWS`].
///
/// Row 0 is no time at all; the others begin at 1, 2 and 5 ns, 10, 20 and 50 ns, and so on.
pub fn heat_row(nanos: u64) -> u8 {
    let Some(exponent) = nanos.checked_ilog10() else {
        return 0;
    };
    let first = 1 + 3 * u8::try_from(exponent).expect("less than 20");
    match nanos / 10_u64.pow(exponent) {
        1 => first,
        2..5 => first + 1,
        _ => first + 2,
    }
}

/// The shortest and the longest duration in a row, in nanoseconds.
pub fn heat_row_bounds(row: u8) -> (u64, u64) {
    let last = row_start(row.saturating_add(1)).map_or(u64::MAX, |next| next - 1);
    (row_start(row).unwrap_or(u64::MAX), last)
}

/// Where a row begins; `None` beyond what can be counted.
fn row_start(row: u8) -> Option<u64> {
    let Some(above) = row.checked_sub(1) else {
        return Some(0);
    };
    let digit = [1, 2, 5][usize::from(above % 3)];
    10_u64.checked_pow(u32::from(above / 3))?.checked_mul(digit)
}
