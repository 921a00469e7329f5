mod retries;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::mpsc;

use tempfile::TempDir;

use super::*;
use crate::sled::files::OsFiles;
use crate::testing::{Fault, FaultyDisk};

fn config(dir: &Path, durability: Durability) -> LogConfig {
    LogConfig {
        dir: dir.join("log"),
        durability,
        // A few frames, so that every test crosses from one segment to the next.
        segment_bytes_max: 300,
        last_seq: 0,
        replay_from: 0,
        salt: 0x5eed,
    }
}

fn open(
    files: Arc<dyn Files>,
    config: LogConfig,
) -> Result<(Log, Recovery, Vec<Frame>), StorageError> {
    let mut frames = Vec::new();
    let (log, recovery) = Log::open(files, config, |frame| {
        frames.push(frame);
        Ok(())
    })?;
    Ok((log, recovery, frames))
}

fn open_fsync(dir: &Path) -> (Log, Recovery, Vec<Frame>) {
    open(Arc::new(OsFiles), config(dir, Durability::Fsync)).expect("the log opens")
}

/// Appends and waits for the answer.
fn append(log: &Log, body: &str) -> Result<u64, StorageError> {
    log_bytes(log, Bytes::copy_from_slice(body.as_bytes())).map(|logged| logged.seq)
}

fn log_bytes(log: &Log, body: Bytes) -> Result<Logged, StorageError> {
    let (sender, answer) = mpsc::sync_channel(64);
    log.append(
        body,
        UnixNanos(7),
        Box::new(move |result| sender.send(result).expect("the test waits")),
    );
    answer.recv().expect("every append is answered")
}

fn bodies(frames: &[Frame]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| str::from_utf8(&frame.body).expect("text"))
        .collect()
}

fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut paths = OsFiles
        .list(&dir.join("log"))
        .expect("the directory can be read");
    paths.sort();
    paths
}

#[test]
fn appended_frames_come_back_in_order() {
    let dir = TempDir::new().expect("a directory");
    let expected: Vec<String> = (0..20)
        .map(|n| format!("body {n} {}", "x".repeat(n)))
        .collect();
    let (log, recovery, frames) = open_fsync(dir.path());
    assert_eq!((recovery, frames), (Recovery::default(), vec![]));
    for body in &expected[..12] {
        append(&log, body).expect("the disk is fine");
    }
    drop(log);
    let (log, ..) = open_fsync(dir.path());
    for body in &expected[12..] {
        append(&log, body).expect("the disk is fine");
    }
    drop(log);
    let (log, recovery, frames) = open_fsync(dir.path());
    assert_eq!(bodies(&frames), expected);
    assert!(frames.is_sorted_by(|one, next| one.seq < next.seq));
    assert!(frames.iter().all(|frame| frame.received == UnixNanos(7)));
    assert_eq!(
        (recovery.n_frames, recovery.n_damaged, recovery.torn_bytes),
        (20, 0, 0)
    );
    assert!(segment_files(dir.path()).len() > 2);
    let n_bytes: u64 = segment_files(dir.path())
        .iter()
        .map(|path| fs::metadata(path).expect("a file").len())
        .sum();
    assert_eq!(log.bytes(), n_bytes);
}

#[test]
fn appends_that_wait_share_one_sync() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (log, ..) = open(
        Arc::new(disk.clone()),
        config(dir.path(), Durability::Fsync),
    )
    .expect("opens");
    append(&log, "the first makes the segment").expect("the disk is fine");
    disk.pause();
    let (sender, answers) = mpsc::sync_channel(64);
    // The writer may take the first of these alone before it is held up.
    for n in 0..6 {
        let sender = sender.clone();
        let written =
            move |result: Result<Logged, _>| sender.send(result.is_ok()).expect("the test waits");
        log.append(vec![n].into(), UnixNanos(0), Box::new(written));
    }
    let before = disk.n_operations();
    disk.resume();
    assert!(answers.iter().take(6).all(|is_ok| is_ok));
    assert!(
        disk.n_operations() - before <= 4,
        "two groups, each a write and a sync"
    );
}

#[test]
fn without_fsync_nothing_is_synced() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (log, ..) =
        open(Arc::new(disk.clone()), config(dir.path(), Durability::Os)).expect("opens");
    let before = disk.n_operations();
    append(&log, "one").expect("the disk is fine");
    append(&log, "two").expect("the disk is fine");
    assert_eq!(
        disk.n_operations() - before,
        4,
        "create, head, frame, frame"
    );
}

