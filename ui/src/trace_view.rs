//! What a trace page shows, as its URL says it: which rows, the selected span and the opened rows.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use longpole_proto::{SpanId, Trace};

use crate::error::BadParameter;
use crate::timeline::{Expansion, Node, Shown, Sort, Zoom};

/// How many opened rows a URL keeps; opening one more closes the first.
pub(crate) const EXPANSIONS_MAX: usize = 16;
/// All parameters of a trace page.
const PARAMETERS: &[&str] = &["span", "view", "root", "t0", "t1", "q", "sort", "page", "x"];
/// How many bytes the words may have that are looked for; every link has them.
const WORDS_BYTES_MAX: usize = 200;
/// What stands before a span to mean the group it begins.
const GROUP: &str = "group-";

/// A span as URLs name it: its ID, and for one of several spans that share an ID, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanRef {
    /// The span's ID.
    pub(crate) span_id: SpanId,
    /// Counted from 1 in pre-order; `None` for the one [`Trace::find`] gives.
    nth: Option<u32>,
}

impl fmt::Display for SpanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            None => write!(f, "{}", self.span_id),
            Some(nth) => write!(f, "{}~{nth}", self.span_id),
        }
    }
}

/// Why a text names no span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("span is not 16 hex digits")]
pub(crate) struct SpanRefError;

impl FromStr for SpanRef {
    type Err = SpanRefError;

    fn from_str(text: &str) -> Result<Self, SpanRefError> {
        let (id, nth) = match text.split_once('~') {
            None => (text, None),
            Some((id, nth)) => (id, Some(nth.parse().map_err(|_| SpanRefError)?)),
        };
        Ok(Self {
            span_id: id.parse().map_err(|_| SpanRefError)?,
            nth,
        })
    }
}

/// Turns spans of one trace into what URLs call them, and back.
pub(crate) struct SpanRefs<'a> {
    trace: &'a Trace,
    /// The spans of each ID that several share, in pre-order.
    shared: HashMap<SpanId, Vec<usize>>,
}

impl<'a> SpanRefs<'a> {
    /// Looks the trace through for shared ids.
    pub(crate) fn of(trace: &'a Trace) -> Self {
        let mut shared: HashMap<SpanId, Vec<usize>> = HashMap::new();
        for at in 0..trace.len() {
            let span_id = trace.span(at).span_id;
            if trace.find(span_id) != Some(at) {
                shared.insert(span_id, Vec::new());
            }
        }
        if !shared.is_empty() {
            for at in 0..trace.len() {
                if let Some(spans) = shared.get_mut(&trace.span(at).span_id) {
                    spans.push(at);
                }
            }
        }
        Self { trace, shared }
    }

    /// What URLs call a span.
    pub(crate) fn name(&self, span_idx: usize) -> SpanRef {
        let span_id = self.trace.span(span_idx).span_id;
        let nth = self
            .shared
            .get(&span_id)
            .filter(|_| self.trace.find(span_id) != Some(span_idx))
            .and_then(|spans| {
                let at = spans.binary_search(&span_idx).ok()?;
                u32::try_from(at + 1).ok()
            });
        SpanRef { span_id, nth }
    }

    /// The span a URL means; `None` when the trace has none such.
    pub(crate) fn find(&self, span: SpanRef) -> Option<usize> {
        match span.nth {
            None => self.trace.find(span.span_id),
            Some(nth) => self
                .shared
                .get(&span.span_id)?
                .get(usize::try_from(nth).ok()?.checked_sub(1)?)
                .copied(),
        }
    }
}

/// A row as URLs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeRef {
    /// Above all rows.
    Top,
    /// The row above the spans whose parent is not stored.
    Missing,
    /// A span's.
    Span(SpanRef),
    /// That of the group whose first span this is.
    Group(SpanRef),
}

/// A row whose children are shown, from the page'th two hundred on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpansionRef {
    /// The row.
    pub(crate) node: NodeRef,
    /// Counted from 1.
    pub(crate) page: usize,
}

impl fmt::Display for ExpansionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            NodeRef::Top => f.write_str("top")?,
            NodeRef::Missing => f.write_str("missing")?,
            NodeRef::Span(span) => write!(f, "{span}")?,
            NodeRef::Group(span) => write!(f, "{GROUP}{span}")?,
        }
        if self.page > 1 {
            write!(f, ".{}", self.page)?;
        }
        Ok(())
    }
}

impl FromStr for ExpansionRef {
    type Err = SpanRefError;

