//! The data directory: whose it is, what format it has, and that only one process uses it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::files::{self, Files};
use super::io_error;
use crate::StorageError;

/// What the file FORMAT says: the engine, and the version of everything below the directory.
pub const FORMAT: &str = "longpole sled 4";

/// How much of a FORMAT file is shown when it is another's.
const FORMAT_BYTES_SHOWN: usize = 64;

/// What may lie in a directory before it is a data directory: what an interrupted first start left,
/// and what a fresh file system holds.
const BEFORE_FORMAT: [&str; 3] = ["LOCK", "FORMAT.new", "lost+found"];

/// A data directory, held for this process until it is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked; the system unlocks it when the process ends, however it does.
    _lock: File,
}

impl DataDir {
    /// Makes the directory when it is not there, and takes it.
    ///
    /// # Errors
    /// When another process has it, it holds other files or another format, or the disk fails.
    pub(super) fn open(path: &Path, files: &dyn Files) -> Result<Self, StorageError> {
        make_dir(path)?;
        let format_path = path.join("FORMAT");
        if !format_path.exists()
            && let Some(found) = foreign_file(path)?
        {
            return Err(StorageError::Foreign {
                path: path.to_owned(),
                found,
            });
        }
        let lock = lock(path)?;
        match fs::read(&format_path) {
            Ok(found) => check_format(path, &found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                files::replace(files, &format_path, format!("{FORMAT}\n").as_bytes())
                    .map_err(io_error("write", &format_path))?;
            }
            Err(error) => return Err(io_error("read", &format_path)(error)),
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log is.
    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Where the partitions are.
    pub(super) fn partitions(&self) -> PathBuf {
        self.path.join("partitions")
    }

    /// Where damaged partitions are put.
    pub(super) fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    /// The file that says which traces are deleted and which pinned.
    pub(super) fn marks(&self) -> PathBuf {
        self.path.join("MARKS")
    }

    /// The file that says what the last checkpoint made durable.
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.path.join("CHECKPOINT")
    }
}

/// Makes a directory and those above it, each durable in the one that holds it.
fn make_dir(path: &Path) -> Result<(), StorageError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .filter(|dir| !dir.as_os_str().is_empty())
        .take_while(|dir| !dir.exists())
        .collect();
    for dir in missing.into_iter().rev() {
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("make", dir)(error));
            }
            _ => {}
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        sync_dir(parent)?;
    }
    Ok(())
}

fn sync_dir(dir: &Path) -> Result<(), StorageError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(io_error("sync", dir))
}

/// The name of something in the directory that longpole did not put there.
fn foreign_file(dir: &Path) -> Result<Option<String>, StorageError> {
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        if !BEFORE_FORMAT.iter().any(|known| name == *known) {
            return Ok(Some(name.to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}

fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join("LOCK");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::InUse {
            path: dir.to_owned(),
        }),
        Err(errno) => Err(io_error("lock", &path)(errno.into())),
    }
}

fn check_format(dir: &Path, found: &[u8]) -> Result<(), StorageError> {
    let found = String::from_utf8_lossy(&found[..found.len().min(FORMAT_BYTES_SHOWN)]);
    let found = found.lines().next().unwrap_or_default();
    if found == FORMAT {
        return Ok(());
    }
    Err(StorageError::Format {
        path: dir.to_owned(),
        found: found.to_owned(),
        expected: FORMAT,
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::sled::files::OsFiles;

    fn open(path: &Path) -> Result<DataDir, StorageError> {
        DataDir::open(path, &OsFiles)
    }

    #[test]
    fn a_new_directory_is_made_and_found_again() {
        let parent = TempDir::new().expect("a directory");
        let path = parent.path().join("a/b");
        for _ in 0..2 {
            open(&path).expect("a data directory");
            assert_eq!(
                fs::read_to_string(path.join("FORMAT")).expect("a file"),
                "longpole sled 4\n"
            );
        }
    }

    #[test]
    fn a_directory_of_someone_else_is_left_as_it_is() {
        let dir = TempDir::new().expect("a directory");
        fs::write(dir.path().join("thesis.odt"), "years of work").expect("a file");
        let error = open(dir.path()).expect_err("not longpole's");
        assert!(
            matches!(&error, StorageError::Foreign { found, .. } if found == "thesis.odt"),
            "{error}"
        );
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn what_an_interrupted_first_start_left_is_no_hindrance() {
        let dir = TempDir::new().expect("a directory");
        for name in BEFORE_FORMAT {
            fs::write(dir.path().join(name), "").expect("a file");
        }
        open(dir.path()).expect("a data directory");
    }

    #[test]
    fn another_format_is_named() {
        let dir = TempDir::new().expect("a directory");
        for (content, shown) in [("longpole sled 7\n", "longpole sled 7"), ("", "")] {
            fs::write(dir.path().join("FORMAT"), content).expect("a file");
            match open(dir.path()) {
                Err(StorageError::Format {
                    found, expected, ..
                }) => {
                    assert_eq!((found.as_str(), expected), (shown, FORMAT));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn it_is_held_once() {
        let dir = TempDir::new().expect("a directory");
        let held = open(dir.path()).expect("a data directory");
        assert!(matches!(open(dir.path()), Err(StorageError::InUse { .. })));
        drop(held);
        open(dir.path()).expect("free again");
    }
}
