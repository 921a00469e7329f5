//! What a trace page looks at: a trace, and what its URL's state means there.

use longpole_analysis::format::{duration, span_label};
use longpole_proto::Trace;

use super::filter;
use super::list::List;
use super::row;
use super::table::Table;
use crate::Urls;
use crate::api::columns::check;
use crate::error::{BadParameter, UiError};
use crate::format::Count;
use crate::palette::Palette;
use crate::timeline::list;
use crate::timeline::{Extent, Options, Percent, Shown, Timeline};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRefs, TraceView};

/// A trace as a page looks at it.
pub(super) struct Scene<'a> {
    pub(super) urls: &'a Urls,
    pub(super) loaded: &'a Loaded,
    pub(super) refs: SpanRefs<'a>,
    /// The state, with the page that is shown.
    pub(super) view: TraceView,
    pub(super) selected: Option<usize>,
    /// The span that is looked at with what is under it.
    root: Option<usize>,
    pub(super) extent: Extent,
    /// By span, whether it has the words that are looked for; empty when none are.
    matching: Vec<bool>,
    /// How many of the spans that are looked at have the words that are looked for, if any are.
    pub(super) n_matches: Option<usize>,
    /// The spans of a view that lists them.
    pub(super) list: Option<List>,
}

/// A sentence on what is left out, and links that bring it back, text and target.
pub(super) struct Narrowed {
    pub(super) text: String,
    pub(super) links: Vec<(&'static str, String)>,
}

impl<'a> Scene<'a> {
    /// Finds in a trace what a view names.
    ///
    /// # Errors
    /// When the view begins where the trace has ended, or looks for too many words.
    pub(super) fn of(
        urls: &'a Urls,
        loaded: &'a Loaded,
        view: &TraceView,
    ) -> Result<Self, UiError> {
        let (trace, analysis) = (&loaded.trace, loaded.analysis());
        let refs = SpanRefs::of(trace);
        let selected = view.span.and_then(|span| refs.find(span));
        let root = view.root.and_then(|root| refs.find(root));
        let extent = Extent::of(trace, analysis, root, view.zoom);
        if let Some(zoom) = view.zoom {
            let micros = extent.whole.nanos().div_ceil(1_000);
            if zoom.from_micros >= micros {
                let expected = format!("less than {micros}, where the trace ends");
                let bad = BadParameter::new("t0", &zoom.from_micros.to_string(), expected);
                return Err(UiError::Parameters(vec![bad]));
            }
        }
        let mut matching =
            filter::matching(loaded, &view.words).map_err(|bad| UiError::Parameters(vec![bad]))?;
        for (at, is_match) in matching.iter_mut().enumerate() {
            *is_match &= extent.has_time_of(trace, at);
        }
        let list = view
            .shown
            .is_list()
            .then(|| List::of(loaded, view, &extent, &matching, selected));
        let n_matches = || match &list {
            Some(list) => list.spans.len(),
            None => list::spans(trace, &extent, &matching).len(),
        };
        let n_matches = (!matching.is_empty()).then(n_matches);
        let mut view = view.clone();
        view.page = list.as_ref().map(|list| list.page.number);
        Ok(Self {
            urls,
            loaded,
            refs,
            view,
            selected,
            root,
            extent,
            matching,
            n_matches,
            list,
        })
    }

    pub(super) fn trace(&self) -> &'a Trace {
        &self.loaded.trace
    }

    /// Lays out what is looked at.
    pub(super) fn timeline(&self) -> Timeline {
        let options = Options {
            shown: self.view.shown,
            selected: self.selected,
            expanded: self.view.expansions(&self.refs),
            root: self.root,
            zoom: self.view.zoom,
            matching: self.matching.clone(),
        };
        let (trace, analysis) = (self.trace(), self.loaded.analysis());
        match &self.list {
            // The table has no timeline.
            Some(_) if self.view.shown == Shown::Table => {
                Timeline::of_list(trace, analysis, &options, &[])
            }
            Some(list) => Timeline::of_list(trace, analysis, &options, list.on_page()),
            None => Timeline::of(trace, analysis, &options),
        }
    }

    /// The page as a table, when that is the view.
    pub(super) fn table(&self, palette: &Palette<'_>) -> Option<Table> {
        let list = self
            .list
            .as_ref()
            .filter(|_| self.view.shown == Shown::Table)?;
        Some(Table::of(self, palette, list.on_page()))
    }

    /// How many rows there are on all pages, when so many are on this.
    pub(super) fn n_rows(&self, n_shown: usize) -> usize {
        self.list.as_ref().map_or(n_shown, |list| list.spans.len())
    }

