//! The server as a process: its log goes to a file, and it can be killed at any moment.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use longpole_tests::{Client, DEADLINE, eventually};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tonic::transport::Endpoint;

use crate::exporter::Exporter;

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct ServerCommand {
    binary: PathBuf,
    data_dir: PathBuf,
    /// Where its log lines go, those of each start behind those before.
    log: PathBuf,
    options: Vec<String>,
    wrapper: Vec<String>,
}

impl ServerCommand {
    /// A server of a data directory, on free ports.
    pub(crate) fn new(binary: &Path, data_dir: &Path, log: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            data_dir: data_dir.to_owned(),
            log: log.to_owned(),
            options: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// With an option and its value.
    #[must_use]
    pub(crate) fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Run by another program, which is given its command line behind these words.
    #[must_use]
    pub(crate) fn wrapped(mut self, words: impl Iterator<Item = String>) -> Self {
        self.wrapper.extend(words);
        self
    }

    /// Starts it, and does not wait for anything.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut words = self.wrapper.iter().map(PathBuf::from);
        let mut command = match words.next() {
            None => Command::new(&self.binary),
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(&self.binary);
                command
            }
        };
        command.args(["serve", "--log-format", "json", "--data-dir"]);
        command.arg(&self.data_dir);
        for flag in ["--otlp-grpc", "--otlp-http", "--ui"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command
            .args(&self.options)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let binary = self.binary.display();
        command
            .spawn()
            .with_context(|| format!("cannot start {binary}"))
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) async fn start(&self) -> anyhow::Result<Server> {
        let begun = Instant::now();
        let log_from = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let mut child = self.spawn()?;
        let ready = eventually("the server to be ready", async || {
            let said = said(&self.log, log_from);
            let is_ready = |line: &Value| line["message"] == "ready";
            if let Some(line) = json_lines(&said).find(is_ready) {
                return Some(Ok(line));
            }
            match child.try_wait() {
                Ok(None) => None,
                _ => Some(Err(anyhow::anyhow!("{}", last_words(&said)))),
            }
        })
        .await?;
        let address = |field: &str| -> anyhow::Result<SocketAddr> {
            let url = ready[field].as_str().context("an endpoint is text")?;
            Ok(url.trim_start_matches("http://").parse()?)
        };
        Ok(Server {
            client: Client::new(address("otlp_http")?, address("ui")?),
            otlp_http: address("otlp_http")?,
            otlp_grpc: address("otlp_grpc")?,
            child,
            log: self.log.clone(),
            log_from,
            ready_after: begun.elapsed(),
        })
    }
}

/// A server that is ready.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    client: Client,
    otlp_http: SocketAddr,
    otlp_grpc: SocketAddr,
    log: PathBuf,
    log_from: u64,
    /// How long it took to be ready.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Speaks to it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Where it receives OTLP/HTTP.
    pub(crate) fn otlp_http(&self) -> SocketAddr {
        self.otlp_http
    }

    /// Connects to it, every other time over gRPC.
    ///
    /// # Errors
    /// When it takes no connection.
    pub(crate) async fn exporter(&self, number: usize) -> anyhow::Result<Exporter> {
        if number.is_multiple_of(2) {
            return Ok(Exporter::Http(self.client.clone()));
        }
        let endpoint = Endpoint::from_shared(format!("http://{}", self.otlp_grpc))?;
        let channel = endpoint.tcp_nodelay(true).connect().await?;
        Ok(Exporter::Grpc(TraceServiceClient::new(channel)))
    }

    /// A number from `/metrics`.
    ///
    /// # Errors
    /// When there is none of this name.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.client.get("/metrics").await.expect(200).text();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, value) = lines
            .find(|(found, _)| *found == name)
            .with_context(|| format!("no {name} in /metrics"))?;
        Ok(value.parse()?)
    }

    /// Fails when it removed spans since this start, as it may when the proof has too many.
    ///
    /// # Errors
    /// When it did.
    pub(crate) fn check_kept(&self) -> anyhow::Result<()> {
        let n_removed = self.n_said("removed a partition");
        ensure!(
            n_removed == 0,
            "the directory went over --max-disk: no proof of anything"
        );
        Ok(())
    }

    /// Its process ID.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// Where it receives OTLP/gRPC.
    pub(crate) fn otlp_grpc(&self) -> SocketAddr {
        self.otlp_grpc
    }

    /// Sends it a signal and waits until it is gone.
    ///
    /// # Errors
    /// When it does not go, or had gone before.
    pub(crate) async fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        end(&mut self.child, signal).await
    }

    /// How many of its log lines since this start have this message.
    pub(crate) fn n_said(&self, message: &str) -> usize {
        let said = said(&self.log, self.log_from);
        json_lines(&said)
            .filter(|line| line["message"] == message)
            .count()
    }

    /// Fails when it logged an error or panicked since this start.
    ///
    /// # Errors
    /// With the first such line.
    pub(crate) fn check_log(&self) -> anyhow::Result<()> {
        let said = said(&self.log, self.log_from);
        let is_bad = |line: &&str| line.contains("panicked") || line.contains(r#""level":"ERROR""#);
        match said.lines().find(is_bad) {
            Some(line) => bail!("the server logged {line}"),
            None => Ok(()),
        }
    }
}

/// Sends a process a signal and waits until it is gone.
///
/// # Errors
/// When it does not go, or had gone before.
pub(crate) async fn end(child: &mut Child, with: Signal) -> anyhow::Result<()> {
    signal(child, with)?;
    timeout(DEADLINE, child.wait())
        .await
        .context("the server does not end")??;
    Ok(())
}

/// Sends a process a signal.
///
/// # Errors
/// When it had gone before.
pub(crate) fn signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = child.id().context("the process ended by itself")?;
    let pid = Pid::from_raw(pid.cast_signed()).context("a process ID is not 0")?;
    Ok(kill_process(pid, signal)?)
}

/// What a log has from a place on.
fn said(log: &Path, from: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}

/// The message of a log's last line.
fn last_words(said: &str) -> String {
    let last = json_lines(said).last();
    let message = last.and_then(|line| line["message"].as_str().map(str::to_owned));
    message.unwrap_or_else(|| said.to_owned())
}

fn json_lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
}
