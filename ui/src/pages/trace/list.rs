//! The views that list spans in pages: which spans, in which order, and which page.

use crate::timeline::list::Page;
use crate::timeline::{Extent, Shown, list};
use crate::trace_cache::Loaded;
use crate::trace_view::TraceView;

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