    fn from_str(text: &str) -> Result<Self, SpanRefError> {
        let (node, page) = match text.split_once('.') {
            None => (text, 1),
            Some((node, page)) => (
                node,
                page.parse()
                    .ok()
                    .filter(|&page| page > 0)
                    .ok_or(SpanRefError)?,
            ),
        };
        let node = match node {
            "top" => NodeRef::Top,
            "missing" => NodeRef::Missing,
            span => match span.strip_prefix(GROUP) {
                Some(first) => NodeRef::Group(first.parse()?),
                None => NodeRef::Span(span.parse()?),
            },
        };
        Ok(Self { node, page })
    }
}

/// The state of a trace page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TraceView {
    /// Which rows there are.
    pub(crate) shown: Shown,
    /// The span whose details are shown.
    pub(crate) span: Option<SpanRef>,
    /// The span that is looked at with what is under it; all when there is none.
    pub(crate) root: Option<SpanRef>,
    /// The time that is looked at closer.
    pub(crate) zoom: Option<Zoom>,
    /// The words that are looked for, all of them in one span.
    pub(crate) words: String,
    /// By what the table is sorted.
    pub(crate) sort: Sort,
    /// Which page of a list of spans, counted from 1; `None` for the one that has the selected span.
    pub(crate) page: Option<usize>,
    /// The rows opened by hand, the newest last.
    pub(crate) expanded: Vec<ExpansionRef>,
}

impl TraceView {
    /// Reads a trace page's parameters.
    ///
    /// # Errors
    /// When one is not known or has a value that means nothing.
    pub(crate) fn read(pairs: &[(String, String)]) -> Result<Self, Vec<BadParameter>> {
        let mut view = Self::default();
        let mut bad = Vec::new();
        let (mut from, mut to) = (None, None);
        for (name, value) in pairs {
            match name.as_str() {
                "span" | "root" | "t0" | "t1" if value.is_empty() => {}
                "span" | "root" => match value.parse() {
                    Ok(span) if name == "span" => view.span = Some(span),
                    Ok(root) => view.root = Some(root),
                    Err(SpanRefError) => {
                        bad.push(BadParameter::new(name, value, "a span ID: 16 hex digits"));
                    }
                },
                "t0" | "t1" => match value.parse::<u64>() {
                    Ok(micros) if name == "t0" => from = Some(micros),
                    Ok(micros) => to = Some(micros),
                    Err(_) => bad.push(BadParameter::new(
                        name,
                        value,
                        "microseconds after the start, in whole numbers",
                    )),
                },
                "view" => match Shown::named(value) {
                    Some(shown) => view.shown = shown,
                    None => bad.push(BadParameter::new(
                        name,
                        value,
                        "story, path, errors, all or table",
                    )),
                },
                "x" => match value.parse() {
                    Ok(expansion) => view.expand(expansion),
                    Err(SpanRefError) => {
                        bad.push(BadParameter::new(
                            name,
                            value,
                            "the row to open: a span ID of 16 hex digits",
                        ));
                    }
                },
                "q" if value.len() > WORDS_BYTES_MAX => {
                    let expected = format!("words of at most {WORDS_BYTES_MAX} bytes");
                    bad.push(BadParameter::new(name, value, expected));
                }
                "q" => value.trim().clone_into(&mut view.words),
                "sort" => match Sort::named(value) {
                    Some(sort) => view.sort = sort,
                    None => bad.push(BadParameter::new(
                        name,
                        value,
                        "start, duration, self or critical",
                    )),
                },
                "page" => match value.parse() {
                    Ok(page) if page > 0 => view.page = Some(page),
                    _ => bad.push(BadParameter::new(name, value, "a page, counted from 1")),
                },
                _ => bad.push(BadParameter::unknown(name, value, PARAMETERS)),
            }
        }
        if from.is_some() || to.is_some() {
            let (from_micros, to_micros) = (from.unwrap_or(0), to.unwrap_or(u64::MAX));
            if from_micros < to_micros {
                view.zoom = Some(Zoom {
                    from_micros,
                    to_micros,
                });
            } else {
                let expected = format!("more than t0, which is {from_micros}");
                bad.push(BadParameter::new("t1", &to_micros.to_string(), &expected));
            }
        }
        if bad.is_empty() { Ok(view) } else { Err(bad) }
    }

    fn expand(&mut self, expansion: ExpansionRef) {
        self.expanded.retain(|known| known.node != expansion.node);
        self.expanded.push(expansion);
        if self.expanded.len() > EXPANSIONS_MAX {
            self.expanded.remove(0);
        }
    }

    /// This view with another span selected, on the page that has it.
    #[must_use]
    pub(crate) fn with_span(&self, span: SpanRef) -> Self {
        Self {
            span: Some(span),
            page: None,
            ..self.clone()
        }
    }

    /// This view with a span selected that has a row in it.
    #[must_use]
    pub(crate) fn with_row(&self, span: SpanRef) -> Self {
        Self {
            span: Some(span),
            ..self.clone()
        }
    }

