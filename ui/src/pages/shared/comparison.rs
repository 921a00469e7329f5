//! Which requests are compared with which others, and what came of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use longpole_analysis::TraceSummary;
use longpole_analysis::query::{Op, Query, RequestField};
use longpole_analysis::traits::{Asked, Shared, Side, Tally};
use longpole_proto::{Trace, TraceId, UnixNanos};
use longpole_storage::{
    Cancel, Matched, Operation, Overview, OverviewRequest, SearchRequest, StorageError, Store,
};

use crate::error::UiError;
use crate::site::decoded;

/// How many matches are taken together at most; of more only those listed are compared.
const MATCHES_MAX: usize = 1_000;

/// How many operations they may be of: the most frequent.
const OPERATIONS_MAX: usize = 20;

/// Texts of summaries that are as long as this may have been cut, so that no query finds them.
const TEXT_BYTES_WHOLE: usize = 500;

/// How many slowest hops of the others are told apart.
const HOPS_MAX: usize = 1_000;

/// How many trace IDs are drawn, those of these included.
const SAMPLE_MAX: usize = 1_000;

/// Of how many of these the spans are read, and of how many others.
const THESE_READ_MAX: usize = 200;
const OTHERS_READ_MAX: usize = 400;

/// How long counting the others may take, and reading spans.
const COUNT_WITHIN: Duration = Duration::from_millis(400);
const READ_WITHIN_NANOS: u64 = 400_000_000;

/// Which requests are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// All that match, of which the search lists some first.
    Matches,
    /// Those the search lists.
    Listed,
}

/// What some requests share.
pub(crate) struct Comparison {
    pub(crate) which: Which,
    /// How many there are.
    pub(crate) n_these: usize,
    /// How many more there are, of rarer operations, or of names too long to be asked for.
    pub(crate) n_left_out: usize,
    /// Of how many operations they are.
    pub(crate) n_operations: usize,
    /// Whether the search asks what their slowest hop is.
    pub(crate) is_hop_asked: bool,
    /// Their most frequent slowest hop.
    pub(crate) hop: Option<CommonHop>,
    /// What the others are asked for, too: services and names.
    pub(crate) frame: Query,
    /// How many other requests of the same operations there are.
    pub(crate) others: Matched,
    /// Whether their spans were read as far as they were to be: not so when the time was over.
    pub(crate) is_read: bool,
    /// Whether those of all others were.
    pub(crate) has_read_all_others: bool,
    /// What they have more often than the others.
    pub(crate) shared: Shared,
}

/// A slowest hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommonHop {
    pub(crate) operation: Operation,
    /// Of how many of these.
    pub(crate) n_these: usize,
    /// Of how many others; `None` when it is not known.
    pub(crate) n_others: Option<u64>,
}

impl CommonHop {
    /// The most frequent slowest hop of some requests.
    pub(crate) fn of(requests: &[TraceSummary]) -> Option<Self> {
        let most = slowest_hops(requests).into_iter().next();
        most.map(|((service, name), n_these)| Self {
            operation: Operation {
                service: service.to_owned(),
                name: name.to_owned(),
            },
            n_these,
            n_others: None,
        })
    }

    /// Whether a search finds it: not so when its name may have been cut.
    pub(crate) fn can_be_asked_for(&self) -> bool {
        let Operation { service, name } = &self.operation;
        is_whole(service) && is_whole(name)
    }
}

/// Service and name of the slowest hops of some requests, each of how many: most first, ties by name.
pub(crate) fn slowest_hops(requests: &[TraceSummary]) -> Vec<((&str, &str), usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in requests {
        let hop = &request.slowest_hop;
        *counts.entry((&hop.service, &hop.name)).or_default() += 1;
    }
    let mut hops: Vec<_> = counts.into_iter().collect();
    hops.sort_by_key(|(_, n_requests)| Reverse(*n_requests));
    hops
}

impl Comparison {
    /// Compares what a search finds with the rest. Blocks, for a second at the most about.
    pub(crate) fn of(
        store: &dyn Store,
        clock: &dyn Fn() -> UnixNanos,
        request: &SearchRequest,
        cancel: &Cancel,
    ) -> Result<Self, UiError> {
        let asked = Asked::of(&request.query);
        let frame = Asked::frame(&request.query);
        let (which, mut these) = these(store, request, &asked)?;
        let n_found = these.len();
        let operations = operations(&these);
        these.retain(|request| operations.contains(&root(request)));
        let overview = if these.is_empty() {
            None
        } else {
            let request = OverviewRequest {
                query: Query::all_of([
                    frame.clone(),
                    Query::any_of(operations.iter().map(|(service, name)| {
                        Query::all_of([
                            equal(RequestField::RootService, service),
                            equal(RequestField::RootName, name),
                        ])
                    })),
                ]),
                from: request.from,
                to: request.to,
                n_hops: HOPS_MAX,
                n_sample: SAMPLE_MAX,
                within: Some(COUNT_WITHIN),
                cancel: cancel.clone(),
                ..OverviewRequest::default()
            };
            Some(store.overview(&request)?)
        };
        let ids: HashSet<TraceId> = these.iter().map(|request| request.trace_id).collect();
        let first = these.iter().map(|request| request.trace_id);
        let sample = overview.iter().flat_map(|overview| &overview.sample);
        let sample = sample.copied().filter(|trace_id| !ids.contains(trace_id));
        let first_these: Vec<TraceId> = first.take(THESE_READ_MAX).collect();
        let others_drawn: Vec<TraceId> = sample.take(OTHERS_READ_MAX).collect();
        let until = clock().plus_nanos(READ_WITHIN_NANOS);
        let is_over = || clock() >= until;
        let (tally, is_read) = read(store, &first_these, &others_drawn, &is_over, cancel)?;
        let n_these = these.len();
        let others = overview.as_ref().map_or(Matched::Exactly(0), |overview| {
            without(overview.matched, n_these)
        });
        let n_drawn = others_drawn.len() as u64;
        Ok(Self {
            which,
            n_these,
            n_left_out: n_found - n_these,
            n_operations: operations.len(),
            is_hop_asked: asked.is_of_slowest_hop(),
            hop: CommonHop::of(&these).map(|hop| CommonHop {
                n_others: overview
                    .as_ref()
                    .and_then(|overview| n_elsewhere(overview, &hop)),
                ..hop
            }),
            frame,
            others,
            has_read_all_others: is_read && others == Matched::Exactly(n_drawn),
            is_read,
            shared: tally.shared(&asked),
        })
    }
}

