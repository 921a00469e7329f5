//! What the embedded engine says about a directory that is not as it left it.

use std::fs;
use std::path::{Path, PathBuf};

use longpole_analysis::query::Query;
use longpole_proto::TraceId;
use longpole_proto::testing::SpanBuilder;
use longpole_storage::testing::{Fault, FaultyDisk};
use longpole_storage::{
    Aggregates, AggregatesRequest, Durability, MostFrequent, SearchRequest, StorageError, Store,
};
use tempfile::TempDir;

use crate::batches::{
    Spans, append, everything, found, id, one_span, request_of, sent, spans_of, stored,
};
use crate::{config, on, sled};

/// A directory whose store stopped without a checkpoint, with traces 1 to `n` in its log and
/// nothing in its database.
fn stopped(n: u64) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = on(&disk, dir.path());
    for n in 1..=n {
        append(&*store, one_span(id(n), n)).expect("acknowledged");
    }
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    fs::remove_dir_all(dir.path().join("partitions")).expect("the database");
    dir
}

fn segment(dir: &Path) -> PathBuf {
    let mut entries = fs::read_dir(dir.join("log")).expect("a directory");
    entries
        .next()
        .expect("a segment")
        .expect("a segment")
        .path()
}

#[test]
fn the_log_alone_brings_everything_back() {
    let dir = stopped(20);
    let store = sled(dir.path()).expect("a store");
    assert_eq!(found(&*store, &everything()).len(), 20);
    assert_eq!(store.stats().expect("the store counts").n_damaged, 0);
}

#[test]
fn a_torn_last_frame_is_cut() {
    let dir = stopped(5);
    let path = segment(dir.path());
    let bytes = fs::read(&path).expect("a segment");
    fs::write(&path, &bytes[..bytes.len() - 3]).expect("a shorter segment");
    let store = sled(dir.path()).expect("a store");
    assert_eq!(found(&*store, &everything()), [4, 3, 2, 1].map(id));
    assert_eq!(store.stats().expect("the store counts").n_damaged, 0);
    append(&*store, one_span(id(5), 5)).expect("acknowledged");
    store.close().expect("the store closes");
    let store = sled(dir.path()).expect("a store");
    assert_eq!(found(&*store, &everything()), [5, 4, 3, 2, 1].map(id));
}

#[test]
fn flipped_bits_in_the_log_cost_one_request_each_and_are_reported() {
    let bytes = {
        let dir = stopped(12);
        fs::read(segment(dir.path())).expect("a segment")
    };
    for eighth in 1..7 {
        let dir = stopped(12);
        let mut damaged = bytes.clone();
        damaged[bytes.len() * eighth / 8] ^= 0x40;
        fs::write(segment(dir.path()), &damaged).expect("a damaged segment");
        let store = sled(dir.path()).expect("a store");
        assert_eq!(found(&*store, &everything()).len(), 11, "{eighth}/8");
        assert_eq!(
            store.stats().expect("the store counts").n_damaged,
            1,
            "{eighth}/8"
        );
    }
}

#[test]
fn a_damaged_active_partition_is_made_anew_from_the_log() {
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    for n in 1..=200 {
        append(&*store, one_span(id(n), n)).expect("acknowledged");
    }
    store.close().expect("the store closes");
    let path = files_below(&dir.path().join("partitions"))
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name == "db"))
        .expect("a database");
    let bytes = fs::read(&path).expect("a database");
    // sled makes its file in large steps, and most of it is not written yet.
    let written: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
    let mut n_noticed = 0;
    for place in 0..32 {
        let copy = copied(dir.path());
        let mut damaged = bytes.clone();
        damaged[written[written.len() * place / 32]] ^= 2;
        let path = copy
            .path()
            .join(path.strip_prefix(dir.path()).expect("below"));
        fs::write(&path, &damaged).expect("a damaged database");
        let store = sled(copy.path()).expect("a store");
        assert_eq!(found(&*store, &everything()).len(), 200, "{place}/32");
        assert_eq!(store.stats().expect("the store counts").n_spans, 200);
        let is_set_aside = copy.path().join("quarantine").exists();
        assert_eq!(
            store.stats().expect("the store counts").n_damaged,
            u64::from(is_set_aside)
        );
        n_noticed += u32::from(is_set_aside);
        append(&*store, one_span(id(201), 201)).expect("acknowledged");
        // Seals it: what the database was believed to be, it is.
        store
            .close()
            .unwrap_or_else(|error| panic!("{place}/32: {error}"));
        let store = sled(copy.path()).expect("a store");
        assert_eq!(found(&*store, &everything()).len(), 201, "{place}/32");
    }
    assert!(n_noticed >= 16, "{n_noticed} of 32");
}

