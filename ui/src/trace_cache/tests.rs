use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use longpole_proto::testing::{START, SpanBuilder, parts_of};
use proptest::prelude::*;

use super::*;

fn id(n: u8) -> TraceId {
    TraceId::new([n; 16]).expect("not zero")
}

/// A trace of these spans, as it is loaded.
fn loaded(trace: u8, spans: &[u64]) -> Loaded {
    let builders = spans.iter().map(|&n| SpanBuilder::new(n, "work").at(0, n));
    let trace = Trace::new(id(trace), parts_of(builders)).expect("a trace with spans");
    Loaded::new(START, trace)
}

fn version(n: u64) -> TraceVersion {
    TraceVersion::new([n])
}

#[derive(Debug, Clone)]
enum Step {
    /// So many spans of a trace arrive.
    Append(u8, u64),
    /// The oldest of its spans go.
    Remove(u8, usize),
    Ask(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let trace = 1..=6_u8;
    prop_oneof![
        2 => (trace.clone(), 1..20_u64).prop_map(|(trace, n)| Step::Append(trace, n)),
        1 => (trace.clone(), 1..40_usize).prop_map(|(trace, n)| Step::Remove(trace, n)),
        4 => trace.prop_map(Step::Ask),
    ]
}

proptest! {
    #[test]
    fn what_is_kept_is_what_would_be_read(steps in prop::collection::vec(any_step(), 1..60)) {
        // So small that most traces make others go, and some are too large.
        const BYTES_MAX: u64 = 16 << 10;
        let cache = TraceCache::new(BYTES_MAX);
        let mut next = 1;
        let mut stored: BTreeMap<u8, (u64, Vec<u64>)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append(trace, n_spans) => {
                    let (version, spans) = stored.entry(trace).or_default();
                    *version = next;
                    spans.extend(next..next + n_spans);
                    next += n_spans;
                }
                Step::Remove(trace, n_spans) => {
                    if let Some((version, spans)) = stored.get_mut(&trace) {
                        (*version, next) = (next, next + 1);
                        spans.drain(..n_spans.min(spans.len()));
                        if spans.is_empty() {
                            stored.remove(&trace);
                        }
                    }
                }
                Step::Ask(trace) => {
                    let Some((n, spans)) = stored.get(&trace) else {
                        cache.forget(id(trace));
                        continue;
                    };
                    let expected = loaded(trace, spans);
                    let mut n_reads = 0;
                    for _ in 0..2 {
                        let found = cache.get(id(trace), version(*n), || {
                            n_reads += 1;
                            Ok(loaded(trace, spans))
                        });
                        let found = found.expect("it loads");
                        prop_assert_eq!(&found.trace, &expected.trace);
                        prop_assert_eq!(found.analysis(), expected.analysis());
                    }
                    let is_large = expected.n_bytes() > BYTES_MAX;
                    prop_assert_eq!(n_reads > 1, is_large);
                }
            }
            prop_assert!(cache.kept.lock().n_bytes <= BYTES_MAX);
        }
    }
}

#[test]
fn the_traces_asked_for_last_are_kept() {
    let spans: Vec<u64> = (1..=10).collect();
    let n_bytes = loaded(1, &spans).n_bytes();
    let cache = TraceCache::new(8 * n_bytes);
    let n_loads = AtomicUsize::new(0);
    let ask = |trace| {
        let load = || {
            n_loads.fetch_add(1, Ordering::Relaxed);
            Ok(loaded(trace, &spans))
        };
        cache.get(id(trace), version(1), load).expect("it loads");
    };
    for trace in 1..=100 {
        ask(trace);
        ask(trace);
        ask(1);
    }
    assert_eq!(n_loads.load(Ordering::Relaxed), 100, "the first one stays");
    ask(2);
    assert_eq!(n_loads.load(Ordering::Relaxed), 101, "the second one went");
}

#[test]
fn a_large_trace_is_kept_as_long_as_it_fits() {
    let spans: Vec<u64> = (1..=100).collect();
    let n_bytes = loaded(1, &spans).n_bytes();
    for (bytes_max, n_loads_expected) in [(n_bytes, 1), (n_bytes - 1, 2)] {
        let cache = TraceCache::new(bytes_max);
        let mut n_loads = 0;
        for _ in 0..2 {
            let load = || {
                n_loads += 1;
                Ok(loaded(1, &spans))
            };
            cache.get(id(1), version(1), load).expect("it loads");
        }
        assert_eq!(n_loads, n_loads_expected);
    }
}

#[test]
fn who_asks_for_what_is_being_loaded_waits_for_it() {
    const N_ASKING: usize = 4;
    let cache = TraceCache::default();
    let (all, n_loads) = (Barrier::new(N_ASKING), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..N_ASKING {
            scope.spawn(|| {
                all.wait();
                let found = cache.get(id(1), version(1), || {
                    n_loads.fetch_add(1, Ordering::Relaxed);
                    Ok(loaded(1, &[1, 2]))
                });
                assert_eq!(found.expect("it loads").trace.len(), 2);
            });
        }
    });
    assert_eq!(n_loads.load(Ordering::Relaxed), 1);
}

#[test]
fn what_cannot_be_read_is_read_again() {
    let cache = TraceCache::default();
    let failed = cache.get(id(1), version(1), || Err(UiError::no_page("/")));
    assert!(matches!(failed, Err(UiError::NoPage { .. })));
    let found = cache.get(id(1), version(1), || Ok(loaded(1, &[1])));
    assert_eq!(found.expect("it loads").trace.len(), 1);
}
