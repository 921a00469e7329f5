//! The status page: what is stored, what happened, and what needs attention.

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use longpole_analysis::format::duration;
use longpole_proto::UnixNanos;
use longpole_storage::{Durability, PartitionState, RemovalReason, StoreStatus};

use crate::error::UiError;
use crate::extract::Pairs;
use crate::format::{Count, bytes, period, utc};
use crate::site::{Frame, Site, html};
use crate::{ReceiverStatus, concern};

/// How many partitions are listed; all are in the JSON.
const PARTITIONS_MAX: usize = 200;

#[derive(Template)]
#[template(path = "pages/status.html")]
struct StatusPage<'a> {
    frame: Frame<'a>,
    version: &'static str,
    up_since: String,
    up_for: String,
    concerns: Vec<ConcernView>,
    takes_spans: bool,
    sections: Vec<Section>,
    set_aside: Vec<Piece>,
    damaged: Vec<Piece>,
    partitions: Vec<PartitionView>,
    n_partitions: Count,
    n_more_partitions: Count,
}

struct ConcernView {
    headline: String,
    detail: String,
}

/// Facts about one thing.
struct Section {
    title: &'static str,
    facts: Vec<(&'static str, String)>,
}

/// Something damaged.
struct Piece {
    path: String,
    reason: String,
    /// How large it is, or when it was found.
    note: String,
}

struct PartitionView {
    id: String,
    state: &'static str,
    /// What the state means.
    meaning: &'static str,
    received: String,
    n_spans: Count,
    bytes: String,
}

/// The status page.
pub(crate) async fn page(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    pairs.only(&[])?;
    let page = site
        .read(|site| {
            let status = site.state.store.status()?;
            let page = view(site, &status, &(site.state.receivers)());
            Ok(page.render()?)
        })
        .await?;
    Ok(html(page))
}

fn view<'a>(site: &'a Site, status: &StoreStatus, receivers: &ReceiverStatus) -> StatusPage<'a> {
    let health = &status.health;
    let up_nanos = site.now().nanos_since(health.opened);
    let partitions = status.partitions.iter().rev().take(PARTITIONS_MAX);
    let n_partitions = status.partitions.len();
    StatusPage {
        frame: Frame::new(site, "Status"),
        version: env!("CARGO_PKG_VERSION"),
        up_since: utc(health.opened),
        up_for: period(Duration::from_nanos(up_nanos)),
        concerns: health
            .concerns
            .iter()
            .map(|concern| ConcernView {
                headline: concern::headline(concern),
                detail: concern::detail(concern),
            })
            .collect(),
        takes_spans: health.takes_spans(),
        sections: vec![
            stored(status),
            received(status, receivers),
            kept(status),
            disk(status),
            memory(status),
            last_start(status),
        ],
        set_aside: status
            .set_aside
            .iter()
            .map(|piece| Piece {
                path: text(&piece.path),
                reason: piece.reason.as_deref().unwrap_or("not known").to_owned(),
                note: bytes(piece.bytes),
            })
            .collect(),
        damaged: status
            .damaged
            .iter()
            .map(|damage| Piece {
                path: text(&damage.path),
                reason: damage.reason.clone(),
                note: format!("{} UTC", utc(damage.found)),
            })
            .collect(),
        partitions: partitions.map(PartitionView::of).collect(),
        n_partitions: n_partitions.into(),
        n_more_partitions: n_partitions.saturating_sub(PARTITIONS_MAX).into(),
    }
}

fn stored(status: &StoreStatus) -> Section {
    let live = &status.live;
    Section {
        title: "Stored",
        facts: vec![
            ("Traces", Count(status.stats.n_traces).to_string()),
            ("Spans", Count(status.stats.n_spans).to_string()),
            ("Oldest", time(status.health.oldest_received)),
            ("Newest", time(status.newest_received)),
            (
                "Still arriving",
                format!(
                    "{} trace{}, {} span{}",
                    Count(live.n_traces),
                    Count(live.n_traces).s(),
                    Count(live.n_spans),
                    Count(live.n_spans).s()
                ),
            ),
        ],
    }
}

fn received(status: &StoreStatus, receivers: &ReceiverStatus) -> Section {
    let last_refusal = match &receivers.last_refusal {
        Some((at, why)) => format!("{} UTC: {why}", utc(*at)),
        None => "none".to_owned(),
    };
    let durability = match status.durability {
        Durability::Fsync => "fsync: what is acknowledged survives a power cut",
        Durability::Os => "os: what is acknowledged survives the end of the process",
    };
    Section {
        title: "Received since the start",
        facts: vec![
            ("Accepted", spans(receivers.spans_accepted)),
            ("Refused", spans(receivers.spans_refused)),
            ("Last refusal", last_refusal),
            (
                "Exact retries",
                format!("{} not stored again", Count(status.n_retries)),
            ),
            ("Waiting", bytes(status.stats.waiting_bytes)),
            ("Durability", durability.to_owned()),
        ],
    }
}

