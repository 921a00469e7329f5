//! The file operations the log and the checkpoint make, behind a trait so that tests can make each
//! of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is done with files and directories.
pub(crate) trait Files: Send + Sync + 'static {
    /// Makes a directory and those above it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The paths of what lies in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Reads a file of at most `bytes_max` bytes whole; a larger one is an error.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Cuts a file to `len` bytes, on the disk as well.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Gives a file another name in the same directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes what was written to a file durable, whoever wrote it.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is written at its end.
pub(crate) trait AppendFile: Send {
    /// Writes some of `bytes` at the end and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes all that was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `len` bytes; the next write goes there.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsFiles;

impl Files for OsFiles {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let bytes = fs::metadata(path)?.len();
        if bytes > bytes_max {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("the file is {bytes} bytes, the limit is {bytes_max}"),
            ));
        }
        fs::read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl AppendFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Writes all of `bytes` at the end of `file`, however little each write takes.
///
/// # Errors
/// The first write's that fails, or when one takes nothing.
pub(crate) fn write_all(file: &mut dyn AppendFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
