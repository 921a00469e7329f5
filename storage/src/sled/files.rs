//! The file operations the log, the checkpoints and the partitions make, behind a trait so that tests can make each
//! of them fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is done with files and directories.
pub(crate) trait Files: Send + Sync + 'static {
    /// Makes a directory and those above it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The paths of what lies in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// How many bytes a file has.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Reads at most the first `n_bytes` of a file.
    fn read_start(&self, path: &Path, n_bytes: u64) -> io::Result<Vec<u8>>;

    /// Reads a file of at most `bytes_max` bytes whole; a larger one is an error.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// Reads `n_bytes` of a file from the byte `at` on; fewer are an error.
    fn read_at(&self, path: &Path, at: u64, n_bytes: usize) -> io::Result<Vec<u8>>;

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

    /// How much room there is on the disk a path lies on.
    fn room(&self, path: &Path) -> io::Result<Room>;
}

/// How large a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// What this process may still use.
    pub(crate) free_bytes: u64,
    /// All of it.
    pub(crate) total_bytes: u64,
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

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn read_start(&self, path: &Path, n_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(n_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
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

    fn read_at(&self, path: &Path, at: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n_bytes];
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
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

    fn room(&self, path: &Path) -> io::Result<Room> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(Room {
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
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

/// Writes a file so that, whatever happens, its name stands for the old bytes or the new ones.
///
/// # Errors
/// When any step fails.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match files.remove(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = files.create(&new)?;
    write_all(&mut *file, bytes)?;
    file.sync()?;
    files.rename(&new, path)?;
    files.sync_dir(path.parent().unwrap_or(Path::new(".")))
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
