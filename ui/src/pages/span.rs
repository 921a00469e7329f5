//! A span's details: beside the waterfall, or alone for the script to put there.

mod identity;
mod moments;
#[cfg(test)]
mod tests;
mod value;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use longpole_analysis::format::{duration, label, percent, span_label};
use longpole_proto::{Attribute, Attributes, Scope, UnixNanos};

use crate::Urls;
use crate::error::UiError;
use crate::extract::{Pairs, SpanPath, TraceIdPath};
use crate::format::Count;
use crate::links::OutLink;
use crate::pages::trace::row::anchor;
use crate::search_form::SearchForm;
use crate::site::{Site, html};
use crate::timeline::Window;
use crate::timeline::pair::{self, Call};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRefs, TraceView};
use identity::{IdView, LinkView};
use moments::{AxisView, EventView, ExceptionView};
use value::ValueView;

/// How many attributes of one list are shown; all are in the JSON.
const ATTRIBUTES_MAX: usize = 200;
/// How many of an event's or link's attributes are shown.
const INNER_ATTRIBUTES_MAX: usize = 30;

/// A span's details.
#[derive(Template)]
#[template(path = "partials/span.html")]
pub(crate) struct SpanDetails {
    class: String,
    service: String,
    name: String,
    took: String,
    share: String,
    from: String,
    to: String,
    /// How long it is on the critical path; `None` when it is not.
    critical: Option<String>,
    is_awaited: bool,
    /// The other span of a pair.
    other: Option<OtherView>,
    hop: Option<HopView>,
    elsewhere: Vec<OutLink>,
    self_took: String,
    waiting: Option<String>,
    /// The span's own time; `None` when it took none.
    axis: Option<AxisView>,
    is_error: bool,
    status_message: ValueView,
    exceptions: Vec<ExceptionView>,
    n_more_exceptions: Count,
    events: Vec<EventView>,
    n_more_events: Count,
    attributes: AttributesView,
    links: Vec<LinkView>,
    n_more_links: Count,
    resource: AttributesView,
    scope: AttributesView,
    ids: Vec<IdView>,
    close_href: String,
    same_href: String,
    /// Where only the span and what is under it are shown, when there is anything.
    subtree_href: Option<String>,
    json_href: String,
}

struct HopView {
    service: String,
    took: String,
    share: String,
    network: Option<String>,
    is_slowest: bool,
}

struct OtherView {
    /// What the other did to this.
    relation: &'static str,
    text: String,
    href: String,
    took: String,
    network: Option<String>,
    /// Whether it failed, and this did not.
    is_error: bool,
}

#[derive(Default)]
struct AttributesView {
    pairs: Vec<(String, ValueView)>,
    n_more: Count,
    n_dropped: Count,
}

impl AttributesView {
    fn of(attributes: &Attributes, n_dropped: u32, n_max: usize) -> Self {
        Self::of_some(attributes.iter(), n_dropped, n_max)
    }

    fn of_some<'a>(
        mut attributes: impl Iterator<Item = &'a Attribute>,
        n_dropped: u32,
        n_max: usize,
    ) -> Self {
        let pair = |attribute: &Attribute| {
            (
                label(&attribute.key).into_owned(),
                ValueView::of(&attribute.value),
            )
        };
        Self {
            pairs: attributes.by_ref().take(n_max).map(pair).collect(),
            n_more: attributes.count().into(),
            n_dropped: Count(n_dropped.into()),
        }
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.n_dropped.is_zero()
    }
}

/// A span's details alone, as the script puts them beside the waterfall.
pub(crate) async fn fragment(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    SpanPath(span): SpanPath,
    Pairs(pairs): Pairs,
) -> Result<Response, UiError> {
    let view = TraceView::read(&pairs).map_err(UiError::Parameters)?;
    let details = site
        .read(move |site| {
            let loaded = site.trace(trace_id)?;
            let refs = SpanRefs::of(&loaded.trace);
            let span_idx = refs.find(span).ok_or(UiError::NoSpan { trace_id, span })?;
            let class = super::trace::palette(&loaded).class(loaded.trace.service(span_idx));
            Ok(SpanDetails::of(site, &loaded, &refs, &view, span_idx, class).render()?)
        })
        .await?;
    Ok(html(details))
}

