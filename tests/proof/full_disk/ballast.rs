//! A small file system in memory, and a file that takes its room away.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::pause::pause;

/// How often freed room is taken away again.
const AGAIN: Duration = Duration::from_millis(20);

/// A mounted tmpfs; gone when dropped.
#[derive(Debug)]
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one. `tests/proof/run` gives the process mounts of its own, so that nothing stays
    /// behind when this is never dropped.
    ///
    /// # Errors
    /// When it is not allowed.
    pub(super) fn mount(at: &Path, n_bytes: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let size = std::ffi::CString::new(format!("size={n_bytes}"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", at, "tmpfs", flags, Some(&*size))
            .context("cannot mount a file system; run it as `tests/run proof full-disk`")?;
        Ok(Self(at.to_owned()))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// How much room is left.
    ///
    /// # Errors
    /// When the system does not say.
    pub(super) fn free_bytes(&self) -> anyhow::Result<u64> {
        free_bytes(&self.0)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.0.display());
        }
    }
}

fn free_bytes(path: &Path) -> anyhow::Result<u64> {
    let disk = statvfs(path)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

/// A file that only takes room.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    file: File,
    n_bytes: u64,
}

impl Ballast {
    /// One that takes nothing yet.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(super) fn new(disk: &SmallDisk) -> anyhow::Result<Self> {
        let path = disk.path().join("ballast");
        Ok(Self {
            file: File::create(&path)?,
            path,
            n_bytes: 0,
        })
    }

    /// Takes more room.
    ///
    /// # Errors
    /// When there is less.
    pub(super) fn grow(&mut self, n_bytes: u64) -> Result<(), Errno> {
        fallocate(&self.file, FallocateFlags::empty(), self.n_bytes, n_bytes)?;
        self.n_bytes += n_bytes;
        Ok(())
    }

    /// Takes all room there is, and what becomes free for so long.
    ///
    /// # Errors
    /// When the system does not say how much there is.
    pub(super) async fn fill_for(&mut self, duration: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            // Others take room as well: less may be left than was a moment ago.
            let mut share = free_bytes(&self.path)?;
            while share > 0 {
                match self.grow(share) {
                    Ok(()) => break,
                    Err(Errno::NOSPC) => share /= 2,
                    Err(error) => return Err(error.into()),
                }
            }
            if begun.elapsed() >= duration {
                return Ok(());
            }
            pause(AGAIN).await;
        }
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the file cannot be cut.
    pub(super) fn remove(&mut self) -> anyhow::Result<()> {
        self.file.set_len(0)?;
        self.n_bytes = 0;
        Ok(())
    }
}
