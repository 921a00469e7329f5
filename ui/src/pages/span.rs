//! A span's details: beside the waterfall, or alone for the script to put there.

#[cfg(test)]
mod tests;
mod value;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use longpole_analysis::format::{duration, label, percent, span_label};
use longpole_proto::{Attributes, Event, Span, UnixNanos};

use crate::Urls;
use crate::error::UiError;
use crate::extract::{Pairs, SpanPath, TraceIdPath};
use crate::format::Count;
use crate::pages::trace::row::anchor;
use crate::search_form::SearchForm;
use crate::site::{Site, html};
use crate::timeline::pair::{self, Call};
use crate::timeline::{Percent, Window};
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRef, SpanRefs, TraceView};
use value::ValueView;

/// How many attributes of one list are shown; all are in the JSON.
const ATTRIBUTES_MAX: usize = 200;
/// How many events are shown.
const EVENTS_MAX: usize = 100;
/// How many links are shown.
const LINKS_MAX: usize = 100;
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
    self_took: String,
    self_width: Percent,
    waiting: Option<String>,
    is_error: bool,
    status_message: String,
    exceptions: Vec<ExceptionView>,
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

struct ExceptionView {
    offset: String,
    kind: String,
    message: String,
    stack: Option<ValueView>,
}

struct EventView {
    offset: String,
    name: String,
    attributes: AttributesView,
}

struct LinkView {
    /// The linked span and where it is; `None` when what was sent is no ID.
    target: Option<(String, String)>,
    attributes: AttributesView,
}

struct IdView {
    key: &'static str,
    value: String,
    href: Option<String>,
}

struct AttributesView {
    pairs: Vec<(String, ValueView)>,
    n_more: Count,
    n_dropped: Count,
}

impl AttributesView {
    fn of(attributes: &Attributes, n_dropped: u32, n_max: usize) -> Self {
        Self {
            pairs: attributes
                .iter()
                .take(n_max)
                .map(|attribute| {
                    (
                        label(&attribute.key).into_owned(),
                        ValueView::of(&attribute.value),
                    )
                })
                .collect(),
            n_more: attributes.len().saturating_sub(n_max).into(),
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
            Ok(SpanDetails::of(site.urls(), &loaded, &refs, &view, span_idx, class).render()?)
        })
        .await?;
    Ok(html(details))
}

impl SpanDetails {
    /// The details of a span, on the page of `view`.
    pub(crate) fn of(
        urls: &Urls,
        loaded: &Loaded,
        refs: &SpanRefs<'_>,
        view: &TraceView,
        span_idx: usize,
        class: String,
    ) -> Self {
        let (trace, analysis) = (&loaded.trace, loaded.analysis());
        let span = trace.span(span_idx);
        let origin = Window::of(trace).start;
        let nanos = span.duration_nanos();
        let self_nanos = analysis.self_nanos[span_idx];
        let critical_nanos = analysis.critical_nanos[span_idx];
        let (exceptions, events): (Vec<&Event>, Vec<&Event>) = span
            .events
            .iter()
            .partition(|event| event.name == "exception");
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
            self_took: duration(self_nanos),
            self_width: Percent(width(self_nanos, nanos)),
            waiting: (nanos > self_nanos).then(|| duration(nanos - self_nanos)),
            is_error: span.is_error(),
            status_message: ValueView::text(&span.status.message).short,
            n_more_events: span.events.len().saturating_sub(EVENTS_MAX).into(),
            exceptions: exceptions
                .into_iter()
                .take(EVENTS_MAX)
                .map(|event| exception(span, event))
                .collect(),
            events: events
                .into_iter()
                .take(EVENTS_MAX)
                .map(|event| EventView {
                    offset: offset(span.start, event.time),
                    name: label(&event.name).into_owned(),
                    attributes: AttributesView::of(
                        &event.attributes,
                        event.dropped_attributes_count,
                        INNER_ATTRIBUTES_MAX,
                    ),
                })
                .collect(),
            attributes: AttributesView::of(
                &span.attributes,
                span.dropped_attributes_count,
                ATTRIBUTES_MAX,
            ),
            links: links(urls, span),
            n_more_links: span.links.len().saturating_sub(LINKS_MAX).into(),
            resource: AttributesView::of(
                &resource.attributes,
                resource.dropped_attributes_count,
                ATTRIBUTES_MAX,
            ),
            scope: scope_view(scope),
            ids: ids(urls, loaded, refs, view, span_idx),
            close_href: urls.trace_view(trace.id(), &view.without_span())
                + &anchor(loaded, refs, span_idx),
            same_href: urls.search_for(&same),
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

fn exception(span: &Span, event: &Event) -> ExceptionView {
    let text = |key| event.attributes.text(key).unwrap_or_default();
    let stack = text("exception.stacktrace");
    ExceptionView {
        offset: offset(span.start, event.time),
        kind: label(
            event
                .attributes
                .text("exception.type")
                .unwrap_or("exception"),
        )
        .into_owned(),
        message: ValueView::text(text("exception.message")).short,
        stack: (!stack.is_empty()).then(|| ValueView::text(stack)),
    }
}

fn links(urls: &Urls, span: &Span) -> Vec<LinkView> {
    let shown = span.links.iter().take(LINKS_MAX);
    shown
        .map(|link| LinkView {
            target: link.trace_id.map(|trace_id| match link.span_id {
                Some(span_id) => (
                    format!("span {span_id} of trace {trace_id}"),
                    urls.span_of(trace_id, span_id),
                ),
                None => (format!("trace {trace_id}"), urls.trace(trace_id)),
            }),
            attributes: AttributesView::of(
                &link.attributes,
                link.dropped_attributes_count,
                INNER_ATTRIBUTES_MAX,
            ),
        })
        .collect()
}

fn scope_view(scope: &longpole_proto::Scope) -> AttributesView {
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

fn ids(
    urls: &Urls,
    loaded: &Loaded,
    refs: &SpanRefs<'_>,
    view: &TraceView,
    span_idx: usize,
) -> Vec<IdView> {
    let trace = &loaded.trace;
    let span = trace.span(span_idx);
    let plain = |key, value: String| IdView {
        key,
        value,
        href: None,
    };
    let mut ids = vec![plain("span ID", span.span_id.to_string())];
    if let Some(parent_id) = span.parent_id {
        let href = trace.parent(span_idx).map(|parent| {
            let name: SpanRef = refs.name(parent);
            urls.trace_view(trace.id(), &view.with_span(name)) + &anchor(loaded, refs, parent)
        });
        let missing = if href.is_some() { "" } else { " (not stored)" };
        ids.push(IdView {
            key: "parent",
            value: format!("{parent_id}{missing}"),
            href,
        });
    }
    ids.push(plain("kind", span.kind.name().to_owned()));
    ids.push(plain(
        "start",
        format!("{} UTC", crate::format::utc(span.start)),
    ));
    if !span.trace_state.is_empty() {
        ids.push(plain(
            "trace state",
            ValueView::text(&span.trace_state).short,
        ));
    }
    ids
}

/// How long after `origin` something was; before it with a minus.
fn offset(origin: UnixNanos, time: UnixNanos) -> String {
    if time < origin {
        format!("−{}", duration(origin.nanos_since(time)))
    } else {
        duration(time.nanos_since(origin))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a bar's width")]
fn width(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        100.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}
