//! What a store says about itself: for a page, for metrics, and for a notice on every page.

use std::path::PathBuf;
use std::time::Duration;

use longpole_proto::UnixNanos;

use crate::{Durability, Stats};

/// How a store is; cheap enough to be asked for with every page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// What needs somebody's attention, most urgent first.
    pub concerns: Vec<Concern>,
    /// When the store was opened.
    pub opened: UnixNanos,
    /// How long spans are kept after they were received, if there is room.
    pub retention: Duration,
    /// How large the data directory may become, in bytes.
    pub max_disk_bytes: u64,
    /// When the oldest that is stored was received, to within a minute or two; `None` when nothing
    /// is stored.
    pub oldest_received: Option<UnixNanos>,
    /// What was removed last to stay within age and size, since the store was opened.
    pub last_removal: Option<Removal>,
}

impl Health {
    /// Whether spans are taken.
    pub fn takes_spans(&self) -> bool {
        !self.concerns.iter().any(Concern::refuses_spans)
    }
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Concern {
    /// The store failed. It refuses spans until it is opened anew; what it acknowledged is safe.
    Failed {
        /// Why.
        cause: String,
    },
    /// The disk is nearly full. Spans are refused until there is room.
    DiskFull {
        /// How much is free, in bytes.
        free_bytes: u64,
        /// How much must be, in bytes.
        least_bytes: u64,
    },
    /// Damaged pieces were set aside and lie there until somebody removes them.
    SetAside {
        /// How many.
        n_pieces: u64,
    },
    /// Pieces could not be read since the store was opened, and were skipped.
    Damaged {
        /// How many; those set aside are not among them.
        n_pieces: u64,
    },
}

impl Concern {
    /// Whether spans are refused because of it.
    pub fn refuses_spans(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::DiskFull { .. })
    }
}

/// All a store knows of itself. Paths of what is in it are relative to its data directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStatus {
    /// How it is.
    pub health: Health,
    /// What it holds.
    pub stats: Stats,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The engine and the version of what it writes there: `longpole sled 4`.
    pub format: String,
    /// When an append counts as done.
    pub durability: Durability,
    /// When the newest span that is stored was received; `None` when nothing is stored.
    pub newest_received: Option<UnixNanos>,
    /// The traces in memory.
    pub live: LiveStatus,
    /// How many files the log has.
    pub n_log_segments: u64,
    /// The partitions, oldest first.
    pub partitions: Vec<PartitionStatus>,
    /// What was removed to stay within age and size.
    pub removed: RemovedStatus,
    /// Damaged pieces that lie aside, by path; the first hundred.
    pub set_aside: Vec<SetAside>,
    /// Damage found since the store was opened, oldest first; the first hundred.
    pub damaged: Vec<Damage>,
    /// What opening it found and did.
    pub recovery: RecoveryStatus,
    /// The disk it lies on.
    pub disk: DiskStatus,
    /// The memory of the process.
    pub memory: MemoryStatus,
    /// How many requests were acknowledged without storing them, since it was opened: retries of
    /// what was stored before.
    pub n_retries: u64,
}

/// The traces that still arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveStatus {
    /// How many traces.
    pub n_traces: u64,
    /// How many spans.
    pub n_spans: u64,
    /// How much memory they take, in bytes, about.
    pub bytes: u64,
    /// From how much on they are written early, in bytes.
    pub soft_limit_bytes: u64,
    /// From how much on those who bring more must wait, in bytes.
    pub hard_limit_bytes: u64,
}

/// A part of what is stored that is removed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// What it is called.
    pub id: String,
    /// What becomes of it.
    pub state: PartitionState,
    /// When its oldest and its newest were received, the oldest to within a minute or two; `None`
    /// while it is empty.
    pub received: Option<(UnixNanos, UnixNanos)>,
    /// How many spans, duplicates included.
    pub n_spans: u64,
    /// How much disk it takes, in bytes.
    pub bytes: u64,
}

/// What becomes of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// It takes what comes; the log still has all of it.
    Open,
    /// It takes no more; the log still has all of it.
    Full,
    /// It was checked and does not change any more.
    Closed,
    /// It cannot be read and is about to be set aside.
    Damaged,
}

impl PartitionState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Damaged => "damaged",
        }
    }
}

/// What was removed since the store was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovedStatus {
    /// How many partitions.
    pub n_partitions: u64,
    /// How many spans were in them, duplicates included.
    pub n_spans: u64,
    /// The last of them.
    pub last: Option<Removal>,
}

/// A partition that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// What it was called.
    pub id: String,
    /// Why it had to go.
    pub reason: RemovalReason,
    /// When.
    pub removed: UnixNanos,
    /// When its newest span had been received.
    pub newest_received: UnixNanos,
    /// How many spans it had, duplicates included.
    pub n_spans: u64,
    /// How much disk it took, in bytes.
    pub bytes: u64,
}

/// Why a partition had to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// It was older than anything is kept.
    Age,
    /// It was the oldest when the directory was too large.
    Size,
}

impl RemovalReason {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// A damaged piece that lies aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Where.
    pub path: PathBuf,
    /// What was wrong with it, when that is known.
    pub reason: Option<String>,
    /// How much disk it takes, in bytes.
    pub bytes: u64,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// When that was found.
    pub found: UnixNanos,
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it, and what was done.
    pub reason: String,
}

/// What opening a store found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecoveryStatus {
    /// How long it took.
    pub took: Duration,
    /// How many partitions were there.
    pub n_partitions: u64,
    /// How many of them were damaged and set aside.
    pub n_set_aside: u64,
    /// How many requests were read back from the log.
    pub n_requests: u64,
    /// How many spans were in them; those in a partition already are not taken in again.
    pub n_spans: u64,
    /// How many damaged stretches of the log were skipped.
    pub n_skipped: u64,
    /// How many bytes were cut off the log's end: a write that was never acknowledged.
    pub torn_bytes: u64,
    /// Whether the log was read from its beginning because a partition, or the note of what is
    /// durable in it, was damaged or missing.
    pub is_rebuilt: bool,
}

/// The disk a store lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskStatus {
    /// How much of it this process may still use, in bytes.
    pub free_bytes: u64,
    /// How large it is, in bytes.
    pub total_bytes: u64,
    /// How much must be free for spans to be taken, in bytes.
    pub least_free_bytes: u64,
}

/// The memory of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStatus {
    /// How much it may take, in bytes.
    pub limit_bytes: u64,
    /// How much it takes, in bytes; `None` where the system does not say.
    pub resident_bytes: Option<u64>,
}