/// What a hasty store left after many traces, with what each must give back.
fn many_partitions() -> (TempDir, Vec<(TraceId, Spans)>) {
    let dir = TempDir::new().expect("a directory");
    let open = || FaultyDisk::hasty().open(&config(dir.path(), Durability::Os));
    let store = open().expect("a store");
    let mut expected: Vec<(TraceId, Spans)> = Vec::new();
    let is_index = |path: &PathBuf| path.file_name().is_some_and(|name| name == "INDEX");
    let n_closed = || {
        files_below(dir.path())
            .iter()
            .filter(|path| is_index(path))
            .count()
    };
    // The keeper closes a partition every few kilobytes.
    while n_closed() < 3 {
        let n = expected.len() as u64 + 1;
        let text = format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let span = SpanBuilder::new(1, "work")
            .at(0, n)
            .attribute("text", text.as_str());
        let request = request_of(id(n), [span]);
        let mut spans = sent(&request, id(n));
        append(&*store, request).expect("acknowledged");
        if n.is_multiple_of(10) {
            // The first gets more, long after.
            let late = SpanBuilder::new(n, "late").at(0, n).parent(1);
            let request = request_of(id(1), [late]);
            expected[0].1.extend(sent(&request, id(1)));
            append(&*store, request).expect("acknowledged");
        }
        expected.push((id(n), std::mem::take(&mut spans)));
    }
    store.close().expect("the store closes");
    (dir, expected)
}

