//! Lists of attributes in any history, and how little room endless ones take.

use std::collections::BTreeMap;

use longpole_proto::{Attributes, Event};
use proptest::prelude::*;

use super::*;
use crate::MostFrequent;
use crate::sled::attributes::MEMORY_SPANS_MAX;

#[derive(Debug, Clone)]
enum Step {
    /// A span of this service with these attributes: name, value, whether an event has it.
    Append(u8, Vec<(u8, u8, bool)>),
    Seal,
    Close,
    Reopen,
}

const SERVICES: [&str; 3] = ["web", "shop", "stock"];

/// Names and values: each value's text, and whether it is a number.
const NAMES: [&str; 4] = ["http.route", "http.status", "db.system", "db.rows"];
const VALUES: [(&str, bool); 4] = [
    ("200", true),
    ("404", true),
    ("200", false),
    ("mysql", false),
];

fn any_step() -> impl Strategy<Value = Step> {
    let attribute = (0..4_u8, 0..4_u8, any::<bool>());
    let attributes = prop::collection::vec(attribute, 0..5);
    prop_oneof![
        8 => (0..3_u8, attributes).prop_map(|(service, of)| Step::Append(service, of)),
        3 => Just(Step::Seal),
        2 => Just(Step::Close),
        1 => Just(Step::Reopen),
    ]
}

fn append_span(store: &SledStore, trace: u8, span: SpanBuilder) {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    send(store, request_of(trace_id, [span]), UnixNanos(1)).expect("acknowledged");
}

fn names(store: &SledStore, prefix: &str, limit: usize) -> MostFrequent {
    store
        .attribute_names(prefix, limit)
        .expect("the store lists")
}

fn values(store: &SledStore, name: &str, prefix: &str) -> MostFrequent {
    let values = store.attribute_values(name, prefix, 100);
    values.expect("the store lists")
}

/// The most frequent of some counts.
fn most(counts: BTreeMap<&str, u64>, limit: usize) -> MostFrequent {
    let is_exact = counts.len() <= limit;
    let mut texts: Vec<_> = counts
        .into_iter()
        .map(|(text, n)| (text.to_owned(), n))
        .collect();
    texts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    texts.truncate(limit);
    MostFrequent { texts, is_exact }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn few_attributes_are_counted_exactly(
        steps in prop::collection::vec(any_step(), 1..40),
        limit in 1..6_usize,
    ) {
        let dir = TempDir::new().expect("a directory");
        let (mut store, _) = at_rest(dir.path(), &FaultyDisk::new());
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (n, step) in (1..).zip(&steps) {
            match step {
                Step::Append(service, attributes) => {
                    let service = SERVICES[usize::from(*service)];
                    *counts.entry(("service.name", service)).or_default() += 1;
                    let mut span = SpanBuilder::new(n, "work").service(service);
                    for &(name, value, is_of_event) in attributes {
                        let name = NAMES[usize::from(name)];
                        let (text, is_number) = VALUES[usize::from(value)];
                        *counts.entry((name, text)).or_default() += 1;
                        let mut event = Attributes::default();
                        match text.parse::<i64>() {
                            Ok(number) if is_number => event.push(name, number),
                            _ => event.push(name, text),
                        }
                        span = span.with(|span| {
                            if is_of_event {
                                span.events.push(Event {
                                    time: span.start,
                                    name: "event".to_owned(),
                                    attributes: event,
                                    dropped_attributes_count: 0,
                                });
                            } else {
                                span.attributes.0.extend(event.0);
                            }
                        });
                    }
                    append_span(&store, u8::try_from(n % 3 + 1).expect("small"), span);
                }
                Step::Seal => seal_all(&store.engine().expect("open")),
                Step::Close => close_partition(&store.engine().expect("open")),
                Step::Reopen => {
                    drop(store);
                    (store, _) = at_rest(dir.path(), &FaultyDisk::new());
                }
            }
            let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
            for ((name, _), n) in &counts {
                *by_name.entry(name).or_default() += n;
            }
            for prefix in ["", "db.", "http.route"] {
                let of_prefix = by_name.iter().filter(|(name, _)| name.starts_with(prefix));
                let expected = most(of_prefix.map(|(name, n)| (*name, *n)).collect(), limit);
                prop_assert_eq!(names(&store, prefix, limit), expected);
            }
            for name in NAMES {
                let of_name = counts.iter().filter(|((of, value), _)| *of == name && value.starts_with('2'));
                let expected = most(of_name.map(|((_, value), n)| (*value, *n)).collect(), 100);
                prop_assert_eq!(values(&store, name, "2"), expected);
            }
        }
    }
}