#[test]
fn a_torn_last_frame_is_cut() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    append(&log, "one").expect("the disk is fine");
    append(&log, "two").expect("the disk is fine");
    drop(log);
    let path = &segment_files(dir.path())[0];
    let bytes = fs::read(path).expect("a segment");
    fs::write(path, &bytes[..bytes.len() - 1]).expect("a shorter segment");

    let (log, recovery, frames) = open_fsync(dir.path());
    assert_eq!(bodies(&frames), ["one"]);
    assert_eq!(recovery.n_damaged, 0);
    assert!(recovery.torn_bytes > 0);
    append(&log, "three").expect("the disk is fine");
    drop(log);
    let (_, recovery, frames) = open_fsync(dir.path());
    assert_eq!(bodies(&frames), ["one", "three"]);
    assert_eq!(
        (recovery.n_damaged, recovery.torn_bytes),
        (0, 0),
        "it was cut for good"
    );
}

#[test]
fn a_segment_that_was_never_filled_is_torn_not_damaged() {
    let dir = TempDir::new().expect("a directory");
    drop(open_fsync(dir.path()));
    for bytes in [vec![], vec![0; 4_096], b"LongLo".to_vec()] {
        fs::write(dir.path().join("log/00000001.log"), &bytes).expect("a segment");
        let (_, recovery, frames) = open_fsync(dir.path());
        assert_eq!((recovery.n_damaged, frames), (0, vec![]), "{bytes:?}");
    }
}

#[test]
fn a_flipped_bit_in_any_segment_is_reported_and_costs_one_frame() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let expected: Vec<String> = (0..9).map(|n| format!("body {n}")).collect();
    for body in &expected {
        append(&log, body).expect("the disk is fine");
    }
    drop(log);
    let paths = segment_files(dir.path());
    for path in &paths {
        let intact = fs::read(path).expect("a segment");
        let mut damaged = intact.clone();
        let at = damaged.len() / 2;
        damaged[at] ^= 4;
        fs::write(path, &damaged).expect("a damaged segment");
        let (_, recovery, frames) = open_fsync(dir.path());
        assert_eq!((recovery.n_frames, recovery.n_damaged), (8, 1), "{path:?}");
        assert!(
            bodies(&frames)
                .iter()
                .all(|body| expected.contains(&(*body).to_owned()))
        );
        fs::write(path, &intact).expect("the segment as it was");
    }
}

#[test]
fn a_damaged_end_of_an_older_segment_is_reported() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    append(&log, "one").expect("the disk is fine");
    log.roll();
    append(&log, "two").expect("the disk is fine");
    drop(log);
    let path = &segment_files(dir.path())[0];
    let bytes = fs::read(path).expect("a segment");
    fs::write(path, &bytes[..bytes.len() - 1]).expect("a shorter segment");
    let (_, recovery, frames) = open_fsync(dir.path());
    assert_eq!((bodies(&frames), recovery.n_damaged), (vec!["two"], 1));
}

#[test]
fn a_segment_without_a_readable_head_is_damaged_and_its_sequences_are_not_given_again() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let lost = append(&log, "one").expect("the disk is fine");
    drop(log);
    let path = &segment_files(dir.path())[0];
    let mut bytes = fs::read(path).expect("a segment");
    bytes[..frame::SEGMENT_HEAD_BYTES].fill(0xff);
    fs::write(path, &bytes).expect("a damaged segment");
    let (log, recovery, frames) = open_fsync(dir.path());
    assert_eq!(
        (frames, recovery.n_damaged, recovery.torn_bytes),
        (vec![], 1, 0)
    );
    assert!(append(&log, "two").expect("the disk is fine") > lost);
}

#[test]
fn forgotten_segments_are_gone_and_damaged_ones_are_put_aside() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let seqs: Vec<u64> = (0..3)
        .map(|n| {
            let seq = append(&log, &format!("body {n}")).expect("the disk is fine");
            append(&log, &format!("body {n} b")).expect("the disk is fine");
            log.roll();
            seq
        })
        .collect();
    drop(log);
    let paths = segment_files(dir.path());
    let mut bytes = fs::read(&paths[0]).expect("a segment");
    bytes[frame::SEGMENT_HEAD_BYTES] ^= 1;
    fs::write(&paths[0], &bytes).expect("a damaged segment");

    let (log, recovery, _) = open_fsync(dir.path());
    assert_eq!(recovery.n_damaged, 1);
    log.forget_through(seqs[2]).expect("the disk is fine");
    assert_eq!(log.bytes(), fs::metadata(&paths[2]).expect("a file").len());
    drop(log);
    let names: Vec<_> = segment_files(dir.path())
        .iter()
        .map(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .expect("a name")
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["00000001.damaged", "00000003.log"]);
    let (_, recovery, frames) = open_fsync(dir.path());
    assert_eq!(
        (bodies(&frames), recovery.n_damaged),
        (vec!["body 2", "body 2 b"], 0)
    );
}