    /// Where a script finds all spans, or why it does not; nothing where not all are listed.
    pub(super) fn columns(&self) -> Option<Result<String, UiError>> {
        let n_spans = self.trace().len();
        let is_all = self.view.shown == Shown::All && self.extent.spans.len() == n_spans;
        let href = || {
            check(n_spans)?;
            let words = &self.view.words;
            Ok(self.urls.api_columns(self.trace().id(), words))
        };
        (is_all && !self.extent.is_zoomed).then(href)
    }

    /// The page in another state.
    pub(super) fn href(&self, view: &TraceView) -> String {
        self.urls.trace_view(self.trace().id(), view)
    }

    /// The page with a span selected, at its row: what hides the span is left out.
    pub(super) fn href_of(&self, span_idx: usize) -> String {
        let mut view = self.view.with_span(self.refs.name(span_idx));
        if !self.extent.spans.contains(&span_idx) {
            view = view.without_root();
        }
        if self.view.shown.is_list() && !self.has_words(span_idx) {
            view = view.with_words("");
        }
        if !self.extent.has_time_of(self.trace(), span_idx) {
            view = view.with_zoom(None);
        }
        self.href(&view) + &self.anchor(span_idx)
    }

    /// The slowest hop's entry: its row, the page's that is marked when one is.
    pub(super) fn hot_href(&self, row_id: Option<&str>) -> String {
        let analysis = self.loaded.analysis();
        let hot = analysis.hops[analysis.slowest_hop].entry_idx;
        let list = self.list.as_ref();
        match row_id {
            Some(id) => format!("#{id}"),
            None if list.is_some_and(|list| list.on_page().contains(&hot)) => self.anchor(hot),
            None => self.href_of(hot),
        }
    }

    /// Whether a span has the words that are looked for, if any are.
    fn has_words(&self, span_idx: usize) -> bool {
        self.matching.get(span_idx).copied().unwrap_or(true)
    }

    /// Where on the page a span's row is.
    fn anchor(&self, span_idx: usize) -> String {
        if self.view.shown.is_list() {
            Urls::row(self.refs.name(span_idx))
        } else {
            row::anchor(self.loaded, &self.refs, span_idx)
        }
    }

    /// How many of how many spans match: those that could be listed.
    fn matches_text(&self, n_matches: usize) -> String {
        let n_spans = list::spans(self.trace(), &self.extent, &[]).len();
        let (n, all) = (Count::from(n_matches), Count::from(n_spans));
        let verb = if n_matches == 1 { "matches" } else { "match" };
        format!("{n} of {all} spans {verb} “{}”", self.view.words)
    }

    /// What is left out of the trace.
    pub(super) fn narrowed(&self) -> Vec<Narrowed> {
        let whole = ("whole request", self.href(&self.view.without_root()));
        let root = self.root.map(|root| {
            let n_spans = Count::from(self.extent.spans.len());
            let operation = span_label(self.trace(), root);
            let up = self.trace().parent(self.extent.spans.start).map(|parent| {
                let view = self.view.with_root(self.refs.name(parent));
                ("one level up", self.href(&view))
            });
            Narrowed {
                text: format!("Showing {n_spans} span{} under {operation}", n_spans.s()),
                links: up.into_iter().chain([whole.clone()]).collect(),
            }
        });
        let missing = self.view.root.filter(|_| self.root.is_none());
        let missing = missing.map(|root| Narrowed {
            text: format!("Span {root}, under which to look, is not stored: all spans are shown"),
            links: vec![whole.clone()],
        });
        let zoom = self.view.zoom.map(|_| {
            let (window, origin) = (self.extent.window, self.extent.origin());
            let from = duration(window.start.nanos_since(origin));
            Narrowed {
                text: format!("Zoomed to {} from {from} on", duration(window.nanos())),
                links: vec![("reset zoom", self.href(&self.view.with_zoom(None)))],
            }
        });
        let words = self.n_matches.map(|n_matches| Narrowed {
            text: self.matches_text(n_matches),
            links: vec![("show all", self.href(&self.view.with_words("")))],
        });
        let narrowed = root.into_iter().chain(missing).chain(zoom);
        narrowed.chain(words).collect()
    }

    /// The axis: where and what; and what stands at its end. In a part of the time the first mark says
    /// where that begins, and the others count from there.
    pub(super) fn axis(&self, timeline: &Timeline) -> (Vec<(Percent, String)>, String) {
        let begins = self.extent.window.start.nanos_since(self.extent.origin());
        let plus = if self.extent.is_zoomed { "+" } else { "" };
        let text = |nanos| match (nanos, begins) {
            (0, 0) => "0".to_owned(),
            (0, begins) => duration(begins),
            (nanos, _) => format!("{plus}{}", duration(nanos)),
        };
        let ticks = timeline.ticks.iter();
        let ticks = ticks.map(|tick| (tick.left, text(tick.nanos)));
        let end = text(self.extent.window.nanos());
        (ticks.collect(), end)
    }
}