    /// This view at another page of its list.
    #[must_use]
    pub(crate) fn with_page(&self, page: usize) -> Self {
        Self {
            page: Some(page),
            ..self.clone()
        }
    }

    /// This view with no span selected.
    #[must_use]
    pub(crate) fn without_span(&self) -> Self {
        Self {
            span: None,
            ..self.clone()
        }
    }

    /// This view with other rows.
    #[must_use]
    pub(crate) fn with_shown(&self, shown: Shown) -> Self {
        Self {
            shown,
            page: None,
            ..self.clone()
        }
    }

    /// This view of only a span and what is under it.
    #[must_use]
    pub(crate) fn with_root(&self, root: SpanRef) -> Self {
        Self {
            root: Some(root),
            page: None,
            ..self.clone()
        }
    }

    /// This view of the whole request.
    #[must_use]
    pub(crate) fn without_root(&self) -> Self {
        Self {
            root: None,
            page: None,
            ..self.clone()
        }
    }

    /// This view of another stretch of time, or of all.
    #[must_use]
    pub(crate) fn with_zoom(&self, zoom: Option<Zoom>) -> Self {
        Self {
            zoom,
            page: None,
            ..self.clone()
        }
    }

    /// This view with other words looked for.
    #[must_use]
    pub(crate) fn with_words(&self, words: &str) -> Self {
        Self {
            words: words.to_owned(),
            page: None,
            ..self.clone()
        }
    }

    /// This view with its table in another order.
    #[must_use]
    pub(crate) fn with_sort(&self, sort: Sort) -> Self {
        Self {
            sort,
            page: None,
            ..self.clone()
        }
    }

    /// This view with one row more (or another page of it) opened.
    #[must_use]
    pub(crate) fn with_open(&self, expansion: ExpansionRef) -> Self {
        let mut view = self.clone();
        view.expand(expansion);
        view
    }

    /// This view with a row closed again.
    #[must_use]
    pub(crate) fn with_closed(&self, node: NodeRef) -> Self {
        let mut view = self.clone();
        view.expanded.retain(|known| known.node != node);
        view
    }

    /// The parameters of this view's URL.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let shown =
            (self.shown != Shown::default()).then(|| ("view", self.shown.name().to_owned()));
        let span = self.span.map(|span| ("span", span.to_string()));
        let expanded = self.expanded.iter();
        let expanded = expanded.map(|expansion| ("x", expansion.to_string()));
        // Without a span the first page is the one that is meant.
        let page = self.page.filter(|&page| page > 1 || self.span.is_some());
        let page = page.filter(|_| self.shown.is_list());
        let page = page.map(|page| ("page", page.to_string()));
        let root = self.root.map(|root| ("root", root.to_string()));
        let from = self.zoom.map(|zoom| ("t0", zoom.from_micros.to_string()));
        let to = self.zoom.filter(|zoom| zoom.to_micros < u64::MAX);
        let to = to.map(|zoom| ("t1", zoom.to_micros.to_string()));
        let words = (!self.words.is_empty()).then(|| ("q", self.words.clone()));
        let sort = (self.sort != Sort::default()).then(|| ("sort", self.sort.name().to_owned()));
        let pairs = shown.into_iter().chain(root).chain(from).chain(to);
        let pairs = pairs.chain(words).chain(sort).chain(page).chain(span);
        pairs.chain(expanded).collect()
    }

    /// The opened rows of this trace; what it does not have is left out.
    pub(crate) fn expansions(&self, refs: &SpanRefs<'_>) -> Vec<Expansion> {
        self.expanded
            .iter()
            .filter_map(|expansion| {
                let node = match expansion.node {
                    NodeRef::Top => Node::Top,
                    NodeRef::Missing => Node::Missing,
                    NodeRef::Span(span) => Node::Span(refs.find(span)?),
                    NodeRef::Group(first) => Node::Group(refs.find(first)?),
                };
                Some(Expansion {
                    node,
                    page: expansion.page,
                })
            })
            .collect()
    }
}

impl SpanRefs<'_> {
    /// What URLs call a row.
    pub(crate) fn node(&self, node: Node) -> NodeRef {
        match node {
            Node::Top => NodeRef::Top,
            Node::Missing => NodeRef::Missing,
            Node::Span(span_idx) => NodeRef::Span(self.name(span_idx)),
            Node::Group(first) => NodeRef::Group(self.name(first)),
        }
    }

    /// What URLs call an opened row.
    pub(crate) fn expansion(&self, expansion: Expansion) -> ExpansionRef {
        ExpansionRef {
            node: self.node(expansion.node),
            page: expansion.page,
        }
    }
}
