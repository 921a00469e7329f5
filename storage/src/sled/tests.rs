use std::fs;
use std::path::Path;

use longpole_proto::testing::{SpanBuilder, parts_of, trace_id};
use longpole_proto::wire::to_messages;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tempfile::TempDir;

use super::*;
use crate::sled::partition::guarded;
use crate::testing::FaultyDisk;

fn open(dir: &Path, disk: &FaultyDisk) -> SledStore {
    open_with(dir, disk, |_| {})
}

fn open_with(dir: &Path, disk: &FaultyDisk, change: impl FnOnce(&mut Settings)) -> SledStore {
    let config = StoreConfig::new(dir);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let mut settings = Settings::new(&config);
    change(&mut settings);
    SledStore::open(&config, settings, &files).expect("a store")
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
fn once_the_store_failed_nothing_is_acknowledged_and_nothing_lost() {
    let dir = TempDir::new().expect("a directory");
    let store = open(dir.path(), &FaultyDisk::new());
    append(&store, 1, "").expect("acknowledged");
    store
        .engine()
        .expect("open")
        .core
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