#[test]
fn a_flipped_bit_in_any_file_costs_at_most_what_is_reported() {
    let (dir, expected) = many_partitions();
    let all = files_below(dir.path());
    let copy = copied(dir.path());
    let store = FaultyDisk::hasty().open(&config(copy.path(), Durability::Os));
    let intact = sums(&*store.expect("a store"));
    assert!(intact.0.complete && !intact.1.texts.is_empty());
    let (mut n_reported, mut n_sums) = (0, 0);
    for path in &all {
        let name = path.file_name().expect("a name").to_string_lossy();
        if name == "LOCK" || name == "FORMAT" {
            continue;
        }
        // One partition's sums are like another's.
        let is_sum = name == "DIGEST" || name == "ATTRIBUTES";
        n_sums += u32::from(is_sum);
        if is_sum && n_sums > 4 {
            continue;
        }
        let bytes = fs::read(path).expect("a file");
        if bytes.is_empty() {
            continue;
        }
        for place in [1, 2] {
            let copy = copied(dir.path());
            let mut damaged = bytes.clone();
            damaged[bytes.len() * place / 3] ^= 0x20;
            let path = copy
                .path()
                .join(path.strip_prefix(dir.path()).expect("below"));
            fs::write(&path, &damaged).expect("a damaged file");
            let store = FaultyDisk::hasty()
                .open(&config(copy.path(), Durability::Os))
                .expect("a store");
            let (mut n_whole, mut n_lost) = (0, 0);
            for (trace_id, spans) in &expected {
                match store.trace(*trace_id) {
                    Ok(trace) => {
                        let found = trace.map(|trace| spans_of(&trace.otlp)).unwrap_or_default();
                        assert!(
                            found.iter().all(|(span, _)| spans.contains_key(span)),
                            "{}: a span that was never sent",
                            path.display()
                        );
                        if found == *spans {
                            n_whole += 1;
                        } else {
                            n_lost += 1;
                        }
                    }
                    Err(StorageError::Damaged { .. } | StorageError::Engine(_)) => n_lost += 1,
                    Err(error) => panic!("{}: {error}", path.display()),
                }
            }
            let result = store.search(&everything()).expect("the store searches");
            // Every span has it, and is decoded for it.
            let any_word = SearchRequest {
                query: Query::Word(String::new()),
                ..everything()
            };
            let decoded = store.search(&any_word).expect("the store searches");
            assert!(
                !decoded.complete || decoded.requests == result.requests,
                "{} at {place}/3: not all are found, and nothing said",
                path.display()
            );
            let sums = sums(&*store);
            let is_reported =
                !result.complete || store.stats().expect("the store counts").n_damaged > 0;
            n_reported += u32::from(is_reported);
            // sled's own files, and what is only in them once the log forgot it.
            if is_sum {
                // The blocks have what it was made of.
                assert_eq!(sums, intact, "{} at {place}/3", path.display());
                assert!(is_reported, "{} at {place}/3", path.display());
            }
            let is_database =
                name != "INDEX" && !is_sum && path.to_string_lossy().contains("/partitions/");
            if !is_database {
                assert_eq!(n_lost, 0, "{} at {place}/3", path.display());
            }
            assert!(
                n_lost == 0 || is_reported,
                "{} at {place}/3: {n_lost} lost and nothing said",
                path.display()
            );
            assert_eq!(n_whole + n_lost, expected.len());
        }
    }
    assert!(n_reported > 0, "no damage was noticed in {all:?}");
}

/// What is added up of all traces: numbers and attributes.
fn sums(store: &dyn Store) -> (Aggregates, MostFrequent) {
    let numbers = store.aggregates(&AggregatesRequest::default());
    let names = store.attribute_names("", 1_000);
    let names = names.expect("the store lists");
    (numbers.expect("the store adds up"), names)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn copied(dir: &Path) -> TempDir {
    let copy = TempDir::new().expect("a directory");
    for path in files_below(dir) {
        let to = copy.path().join(path.strip_prefix(dir).expect("below"));
        fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
        fs::copy(&path, to).expect("a file");
    }
    copy
}

#[test]
fn another_format_is_refused_and_left_alone() {
    let dir = TempDir::new().expect("a directory");
    sled(dir.path())
        .expect("a store")
        .close()
        .expect("the store closes");
    fs::write(dir.path().join("FORMAT"), "longpole sled 999\n").expect("a file");
    let error = sled(dir.path()).map(drop).expect_err("another format");
    assert!(
        matches!(&error, StorageError::Format { found, .. } if found == "longpole sled 999"),
        "{error}"
    );
    fs::write(dir.path().join("FORMAT"), "longpole sled 4\n").expect("a file");
    sled(dir.path()).expect("its own again");
}

#[test]
fn a_directory_of_someone_else_is_refused() {
    let dir = TempDir::new().expect("a directory");
    fs::write(dir.path().join("notes.txt"), "mine").expect("a file");
    let error = sled(dir.path()).map(drop).expect_err("not longpole's");
    assert!(
        matches!(&error, StorageError::Foreign { found, .. } if found == "notes.txt"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
}

#[test]
fn a_trace_that_is_in_log_and_database_is_there_once() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = on(&disk, dir.path());
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    drop(store);
    let store = sled(dir.path()).expect("a store");
    assert_eq!(stored(&*store, id(1)).values().sum::<usize>(), 1);
    assert_eq!(store.stats().expect("the store counts").n_spans, 1);
}
