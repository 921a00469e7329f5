//! A disk that runs full, of a file system small enough to fill: first slowly, by what is stored, so
//! that the server refuses before it hurts; then at once, from outside, so that log and sled find no room.

mod ballast;
mod load;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use longpole_tests::{DEADLINE, eventually};
use rustix::process::Signal;
use tokio::time::timeout;

use self::ballast::{Ballast, SmallDisk};
use self::load::{Load, Pace};
use crate::check::{Count, check};
use crate::pause::pause;
use crate::scratch::Scratch;
use crate::server::{Server, ServerCommand};
use crate::workload::Workload;

/// The server keeps 256 MiB free whatever the disk's size, so a quarter of a gigabyte is the least
/// that can be filled.
const DISK_BYTES: u64 = 448 << 20;
/// What stands in the way at first, and is removed when the server has refused.
const BALLAST_BYTES: u64 = 96 << 20;
/// Less free than this when the server refuses is too late: what it has in memory then is still to
/// be written.
const FREE_BYTES_MIN: u64 = 96 << 20;

const MAX_DISK: &str = "384MiB";
const MEMORY_LIMIT: &str = "128MiB";
const WORKLOAD: Workload = Workload {
    filler_bytes: 1_500,
    trace_spans: 60,
};

/// How long the disk stays full at most while the load goes on: long enough that what came before is
/// quiet for 10 s and sealed, which needs room.
const FULL_MAX: Duration = Duration::from_secs(16);

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often the disk is filled from outside
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// What the spans and moments are made from; drawn when not given
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Runs the proof and says what was counted.
///
/// # Errors
/// With what was lost, or could not be done.
pub(crate) async fn prove(binary: &Path, below: &Path, args: &Args) -> anyhow::Result<String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("proof full-disk: seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let scratch = Scratch::new(below)?;
    let mut said = vec![];
    let filled = async {
        said.push(nearly_full(binary, scratch.path(), &mut rng).await?);
        for round in 0..args.rounds {
            let filled = full(binary, scratch.path(), &mut rng).await;
            said.push(filled.with_context(|| format!("round {round}"))?);
        }
        Ok(())
    };
    let result = filled.await;
    scratch
        .settle(result)
        .with_context(|| format!("seed {seed}"))?;
    said.push(format!("lost: 0, seed {seed}"));
    Ok(said.join("\n"))
}

fn command(binary: &Path, dir: &Path, disk: &SmallDisk) -> ServerCommand {
    ServerCommand::new(binary, &disk.path().join("data"), &dir.join("log.json"))
        .option("--durability", "fsync")
        .option("--max-disk", MAX_DISK)
        .option("--memory-limit", MEMORY_LIMIT)
}

/// Stores until the server refuses, makes room, and sees it go on by itself.
async fn nearly_full(binary: &Path, dir: &Path, rng: &mut fastrand::Rng) -> anyhow::Result<String> {
    let disk = SmallDisk::mount(&dir.join("disk"), DISK_BYTES)?;
    let mut ballast = Ballast::new(&disk)?;
    ballast.grow(BALLAST_BYTES)?;
    let command = command(binary, dir, &disk);
    let mut server = command.start().await?;
    let load = Load::start(&server, Pace::Full, rng).await?;
    let refused = timeout(DEADLINE, load.is_refused());
    refused.await.context("the server does not refuse")??;
    let free_bytes = disk.free_bytes()?;
    ensure!(
        free_bytes >= FREE_BYTES_MIN,
        "the server refused when only {free_bytes} bytes were left"
    );
    let n_before = load.n_acknowledged();
    all_is_there(&server, &load).await?;
    ballast.remove()?;
    let taken = timeout(DEADLINE, load.is_taken());
    taken
        .await
        .context("there is room, and the server does not go on")??;
    let n_after = load.n_acknowledged() - n_before;
    load.stop().await?;
    let n_spans = all_is_there(&server, &load).await?;
    server.end(Signal::TERM).await?;
    let server = command.start().await?;
    all_is_there(&server, &load).await?;
    Ok(format!(
        "nearly full: {n_before} spans acknowledged, then refused with {} MB free ({}); \
         went on by itself after there was room, {n_after} more at once, {n_spans} in all",
        free_bytes / 1_000_000,
        load.reasons(),
    ))
}

