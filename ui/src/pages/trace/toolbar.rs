//! What stands above the rows and leads to other rows: the views, the pages, and how many rows
//! stand for how many spans.

use super::scene::Scene;
use crate::format::Count;
use crate::timeline::list::Page;
use crate::timeline::{Shown, Timeline};

/// Switches a view on, or back to the story.
pub(super) struct ViewLink {
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) is_on: bool,
    pub(super) href: String,
}

/// The views a trace has beside its story.
pub(super) fn views(scene: &Scene<'_>) -> Vec<ViewLink> {
    let (trace, view) = (scene.trace(), &scene.view);
    let link = |shown: Shown, text: String| {
        let is_on = view.shown == shown;
        let other = if is_on { Shown::Story } else { shown };
        ViewLink {
            name: shown.name(),
            text,
            is_on,
            href: scene.href(&view.with_shown(other)),
        }
    };
    let path = link(Shown::Path, "Critical path only".to_owned());
    let errors = link(Shown::Errors, "Errors only".to_owned());
    let errors = (trace.n_errors() > 0 || errors.is_on).then_some(errors);
    let n_spans = Count::from(scene.extent.spans.len());
    let all = match (scene.n_matches, scene.extent.spans.len()) {
        (Some(n_matches), _) => format!("Only the {} that match", Count::from(n_matches)),
        (None, 1) => "The span".to_owned(),
        (None, _) => format!("All {n_spans} spans"),
    };
    let all = link(Shown::All, all);
    let table = link(Shown::Table, "Table".to_owned());
    let links = std::iter::once(path).chain(errors);
    links.chain([all, table]).collect()
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
    /// Of the page that is shown; none when it has all rows.
    pub(super) fn of(scene: &Scene<'_>) -> Option<Self> {
        let list = scene.list.as_ref()?;
        let (page, n) = (&list.page, list.spans.len());
        let to = |number| scene.href(&scene.view.with_page(number));
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
pub(super) fn status(scene: &Scene<'_>, timeline: &Timeline, pager: Option<&Pager>) -> String {
    let (trace, extent) = (scene.trace(), &scene.extent);
    let n_spans = extent.spans.len();
    let n_rows = Count::from(timeline.rows.len());
    let count = |is_counted: &dyn Fn(usize) -> bool| {
        let spans = extent.spans.clone();
        let spans = spans.filter(|&at| extent.has_time_of(trace, at));
        spans.filter(|&at| is_counted(at)).count()
    };
    let critical = &scene.loaded.analysis().critical_nanos;
    let (what, n) = match scene.view.shown {
        Shown::Story if timeline.n_spans_shown() < n_spans => {
            return format!("{n_rows} rows stand for {} spans", Count::from(n_spans));
        }
        Shown::All | Shown::Table if scene.n_rows(0) < n_spans || pager.is_some() => {
            return pager.map_or_else(
                || {
                    let n_rows = Count::from(scene.n_rows(0));
                    format!("{n_rows} of {} spans shown", Count::from(n_spans))
                },
                |pager| pager.text.clone(),
            );
        }
        Shown::Story | Shown::All | Shown::Table if n_spans == 1 => {
            return "the only span is shown".to_owned();
        }
        Shown::Story | Shown::All | Shown::Table => {
            return format!("all {} spans shown", Count::from(n_spans));
        }
        Shown::Path => ("on the critical path", count(&|at| critical[at] > 0)),
        Shown::Errors => ("that failed", count(&|at| trace.span(at).is_error())),
    };
    let (n, all) = (Count::from(n), Count::from(n_spans));
    format!(
        "{n_rows} row{} for the {n} of {all} spans {what}",
        n_rows.s()
    )
}
