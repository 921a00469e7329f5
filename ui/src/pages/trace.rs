//! The trace page: why this request was slow, in words, then as a picture, then every span.

pub(crate) mod filter;
mod head;
mod list;
mod minimap;
pub(crate) mod row;
mod scene;
mod table;
#[cfg(test)]
mod tests;
mod toolbar;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use longpole_analysis::Phrase;
use longpole_analysis::format::duration;
use longpole_proto::TraceId;

use crate::error::UiError;
use crate::extract::{Pairs, TraceIdPath};
use crate::links::OutLink;
use crate::pages::span::SpanDetails;
use crate::palette;
use crate::palette::Palette;
use crate::site::{Frame, Site, html};
use crate::timeline::{Percent, Timeline};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRef, TraceView};
use head::{Facts, Findings, Share};
use minimap::MapView;
use row::RowView;
use scene::{Narrowed, Scene};
use table::Table;
use toolbar::{Pager, ViewLink};

/// How long after its newest span a trace may still get more.
const YOUNG_NANOS: u64 = 10_000_000_000;

#[derive(Template)]
#[template(path = "pages/trace.html")]
struct TracePage<'a> {
    frame: Frame<'a>,
    loaded: &'a Loaded,
    facts: Facts,
    elsewhere: Vec<OutLink>,
    /// How long ago the newest span came, when that was just now.
    young: Option<String>,
    show_hot: String,
    shares: Vec<Share>,
    findings: Findings,
    analysis_href: String,
    map: MapView,
    timeline: &'a Timeline,
    /// The axis: where and what; and what stands at its end.
    ticks: Vec<(Percent, String)>,
    end: String,
    rows: Vec<RowView>,
    /// Instead of the rows and the axis.
    table: Option<Table>,
    /// What the filter keeps of the page's state.
    kept: Vec<(&'static str, String)>,
    words: &'a str,
    /// How many rows there are on all pages.
    n_rows: usize,
    pager: Option<Pager>,
    /// What is left out.
    narrowed: Vec<Narrowed>,
    /// Where a script finds all rows, in the view that has them.
    columns_href: Option<String>,
    /// Why it does not.
    no_columns: Option<String>,
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
    /// Where it is kept or deleted, for those who may.
    keep: Option<Keep>,
}

/// Where a trace is kept or deleted.
struct Keep {
    is_pinned: bool,
    pin: String,
    unpin: String,
    delete: String,
}

impl Keep {
    fn of(site: &Site, trace_id: TraceId) -> Result<Option<Self>, UiError> {
        if site.state.access.is_none() {
            return Ok(None);
        }
        let href = |change| site.urls().trace_change(trace_id, change);
        Ok(Some(Self {
            is_pinned: site.state.store.pinned()?.contains(&trace_id),
            pin: href("pin"),
            unpin: href("unpin"),
            delete: href("delete"),
        }))
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
    let trace = &loaded.trace;
    let scene = Scene::of(urls, loaded, view)?;
    let timeline = scene.timeline();
    let palette = palette(loaded);
    let table = scene.table(&palette);
    let rows = row::rows(&row::Context {
        urls,
        loaded,
        refs: &scene.refs,
        view: &scene.view,
        palette: &palette,
        timeline: &timeline,
        first_row: scene.list.as_ref().map(|list| list.page.rows.start),
    });
    let facts = head::facts(urls, loaded);
    let hot = rows.iter().find(|row| row.is_hot);
    let show_hot = scene.hot_href(hot.map(|row| row.id.as_str()));
    let age = site.now().nanos_since(loaded.last_received);
    let title = format!("{} {} {}", facts.service, facts.operation, facts.took);
    let findings = head::findings(&scene);
    let pager = Pager::of(&scene);
    let columns = scene.columns();
    let (ticks, end) = scene.axis(&timeline);
    let page = TracePage {
        frame: site.frame(title),
        facts,
        elsewhere: site.state.links.of_request(trace),
        young: (age < YOUNG_NANOS).then(|| duration(age)),
        show_hot,
        shares: head::shares(loaded, &palette),
        findings,
        analysis_href: urls.api_analysis(trace.id()),
        views: toolbar::views(&scene),
        map: MapView::of(&scene, &palette),
        n_rows: scene.n_rows(rows.len()),
        status: toolbar::status(&scene, &timeline, pager.as_ref()),
        pager,
        narrowed: scene.narrowed(),
        no_columns: columns
            .as_ref()
            .and_then(|columns| columns.as_ref().err().map(ToString::to_string)),
        columns_href: columns.and_then(Result::ok),
        has_whiskers: rows.iter().any(|row| !row.whisker.is_empty()),
        rows,
        table,
        kept: scene.view.with_words("").pairs(),
        words: &scene.view.words,
        span: scene.selected.map(|span_idx| {
            SpanDetails::of(
                site,
                loaded,
                &scene.refs,
                &scene.view,
                span_idx,
                palette.class(trace.service(span_idx)),
            )
        }),
        missing_span: view.span.filter(|_| scene.selected.is_none()),
        reload: scene.href(&scene.view),
        keep: Keep::of(site, trace.id())?,
        loaded,
        ticks,
        end,
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
