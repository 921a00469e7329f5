//! Which span it is, and which it is linked to.

use longpole_analysis::format::span_label;
use longpole_proto::{Link, Span};

use super::value::ValueView;
use super::{AttributesView, INNER_ATTRIBUTES_MAX};
use crate::Urls;
use crate::format::{Count, utc};
use crate::pages::trace::row::anchor;
use crate::trace_cache::Loaded;
use crate::trace_view::{SpanRefs, TraceView};

/// How many links are shown.
const LINKS_MAX: usize = 100;

pub(super) struct LinkView {
    /// The linked span and where it is; `None` when what was sent is no ID.
    pub(super) target: Option<(String, String)>,
    pub(super) attributes: AttributesView,
}

pub(super) struct IdView {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) href: Option<String>,
    /// Whether it is what people take elsewhere: it selects whole, and has a button that copies it.
    pub(super) is_copied: bool,
}

/// The spans and traces that a span is linked to; the first of them.
pub(super) fn links(
    urls: &Urls,
    loaded: &Loaded,
    refs: &SpanRefs<'_>,
    view: &TraceView,
    span_idx: usize,
) -> Vec<LinkView> {
    let trace = &loaded.trace;
    let here = |link: &Link| {
        let linked = trace.find(link.span_id?)?;
        let href = urls.trace_view(trace.id(), &view.with_span(refs.name(linked)));
        let text = format!("{} of this request", span_label(trace, linked));
        Some((text, href + &anchor(loaded, refs, linked)))
    };
    let shown = trace.span(span_idx).links.iter().take(LINKS_MAX);
    shown
        .map(|link| LinkView {
            target: link.trace_id.map(|trace_id| {
                let is_here = trace_id == trace.id();
                let stored = if is_here { here(link) } else { None };
                stored.unwrap_or_else(|| match link.span_id {
                    Some(span_id) => (
                        format!("span {span_id} of trace {trace_id}"),
                        urls.span_of(trace_id, span_id),
                    ),
                    None => (format!("trace {trace_id}"), urls.trace(trace_id)),
                })
            }),
            attributes: AttributesView::of(
                &link.attributes,
                link.dropped_attributes_count,
                INNER_ATTRIBUTES_MAX,
            ),
        })
        .collect()
}

/// How many links are not shown.
pub(super) fn n_more_links(span: &Span) -> Count {
    span.links.len().saturating_sub(LINKS_MAX).into()
}

/// Ids, kind and times.
pub(super) fn ids(
    urls: &Urls,
    loaded: &Loaded,
    refs: &SpanRefs<'_>,
    view: &TraceView,
    span_idx: usize,
) -> Vec<IdView> {
    let trace = &loaded.trace;
    let span = trace.span(span_idx);
    let plain = |key, value| IdView {
        key,
        value,
        href: None,
        is_copied: false,
    };
    let id = |key, value| IdView {
        is_copied: true,
        ..plain(key, value)
    };
    let mut ids = vec![
        id("trace ID", trace.id().to_string()),
        id("span ID", span.span_id.to_string()),
    ];
    if let Some(parent_id) = span.parent_id {
        let href = trace.parent(span_idx).map(|parent| {
            urls.trace_view(trace.id(), &view.with_span(refs.name(parent)))
                + &anchor(loaded, refs, parent)
        });
        let missing = if href.is_some() { "" } else { " (not stored)" };
        ids.push(IdView {
            href,
            ..plain("parent", format!("{parent_id}{missing}"))
        });
    }
    ids.push(plain("kind", span.kind.name().to_owned()));
    ids.push(plain("start", format!("{} UTC", utc(span.start))));
    ids.push(plain("end", format!("{} UTC", utc(span.end))));
    if !span.trace_state.is_empty() {
        let trace_state = ValueView::text(&span.trace_state).short;
        ids.push(plain("trace state", trace_state));
    }
    ids
}
