//! Random histories against a model that keeps everything in a map and sorts it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longpole_analysis::query::testing::{any_query, any_searchable_trace};
use longpole_analysis::query::{Matcher, Op, Query, RequestField, SpanField};
use longpole_analysis::{Analysis, TraceSummary};
use longpole_proto::testing::{MS, START, any_trace};
use longpole_proto::trace::TraceParts;
use longpole_proto::wire::decode_traces;
use longpole_proto::{Trace, TraceId, UnixNanos};
use longpole_storage::{Matched, Operation, Order, SearchRequest, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use crate::Open;
use crate::batches::{Spans, append, id, request, sent, stored};
use crate::overview;

/// How many traces a history is about; few, so that most get spans more than once.
const N_TRACES: u64 = 6;

#[derive(Debug, Clone)]
enum Step {
    /// Spans of some traces, in one request, so many times.
    Append(Vec<(u64, Trace)>, usize),
    Reopen,
    /// Deletes a trace, if there is one.
    Delete(u64),
    /// Reads in between, so that entries are made at different times.
    Search(SearchRequest),
}

fn any_step() -> impl Strategy<Value = Step> {
    let trace = prop_oneof![any_trace(6), any_searchable_trace(6)];
    let spans = prop::collection::vec((1..=N_TRACES, trace), 1..4);
    prop_oneof![
        6 => (spans, 1..3_usize).prop_map(|(traces, times)| Step::Append(traces, times)),
        1 => Just(Step::Reopen),
        1 => (1..=N_TRACES).prop_map(Step::Delete),
        2 => any_search().prop_map(Step::Search),
    ]
}

/// What a form asks for, and any query.
fn any_search() -> impl Strategy<Value = SearchRequest> {
    let query = prop_oneof![any_form(), any_query()];
    let orders = vec![Order::Slowest, Order::Newest, Order::Spans, Order::Errors];
    (
        query,
        any_ms(),
        any_ms(),
        prop::sample::select(orders),
        1..5_usize,
        any::<bool>(),
    )
        .prop_map(|(query, from, to, order, limit, count)| SearchRequest {
            query,
            from: from.map(|ms| START.plus_nanos(ms * MS)),
            to: to.map(|ms| START.plus_nanos(ms * MS)),
            order,
            limit,
            count,
            ..SearchRequest::default()
        })
}

fn any_ms() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.3, 0..60_u64)
}

fn any_form() -> impl Strategy<Value = Query> {
    let text = |field, texts: &'static [&str]| {
        prop::option::of(prop::sample::select(texts))
            .prop_map(move |text| Some(Query::compare(field, Op::Eq, text?)))
    };
    let took = |op| {
        any_ms().prop_map(move |ms| {
            let took = Duration::from_millis(ms?);
            Some(Query::compare(RequestField::Duration, op, took))
        })
    };
    let conditions = (
        text(
            SpanField::Service,
            &["web", "shop", "stock", "bank", "none"],
        ),
        text(SpanField::Name, &["a", "b", "c", "500", "none"]),
        took(Op::Ge),
        took(Op::Le),
        prop::option::weighted(0.2, any_query()),
    );
    conditions.prop_map(|(service, name, least, most, more)| {
        Query::all_of([service, name, least, most, more].into_iter().flatten())
    })
}

/// What was acknowledged. A request that came before byte for byte may be stored again or not.
#[derive(Default)]
struct Model {
    traces: BTreeMap<TraceId, Sent>,
    requests: BTreeSet<Bytes>,
    /// What there was before it was deleted.
    deleted: Vec<(TraceId, Sent)>,
}

/// What was sent of a trace.
#[derive(Default)]
struct Sent {
    /// Its messages joined.
    messages: Vec<u8>,
    /// Its spans as often as they were sent.
    spans: Spans,
    /// How many, of requests that are different.
    n_different: u64,
}

impl Sent {
    fn n_spans(&self) -> u64 {
        self.spans.values().sum::<usize>() as u64
    }

