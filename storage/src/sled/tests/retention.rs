//! Retention in any history, against a model of which partition has which span.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// How long [`at_rest`]'s stores keep spans.
const RETENTION_HOURS: u64 = 168;

/// How many traces a history is about: few, so that most have spans in several partitions.
const N_TRACES: u8 = 4;

#[derive(Debug, Clone)]
enum Step {
    /// A new span of a trace.
    Append(u8),
    /// So many hours pass.
    Advance(u64),
    /// What came so far is sealed, and its partition closed.
    Close,
    Retain,
    Reopen,
    Delete(u8),
    Pin(u8),
    Unpin(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..=N_TRACES).prop_map(Step::Append),
        3 => (1..100_u64).prop_map(Step::Advance),
        2 => Just(Step::Close),
        2 => Just(Step::Retain),
        1 => Just(Step::Reopen),
        1 => (1..=N_TRACES).prop_map(Step::Delete),
        1 => (1..=N_TRACES).prop_map(Step::Pin),
        1 => (1..=N_TRACES).prop_map(Step::Unpin),
    ]
}

/// The traces of a partition's spans, and the hour the newest was received, or it was made.
#[derive(Debug, Default)]
struct Partition {
    traces: Vec<u8>,
    newest: u64,
}

#[derive(Debug, Default)]
struct Model {
    hour: u64,
    closed: Vec<Partition>,
    active: Partition,
    pinned: BTreeSet<u8>,
}

impl Model {
    fn retain(&mut self) {
        let now = self.hour;
        let is_old = |of: &mut Partition| now - of.newest >= RETENTION_HOURS;
        let removed: Vec<Partition> = self.closed.extract_if(.., is_old).collect();
        let traces = removed.iter().flat_map(|partition| &partition.traces);
        let kept = traces.filter(|trace| self.pinned.contains(trace));
        self.active.traces.extend(kept);
    }

    fn delete(&mut self, trace: u8) {
        let partitions = self.closed.iter_mut().chain([&mut self.active]);
        for partition in partitions {
            partition.traces.retain(|of| *of != trace);
        }
        self.pinned.remove(&trace);
    }

    fn n_of(&self, trace: u8) -> usize {
        let partitions = self.closed.iter().chain([&self.active]);
        partitions
            .flat_map(|partition| &partition.traces)
            .filter(|of| **of == trace)
            .count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_retention_takes_what_is_old_and_nothing_else(
        steps in prop::collection::vec(any_step(), 1..30),
    ) {
        let dir = TempDir::new().expect("a directory");
        let (mut store, mut clock) = at_rest(dir.path(), &FaultyDisk::new());
        let mut model = Model::default();
        for (n, step) in (1..).zip(&steps) {
            match *step {
                Step::Append(trace) => {
                    append_to(&store, trace, n, clock.now());
                    model.active.traces.push(trace);
                    model.active.newest = model.hour;
                }
                Step::Advance(hours) => {
                    clock.advance(HOUR * u32::try_from(hours).expect("few"));
                    model.hour += hours;
                }
                Step::Close => {
                    close_partition(&store.engine().expect("open"));
                    let newest = model.hour;
                    let next = Partition { newest, ..Partition::default() };
                    model.closed.push(std::mem::replace(&mut model.active, next));
                }
                Step::Retain => {
                    let engine = store.engine().expect("open");
                    engine.keeper.retain().expect("the disk is fine");
                    model.retain();
                }
                Step::Delete(trace) => {
                    let is_there = model.n_of(trace) > 0;
                    prop_assert_eq!(store.delete(id(trace)).expect("the disk is fine"), is_there);
                    model.delete(trace);
                }
                Step::Pin(trace) => {
                    let is_there = model.n_of(trace) > 0;
                    prop_assert_eq!(store.pin(id(trace)).expect("there is room"), is_there);
                    if is_there {
                        model.pinned.insert(trace);
                    }
                }
                Step::Unpin(trace) => {
                    let is_pinned = model.pinned.remove(&trace);
                    prop_assert_eq!(store.unpin(id(trace)).expect("the disk is fine"), is_pinned);
                }
                Step::Reopen => {
                    drop(store);
                    (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
                    clock.advance(HOUR * u32::try_from(model.hour).expect("few"));
                }
            }
            let expected: Vec<usize> = (1..=N_TRACES).map(|trace| model.n_of(trace)).collect();
            let found: Vec<usize> = (1..=N_TRACES).map(|trace| n_of(&store, trace)).collect();
            prop_assert_eq!(&found, &expected, "after {:?}", step);
            let n_traces = expected.iter().filter(|n| **n > 0).count();
            prop_assert_eq!(n_found(&store), n_traces);
            let stats = store.stats().expect("the store counts");
            prop_assert_eq!(stats.n_spans, expected.iter().sum::<usize>() as u64);
            prop_assert_eq!(stats.n_traces, n_traces as u64);
            let mut pinned = store.pinned().expect("the store is open");
            pinned.sort_unstable();
            prop_assert!(pinned.into_iter().eq(model.pinned.iter().map(|trace| id(*trace))));
        }
    }
}
