//! Deleted and pinned traces, on disks that fail.

use super::*;
use crate::testing::Fault;

fn deleted(store: &SledStore, trace: u8) -> bool {
    store.delete(id(trace)).expect("the disk is fine")
}

fn n_marks(store: &SledStore) -> usize {
    let marks = fs::read(store.engine().expect("open").core.paths.marks.clone());
    marks.map_or(0, |marks| (marks.len() - 4) / 60)
}

#[test]
fn what_comes_after_a_deletion_is_a_trace_of_its_own() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    // In a closed partition, in the active one, and in memory.
    for span in 1..=3 {
        append_to(&store, 1, span, clock.now());
        append_to(&store, 2, span, clock.now());
        match span {
            1 => close_partition(&engine),
            2 => seal_all(&engine),
            _ => {}
        }
    }
    assert!(deleted(&store, 1));
    assert!(!deleted(&store, 1), "it is not there any more");
    let at = |trace| store.deleted(id(trace)).expect("the store is open");
    assert_eq!((at(1), at(2)), (Some(clock.now()), None));
    let check = |store: &SledStore, n_spans: u64| {
        assert_eq!((n_of(store, 1) as u64, n_of(store, 2)), (n_spans, 3));
        let n_traces = 1 + u64::from(n_spans > 0);
        assert_eq!(n_found(store) as u64, n_traces);
        let stats = store.stats().expect("the store counts");
        assert_eq!((stats.n_traces, stats.n_spans), (n_traces, 3 + n_spans));
        let is_there = store
            .trace_version(id(1))
            .expect("the store reads")
            .is_some();
        assert_eq!(is_there, n_spans > 0);
    };
    check(&store, 0);
    send(&store, request(1, 3, "text"), clock.now()).expect("acknowledged as a retry");
    check(&store, 0);
    for span in 4..=6 {
        append_to(&store, 1, span, clock.now());
        check(&store, span - 3);
        if span == 4 {
            close_partition(&engine);
        } else {
            seal_all(&engine);
        }
        check(&store, span - 3);
    }
    drop(engine);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    check(&store, 3);
    assert!(deleted(&store, 1));
    check(&store, 0);
}

#[test]
fn what_is_made_anew_from_the_log_has_nothing_that_was_deleted() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, clock) = at_rest(dir.path(), &disk);
    for trace in 1..=3 {
        append_to(&store, trace, 1, clock.now());
    }
    seal_all(&store.engine().expect("open"));
    append_to(&store, 1, 2, clock.now());
    assert!(deleted(&store, 1));
    append_to(&store, 2, 2, clock.now());
    // As a power cut leaves it.
    disk.fail(disk.n_operations(), Fault::Crash);
    drop(store);
    fs::remove_dir_all(dir.path().join("partitions")).expect("the database");
    for _ in 0..2 {
        let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
        assert_eq!(
            (n_of(&store, 1), n_of(&store, 2), n_of(&store, 3)),
            (0, 2, 1)
        );
        let stats = store.stats().expect("the store counts");
        assert_eq!((n_found(&store), stats.n_traces, stats.n_spans), (2, 2, 3));
    }
}

/// Stores two traces and deletes the first; says between which of the disk's operations that is, and
/// whether it went well.
fn delete_first(disk: &FaultyDisk, dir: &Path) -> (std::ops::Range<u64>, bool) {
    let (store, clock) = at_rest(dir, disk);
    for trace in 1..=2 {
        append_to(&store, trace, 1, clock.now());
    }
    seal_all(&store.engine().expect("open"));
    append_to(&store, 1, 2, clock.now());
    let first = disk.n_operations();
    let deleted = store.delete(id(1));
    if deleted.is_err() {
        assert_eq!(n_of(&store, 1), 2, "what failed changes nothing");
    }
    (
        first..disk.n_operations(),
        deleted.is_ok_and(|deleted| deleted),
    )
}

