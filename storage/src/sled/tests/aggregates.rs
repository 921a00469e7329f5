//! The numbers of all traces in any history, against adding up what each trace counts when it is sealed.

use std::collections::BTreeMap;

use longpole_analysis::aggregate::{Fact, Sketch, facts, minute_of, start_of};
use longpole_analysis::{Analysis, PEER_KEYS};
use longpole_proto::wire::decode_traces;
use longpole_proto::{SpanKind, Trace};
use proptest::prelude::*;

use super::*;
use crate::{Aggregates, AggregatesRequest, Cancel};

/// How many traces a history is about: few, so that most have spans in several partitions.
const N_TRACES: u8 = 3;

const SERVICES: [&str; 3] = ["web", "shop", "stock"];

#[derive(Debug, Clone)]
enum Step {
    /// Spans of a trace come, some of them again.
    Append(u8, Vec<SpanBuilder>),
    /// What came so far is sealed.
    Seal,
    /// And its partition closed.
    Close,
    /// So many hours pass, and what is old is removed.
    Retain(u32),
    Reopen,
    /// Likewise, but nothing of ours is written any more: the log is read again.
    Crash,
}

fn any_span() -> impl Strategy<Value = SpanBuilder> {
    let names = (0..SERVICES.len(), 0..2_usize, 0..6_i32, 0..4_usize);
    let times = (0..3_u64, 0..100_u64, 0..100_000_u64);
    (1..6_u64, 0..6_u64, names, times, any::<bool>()).prop_map(
        |(id, parent, (service, name, kind, peer), (minute, start, nanos), is_error)| {
            let start = minute * 60_000_000_000 + start * 1_000_000;
            let mut span = SpanBuilder::new(id, ["GET /", "SELECT"][name])
                .service(SERVICES[service])
                .kind(SpanKind::from_number(kind))
                .at_nanos(start, start + nanos);
            if parent > 0 {
                span = span.parent(parent);
            }
            if is_error {
                span = span.error("");
            }
            match peer {
                0 => span,
                1 => span.attribute("server.address", "10.0.0.1"),
                2 => span
                    .attribute("server.address", "db")
                    .attribute("db.system", "mysql"),
                _ => span.attribute("peer.service", SERVICES[service]),
            }
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let spans = prop::collection::vec(any_span(), 1..4);
    prop_oneof![
        8 => (1..=N_TRACES, spans).prop_map(|(trace, spans)| Step::Append(trace, spans)),
        4 => Just(Step::Seal),
        2 => Just(Step::Close),
        1 => (1..100_u32).prop_map(Step::Retain),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

fn id_of(trace: u8) -> TraceId {
    TraceId::new([trace; 16]).expect("not zero")
}

fn append_spans(store: &SledStore, trace: u8, spans: impl IntoIterator<Item = SpanBuilder>) {
    send(store, request_of(id_of(trace), spans), now(store)).expect("acknowledged");
}

/// What cells are told apart by: the minute, then what counts there, by names.
type Row = (u32, &'static str, Vec<String>);

/// Requests, errors and durations.
type Numbers = (u64, u64, Sketch);

type Rows = BTreeMap<Row, Numbers>;

fn add(rows: &mut Rows, row: Row, (n, n_errors, durations): &Numbers) {
    let to = rows.entry(row).or_default();
    to.0 += n;
    to.1 += n_errors;
    to.2.merge(durations.counts());
}

/// What a trace counts.
fn rows_of(trace: &Trace) -> Rows {
    let mut rows = Rows::new();
    facts(trace, &Analysis::of(trace), |fact| {
        let timed = trace.span(fact.timed_idx());
        let service = |at: usize| trace.service(at).to_owned();
        let operation = |at: usize| [service(at), trace.span(at).name.to_string()];
        let mut durations = Sketch::default();
        durations.add(timed.duration_nanos());
        let numbers = (0, u64::from(timed.is_error()), durations);
        let (what, names, numbers) = match fact {
            Fact::Call {
                span_idx,
                is_request,
            } => {
                let numbers = (u64::from(is_request), numbers.1, numbers.2);
                ("call", operation(span_idx).to_vec(), numbers)
            }
            Fact::Edge {
                caller_idx,
                callee_idx,
                ..
            } => (
                "edge",
                vec![service(caller_idx), service(callee_idx)],
                numbers,
            ),
            Fact::PeerEdge { span_idx } => {
                let Some(peer) = timed.attributes.text_of_any(&PEER_KEYS) else {
                    return;
                };
                ("peer", vec![service(span_idx), peer.to_owned()], numbers)
            }
            Fact::SlowestHop {
                root_idx,
                entry_idx,
            } => {
                let names = [operation(root_idx), operation(entry_idx)].concat();
                ("hop", names, (1, 0, Sketch::default()))
            }
        };
        add(&mut rows, (minute_of(timed.start), what, names), &numbers);
    });
    rows
}

/// An answer's rows; what has no names has none here.
fn rows_in(answer: &Aggregates) -> Rows {
    let mut rows = Rows::new();
    let operation = |of: &Operation| [of.service.clone(), of.name.clone()];
    for of in &answer.operations {
        let names = of
            .operation
            .as_ref()
            .map_or(vec![], |of| operation(of).to_vec());
        let numbers = (of.n_requests, of.n_errors, of.durations.clone());
        add(&mut rows, (minute_of(of.start), "call", names), &numbers);
    }
    for of in &answer.edges {
        let is_peer = of.edge.as_ref().is_some_and(|edge| edge.is_peer);
        let what = if is_peer { "peer" } else { "edge" };
        let names = of.edge.as_ref().map_or(vec![], |edge| {
            vec![edge.caller.clone(), edge.callee.clone()]
        });
        let numbers = (0, of.n_errors, of.durations.clone());
        add(&mut rows, (minute_of(of.start), what, names), &numbers);
    }
    for of in &answer.slowest_hops {
        let names = of.hop.as_ref().map_or(vec![], |hop| {
            [operation(&hop.request), operation(&hop.hop)].concat()
        });
        let numbers = (of.n_requests, 0, Sketch::default());
        add(&mut rows, (minute_of(of.start), "hop", names), &numbers);
    }
    rows
}

/// A sealed fragment of a trace.
#[derive(Debug)]
struct Fragment {
    partition: u32,
    /// Whether there was none before it.
    is_first: bool,
    /// What the trace counts with it; `None` when that cannot be known.
    counts: Option<Rows>,
    n_spans: u64,
}

#[derive(Debug, Default)]
struct Model {
    /// By trace: how many spans were not sealed yet.
    live: BTreeMap<u8, u64>,
    fragments: BTreeMap<u8, Vec<Fragment>>,
}

impl Model {
    /// What came so far is to be sealed.
    fn seal(&mut self, store: &SledStore) {
        let partition = *numbers(store).last().expect("one is active");
        for (trace, n_spans) in std::mem::take(&mut self.live) {
            let stored = store.trace(id_of(trace)).expect("the store reads");
            let otlp = stored.expect("it is live").otlp;
            let parts = decode_traces(id_of(trace), &otlp).expect("spans");
            let whole = Trace::new(id_of(trace), parts).expect("spans");
            let before = self.fragments.entry(trace).or_default();
            let is_known = before.first().is_none_or(|of| of.is_first)
                && before.iter().all(|of| of.counts.is_some());
            let fragment = Fragment {
                partition,
                is_first: before.is_empty(),
                counts: is_known.then(|| rows_of(&whole)),
                n_spans,
            };
            before.push(fragment);
        }
        seal_all(&store.engine().expect("open"));
    }

    fn forget_removed(&mut self, store: &SledStore) {
        let there = numbers(store);
        for fragments in self.fragments.values_mut() {
            fragments.retain(|of| there.contains(&of.partition));
        }
    }

    fn rows(&self) -> Rows {
        let mut rows = Rows::new();
        for fragments in self.fragments.values() {
            let newest = fragments.iter().rev().find_map(|of| of.counts.as_ref());
            for (row, numbers) in newest.into_iter().flatten() {
                add(&mut rows, row.clone(), numbers);
            }
        }
        rows
    }

    fn n_uncounted(&self) -> u64 {
        let fragments = self.fragments.values().flatten();
        let uncounted = fragments.filter(|of| of.counts.is_none());
        uncounted.map(|of| of.n_spans).sum()
    }
}

/// The numbers of the partitions there are.
fn numbers(store: &SledStore) -> Vec<u32> {
    let view = store.engine().expect("open").core.state.lock().view.clone();
    let partitions = view.partitions().iter();
    partitions.map(|of| of.partition.number()).collect()
}

fn by_minute() -> AggregatesRequest {
    AggregatesRequest {
        step_minutes: 1,
        ..AggregatesRequest::default()
    }
}

fn ask(store: &SledStore, request: &AggregatesRequest) -> Aggregates {
    let answer = store.aggregates(request).expect("the store adds up");
    assert!(answer.complete);
    answer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_happens_every_trace_counts_once(
        steps in prop::collection::vec(any_step(), 1..40),
        (from, to, step_minutes) in (0..3_u64, 1..4_u64, 0..3_u32),
        service in prop::option::of(0..SERVICES.len()),
    ) {
        let dir = TempDir::new().expect("a directory");
        let mut disk = FaultyDisk::new();
        let (mut store, mut clock) = at_rest(dir.path(), &disk);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(trace, spans) => {
                    *model.live.entry(trace).or_default() += spans.len() as u64;
                    append_spans(&store, trace, spans);
                }
                Step::Seal => model.seal(&store),
                Step::Close => {
                    model.seal(&store);
                    close_partition(&store.engine().expect("open"));
                }
                Step::Retain(hours) => {
                    model.seal(&store);
                    clock.advance(HOUR * hours);
                    let engine = store.engine().expect("open");
                    engine.keeper.retain().expect("the disk is fine");
                    drop(engine);
                    model.forget_removed(&store);
                }
                Step::Reopen | Step::Crash => {
                    model.seal(&store);
                    let now = clock.elapsed();
                    if matches!(step, Step::Crash) {
                        disk.fail(disk.n_operations(), crate::testing::Fault::Crash);
                    }
                    drop(store);
                    disk = FaultyDisk::new();
                    (store, clock) = at_rest(dir.path(), &disk);
                    clock.advance(now);
                }
            }
            let answer = ask(&store, &by_minute());
            prop_assert_eq!(rows_in(&answer), model.rows());
            prop_assert_eq!(answer.n_uncounted_spans, model.n_uncounted());
        }
        model.seal(&store);
        let first = minute_of(longpole_proto::testing::START);
        let (from, to) = (first + u32::try_from(from).expect("few"), first + u32::try_from(to).expect("few"));
        let service = service.map(|at| SERVICES[at]);
        let mut expected = Rows::new();
        for ((minute, what, names), numbers) in model.rows() {
            let services: &[usize] = match what {
                "edge" => &[0, 1],
                "hop" => &[0, 2],
                _ => &[0],
            };
            let is_of = |wanted: &str| services.iter().any(|&at| names[at] == wanted);
            if (from..to).contains(&minute) && service.is_none_or(is_of) {
                let minute = minute.checked_div(step_minutes).map_or(0, |n| n * step_minutes);
                add(&mut expected, (minute, what, names), &numbers);
            }
        }
        let answer = ask(&store, &AggregatesRequest {
            from: Some(UnixNanos(start_of(from).0 + 1)),
            to: Some(start_of(to)),
            step_minutes,
            service: service.map(str::to_owned),
            cancel: Cancel::default(),
        });
        prop_assert_eq!(rows_in(&answer), expected);
    }
}

/// How many calls an answer has, and how many cells have no name.
fn n_calls(answer: &Aggregates) -> (u64, usize) {
    let calls = answer.operations.iter().map(|of| of.durations.len());
    let nameless = answer.operations.iter().filter(|of| of.operation.is_none());
    (calls.sum(), nameless.count())
}

#[test]
fn a_trace_with_very_many_fragments_counts_as_it_did_and_the_rest_is_said_to_be_left_out() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for span in 1..=20 {
        append_spans(&store, 1, [SpanBuilder::new(span, "work")]);
        seal_all(&engine);
    }
    // Twelve earlier fragments are read when another is sealed.
    let answer = ask(&store, &by_minute());
    assert_eq!((n_calls(&answer), answer.n_uncounted_spans), ((13, 0), 7));
    close_partition(&engine);
    assert_eq!(ask(&store, &by_minute()), answer);
}

#[test]
fn endless_names_and_times_take_bounded_room_and_are_counted() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let minute = 60_000_000_000;
    let long = "x".repeat(1_000);
    let spans = (0..12_000_u64).map(|n| {
        let name = format!("{n} {long}");
        let kind = SpanKind::Client;
        let span = SpanBuilder::new(n + 1, &name).service(&name).kind(kind);
        // Half of them at once, the others whenever.
        let at = match n {
            0..6_000 => 0,
            _ if n % 2 == 0 => n * minute,
            _ => u64::MAX / 12_000 * n,
        };
        span.attribute("peer.service", name.as_str()).with(|span| {
            span.start = UnixNanos(at);
            span.end = UnixNanos(at);
        })
    });
    for (trace, spans) in (1..).zip(spans.collect::<Vec<_>>().chunks(3_000)) {
        append_spans(&store, trace, spans.to_vec());
    }
    close_partition(&store.engine().expect("open"));
    let request = AggregatesRequest::default();
    let answer = ask(&store, &request);
    let (n_counted, n_nameless) = n_calls(&answer);
    assert_eq!(n_counted + answer.n_uncounted_spans, 12_000);
    assert!(answer.n_uncounted_spans > 0, "they are at too many minutes");
    assert_eq!(n_nameless, 1, "and have too many names");
    let requests = answer.operations.iter().map(|of| of.n_requests);
    assert!(requests.sum::<u64>() <= 4);
    let view = store.engine().expect("open").core.state.lock().view.clone();
    let partition = &view.partitions()[0].partition;
    let digest = fs::metadata(partition.digest_path()).expect("it was written");
    assert!(digest.len() < 200 << 10, "{} bytes", digest.len());
}

#[test]
fn damaged_numbers_of_a_partition_are_reported_and_read_from_its_blocks() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for span in 1..=3 {
        append_spans(&store, 1, [SpanBuilder::new(span, "work")]);
        append_spans(
            &store,
            100 + u8::try_from(span).expect("small"),
            [SpanBuilder::new(1, "work")],
        );
        close_partition(&engine);
    }
    let expected = ask(&store, &by_minute());
    assert_eq!(n_calls(&expected), (6, 0));
    let view = engine.core.state.lock().view.clone();
    let path = view.partitions()[1].partition.digest_path();
    let mut bytes = fs::read(&path).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
    fs::write(&path, bytes).expect("a file");
    for _ in 0..2 {
        assert_eq!(ask(&store, &by_minute()), expected);
        let status = store.status().expect("the store knows");
        assert_eq!(status.stats.n_damaged, 1, "it is told once");
        assert!(status.damaged[0].path.ends_with("DIGEST"));
    }
    assert_eq!((n_of(&store, 1), n_found(&store)), (3, 4));
}

