//! Requests that come again.

use std::collections::{BTreeSet, HashMap};

use super::*;

/// Appends and says whether the log had it.
fn is_known(log: &Log, body: &str) -> bool {
    let body = Bytes::copy_from_slice(body.as_bytes());
    log_bytes(log, body).expect("the disk is fine").is_known
}

fn open_on(disk: &FaultyDisk, dir: &Path) -> Log {
    let config = config(dir, Durability::Fsync);
    open(Arc::new(disk.clone()), config).expect("opens").0
}

#[test]
fn an_exact_retry_is_known_and_not_written_again() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let large = "a body that compresses ".repeat(99);
    for body in ["one", &large] {
        let seq = append(&log, body).expect("the disk is fine");
        let n_bytes = log.bytes();
        for _ in 0..3 {
            let again = log_bytes(&log, Bytes::copy_from_slice(body.as_bytes()));
            let known = Logged {
                seq,
                is_known: true,
            };
            assert_eq!(again.expect("the disk is fine"), known);
        }
        assert_eq!(log.bytes(), n_bytes);
    }
    assert!(!is_known(&log, "another"));
    drop(log);
    let (_, _, frames) = open_fsync(dir.path());
    assert_eq!(bodies(&frames), ["one", &large, "another"]);
}

#[test]
fn after_a_clean_restart_the_newest_segments_requests_are_known() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    append(&log, "in a segment that is skipped").expect("the disk is fine");
    log.roll();
    let seq = ["one", "two"].map(|body| append(&log, body).expect("the disk is fine"))[1];
    let n_bytes = log.bytes();
    drop(log);
    let config = LogConfig {
        replay_from: seq + 1,
        salt: 0xa1,
        ..config(dir.path(), Durability::Fsync)
    };
    let (log, _, frames) = open(Arc::new(OsFiles), config).expect("opens");
    assert_eq!(frames, []);
    assert!(is_known(&log, "two") && is_known(&log, "one"));
    assert_eq!(log.bytes(), n_bytes);
    assert!(!is_known(&log, "in a segment that is skipped"));
}

#[test]
fn what_is_only_known_from_replay_is_made_durable_before_it_counts() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let seq = append(&log, "one").expect("the disk is fine");
    let n_bytes = log.bytes();
    drop(log);
    // Nobody knows whether the process before came to sync it.
    let (log, ..) = open_fsync(dir.path());
    let again = log_bytes(&log, Bytes::from_static(b"one")).expect("the disk is fine");
    assert!(again.is_known && again.seq > seq);
    let n_bytes_twice = log.bytes();
    assert!(n_bytes_twice > n_bytes);
    assert!(is_known(&log, "one"));
    assert_eq!(log.bytes(), n_bytes_twice, "now it is durable");
    drop(log);

    let config = config(dir.path(), Durability::Os);
    let (log, _, frames) = open(Arc::new(OsFiles), config).expect("opens");
    assert_eq!(bodies(&frames), ["one", "one"]);
    assert!(is_known(&log, "one"));
    assert_eq!(log.bytes(), n_bytes_twice, "the system has it, as promised");
}

#[test]
fn different_requests_with_one_checksum_are_both_stored() {
    let mut seen: HashMap<u32, Bytes> = HashMap::new();
    let mix = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    // So short that they are stored as they are, so many that two of them meet.
    let (one, other) = (0..1_000_000_u64)
        .find_map(|n| {
            let body: Bytes = [mix(n), mix(mix(n))].map(u64::to_be_bytes).concat().into();
            let before = seen.insert(frame::checksum(0x5eed, &body), body.clone())?;
            Some((before, body))
        })
        .expect("a birthday");
    assert_ne!(one, other);
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    for body in [&one, &other] {
        let logged = log_bytes(&log, body.clone()).expect("the disk is fine");
        assert!(!logged.is_known);
    }
    let again = log_bytes(&log, other.clone()).expect("the disk is fine");
    assert!(again.is_known, "the newer of the two");
    drop(log);
    let (_, _, frames) = open_fsync(dir.path());
    let found: Vec<_> = frames.into_iter().map(|frame| frame.body).collect();
    assert_eq!(found, [one, other]);
}

