//! The binary as a process: it is killed, stopped, started twice and started wrongly.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use longpole_tests::spans::{Draft, request, spans_of};
use longpole_tests::{Client, DEADLINE, eventually};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Which spans of which traces were acknowledged.
type Acknowledged = BTreeMap<u128, BTreeSet<u64>>;

/// A command line of the binary, without anything from this process's environment.
fn longpole(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longpole"));
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A command line that serves on free ports.
fn serve(data_dir: &Path) -> Command {
    let data_dir = data_dir
        .to_str()
        .expect("a temporary directory has a plain name");
    let mut command = longpole(&["serve", "--log-format", "json", "--data-dir", data_dir]);
    for flag in ["--otlp-grpc", "--otlp-http", "--ui"] {
        command.args([flag, "127.0.0.1:0"]);
    }
    command
}

/// A process that serves.
struct Process {
    child: Child,
    // Held so that the process's log lines do not fail.
    _log: BufReader<ChildStderr>,
    client: Client,
    ready: Value,
}

impl Process {
    /// Starts one and waits for its start message, which says its addresses.
    async fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[]).await
    }

    /// The same, with more options.
    async fn start_with(data_dir: &Path, options: &[&str]) -> Self {
        let mut command = serve(data_dir);
        let mut child = command.args(options).spawn().expect("the binary starts");
        let mut log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let mut seen = String::new();
        let ready = loop {
            let begun = seen.len();
            let read = timeout(DEADLINE, log.read_line(&mut seen)).await;
            let n_bytes = read
                .expect("the start message comes")
                .expect("the log is UTF-8");
            assert_ne!(n_bytes, 0, "the process ended before it was ready: {seen}");
            let line: Value = serde_json::from_str(&seen[begun..]).expect("a log line is JSON");
            if line["message"] == "ready" {
                break line;
            }
        };
        let client = Client::new(address(&ready["otlp_http"]), address(&ready["ui"]));
        Self {
            child,
            _log: log,
            client,
            ready,
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("the process was not waited for");
        let pid = Pid::from_raw(pid.cast_signed()).expect("a process ID is not 0");
        kill_process(pid, signal).expect("the process can be signalled");
    }

    async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(DEADLINE, self.child.wait()).await;
        ended
            .expect("the process ends in time")
            .expect("the process can be waited for")
    }
}

/// The address in an endpoint's URL.
fn address(endpoint: &Value) -> SocketAddr {
    let endpoint = endpoint.as_str().expect("an endpoint is text");
    let address = endpoint
        .strip_prefix("http://")
        .expect("an endpoint is a URL");
    address.parse().expect("an endpoint is an address")
}

