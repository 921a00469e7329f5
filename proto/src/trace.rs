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

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::{Resource, Scope, Span, SpanId, SpanKind, TraceId, UnixNanos};

/// What a [`Trace`] is made of, in the order of arrival.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TraceParts {
    /// The spans; their `resource_idx` and `scope_idx` point into the lists below.
    pub spans: Vec<Span>,
    /// The resources, each once.
    pub resources: Vec<Resource>,
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
    resources: Vec<Resource>,
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
    by_id: HashMap<SpanId, u32>,
    n_duplicates: u64,
}

impl Trace {
    /// Makes a trace of its parts; `None` when there is no span. Takes O(n log n).
    ///
    /// # Panics
    /// When a span points at a resource or scope that is not there, or there are 2^32 spans.
    pub fn new(id: TraceId, parts: TraceParts) -> Option<Self> {
        let TraceParts {
            spans,
            resources,
            scopes,
        } = parts;
        let (spans, n_duplicates) = without_duplicates(spans);
        assert!(
            u32::try_from(spans.len()).is_ok(),
            "a trace has fewer than 2^32 spans"
        );
        let forest = Forest::of(&spans)?;

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
        let mut by_id: HashMap<SpanId, u32> = HashMap::with_capacity(spans.len());
        for (at, span) in (0_u32..).zip(&spans) {
            let owner = by_id.entry(span.span_id).or_insert(at);
            // The server of a shared ID stands behind its client in pre-order.
            if span.kind == SpanKind::Server && spans[*owner as usize].kind != SpanKind::Server {
                *owner = at;
            }
        }
        Some(Self {
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
            by_id,
            n_duplicates,
        })
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
        self.by_id.get(&span_id).map(|&at| at as usize)
    }

