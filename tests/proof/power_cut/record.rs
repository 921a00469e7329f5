//! A server under strace, and clients that remember what they sent over which connection.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use longpole_tests::eventually;
use prost::Message as _;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{WORKLOAD, strace};
use crate::pause::pause;
use crate::server::ServerCommand;
use crate::workload::{Source, SpanKey};

const SENDERS: usize = 6;

/// How many partitions a life closes before it ends.
const CLOSED_IN_A_LIFE: usize = 1;

/// How often each connection sends, all at once: partitions are to be closed before there are too
/// many spans.
const PACE: Duration = Duration::from_millis(100);

/// A life ends at a drawn moment, so long after that at most.
const AFTERWARDS_MAX: Duration = Duration::from_secs(3);

/// Starts servers under strace.
#[derive(Debug)]
pub(super) struct Recorder {
    command: ServerCommand,
    dir: PathBuf,
}

/// What was seen of a server's life.
#[derive(Debug)]
pub(super) struct Watched {
    /// What strace wrote.
    pub(super) recording: PathBuf,
    pub(super) connections: Vec<Connection>,
}

/// What was sent over a connection, one request after the other's answer.
#[derive(Debug)]
pub(super) struct Connection {
    /// The client's.
    pub(super) port: u16,
    pub(super) requests: Vec<Vec<SpanKey>>,
    /// How many of them were acknowledged.
    pub(super) n_acknowledged: usize,
}

impl Recorder {
    /// Recordings go to `dir`.
    pub(super) fn new(command: ServerCommand, dir: &Path) -> Self {
        Self {
            command,
            dir: dir.to_owned(),
        }
    }

    /// Starts the server, loads it until it has closed some partitions, and kills it.
    ///
    /// # Errors
    /// When it does not start, or answers anything but success.
    pub(super) async fn record(
        &self,
        number: usize,
        rng: &mut fastrand::Rng,
    ) -> anyhow::Result<Watched> {
        let recording = self.dir.join(format!("strace-{number}"));
        // The tracer is its grandchild, so that the process started is the server itself.
        let wrapper = ["strace", "-D", "-f", "--seccomp-bpf", "-xx"].map(str::to_owned);
        let traced = [
            format!("--string-limit={}", strace::BYTES_MAX),
            format!("--trace={}", strace::TRACED),
            "--signal=KILL".to_owned(),
            format!("--output={}", recording.display()),
        ];
        let command = self
            .command
            .clone()
            .wrapped(wrapper.into_iter().chain(traced));
        let mut server = command.start().await?;
        let mut sending = JoinSet::new();
        for _ in 0..SENDERS {
            sending.spawn(send(server.otlp_http(), Source::new(rng.u64(..), WORKLOAD)));
        }
        while server.n_said("closed a partition") < CLOSED_IN_A_LIFE {
            pause(Duration::from_millis(50)).await;
            if let Some(ended) = sending.try_join_next() {
                ended??;
                anyhow::bail!("a connection broke under load");
            }
        }
        pause(AFTERWARDS_MAX.mul_f64(rng.f64())).await;
        server.end(Signal::KILL).await?;
        server.check_log()?;
        server.check_kept()?;
        let mut connections = Vec::new();
        while let Some(ended) = sending.join_next().await {
            connections.push(ended??);
        }
        eventually("strace to end", async || {
            let end = tail(&recording).ok()?;
            end.ends_with(b"+++ killed by SIGKILL +++\n").then_some(())
        })
        .await;
        Ok(Watched {
            recording,
            connections,
        })
    }
}

/// The end of a file.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(64)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Sends until the connection breaks. By hand, because no client says which connection it takes.
async fn send(to: SocketAddr, mut source: Source) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let mut connection = Connection {
        port: stream.local_addr()?.port(),
        requests: Vec::new(),
        n_acknowledged: 0,
    };
    let mut stream = BufReader::new(stream);
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let keys = source.next();
        let body = WORKLOAD.request(&keys).encode_to_vec();
        connection.requests.push(keys);
        match export(&mut stream, &body).await {
            Ok(status) => {
                ensure!(status == "HTTP/1.1 200 OK", "a request came to {status}");
                connection.n_acknowledged += 1;
            }
            Err(_) => return Ok(connection),
        }
    }
}

/// Sends a request and gives its answer's first line.
async fn export(stream: &mut BufReader<TcpStream>, body: &[u8]) -> anyhow::Result<String> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: longpole\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut status = None;
    let mut left = 0;
    loop {
        let mut line = String::new();
        let n_bytes = stream.read_line(&mut line).await?;
        ensure!(n_bytes > 0, "the connection broke");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length: ") {
            left = length.parse()?;
        }
        status.get_or_insert_with(|| line.to_owned());
    }
    let mut answer = vec![0; left];
    stream.read_exact(&mut answer).await?;
    status.context("an answer has a status")
}
