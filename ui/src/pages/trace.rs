//! The trace page: why this request was slow, in words, then as a picture, then every span.

pub(crate) mod row;
#[cfg(test)]
mod tests;
mod toolbar;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use longpole_analysis::format::{duration, label, percent};
use longpole_analysis::{FindingKind, Phrase};
use longpole_proto::{Trace, TraceId};

use crate::error::UiError;
use crate::extract::{Pairs, TraceIdPath};
use crate::format::{Count, iso, utc};
use crate::pages::span::SpanDetails;
use crate::palette::Palette;
use crate::site::{Frame, Site, html};
use crate::timeline::list::Page;
use crate::timeline::{Options, Percent, Timeline};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRef, SpanRefs, TraceView};
use crate::{Urls, palette};
use row::RowView;
use toolbar::{Pager, ViewLink};

/// How long after its newest span a trace may still get more.
const YOUNG_NANOS: u64 = 10_000_000_000;
/// How many services the bar names; the rest are one.
const SHARES_MAX: usize = 12;
/// From this share on, in percent, a service's name fits into the bar.
const NAMED_SHARE: f64 = 6.0;
/// How many findings are shown at once.
const FINDINGS_FIRST: usize = 3;
/// How many are shown on demand; all are in the JSON.
const FINDINGS_MAX: usize = 24;

/// From how many spans on a script does not get all rows at once.
const COLUMNS_SPANS_MAX: usize = 250_000;
/// What is said then.
const TOO_MANY: &str =
    "More than 250,000 spans are shown in pages only, not in one list to scroll through.";

#[derive(Template)]
#[template(path = "pages/trace.html")]
struct TracePage<'a> {
    frame: Frame<'a>,
    loaded: &'a Loaded,
    facts: Facts,
    /// How long ago the newest span came, when that was just now.
    young: Option<String>,
    show_hot: String,
    shares: Vec<Share>,
    findings: Vec<FindingView>,
    more_findings: Vec<FindingView>,
    n_more_findings: Count,
    analysis_href: String,
    timeline: &'a Timeline,
    /// The axis: where and what; and what stands at its end.
    ticks: Vec<(Percent, String)>,
    end: String,
    rows: Vec<RowView>,
    /// How many rows there are on all pages.
    n_rows: usize,
    pager: Option<Pager>,
    /// Where a script finds all rows, in the view that has them.
    columns_href: Option<String>,
    /// Why it does not.
    no_columns: Option<&'static str>,
    /// Whether some rows are pairs with time between their spans.
    has_whiskers: bool,
    /// What shows other rows.
    views: Vec<ViewLink>,
    /// How many rows stand for how many spans.
    status: String,
    span: Option<SpanDetails>,
    /// The span that was asked for and is not there.
    missing_span: Option<SpanRef>,
    reload: String,
}

struct Facts {
    service: String,
    operation: String,
    took: String,
    start: String,
    start_iso: String,
    n_spans: Count,
    n_services: Count,
    n_errors: Count,
    n_duplicates: Count,
    depth: Count,
    json_href: String,
}

/// A service's part of the critical path.
struct Share {
    class: String,
    width: Percent,
    /// Name and share.
    text: String,
    took: String,
    is_named: bool,
}

struct FindingView {
    is_error: bool,
    kind: &'static str,
    text: String,
    saved: Option<String>,
    href: Option<String>,
}

/// The spans of a view that has them all, and which of them are on the page.
struct List {
    /// In pre-order.
    spans: Vec<usize>,
    page: Page,
}

impl List {
    /// All spans of `view`: its page, else the one that has the selected span.
    fn of(trace: &Trace, view: &TraceView, selected: Option<usize>) -> Self {
        let spans: Vec<usize> = (0..trace.len()).collect();
        let n = spans.len();
        let at = selected.and_then(|selected| spans.binary_search(&selected).ok());
        let page = match (view.page, at) {
            (Some(number), _) => Page::of(number, n),
            (None, Some(position)) => Page::with(position, n),
            (None, None) => Page::of(1, n),
        };
        Self { spans, page }
    }

