//! A trace's version in any history: never the same for what is not.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::TraceVersion;

/// How many traces a history is about: few, so that most have spans in several partitions.
const N_TRACES: u8 = 4;

#[derive(Debug, Clone)]
enum Step {
    /// A new span of a trace.
    Append(u8),
    /// So many hours pass.
    Advance(u32),
    /// What came so far is sealed.
    Seal,
    /// And its partition closed.
    Close,
    /// What is old is removed.
    Retain,
    /// One of the closed partitions turns out to be damaged.
    Damage(prop::sample::Index),
    /// Those are set aside.
    SetAside,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..=N_TRACES).prop_map(Step::Append),
        3 => (1..100_u32).prop_map(Step::Advance),
        2 => Just(Step::Seal),
        2 => Just(Step::Close),
        2 => Just(Step::Retain),
        1 => any::<prop::sample::Index>().prop_map(Step::Damage),
        1 => Just(Step::SetAside),
    ]
}

/// The spans of each trace, as they are read.
fn read(store: &SledStore, trace: u8) -> Option<Vec<u8>> {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    let stored = store.trace(trace_id).expect("the store reads")?;
    Some(stored.otlp.to_vec())
}

fn version(store: &SledStore, trace: u8) -> Option<TraceVersion> {
    let trace_id = TraceId::new([trace; 16]).expect("not zero");
    store.trace_version(trace_id).expect("the store knows")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_trace_of_the_same_version_is_the_same(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let dir = TempDir::new().expect("a directory");
        let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
        let engine = store.engine().expect("open");
        let mut known: HashMap<(u8, TraceVersion), Vec<u8>> = HashMap::new();
        for (n, step) in (1..).zip(&steps) {
            match step {
                Step::Append(trace) => append_to(&store, *trace, n, clock.now()),
                Step::Advance(hours) => clock.advance(HOUR * *hours),
                Step::Seal => seal_all(&engine),
                Step::Close => close_partition(&engine),
                Step::Retain => engine.keeper.retain().expect("the disk is fine"),
                Step::Damage(which) => {
                    let view = engine.core.state.lock().view.clone();
                    let all = view.partitions().iter().map(|of| &of.partition);
                    let closed: Vec<_> = all.filter(|of| of.is_closed()).collect();
                    if !closed.is_empty() {
                        which.get(&closed).abandon();
                    }
                }
                Step::SetAside => engine.keeper.set_aside().expect("the disk is fine"),
            }
            for trace in 1..=N_TRACES {
                let version = version(&store, trace);
                let spans = read(&store, trace);
                prop_assert_eq!(version.is_some(), spans.is_some(), "after {:?}", step);
                if let (Some(version), Some(spans)) = (version, spans) {
                    let before = known.entry((trace, version)).or_insert_with(|| spans.clone());
                    prop_assert_eq!(&*before, &spans, "after {:?}", step);
                }
            }
        }
    }
}

#[test]
fn a_version_stays_while_nothing_happens_to_the_trace() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    assert_eq!(version(&store, 1), None);
    append_to(&store, 1, 1, clock.now());
    let live = version(&store, 1);
    append_to(&store, 2, 1, clock.now());
    assert_eq!(version(&store, 1), live, "another trace's spans arrived");
    seal_all(&engine);
    let sealed = version(&store, 1);
    append_to(&store, 2, 2, clock.now());
    close_partition(&engine);
    assert_eq!(version(&store, 1), sealed, "its partition was closed");
    drop(engine);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_ne!(version(&store, 1), sealed, "numbers may mean others now");
}
