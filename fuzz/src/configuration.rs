//! What longpole is told.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use longpole::{Config, Invocation};
use tempfile::TempDir;

/// Commands with what of theirs takes a value.
const OPTIONS: [(&str, &str); 26] = [
    ("serve", "config"),
    ("serve", "data-dir"),
    ("serve", "otlp-grpc"),
    ("serve", "otlp-http"),
    ("serve", "ui"),
    ("serve", "base-path"),
    ("serve", "link"),
    ("serve", "durability"),
    ("serve", "retention"),
    ("serve", "max-disk"),
    ("serve", "memory-limit"),
    ("serve", "max-request-bytes"),
    ("serve", "cors-origin"),
    ("serve", "log-format"),
    ("serve", "log-level"),
    ("demo", "endpoint"),
    ("demo", "rate"),
    ("demo", "duration"),
    ("load", "spans"),
    ("load", "concurrency"),
    ("load", "listen"),
    ("serve", "token-file"),
    ("serve", "tls-cert"),
    ("serve", "tls-key"),
    ("serve", "tls-client-ca"),
    ("demo", "tls-ca"),
];

static DIR: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a directory"));

/// A byte that says which option, or the file; and the text.
pub fn config(bytes: &[u8]) {
    let Some((&which, text)) = bytes.split_first() else {
        return;
    };
    match OPTIONS.get(usize::from(which)) {
        Some((command, option)) => {
            let Ok(text) = std::str::from_utf8(text) else {
                return;
            };
            let args = ["longpole", command, &format!("--{option}={text}")];
            if let Err(error) = Invocation::parse(args.map(OsString::from)) {
                assert!(!error.to_string().is_empty());
            }
        }
        None => file(text),
    }
}

/// A file, and what longpole says it comes to.
fn file(text: &[u8]) {
    let Ok((config, said)) = check("given.toml", text) else {
        return;
    };
    said.parse::<toml::Table>().expect("TOML");
    let (again, _) = check("said.toml", said.as_bytes()).expect("what longpole says is taken");
    assert_eq!(again, config, "{said}");
}

fn check(name: &str, text: &[u8]) -> Result<(Config, String), String> {
    let path: PathBuf = DIR.path().join(name);
    fs::write(&path, text).expect("written");
    let args: [OsString; 4] = [
        "longpole".into(),
        "check-config".into(),
        "--config".into(),
        path.into(),
    ];
    match Invocation::parse(args) {
        Ok(Invocation::CheckConfig { config, text }) => Ok((config, text)),
        Ok(other) => panic!("check-config became {other:?}"),
        Err(error) => Err(error.to_string()),
    }
}