    fn on_page(&self) -> &[usize] {
        &self.spans[self.page.rows.clone()]
    }
}

/// Where a script finds all of so many spans at once, or why it does not.
fn columns(urls: &Urls, trace_id: TraceId, n_spans: usize) -> Result<Option<String>, &'static str> {
    if n_spans > COLUMNS_SPANS_MAX {
        Err(TOO_MANY)
    } else {
        Ok(Some(urls.api_columns(trace_id)))
    }
}

/// The page of a trace.
pub(crate) async fn page(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let view = TraceView::read(&pairs).map_err(UiError::Parameters)?;
    let page = site
        .read(move |site| {
            let loaded = site.trace(trace_id)?;
            render(site, &loaded, &view)
        })
        .await?;
    Ok(html(page))
}

/// Renders a trace's page as `view` asks for it.
fn render(site: &Site, loaded: &Loaded, view: &TraceView) -> Result<String, UiError> {
    let urls = site.urls();
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let refs = SpanRefs::of(trace);
    let selected = view.span.and_then(|span| refs.find(span));
    let list = view
        .shown
        .is_list()
        .then(|| List::of(trace, view, selected));
    let resolved = list.as_ref().map(|list| view.with_page(list.page.number));
    let view = resolved.as_ref().unwrap_or(view);
    let options = Options {
        shown: view.shown,
        selected,
        expanded: view.expansions(&refs),
    };
    let timeline = match &list {
        Some(list) => Timeline::of_list(trace, analysis, &options, list.on_page()),
        None => Timeline::of(trace, analysis, &options),
    };
    let palette = palette(loaded);
    let rows = row::rows(&row::Context {
        urls,
        loaded,
        refs: &refs,
        view,
        palette: &palette,
        timeline: &timeline,
        first_row: list.as_ref().map(|list| list.page.rows.start),
    });
    let facts = facts(urls, loaded);
    let hot = rows.iter().find(|row| row.is_hot);
    let show_hot = hot.map_or_else(
        || {
            let hot = refs.name(analysis.hops[analysis.slowest_hop].entry_idx);
            urls.trace_view(trace.id(), &view.with_span(hot)) + &Urls::row(hot)
        },
        |row| format!("#{}", row.id),
    );
    let age = site.now().nanos_since(loaded.last_received);
    let title = format!("{} {} {}", facts.service, facts.operation, facts.took);
    let findings = findings(urls, loaded, &refs, view);
    let (findings, more_findings) = {
        let mut first = findings;
        // Errors are told at once, whatever they cost.
        first.sort_by_key(|finding| !finding.is_error);
        let more = first.split_off(first.len().min(FINDINGS_FIRST));
        (first, more)
    };
    let pager = list
        .as_ref()
        .and_then(|list| Pager::of(urls, trace.id(), view, &list.page, list.spans.len()));
    let columns = match list {
        Some(_) => columns(urls, trace.id(), trace.len()),
        None => Ok(None),
    };
    let page = TracePage {
        frame: site.frame(title),
        facts,
        young: (age < YOUNG_NANOS).then(|| duration(age)),
        show_hot,
        shares: shares(loaded, &palette),
        findings,
        more_findings,
        n_more_findings: analysis.findings.len().saturating_sub(FINDINGS_MAX).into(),
        analysis_href: urls.api_analysis(trace.id()),
        views: toolbar::views(urls, loaded, view),
        n_rows: list.as_ref().map_or(rows.len(), |list| list.spans.len()),
        status: match &pager {
            Some(pager) => pager.text.clone(),
            None => toolbar::status(&timeline, view.shown, loaded),
        },
        pager,
        no_columns: columns.as_ref().err().copied(),
        columns_href: columns.ok().flatten(),
        has_whiskers: rows.iter().any(|row| !row.whisker.is_empty()),
        rows,
        span: selected.map(|span_idx| {
            SpanDetails::of(
                urls,
                loaded,
                &refs,
                view,
                span_idx,
                palette.class(trace.service(span_idx)),
            )
        }),
        missing_span: view.span.filter(|_| selected.is_none()),
        reload: urls.trace_view(trace.id(), view),
        loaded,
        ticks: timeline
            .ticks
            .iter()
            .map(|tick| (tick.left, tick_text(tick.nanos)))
            .collect(),
        end: duration(timeline.window.nanos()),
        timeline: &timeline,
    };
    Ok(page.render()?)
}