fn kept(status: &StoreStatus) -> Section {
    let removed = &status.removed;
    let last = match &removed.last {
        None => "none since the start".to_owned(),
        Some(last) => format!(
            "{} at {} UTC, {}: {}, received until {} UTC",
            last.id,
            utc(last.removed),
            match last.reason {
                RemovalReason::Age => "too old",
                RemovalReason::Size => "to make room",
            },
            spans(last.n_spans),
            utc(last.newest_received)
        ),
    };
    Section {
        title: "Kept",
        facts: vec![
            ("For", period(status.health.retention)),
            ("At most", bytes(status.health.max_disk_bytes)),
            (
                "Removed",
                format!(
                    "{} partition{}, {}",
                    Count(removed.n_partitions),
                    Count(removed.n_partitions).s(),
                    spans(removed.n_spans)
                ),
            ),
            ("Last removed", last),
        ],
    }
}

fn disk(status: &StoreStatus) -> Section {
    let n_segments = Count(status.n_log_segments);
    Section {
        title: "Disk",
        facts: vec![
            ("Data directory", text(&status.data_dir)),
            ("Format", status.format.clone()),
            ("It takes", bytes(status.stats.disk_bytes)),
            (
                "Log",
                format!(
                    "{} in {n_segments} segment{}",
                    bytes(status.stats.log_bytes),
                    n_segments.s()
                ),
            ),
            (
                "Free",
                format!(
                    "{} of {}; {} must be",
                    bytes(status.disk.free_bytes),
                    bytes(status.disk.total_bytes),
                    bytes(status.disk.least_free_bytes)
                ),
            ),
        ],
    }
}

fn memory(status: &StoreStatus) -> Section {
    let used = status.memory.resident_bytes.map(bytes);
    Section {
        title: "Memory",
        facts: vec![
            (
                "The process takes",
                format!(
                    "{} of {}",
                    used.as_deref().unwrap_or("an unknown part"),
                    bytes(status.memory.limit_bytes)
                ),
            ),
            ("Traces still arriving", bytes(status.live.bytes)),
            ("Sealed early from", bytes(status.live.soft_limit_bytes)),
            ("Held up from", bytes(status.live.hard_limit_bytes)),
        ],
    }
}

fn last_start(status: &StoreStatus) -> Section {
    let recovery = &status.recovery;
    let took = u64::try_from(recovery.took.as_nanos()).unwrap_or(u64::MAX);
    let rebuilt = if recovery.is_rebuilt {
        "yes, from the log's beginning"
    } else {
        "nothing"
    };
    Section {
        title: "Last start",
        facts: vec![
            ("Took", duration(took)),
            (
                "Found",
                format!(
                    "{} partition{}",
                    Count(recovery.n_partitions),
                    Count(recovery.n_partitions).s()
                ),
            ),
            (
                "Read back",
                format!(
                    "{} request{} with {}",
                    Count(recovery.n_requests),
                    Count(recovery.n_requests).s(),
                    spans(recovery.n_spans)
                ),
            ),
            ("Rebuilt", rebuilt.to_owned()),
            (
                "Cut off",
                match recovery.torn_bytes {
                    0 => "nothing".to_owned(),
                    torn => format!("{}, a write that was never acknowledged", bytes(torn)),
                },
            ),
            (
                "Damaged",
                match (recovery.n_skipped, recovery.n_set_aside) {
                    (0, 0) => "nothing".to_owned(),
                    (n_skipped, n_set_aside) => format!(
                        "{} part{} of the log skipped, {} partition{} set aside",
                        Count(n_skipped),
                        Count(n_skipped).s(),
                        Count(n_set_aside),
                        Count(n_set_aside).s()
                    ),
                },
            ),
        ],
    }
}

impl PartitionView {
    fn of(status: &longpole_storage::PartitionStatus) -> Self {
        let meaning = match status.state {
            PartitionState::Open => "takes what comes; the log has it too",
            PartitionState::Full => "takes no more; the log has it too",
            PartitionState::Closed => "checked, changes no more",
            PartitionState::Damaged => "cannot be read, is set aside next",
        };
        Self {
            id: status.id.clone(),
            state: status.state.name(),
            meaning,
            received: match status.received {
                None => "-".to_owned(),
                Some((first, last)) => format!("{} to {}", utc(first), utc(last)),
            },
            n_spans: Count(status.n_spans),
            bytes: bytes(status.bytes),
        }
    }
}

fn time(at: Option<UnixNanos>) -> String {
    at.map_or_else(|| "none".to_owned(), |at| format!("{} UTC", utc(at)))
}

fn spans(n: u64) -> String {
    format!("{} span{}", Count(n), Count(n).s())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
