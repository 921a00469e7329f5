//! What can go wrong with a store.

use std::path::PathBuf;

use longpole_analysis::query::QueryError;

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process has the data directory open.
    #[error("data directory {} is in use by another longpole; stop it or choose another --data-dir", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The data directory was written by another version.
    #[error("data directory {} has format {found:?}, this longpole reads {expected:?}", path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// What its FORMAT file says.
        found: String,
        /// What this version writes.
        expected: &'static str,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `sync`, `open`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The engine failed.
    #[error("the embedded database failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Stored bytes are not what was written.
    #[error("stored data is damaged: {what}")]
    Damaged {
        /// What and where.
        what: String,
    },
    /// More is waiting to be written than the store takes; try again soon.
    #[error(
        "the store is busy: {waiting_bytes} bytes wait to be written, the limit is {limit_bytes}"
    )]
    Busy {
        /// How much waits.
        waiting_bytes: u64,
        /// How much may.
        limit_bytes: u64,
    },
    /// The disk has too little room left, or the data directory below its limit; what is asked can be
    /// asked again once there is more.
    #[error("there is too little room in {}: {free_bytes} bytes are free, {least_bytes} must be; make room on the disk, or raise --max-disk", path.display())]
    Full {
        /// The data directory.
        path: PathBuf,
        /// How much is free.
        free_bytes: u64,
        /// How much must be.
        least_bytes: u64,
    },
    /// Something is larger than the store takes or gives; trying again does not help.
    #[error("{what} has {bytes} bytes, the limit is {limit_bytes}")]
    TooLarge {
        /// What: `export request`, `trace`.
        what: &'static str,
        /// How large it is, at least.
        bytes: u64,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// There are as many of something as there may be.
    #[error("there may be {limit} {what}, and there are")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The directory holds files that are not longpole's.
    #[error(
        "{} holds {found:?} and no FORMAT file, so it is no data directory of longpole; choose an empty one",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// A search's cursor is none of this store's.
    #[error("cursor {cursor:?} is not one this store gave out")]
    Cursor {
        /// The text.
        cursor: String,
    },
    /// A search's query cannot be matched.
    #[error("the query cannot be used")]
    Query(#[from] QueryError),
    /// A search was cancelled.
    #[error("the search was cancelled")]
    Cancelled,
}

impl StorageError {
    /// What went wrong and what caused it, as one text.
    pub(crate) fn with_causes(&self) -> String {
        let first: &dyn std::error::Error = self;
        let chain = std::iter::successors(Some(first), |error| error.source());
        chain
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }
}