#[test]
fn of_very_many_spans_in_memory_some_are_counted() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let n_traces = 40;
    for n in 0..n_traces {
        let trace_id = TraceId::new([n + 1; 16]).expect("not zero");
        let spans = (1..=500).map(|n| SpanBuilder::new(n, "work").attribute("http.route", "/"));
        send(&store, request_of(trace_id, spans), UnixNanos(1)).expect("acknowledged");
    }
    let some = names(&store, "http", 10);
    let [(name, n)] = &some.texts[..] else {
        panic!("one name: {some:?}");
    };
    assert_eq!((name.as_str(), some.is_exact), ("http.route", false));
    assert_eq!(*n, MEMORY_SPANS_MAX as u64 / 500 * 500);
    seal_all(&store.engine().expect("open"));
    let all = names(&store, "http", 10);
    assert_eq!(
        all.texts,
        [("http.route".to_owned(), u64::from(n_traces) * 500)]
    );
    assert!(all.is_exact);
}

#[test]
fn ids_have_no_values_and_frequent_ones_are_found_among_rare() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    for n in 0..200_u8 {
        let route = if n % 2 == 0 {
            "/".to_owned()
        } else {
            format!("/{}", n % 60)
        };
        let span = SpanBuilder::new(1, "work")
            .attribute("request.id", format!("request {n}").as_str())
            .attribute("http.route", route.as_str())
            .attribute("db.query.text", "SELECT ".repeat(100).as_str());
        append_span(&store, n + 1, span);
    }
    for _ in 0..2 {
        close_partition(&store.engine().expect("open"));
        let all = names(&store, "", 100);
        assert_eq!(all.texts.len(), 4);
        assert!(
            all.is_exact && all.texts.iter().all(|(_, n)| *n == 200),
            "{all:?}"
        );
        for without in ["request.id", "db.query.text"] {
            assert_eq!(values(&store, without, ""), MostFrequent::default());
        }
        let routes = values(&store, "http.route", "");
        assert_eq!(routes.texts[0], ("/".to_owned(), 100));
        assert!(!routes.is_exact, "there are 31");
        let nothing = values(&store, "no such attribute", "");
        assert!(nothing.texts.is_empty() && nothing.is_exact);
    }
}

#[test]
fn a_million_names_take_bounded_room() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    // Each name once, but for one, in two blocks.
    for trace in 0..10_u32 {
        let mut span = SpanBuilder::new(1, "work").attribute("everywhere", "yes");
        for n in 0..100_000 {
            span = span.attribute(&format!("name {}", trace * 100_000 + n), "x");
        }
        append_span(&store, u8::try_from(trace + 1).expect("small"), span);
        if trace == 4 {
            seal_all(&store.engine().expect("open"));
        }
    }
    let engine = store.engine().expect("open");
    seal_all(&engine);
    let view = engine.core.state.lock().view.clone();
    let partition = &view.partitions()[0].partition;
    for block in 0..2 {
        let digest = partition.block_digest(block).expect("intact");
        assert!(digest.len() < 16 << 10, "{} bytes", digest.len());
    }
    for _ in 0..2 {
        let most = names(&store, "", 2);
        assert!(!most.is_exact);
        let expected = ["everywhere", "service.name"].map(|name| (name.to_owned(), 10));
        assert_eq!(most.texts, expected);
        assert!(names(&store, "", usize::MAX).texts.len() <= 2 * 257);
        close_partition(&engine);
    }
    let n_bytes = fs::metadata(partition.attributes_path())
        .expect("it was written")
        .len();
    assert!(n_bytes < 16 << 10, "{n_bytes} bytes");
}