#[test]
fn a_retry_of_what_the_log_let_go_or_cannot_read_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    let seq = append(&log, "forgotten").expect("the disk is fine");
    log.roll();
    append(&log, "damaged").expect("the disk is fine");
    log.forget_through(seq).expect("the disk is fine");
    let path = &segment_files(dir.path())[0];
    let mut bytes = fs::read(path).expect("a segment");
    *bytes.last_mut().expect("a frame") ^= 1;
    fs::write(path, &bytes).expect("a damaged segment");
    for body in ["forgotten", "damaged"] {
        assert!(!is_known(&log, body), "{body}");
        assert!(is_known(&log, body), "{body}");
    }
    log.forget_requests();
    assert!(!is_known(&log, "damaged"));
}

#[test]
fn a_retry_of_what_failed_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let log = open_on(&disk, dir.path());
    append(&log, "one").expect("the disk is fine");
    for n_until in 0..2 {
        let body = format!("body {n_until}");
        // The write, then the sync.
        disk.fail(disk.n_operations() + n_until, Fault::Error);
        append(&log, &body).expect_err("the disk fails");
        assert!(!is_known(&log, &body));
        assert!(is_known(&log, &body));
    }
}

#[test]
fn a_retry_of_what_still_waits_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let log = open_on(&disk, dir.path());
    append(&log, "one").expect("the disk is fine");
    disk.pause();
    let (sender, answers) = mpsc::sync_channel(64);
    for body in ["held up", "two", "two"] {
        let sender = sender.clone();
        let written = move |result: Result<Logged, _>| {
            let logged = result.expect("the disk is fine");
            sender.send(logged.is_known).expect("the test waits");
        };
        log.append(
            Bytes::from_static(body.as_bytes()),
            UnixNanos(0),
            Box::new(written),
        );
    }
    disk.resume();
    assert_eq!(answers.iter().take(3).collect::<Vec<_>>(), [false; 3]);
}

#[test]
fn an_append_of_nothing_goes_to_the_disk_every_time() {
    let dir = TempDir::new().expect("a directory");
    let (log, ..) = open_fsync(dir.path());
    for _ in 0..2 {
        let logged = log_bytes(&log, Bytes::new()).expect("the disk is fine");
        assert!(!logged.is_known);
    }
}

/// What an exporter does that sends everything until it is acknowledged, across restarts: says what
/// was acknowledged. `twice` as well what was acknowledged already.
fn insistent(dir: &Path, disk: &FaultyDisk, twice: bool) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    for round in 0..3 {
        let config = config(dir, Durability::Fsync);
        let Ok((log, ..)) = open(Arc::new(disk.clone()), config) else {
            continue;
        };
        for n in 0..(round + 1) * 3 {
            let body = format!("body {n} {}", "x".repeat(20));
            if (twice || !acknowledged.contains(&body)) && append(&log, &body).is_ok() {
                acknowledged.insert(body);
            }
        }
    }
    acknowledged
}

#[test]
fn no_faults_make_a_retry_be_acknowledged_that_a_power_cut_loses() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    assert_eq!(insistent(dir.path(), &disk, true).len(), 9);
    for operation in 0..disk.n_operations() {
        for next in [
            Fault::Error,
            Fault::NoSpace,
            Fault::Crash,
            Fault::ShortWrite,
        ] {
            for distance in 1..4 {
                for twice in [false, true] {
                    let dir = TempDir::new().expect("a directory");
                    let disk = FaultyDisk::new();
                    disk.fail(operation, Fault::Error);
                    disk.fail(operation + distance, next);
                    let acknowledged = insistent(dir.path(), &disk, twice);
                    disk.cut_power().expect("the real disk is fine");
                    let (_, _, frames) = open_fsync(dir.path());
                    let found: BTreeSet<_> = bodies(&frames).into_iter().collect();
                    for body in &acknowledged {
                        assert!(
                            found.contains(body.as_str()),
                            "faults at {operation} and {distance} later ({next:?}): {body}"
                        );
                    }
                }
            }
        }
    }
}
