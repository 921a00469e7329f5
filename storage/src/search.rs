//! What a search asks for and what it gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longpole_analysis::TraceSummary;
use longpole_analysis::query::Query;
use longpole_proto::UnixNanos;

/// What to look for: requests that match the query and began in the range.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SearchRequest {
    /// What must hold on them; the default matches all.
    pub query: Query,
    /// They began at this time or later.
    pub from: Option<UnixNanos>,
    /// They began before this time.
    pub to: Option<UnixNanos>,
    /// What comes first.
    pub order: Order,
    /// How many to give; taken as 1 when it is less and as 1,000 when it is more.
    pub limit: usize,
    /// Where the last page ended: its [`SearchResult::next`].
    pub after: Option<String>,
    /// Whether to count all matches.
    pub count: bool,
    /// How long after its begin a search may still look at what only counts; `None` for as long as it
    /// may take at all.
    pub count_within: Option<Duration>,
    /// Ends the search when nobody waits for it any more.
    pub cancel: Cancel,
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
    /// How many match in all.
    pub matched: Matched,
    /// Whether `requests` is exactly what was asked for: nothing that could have a place in it was
    /// unreadable, or left out because the search reached the limits of its work.
    pub complete: bool,
    /// Where the next page begins; `None` when this is the last, and when it is not known where that
    /// would be because the search was stopped before this one was sure.
    pub next: Option<String>,
    /// What it did not see.
    pub unseen: Unseen,
    /// What it took.
    pub scanned: Scanned,
}

/// What a search did not see of what it was to look at; the default is that it saw all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unseen {
    /// That it reached the limits of its work.
    pub stopped: Option<Stopped>,
    /// How many blocks and traces could not be read.
    pub n_unreadable: u64,
    /// How many partitions were set aside since the store was opened because they could not be read;
    /// nothing says what was in them.
    pub n_set_aside: u64,
}

/// Where a search stopped that reached the limits of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// The limit it reached.
    pub limit: SearchLimit,
    /// Every request in the range was looked at of which what the order goes by (the duration in
    /// nanoseconds, the start, the spans, the errors) is greater than this, save those that are on
    /// earlier pages. `None` when there is no such number.
    pub seen_beyond: Option<u64>,
}

/// What bounds a search's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchLimit {
    /// How long it takes.
    Time(Duration),
    /// How many bytes of spans it decodes.
    Bytes(u64),
}

/// How many requests match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// So many.
    Exactly(u64),
    /// So many and perhaps more: not all that may match had to be looked at, or could be.
    AtLeast(u64),
}

impl Matched {
    /// So many at least.
    pub fn at_least(self) -> u64 {
        match self {
            Self::Exactly(n) | Self::AtLeast(n) => n,
        }
    }

    /// The number, when it is exact.
    pub fn exactly(self) -> Option<u64> {
        match self {
            Self::Exactly(n) => Some(n),
            Self::AtLeast(_) => None,
        }
    }
}

/// What a search looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// How many partitions had a block in which something could match.
    pub partitions: u64,
    /// Of how many blocks the summaries were read, or remembered.
    pub blocks_read: u64,
    /// How many blocks were left out: by what is known of them, or because the page was full of
    /// requests that come before all of theirs.
    pub blocks_skipped: u64,
    /// How many traces were decoded because their summaries do not decide.
    pub traces_verified: u64,
    /// How many bytes of spans those had.
    pub bytes: u64,
}

/// Tells a search that nobody waits for it any more. Clones are one and the same; two are equal when
/// both are cancelled or both are not.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the search, which fails with [`StorageError::Cancelled`](crate::StorageError::Cancelled).
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was ended.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Cancels when it is dropped.
    pub fn drop_guard(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }
}

impl PartialEq for Cancel {
    fn eq(&self, other: &Self) -> bool {
        self.is_cancelled() == other.is_cancelled()
    }
}

impl Eq for Cancel {}

/// Cancels a search when it is dropped; see [`Cancel::drop_guard`].
#[derive(Debug)]
#[must_use = "dropped at once it cancels at once"]
pub struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
