//! The rules of sealing, of partitions and of room, with the clock they go by.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use longpole_proto::UnixNanos;

use crate::StoreConfig;

/// When things happen.
#[derive(Clone)]
pub(crate) struct Settings {
    /// A trace that got nothing for so long is sealed.
    pub(crate) quiet: Duration,
    /// So is one whose first span waits for so long.
    pub(crate) age_max: Duration,
    /// So is one that has more spans than this.
    pub(crate) trace_spans_max: usize,
    /// So is one that has more bytes than this.
    pub(crate) trace_bytes_max: u64,
    /// How many spans a block is to have.
    pub(crate) block_spans: usize,
    /// How long sealed traces may wait for a fuller block.
    pub(crate) fill_max: Duration,
    /// From how many bytes of live spans on they are sealed whatever their age.
    pub(crate) live_bytes_soft: u64,
    /// From how many on, those who bring more must wait.
    pub(crate) live_bytes_hard: u64,
    /// When the log has so many bytes, the partition that needs it is closed.
    pub(crate) partition_log_bytes: u64,
    /// When a partition is so old it is closed.
    pub(crate) partition_age_max: Duration,
    /// How many closed partitions are kept open.
    pub(crate) open_max: usize,
    /// A late fragment of a trace with more fragments than this gets no summary; searches make it.
    pub(crate) summary_fragments_max: usize,
    /// How long spans are kept after they were received.
    pub(crate) retention: Duration,
    /// How large the data directory may become.
    pub(crate) disk_bytes_max: u64,
    /// How much of the disk must be free, in bytes, and in percent: the larger counts.
    pub(crate) free_bytes_min: u64,
    /// See [`Self::free_bytes_min`].
    pub(crate) free_percent_min: u64,
    /// How often what changed is made durable.
    pub(crate) checkpoint_interval: Duration,
    /// How often it is looked whether the data directory becomes too large.
    pub(crate) room_interval: Duration,
    /// How long a search may take, from when it has the traces in memory.
    pub(crate) search_time_max: Duration,
    /// How many bytes of spans a search may decode.
    pub(crate) search_bytes_max: u64,
    /// How much memory overviews may keep of blocks they read, in bytes.
    pub(crate) overview_bytes_max: u64,
    /// How long after a failure the store is opened anew at the earliest; twice as long after each
    /// attempt that failed.
    pub(crate) reopen_pause: Duration,
    /// Tells the time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Settings {
    /// The rules a user's configuration means.
    pub(crate) fn new(config: &StoreConfig) -> Self {
        Self {
            quiet: Duration::from_secs(10),
            age_max: Duration::from_mins(1),
            trace_spans_max: 8_192,
            trace_bytes_max: 4 << 20,
            block_spans: 4_096,
            fill_max: Duration::from_secs(50),
            live_bytes_soft: config.memory_limit_bytes / 10 * 2,
            live_bytes_hard: config.memory_limit_bytes / 10 * 3,
            // Whole partitions are removed: they are to be small beside what may be kept.
            partition_log_bytes: (256 << 20).min(config.max_disk_bytes / 8),
            partition_age_max: Duration::from_hours(6).min(config.retention / 4),
            open_max: 6,
            summary_fragments_max: 12,
            retention: config.retention,
            disk_bytes_max: config.max_disk_bytes,
            free_bytes_min: 256 << 20,
            free_percent_min: 5,
            checkpoint_interval: Duration::from_secs(2),
            room_interval: Duration::from_millis(100),
            search_time_max: Duration::from_secs(10),
            search_bytes_max: 2 << 30,
            overview_bytes_max: config.memory_limit_bytes / 16,
            reopen_pause: Duration::from_secs(1),
            clock: Arc::new(SystemClock {
                start: Instant::now(),
            }),
        }
    }

    /// How much of a disk of that size must be free, in bytes.
    pub(crate) fn least_free(&self, total_bytes: u64) -> u64 {
        let share = total_bytes / 100 * self.free_percent_min;
        share.max(self.free_bytes_min)
    }
}

/// Tells the time.
pub(crate) trait Clock: Send + Sync {
    /// How long ago the clock was started; never goes back.
    fn elapsed(&self) -> Duration;

    /// What time it is.
    fn now(&self) -> UnixNanos;
}

struct SystemClock {
    start: Instant,
}

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn now(&self) -> UnixNanos {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock before 1970 is a clock at 1970.
        let nanos = since.unwrap_or_default().as_nanos();
        UnixNanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