/// Takes all room away under load, leaves it so for a while, kills or keeps the server, makes room.
async fn full(binary: &Path, dir: &Path, rng: &mut fastrand::Rng) -> anyhow::Result<String> {
    let disk = SmallDisk::mount(&dir.join("disk"), DISK_BYTES)?;
    let mut ballast = Ballast::new(&disk)?;
    let command = command(binary, dir, &disk);
    let mut server = command.start().await?;
    let load = Load::start(&server, Pace::Slow, rng).await?;
    let some = timeout(DEADLINE, load.is_taken());
    some.await.context("the server takes nothing")??;
    // The spans of a closed partition are in sled alone: as often as not there is one.
    let n_closed = usize::from(rng.bool());
    eventually("a partition to be closed", async || {
        (server.n_said("closed a partition") >= n_closed).then_some(())
    })
    .await;
    pause(Duration::from_secs(2).mul_f64(rng.f64())).await;
    let n_before = load.n_acknowledged();
    let full_for = FULL_MAX.mul_f64(rng.f64());
    ballast.fill_for(full_for).await?;
    let mut said =
        format!("full for {full_for:.1?} after {n_before} spans and {n_closed} closed partitions");
    said += &while_full(&server, &load).await?;

    // Sometimes it is restarted while there is no room, which may fail, but must not hurt.
    let is_killed_full = rng.bool();
    if is_killed_full {
        load.stop().await?;
        server.end(Signal::KILL).await?;
        let started = command.start().await;
        match started {
            Ok(mut server) => {
                said += ", restarted while full";
                said += &while_full(&server, &load).await?;
                server.end(Signal::KILL).await?;
            }
            Err(error) => write!(said, ", would not start while full ({error})")?,
        }
        ballast.remove()?;
    } else {
        ballast.remove()?;
        let taken = timeout(DEADLINE, load.is_taken());
        taken
            .await
            .context("there is room, and the server does not go on")??;
        said += match server.n_said("the store failed and was opened anew") {
            0 => ", went on",
            _ => ", was opened anew by itself",
        };
        load.stop().await?;
        all_is_there(&server, &load).await?;
        server.end(Signal::KILL).await?;
    }
    let mut server = command.start().await?;
    let n_spans = all_is_there(&server, &load).await?;
    server.end(Signal::TERM).await?;
    let server = command.start().await?;
    all_is_there(&server, &load).await?;
    let reasons = load.reasons();
    write!(said, "; {n_spans} spans there after a restart ({reasons})")?;
    Ok(said)
}

/// Looks for every acknowledged span in a store that has met a full disk and was not started since.
/// sled may not let it read; then it must say so, and not that there is nothing.
async fn while_full(server: &Server, load: &Load) -> anyhow::Result<String> {
    let count = look(server, load).await?;
    count.verdict_of_readable("while the disk is full or the store has given up")?;
    Ok(match count.n_unreadable {
        0 => ", all readable".to_owned(),
        n => format!(", {n} spans not readable"),
    })
}

/// Looks while nothing is sent.
async fn look(server: &Server, load: &Load) -> anyhow::Result<Count> {
    load.hold().await;
    let count = check(server.client(), WORKLOAD, load.acknowledged()).await;
    load.go_on();
    count
}

/// Looks for every acknowledged span, and says how many there are.
async fn all_is_there(server: &Server, load: &Load) -> anyhow::Result<usize> {
    let count = look(server, load).await?;
    count.verdict("on a full disk")?;
    Ok(count.n_acknowledged)
}
