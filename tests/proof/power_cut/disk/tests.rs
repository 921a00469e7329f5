//! What of a few calls survives a power cut.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use tempfile::TempDir;

use super::super::strace;
use super::*;

const ROOT: &str = "/root/dir";

/// The disk after these calls, each `name(arguments) = result` with paths as they are read.
fn disk(calls: &[&str]) -> Disk {
    let mut text = String::new();
    for call in calls {
        let mut parts = call.split('"');
        text.push_str("7 ");
        while let Some(plain) = parts.next() {
            text.push_str(plain);
            if let Some(string) = parts.next() {
                text.push('"');
                for byte in string.bytes() {
                    write!(text, "\\x{byte:02x}").expect("memory");
                }
                text.push('"');
            }
        }
        text.push('\n');
    }
    let mut disk = Disk::new(Path::new(ROOT));
    for event in strace::read(text.as_bytes()).expect("a recording") {
        disk.apply(&event).expect("it can have happened");
    }
    disk
}

/// The files after a power cut, with what is in them.
fn files(disk: &Disk, fate: &mut Fate) -> Vec<(String, String)> {
    let dir = TempDir::new().expect("a directory");
    disk.cut_power(dir.path(), fate).expect("a directory");
    let mut files = Vec::new();
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.file_name().expect("a name").to_string_lossy();
                files.push((name.into_owned(), fs::read_to_string(&path).expect("text")));
            }
        }
    }
    files.sort();
    files
}

fn gone(calls: &[&str]) -> Vec<(String, String)> {
    files(&disk(calls), &mut Fate::Gone)
}

const OPEN: &str = r#"openat(AT_FDCWD, "/root/dir/a", O_WRONLY|O_CREAT|O_APPEND, 0666) = 3"#;
const OPEN_DIR: &str = r#"openat(AT_FDCWD, "/root/dir", O_RDONLY|O_CLOEXEC) = 4"#;

#[test]
fn only_what_was_synced_under_a_name_that_was_synced_is_left() {
    let write = r#"write(3, "one", 3) = 3"#;
    let more = r#"write(3, "two", 3) = 3"#;
    let left = |bytes: &str| vec![("a".to_owned(), bytes.to_owned())];
    let begin = [OPEN, OPEN_DIR, write];
    assert_eq!(gone(&[&begin[..], &["fsync(3) = 0"]].concat()), []);
    assert_eq!(gone(&[&begin[..], &["fsync(4) = 0"]].concat()), left(""));
    let both = [&begin[..], &["fdatasync(3) = 0", "fsync(4) = 0", more]].concat();
    assert_eq!(gone(&both), left("one"));
    let range = [&both[..], &["sync_file_range(3, 0, 6, 7) = 0"]].concat();
    assert_eq!(gone(&range), left("one"));
    let failed = [&both[..], &["fsync(3) = -1 EIO (Input/output error)"]].concat();
    assert_eq!(gone(&failed), left("one"));
    let again = [&both[..], &["fsync(3) = 0"]].concat();
    assert_eq!(gone(&again), left("onetwo"));
}

#[test]
fn a_rename_that_was_not_synced_did_not_happen() {
    let synced = [
        OPEN,
        OPEN_DIR,
        r#"write(3, "x", 1) = 1"#,
        "fsync(3) = 0",
        "fsync(4) = 0",
    ];
    let renamed = [
        &synced[..],
        &[r#"rename("/root/dir/a", "/root/dir/b") = 0"#],
    ]
    .concat();
    let file = |name: &str| vec![(name.to_owned(), "x".to_owned())];
    assert_eq!(gone(&renamed), file("a"));
    assert_eq!(gone(&[&renamed[..], &["fsync(4) = 0"]].concat()), file("b"));
    let removed = [&synced[..], &[r#"unlink("/root/dir/a") = 0"#]].concat();
    assert_eq!(gone(&removed), file("a"));
    assert_eq!(gone(&[&removed[..], &["fsync(4) = 0"]].concat()), []);
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let text = r#"7 openat(AT_FDCWD, "\x2f\x72\x2f\x61", O_RDWR|O_CREAT, 0666) = 3
7 openat(AT_FDCWD, "\x2f\x72", O_RDONLY) = 4
7 fsync(4) = 0
7 pwrite64(3, "\x61", 1, 0) = 1
7 fsync(3 <unfinished ...>
8 pwrite64(3, "\x62", 1, 1) = 1
7 <... fsync resumed>) = 0
"#;
    let mut disk = Disk::new(Path::new("/r"));
    for event in strace::read(text.as_bytes()).expect("a recording") {
        disk.apply(&event).expect("it can have happened");
    }
    let left = files(&disk, &mut Fate::Gone);
    assert_eq!(left, [("a".to_owned(), "a".to_owned())]);
}

#[test]
fn what_was_not_synced_survives_in_every_way_it_can() {
    let synced = [
        OPEN,
        OPEN_DIR,
        r#"write(3, "1", 1) = 1"#,
        "fsync(3) = 0",
        "fsync(4) = 0",
    ];
    let after = [
        r#"write(3, "2", 1) = 1"#,
        r#"rename("/root/dir/a", "/root/dir/b") = 0"#,
    ];
    let disk = disk(&[&synced[..], &after].concat());
    let mut fate = Fate::Drawn(fastrand::Rng::with_seed(3));
    let seen: BTreeSet<_> = (0..200).map(|_| files(&disk, &mut fate)).collect();
    let way = |name: &str, bytes: &str| vec![(name.to_owned(), bytes.to_owned())];
    let expected = ["1", "12", "1\0"].map(|bytes| [way("a", bytes), way("b", bytes)]);
    assert_eq!(seen, expected.into_iter().flatten().collect());
}
