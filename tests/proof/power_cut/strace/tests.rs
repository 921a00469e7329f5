//! Lines as strace writes them.

use super::*;

fn events(text: &str) -> Vec<(Call, Option<i64>)> {
    let events = read(text.as_bytes()).expect("a recording");
    events
        .into_iter()
        .map(|event| ((*event.call).clone(), event.result))
        .collect()
}

#[test]
fn a_call_begins_and_ends() {
    let write = Call::Write {
        fd: 14,
        bytes: b"ab".as_slice().into(),
        place: None,
    };
    let sync = Call::Sync { fd: 7 };
    let recording = r#"
12 write(14, "\x61\x62", 2 <unfinished ...>
13 fdatasync(7)                         = 0
12 <... write resumed>)              = 2
12 fsync(7) = ?
12 +++ killed by SIGKILL +++
"#;
    let expected = [
        (write.clone(), None),
        (sync.clone(), None),
        (sync.clone(), Some(0)),
        (write, Some(2)),
        (sync, None),
    ];
    assert_eq!(events(recording.trim_start()), expected);
}

#[test]
fn every_kind_of_call_is_read() {
    let at = |dir, path: &str| At {
        dir,
        path: path.into(),
    };
    let cases = [
        (
            r#"openat(AT_FDCWD, "\x2f\x61", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0666) = 16"#,
            Call::Open {
                path: at(None, "/a"),
                creates: true,
                truncates: false,
                appends: true,
            },
        ),
        (
            r#"writev(15, [{iov_base="\x48", iov_len=1}, {iov_base="\x54\x0a", iov_len=2}], 2) = 3"#,
            Call::Write {
                fd: 15,
                bytes: b"HT\n".as_slice().into(),
                place: None,
            },
        ),
        (
            r#"pwrite64(14, "\xff\x00", 2, 4096) = 2"#,
            Call::Write {
                fd: 14,
                bytes: [255, 0].as_slice().into(),
                place: Some(4096),
            },
        ),
        (
            r#"unlinkat(9, "\x62", 0) = 0"#,
            Call::Remove {
                path: at(Some(9), "b"),
            },
        ),
        (
            r#"renameat2(AT_FDCWD, "\x61", AT_FDCWD, "\x62", RENAME_NOREPLACE) = 0"#,
            Call::Rename {
                from: at(None, "a"),
                to: at(None, "b"),
            },
        ),
        ("ftruncate(3, 77) = 0", Call::Truncate { fd: 3, len: 77 }),
        (
            "fcntl(13, F_DUPFD_CLOEXEC, 3) = 5",
            Call::Duplicate { fd: 13 },
        ),
    ];
    for (line, expected) in cases {
        let read = events(&format!("7 {line}\n"));
        assert_eq!(read.len(), 2, "{line}");
        assert_eq!(read[1].0, expected);
        assert!(read[1].1.is_some());
    }
    let accepted = r#"7 accept4(11, {sa_family=AF_INET, sin_port=htons(34352), sin_addr=inet_addr("\x31")}, [128 => 16], SOCK_CLOEXEC) = 15"#;
    assert_eq!(
        events(accepted),
        [
            (Call::Accept { port: 34352 }, None),
            (Call::Accept { port: 34352 }, Some(15))
        ]
    );
}

#[test]
fn what_the_model_does_not_know_is_an_error() {
    for line in [
        "7 syncfs(3) = 0\n",
        "7 mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_SHARED, 4, 0) = 0x7f\n",
        "7 write(3, \"\\x61\"..., 9) = 9\n",
    ] {
        read(line.as_bytes()).expect_err(line);
    }
    let private =
        "7 mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f\n";
    assert_eq!(events(private), []);
}