/// Runs a command line that is expected to end by itself; gives its exit code and what it said.
async fn outcome(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the binary starts");
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("its log is piped");
    let ended = timeout(DEADLINE, async {
        stderr
            .read_to_string(&mut said)
            .await
            .expect("what it says is UTF-8");
        child.wait().await.expect("the process can be waited for")
    });
    (ended.await.expect("the process ends in time").code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing_that_was_acknowledged() {
    end_under_load(Signal::KILL, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_loses_nothing_that_was_acknowledged() {
    end_under_load(Signal::TERM, 4).await;
}

/// Ends a process that takes spans, again and again; the next has all that it acknowledged.
async fn end_under_load(signal: Signal, n_rounds: usize) {
    let data_dir = TempDir::new().expect("a temporary directory can be made");
    let mut acknowledged = Acknowledged::new();
    for round in 0..n_rounds {
        let mut process = Process::start(data_dir.path()).await;
        missing(&process.client, &acknowledged).await;
        // Once right after the first acknowledgement, then ever later, always under load.
        let n_before_kill = 1 + round * round * 3;
        let n_acknowledged = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let first_trace = (round as u128 + 1) << 32 | sender << 16;
                let client = process.client.clone();
                let count = Arc::clone(&n_acknowledged);
                tokio::spawn(send_until_cut_off(client, first_trace, count))
            })
            .collect();
        eventually("acknowledgements", async || {
            (n_acknowledged.load(Ordering::Relaxed) >= n_before_kill).then_some(())
        })
        .await;
        process.signal(signal);
        let ended = process.ended().await;
        assert_eq!(ended.success(), signal == Signal::TERM, "{ended}");
        for sender in senders {
            let sent = sender.await.expect("a sender ends when it is cut off");
            for (trace, ids) in sent {
                acknowledged.entry(trace).or_default().extend(ids);
            }
        }
    }
    let process = Process::start(data_dir.path()).await;
    missing(&process.client, &acknowledged).await;
    let n_spans: usize = acknowledged.values().map(BTreeSet::len).sum();
    assert!(
        n_spans > n_rounds * 3,
        "only {n_spans} spans were acknowledged"
    );
}

/// Sends requests of one to five spans, spread over a few traces that grow request by request, until
/// one is not acknowledged; gives what was.
async fn send_until_cut_off(
    client: Client,
    first_trace: u128,
    n_acknowledged: Arc<AtomicUsize>,
) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for n in 0_u64.. {
        let trace = first_trace + u128::from(n % 7) + 1;
        let ids: Vec<u64> = (0..=n % 5).map(|at| n * 8 + at + 1).collect();
        let drafts = ids
            .iter()
            .map(|&id| Draft::new(trace, id, "work").at(id, id + 5));
        match client.try_export(&request(drafts)).await {
            Some(reply) if reply.status == 200 => {
                acknowledged.entry(trace).or_default().extend(ids);
                n_acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            _ => break,
        }
    }
    acknowledged
}

/// Checks span by span that all that was acknowledged is there.
async fn missing(client: &Client, acknowledged: &Acknowledged) {
    for (&trace, ids) in acknowledged {
        let stored = client.trace(trace).await.unwrap_or_default();
        let stored: BTreeSet<u64> = spans_of(&stored)
            .iter()
            .map(|(_, span)| u64::from_be_bytes(span.span_id[..].try_into().expect("8 bytes")))
            .collect();
        let lost: Vec<_> = ids.difference(&stored).collect();
        assert!(
            lost.is_empty(),
            "trace {trace:032x} was acknowledged and lost spans {lost:?}"
        );
    }
}

#[tokio::test]
async fn kill_9_right_behind_a_deletion_brings_nothing_back() {
    const TOKEN: &str = "both-both-both-both";
    let dir = TempDir::new().expect("a temporary directory can be made");
    let (data_dir, tokens) = (dir.path().join("data"), dir.path().join("tokens"));
    std::fs::write(&tokens, TOKEN).expect("written");
    let tokens = tokens.to_str().expect("a plain name");
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/x-protobuf"),
    ];
    let path = |trace: u128| format!("/api/v1/traces/{trace:032x}");
    for round in 1..=6_u128 {
        let mut process = Process::start_with(&data_dir, &["--token-file", tokens]).await;
        for trace in [round, 100 + round] {
            let spans = request([Draft::new(trace, 1, "work"), Draft::new(trace, 2, "more")]);
            let sent = process.client.post(&headers, spans.encode_to_vec()).await;
            assert_eq!(sent.status, 200);
        }
        let url = format!(
            "{}{}",
            process.ready["ui"].as_str().expect("a URL"),
            path(round)
        );
        let deleting = reqwest::Client::new().delete(url).bearer_auth(TOKEN);
        let deleted = deleting.send().await.expect("answered");
        assert_eq!(deleted.status(), 200);
        process.signal(Signal::KILL);
        process.ended().await;
        let mut process = Process::start_with(&data_dir, &["--token-file", tokens]).await;
        for trace in 1..=round {
            let status = async |trace| {
                let reply = process.client.try_get(&path(trace), &headers).await;
                reply.expect("answered").status
            };
            assert_eq!(status(trace).await, 404, "{trace} of {round}");
            assert_eq!(status(100 + trace).await, 200, "{trace} of {round}");
        }
        process.signal(Signal::KILL);
        process.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_it_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let data_dir = TempDir::new().expect("a temporary directory can be made");
        let mut process = Process::start(data_dir.path()).await;
        process
            .client
            .export(&request([Draft::new(1, 1, "work").at(0, 5)]))
            .await;
        process.signal(signal);
        assert_eq!(process.ended().await.code(), Some(0), "{signal:?}");

        let process = Process::start(data_dir.path()).await;
        missing(
            &process.client,
            &Acknowledged::from([(1, BTreeSet::from([1]))]),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_gets_a_sentence() {
    let data_dir = TempDir::new().expect("a temporary directory can be made");
    let first = Process::start(data_dir.path()).await;
    let (code, said) = outcome(serve(data_dir.path())).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another longpole"), "{said}");
    assert!(
        said.contains(&data_dir.path().display().to_string()),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    first
        .client
        .export(&request([Draft::new(1, 1, "work").at(0, 5)]))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_cannot_be_used_gets_a_sentence() {
    let folder = TempDir::new().expect("a temporary directory can be made");
    let file = folder.path().join("file");
    std::fs::write(&file, "no directory").expect("a temporary directory takes a file");
    let (code, said) = outcome(serve(&file)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&file.display().to_string()), "{said}");

    let data_dir = folder.path().join("data");
    let mut process = Process::start(&data_dir).await;
    process.signal(Signal::TERM);
    process.ended().await;
    std::fs::write(data_dir.join("FORMAT"), "longpole 99\n").expect("the format can be changed");
    let (code, said) = outcome(serve(&data_dir)).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("format") && said.contains("99"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken
        .local_addr()
        .map(|address| (taken, address))
        .expect("it has an address");
    for flag in ["--otlp-grpc", "--otlp-http", "--ui"] {
        let folder = TempDir::new().expect("a temporary directory can be made");
        let mut command = longpole(&["--data-dir"]);
        command.arg(folder.path());
        for other in ["--otlp-grpc", "--otlp-http", "--ui"] {
            let port = if other == flag { taken.1.port() } else { 0 };
            command.arg(other).arg(format!("127.0.0.1:{port}"));
        }
        let (code, said) = outcome(command).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{flag} {}", taken.1)), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_refused_by_name_before_anything_is_done() {
    let folder = TempDir::new().expect("a temporary directory can be made");
    let cases = [
        ("--otlp-grpc", "nowhere"),
        ("--otlp-http", "127.0.0.1:99999"),
        ("--ui", "16686"),
        ("--durability", "hope"),
        ("--log-format", "xml"),
        ("--max-request-bytes", "many"),
        ("--base-path", "no slash"),
    ];
    let data_dir = folder.path().join("data");
    for (flag, value) in cases {
        let mut by_flag = longpole(&[flag, value, "--data-dir"]);
        by_flag.arg(&data_dir);
        let variable = format!("LONGPOLE_{}", flag[2..].to_uppercase().replace('-', "_"));
        let mut by_variable = longpole(&["--data-dir"]);
        by_variable.arg(&data_dir).env(variable, value);
        for command in [by_flag, by_variable] {
            let (code, said) = outcome(command).await;
            assert_eq!(code, Some(2), "{flag}: {said}");
            assert!(
                said.contains(flag) && said.contains(value),
                "{flag}: {said}"
            );
        }
    }
    let (code, said) = outcome(longpole(&["--no-such-flag"])).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--no-such-flag"), "{said}");
    assert!(
        !data_dir.exists(),
        "a wrong command line leaves nothing behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_message_has_the_addresses() {
    let data_dir = TempDir::new().expect("a temporary directory can be made");
    let process = Process::start(data_dir.path()).await;
    for field in ["otlp_grpc", "otlp_http", "ui"] {
        assert_ne!(
            address(&process.ready[field]).port(),
            0,
            "{}",
            process.ready
        );
    }
    assert_eq!(
        process.ready["data_dir"],
        data_dir.path().display().to_string()
    );
    assert_eq!(process.client.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_command_fills_a_running_server() {
    let data_dir = TempDir::new().expect("a temporary directory can be made");
    let process = Process::start(data_dir.path()).await;
    let endpoint = process.ready["otlp_grpc"]
        .as_str()
        .expect("an endpoint is text");
    let demo = longpole(&["demo", "--endpoint", endpoint, "--duration", "1s"]);
    let (code, said) = outcome(demo).await;
    assert_eq!(code, Some(0), "{said}");
    let checkout = process.client.slow_checkout().await;
    assert_eq!(checkout["durationNanos"], 390_000_000);
}
