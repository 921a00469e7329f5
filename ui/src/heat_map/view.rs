//! What the template draws of a map.

use crate::format::Count;

/// A place on the map, in percent of it.
pub(crate) type Place = String;

/// A heat map with its histogram.
pub(crate) struct HeatMap {
    pub(crate) label: String,
    pub(crate) n_columns: i64,
    pub(crate) n_rows: usize,
    pub(crate) cells: Vec<Cell>,
    pub(crate) bars: Vec<Bar>,
    pub(crate) times: Vec<Time>,
    pub(crate) lines: Vec<Line>,
    pub(crate) pick: Option<Pick>,
    /// Beside the rows, each with its place.
    pub(crate) durations: Vec<(String, Place)>,
    /// Below the columns.
    pub(crate) ticks: Vec<(String, Place)>,
    /// What it says in words.
    pub(crate) facts: Vec<Fact>,
    pub(crate) said: Vec<String>,
    pub(crate) unselect_href: Option<String>,
    pub(crate) widen_href: Option<String>,
    pub(crate) count_href: Option<String>,
    pub(crate) json_href: String,
    /// For the script: when the first column begins and how wide each is, in seconds.
    pub(crate) start_seconds: u64,
    pub(crate) step_seconds: u64,
    /// The rows' shortest and longest durations as the form has them, from the top, a space
    /// between; nothing where there is none.
    pub(crate) least: String,
    pub(crate) most: String,
}

/// A number with its name.
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// A filled cell; rows and columns count from 1, rows from the top.
pub(crate) struct Cell {
    pub(crate) row: usize,
    pub(crate) column: i64,
    pub(crate) shade: u8,
    pub(crate) has_errors: bool,
    pub(crate) title: String,
    pub(crate) href: String,
}

/// A row of the histogram.
pub(crate) struct Bar {
    pub(crate) row: usize,
    pub(crate) range: String,
    pub(crate) width: Place,
    pub(crate) n: Count,
    pub(crate) n_with_errors: Count,
    pub(crate) share: String,
    pub(crate) href: String,
}

/// A column in the table.
pub(crate) struct Time {
    pub(crate) range: String,
    pub(crate) n: Count,
    pub(crate) n_with_errors: Count,
    pub(crate) href: String,
}

/// A line across.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) top: Place,
    /// Where it is written, beside the map.
    pub(crate) text_top: Place,
}

/// The frame around what is selected.
pub(crate) struct Pick {
    pub(crate) left: Place,
    pub(crate) width: Place,
    pub(crate) top: Place,
    pub(crate) height: Place,
}
