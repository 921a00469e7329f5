//! The digests of a partition: one of each block and, once it is closed, one of all in a file of our own,
//! so that it is read without opening the database.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Partition;
use super::zone::Zone;
use crate::StorageError;
use crate::sled::digest::{self, Digest, PARTITION, Stored};
use crate::sled::files::{self, Files};
use crate::sled::io_error;

/// The file's name in the partition's directory.
const NAME: &str = "DIGEST";

/// What it begins with: name and version.
const MAGIC: [u8; 4] = *b"LPD1";

/// More than one has.
const BYTES_MAX: u64 = 256 << 20;

impl Partition {
    /// A block's digest, checked but still packed in a record.
    ///
    /// # Errors
    /// When sled fails or it is damaged.
    pub(in crate::sled) fn block_digest(&self, block: u32) -> Result<Vec<u8>, StorageError> {
        let place = self.places(block)?.digest;
        let db = self.handle.db()?;
        let value = self.handle.unless_engine_fails(db.digests.get(place))?;
        digest::unpack(&value)
    }

    /// The digest of all blocks, likewise; `None` while it is not closed. Its corrections of this
    /// partition were taken out.
    ///
    /// # Errors
    /// When the disk fails or it is damaged.
    pub(in crate::sled) fn digest(
        &self,
        files: &dyn Files,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        if !self.is_closed() {
            return Ok(None);
        }
        let path = self.digest_path();
        let bytes = match files.read(&path, BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(io_error("read", &path))?,
        };
        let value = bytes.strip_prefix(&MAGIC);
        let record = value.and_then(|value| digest::unpack(value).ok());
        record.map(Some).ok_or_else(|| StorageError::Damaged {
            what: path.display().to_string(),
        })
    }

    /// Notes that the digest of all blocks is damaged; says whether that is new.
    pub(in crate::sled) fn notes_damaged_digest(&self) -> bool {
        !self.has_damaged_digest.swap(true, Ordering::Relaxed)
    }

    /// Where the digest of all blocks is.
    pub(in crate::sled) fn digest_path(&self) -> PathBuf {
        path(self.dir())
    }

    /// Adds the blocks' digests up and writes the sum, durably.
    ///
    /// # Errors
    /// When sled or the disk fails or one is damaged.
    pub(super) fn write_digest(
        &self,
        zones: &[Arc<Zone>],
        files: &dyn Files,
    ) -> Result<(), StorageError> {
        let mut sum = Digest::new(PARTITION);
        for (block, _) in (0..).zip(zones) {
            sum.add_all(&Stored::read(&self.block_digest(block)?)?);
        }

        sum.settle(self.number());
        let mut bytes = MAGIC.to_vec();
        bytes.extend(sum.pack(&mut digest::compressor()));
        let path = self.digest_path();
        files::replace(files, &path, &bytes).map_err(io_error("write", &path))
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}