    fn trace(&self, trace_id: TraceId) -> Trace {
        let parts = decode_traces(trace_id, &self.messages).expect("TracesData");
        Trace::new(trace_id, parts).expect("spans")
    }
}

impl Model {
    fn append(&mut self, store: &dyn Store, traces: &[(u64, Trace)]) {
        let parts: Vec<(TraceId, TraceParts)> = traces
            .iter()
            .map(|(n, trace)| (id(*n), parts_of(trace)))
            .collect();
        let request = request(parts.iter().map(|(trace_id, parts)| (*trace_id, parts)));
        let is_new = self.requests.insert(request.bytes().clone());
        if !is_new && !self.deleted.is_empty() {
            // What of it was deleted stays so while the log remembers it.
            return;
        }
        let appended = append(store, request.clone()).expect("acknowledged");
        let n_spans: usize = traces.iter().map(|(_, trace)| trace.len()).sum();
        assert_eq!(appended.n_spans, n_spans as u64);
        for (trace_id, message) in request.clone().by_trace().messages() {
            let of = self.traces.entry(trace_id).or_default();
            of.messages.extend_from_slice(&message);
            for (span, count) in sent(&request, trace_id) {
                *of.spans.entry(span).or_default() += count;
                of.n_different += if is_new { count as u64 } else { 0 };
            }
        }
    }

    fn delete(&mut self, store: &dyn Store, trace_id: TraceId) {
        let deleted = self.traces.remove(&trace_id);
        assert_eq!(store.delete(trace_id).expect("deleted"), deleted.is_some());
        self.deleted.extend(deleted.map(|of| (trace_id, of)));
    }

    fn traces(&self) -> Vec<Trace> {
        self.traces
            .iter()
            .map(|(trace_id, of)| of.trace(*trace_id))
            .collect()
    }

    fn search(&self, request: &SearchRequest) -> Vec<TraceSummary> {
        let matcher = Matcher::new(&request.query).expect("a query that can be matched");
        let mut found: Vec<TraceSummary> = self
            .traces()
            .iter()
            .filter_map(|trace| {
                let analysis = Analysis::of(trace);
                let is_match = matcher.is_match(trace, &analysis);
                is_match.then(|| analysis.summary(trace))
            })
            .filter(|summary| {
                request.from.is_none_or(|from| summary.start >= from)
                    && request.to.is_none_or(|to| summary.start < to)
            })
            .collect();
        found.sort_by_key(|summary| {
            let key = match request.order {
                Order::Slowest => summary.duration_nanos,
                Order::Newest => summary.start.0,
                Order::Spans => summary.n_spans,
                Order::Errors => summary.n_errors,
            };
            (std::cmp::Reverse(key), summary.trace_id)
        });
        found
    }

    /// Those that must be listed, and those that may: duplicates of spans that have other names are
    /// listed when they came in another block, what is deleted until its partition goes.
    fn operations(&self) -> [BTreeSet<Operation>; 2] {
        let deleted = self.deleted.iter().map(|(trace_id, of)| (trace_id, of));
        let alone = self
            .traces
            .iter()
            .chain(deleted)
            .flat_map(|(trace_id, of)| {
                let parts = decode_traces(*trace_id, &of.messages).expect("TracesData");
                parts.spans.clone().into_iter().map(move |span| {
                    let spans = vec![span];
                    let parts = TraceParts {
                        spans,
                        ..parts.clone()
                    };
                    Trace::new(*trace_id, parts).expect("a span")
                })
            });
        [
            operations_of(self.traces().into_iter()),
            operations_of(alone),
        ]
    }
}

fn operations_of(traces: impl Iterator<Item = Trace>) -> BTreeSet<Operation> {
    let mut operations = BTreeSet::new();
    for trace in traces {
        for (at, span) in trace.spans().iter().enumerate() {
            operations.insert(Operation {
                service: trace.service(at).to_owned(),
                name: span.name.to_string(),
            });
        }
    }
    operations
}

