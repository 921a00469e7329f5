//! A store that fails and is opened anew in the same process.

use std::time::Instant;

use super::*;
use crate::Concern;

/// How long a test waits for what happens on another thread.
const DEADLINE: Duration = Duration::from_secs(20);

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A store that lies still but for being opened anew.
fn reopening(dir: &Path, disk: &FaultyDisk) -> SledStore {
    open_with(dir, disk, |settings| {
        settings.clock = Arc::new(ManualClock::default());
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
        settings.reopen_pause = Duration::from_millis(1);
    })
}

fn fail(store: &SledStore, cause: &str) {
    store.engine().expect("open").core.fail(cause);
}

fn takes(store: &SledStore, n: u64) -> bool {
    append(store, n, "").is_ok()
}

#[test]
fn a_store_that_failed_goes_on_with_all_it_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let store = reopening(dir.path(), &FaultyDisk::new());
    for n in 1..=20 {
        append(&store, n, "").expect("acknowledged");
        if n % 5 == 0 {
            seal_all(&store.engine().expect("open"));
        }
        if n % 10 == 0 {
            fail(&store, "a test's failure");
            eventually("it goes on", || takes(&store, 100 + n));
            assert_eq!(n_spans(&store), n + n / 10);
        }
    }
    assert!(store.health().expect("open").takes_spans());
    store.close().expect("the store closes");
    assert_eq!(n_spans(&open(dir.path(), &FaultyDisk::new())), 22);
}

#[test]
fn while_there_is_no_room_it_is_not_opened_anew_and_says_why() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.set_free_bytes(50 << 30);
    let store = reopening(dir.path(), &disk);
    append(&store, 1, "").expect("acknowledged");
    disk.set_free_bytes(0);
    fail(&store, "no space left on device");
    for _ in 0..50 {
        assert!(!takes(&store, 2));
        std::thread::sleep(Duration::from_millis(1));
    }
    let cause = "the embedded database failed: no space left on device".to_owned();
    assert!(
        store
            .health()
            .expect("open")
            .concerns
            .contains(&Concern::Failed { cause })
    );
    assert_eq!(n_spans(&store), 1, "what is there is still read");
    disk.set_free_bytes(50 << 30);
    eventually("it goes on", || takes(&store, 2));
    assert_eq!(n_spans(&store), 2);
}

#[test]
fn one_that_fails_again_at_once_gets_a_partition_made_anew_from_the_log() {
    let dir = TempDir::new().expect("a directory");
    let store = reopening(dir.path(), &FaultyDisk::new());
    append(&store, 1, "").expect("acknowledged");
    seal_all(&store.engine().expect("open"));
    for _ in 0..2 {
        fail(&store, "a test's failure");
        eventually("it goes on", || takes(&store, 2));
    }
    assert_eq!(n_of_trace(&store, trace_id()), 2);
    let aside = fs::read_dir(dir.path().join("quarantine")).expect("a directory");
    // With a note beside it.
    assert_eq!(aside.count(), 2);
}

#[test]
fn a_store_can_be_closed_while_it_waits_to_be_opened_anew() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.set_free_bytes(50 << 30);
    let store = reopening(dir.path(), &disk);
    append(&store, 1, "").expect("acknowledged");
    disk.set_free_bytes(0);
    fail(&store, "a test's failure");
    store.close().expect_err("it failed");
    assert!(matches!(append(&store, 2, ""), Err(StorageError::Closed)));
    disk.set_free_bytes(50 << 30);
    assert_eq!(n_spans(&open(dir.path(), &disk)), 1);
}
