//! Keeps traces: the [`Store`] interface, and behind it the engines, which are private.
//!
//! [`open`] gives the embedded engine. What a store has acknowledged it gives back: at once, after
//! `kill -9`, and with [`Durability::Fsync`] after a power cut.

mod aggregates;
mod error;
mod overview;
mod search;
mod sled;
mod status;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use self::sled::FORMAT;
pub use aggregates::{
    Aggregates, AggregatesRequest, Edge, EdgeNumbers, OperationNumbers, SlowestHop,
    SlowestHopNumbers,
};
pub use error::StorageError;
pub use overview::{
    Columns, EXACT_PERCENTILES_MAX, HEAT_ROWS, HeatCell, Overview, OverviewBuilder,
    OverviewRequest, Percentiles, SAMPLE_MAX, heat_row, heat_row_bounds,
};
pub use search::{
    Cancel, CancelOnDrop, Matched, Order, Scanned, SearchLimit, SearchRequest, SearchResult,
    Stopped, Unseen,
};
pub use status::{
    Concern, Damage, DiskStatus, Health, LiveStatus, MemoryStatus, PartitionState, PartitionStatus,
    RecoveryStatus, Removal, RemovalReason, RemovedStatus, SetAside, StoreStatus,
};
pub use store::{
    Appended, Completion, Durability, MostFrequent, Operation, Stats, Store, StoreConfig,
    StoredTrace, TraceVersion,
};

use std::sync::Arc;

/// Opens the embedded store in `config.data_dir`, making it when it is not there.
///
/// # Errors
/// When the directory cannot be used, belongs to another running process, or holds another
/// version's format.
pub fn open(config: &StoreConfig) -> Result<Arc<dyn Store>, StorageError> {
    let files: Arc<dyn sled::files::Files> = Arc::new(sled::files::OsFiles);
    let settings = sled::settings::Settings::new(config);
    Ok(Arc::new(sled::SledStore::open(config, settings, &files)?))
}