impl SpanDetails {
    /// The details of a span, on the page of `view`.
    pub(crate) fn of(
        site: &Site,
        loaded: &Loaded,
        refs: &SpanRefs<'_>,
        view: &TraceView,
        span_idx: usize,
        class: String,
    ) -> Self {
        let urls = site.urls();
        let (trace, analysis) = (&loaded.trace, loaded.analysis());
        let span = trace.span(span_idx);
        let origin = Window::of(trace).start;
        let nanos = span.duration_nanos();
        let self_nanos = analysis.self_nanos[span_idx];
        let critical_nanos = analysis.critical_nanos[span_idx];
        let moments = moments::of(span);
        let scope = trace.scope(span_idx);
        let resource = trace.resource(span_idx);
        let name = refs.name(span_idx);
        let same = SearchForm {
            service: trace.service(span_idx).to_owned(),
            op: span.name.to_string(),
            ..SearchForm::default()
        };
        Self {
            class,
            service: label(trace.service(span_idx)).into_owned(),
            name: label(&span.name).into_owned(),
            took: duration(nanos),
            share: percent(nanos, analysis.duration_nanos),
            from: offset(origin, span.start),
            to: offset(origin, span.end.max(span.start)),
            critical: (critical_nanos > 0).then(|| duration(critical_nanos)),
            is_awaited: analysis.awaited[span_idx],
            other: other(urls, loaded, refs, view, span_idx),
            hop: hop(loaded, span_idx),
            elsewhere: site.state.links.of_span(trace, span_idx),
            self_took: duration(self_nanos),
            waiting: (nanos > self_nanos).then(|| duration(nanos - self_nanos)),
            axis: AxisView::of(trace, analysis, span_idx),
            is_error: span.is_error(),
            status_message: moments::status_message(span),
            exceptions: moments.exceptions,
            n_more_exceptions: moments.n_more_exceptions,
            events: moments.events,
            n_more_events: moments.n_more_events,
            attributes: AttributesView::of(
                &span.attributes,
                span.dropped_attributes_count,
                ATTRIBUTES_MAX,
            ),
            links: identity::links(urls, loaded, refs, view, span_idx),
            n_more_links: identity::n_more_links(span),
            resource: AttributesView::of(
                &resource.attributes,
                resource.dropped_attributes_count,
                ATTRIBUTES_MAX,
            ),
            scope: scope_view(scope),
            ids: identity::ids(urls, loaded, refs, view, span_idx),
            close_href: urls.trace_view(trace.id(), &view.without_span())
                + &anchor(loaded, refs, span_idx),
            same_href: urls.search_for(&same),
            subtree_href: (trace.subtree(span_idx).len() > 1 && view.root != Some(name))
                .then(|| urls.trace_view(trace.id(), &view.with_root(name))),
            json_href: urls.api_span(trace.id(), name),
        }
    }
}

fn hop(loaded: &Loaded, span_idx: usize) -> Option<HopView> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let hop_idx = analysis.hop_of[span_idx] as usize;
    let hop = &analysis.hops[hop_idx];
    (hop.entry_idx == span_idx).then(|| HopView {
        service: label(trace.service(span_idx)).into_owned(),
        took: duration(hop.nanos),
        share: percent(hop.nanos, analysis.duration_nanos),
        network: (hop.network_nanos > 0).then(|| duration(hop.network_nanos)),
        is_slowest: hop_idx == analysis.slowest_hop,
    })
}

/// The other span of the pair a span is in.
fn other(
    urls: &Urls,
    loaded: &Loaded,
    refs: &SpanRefs<'_>,
    view: &TraceView,
    span_idx: usize,
) -> Option<OtherView> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let entry_idx = pair::row_span(analysis, span_idx);
    let (other_idx, relation) = if entry_idx == span_idx {
        (pair::client_of(analysis, span_idx)?, "Called by")
    } else {
        (entry_idx, "Answered by")
    };
    let call = Call::of(trace, analysis, entry_idx);
    let other = trace.span(other_idx);
    Some(OtherView {
        relation,
        text: span_label(trace, other_idx),
        href: urls.trace_view(trace.id(), &view.with_span(refs.name(other_idx)))
            + &anchor(loaded, refs, other_idx),
        took: duration(other.duration_nanos()),
        network: call.network_nanos.map(duration),
        is_error: other.is_error() && !trace.span(span_idx).is_error(),
    })
}

fn scope_view(scope: &Scope) -> AttributesView {
    let mut view = AttributesView::of(
        &scope.attributes,
        scope.dropped_attributes_count,
        ATTRIBUTES_MAX,
    );
    let named = [("version", &scope.version), ("name", &scope.name)];
    for (key, text) in named.into_iter().filter(|(_, text)| !text.is_empty()) {
        view.pairs
            .insert(0, (key.to_owned(), ValueView::text(text)));
    }
    view
}

/// How long after `origin` something was; before it with a minus.
fn offset(origin: UnixNanos, time: UnixNanos) -> String {
    if time < origin {
        format!("−{}", duration(origin.nanos_since(time)))
    } else {
        duration(time.nanos_since(origin))
    }
}
