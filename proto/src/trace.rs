//! A trace: its spans as a forest, in an order that makes walking it cheap.
//!
//! Spans lie in pre-order: a span's subtree is the run of spans right behind it, siblings stand by
//! start, then span ID. Nothing here recurses, so a chain of 50,000 spans is a trace like any other.
//!
//! What arrives broken still makes a forest (the words are DESIGN.md's *Tree*):
//! - duplicates (same span ID, start and kind) are one span: the first stored wins, the rest are counted;
//! - a client and a server span may share an ID, as Zipkin sends them: the server hangs under the
//!   client, and children belong to the server;
//! - a span whose parent is not stored is an orphan: it stands on its own;
//! - a cycle is cut at its earliest span.

mod forest;
mod memory;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use self::forest::Forest;
use crate::{Resource, Scope, Span, SpanId, SpanKind, TraceId, UnixNanos};

/// What a [`Trace`] is made of, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceParts {
    /// The spans; their `resource_idx` and `scope_idx` point into the lists below.
    pub spans: Vec<Span>,
    /// The resources, each once.
    pub resources: Vec<Arc<Resource>>,
    /// The scopes, each once.
    pub scopes: Vec<Scope>,
}

/// How a span hangs in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// Under another span of the trace.
    Child,
    /// On its own: it names no parent.
    Root,
    /// On its own: the parent it names is not stored.
    Orphan,
    /// On its own: its ancestors led back to itself, and it is the earliest of them.
    CycleCut,
}

/// The spans of one trace ID as a forest, in pre-order; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Scope>,
    services: Vec<String>,
    /// By resource.
    service_of: Vec<u32>,
    /// By span; a span on its own is its own parent.
    parents: Vec<u32>,
    attachments: Vec<Attachment>,
    /// By span: one past the end of its subtree.
    ends: Vec<u32>,
    depths: Vec<u32>,
    roots: Vec<usize>,
    request_root: usize,
    by_id: ById,
    n_duplicates: u64,
}

/// The spans by ID, sorted when somebody asks first; of those that share one, a server first, then the
/// first.
#[derive(Debug, Clone, Default)]
struct ById(OnceLock<Vec<u32>>);

impl ById {
    fn of(&self, spans: &[Span]) -> &[u32] {
        self.0.get_or_init(|| {
            let mut by_id: Vec<u32> = (0_u32..).zip(spans).map(|(at, _)| at).collect();
            by_id.sort_unstable_by_key(|&at| {
                let span = &spans[at as usize];
                (span.span_id, span.kind != SpanKind::Server, at)
            });
            by_id
        })
    }
}

impl PartialEq for ById {
    /// The spans say it all.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Trace {
    /// Makes a trace of its parts; `None` when there is no span. Takes O(n log n).
    ///
    /// # Panics
    /// When a span points at a resource or scope that is not there, or there are 2^32 spans.
    pub fn new(id: TraceId, parts: TraceParts) -> Option<Self> {
        Self::with_order(id, parts).map(|(trace, _)| trace)
    }

    /// As [`Self::new`], and for each span where it stood among the parts.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn with_order(id: TraceId, parts: TraceParts) -> Option<(Self, Vec<u32>)> {
        let TraceParts {
            spans,
            resources,
            scopes,
        } = parts;
        assert!(
            u32::try_from(spans.len()).is_ok(),
            "a trace has fewer than 2^32 spans"
        );
        let forest = Forest::of(&spans)?;
        let n_duplicates = (spans.len() - forest.order.len()) as u64;
        let mut slots: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let spans: Vec<Span> = forest
            .order
            .iter()
            .map(|&at| {
                slots[at as usize]
                    .take()
                    .expect("a pre-order visits each span once")
            })
            .collect();

