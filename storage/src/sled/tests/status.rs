//! What the store says about itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::testing::Fault;
use crate::{Concern, PartitionState, RecoveryStatus, Removal, RemovalReason, StoreStatus};

fn status(store: &SledStore) -> StoreStatus {
    store.status().expect("the store says")
}

fn concerns(store: &SledStore) -> Vec<Concern> {
    let health = store.health().expect("the store says");
    assert_eq!(health, status(store).health);
    health.concerns
}

fn states(store: &SledStore) -> Vec<(PartitionState, u64)> {
    let partitions = status(store).partitions;
    partitions.iter().map(|of| (of.state, of.n_spans)).collect()
}

#[test]
fn an_empty_store_says_what_it_is() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    clock.advance(HOUR);
    let status = status(&store);
    assert_eq!(status.data_dir, dir.path());
    assert_eq!(status.format, "longpole sled 4");
    assert_eq!(status.durability, crate::Durability::Fsync);
    assert_eq!(status.health.opened, UnixNanos(0));
    assert_eq!(status.health.retention, 168 * HOUR);
    assert_eq!(status.health.max_disk_bytes, 10 << 30);
    assert_eq!(status.health.oldest_received, None);
    assert_eq!(status.newest_received, None);
    assert!(status.health.takes_spans() && status.health.concerns.is_empty());
    assert_eq!((status.live.n_traces, status.n_log_segments), (0, 0));
    assert_eq!(status.memory.limit_bytes, 512 << 20);
    assert!(status.memory.resident_bytes.expect("on Linux") > 1 << 20);
    assert!(status.disk.free_bytes > 0 && status.disk.total_bytes > status.disk.free_bytes);
    assert_eq!(status.recovery, RecoveryStatus::default());
    store.close().expect("the disk is fine");
    assert!(matches!(store.status(), Err(StorageError::Closed)));
    assert!(matches!(store.health(), Err(StorageError::Closed)));
}

#[test]
fn spans_are_told_from_memory_to_the_closed_partition() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for received in [50, 30, 40] {
        append_to(
            &store,
            u8::try_from(received).expect("small"),
            1,
            UnixNanos(received),
        );
    }
    append_to(&store, 30, 1, UnixNanos(60));
    let live = status(&store);
    assert_eq!((live.live.n_traces, live.live.n_spans), (3, 3));
    assert!(live.live.bytes > 0 && live.live.bytes < live.live.soft_limit_bytes);
    assert_eq!(live.n_retries, 1);
    assert_eq!(live.health.oldest_received, Some(UnixNanos(30)));
    assert_eq!(live.newest_received, Some(UnixNanos(50)));
    assert_eq!(live.n_log_segments, 1);
    assert_eq!(states(&store), [(PartitionState::Open, 0)]);
    assert_eq!(live.partitions[0].received, None);

    seal_all(&engine);
    append_to(&store, 1, 1, UnixNanos(70));
    seal_all(&engine);
    append_to(&store, 2, 1, UnixNanos(80));
    let sealed = status(&store);
    assert_eq!((sealed.live.n_traces, sealed.stats.n_spans), (1, 5));
    assert_eq!(states(&store), [(PartitionState::Open, 4)]);
    let partition = &sealed.partitions[0];
    assert_eq!(partition.id, "1970-01-01T00-0001");
    assert!(partition.bytes > 0);
    // As the block's newest was received.
    assert_eq!(partition.received, Some((UnixNanos(50), UnixNanos(70))));
    assert_eq!(sealed.health.oldest_received, Some(UnixNanos(50)));
    assert_eq!(sealed.newest_received, Some(UnixNanos(80)));

    engine.keeper.begin_partition().expect("the disk is fine");
    let full = [(PartitionState::Full, 4), (PartitionState::Open, 0)];
    assert_eq!(states(&store), full);
    engine.keeper.close_due().expect("the disk is fine");
    assert_eq!(states(&store)[0], (PartitionState::Closed, 4));
    let view = engine.core.state.lock().view.clone();
    view.partitions()[0].partition.abandon();
    assert_eq!(states(&store)[0], (PartitionState::Damaged, 4));
}

