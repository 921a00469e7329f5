use std::fmt::Write;
use std::fs;
use std::path::Path;

use longpole_proto::testing::{SpanBuilder, parts_of, trace_id};
use longpole_proto::wire::to_messages;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tempfile::TempDir;

use super::*;
use crate::Durability;
use crate::sled::db::guarded;
use crate::testing::{Fault, FaultyDisk};

fn open(dir: &Path, disk: &FaultyDisk) -> SledStore {
    let config = StoreConfig {
        data_dir: dir.to_owned(),
        durability: Durability::Fsync,
    };
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    SledStore::open(&config, &files).expect("a store")
}

/// Appends a span with the number `n` and waits for the answer.
fn append(store: &SledStore, n: u64, text: &str) -> Result<u64, StorageError> {
    let span = SpanBuilder::new(n, "work").attribute("text", text);
    let resource_spans = to_messages(&parts_of([span]), trace_id());
    let bytes = TracesData { resource_spans }.encode_to_vec();
    let request = ExportRequest::parse(bytes.into()).expect("an export request");
    let (sender, answer) = mpsc::sync_channel(1);
    let done = move |result: Result<_, _>| sender.send(result).expect("the test waits");
    store.append(request, UnixNanos(n), Box::new(done));
    answer
        .recv()
        .expect("every append is answered")
        .map(|appended: crate::Appended| appended.n_spans)
}

fn n_spans(store: &SledStore) -> u64 {
    store.stats().expect("the store counts").n_spans
}

#[test]
fn a_checkpoint_empties_the_log_and_loses_nothing() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = open(dir.path(), &disk);
    // Text that does not compress, over a segment's least.
    let mut text = String::new();
    for n in 0..400_000_u64 {
        write!(text, "{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).expect("a string grows");
    }
    append(&store, 1, &text).expect("acknowledged");
    let engine = store.engine().expect("open");
    engine.checkpoints.make().expect("the disk is fine");
    // The segment is over once the log has passed this.
    engine.flush().expect("the disk is fine");
    assert_eq!(engine.log.current_bytes(), 0);
    engine.checkpoints.make().expect("the disk is fine");
    assert_eq!(engine.log.bytes(), 0);
    drop(engine);

    append(&store, 2, "short").expect("acknowledged");
    store
        .engine()
        .expect("open")
        .checkpoints
        .make()
        .expect("the disk is fine");
    assert!(
        store.engine().expect("open").log.bytes() > 0,
        "a small segment is kept"
    );
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    assert_eq!(n_spans(&open(dir.path(), &FaultyDisk::new())), 2);
}

#[test]
fn a_checkpoint_with_stale_traces_leaves_them_for_the_next_start() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = open(dir.path(), &disk);
    append(&store, 1, "").expect("acknowledged");
    let engine = store.engine().expect("open");
    engine.checkpoints.make().expect("the disk is fine");
    // As if there were no log to make it stale once more.
    engine.log.roll();
    engine.flush().expect("the disk is fine");
    engine
        .log
        .forget_through(u64::MAX)
        .expect("the disk is fine");
    drop(engine);
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    let store = open(dir.path(), &FaultyDisk::new());
    assert_eq!(n_spans(&store), 1);
    assert_eq!(store.services(10).expect("the store lists"), ["app"]);
}

#[test]
fn once_the_database_failed_nothing_is_acknowledged_and_nothing_lost() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path(), &FaultyDisk::new());
    append(&store, 1, "").expect("acknowledged");
    store
        .engine()
        .expect("open")
        .applier
        .fail("a test's failure");
    for result in [
        append(&store, 2, "").map(drop),
        store.flush(),
        store.close(),
    ] {
        assert!(
            matches!(&result, Err(StorageError::Engine(cause)) if cause.to_string() == "a test's failure")
        );
    }
    assert!(
        fs::read_dir(dir.path().join("log"))
            .expect("a directory")
            .count()
            > 0,
        "the log is kept"
    );
    assert_eq!(n_spans(&open(dir.path(), &FaultyDisk::new())), 1);
}

#[test]
fn what_sled_panics_with_is_an_error() {
    let result: Result<(), _> = guarded(|| panic!("page {} is gone", 7));
    assert!(
        matches!(&result, Err(StorageError::Engine(cause)) if cause.to_string() == "page 7 is gone")
    );
}
