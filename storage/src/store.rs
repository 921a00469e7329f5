//! The interface every engine implements; no engine's type shows here.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};

use crate::{
    Aggregates, AggregatesRequest, Health, Overview, OverviewRequest, SearchRequest, SearchResult,
    StorageError, StoreStatus,
};

/// When an append counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the disk has it: survives a power cut.
    #[default]
    Fsync,
    /// When the operating system has it: survives `kill -9`.
    Os,
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// When an append counts as done.
    pub durability: Durability,
    /// How much memory the process may take in all; what arrives is kept in less than a third of it.
    pub memory_limit_bytes: u64,
    /// How long spans are kept after they were received; whole partitions go at a time.
    pub retention: Duration,
    /// How large the data directory may become before the oldest partitions go.
    pub max_disk_bytes: u64,
}

impl StoreConfig {
    /// The defaults for a directory: 512 MiB of memory, seven days, 10 GiB.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            durability: Durability::default(),
            memory_limit_bytes: 512 << 20,
            retention: Duration::from_hours(7 * 24),
            max_disk_bytes: 10 << 30,
        }
    }
}

/// What was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// How many spans, duplicates included.
    pub n_spans: u64,
}

/// Called once when the promised durability holds, or never will; from the store's own thread (or
/// within [`Store::append`] when it refuses at once), so it must not block or call the store.
pub type Completion = Box<dyn FnOnce(Result<Appended, StorageError>) + Send>;

/// A stored trace.
#[derive(Debug, Clone)]
pub struct StoredTrace {
    /// Its ID.
    pub trace_id: TraceId,
    /// Its spans as accepted, one OTLP `TracesData` message in order of arrival.
    pub otlp: Bytes,
    /// When its first span was received.
    pub first_received: UnixNanos,
    /// When its newest span was received.
    pub last_received: UnixNanos,
}

/// What a trace consists of at a moment: while it stays the same, so does the trace. It changes when
/// spans arrive, when they go, and now and then when neither does. Versions of one trace, of one
/// open store, can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceVersion(Box<[u64]>);

impl TraceVersion {
    /// The version these numbers stand for.
    pub fn new(numbers: impl IntoIterator<Item = u64>) -> Self {
        Self(numbers.into_iter().collect())
    }
}

/// A service's span name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The service.
    pub service: String,
    /// The span name.
    pub name: String,
}

/// The most frequent of some texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MostFrequent {
    /// Each with how often it is there, duplicate spans included: so often at least, because where it is
    /// not among the most frequent it is not counted. Most first (ties: by text).
    pub texts: Vec<(String, u64)>,
    /// Whether they are all there are, and the counts exact.
    pub is_exact: bool,
}

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// How many traces.
    pub n_traces: u64,
    /// How many spans, duplicates included.
    pub n_spans: u64,
    /// How much disk its data directory takes, in bytes.
    pub disk_bytes: u64,
    /// How much of that is its log.
    pub log_bytes: u64,
    /// How much waits to be answered, in bytes.
    pub waiting_bytes: u64,
    /// How many stretches of the log, traces and partitions could not be read since it was opened.
    pub n_damaged: u64,
}

