//! Full load for minutes while the oldest spans are removed: does the directory stay below its bound, the
//! process below its memory, and the cost of a span what it was?

mod usage;

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use longpole_tests::DEADLINE;
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use self::usage::{Usage, bytes_below};
use crate::pause::pause;
use crate::scratch::Scratch;
use crate::server::{Server, ServerCommand, signal};

/// How often directory and memory are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often a line is printed; shorter in short runs, so that there are a first and a last third.
const LINE: Duration = Duration::from_secs(30);
const LINES_MIN: u32 = 6;

/// A last third that costs so much more CPU a span than the first is a slow-down.
const SLOWER_MAX: f64 = 1.15;

/// The counter of what was stored.
const ACCEPTED: &str =
    r#"longpole_receiver_spans_total{transport="grpc",outcome="accepted",reason=""}"#;

/// More than can be sent.
const SPANS: &str = "10000M";

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// The server's --max-disk, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    max_disk: u64,
    /// The server's --memory-limit, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory_limit: u64,
    /// The server's --durability
    #[arg(long, value_name = "WHEN", default_value = "fsync")]
    durability: String,
    /// How many requests are under way at once
    #[arg(long, value_name = "N", default_value_t = 8)]
    concurrency: u32,
}

/// What a while was like.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    seconds: f64,
    n_spans: u64,
    cpu_seconds: f64,
    /// The most at once.
    disk_bytes: u64,
    rss_bytes: u64,
}

/// Runs the proof and gives its table.
///
/// # Errors
/// With what was not as it should be, and the table.
pub(crate) async fn prove(binary: &Path, below: &Path, args: &Args) -> anyhow::Result<String> {
    let scratch = Scratch::new(below)?;
    let soaked = soak(binary, scratch.path(), args).await;
    scratch.settle(soaked)
}

async fn soak(binary: &Path, dir: &Path, args: &Args) -> anyhow::Result<String> {
    let data = dir.join("data");
    let mut server = ServerCommand::new(binary, &data, &dir.join("log.json"))
        .option("--durability", &args.durability)
        .option("--max-disk", &format!("{}MiB", args.max_disk))
        .option("--memory-limit", &format!("{}MiB", args.memory_limit))
        .start()
        .await?;
    let report = dir.join("load.txt");
    let mut load = start_load(binary, &server, args, &report)?;
    let duration = Duration::from_secs_f64(args.minutes * 60.0);
    let lines = watch(&server, &mut load, &data, duration).await;
    signal(&load, Signal::INT)?;
    let ended = timeout(DEADLINE, load.wait()).await;
    ended.context("the load does not end")??;
    let lines = lines?;
    let rss_peak_bytes = Usage::of(server.pid()?)?.rss_peak_bytes;
    let report = std::fs::read_to_string(&report)?;
    let errors = errors(&server, &report);
    server.end(Signal::TERM).await?;

    let mut faults = Vec::new();
    let mut text = table(&lines);
    let mut judge = |what: &str, is_well: bool, found: String| -> std::fmt::Result {
        if !is_well {
            faults.push(what.to_owned());
        }
        let verdict = if is_well { "pass" } else { "FAIL" };
        writeln!(text, "{verdict}  {what}: {found}")
    };
    let disk_bytes = lines.iter().map(|line| line.disk_bytes).max().unwrap_or(0);
    let max_disk = args.max_disk << 20;
    let over = disk_bytes.saturating_sub(max_disk);
    judge(
        "disk under the cap",
        over == 0,
        format!(
            "{} of {} MB, {} over at worst",
            mb(disk_bytes),
            mb(max_disk),
            mb(over)
        ),
    )?;
    let limit = args.memory_limit << 20;
    judge(
        "memory under the limit",
        rss_peak_bytes <= limit,
        format!("peak of {} of {} MB", mb(rss_peak_bytes), mb(limit)),
    )?;
    let third = lines.len() / 3;
    let (first, last) = (cost(&lines[..third]), cost(&lines[lines.len() - third..]));
    judge(
        "no slow-down",
        last.0 <= first.0 * SLOWER_MAX,
        format!(
            "{:.2} CPU-s per million spans in the first third, {:.2} in the last ({:.0} k and {:.0} k spans/s)",
            first.0,
            last.0,
            first.1 / 1e3,
            last.1 / 1e3
        ),
    )?;
    judge("no errors", errors.is_empty(), errors.join("; "))?;
    text += &report;
    ensure!(faults.is_empty(), "{}\n{text}", faults.join(", "));
    Ok(text)
}

