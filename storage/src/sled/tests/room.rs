//! The data directory within its bounds.

use super::*;
use crate::testing::Fault;

/// sled makes files in steps of a megabyte.
const LIMIT_BYTES: u64 = 32 << 20;

/// A store at rest that may take so many bytes, and its keeper.
fn with_keeper(dir: &Path, limit_bytes: u64) -> (SledStore, Arc<Keeper>) {
    let (store, _) = limited(dir, &FaultyDisk::new(), limit_bytes);
    let keeper = Arc::clone(&store.engine().expect("open").keeper);
    (store, keeper)
}

/// Appends a span with its trace's number, of 64 kilobytes, half of which compress.
fn append_random(store: &SledStore, n: u64) -> Result<(), StorageError> {
    let mut state = n + 1;
    let random = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        format!("{:02x}", state >> 56)
    });
    let text: String = random.take(32 << 10).collect();
    let span = SpanBuilder::new(n + 1, "work").attribute("text", text.as_str());
    send(store, request_of(number(n), [span]), UnixNanos(n)).map(drop)
}

fn number(n: u64) -> TraceId {
    TraceId::new(u128::from(n + 1).to_be_bytes()).expect("not zero")
}

fn is_there(store: &SledStore, n: u64) -> bool {
    let trace = store.trace(number(n));
    trace.expect("the store reads").is_some()
}

/// Seals, and closes what is full.
fn go_round(engine: &Engine) {
    seal_all(engine);
    engine.keeper.checkpoint().expect("the disk is fine");
    engine.keeper.close_due().expect("the disk is fine");
    engine.keeper.checkpoint().expect("the disk is fine");
}

#[test]
fn the_directory_never_has_more_than_it_may() {
    let dir = TempDir::new().expect("a directory");
    let (store, keeper) = with_keeper(dir.path(), LIMIT_BYTES);
    let engine = store.engine().expect("open");
    let (mut most, mut n_full) = (0, 0);
    for n in 0..1_000 {
        append_random(&store, n).expect("there always is something to remove");
        let n_bytes = keeper::bytes_below(dir.path()).expect("readable");
        assert!(n_bytes <= LIMIT_BYTES, "{n_bytes} bytes after {n} appends");
        most = most.max(n_bytes);
        n_full += u64::from(n_bytes > LIMIT_BYTES / 2);
        // Looks come more often than checkpoints.
        keeper.retain_bytes().expect("the disk is fine");
        if n % 10 == 0 {
            go_round(&engine);
        }
        assert!(is_there(&store, n));
    }
    assert!(n_full > 500, "much of it is used: {n_full}, {most} bytes");
    assert!(!is_there(&store, 0), "the oldest go");
    let n_there = (0..1_000).filter(|&n| is_there(&store, n)).count();
    assert!((200..900).contains(&n_there), "{n_there}");
}

#[test]
fn what_is_pinned_stays_below_the_limit_while_the_rest_goes() {
    let dir = TempDir::new().expect("a directory");
    let (store, keeper) = with_keeper(dir.path(), LIMIT_BYTES);
    let engine = store.engine().expect("open");
    let mut n_pinned = 0;
    for n in 0..1_000 {
        append_random(&store, n).expect("there always is something to remove");
        match store.pin(number(n)) {
            Ok(is_there) => {
                assert!(is_there);
                assert_eq!(n_pinned, n, "the first ones fit");
                n_pinned += 1;
            }
            Err(error) => assert!(
                matches!(&error, StorageError::TooLarge { limit_bytes, .. } if *limit_bytes == LIMIT_BYTES / 4),
                "{error}"
            ),
        }
        let n_bytes = keeper::bytes_below(dir.path()).expect("readable");
        assert!(n_bytes <= LIMIT_BYTES, "{n_bytes} bytes after {n} appends");
        keeper.retain_bytes().expect("the disk is fine");
        if n % 10 == 0 {
            go_round(&engine);
        }
    }
    assert!(n_pinned > 100, "{n_pinned}");
    assert!((0..n_pinned).all(|n| is_there(&store, n)));
    assert!(!is_there(&store, n_pinned), "the oldest of the rest go");
    assert!(is_there(&store, 999));
}

