//! The interface every engine implements; no engine's type shows here.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use longpole_analysis::TraceSummary;
use longpole_proto::wire::ExportRequest;
use longpole_proto::{TraceId, UnixNanos};

use crate::{Health, StorageError, StoreStatus};

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

/// What to look for: requests for which all that is set holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SearchRequest {
    /// Some span is of this service.
    pub service: Option<String>,
    /// Some span (of that service, when one is set) has this name.
    pub operation: Option<String>,
    /// The request took at least this long.
    pub min_nanos: Option<u64>,
    /// The request took at most this long.
    pub max_nanos: Option<u64>,
    /// It began at this time or later.
    pub from: Option<UnixNanos>,
    /// It began before this time.
    pub to: Option<UnixNanos>,
    /// What comes first.
    pub order: Order,
    /// How many to give; taken as 1 when it is less and as 1,000 when it is more.
    pub limit: usize,
    /// Where the last page ended: its [`SearchResult::next`].
    pub after: Option<String>,
    /// Whether to count all matches.
    pub count: bool,
}

/// What comes first; ties are by trace ID, smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The longest duration.
    #[default]
    Slowest,
    /// The latest start.
    Newest,
    /// The most spans.
    Spans,
    /// The most errors.
    Errors,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult {
    /// The requests, in order.
    pub requests: Vec<TraceSummary>,
    /// How many match in all, when that was asked for or is known anyway.
    pub matched: Option<u64>,
    /// Whether everything stored was looked at.
    pub complete: bool,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<String>,
}

/// A service's span name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The service.
    pub service: String,
    /// The span name.
    pub name: String,
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

    /// The requests that match, in the order asked for: exactly, over everything acknowledged.
    ///
    /// # Errors
    /// As [`Self::trace`], and when the cursor is not one of this store's.
    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError>;

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
