//! What stands above the rows and leads to other rows: the views, the pages, and how many rows
//! stand for how many spans.

use longpole_proto::TraceId;

use crate::Urls;
use crate::format::Count;
use crate::timeline::list::Page;
use crate::timeline::{Shown, Timeline};
use crate::trace_cache::Loaded;
use crate::trace_view::TraceView;

/// Switches a view on, or back to the story.
pub(super) struct ViewLink {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) is_on: bool,
    pub(super) href: String,
}

/// The views a trace has beside its story.
pub(super) fn views(urls: &Urls, loaded: &Loaded, view: &TraceView) -> Vec<ViewLink> {
    let trace = &loaded.trace;
    let link = |shown: Shown, text: String| {
        let is_on = view.shown == shown;
        let other = if is_on { Shown::Story } else { shown };
        ViewLink {
            name: shown.name(),
            text,
            is_on,
            href: urls.trace_view(trace.id(), &view.with_shown(other)),
        }
    };
    let path = link(Shown::Path, "Critical path only".to_owned());
    let errors = link(Shown::Errors, "Errors only".to_owned());
    let errors = (trace.n_errors() > 0 || errors.is_on).then_some(errors);
    let n_spans = Count::from(trace.len());
    let all = match trace.len() {
        1 => "The span".to_owned(),
        _ => format!("All {n_spans} spans"),
    };
    let all = link(Shown::All, all);
    std::iter::once(path).chain(errors).chain([all]).collect()
}

/// The links to a list's other pages.
pub(super) struct Pager {
    /// `rows 201–400 of 100,000`.
    pub(super) text: String,
    pub(super) first: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) last: Option<String>,
}

impl Pager {
    /// Of a page among `n` rows; none when it has them all.
    pub(super) fn of(
        urls: &Urls,
        trace_id: TraceId,
        view: &TraceView,
        page: &Page,
        n: usize,
    ) -> Option<Self> {
        let to = |number| urls.trace_view(trace_id, &view.with_page(number));
        let is_first = page.number == 1;
        let is_last = page.number == page.n_pages;
        (page.n_pages > 1).then(|| Self {
            text: rows_of(page, n),
            first: (!is_first).then(|| to(1)),
            previous: (!is_first).then(|| to(page.number - 1)),
            next: (!is_last).then(|| to(page.number + 1)),
            last: (!is_last).then(|| to(page.n_pages)),
        })
    }
}

fn rows_of(page: &Page, n: usize) -> String {
    format!(
        "rows {}–{} of {}",
        Count::from(page.rows.start + 1),
        Count::from(page.rows.end),
        Count::from(n)
    )
}

/// How many rows stand for how many spans.
pub(super) fn status(timeline: &Timeline, shown: Shown, loaded: &Loaded) -> String {
    let n_spans = loaded.trace.len();
    let n_rows = Count::from(timeline.rows.len());
    let (what, n) = match shown {
        Shown::Story if timeline.n_spans_shown() < n_spans => {
            return format!("{n_rows} rows stand for {} spans", Count::from(n_spans));
        }
        Shown::Story | Shown::All if n_spans == 1 => return "the only span is shown".to_owned(),
        Shown::Story | Shown::All => return format!("all {} spans shown", Count::from(n_spans)),
        Shown::Path => {
            let critical = loaded.analysis().critical_nanos.iter();
            (
                "on the critical path",
                critical.filter(|&&nanos| nanos > 0).count(),
            )
        }
        Shown::Errors => ("that failed", loaded.trace.n_errors()),
    };
    let (n, all) = (Count::from(n), Count::from(n_spans));
    format!(
        "{n_rows} row{} for the {n} of {all} spans {what}",
        n_rows.s()
    )
}
