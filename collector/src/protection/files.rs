//! Files with secrets: read within bounds, and told apart by when they were written.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::ProtectionError;

/// What tells that a file was written or replaced; nothing when it is not there.
pub(super) type Stamp = Option<[u64; 5]>;

/// Reads the file of a flag, of at most `bytes_max` bytes.
///
/// # Errors
/// When it is larger, no regular file (one that blocks would hold up the rest), or cannot be read.
pub(super) fn read(
    flag: &'static str,
    path: &Path,
    bytes_max: u64,
) -> Result<Vec<u8>, ProtectionError> {
    read_bounded(path, bytes_max).map_err(|source| ProtectionError::Read {
        flag,
        path: path.to_owned(),
        source,
    })
}

fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("it is over the limit of {bytes_max} bytes");
        return Err(io::Error::other(text));
    }
    Ok(bytes)
}

/// When and as what a file was last written.
pub(super) fn stamp(path: &Path) -> Stamp {
    let of = |metadata: Metadata| {
        let nanos = metadata.mtime_nsec().cast_unsigned();
        let mtime = metadata.mtime().cast_unsigned();
        [
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            mtime,
            nanos,
        ]
    };
    std::fs::metadata(path).ok().map(of)
}

/// Warns of a secret that every user of the machine may read.
pub(super) fn warn_when_others_may_read(flag: &str, path: &Path) {
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.mode());
    if mode & 0o004 != 0 {
        tracing::warn!(
            "--{flag} {} can be read by every user of this machine; chmod o= keeps it secret",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_or_no_file_is_refused() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("secret");
        std::fs::write(&path, "12345").expect("written");
        assert_eq!(read_bounded(&path, 5).expect("it fits"), b"12345");
        for (path, bytes_max, says) in [
            (path.as_path(), 4, "limit of 4 bytes"),
            (dir.path(), 9, "not a regular file"),
            (Path::new("/dev/zero"), 9, "not a regular file"),
        ] {
            let error = read_bounded(path, bytes_max)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_size_has_another_stamp() {
        let dir = tempfile::TempDir::new().expect("a directory");
        let path = dir.path().join("secret");
        assert_eq!(stamp(&path), None);
        std::fs::write(&path, "1").expect("written");
        let first = stamp(&path);
        assert_eq!(first, stamp(&path));
        let other = dir.path().join("other");
        std::fs::write(&other, "2").expect("written");
        std::fs::rename(&other, &path).expect("renamed");
        assert_ne!(first, stamp(&path));
    }
}
