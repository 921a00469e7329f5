//! What a closed partition says about itself in a file of our own, so that it need not be opened
//! at start: places and zones of the blocks, trace filter, operations. Its presence says that the partition was closed,
//! synced, opened again and read whole.

use std::path::{Path, PathBuf};

use longpole_proto::UnixNanos;
use serde::{Deserialize, Serialize};

use super::Places;
use super::ids::Filter;
use super::zone::Zone;
use crate::sled::checked::{with_crc, without_crc};
use crate::sled::files::{self, Files};
use crate::sled::io_error;
use crate::{Operation, StorageError};

/// The file's name in the partition's directory.
const NAME: &str = "INDEX";

/// What it begins with: name and version.
const MAGIC: [u8; 4] = *b"LPX1";

/// More than one has: 10,000 blocks' zones and ten million traces' filter are a quarter of it.
const BYTES_MAX: u64 = 64 << 20;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    pub(super) created: UnixNanos,
    pub(super) places: Vec<Places>,
    pub(super) zones: Vec<Zone>,
    pub(super) filter: Filter,
    /// By service and name; `None` when they are too many and must be read from the database.
    pub(super) operations: Option<Vec<(String, String)>>,
}

impl Sidecar {
    /// The operations, when they are not too many.
    pub(super) fn operations(&self) -> Option<Vec<Operation>> {
        let operations = self.operations.as_ref()?;
        Some(
            operations
                .iter()
                .map(|(service, name)| Operation {
                    service: service.clone(),
                    name: name.clone(),
                })
                .collect(),
        )
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn write(&self, dir: &Path, files: &dyn Files) -> Result<(), StorageError> {
        let body = postcard::to_allocvec(self).expect("numbers and texts can be written");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(with_crc(body));
        let path = path(dir);
        files::replace(files, &path, &bytes).map_err(io_error("write", &path))
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// When the disk fails or the file is damaged.
    pub(super) fn read(dir: &Path, files: &dyn Files) -> Result<Option<Self>, StorageError> {
        let path = path(dir);
        let bytes = match files.read(&path, BYTES_MAX) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(io_error("read", &path))?,
        };
        let body = bytes
            .strip_prefix(&MAGIC)
            .and_then(without_crc)
            .and_then(|body| postcard::from_bytes(body).ok());
        match body {
            Some(sidecar) => Ok(Some(sidecar)),
            None => Err(StorageError::Damaged {
                what: path.display().to_string(),
            }),
        }
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}
