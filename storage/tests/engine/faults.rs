//! The embedded engine on a disk that fails.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use longpole_proto::TraceId;
use longpole_proto::UnixNanos;
use longpole_proto::testing::SpanBuilder;
use longpole_storage::testing::{Fault, FaultyDisk};
use longpole_storage::{Durability, StorageError};
use tempfile::TempDir;

use crate::batches::{append, everything, found, id, one_span, request_of, stored};
use crate::{config, on, sled};

const N_ROUNDS: u64 = 2;
const N_APPENDS: u64 = 5;

/// Opens, appends and closes, twice; says which traces were acknowledged, and whether all went
/// well.
fn scenario(disk: &FaultyDisk, dir: &Path) -> (Vec<TraceId>, bool) {
    let mut acknowledged = Vec::new();
    let mut is_well = true;
    for round in 0..N_ROUNDS {
        let Ok(store) = disk.open(&config(dir, Durability::Fsync)) else {
            is_well = false;
            continue;
        };
        for n in 1..=N_APPENDS {
            let trace_id = id(round * N_APPENDS + n);
            match append(&*store, one_span(trace_id, n)) {
                Ok(_) => {
                    acknowledged.push(trace_id);
                    assert_eq!(
                        stored(&*store, trace_id).len(),
                        1,
                        "acknowledged and not found"
                    );
                }
                Err(_) => is_well = false,
            }
        }
        is_well &= store.close().is_ok();
    }
    (acknowledged, is_well)
}

#[test]
fn no_fault_at_any_operation_loses_what_was_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (acknowledged, is_well) = scenario(&disk, dir.path());
    assert!(is_well);
    assert_eq!(acknowledged.len() as u64, N_ROUNDS * N_APPENDS);
    let n_operations = disk.n_operations();
    assert!(
        n_operations > 40,
        "the scenario makes {n_operations} operations"
    );

    let mut n_noticed: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in 0..n_operations {
        for fault in [Fault::Error, Fault::NoSpace, Fault::Crash] {
            let dir = TempDir::new().expect("a directory");
            let disk = FaultyDisk::new();
            disk.fail(operation, fault);
            let (acknowledged, is_well) = scenario(&disk, dir.path());
            *n_noticed
                .entry(if is_well { "no" } else { "yes" })
                .or_default() += 1;
            let store = FaultyDisk::new()
                .open(&config(dir.path(), Durability::Fsync))
                .expect("a store");
            for trace_id in &acknowledged {
                let n_spans = stored(&*store, *trace_id).len();
                assert_eq!(
                    n_spans, 1,
                    "{fault:?} at {operation}: trace {trace_id} is lost"
                );
            }
            let found = found(&*store, &everything());
            assert!(
                acknowledged.iter().all(|trace_id| found.contains(trace_id)),
                "{fault:?} at {operation}"
            );
        }
    }
    assert!(
        n_noticed["yes"] > 3 * n_noticed.get("no").copied().unwrap_or(0),
        "{n_noticed:?}"
    );
}

#[test]
fn the_log_is_kept_until_the_database_is_synced() {
    let n_before_close = {
        let dir = TempDir::new().expect("a directory");
        let disk = FaultyDisk::new();
        let store = on(&disk, dir.path());
        append(&*store, one_span(id(1), 1)).expect("acknowledged");
        disk.n_operations()
    };
    let mut n_kept = 0;
    for operation in n_before_close.. {
        let dir = TempDir::new().expect("a directory");
        let disk = FaultyDisk::new();
        let store = on(&disk, dir.path());
        append(&*store, one_span(id(1), 1)).expect("acknowledged");
        disk.fail(operation, Fault::Error);
        if store.close().is_ok() {
            break;
        }
        if fs::read_dir(dir.path().join("log"))
            .expect("a directory")
            .count()
            == 0
        {
            continue;
        }
        n_kept += 1;
        // Whatever a power cut leaves of a database that was not synced, the log is enough.
        fs::remove_dir_all(dir.path().join("partitions")).expect("the database");
        let store = sled(dir.path()).expect("a store");
        assert_eq!(stored(&*store, id(1)).len(), 1, "a fault at {operation}");
    }
    assert!(n_kept >= 5, "{n_kept}");
}