fn parts_of(trace: &Trace) -> TraceParts {
    TraceParts {
        spans: trace.spans().to_vec(),
        resources: trace.resources().to_vec(),
        scopes: trace.scopes().to_vec(),
    }
}

/// All pages of a search, joined.
fn pages(store: &dyn Store, request: &SearchRequest) -> Vec<TraceSummary> {
    let mut request = request.clone();
    let mut found = Vec::new();
    let mut matched = Vec::new();
    loop {
        let result = store.search(&request).expect("the store searches");
        assert!(result.complete);
        assert!(result.requests.len() <= request.limit);
        found.extend(result.requests);
        matched.push(result.matched);
        match result.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    let n_found = found.len() as u64;
    for matched in matched {
        match matched {
            Matched::Exactly(n) => assert_eq!(n, n_found),
            Matched::AtLeast(n) => assert!(n <= n_found && !request.count),
        }
    }
    found
}

pub(crate) fn any_history_reads_like_its_model(open: Open) {
    let history = (
        prop::collection::vec(any_step(), 1..14),
        prop::collection::vec(any_search(), 12),
    );
    let usual = ProptestConfig::default();
    let config = ProptestConfig {
        // Each opens some stores.
        cases: usual.cases / 10,
        failure_persistence: None,
        ..usual
    };
    TestRunner::new(config)
        .run(&history, |(steps, searches)| {
            let dir = TempDir::new().expect("a directory");
            let mut store = open(dir.path()).expect("a store");
            let mut model = Model::default();
            for step in &steps {
                match step {
                    Step::Append(traces, times) => {
                        for _ in 0..*times {
                            model.append(&*store, traces);
                        }
                    }
                    Step::Reopen => {
                        drop(store);
                        store = open(dir.path()).expect("a store");
                    }
                    Step::Delete(n) => model.delete(&*store, id(*n)),
                    Step::Search(search) => {
                        prop_assert_eq!(pages(&*store, search), model.search(search));
                        overview::check(&*store, search, &model.search(search))?;
                    }
                }
            }
            check(&store, &model, &searches)
        })
        .expect("the store is like its model");
}

fn check(
    store: &Arc<dyn Store>,
    model: &Model,
    searches: &[SearchRequest],
) -> Result<(), TestCaseError> {
    for search in searches {
        prop_assert_eq!(
            pages(&**store, search),
            model.search(search),
            "{:?}",
            search
        );
        overview::check(&**store, search, &model.search(search))?;
    }
    for (trace_id, Sent { spans, .. }) in &model.traces {
        let stored = stored(&**store, *trace_id);
        prop_assert!(
            stored.keys().eq(spans.keys()),
            "{:?} != {:?}",
            stored,
            spans
        );
        prop_assert!(stored.iter().all(|(span, n)| *n <= spans[span]));
        let trace = store
            .trace(*trace_id)
            .expect("the store reads")
            .expect("a trace");
        prop_assert_eq!(trace.last_received, UnixNanos(1));
    }
    let [least, most] = model.operations();
    let listed = store.operations(None, 100).expect("the store lists");
    prop_assert!(listed.is_sorted());
    let listed: BTreeSet<Operation> = listed.into_iter().collect();
    prop_assert!(
        least.is_subset(&listed) && listed.is_subset(&most),
        "{:?} of {:?}",
        listed,
        most
    );
    let services: BTreeSet<String> = listed.into_iter().map(|of| of.service).collect();
    prop_assert_eq!(
        store.services(100).expect("the store lists"),
        services.into_iter().collect::<Vec<_>>()
    );
    let stats = store.stats().expect("the store counts");
    prop_assert_eq!(stats.n_traces, model.traces.len() as u64);
    let least = model.traces.values().map(|of| of.n_different).sum();
    let most = model.traces.values().map(Sent::n_spans).sum();
    prop_assert!((least..=most).contains(&stats.n_spans), "{:?}", stats);
    Ok(())
}