fn start_load(binary: &Path, server: &Server, args: &Args, report: &Path) -> anyhow::Result<Child> {
    let endpoint = format!("http://{}", server.otlp_grpc());
    let concurrency = args.concurrency.to_string();
    let load = Command::new(binary)
        .args(["load", "--endpoint", &endpoint, "--spans", SPANS])
        .args(["--concurrency", &concurrency])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(File::create(report)?)
        .stderr(File::create(report.with_extension("err"))?)
        .kill_on_drop(true)
        .spawn();
    load.context("cannot start the load")
}

/// Looks at the server for so long.
async fn watch(
    server: &Server,
    load: &mut Child,
    data: &Path,
    duration: Duration,
) -> anyhow::Result<Vec<Line>> {
    let pid = server.pid()?;
    let line_for = LINE.min(duration / LINES_MIN);
    let n_lines = duration.as_millis() / line_for.as_millis().max(1);
    eprint!("{}", head());
    let mut lines = Vec::new();
    let begun = Instant::now();
    let mut line_begun = begun;
    let mut cpu_before = Usage::of(pid)?.cpu_seconds;
    let mut spans_before = 0;
    let mut line = Line::default();
    while (lines.len() as u128) < n_lines {
        pause(LOOK).await;
        ensure!(load.try_wait()?.is_none(), "the load ended by itself");
        let usage = Usage::of(pid).context("the server ended by itself")?;
        line.disk_bytes = line.disk_bytes.max(bytes_below(data)?);
        line.rss_bytes = line.rss_bytes.max(usage.rss_bytes);
        if line_begun.elapsed() >= line_for {
            let n_spans = server.metric(ACCEPTED).await?;
            line.seconds = line_begun.elapsed().as_secs_f64();
            line.n_spans = n_spans - spans_before;
            line.cpu_seconds = usage.cpu_seconds - cpu_before;
            eprint!("{}", row(begun.elapsed(), line));
            lines.push(line);
            (spans_before, cpu_before) = (n_spans, usage.cpu_seconds);
            line = Line::default();
            line_begun = Instant::now();
        }
    }
    Ok(lines)
}

/// What went wrong, in words.
fn errors(server: &Server, report: &str) -> Vec<String> {
    let mut errors = Vec::new();
    for name in ["spans refused", "requests failed"] {
        let line = report.lines().find(|line| line.starts_with(name));
        match line.map(|line| line[name.len()..].trim()) {
            Some("0") => {}
            Some(n) => errors.push(format!("{n} {name}")),
            None => errors.push(format!("the load does not say how many {name}")),
        }
    }
    errors.extend(server.check_log().err().map(|error| error.to_string()));
    errors
}

/// CPU seconds by million spans, and spans by second.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
fn cost(lines: &[Line]) -> (f64, f64) {
    let n_spans = lines.iter().map(|line| line.n_spans).sum::<u64>().max(1) as f64;
    let cpu_seconds: f64 = lines.iter().map(|line| line.cpu_seconds).sum();
    let seconds: f64 = lines.iter().map(|line| line.seconds).sum();
    (cpu_seconds * 1e6 / n_spans, n_spans / seconds.max(1e-9))
}

fn mb(n_bytes: u64) -> u64 {
    n_bytes / 1_000_000
}

fn head() -> String {
    "   time    spans/s   CPU-s per M   RSS MB   disk MB\n".to_owned()
}

fn row(at: Duration, line: Line) -> String {
    let (cpu, speed) = cost(&[line]);
    let (rss, disk) = (mb(line.rss_bytes), mb(line.disk_bytes));
    let seconds = at.as_secs_f64();
    format!("{seconds:5.0} s {speed:10.0} {cpu:13.2} {rss:8} {disk:9}\n")
}

fn table(lines: &[Line]) -> String {
    let mut text = head();
    let mut at = 0.0;
    for line in lines {
        at += line.seconds;
        text += &row(Duration::from_secs_f64(at), *line);
    }
    text
}