/// Keeps traces. All methods may be called from any thread; those that read block on the disk.
pub trait Store: Send + Sync + 'static {
    /// Appends the accepted spans of an export request that was received at `received`. `done` is
    /// called once they are as durable as promised; from then on they are found.
    fn append(&self, request: ExportRequest, received: UnixNanos, done: Completion);

    /// A trace with everything acknowledged so far; `None` when there is none.
    ///
    /// # Errors
    /// When the disk or engine fails, or what is stored is damaged.
    fn trace(&self, trace_id: TraceId) -> Result<Option<StoredTrace>, StorageError>;

    /// What [`Self::trace`] would read now, without reading it; `None` when there is no such trace.
    /// Who asks before reading has a trace that is of this version or newer.
    ///
    /// # Errors
    /// When the disk or engine fails.
    fn trace_version(&self, trace_id: TraceId) -> Result<Option<TraceVersion>, StorageError>;

    /// Deletes a trace with everything acknowledged so far, for good; says whether there was one. What
    /// comes of it later is a trace again. Its bytes leave the disk with those received around the same
    /// time, by the rules of retention; numbers that were added up, names of operations and attributes,
    /// and their most frequent values count it until then.
    ///
    /// # Errors
    /// When the disk or engine fails (then it may be deleted nevertheless once the store is opened
    /// again), and when there are as many deleted traces as there may be.
    fn delete(&self, trace_id: TraceId) -> Result<bool, StorageError>;

    /// When a trace was deleted the last time; forgotten with what was received around that time.
    ///
    /// # Errors
    /// When the store is closed or failed.
    fn deleted(&self, trace_id: TraceId) -> Result<Option<UnixNanos>, StorageError>;

    /// Pins a trace: it stays, whatever age and size the rest may have. Says whether there is such a trace.
    ///
    /// # Errors
    /// As [`Self::trace`], and when there are 1,000 pinned traces, or they have more bytes than a quarter
    /// of what the data directory may have.
    fn pin(&self, trace_id: TraceId) -> Result<bool, StorageError>;

    /// Pins a trace no more: it goes when its time has come. Says whether it was pinned.
    ///
    /// # Errors
    /// When the disk or engine fails.
    fn unpin(&self, trace_id: TraceId) -> Result<bool, StorageError>;

    /// The traces that are pinned, those first that are so longest.
    ///
    /// # Errors
    /// When the store is closed or failed.
    fn pinned(&self) -> Result<Vec<TraceId>, StorageError>;

    /// The requests that match, in the order asked for: exactly, over everything acknowledged, unless
    /// the result says that it is not complete.
    ///
    /// # Errors
    /// As [`Self::trace`], when the query cannot be matched, when the cursor is not one of this
    /// store's, and when the search was cancelled.
    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError>;

    /// The requests that match, together: exactly, over everything acknowledged, unless it says that it is
    /// not complete. From summaries, save where only a trace itself can say whether it matches.
    ///
    /// # Errors
    /// As [`Self::trace`], when the query cannot be matched, and when it was cancelled.
    fn overview(&self, request: &OverviewRequest) -> Result<Overview, StorageError>;

    /// The services that have spans, by name; at most `limit`.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn services(&self, limit: usize) -> Result<Vec<String>, StorageError>;

    /// The operations of a service (of all, when none is given), by service and name; at most `limit`.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError>;

    /// The names of attributes that begin with `prefix` and are most often on spans, on their resources
    /// and on events; at most `limit`, and never more than 1,000. While very many spans are in memory,
    /// only some of those are counted.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn attribute_names(&self, prefix: &str, limit: usize) -> Result<MostFrequent, StorageError>;

    /// The values that begin with `prefix` and that an attribute has most often, as the text by which
    /// queries know them; likewise. Attributes whose values are nearly all different, such as ids, have
    /// none here, nor have lists.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn attribute_values(
        &self,
        name: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<MostFrequent, StorageError>;

    /// The numbers of the traces that were sealed, which is up to two minutes after they came.
    ///
    /// # Errors
    /// As [`Self::trace`], and when it was cancelled.
    fn aggregates(&self, request: &AggregatesRequest) -> Result<Aggregates, StorageError>;

    /// What is held now.
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn stats(&self) -> Result<Stats, StorageError>;

    /// How it is, from memory.
    ///
    /// # Errors
    /// When it is closed.
    fn health(&self) -> Result<Health, StorageError>;

    /// All it knows of itself; costs as much as [`Self::stats`].
    ///
    /// # Errors
    /// As [`Self::trace`].
    fn status(&self) -> Result<StoreStatus, StorageError>;

    /// Waits until everything appended so far is durable and indexed.
    ///
    /// # Errors
    /// When the disk or engine fails.
    fn flush(&self) -> Result<(), StorageError>;

    /// Takes no more appends, flushes and releases the data directory. Later calls fail with
    /// [`StorageError::Closed`]; closing again does nothing.
    ///
    /// # Errors
    /// When the disk or engine fails.
    fn close(&self) -> Result<(), StorageError>;
}
