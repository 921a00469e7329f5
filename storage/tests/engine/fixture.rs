//! A data directory as this format's first release wrote it, committed: it must open for as long as
//! `FORMAT` says what it says. `docs/disk-format.md` has the bytes.
//!
//! The fixture is every file of the directory as (path, content), postcard, zstd. A new format gets a
//! new one: `cargo test -p longpole-storage --test engine -- --ignored write_the_fixture`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longpole_proto::UnixNanos;
use longpole_proto::testing::SpanBuilder;
use longpole_proto::wire::ExportRequest;
use longpole_storage::{AggregatesRequest, PartitionState};
use tempfile::TempDir;

use crate::batches::{append_at, everything, found, id, request_of, sent, stored};
use crate::{hasty, sled};

/// Traces that were sealed into partitions, closed ones among them.
const SEALED: std::ops::RangeInclusive<u64> = 1..=40;

/// Traces that only the log had when the directory was copied.
const LOGGED: std::ops::RangeInclusive<u64> = 41..=50;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/longpole-sled-4.zst")
}

/// The request that brought a trace: no two are alike.
fn request(n: u64) -> ExportRequest {
    let root = SpanBuilder::new(n << 8 | 1, &format!("GET /orders/{}", n % 7))
        .service("shop")
        .at(n, n + 40 + n % 13)
        .attribute(
            "http.response.status_code",
            200 + i64::try_from(n).expect("small"),
        )
        .attribute("request.id", format!("request {n}").as_str());
    let child = SpanBuilder::new(n << 8 | 2, "SELECT")
        .service("stock")
        .parent(n << 8 | 1)
        .at(n + 3, n + 20)
        .attribute("db.query.text", "SELECT\u{fffd}\n* FROM t");
    let child = if n.is_multiple_of(5) {
        child.error("out of stock")
    } else {
        child
    };
    request_of(id(n), [root, child])
}

fn received(n: u64) -> UnixNanos {
    UnixNanos(1_700_000_000_000_000_000 + n)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn the_committed_directory_opens_and_has_what_went_in() {
    let packed = fs::read(path()).expect("the fixture");
    let unpacked = zstd::decode_all(&*packed).expect("zstd");
    let files: Vec<(String, Vec<u8>)> = postcard::from_bytes(&unpacked).expect("postcard");
    let dir = TempDir::new().expect("a directory");
    for (name, content) in &files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("in a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    let store = sled(dir.path()).expect("the format of the fixture is this one");
    let status = store.status().expect("the store knows");
    assert_eq!(store.stats().expect("the store counts").n_damaged, 0);
    assert!(
        status
            .partitions
            .iter()
            .any(|partition| partition.state == PartitionState::Closed)
    );
    for n in (*SEALED.start())..=(*LOGGED.end()) {
        assert_eq!(
            stored(&*store, id(n)),
            sent(&request(n), id(n)),
            "trace {n}"
        );
        let trace = store.trace(id(n)).expect("the store reads");
        assert_eq!(trace.expect("it is there").first_received, received(n));
    }
    let numbers = store.aggregates(&AggregatesRequest::default());
    let numbers = numbers.expect("the store adds up");
    let calls = numbers.operations.iter().map(|of| of.durations.len());
    assert_eq!(calls.sum::<u64>(), 2 * SEALED.count() as u64);
    assert!(numbers.complete);
    let mut slowest = found(&*store, &everything());
    slowest.sort();
    let all: Vec<_> = ((*SEALED.start())..=(*LOGGED.end())).map(id).collect();
    assert_eq!(slowest, all);
}

#[test]
#[ignore = "writes the fixture, which only a new format needs"]
fn write_the_fixture() {
    let dir = TempDir::new().expect("a directory");
    let store = hasty(dir.path()).expect("a store");
    for n in SEALED {
        append_at(&*store, request(n), received(n)).expect("acknowledged");
        // So that there are many blocks and partitions.
        std::thread::sleep(Duration::from_millis(5));
    }
    store.close().expect("the store closes");
    drop(store);
    let store = sled(dir.path()).expect("a store");
    for n in LOGGED {
        append_at(&*store, request(n), received(n)).expect("acknowledged");
    }
    let files: Vec<(String, Vec<u8>)> = files_below(dir.path())
        .iter()
        .map(|path| {
            let name = path.strip_prefix(dir.path()).expect("below it");
            let content = fs::read(path).expect("a file");
            (name.to_str().expect("a name").to_owned(), content)
        })
        .collect();
    let packed = zstd::encode_all(&*postcard::to_allocvec(&files).expect("postcard"), 19);
    fs::create_dir_all(path().parent().expect("in a directory")).expect("a directory");
    fs::write(path(), packed.expect("zstd")).expect("a file");
}