        let (services, service_of) = services(&spans, &resources);
        let roots: Vec<usize> = (0..spans.len())
            .filter(|&at| forest.attachments[at] != Attachment::Child)
            .collect();
        let request_root = request_root(&spans, &roots, &forest.attachments);
        let trace = Self {
            id,
            spans,
            resources,
            scopes,
            services,
            service_of,
            parents: forest.parents,
            attachments: forest.attachments,
            ends: forest.ends,
            depths: forest.depths,
            roots,
            request_root,
            by_id: ById::default(),
            n_duplicates,
        };
        Some((trace, forest.order))
    }

    /// The trace's ID.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// All spans in pre-order.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// One span.
    pub fn span(&self, span_idx: usize) -> &Span {
        &self.spans[span_idx]
    }

    /// How many spans there are, duplicates not counted; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a trace is never empty")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// The span a span hangs under; always before it in pre-order.
    pub fn parent(&self, span_idx: usize) -> Option<usize> {
        (self.attachments[span_idx] == Attachment::Child).then(|| self.parents[span_idx] as usize)
    }

    /// A span's children, by start, then ID.
    pub fn children(&self, span_idx: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.ends[span_idx] as usize;
        let mut next = span_idx + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next = self.ends[child] as usize;
                child
            })
        })
    }

    /// A span and all below it, as a run of the pre-order.
    pub fn subtree(&self, span_idx: usize) -> Range<usize> {
        span_idx..self.ends[span_idx] as usize
    }

    /// How many spans stand above a span.
    pub fn depth(&self, span_idx: usize) -> usize {
        self.depths[span_idx] as usize
    }

    /// How a span hangs in the forest.
    pub fn attachment(&self, span_idx: usize) -> Attachment {
        self.attachments[span_idx]
    }

    /// The spans on their own, in pre-order: roots, orphans and cut cycles.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// The span the request is seen from: the longest without a parent ID (ties: earlier start,
    /// smaller ID); when none is stored, the earliest orphan.
    pub fn request_root(&self) -> usize {
        self.request_root
    }

    /// Whether the request's root is not stored.
    pub fn is_incomplete(&self) -> bool {
        self.attachments[self.request_root] != Attachment::Root
    }

    /// How many spans were left out as duplicates.
    pub fn n_duplicates(&self) -> u64 {
        self.n_duplicates
    }

    /// The span with an ID; where a client and a server share it, the server.
    pub fn find(&self, span_id: SpanId) -> Option<usize> {
        let by_id = self.by_id.of(&self.spans);
        let id_of = |&at: &u32| self.spans[at as usize].span_id;
        let first = by_id.partition_point(|at| id_of(at) < span_id);
        let found = by_id.get(first).filter(|&at| id_of(at) == span_id)?;
        Some(*found as usize)
    }

    /// The resources, each once.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The scopes, each once.
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// A span's resource.
    pub fn resource(&self, span_idx: usize) -> &Resource {
        &self.resources[self.spans[span_idx].resource_idx as usize]
    }

    /// A span's scope.
    pub fn scope(&self, span_idx: usize) -> &Scope {
        &self.scopes[self.spans[span_idx].scope_idx as usize]
    }

    /// The names of the services that have spans here, each once, in order of appearance.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// A span's service, as an index into [`Self::services`].
    pub fn service_idx(&self, span_idx: usize) -> usize {
        self.service_of[self.spans[span_idx].resource_idx as usize] as usize
    }

    /// A span's service.
    pub fn service(&self, span_idx: usize) -> &str {
        &self.services[self.service_idx(span_idx)]
    }

    /// The earliest start of any span.
    pub fn start(&self) -> UnixNanos {
        self.spans
            .iter()
            .map(|span| span.start)
            .min()
            .expect("a trace is never empty")
    }

    /// The latest end of any span, and no earlier than any start.
    pub fn end(&self) -> UnixNanos {
        self.spans
            .iter()
            .map(|span| span.end.max(span.start))
            .max()
            .expect("a trace is never empty")
    }

    /// How many spans have the status error.
    pub fn n_errors(&self) -> usize {
        self.spans.iter().filter(|span| span.is_error()).count()
    }
}

/// The names of the services of `spans` in order of appearance, and each resource's index among them.
fn services(spans: &[Span], resources: &[Arc<Resource>]) -> (Vec<String>, Vec<u32>) {
    let mut services: Vec<String> = Vec::new();
    let mut by_name: HashMap<&str, u32, RandomState> = HashMap::default();
    let mut service_of = vec![u32::MAX; resources.len()];
    for span in spans {
        let slot = &mut service_of[span.resource_idx as usize];
        if *slot == u32::MAX {
            let name = resources[span.resource_idx as usize].service_name();
            *slot = *by_name.entry(name).or_insert_with(|| {
                services.push(name.to_owned());
                u32::try_from(services.len() - 1).expect("no more services than spans")
            });
        }
    }
    (services, service_of)
}

fn request_root(spans: &[Span], roots: &[usize], attachments: &[Attachment]) -> usize {
    let of = |kind| {
        roots
            .iter()
            .copied()
            .filter(move |&at| attachments[at] == kind)
    };
    of(Attachment::Root)
        .min_by_key(|&at| {
            let span = &spans[at];
            (
                std::cmp::Reverse(span.duration_nanos()),
                span.start,
                span.span_id,
            )
        })
        .or_else(|| of(Attachment::Orphan).next())
        .or_else(|| of(Attachment::CycleCut).next())
        .expect("a forest with a span has a root")
}
