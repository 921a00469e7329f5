//! The digests of a partition: one of each block and, once it is closed, the sum of all in files of our
//! own, so that it is read without opening the database: the numbers in one, the attributes in another.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Partition;
use super::zone::Zone;
use crate::StorageError;
use crate::sled::checked;
use crate::sled::digest::{self, AttributeCounts, Digest, OF_PARTITION, PARTITION, Stored};
use crate::sled::files::{self, Files};
use crate::sled::io_error;

/// The file with the numbers, in the partition's directory.
const NUMBERS: &str = "DIGEST";

/// The file with the attributes.
const ATTRIBUTES: &str = "ATTRIBUTES";

/// What they begin with: name and version.
const NUMBERS_MAGIC: [u8; 4] = *b"LPD1";
const ATTRIBUTES_MAGIC: [u8; 4] = *b"LPA1";

/// More than either has.
const BYTES_MAX: u64 = 256 << 20;

/// The attributes of the first blocks, as many as were added up.
pub(super) type Added = Option<(usize, AttributeCounts)>;

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

    /// The numbers of all blocks, likewise; `None` while it is not closed. Its corrections of this
    /// partition were taken out.
    ///
    /// # Errors
    /// When the disk fails or they are damaged.
    pub(in crate::sled) fn digest(
        &self,
        files: &dyn Files,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        self.read_sum(&self.digest_path(), NUMBERS_MAGIC, files)
    }

    /// The attributes of all blocks, likewise.
    ///
    /// # Errors
    /// As [`Self::digest`].
    pub(in crate::sled) fn attributes(
        &self,
        files: &dyn Files,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        self.read_sum(&self.attributes_path(), ATTRIBUTES_MAGIC, files)
    }

    fn read_sum(
        &self,
        path: &Path,
        magic: [u8; 4],
        files: &dyn Files,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        if !self.is_closed() {
            return Ok(None);
        }
        let bytes = match files.read(path, BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            result => result.map_err(io_error("read", path))?,
        };
        let value = bytes.strip_prefix(&magic);
        let record = value.and_then(|value| digest::unpack(value).ok());
        record.map(Some).ok_or_else(|| StorageError::Damaged {
            what: path.display().to_string(),
        })
    }

    /// Adds the attributes of its first blocks up, those that were not added up before.
    ///
    /// # Errors
    /// When sled fails or one is damaged.
    pub(in crate::sled) fn add_up_attributes(
        &self,
        n_blocks: usize,
    ) -> Result<Vec<u8>, StorageError> {
        let mut anew = None;
        let mut kept = self.attributes.lock();
        // Those of a partition that is closed are in a file; what is not is not read often.
        let added = if self.is_closed() {
            &mut anew
        } else {
            &mut *kept
        };
        let (n_added, counts) =
            added.get_or_insert_with(|| (0, AttributeCounts::new(OF_PARTITION)));
        while *n_added < n_blocks {
            let block = u32::try_from(*n_added).expect("far fewer than 2^32 blocks");
            let record = self.block_digest(block)?;
            counts.add(digest::attributes(&record)?, |_| true)?;
            *n_added += 1;
        }
        Ok(counts.put())
    }

    /// Notes that a sum is damaged; says whether that is new.
    pub(in crate::sled) fn notes_damaged_sum(&self) -> bool {
        !self.has_damaged_sum.swap(true, Ordering::Relaxed)
    }

    /// Where the numbers of all blocks are.
    pub(in crate::sled) fn digest_path(&self) -> PathBuf {
        self.dir().join(NUMBERS)
    }

    /// Where the attributes of all blocks are.
    pub(in crate::sled) fn attributes_path(&self) -> PathBuf {
        self.dir().join(ATTRIBUTES)
    }

    /// Adds the blocks' digests up and writes the sums, durably.
    ///
    /// # Errors
    /// When sled or the disk fails or one is damaged.
    pub(super) fn write_sums(
        &self,
        zones: &[Arc<Zone>],
        files: &dyn Files,
    ) -> Result<(), StorageError> {
        let mut numbers = Digest::new(PARTITION);
        for (block, _) in (0..).zip(zones) {
            numbers.add_all(&Stored::read(&self.block_digest(block)?)?);
        }
        numbers.settle(self.number());
        let attributes = self.add_up_attributes(zones.len())?;
        *self.attributes.lock() = None;
        let mut zstd = digest::compressor();
        let sums = [
            (
                self.digest_path(),
                NUMBERS_MAGIC,
                numbers.pack(&[], &mut zstd),
            ),
            (
                self.attributes_path(),
                ATTRIBUTES_MAGIC,
                checked::pack(&attributes, &mut zstd),
            ),
        ];
        for (path, magic, value) in sums {
            let bytes = [&magic[..], &value].concat();
            files::replace(files, &path, &bytes).map_err(io_error("write", &path))?;
        }
        Ok(())
    }
}
