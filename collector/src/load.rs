//! `longpole load`: how many spans a second an OTLP endpoint takes, and at what cost.
//!
//! A closed loop: each of the workers sends a request, waits for the answer and sends the next, so
//! that a slow server is asked less and never drowned. The requests are made once and sent with new
//! ids and times (`workload`), which leaves the machine to the server. `--sink` is the other side:
//! a server that does nothing with what it gets, to compare with.

mod exporter;
mod report;
mod send;
mod shop;
mod sink;
mod workload;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Uri;

use crate::config::LogConfig;
use crate::protection::{tls, tokens};
use report::{Report, Usage};
use send::Feed;
pub use sink::{Sink, receive};
use workload::Workload;

/// What `longpole load` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadConfig {
    /// Where to send to.
    pub endpoint: Uri,
    /// Where the token to send is.
    pub token_file: Option<PathBuf>,
    /// Where the authorities that the endpoint's certificate may be of are; those of the system without.
    pub tls_ca: Option<PathBuf>,
    /// How to send.
    pub protocol: Protocol,
    /// How many spans, about: requests are never cut.
    pub n_spans: u64,
    /// How many requests are under way at once.
    pub concurrency: usize,
    /// Which process is the server, for its CPU time and memory.
    pub server_pid: Option<u32>,
    /// Where to write the ids of the traces.
    pub ids: Option<PathBuf>,
    /// What the ids and the mix are made from.
    pub seed: u64,
    /// How to log.
    pub log: LogConfig,
}

/// What `longpole load --sink` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// What to do before dropping a request.
    pub sink: Sink,
    /// How to receive.
    pub protocol: Protocol,
    /// Where to receive.
    pub listen: SocketAddr,
    /// How to log.
    pub log: LogConfig,
}

/// An OTLP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Protocol {
    /// OTLP/gRPC.
    #[default]
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
}

/// How many different rounds are made: a third of a million spans, more than a store compresses
/// together, in 150 MB.
const N_ROUNDS: usize = 48;

/// A server counts as settled when it used no more CPU than this in [`SETTLED_FOR`].
const SETTLED_CPU_SECONDS: f64 = 0.02;
const SETTLED_FOR: Duration = Duration::from_secs(2);

/// How long is waited for a server to settle.
const SETTLE_MAX: Duration = Duration::from_mins(2);

/// Sends the load and says what was found; stops early, with what was found so far, when told.
///
/// # Errors
/// When the endpoint cannot be reached, the server's process not be read, or the ids not be written.
pub async fn run(
    config: LoadConfig,
    stop: CancellationToken,
) -> anyhow::Result<impl std::fmt::Display> {
    let workload = Arc::new(Workload::new(config.seed, N_ROUNDS));
    let usage = |pid: u32| {
        Usage::of(pid).with_context(|| format!("cannot read process {pid} of --server-pid"))
    };
    let before = config.server_pid.map(usage).transpose()?;
    let feed = Arc::new(Feed::new(Arc::clone(&workload), config.n_spans));
    let authorization = config.token_file.as_deref().map(tokens::authorization);
    let authorization = authorization.transpose()?;
    let tls = tls::trusting(&config.endpoint, config.tls_ca.as_deref())?;
    let mut exporters = Vec::with_capacity(config.concurrency);
    for _ in 0..config.concurrency {
        exporters.push(
            exporter::connect(
                &config.endpoint,
                config.protocol,
                tls.clone(),
                authorization.clone(),
            )
            .await?,
        );
    }
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for exporter in exporters {
        workers.spawn(Arc::clone(&feed).work(exporter));
    }
    tokio::select! {
        () = async { while workers.join_next().await.is_some() {} } => {}
        () = stop.cancelled() => feed.stop(),
    }
    while workers.join_next().await.is_some() {}
    let took = begun.elapsed();
    let server = match (config.server_pid, before) {
        (Some(pid), Some(before)) => Some(settled(pid, usage).await?.since(before)),
        _ => None,
    };
    let found = feed.finish();
    if let Some(path) = &config.ids {
        let write = || {
            let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
            found.write_ids(&workload, &mut file)?;
            file.flush()
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Report {
        n_spans: found.n_spans,
        n_requests: found.latencies.len() as u64,
        n_rejected: found.n_rejected,
        n_failed: found.n_failed,
        first_error: found.first_error,
        took,
        latencies: found.latencies,
        server,
    })
}

/// Waits until a process has done what it had to do, then says what it used.
async fn settled(pid: u32, usage: impl Fn(u32) -> anyhow::Result<Usage>) -> anyhow::Result<Usage> {
    let begun = Instant::now();
    let mut last = usage(pid)?;
    loop {
        tokio::time::sleep(SETTLED_FOR).await;
        let now = usage(pid)?;
        if now.cpu_seconds - last.cpu_seconds <= SETTLED_CPU_SECONDS || begun.elapsed() > SETTLE_MAX
        {
            return Ok(now);
        }
        last = now;
    }
}