/// The colours of a trace's services, by critical time.
pub(crate) fn palette(loaded: &Loaded) -> palette::Palette<'_> {
    let services = loaded.trace.services();
    Palette::of(
        loaded
            .analysis()
            .services
            .iter()
            .map(|share| services[share.service_idx].as_str()),
    )
}

fn facts(urls: &Urls, loaded: &Loaded) -> Facts {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let root = trace.request_root();
    let depth = (0..trace.len())
        .map(|span_idx| trace.depth(span_idx))
        .max()
        .unwrap_or(0);
    Facts {
        service: label(trace.service(root)).into_owned(),
        operation: label(&trace.span(root).name).into_owned(),
        took: duration(analysis.duration_nanos),
        start: utc(trace.span(root).start),
        start_iso: iso(trace.span(root).start),
        n_spans: trace.len().into(),
        n_services: trace.services().len().into(),
        n_errors: trace.n_errors().into(),
        n_duplicates: Count(trace.n_duplicates()),
        depth: Count::from(depth + 1),
        json_href: urls.api_trace(trace.id()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a bar's width")]
fn shares(loaded: &Loaded, palette: &Palette<'_>) -> Vec<Share> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let total = analysis.duration_nanos;
    let on_path: Vec<_> = analysis
        .services
        .iter()
        .filter(|share| share.critical_nanos > 0)
        .collect();
    let (named, others) = on_path.split_at(on_path.len().min(SHARES_MAX));
    let share = |name: &str, class: String, nanos: u64| {
        let width = nanos as f64 * 100.0 / total.max(1) as f64;
        Share {
            class,
            width: Percent(width),
            text: format!("{name} {}", percent(nanos, total)),
            took: duration(nanos),
            is_named: width >= NAMED_SHARE,
        }
    };
    let mut shares: Vec<Share> = named
        .iter()
        .map(|service| {
            let name = &trace.services()[service.service_idx];
            share(&label(name), palette.class(name), service.critical_nanos)
        })
        .collect();
    if !others.is_empty() {
        let nanos = others.iter().map(|service| service.critical_nanos).sum();
        shares.push(share(
            &format!("{} more services", others.len()),
            "s8".to_owned(),
            nanos,
        ));
    }
    shares
}

fn findings(
    urls: &Urls,
    loaded: &Loaded,
    refs: &SpanRefs<'_>,
    view: &TraceView,
) -> Vec<FindingView> {
    let shown = loaded.analysis().findings.iter().take(FINDINGS_MAX);
    shown
        .map(|finding| FindingView {
            is_error: finding.kind == FindingKind::Errors,
            kind: finding.kind.name(),
            text: finding.text.clone(),
            saved: (finding.saved_nanos > 0).then(|| duration(finding.saved_nanos)),
            href: finding.span_idxs.first().map(|&span_idx| {
                let span = refs.name(span_idx);
                urls.trace_view(loaded.trace.id(), &view.with_span(span))
                    + &row::anchor(loaded, refs, span_idx)
            }),
        })
        .collect()
}

fn tick_text(nanos: u64) -> String {
    if nanos == 0 {
        "0".to_owned()
    } else {
        duration(nanos)
    }
}
