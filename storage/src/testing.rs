//! A disk whose operations fail when told to, for the tests of what a store does then; and what the
//! benches reach.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::sled::SledStore;
use crate::sled::files::{AppendFile, Files, OsFiles, Room};
use crate::sled::settings::Settings;
use crate::{StorageError, Store, StoreConfig};

pub use crate::sled::bench;

/// How a file operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and fails with an I/O error.
    Error,
    /// A write takes half of its bytes, and the disk is full for the rest of it; other operations
    /// fail at once because the disk is full.
    NoSpace,
    /// A write takes half of its bytes and says so; other operations go well.
    ShortWrite,
    /// It is done by half where it is a write, not at all where it is not, and so is nothing after
    /// it: the machine is gone.
    Crash,
}

/// A disk that lies in a directory of the real one, counts the operations made on it, and fails
/// those it is told to fail. It remembers what was synced: [`Self::cut_power`] loses the rest.
///
/// Only what the log and the checkpoint do goes through it; the database's own files do not.
#[derive(Clone, Default)]
pub struct FaultyDisk {
    shared: Arc<Shared>,
    is_hasty: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    resumed: Condvar,
}

#[derive(Default)]
struct State {
    n_operations: u64,
    faults: HashMap<u64, Fault>,
    is_crashed: bool,
    is_paused: bool,
    free_bytes: Option<u64>,
    /// By path of each file made here.
    written: HashMap<PathBuf, Written>,
}

#[derive(Default)]
struct Written {
    /// How much survives a power cut.
    synced_len: u64,
    len: u64,
    /// Whether the file's name survives.
    is_named: bool,
    /// Whether a sync failed: the system forgot what it had not written, so no later sync brings
    /// it back.
    is_lost: bool,
}

enum Verdict {
    Go,
    Half,
    Fail(io::Error),
    FailByHalf(io::Error),
}

impl FaultyDisk {
    /// A disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk without faults for stores that seal a trace as soon as they can, in blocks of a few
    /// spans, and close a partition after a few blocks: what a day of traffic does takes them a
    /// second.
    pub fn hasty() -> Self {
        Self {
            is_hasty: true,
            ..Self::default()
        }
    }

    fn tuning(&self, config: &StoreConfig) -> Settings {
        let settings = Settings::new(config);
        if !self.is_hasty {
            return settings;
        }
        Settings {
            quiet: Duration::ZERO,
            fill_max: Duration::ZERO,
            trace_spans_max: 8,
            block_spans: 5,
            partition_log_bytes: 8 << 10,
            open_max: 1,
            // Tests receive in 1970.
            retention: Duration::MAX,
            partition_age_max: Duration::MAX,
            summary_fragments_max: 2,
            free_bytes_min: 0,
            free_percent_min: 0,
            checkpoint_interval: Duration::from_millis(5),
            room_interval: Duration::from_millis(5),
            ..settings
        }
    }