/// What is asked about: all matches of a narrow search, when they are not too many, or those listed.
fn these(
    store: &dyn Store,
    request: &SearchRequest,
    asked: &Asked,
) -> Result<(Which, Vec<TraceSummary>), UiError> {
    if asked.is_narrow() {
        let all = SearchRequest {
            limit: MATCHES_MAX,
            after: None,
            count: false,
            ..request.clone()
        };
        let mut found = store.search(&all)?;
        if found.next.is_none() && found.complete {
            return Ok((Which::Matches, found.requests));
        }
        if request.after.is_none() {
            found.requests.truncate(request.limit);
            return Ok((Which::Listed, found.requests));
        }
    }
    let page = SearchRequest {
        count: false,
        ..request.clone()
    };
    Ok((Which::Listed, store.search(&page)?.requests))
}

/// Service and name of a request's root.
fn root(request: &TraceSummary) -> (String, String) {
    (request.root_service.clone(), request.root_operation.clone())
}

/// The most frequent root operations that can be asked for.
fn operations(requests: &[TraceSummary]) -> Vec<(String, String)> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for request in requests {
        *counts.entry(root(request)).or_default() += 1;
    }
    let mut operations: Vec<_> = counts
        .into_iter()
        .filter(|((service, name), _)| is_whole(service) && is_whole(name))
        .collect();
    operations.sort_by_key(|(_, count)| Reverse(*count));
    operations.truncate(OPERATIONS_MAX);
    operations
        .into_iter()
        .map(|(operation, _)| operation)
        .collect()
}

fn is_whole(text: &str) -> bool {
    text.len() < TEXT_BYTES_WHOLE
}

fn equal(field: RequestField, text: &str) -> Query {
    Query::compare(field, Op::Eq, text)
}

/// Of how many others a hop is the slowest.
fn n_elsewhere(overview: &Overview, hop: &CommonHop) -> Option<u64> {
    let is_known = overview.complete && overview.has_all_hops;
    let of_hop = |named: &&(Operation, u64)| named.0 == hop.operation;
    match overview.slowest_hops.iter().find(of_hop) {
        Some((_, count)) if is_known => Some(count.saturating_sub(hop.n_these as u64)),
        None if is_known && overview.slowest_hops.len() < HOPS_MAX => Some(0),
        _ => None,
    }
}

/// How many match besides these.
fn without(matched: Matched, n_these: usize) -> Matched {
    let n_these = n_these as u64;
    match matched {
        Matched::Exactly(n) => Matched::Exactly(n.saturating_sub(n_these)),
        Matched::AtLeast(n) => Matched::AtLeast(n.saturating_sub(n_these)),
    }
}

/// Reads spans, of both sides in step, until the time is over; whether it was enough.
fn read(
    store: &dyn Store,
    these: &[TraceId],
    others: &[TraceId],
    is_over: &dyn Fn() -> bool,
    cancel: &Cancel,
) -> Result<(Tally, bool), UiError> {
    let mut tally = Tally::default();
    let (mut n_these, mut n_others) = (0, 0);
    while n_these + n_others < these.len() + others.len() {
        if cancel.is_cancelled() {
            return Err(StorageError::Cancelled.into());
        }
        if is_over() {
            return Ok((tally, false));
        }
        let is_these = n_these * others.len() <= n_others * these.len() && n_these < these.len();
        let (trace_id, side) = if is_these || n_others == others.len() {
            n_these += 1;
            (these[n_these - 1], Side::These)
        } else {
            n_others += 1;
            (others[n_others - 1], Side::Others)
        };
        // What cannot be read, or was removed meanwhile, is not compared, and not counted as such.
        if let Some(trace) = trace(store, trace_id) {
            tally.add(&trace, side);
        }
    }
    Ok((tally, true))
}

fn trace(store: &dyn Store, trace_id: TraceId) -> Option<Trace> {
    decoded(&store.trace(trace_id).ok()??).ok()?
}

#[cfg(test)]
mod tests;
