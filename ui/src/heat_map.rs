//! The heat map of a search: when its requests began and how long they took, with links to those of
//! each cell, and the histogram beside it. Pure: an overview and a form become what the template
//! draws.
//!
//! The map is of more than the list, so that one sees what is selected among the rest and can widen it:
//! of the form without its durations, and where it has
//! - the last hour (or another): of all of that,
//! - else a beginning and an end: of three times as long, as much again before and behind, and of 24 s at
//!   the least,
//! - else a beginning: of as much again before it, counted to now,
//! - else: of all times.
//!
//! Its columns are the last hour's, or go from the first to the last request that there is in its range.

mod axis;
mod drawing;
mod rows;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use longpole_proto::UnixNanos;
use longpole_storage::{Columns, OverviewRequest, SearchRequest};

use crate::error::BadParameter;
use crate::search_form::SearchForm;

pub(crate) use self::view::HeatMap;

/// How many columns there are at most: one more than minutes in an hour, of which the first and the
/// last are begun.
const COLUMNS_MAX: u16 = 61;

/// How many columns there are at least, so that few are not too wide.
const COLUMNS_MIN: i64 = 24;

/// How long a map of some stretch of time is at least: so many columns of a second.
const NANOS_MIN: u64 = COLUMNS_MIN.unsigned_abs() * 1_000_000_000;

/// How long a page waits for its map, unless all are to be counted.
const WITHIN: Duration = Duration::from_millis(300);

/// What is selected on the map, and what the map is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// Between which starts.
    pub(crate) from: Option<UnixNanos>,
    /// The end of the starts.
    pub(crate) to: Option<UnixNanos>,
}

/// A map that can be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) request: OverviewRequest,
    /// What the list is of.
    selected: Ranges,
    /// Whether the list is of the same.
    pub(crate) is_list: bool,
}

impl Asked {
    /// The map of a form whose list is asked for by `list`.
    ///
    /// # Errors
    /// As the form itself.
    pub(crate) fn new(
        form: &SearchForm,
        list: &SearchRequest,
        now: UnixNanos,
    ) -> Result<Self, Vec<BadParameter>> {
        let wide = form.unselected().request(now)?;
        let (mut from, mut to) = (wide.from, None);
        if from.is_none()
            && let Some(begin) = list.from
        {
            let end = list.to.unwrap_or(now);
            let nanos = end.0.saturating_sub(begin.0);
            // Of columns of a second, too, there are to be enough.
            let around = nanos.max(NANOS_MIN.saturating_sub(nanos).div_ceil(2));
            from = Some(UnixNanos(begin.0.saturating_sub(around)));
            to = list
                .to
                .and_then(|to| to.0.checked_add(around))
                .map(UnixNanos);
        }
        Ok(Self {
            is_list: wide.query == list.query && (from, to) == (list.from, list.to),
            selected: Ranges {
                from: (!form.from.is_empty()).then_some(list.from).flatten(),
                to: list.to,
            },
            request: OverviewRequest {
                query: wide.query,
                from,
                to,
                n_columns: COLUMNS_MAX.into(),
                is_whole_range: form.has_last(),
                within: (!list.count).then_some(WITHIN),
                cancel: list.cancel.clone(),
                ..OverviewRequest::default()
            },
        })
    }

    /// Which columns are shown, counted from the overview's first: its own, those with the ends of the
    /// selection when there is room for them, and some around few.
    fn columns(&self, columns: &Columns) -> (i64, i64) {
        let step = drawing::nanos(columns.step);
        let (mut first, mut last) = (0, i64::from(columns.n) - 1);
        let column_of = |time: UnixNanos| {
            let since = i128::from(time.0) - i128::from(columns.start.0);
            i64::try_from(since.div_euclid(i128::from(step))).ok()
        };
        let end = self.selected.to.map(|to| UnixNanos(to.0.saturating_sub(1)));
        for time in [self.selected.from, end].into_iter().flatten() {
            if let Some(column) = column_of(time)
                && last.max(column) - first.min(column) < i64::from(COLUMNS_MAX)
            {
                (first, last) = (first.min(column), last.max(column));
            }
        }
        let missing = (COLUMNS_MIN - (last - first + 1)).max(0);
        // None begins before what was asked for, or before there was time: it is not known to be empty.
        let from = self.request.from.unwrap_or(UnixNanos(0));
        let first_asked = column_of(from).unwrap_or(i64::MIN);
        let before = first.saturating_sub(first_asked).clamp(0, missing / 2);
        let to = self.request.to.map(|to| UnixNanos(to.0.saturating_sub(1)));
        let last_asked = to.and_then(column_of).unwrap_or(i64::MAX);
        let behind = last_asked.saturating_sub(last).clamp(0, missing - before);
        (first - before, last + behind)
    }
}
