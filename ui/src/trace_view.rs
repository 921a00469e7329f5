//! What a trace page shows, as its URL says it: which rows, the selected span and the opened rows.

mod refs;
#[cfg(test)]
mod tests;

use crate::error::BadParameter;
use crate::timeline::{Expansion, Node, Shown, Sort, Zoom};

pub(crate) use refs::{ExpansionRef, NodeRef, SpanRef, SpanRefError, SpanRefs};

/// How many opened rows a URL keeps; opening one more closes the first.
pub(crate) const EXPANSIONS_MAX: usize = 16;
/// All parameters of a trace page.
const PARAMETERS: &[&str] = &["span", "view", "root", "t0", "t1", "q", "sort", "page", "x"];
/// How many bytes the words may have that are looked for; every link has them.
const WORDS_BYTES_MAX: usize = 200;

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
                _ => bad.push(BadParameter::unknown(name, PARAMETERS)),
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