    /// The resources, each once.
    pub fn resources(&self) -> &[Resource] {
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

fn without_duplicates(mut spans: Vec<Span>) -> (Vec<Span>, u64) {
    let n_before = spans.len();
    let mut seen = HashSet::with_capacity(spans.len());
    spans.retain(|span| seen.insert((span.span_id, span.start, span.kind)));
    let n_duplicates = (n_before - spans.len()) as u64;
    (spans, n_duplicates)
}

/// The names of the services of `spans` in order of appearance, and each resource's index among them.
fn services(spans: &[Span], resources: &[Resource]) -> (Vec<String>, Vec<u32>) {
    let mut services: Vec<String> = Vec::new();
    let mut by_name: HashMap<&str, u32> = HashMap::new();
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

/// The shape of the forest; `order` maps pre-order positions to the given spans, the rest are in
/// pre-order themselves.
struct Forest {
    order: Vec<u32>,
    parents: Vec<u32>,
    attachments: Vec<Attachment>,
    ends: Vec<u32>,
    depths: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Forest {
    fn of(spans: &[Span]) -> Option<Self> {
        let n_spans = u32::try_from(spans.len()).ok().filter(|&n| n > 0)?;
        // Ranks: positions by (start, ID), so that comparing ranks is comparing spans.
        let mut by_rank: Vec<u32> = (0..n_spans).collect();
        by_rank.sort_by_key(|&at| {
            let span = &spans[at as usize];
            (span.start, span.span_id, span.kind, at)
        });
        let ranked: Vec<&Span> = by_rank.iter().map(|&at| &spans[at as usize]).collect();

        let (mut parents, mut attachments) = parents_by_rank(&ranked);
        cut_cycles(&mut parents, &mut attachments);

        // Children of each span in rank order, as one list with offsets.
        let mut first_child = vec![0_u32; spans.len() + 1];
        for &parent in parents.iter().filter(|&&parent| parent != NONE) {
            first_child[parent as usize + 1] += 1;
        }
        for at in 1..first_child.len() {
            first_child[at] += first_child[at - 1];
        }
        let mut fill = first_child.clone();
        let mut children = vec![0_u32; first_child[spans.len()] as usize];
        for (rank, &parent) in (0..).zip(&parents) {
            if parent != NONE {
                children[fill[parent as usize] as usize] = rank;
                fill[parent as usize] += 1;
            }
        }

        let mut forest = Self {
            order: Vec::with_capacity(spans.len()),
            parents: Vec::with_capacity(spans.len()),
            attachments: Vec::with_capacity(spans.len()),
            ends: vec![0; spans.len()],
            depths: Vec::with_capacity(spans.len()),
        };
        // (rank, position of the parent, depth), the next to visit on top.
        let mut stack: Vec<(u32, u32, u32)> = (0..n_spans)
            .rev()
            .filter(|&rank| parents[rank as usize] == NONE)
            .map(|rank| (rank, NONE, 0))
            .collect();
        while let Some((rank, parent, depth)) = stack.pop() {
            let position = u32::try_from(forest.order.len()).expect("no more than spans");
            forest.order.push(by_rank[rank as usize]);
            forest
                .parents
                .push(if parent == NONE { position } else { parent });
            forest.attachments.push(attachments[rank as usize]);
            forest.depths.push(depth);
            let range =
                first_child[rank as usize] as usize..first_child[rank as usize + 1] as usize;
            stack.extend(
                children[range]
                    .iter()
                    .rev()
                    .map(|&child| (child, position, depth + 1)),
            );
        }
        debug_assert_eq!(
            forest.order.len(),
            spans.len(),
            "a forest without cycles is reached from its roots"
        );
        for at in (0..spans.len()).rev() {
            forest.ends[at] = forest.ends[at].max(u32::try_from(at + 1).expect("checked above"));
            if forest.attachments[at] == Attachment::Child {
                let (end, parent) = (forest.ends[at], forest.parents[at] as usize);
                forest.ends[parent] = forest.ends[parent].max(end);
            }
        }
        Some(forest)
    }
}

/// Each span's parent (by rank, [`NONE`] for none) and how it hangs, cycles not yet cut.
fn parents_by_rank(ranked: &[&Span]) -> (Vec<u32>, Vec<Attachment>) {
    // Who owns an ID: its server if there is one, else the earliest; and its earliest client.
    let mut owners: HashMap<SpanId, u32> = HashMap::with_capacity(ranked.len());
    let mut clients: HashMap<SpanId, u32> = HashMap::new();
    let mut servers: HashSet<SpanId> = HashSet::new();
    for (rank, span) in (0..).zip(ranked) {
        match span.kind {
            SpanKind::Server if servers.insert(span.span_id) => {
                owners.insert(span.span_id, rank);
            }
            SpanKind::Client => {
                clients.entry(span.span_id).or_insert(rank);
                owners.entry(span.span_id).or_insert(rank);
            }
            _ => {
                owners.entry(span.span_id).or_insert(rank);
            }
        }
    }
    ranked
        .iter()
        .map(|span| {
            if span.kind == SpanKind::Server
                && let Some(&client) = clients.get(&span.span_id)
            {
                return (client, Attachment::Child);
            }
            match span.parent_id {
                None => (NONE, Attachment::Root),
                Some(parent_id) => match owners.get(&parent_id) {
                    Some(&parent) => (parent, Attachment::Child),
                    None => (NONE, Attachment::Orphan),
                },
            }
        })
        .unzip()
}

/// Cuts every cycle at its earliest span, which is its smallest rank.
fn cut_cycles(parents: &mut [u32], attachments: &mut [Attachment]) {
    // 0: not visited; otherwise the number of the walk that visited it first.
    let mut visited = vec![0_u32; parents.len()];
    for (walk, start) in (1_u32..).zip(0..parents.len()) {
        let mut at = start;
        while visited[at] == 0 && parents[at] != NONE {
            visited[at] = walk;
            at = parents[at] as usize;
        }
        if visited[at] == walk {
            // The walk met itself: `at` is on a cycle.
            let mut earliest = at;
            let mut next = parents[at] as usize;
            while next != at {
                earliest = earliest.min(next);
                next = parents[next] as usize;
            }
            parents[earliest] = NONE;
            attachments[earliest] = Attachment::CycleCut;
        }
        visited[at] = walk;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{self, SpanBuilder};

    fn names(trace: &Trace) -> Vec<String> {
        (0..trace.len())
            .map(|at| format!("{}{}", "  ".repeat(trace.depth(at)), trace.span(at).name))
            .collect()
    }

    #[test]
    fn spans_stand_in_pre_order_whatever_order_they_came_in() {
        let trace = testing::trace_of([
            SpanBuilder::new(4, "d").parent(2).at(25, 30),
            SpanBuilder::new(3, "c").parent(1).at(50, 90),
            SpanBuilder::new(2, "b").parent(1).at(10, 40),
            SpanBuilder::new(1, "a").at(0, 100),
        ]);
        assert_eq!(names(&trace), ["a", "  b", "    d", "  c"]);
        assert_eq!(trace.subtree(1), 1..3);
        assert_eq!(trace.children(0).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(trace.parent(2), Some(1));
        assert_eq!(trace.parent(0), None);
    }

    #[test]
    fn duplicates_are_one_span_and_the_first_stored_wins() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "first").at(0, 100),
            SpanBuilder::new(1, "again").at(0, 100),
            SpanBuilder::new(1, "another start").at(1, 100),
        ]);
        assert_eq!(names(&trace), ["first", "another start"]);
        assert_eq!(trace.n_duplicates(), 1);
    }

    #[test]
    fn a_server_that_shares_its_clients_id_owns_the_children() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "root").at(0, 100),
            SpanBuilder::new(2, "server")
                .parent(1)
                .kind(SpanKind::Server)
                .at(20, 80),
            SpanBuilder::new(2, "client")
                .parent(1)
                .kind(SpanKind::Client)
                .at(10, 90),
            SpanBuilder::new(3, "query").parent(2).at(30, 40),
        ]);
        assert_eq!(
            names(&trace),
            ["root", "  client", "    server", "      query"]
        );
        assert_eq!(trace.find(testing::span_id(2)), Some(2));
    }

    #[test]
    fn an_orphan_stands_on_its_own_and_a_request_of_orphans_is_incomplete() {
        let trace = testing::trace_of([
            SpanBuilder::new(2, "late").parent(9).at(30, 40),
            SpanBuilder::new(1, "early").parent(8).at(20, 25),
        ]);
        assert_eq!(names(&trace), ["early", "late"]);
        assert_eq!(trace.attachment(1), Attachment::Orphan);
        assert_eq!(trace.request_root(), 0);
        assert!(trace.is_incomplete());
    }

    #[test]
    fn the_longest_root_is_the_requests_and_ties_go_to_the_earlier() {
        let trace = testing::trace_of([
            SpanBuilder::new(5, "short").at(0, 10),
            SpanBuilder::new(2, "long, later").at(7, 57),
            SpanBuilder::new(1, "long").at(5, 55),
        ]);
        assert_eq!(trace.span(trace.request_root()).name, "long");
        assert!(!trace.is_incomplete());
    }

    #[test]
    fn a_cycle_is_cut_at_its_earliest_span() {
        let trace = testing::trace_of([
            SpanBuilder::new(1, "a").parent(3).at(20, 30),
            SpanBuilder::new(2, "b").parent(1).at(10, 30),
            SpanBuilder::new(3, "c").parent(2).at(15, 30),
            SpanBuilder::new(4, "self").parent(4).at(40, 50),
            SpanBuilder::new(5, "under a").parent(1).at(45, 50),
        ]);
        assert_eq!(
            names(&trace),
            ["b", "  c", "    a", "      under a", "self"]
        );
        assert_eq!(trace.attachment(0), Attachment::CycleCut);
        assert_eq!(trace.attachment(4), Attachment::CycleCut);
        assert!(trace.is_incomplete());
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_spans_is_a_trace_like_any_other() {
        let trace = testing::trace_of((1..=100_000_u64).map(|n| {
            let span = SpanBuilder::new(n, "link").at(n, 300_000 - n);
            if n == 1 { span } else { span.parent(n - 1) }
        }));
        assert_eq!(trace.depth(99_999), 99_999);
        assert_eq!(trace.subtree(0), 0..100_000);
    }

    proptest! {
        #[test]
        fn every_span_stands_in_the_forest_once(trace in testing::any_trace(40)) {
            let mut seen = vec![false; trace.len()];
            let mut stack: Vec<usize> = trace.roots().to_vec();
            while let Some(at) = stack.pop() {
                prop_assert!(!std::mem::replace(&mut seen[at], true), "span {at} is reached twice");
                for child in trace.children(at) {
                    prop_assert_eq!(trace.parent(child), Some(at));
                    prop_assert_eq!(trace.depth(child), trace.depth(at) + 1);
                    prop_assert!(trace.subtree(at).contains(&child));
                    stack.push(child);
                }
            }
            prop_assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
