//! Reads beside a load: what was acknowledged before a read began must be in its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use longpole_tests::spans::spans_of;
use longpole_tests::{Client, Reply};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use parking_lot::Mutex;
use prost::Message as _;

use crate::check;
use crate::ledger::Ledger;
use crate::workload::{self, Workload};

/// What readers and senders share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) ledger: Mutex<Ledger>,
    /// Set right before the server is killed: from then on nobody need answer.
    pub(crate) is_over: AtomicBool,
    pub(crate) n_reads: AtomicUsize,
}

impl Shared {
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

/// Reads until the server is killed: traces by ID and searches in turn.
///
/// # Errors
/// When an answer lacks something, or does not come although the server lives.
pub(crate) async fn read(
    client: Client,
    workload: Workload,
    shared: Arc<Shared>,
    seed: u64,
) -> anyhow::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    while !shared.is_over() {
        let read = if rng.u32(0..4) == 0 {
            search(&client, &shared, &mut rng).await
        } else {
            trace(&client, workload, &shared, &mut rng).await
        };
        if shared.is_over() {
            break;
        }
        read?;
        shared.n_reads.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn trace(
    client: &Client,
    workload: Workload,
    shared: &Shared,
    rng: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    let before = {
        let ledger = shared.ledger.lock();
        ledger.any(rng).map(|trace| (trace, ledger.record(trace)))
    };
    let Some((trace, before)) = before else {
        tokio::task::yield_now().await;
        return Ok(());
    };
    let path = format!("/api/v1/traces/{trace:032x}");
    let headers = [("accept", "application/x-protobuf")];
    let reply = get(client, &path, &headers).await?;
    let found = TracesData::decode(reply.body)?;
    // What was sent meanwhile may be there as well.
    let mut record = shared.ledger.lock().record(trace);
    for (number, sent) in &mut record {
        let before = before.get(number);
        sent.is_acknowledged = before.is_some_and(|sent| sent.is_acknowledged);
    }
    check::compare(workload, trace, &record, &spans_of(&found)).verdict("a read under load")
}

async fn search(client: &Client, shared: &Shared, rng: &mut fastrand::Rng) -> anyhow::Result<()> {
    let sort = ["slowest", "newest", "spans", "errors"][rng.usize(0..4)];
    let service = workload::service(rng);
    let path = format!("/api/v1/search?service={service}&sort={sort}&limit=20");
    let reply = get(client, &path, &[]).await?;
    let found = reply.json();
    ensure!(found["complete"] == true, "{path} is not complete");
    for request in found["requests"].as_array().into_iter().flatten() {
        let id = request["traceId"].as_str().unwrap_or_default();
        let trace = u128::from_str_radix(id, 16)?;
        ensure!(
            shared.ledger.lock().knows(trace),
            "{path} has a trace that was never sent: {id}"
        );
    }
    Ok(())
}

/// Gets a path that must be answered well.
async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> anyhow::Result<Reply> {
    let reply = client.try_get(path, headers).await;
    let reply = reply.with_context(|| format!("{path} was not answered"))?;
    ensure!(
        reply.status == 200,
        "{path}: {} {}",
        reply.status,
        reply.text()
    );
    Ok(reply)
}