#[test]
fn what_retention_removed_is_told_with_the_reason() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(5));
    append_to(&store, 2, 1, UnixNanos(6));
    close_partition(&engine);
    let bytes = status(&store).partitions[0].bytes;
    clock.advance(168 * HOUR + Duration::from_nanos(6));
    append_to(&store, 3, 1, clock.now());
    close_partition(&engine);
    engine.keeper.retain().expect("the disk is fine");
    let removed = status(&store).removed;
    assert_eq!((removed.n_partitions, removed.n_spans), (1, 2));
    let removal = Removal {
        id: "1970-01-01T00-0001".to_owned(),
        reason: RemovalReason::Age,
        removed: clock.now(),
        newest_received: UnixNanos(6),
        n_spans: 2,
        bytes,
    };
    assert_eq!(removed.last, Some(removal));
    assert_eq!(status(&store).health.last_removal, removed.last);
    drop(engine);
    drop(store);

    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.disk_bytes_max = 0;
        settings.retention = Duration::MAX;
        settings.checkpoint_interval = HOUR;
    });
    let keeper = Arc::clone(&store.engine().expect("open").keeper);
    keeper.retain().expect("the disk is fine");
    let removed = status(&store).removed;
    assert_eq!((removed.n_partitions, removed.n_spans), (1, 1));
    let last = removed.last.expect("a removal");
    assert_eq!(last.reason, RemovalReason::Size);
}

/// A clock that moves on by a second whenever it is looked at.
#[derive(Default)]
struct RestlessClock(AtomicU64);

impl Clock for RestlessClock {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn now(&self) -> UnixNanos {
        UnixNanos(7)
    }
}

#[test]
fn a_start_tells_what_it_read_cut_and_skipped() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, _) = at_rest(dir.path(), &disk);
    for trace in 1..=5 {
        append_to(&store, trace, 1, UnixNanos(1));
    }
    disk.fail(disk.n_operations(), Fault::Crash);
    drop(store);
    let segment = dir.path().join("log/00000001.log");
    let mut bytes = fs::read(&segment).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    bytes.pop();
    fs::write(&segment, bytes).expect("a damaged segment");

    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.clock = Arc::<RestlessClock>::default();
    });
    let status = status(&store);
    let recovery = status.recovery;
    assert!(recovery.took >= Duration::from_secs(1));
    assert_eq!((recovery.n_requests, recovery.n_spans), (3, 3));
    assert_eq!((recovery.n_skipped, recovery.n_set_aside), (1, 0));
    assert!(recovery.torn_bytes > 0);
    assert!(recovery.is_rebuilt, "no checkpoint was made");
    assert_eq!(concerns(&store), [Concern::Damaged { n_pieces: 1 }]);
    let [damage] = &*status.damaged else {
        panic!("{:?}", status.damaged)
    };
    assert_eq!(damage.path, PathBuf::from("log/00000001.log"));
    assert!(damage.reason.starts_with("bytes "), "{}", damage.reason);
    assert_eq!(
        (damage.found, status.health.opened),
        (UnixNanos(7), UnixNanos(7))
    );
}

#[test]
fn what_was_set_aside_is_a_concern_until_somebody_removes_it() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    append_to(&store, 1, 1, UnixNanos(1));
    seal_all(&store.engine().expect("open"));
    store.close().expect("the disk is fine");
    let name = "1970-01-01T00-0001";
    let partition = dir.path().join("partitions").join(name);
    fs::write(partition.join("db"), b"nothing sled knows").expect("a damaged database");
    fs::write(partition.join("conf"), b"nor this").expect("damaged parameters");
    for is_first in [true, false] {
        let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
        let status = status(&store);
        assert_eq!(status.stats.n_spans, 1, "made anew from the log");
        let recovery = status.recovery;
        assert_eq!(recovery.is_rebuilt, is_first);
        assert_eq!(recovery.n_set_aside, u64::from(is_first));
        assert_eq!(concerns(&store), [Concern::SetAside { n_pieces: 1 }]);
        let [piece] = &*status.set_aside else {
            panic!("{:?}", status.set_aside)
        };
        assert_eq!(piece.path, PathBuf::from("quarantine").join(name));
        assert!(piece.bytes > 0);
        let reason = piece.reason.as_deref().unwrap_or_default();
        assert!(
            !reason.is_empty() && !reason.contains(&*dir.path().to_string_lossy()),
            "{reason}"
        );
        store.close().expect("the disk is fine");
    }
    fs::remove_dir_all(dir.path().join("quarantine").join(name)).expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!(concerns(&store), []);
}

#[test]
fn why_spans_are_refused_is_told() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.set_free_bytes(4 << 30);
    let store = open_with(dir.path(), &disk, |settings| {
        settings.checkpoint_interval = HOUR;
        settings.reopen_pause = HOUR;
    });
    let full = Concern::DiskFull {
        free_bytes: 4 << 30,
        least_bytes: (100 << 30) / 100 * 5,
    };
    assert_eq!(concerns(&store), std::slice::from_ref(&full));
    assert!(!status(&store).health.takes_spans());
    assert_eq!(status(&store).disk.least_free_bytes, (100 << 30) / 100 * 5);
    let cause = format!("{}/log is gone", dir.path().display());
    store.engine().expect("open").core.fail(&cause);
    let failed = Concern::Failed {
        cause: "the embedded database failed: log is gone".to_owned(),
    };
    assert_eq!(concerns(&store), [failed, full]);
}
