//! Spans and rows as URLs name them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use longpole_proto::{SpanId, Trace};

use crate::timeline::{Expansion, Node};

/// What stands before a span to mean the group it begins.
const GROUP: &str = "group-";

/// A span as URLs name it: its ID, and for one of several spans that share an ID, which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanRef {
    /// The span's ID.
    pub(crate) span_id: SpanId,
    /// Counted from 1 in pre-order; `None` for the one [`Trace::find`] gives.
    pub(super) nth: Option<u32>,
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
    /// The spans of each ID that several share, in pre-order; looked for when the first such span is
    /// named, which most traces have none of.
    shared: OnceCell<HashMap<SpanId, Vec<usize>>>,
}

impl<'a> SpanRefs<'a> {
    /// Of a trace's spans.
    pub(crate) fn of(trace: &'a Trace) -> Self {
        Self {
            trace,
            shared: OnceCell::new(),
        }
    }

    /// The spans that share an ID, in pre-order. Takes O(n log n) once.
    fn sharing(&self, span_id: SpanId) -> &[usize] {
        let shared = self.shared.get_or_init(|| {
            let ids = || self.trace.spans().iter().map(|span| span.span_id);
            let mut shared: HashMap<SpanId, Vec<usize>> = ids()
                .enumerate()
                .filter(|&(at, span_id)| self.trace.find(span_id) != Some(at))
                .map(|(_, span_id)| (span_id, Vec::new()))
                .collect();
            for (at, span_id) in ids().enumerate() {
                if let Some(spans) = shared.get_mut(&span_id) {
                    spans.push(at);
                }
            }
            shared
        });
        shared.get(&span_id).map_or(&[], Vec::as_slice)
    }

    /// What URLs call a span.
    pub(crate) fn name(&self, span_idx: usize) -> SpanRef {
        let span_id = self.trace.span(span_idx).span_id;
        let nth = (self.trace.find(span_id) != Some(span_idx)).then(|| {
            let at = self.sharing(span_id).binary_search(&span_idx).ok()?;
            u32::try_from(at + 1).ok()
        });
        SpanRef {
            span_id,
            nth: nth.flatten(),
        }
    }

    /// The span a URL means; `None` when the trace has none such.
    pub(crate) fn find(&self, span: SpanRef) -> Option<usize> {
        match span.nth {
            None => self.trace.find(span.span_id),
            Some(nth) => self
                .sharing(span.span_id)
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