#[test]
fn a_segment_that_cannot_be_removed_is_removed_later() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (log, ..) = open(
        Arc::new(disk.clone()),
        config(dir.path(), Durability::Fsync),
    )
    .expect("opens");
    let seq = append(&log, "one").expect("the disk is fine");
    log.roll();
    append(&log, "two").expect("the disk is fine");
    disk.fail(disk.n_operations(), Fault::Error);
    log.forget_through(seq).expect_err("the disk fails");
    assert_eq!(segment_files(dir.path()).len(), 2);
    log.forget_through(seq).expect("the disk is fine again");
    assert_eq!(segment_files(dir.path()).len(), 1);
}

#[test]
fn a_barrier_waits_for_the_appends_before_it() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let (sender, events) = mpsc::sync_channel(64);
    for n in 0..3 {
        let sender = sender.clone();
        let written = move |_| sender.send(n).expect("the test waits");
        log.append(Bytes::from_static(b"x"), UnixNanos(0), Box::new(written));
    }
    let at_barrier = sender.clone();
    log.barrier(Box::new(move || {
        at_barrier.send(3).expect("the test waits");
    }));
    assert_eq!(events.iter().take(4).collect::<Vec<i32>>(), [0, 1, 2, 3]);
    log.close();
    log.barrier(Box::new(move || sender.send(4).expect("the test waits")));
    assert_eq!(events.recv(), Ok(4));
}

#[test]
fn a_closed_log_refuses_and_finishes_what_it_took() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let (sender, answers) = mpsc::sync_channel(64);
    for n in 0..50 {
        let sender = sender.clone();
        let written =
            move |result: Result<Logged, _>| sender.send(result.is_ok()).expect("the test waits");
        log.append(vec![n].into(), UnixNanos(0), Box::new(written));
    }
    log.close();
    assert_eq!(answers.try_iter().filter(|is_ok| *is_ok).count(), 50);
    assert!(matches!(append(&log, "late"), Err(StorageError::Closed)));
}

#[test]
fn a_body_over_the_limit_is_refused_at_once() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let (sender, answer) = mpsc::sync_channel(64);
    let body = Bytes::from(vec![0; BODY_BYTES_MAX + 1]);
    log.append(
        body,
        UnixNanos(0),
        Box::new(move |result| sender.send(result).expect("the test waits")),
    );
    assert!(matches!(
        answer.try_recv(),
        Ok(Err(StorageError::TooLarge { .. }))
    ));
}

/// Opens, appends, rolls, forgets and closes on a disk; says which bodies were acknowledged, and
/// which of them were let go.
fn scenario(dir: &Path, disk: &FaultyDisk, durability: Durability) -> BTreeMap<String, bool> {
    let mut acknowledged = BTreeMap::new();
    for round in 0..2 {
        let Ok((log, ..)) = open(Arc::new(disk.clone()), config(dir, durability)) else {
            continue;
        };
        let mut last_seq = 0;
        for n in 0..8 {
            let body = format!("round {round} body {n} {}", "x".repeat(20));
            if let Ok(seq) = append(&log, &body) {
                acknowledged.insert(body, true);
                last_seq = seq;
            }
            if n == 3 {
                log.roll();
            }
        }
        if round == 0 {
            // It may fail behind some of the segments.
            drop(log.forget_through(last_seq));
            for is_kept in acknowledged.values_mut() {
                *is_kept = false;
            }
        }
    }
    acknowledged
}

#[test]
fn no_fault_at_any_operation_loses_what_was_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    assert_eq!(scenario(dir.path(), &disk, Durability::Fsync).len(), 16);
    let n_operations = disk.n_operations();
    assert!(
        n_operations > 30,
        "the scenario makes {n_operations} operations"
    );

    for operation in 0..n_operations + 4 {
        for fault in [
            Fault::Error,
            Fault::NoSpace,
            Fault::ShortWrite,
            Fault::Crash,
        ] {
            for durability in [Durability::Fsync, Durability::Os] {
                for cuts_power in [false, true] {
                    check_fault(operation, fault, durability, cuts_power);
                }
            }
        }
    }
}

fn check_fault(operation: u64, fault: Fault, durability: Durability, cuts_power: bool) {
    if cuts_power && durability == Durability::Os {
        return;
    }
    let case = format!("{fault:?} at {operation}, {durability:?}, cuts power: {cuts_power}");
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.fail(operation, fault);
    let acknowledged = scenario(dir.path(), &disk, durability);
    if cuts_power {
        disk.cut_power().expect("the real disk is fine");
    }
    if fault != Fault::Crash {
        assert!(
            acknowledged.len() >= 6,
            "{case}: one fault costs {} appends",
            16 - acknowledged.len()
        );
    }
    let (_, recovery, frames) = open_fsync(dir.path());
    let found = bodies(&frames);
    for (body, _) in acknowledged.iter().filter(|(_, is_kept)| **is_kept) {
        assert_eq!(
            found.iter().filter(|found| *found == body).count(),
            1,
            "{case}: {body}"
        );
    }
    assert_eq!(recovery.n_damaged, 0, "{case}");
}