#[test]
fn no_fault_brings_a_trace_back_that_was_said_to_be_deleted() {
    let dir = TempDir::new().expect("a directory");
    let (operations, is_deleted) = delete_first(&FaultyDisk::new(), dir.path());
    assert!(
        is_deleted && operations.clone().count() >= 5,
        "{operations:?}"
    );
    let mut n_failed = 0;
    // One more: right behind the answer.
    for operation in operations.start..=operations.end {
        for fault in [Fault::Error, Fault::NoSpace, Fault::Crash] {
            let dir = TempDir::new().expect("a directory");
            let disk = FaultyDisk::new();
            disk.fail(operation, fault);
            let (_, is_deleted) = delete_first(&disk, dir.path());
            n_failed += u64::from(!is_deleted);
            let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
            let n_spans = (n_of(&store, 1), n_of(&store, 2));
            let is_right = n_spans == (0, 1) || (!is_deleted && n_spans == (2, 1));
            assert!(is_right, "{fault:?} at {operation}: {n_spans:?}");
        }
    }
    assert!(n_failed >= 12, "{n_failed}");
}

#[test]
fn marks_go_with_the_partitions_there_were() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, clock.now());
    close_partition(&engine);
    append_to(&store, 2, 1, clock.now());
    assert!(deleted(&store, 1) && deleted(&store, 2));
    assert_eq!(n_marks(&store), 3, "two, and one for the fragment");
    close_partition(&engine);
    append_to(&store, 3, 1, clock.now());
    clock.advance(HOUR * 100);
    close_partition(&engine);
    engine.keeper.retain().expect("the disk is fine");
    assert_eq!(n_marks(&store), 3);
    clock.advance(HOUR * 68);
    engine.keeper.retain().expect("the disk is fine");
    assert_eq!((n_marks(&store), n_of(&store, 3)), (0, 0));
}

#[test]
fn a_damaged_mark_is_said() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    for trace in 1..=2 {
        append_to(&store, trace, 1, clock.now());
        seal_all(&store.engine().expect("open"));
        assert!(deleted(&store, trace));
    }
    drop(store);
    let path = dir.path().join("MARKS");
    let mut marks = fs::read(&path).expect("a file");
    // Each trace has one for itself and one for its fragment.
    for (n_damaged, n_of_first) in [(1, 0), (2, 1)] {
        marks[n_damaged * 60 - 30] ^= 4;
        fs::write(&path, &marks).expect("a file");
        let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
        assert_eq!((n_of(&store, 1), n_of(&store, 2)), (n_of_first, 0));
        let status = store.status().expect("the store is open");
        assert_eq!(status.stats.n_damaged, n_damaged as u64);
        let said = format!("{n_damaged} marks are damaged");
        assert!(status.damaged[0].reason.starts_with(&said), "{status:?}");
    }
}

#[test]
fn a_pinned_trace_outlives_its_partition_whole_and_once() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, clock) = at_rest(dir.path(), &disk);
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(7));
    append_to(&store, 2, 1, UnixNanos(7));
    let before = store
        .trace(id(1))
        .expect("the store reads")
        .expect("a trace");
    close_partition(&engine);
    append_to(&store, 1, 2, UnixNanos(9));
    assert!(store.pin(id(1)).expect("there is room"));
    assert!(!store.pin(id(9)).expect("nothing to write"));
    close_partition(&engine);
    for n in 1..=3 {
        clock.advance(HOUR * 200);
        engine.keeper.retain().expect("the disk is fine");
        assert_eq!((n_of(&store, 1), n_of(&store, 2)), (2, 0), "round {n}");
        let trace = store
            .trace(id(1))
            .expect("the store reads")
            .expect("a trace");
        assert_eq!(trace.last_received, UnixNanos(9), "and not again now");
        assert_eq!((n_found(&store), n_spans(&store)), (1, 2));
        assert!(before.otlp.len() < trace.otlp.len());
        close_partition(&engine);
        assert_eq!((n_found(&store), n_spans(&store)), (1, 2));
    }
    // A partition stays when what is pinned in it cannot be saved.
    clock.advance(HOUR * 200);
    disk.fail(disk.n_operations(), Fault::Error);
    engine.keeper.retain().expect_err("the disk failed");
    assert_eq!((n_of(&store, 1), n_spans(&store)), (2, 2));
    engine.keeper.retain().expect("it is fine again");
    assert_eq!((n_of(&store, 1), n_spans(&store)), (2, 2));
    // As a power cut leaves it.
    drop(engine);
    disk.fail(disk.n_operations(), Fault::Crash);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!((n_of(&store, 1), n_spans(&store)), (2, 2));
    assert!(store.unpin(id(1)).expect("the disk is fine"));
    assert!(!store.unpin(id(1)).expect("nothing to write"));
}