#[test]
fn what_cannot_be_kept_below_the_limit_is_refused_until_it_can() {
    let dir = TempDir::new().expect("a directory");
    let (store, keeper) = with_keeper(dir.path(), LIMIT_BYTES);
    // Nothing is sealed, so that nothing can be removed.
    let n_taken = (0..1_000)
        .find(|&n| {
            keeper.retain_bytes().expect("the disk is fine");
            append_random(&store, n).is_err()
        })
        .expect("some time it is full");
    let error = append_random(&store, n_taken).expect_err("still full");
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    let n_bytes = keeper::bytes_below(dir.path()).expect("readable");
    assert!(
        (LIMIT_BYTES * 9 / 10..=LIMIT_BYTES).contains(&n_bytes),
        "{n_bytes} bytes"
    );
    assert!((0..n_taken).all(|n| is_there(&store, n)), "nothing is lost");
    // Less than a partition is to have, but a closed one can be removed.
    seal_all(&store.engine().expect("open"));
    keeper.close_due().expect("the disk is fine");
    keeper.checkpoint().expect("the disk is fine");
    store.flush().expect("the log forgets");
    keeper.retain_bytes().expect("the disk is fine");
    append_random(&store, n_taken).expect("there is room again");
}

#[test]
fn on_a_nearly_full_disk_damaged_partitions_go() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.set_free_bytes(6 << 30);
    let store = open(dir.path(), &disk);
    let keeper = Arc::clone(&store.engine().expect("open").keeper);
    let aside = dir.path().join("quarantine/2026-11-22T02-0001");
    fs::create_dir_all(&aside).expect("a directory");
    fs::write(aside.join("db"), "damaged").expect("a file");
    keeper.look_at_disk().expect("the disk says");
    assert!(aside.exists(), "there is room");
    disk.set_free_bytes(4 << 30);
    keeper.look_at_disk().expect("the disk says");
    assert!(!aside.exists());
}

#[test]
fn damaged_partitions_go_before_good_ones() {
    let dir = TempDir::new().expect("a directory");
    let (store, keeper) = with_keeper(dir.path(), LIMIT_BYTES);
    append_random(&store, 0).expect("acknowledged");
    close_partition(&store.engine().expect("open"));
    let quarantine = dir.path().join("quarantine");
    for (name, n_bytes) in [
        ("2026-11-22T02-0001", 4 << 20),
        ("2026-11-22T02-0002", 28 << 20),
    ] {
        fs::create_dir_all(quarantine.join(name)).expect("a directory");
        fs::write(quarantine.join(name).join("db"), vec![0; n_bytes]).expect("a file");
    }
    keeper.retain().expect("the disk is fine");
    assert!(!quarantine.join("2026-11-22T02-0001").exists());
    assert!(
        quarantine.join("2026-11-22T02-0002").exists(),
        "no more than needed"
    );
    assert!(is_there(&store, 0));
    let n_bytes = keeper::bytes_below(dir.path()).expect("readable");
    assert!(n_bytes <= LIMIT_BYTES, "{n_bytes} bytes");
}

#[test]
fn a_partition_that_could_not_be_removed_is_removed_later() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, clock) = at_rest(dir.path(), &disk);
    let keeper = Arc::clone(&store.engine().expect("open").keeper);
    append_to(&store, 1, 1, clock.now());
    close_partition(&store.engine().expect("open"));
    clock.advance(200 * HOUR);
    for attempt in 0..2 {
        disk.fail(disk.n_operations() + attempt, Fault::Error);
        keeper.retain().expect_err("the disk fails");
        assert_eq!(n_of(&store, 1), 0);
    }
    keeper.retain().expect("the disk is fine again");
    assert_eq!(partitions(dir.path()), 1);
}
