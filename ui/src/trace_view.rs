//! What a trace page shows, as its URL says it: the selected span and the opened rows.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use longpole_proto::{SpanId, Trace};

use crate::error::BadParameter;
use crate::timeline::{Expansion, Node};

/// How many opened rows a URL keeps; opening one more closes the first.
pub(crate) const EXPANSIONS_MAX: usize = 16;
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
    /// The span whose details are shown.
    pub(crate) span: Option<SpanRef>,
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
        for (name, value) in pairs {
            match name.as_str() {
                "span" if value.is_empty() => {}
                "span" => match value.parse() {
                    Ok(span) => view.span = Some(span),
                    Err(SpanRefError) => {
                        bad.push(BadParameter::new(name, value, "a span ID: 16 hex digits"));
                    }
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
                _ => bad.push(BadParameter::unknown(name, value, &["span", "x"])),
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

    /// This view with another span selected.
    #[must_use]
    pub(crate) fn with_span(&self, span: SpanRef) -> Self {
        Self {
            span: Some(span),
            expanded: self.expanded.clone(),
        }
    }

    /// This view with no span selected.
    #[must_use]
    pub(crate) fn without_span(&self) -> Self {
        Self {
            span: None,
            expanded: self.expanded.clone(),
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
        let span = self.span.iter().map(|span| ("span", span.to_string()));
        span.chain(
            self.expanded
                .iter()
                .map(|expansion| ("x", expansion.to_string())),
        )
        .collect()
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

#[cfg(test)]
mod tests {
    use longpole_proto::SpanKind;
    use longpole_proto::testing::{self, SpanBuilder};

    use super::*;

    #[test]
    fn spans_that_share_an_id_have_names_of_their_own() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "root").at(0, 100),
            SpanBuilder::new(2, "client")
                .parent(1)
                .kind(SpanKind::Client)
                .at(10, 90),
            SpanBuilder::new(2, "server")
                .parent(1)
                .kind(SpanKind::Server)
                .at(20, 80),
            SpanBuilder::new(2, "other").parent(1).at(95, 99),
        ]);
        let refs = SpanRefs::of(&trace);
        let names: Vec<String> = (0..trace.len())
            .map(|at| refs.name(at).to_string())
            .collect();
        assert_eq!(
            names,
            [
                "0000000000000001",
                "0000000000000002~1",
                "0000000000000002",
                "0000000000000002~3"
            ]
        );
        for (at, name) in names.iter().enumerate() {
            assert_eq!(refs.find(name.parse().expect("a span")), Some(at), "{name}");
        }
    }

    #[test]
    fn a_view_survives_its_url() {
        let pairs = |texts: &[(&str, &str)]| -> Vec<(String, String)> {
            texts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let given = pairs(&[
            ("span", "00f067aa0ba902b7"),
            ("x", "top.2"),
            ("x", "00f067aa0ba902b7~2.3"),
            ("x", "missing"),
            ("x", "group-00f067aa0ba902b7~2.3"),
        ]);
        let view = TraceView::read(&given).expect("a view");
        let made: Vec<(String, String)> = view
            .pairs()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(made, given);
        for bad in [
            ("span", "xyz"),
            ("x", "top.0"),
            ("x", "00f067aa0ba902b7.x"),
            ("x", "group-"),
            ("y", "1"),
        ] {
            assert_eq!(
                TraceView::read(&pairs(&[bad])).expect_err("refused").len(),
                1,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn opening_more_rows_than_a_url_keeps_closes_the_first() {
        let mut view = TraceView::default();
        for n in 1..=20 {
            let span = SpanRef {
                span_id: testing::span_id(n),
                nth: None,
            };
            view = view.with_open(ExpansionRef {
                node: NodeRef::Span(span),
                page: 1,
            });
        }
        assert_eq!(view.expanded.len(), EXPANSIONS_MAX);
        assert_eq!(view.pairs()[0].1, "0000000000000005");
    }
}
