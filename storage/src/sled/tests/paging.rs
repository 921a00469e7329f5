//! Pages read while partitions are removed, by age and by bytes, and spans arrive: at random, against
//! what the store says of each trace by itself.

use std::collections::BTreeMap;

use longpole_analysis::TraceSummary;
use longpole_analysis::query::{Field, Op, Query, Scope};
use proptest::prelude::*;

use super::*;
use crate::Order;

/// So much that the age takes partitions before the bytes do, and so little that the bytes do.
const LIMITS_BYTES: [u64; 2] = [1 << 30, 12 << 20];

const N_TRACES: u8 = 40;

#[derive(Debug, Clone)]
enum Step {
    /// A span of a trace that lasts so many milliseconds.
    Append(u8, u64),
    /// So many hours pass.
    Advance(u32),
    /// What came so far is sealed.
    Seal,
    /// And its partition closed.
    Close,
    /// What is old or too much is removed.
    Retain,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..=N_TRACES, 1..9_u64).prop_map(|(trace, ms)| Step::Append(trace, ms)),
        2 => (1..100_u32).prop_map(Step::Advance),
        1 => Just(Step::Seal),
        2 => Just(Step::Close),
        2 => Just(Step::Retain),
    ]
}

/// What happens around a page's search.
#[derive(Debug, Clone)]
struct Between {
    before: Vec<Step>,
    /// Whether what is old or too much is removed when the search has begun.
    retains: bool,
}

fn any_between() -> impl Strategy<Value = Between> {
    (prop::collection::vec(any_step(), 0..4), any::<bool>())
        .prop_map(|(before, retains)| Between { before, retains })
}

fn any_search() -> impl Strategy<Value = SearchRequest> {
    // All three are of every trace: what is told without decoding, by blooms, and by decoding.
    let queries = vec![
        Query::default(),
        Query::compare(Field::attribute(Scope::Any, "text"), Op::Eq, "text"),
        Query::Word("work".to_owned()),
    ];
    let orders = vec![Order::Slowest, Order::Newest, Order::Spans, Order::Errors];
    let (queries, orders) = (prop::sample::select(queries), prop::sample::select(orders));
    (queries, orders, 1..6_usize, any::<bool>()).prop_map(|(query, order, limit, count)| {
        SearchRequest {
            query,
            order,
            limit,
            count,
            ..SearchRequest::default()
        }
    })
}

struct Story {
    store: SledStore,
    clock: Arc<ManualClock>,
    n_spans: u64,
}

impl Story {
    fn new(dir: &Path, limit_bytes: u64) -> Self {
        let (store, clock) = limited(dir, &FaultyDisk::new(), limit_bytes);
        Self {
            store,
            clock,
            n_spans: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        let engine = self.store.engine().expect("open");
        match *step {
            Step::Append(trace, ms) => {
                self.n_spans += 1;
                let trace_id = TraceId::new([trace; 16]).expect("not zero");
                let span = SpanBuilder::new(self.n_spans, "work")
                    .at(u64::from(trace), u64::from(trace) + ms);
                let span = span.attribute("text", "text");
                let span = if ms % 2 == 0 { span.error("") } else { span };
                let request = request_of(trace_id, [span]);
                match send(&self.store, request, self.clock.now()) {
                    Ok(_) | Err(StorageError::Full { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Advance(hours) => self.clock.advance(HOUR * hours),
            Step::Seal => seal_all(&engine),
            Step::Close => close_partition(&engine),
            Step::Retain => engine.keeper.retain().expect("the disk is fine"),
        }
    }

    /// The spans of the traces there are.
    fn stored(&self) -> BTreeMap<TraceId, bytes::Bytes> {
        let ids = (1..=N_TRACES).filter_map(|trace| TraceId::new([trace; 16]));
        ids.filter_map(|trace_id| {
            let stored = self.store.trace(trace_id).expect("the store reads")?;
            Some((trace_id, stored.otlp))
        })
        .collect()
    }

    /// The spans of each, sorted: sealing joins and parts messages.
    fn spans(&self) -> BTreeMap<TraceId, Vec<Vec<u8>>> {
        let spans = |otlp: bytes::Bytes| {
            let message = TracesData::decode(otlp).expect("a TracesData");
            let scopes = message.resource_spans.iter().flat_map(|of| &of.scope_spans);
            let spans = scopes.flat_map(|scope| &scope.spans);
            let mut spans: Vec<Vec<u8>> = spans.map(Message::encode_to_vec).collect();
            spans.sort_unstable();
            spans
        };
        let stored = self.stored().into_iter();
        stored.map(|(id, otlp)| (id, spans(otlp))).collect()
    }
}

/// Where a request has its place, the first one smallest.
fn place(summary: &TraceSummary, order: Order) -> (std::cmp::Reverse<u64>, TraceId) {
    let key = match order {
        Order::Slowest => summary.duration_nanos,
        Order::Newest => summary.start.0,
        Order::Spans => summary.n_spans,
        Order::Errors => summary.n_errors,
    };
    (std::cmp::Reverse(key), summary.trace_id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_have_what_stayed_once_and_nothing_that_is_gone(
        limit_bytes in prop::sample::select(&LIMITS_BYTES[..]),
        history in prop::collection::vec(any_step(), 10..60),
        mut request in any_search(),
        betweens in prop::collection::vec(any_between(), 12),
    ) {
        let dir = TempDir::new().expect("a directory");
        let mut story = Story::new(dir.path(), limit_bytes);
        for step in &history {
            story.take(step);
        }
        let at_first = story.spans();
        let mut stayed = at_first.clone();
        let mut found: Vec<TraceSummary> = Vec::new();
        let mut betweens = betweens.into_iter();
        let mut is_last = false;
        while !is_last {
            let between = betweens.next();
            for step in between.iter().flat_map(|of| &of.before) {
                story.take(step);
            }
            let engine = story.store.engine().expect("open");
            let before = story.spans();
            let moment = engine.core.snapshot().expect("a moment");
            if between.is_some_and(|of| of.retains) {
                engine.keeper.retain().expect("the disk is fine");
            }
            let result = engine.core.search_in(&moment, &request);
            let result = result.expect("the store searches");
            drop((moment, engine));
            let after = story.spans();
            prop_assert!(result.complete, "{:?}", result.unseen);
            for summary in &result.requests {
                prop_assert!(before.contains_key(&summary.trace_id), "it is gone");
            }
            for spans in [&before, &after] {
                stayed.retain(|trace_id, of| spans.get(trace_id) == Some(&*of));
            }
            found.extend(result.requests);
            is_last = result.next.is_none();
            request.after = result.next;
        }
        let places: Vec<_> = found.iter().map(|of| place(of, request.order)).collect();
        prop_assert!(places.is_sorted_by(|a, b| a < b), "{:?}", places);
        for trace_id in stayed.keys() {
            let n_found = found.iter().filter(|of| of.trace_id == *trace_id).count();
            prop_assert_eq!(n_found, 1, "{}, which stayed as it was", trace_id);
        }
    }
}
