//! The embedded engine acknowledges an exact retry and does not store it again.

use std::fs;
use std::path::Path;

use longpole_proto::testing::SpanBuilder;
use longpole_proto::{TraceId, UnixNanos};
use longpole_storage::testing::{Fault, FaultyDisk};
use longpole_storage::{Appended, Durability, StorageError, Store};
use tempfile::TempDir;

use crate::batches::{append, append_at, everything, found, id, one_span, request_of, stored};
use crate::{config, on, sled};

fn n_spans(store: &dyn Store) -> u64 {
    store.stats().expect("the store counts").n_spans
}

/// How often spans of a trace are stored.
fn times(store: &dyn Store, trace_id: TraceId) -> usize {
    stored(store, trace_id).values().sum()
}

#[test]
fn an_exact_retry_is_acknowledged_as_the_first_was_and_stored_once() {
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    let request = request_of(id(1), (1..=3).map(|n| SpanBuilder::new(n, "work").at(0, n)));
    for received in 1..=3 {
        let appended = append_at(&*store, request.clone(), UnixNanos(received));
        assert_eq!(appended.expect("acknowledged"), Appended { n_spans: 3 });
        assert_eq!((n_spans(&*store), times(&*store, id(1))), (3, 3));
    }
    let trace = store.trace(id(1)).expect("the store reads");
    assert_eq!(trace.expect("a trace").last_received, UnixNanos(1));
    append(&*store, one_span(id(1), 9)).expect("acknowledged");
    assert_eq!(n_spans(&*store), 4);
}

#[test]
fn a_retry_is_known_after_a_restart_clean_or_not() {
    for durability in [Durability::Fsync, Durability::Os] {
        for is_clean in [true, false] {
            let dir = TempDir::new().expect("a directory");
            let disk = FaultyDisk::new();
            let store = disk.open(&config(dir.path(), durability)).expect("a store");
            for n in 1..=9 {
                append(&*store, one_span(id(n), n)).expect("acknowledged");
            }
            if !is_clean {
                disk.fail(disk.n_operations(), Fault::Crash);
            }
            assert_eq!(store.close().is_ok(), is_clean);
            drop(store);
            // Also after one more.
            for _ in 0..2 {
                let store =
                    longpole_storage::open(&config(dir.path(), durability)).expect("a store");
                for n in 1..=9 {
                    let appended = append(&*store, one_span(id(n), n)).expect("acknowledged");
                    assert_eq!(appended.n_spans, 1);
                }
                assert_eq!(n_spans(&*store), 9, "{durability:?}, clean: {is_clean}");
                store.close().expect("the store closes");
            }
            let store = sled(dir.path()).expect("a store");
            assert_eq!(n_spans(&*store), 9);
            assert!((1..=9).all(|n| times(&*store, id(n)) == 1));
        }
    }
}

#[test]
fn a_retry_of_what_failed_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = on(&disk, dir.path());
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    disk.fail(disk.n_operations(), Fault::Error);
    let error = append(&*store, one_span(id(2), 2)).expect_err("the disk fails");
    assert!(matches!(error, StorageError::Io { .. }), "{error}");
    assert_eq!(n_spans(&*store), 1);
    append(&*store, one_span(id(2), 2)).expect("acknowledged");
    assert_eq!((n_spans(&*store), times(&*store, id(2))), (2, 1));
}

#[test]
fn a_retry_of_what_the_log_has_no_more_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    fs::remove_dir_all(dir.path().join("log")).expect("the log");
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    assert_eq!((n_spans(&*store), times(&*store, id(1))), (2, 2));
}

/// Sends requests until each is acknowledged, and each once more, over some restarts.
fn insistent(disk: &FaultyDisk, dir: &Path) -> Vec<TraceId> {
    let mut acknowledged = Vec::new();
    for n_requests in [2, 3] {
        let Ok(store) = disk.open(&config(dir, Durability::Fsync)) else {
            continue;
        };
        for n in (1..=n_requests).chain(1..=n_requests) {
            if append(&*store, one_span(id(n), n)).is_ok() {
                acknowledged.push(id(n));
                assert!(times(&*store, id(n)) >= 1, "acknowledged and not found");
            }
        }
        // It may fail.
        drop(store.close());
    }
    acknowledged
}

#[test]
fn whatever_fails_a_retry_is_acknowledged_only_for_what_is_there_after_a_power_cut() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    assert_eq!(insistent(&disk, dir.path()).len(), 10);
    for operation in 0..disk.n_operations() {
        for next in [Fault::Error, Fault::Crash] {
            let dir = TempDir::new().expect("a directory");
            let disk = FaultyDisk::new();
            disk.fail(operation, Fault::Error);
            disk.fail(operation + 1, next);
            let acknowledged = insistent(&disk, dir.path());
            disk.cut_power().expect("the real disk is fine");
            let store = sled(dir.path()).expect("a store");
            let found = found(&*store, &everything());
            assert!(
                acknowledged.iter().all(|trace_id| found.contains(trace_id)),
                "faults from {operation} on ({next:?}): {acknowledged:?} were acknowledged, {found:?} are there"
            );
        }
    }
}
