//! What the embedded engine says about a directory that is not as it left it.

use std::fs;
use std::path::{Path, PathBuf};

use longpole_storage::testing::{Fault, FaultyDisk};
use longpole_storage::{Durability, StorageError};
use tempfile::TempDir;

use crate::batches::{append, everything, found, id, one_span, stored};
use crate::{config, sled};

/// A directory whose store stopped without a checkpoint, with traces 1 to `n` in its log and
/// nothing in its database.
fn stopped(n: u64) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let store = disk
        .open(&config(dir.path(), Durability::Fsync))
        .expect("a store");
    for n in 1..=n {
        append(&*store, one_span(id(n), n)).expect("acknowledged");
    }
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    fs::remove_dir_all(dir.path().join("db")).expect("the database");
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
        store.close().expect("the store closes");
        assert_eq!(
            segment(dir.path())
                .extension()
                .and_then(|name| name.to_str()),
            Some("damaged")
        );
    }
}

#[test]
fn a_damaged_database_is_named_with_what_to_do() {
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    for n in 1..=200 {
        append(&*store, one_span(id(n), n)).expect("acknowledged");
    }
    store.close().expect("the store closes");
    let path = dir.path().join("db/db");
    let bytes = fs::read(&path).expect("a database");
    for eighth in 1..8 {
        // sled alone would take the rest for never written, and cut it off.
        let mut damaged = bytes.clone();
        damaged[bytes.len() * eighth / 8] ^= 2;
        fs::write(&path, &damaged).expect("a damaged database");
        let error = sled(dir.path()).map(drop).expect_err("it is damaged");
        let text = error.to_string();
        assert!(matches!(error, StorageError::Damaged { .. }), "{text}");
        assert!(
            text.contains(&dir.path().join("db").display().to_string()),
            "{text}"
        );
        assert!(text.contains("backup"), "{text}");
    }
    fs::write(&path, &bytes).expect("the backup");
    let store = sled(dir.path()).expect("a store");
    assert_eq!(found(&*store, &everything()).len(), 200);
}

#[test]
fn moving_a_damaged_database_away_starts_anew() {
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    store.close().expect("the store closes");
    fs::rename(dir.path().join("db"), dir.path().join("db.bad")).expect("as the error says");
    let store = sled(dir.path()).expect("a store");
    append(&*store, one_span(id(2), 2)).expect("acknowledged");
    assert_eq!(found(&*store, &everything()), [id(2)]);
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
    fs::write(dir.path().join("FORMAT"), "longpole sled 1\n").expect("a file");
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
    let store = disk
        .open(&config(dir.path(), Durability::Fsync))
        .expect("a store");
    append(&*store, one_span(id(1), 1)).expect("acknowledged");
    disk.fail(disk.n_operations(), Fault::Crash);
    store.close().expect_err("the machine is gone");
    drop(store);
    let store = sled(dir.path()).expect("a store");
    assert_eq!(stored(&*store, id(1)).values().sum::<usize>(), 1);
    assert_eq!(store.stats().expect("the store counts").n_spans, 1);
}
