//! `/api/v1/status`: the status page as JSON.

use std::path::Path;

use axum::extract::State;
use axum::response::Response;
use longpole_proto::UnixNanos;
use longpole_storage::{Concern, Durability, StoreStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer;
use crate::ReceiverStatus;
use crate::concern;
use crate::error::UiError;
use crate::extract::Pairs;
use crate::site::Site;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    version: &'static str,
    up_since_unix_nano: String,
    takes_spans: bool,
    concerns: Vec<Value>,
    traces: u64,
    spans: u64,
    oldest_received_unix_nano: Option<String>,
    newest_received_unix_nano: Option<String>,
    receivers: Value,
    retries_acknowledged: u64,
    waiting_bytes: u64,
    durability: &'static str,
    live: Value,
    data_dir: String,
    format: &'a str,
    disk: Value,
    log: Value,
    memory: Value,
    retention: Value,
    last_start: Value,
    set_aside: Vec<Value>,
    damaged: Vec<Value>,
    partitions: Vec<Value>,
}

/// All that is known of the store and the receivers.
pub(crate) async fn status(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    pairs.only(&[])?;
    let status = site.read(|site| Ok(site.state.store.status()?)).await?;
    answer(&Status::of(&status, &(site.state.receivers)()))
}

impl<'a> Status<'a> {
    fn of(status: &'a StoreStatus, receivers: &ReceiverStatus) -> Self {
        let health = &status.health;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            up_since_unix_nano: time(health.opened),
            takes_spans: health.takes_spans(),
            concerns: health.concerns.iter().map(concern_of).collect(),
            traces: status.stats.n_traces,
            spans: status.stats.n_spans,
            oldest_received_unix_nano: health.oldest_received.map(time),
            newest_received_unix_nano: status.newest_received.map(time),
            receivers: receivers_of(receivers),
            retries_acknowledged: status.n_retries,
            waiting_bytes: status.stats.waiting_bytes,
            durability: match status.durability {
                Durability::Fsync => "fsync",
                Durability::Os => "os",
            },
            live: json!({
                "traces": status.live.n_traces,
                "spans": status.live.n_spans,
                "bytes": status.live.bytes,
                "softLimitBytes": status.live.soft_limit_bytes,
                "hardLimitBytes": status.live.hard_limit_bytes,
            }),
            data_dir: text(&status.data_dir),
            format: &status.format,
            disk: json!({
                "usedBytes": status.stats.disk_bytes,
                "freeBytes": status.disk.free_bytes,
                "totalBytes": status.disk.total_bytes,
                "leastFreeBytes": status.disk.least_free_bytes,
            }),
            log: json!({
                "bytes": status.stats.log_bytes,
                "segments": status.n_log_segments,
            }),
            memory: json!({
                "residentBytes": status.memory.resident_bytes,
                "limitBytes": status.memory.limit_bytes,
            }),
            retention: retention(status),
            last_start: last_start(status),
            set_aside: status
                .set_aside
                .iter()
                .map(|piece| {
                    json!({
                        "path": text(&piece.path),
                        "reason": piece.reason,
                        "bytes": piece.bytes,
                    })
                })
                .collect(),
            damaged: status
                .damaged
                .iter()
                .map(|damage| {
                    json!({
                        "path": text(&damage.path),
                        "reason": damage.reason,
                        "foundUnixNano": time(damage.found),
                    })
                })
                .collect(),
            partitions: partitions(status),
        }
    }
}

fn concern_of(concern: &Concern) -> Value {
    let kind = match concern {
        Concern::Failed { .. } => "failed",
        Concern::DiskFull { .. } => "diskFull",
        Concern::SetAside { .. } => "setAside",
        Concern::Damaged { .. } => "damaged",
    };
    json!({
        "kind": kind,
        "refusesSpans": concern.refuses_spans(),
        "text": format!("{} {}", concern::headline(concern), concern::detail(concern)),
    })
}

fn receivers_of(receivers: &ReceiverStatus) -> Value {
    let last_refusal = receivers
        .last_refusal
        .as_ref()
        .map(|(at, why)| json!({ "unixNano": time(*at), "reason": why }));
    json!({
        "grpcEndpoint": receivers.grpc_endpoint,
        "httpEndpoint": receivers.http_endpoint,
        "spansAccepted": receivers.spans_accepted,
        "spansRefused": receivers.spans_refused,
        "lastRefusal": last_refusal,
    })
}

fn retention(status: &StoreStatus) -> Value {
    let last = status.removed.last.as_ref().map(|last| {
        json!({
            "id": last.id,
            "reason": last.reason.name(),
            "removedUnixNano": time(last.removed),
            "newestReceivedUnixNano": time(last.newest_received),
            "spans": last.n_spans,
            "bytes": last.bytes,
        })
    });
    json!({
        "keptNanos": nanos(status.health.retention),
        "maxDiskBytes": status.health.max_disk_bytes,
        "removedPartitions": status.removed.n_partitions,
        "removedSpans": status.removed.n_spans,
        "lastRemoved": last,
    })
}

fn last_start(status: &StoreStatus) -> Value {
    let recovery = &status.recovery;
    json!({
        "tookNanos": nanos(recovery.took),
        "partitions": recovery.n_partitions,
        "partitionsSetAside": recovery.n_set_aside,
        "requestsReadBack": recovery.n_requests,
        "spansReadBack": recovery.n_spans,
        "partsSkipped": recovery.n_skipped,
        "bytesCutOff": recovery.torn_bytes,
        "rebuilt": recovery.is_rebuilt,
    })
}

fn partitions(status: &StoreStatus) -> Vec<Value> {
    let partition = |of: &longpole_storage::PartitionStatus| {
        json!({
            "id": of.id,
            "state": of.state.name(),
            "oldestReceivedUnixNano": of.received.map(|(oldest, _)| time(oldest)),
            "newestReceivedUnixNano": of.received.map(|(_, newest)| time(newest)),
            "spans": of.n_spans,
            "bytes": of.bytes,
        })
    };
    status.partitions.iter().map(partition).collect()
}

fn time(at: UnixNanos) -> String {
    at.0.to_string()
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