#[test]
fn it_ends_at_the_limits_of_its_work_and_says_so() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    for trace in 1..=9 {
        append_spans(&store, trace, [SpanBuilder::new(1, "work")]);
        seal_all(&store.engine().expect("open"));
    }
    let mut request = by_minute();
    assert_eq!(n_calls(&ask(&store, &request)), (9, 0));
    drop(store);
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.clock = Arc::new(Ticking::default());
        settings.search_time_max = Duration::from_millis(3);
        settings.retention = Duration::MAX;
    });
    let answer = store.aggregates(&request).expect("the store adds up");
    assert!(!answer.complete);
    assert!((1..9).contains(&n_calls(&answer).0), "{answer:?}");
    request.cancel = Cancel::default();
    request.cancel.cancel();
    let result = store.aggregates(&request);
    assert!(matches!(result, Err(StorageError::Cancelled)), "{result:?}");
}

#[test]
fn a_lost_partition_whose_corrections_are_missed_is_noticed_after_a_restart_too() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    // Each time counted anew: the third partition corrects the second, and that the first.
    for span in 1..=3 {
        append_spans(&store, 1, [SpanBuilder::new(span, "work")]);
        close_partition(&engine);
    }
    assert_eq!(n_calls(&ask(&store, &by_minute())), (3, 0));
    let view = engine.core.state.lock().view.clone();
    view.partitions()[1].partition.abandon();
    drop(view);
    engine.keeper.set_aside().expect("the disk is fine");
    drop(engine);
    drop(store);
    for _ in 0..2 {
        let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
        let answer = store.aggregates(&by_minute()).expect("the store adds up");
        assert!(!answer.complete);
        // What the first has counts again.
        assert_eq!(n_calls(&answer), (4, 0));
    }
}
