//! What the store says about itself, as metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use longpole_storage::StoreStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// One metric for each number, set before it is read.
#[derive(Debug, Default)]
pub(super) struct StoreMetrics {
    gauges: [Gauge; GAUGES.len()],
    counters: [Counter; COUNTERS.len()],
    recovery_seconds: Gauge<f64, AtomicU64>,
}

/// A metric's name, what it means, and its number.
type Metric = (&'static str, &'static str, fn(&StoreStatus) -> u64);

const GAUGES: [Metric; 18] = [
    ("store_traces", "Traces stored", |status| {
        status.stats.n_traces
    }),
    (
        "store_spans",
        "Spans stored, duplicates included",
        |status| status.stats.n_spans,
    ),
    (
        "store_disk_bytes",
        "Disk the data directory takes",
        |status| status.stats.disk_bytes,
    ),
    ("store_log_bytes", "Disk the store's log takes", |status| {
        status.stats.log_bytes
    }),
    ("store_log_segments", "Files of the store's log", |status| {
        status.n_log_segments
    }),
    (
        "store_waiting_bytes",
        "Bytes waiting to be written",
        |status| status.stats.waiting_bytes,
    ),
    (
        "store_damaged",
        "Stretches of the log, traces and partitions that could not be read since the start",
        |status| status.stats.n_damaged,
    ),
    (
        "store_set_aside",
        "Damaged pieces that lie aside until somebody removes them",
        |status| status.set_aside.len() as u64,
    ),
    (
        "store_live_traces",
        "Traces in memory that may get more spans",
        |status| status.live.n_traces,
    ),
    (
        "store_live_bytes",
        "Memory that traces take that may get more spans",
        |status| status.live.bytes,
    ),
    (
        "store_partitions",
        "Partitions stored, that which takes spans included",
        |status| status.partitions.len() as u64,
    ),
    (
        "store_oldest_received_timestamp_seconds",
        "When the oldest stored span was received, since 1970; 0 when nothing is stored",
        |status| {
            let oldest = status.health.oldest_received.unwrap_or_default();
            oldest.0 / 1_000_000_000
        },
    ),
    (
        "store_takes_spans",
        "1 while the store takes spans, 0 while it refuses them",
        |status| status.health.takes_spans().into(),
    ),
    (
        "store_disk_free_bytes",
        "Free bytes of the disk the data directory is on",
        |status| status.disk.free_bytes,
    ),
    (
        "store_disk_least_free_bytes",
        "Bytes of that disk that must be free for spans to be taken",
        |status| status.disk.least_free_bytes,
    ),
    (
        "store_recovered_requests",
        "Requests the last start read back from the log",
        |status| status.recovery.n_requests,
    ),
    (
        "memory_limit_bytes",
        "Memory the process may take",
        |status| status.memory.limit_bytes,
    ),
    (
        "memory_resident_bytes",
        "Memory the process takes; 0 when the system does not say",
        |status| status.memory.resident_bytes.unwrap_or_default(),
    ),
];

const COUNTERS: [Metric; 3] = [
    (
        "store_retries_acknowledged",
        "Requests acknowledged without storing them, as exact retries of stored ones",
        |status| status.n_retries,
    ),
    (
        "store_removed_partitions",
        "Partitions removed because of their age or the directory's size",
        |status| status.removed.n_partitions,
    ),
    (
        "store_removed_spans",
        "Spans in partitions that were removed",
        |status| status.removed.n_spans,
    ),
];

impl StoreMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for ((name, help, _), gauge) in GAUGES.iter().zip(&self.gauges) {
            registry.register(*name, *help, gauge.clone());
        }
        for ((name, help, _), counter) in COUNTERS.iter().zip(&self.counters) {
            registry.register(*name, *help, counter.clone());
        }
        registry.register_with_unit(
            "store_recovery",
            "How long opening the store took",
            Unit::Seconds,
            self.recovery_seconds.clone(),
        );
    }

    pub(super) fn set(&self, status: &StoreStatus) {
        for ((.., number), gauge) in GAUGES.iter().zip(&self.gauges) {
            gauge.set(i64::try_from(number(status)).unwrap_or(i64::MAX));
        }
        for ((.., number), counter) in COUNTERS.iter().zip(&self.counters) {
            // The store counts from its opening, as the registry does.
            counter.inner().store(number(status), Ordering::Relaxed);
        }
        self.recovery_seconds
            .set(status.recovery.took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use longpole_storage::{Concern, Health, RecoveryStatus, Stats};

    use super::*;

    #[test]
    fn what_the_store_says_is_in_the_text() {
        let mut registry = Registry::default();
        let metrics = StoreMetrics::default();
        metrics.register(&mut registry);
        let mut lines = Vec::new();
        for n_traces in [5, 6] {
            metrics.set(&StoreStatus {
                stats: Stats {
                    n_traces,
                    ..Stats::default()
                },
                health: Health {
                    concerns: vec![Concern::SetAside { n_pieces: 1 }],
                    ..Health::default()
                },
                n_retries: n_traces + 1,
                recovery: RecoveryStatus {
                    took: Duration::from_millis(250),
                    ..RecoveryStatus::default()
                },
                ..StoreStatus::default()
            });
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry)
                .expect("writing to a string cannot fail");
            lines = text.lines().map(str::to_owned).collect();
        }
        for line in [
            "store_traces 6",
            "store_retries_acknowledged_total 7",
            "store_takes_spans 1",
            "store_recovery_seconds 0.25",
        ] {
            assert!(lines.iter().any(|found| found == line), "{line}: {lines:?}");
        }
    }
}