#[test]
fn after_a_clean_close_neither_log_nor_partition_alone_is_needed() {
    let segments = |dir: &Path| {
        let entries = fs::read_dir(dir.join("log")).expect("a directory");
        entries.count()
    };
    for below in ["log", "partitions"] {
        let dir = TempDir::new().expect("a directory");
        let store = sled(dir.path()).expect("a store");
        for n in 1..=20 {
            append(&*store, one_span(id(n), n)).expect("acknowledged");
        }
        store.close().expect("the store closes");
        assert!(segments(dir.path()) > 0, "what the active partition needs");
        fs::remove_dir_all(dir.path().join(below)).expect("a directory");
        let store = sled(dir.path()).expect("a store");
        assert_eq!(found(&*store, &everything()).len(), 20, "without {below}");
        assert_eq!(store.stats().expect("the store counts").n_spans, 20);
    }
}

#[test]
fn what_a_full_disk_refused_can_be_sent_again() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = on(&disk, dir.path());
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    disk.fail(disk.n_operations(), Fault::NoSpace);
    let error = append(&*store, one_span(id(2), 2)).expect_err("the disk is full");
    assert!(
        matches!(&error, StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{error:?}"
    );
    append(&*store, one_span(id(2), 2)).expect("there is room again");
    assert_eq!(found(&*store, &everything()), [id(2), id(1)]);
    assert_eq!(
        stored(&*store, id(2)).values().sum::<usize>(),
        1,
        "stored once"
    );
}

#[test]
fn more_than_may_wait_is_refused_as_busy() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = on(&disk, dir.path());
    disk.pause();
    let text = "x".repeat(20 << 20);
    let (sender, answers) = mpsc::sync_channel(8);
    for n in 1..=4 {
        let span = SpanBuilder::new(1, "large")
            .at(0, n)
            .attribute("text", text.as_str());
        let sender = sender.clone();
        let done = move |result: Result<_, _>| sender.send((n, result)).expect("the test waits");
        store.append(request_of(id(n), [span]), UnixNanos(1), Box::new(done));
    }
    let (n, result) = answers.try_recv().expect("refused at once");
    assert!(
        matches!(result, Err(StorageError::Busy { waiting_bytes, limit_bytes })
        if waiting_bytes > 60 << 20 && limit_bytes == 64 << 20)
    );
    assert_eq!(n, 4);
    assert!(answers.try_recv().is_err(), "the others wait");
    disk.resume();
    for expected in 1..=3 {
        let (n, result) = answers.recv().expect("every append is answered");
        assert_eq!(
            (n, result.map(|appended| appended.n_spans).ok()),
            (expected, Some(1))
        );
    }
    append(&*store, one_span(id(4), 4)).expect("there is room again");
}

/// Copies the files as they are: what is left of a process that is killed now.
fn killed(dir: &Path) -> TempDir {
    let copy = TempDir::new().expect("a directory");
    let mut dirs = vec![PathBuf::new()];
    while let Some(below) = dirs.pop() {
        let entries = fs::read_dir(dir.join(&below)).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        // CHECKPOINT before the database it is about, which may grow meanwhile.
        names.sort();
        for name in names {
            let path = below.join(name);
            if dir.join(&path).is_dir() {
                fs::create_dir(copy.path().join(&path)).expect("a directory");
                dirs.push(path);
            } else {
                fs::copy(dir.join(&path), copy.path().join(&path)).expect("a file");
            }
        }
    }
    copy
}

#[test]
fn a_process_killed_behind_an_acknowledgement_has_lost_nothing() {
    for durability in [Durability::Fsync, Durability::Os] {
        let dir = TempDir::new().expect("a directory");
        let store = longpole_storage::open(&config(dir.path(), durability)).expect("a store");
        for n in 1..=15 {
            append(&*store, one_span(id(n), n)).expect("acknowledged");
            let late = SpanBuilder::new(n + 1, "late").at(0, 1).parent(1);
            append(&*store, request_of(id(1), [late])).expect("acknowledged");
            if n % 3 == 0 {
                assert_eq!(found(&*store, &everything()).len() as u64, n);
            }
            let copy = killed(dir.path());
            let restarted = sled(copy.path()).expect("a store");
            assert_eq!(
                found(&*restarted, &everything()),
                (1..=n).rev().map(id).collect::<Vec<_>>()
            );
            assert_eq!(stored(&*restarted, id(1)).len() as u64, n + 1);
        }
    }
}