    /// Opens the embedded store on this disk.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open(&self, config: &StoreConfig) -> Result<Arc<dyn Store>, StorageError> {
        let files: Arc<dyn Files> = Arc::new(self.clone());
        let settings = self.tuning(config);
        Ok(Arc::new(SledStore::open(config, settings, &files)?))
    }

    /// Makes the operation with this number fail; the first is 0.
    pub fn fail(&self, operation: u64, fault: Fault) {
        self.shared.state.lock().faults.insert(operation, fault);
    }

    /// How many operations were made.
    pub fn n_operations(&self) -> u64 {
        self.shared.state.lock().n_operations
    }

    /// Makes the disk one of 100 GiB with so much free.
    pub fn set_free_bytes(&self, free_bytes: u64) {
        self.shared.state.lock().free_bytes = Some(free_bytes);
    }

    /// Makes operations wait from now on.
    pub fn pause(&self) {
        self.shared.state.lock().is_paused = true;
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.shared.state.lock().is_paused = false;
        self.shared.resumed.notify_all();
    }

    /// Loses what was written but not synced, and the files whose directory was not. Nothing may
    /// have them open.
    ///
    /// # Errors
    /// When the real disk fails.
    pub fn cut_power(&self) -> io::Result<()> {
        for (path, written) in self.shared.state.lock().written.drain() {
            if written.is_named {
                File::options()
                    .write(true)
                    .open(&path)?
                    .set_len(written.synced_len)?;
            } else {
                OsFiles.remove(&path)?;
            }
        }
        Ok(())
    }

    fn verdict(&self) -> Verdict {
        let mut state = self.shared.state.lock();
        self.shared
            .resumed
            .wait_while(&mut state, |state| state.is_paused);
        let number = state.n_operations;
        state.n_operations += 1;
        if state.is_crashed {
            return Verdict::Fail(io::Error::other("the machine is gone"));
        }
        match state.faults.remove(&number) {
            None => Verdict::Go,
            Some(Fault::Error) => Verdict::Fail(io::Error::other("an injected fault")),
            Some(Fault::NoSpace) => Verdict::FailByHalf(io::ErrorKind::StorageFull.into()),
            Some(Fault::ShortWrite) => Verdict::Half,
            Some(Fault::Crash) => {
                state.is_crashed = true;
                Verdict::FailByHalf(io::Error::other("the machine is gone"))
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.verdict() {
            Verdict::Go | Verdict::Half => Ok(()),
            Verdict::Fail(error) | Verdict::FailByHalf(error) => Err(error),
        }
    }

    fn written(&self, path: &Path, change: impl FnOnce(&mut Written)) {
        if let Some(written) = self.shared.state.lock().written.get_mut(path) {
            change(written);
        }
    }
}

impl Files for FaultyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.check()?;
        OsFiles.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.check()?;
        OsFiles.list(dir)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.check()?;
        OsFiles.len(path)
    }

    fn read_start(&self, path: &Path, n_bytes: u64) -> io::Result<Vec<u8>> {
        self.check()?;
        OsFiles.read_start(path, n_bytes)
    }

    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.check()?;
        OsFiles.read(path, bytes_max)
    }

    fn read_at(&self, path: &Path, at: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        self.check()?;
        OsFiles.read_at(path, at, n_bytes)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.check()?;
        let file = OsFiles.create(path)?;
        self.shared
            .state
            .lock()
            .written
            .insert(path.to_owned(), Written::default());
        Ok(Box::new(FaultyFile {
            disk: self.clone(),
            path: path.to_owned(),
            file,
        }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.check()?;
        self.written(path, |written| {
            written.len = len;
            written.synced_len = written.synced_len.min(len);
        });
        File::options().write(true).open(path)?.set_len(len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?;
        OsFiles.rename(from, to)?;
        let mut state = self.shared.state.lock();
        if let Some(written) = state.written.remove(from) {
            state.written.insert(to.to_owned(), written);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        OsFiles.remove(path)?;
        self.shared.state.lock().written.remove(path);
        Ok(())
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        // The real disk does not lose power, so it need not be waited for.
        self.check()?;
        path.metadata().map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check()?;
        for (path, written) in &mut self.shared.state.lock().written {
            written.is_named |= path.parent() == Some(dir);
        }
        Ok(())
    }

    fn room(&self, path: &Path) -> io::Result<Room> {
        match self.shared.state.lock().free_bytes {
            None => OsFiles.room(path),
            Some(free_bytes) => Ok(Room {
                free_bytes,
                total_bytes: 100 << 30,
            }),
        }
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    file: Box<dyn AppendFile>,
}

impl FaultyFile {
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n_written = self.file.write(bytes)?;
        self.disk
            .written(&self.path, |written| written.len += n_written as u64);
        Ok(n_written)
    }
}

impl AppendFile for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let half = &bytes[..bytes.len().div_ceil(2)];
        match self.disk.verdict() {
            Verdict::Go => self.write_some(bytes),
            Verdict::Half => self.write_some(half),
            Verdict::Fail(error) => Err(error),
            Verdict::FailByHalf(error) => {
                self.write_some(half)?;
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let result = self.disk.check();
        self.disk.written(&self.path, |written| {
            written.is_lost |= result.is_err();
            if !written.is_lost {
                written.synced_len = written.len;
            }
        });
        result
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.check()?;
        self.disk.written(&self.path, |written| {
            written.len = len;
            written.synced_len = written.synced_len.min(len);
        });
        self.file.truncate(len)
    }
}
