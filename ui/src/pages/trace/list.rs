//! The views that list spans in pages: which spans, in which order, and which page.

use longpole_proto::TraceId;

use crate::Urls;
use crate::timeline::list::Page;
use crate::timeline::{Extent, Shown, list};
use crate::trace_cache::Loaded;
use crate::trace_view::TraceView;

/// From how many spans on a script does not get all rows at once.
const COLUMNS_SPANS_MAX: usize = 250_000;
/// What is said then.
const TOO_MANY: &str =
    "More than 250,000 spans are shown in pages only, not in one list to scroll through.";

/// The spans of a view that lists them, and which of them are on the page.
pub(super) struct List {
    /// In the order of their rows.
    pub(super) spans: Vec<usize>,
    pub(super) page: Page,
}

impl List {
    /// The spans that `view` lists: its page, else the one that has the selected span.
    pub(super) fn of(
        loaded: &Loaded,
        view: &TraceView,
        extent: &Extent,
        matching: &[bool],
        selected: Option<usize>,
    ) -> Self {
        let mut spans = list::spans(&loaded.trace, extent, matching);
        if view.shown == Shown::Table {
            view.sort.sort(&loaded.trace, loaded.analysis(), &mut spans);
        }
        let n = spans.len();
        let at = || spans.iter().position(|&at| Some(at) == selected);
        let page = match view.page {
            Some(number) => Page::of(number, n),
            None => Page::with(at().unwrap_or(0), n),
        };
        Self { spans, page }
    }

    pub(super) fn on_page(&self) -> &[usize] {
        &self.spans[self.page.rows.clone()]
    }
}

/// Where a script finds all of so many spans at once, or why it does not.
pub(super) fn columns(
    urls: &Urls,
    trace_id: TraceId,
    n_spans: usize,
) -> Result<String, &'static str> {
    if n_spans > COLUMNS_SPANS_MAX {
        Err(TOO_MANY)
    } else {
        Ok(urls.api_columns(trace_id))
    }
}
