//! A power cut at drawn moments of a server's life, from the order in which it wrote, synced and answered.
//!
//! The server runs under strace; a model of the disk takes in what strace saw and can say what
//! would be left at any moment. From that a new server must give back every span whose
//! acknowledgement had begun to leave for its client.

mod disk;
mod record;
mod replay;
mod strace;

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use self::disk::Disk;
use self::record::Recorder;
use self::replay::Life;
use crate::scratch::Scratch;
use crate::server::ServerCommand;
use crate::workload::Workload;

/// The least there is, so that partitions are closed and logs removed within seconds.
const MAX_DISK: &str = "256MiB";
const MEMORY_LIMIT: &str = "128MiB";

/// Large spans and traces: there must be megabytes for the log, and time to look for each span.
const WORKLOAD: Workload = Workload {
    filler_bytes: 3_000,
    trace_spans: 200,
};

/// The server is killed and started once while it is watched, so that what one process left
/// unsynced is there for the next.
const LIVES: usize = 2;

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many moments; the power is cut twice at each
    #[arg(long, value_name = "N", default_value_t = 30)]
    cuts: usize,
    /// What the moments, spans and losses are made from; drawn when not given
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// How many of what were seen.
#[derive(Debug, Default)]
struct Total {
    cuts: usize,
    after_answer: usize,
    acknowledged: usize,
    survived: usize,
    made_anew: usize,
    went_on: usize,
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} power cuts, {} of them right behind an acknowledgement",
            self.cuts, self.after_answer
        )?;
        writeln!(
            f,
            "{0} of {0} acknowledged spans found in all, and {1} unanswered ones",
            self.acknowledged, self.survived
        )?;
        writeln!(
            f,
            "{} partitions set aside and made anew from the log; {} servers went on and were killed",
            self.made_anew, self.went_on
        )?;
        write!(f, "lost: 0")
    }
}

/// Runs the proof and says what was counted.
///
/// # Errors
/// With what was lost, or could not be done.
pub(crate) async fn prove(binary: &Path, below: &Path, args: &Args) -> anyhow::Result<String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("proof power-cut: seed {seed}");
    let scratch = Scratch::new(below)?;
    let cut = cut(binary, scratch.path(), args.cuts, seed).await;
    let total = scratch
        .settle(cut)
        .with_context(|| format!("seed {seed}"))?;
    Ok(format!("{total}, seed {seed}"))
}

fn server(binary: &Path, dir: &Path) -> ServerCommand {
    // The directory above is watched as well: the data directory must be durable in it.
    ServerCommand::new(binary, &dir.join("disk/data"), &dir.join("log.json"))
        .option("--durability", "fsync")
        .option("--max-disk", MAX_DISK)
        .option("--memory-limit", MEMORY_LIMIT)
}

async fn cut(binary: &Path, dir: &Path, n_cuts: usize, seed: u64) -> anyhow::Result<Total> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let root = dir.join("disk");
    std::fs::create_dir(&root)?;
    let recorder = Recorder::new(server(binary, dir), dir);
    let mut disk = Disk::new(&root);
    let mut lives: Vec<Life> = Vec::new();
    for number in 0..LIVES {
        let watched = recorder.record(number, &mut rng).await?;
        let life = Life::new(disk.clone(), &watched)?;
        disk = life.end()?;
        eprintln!("life {number}: {life}");
        lives.push(life);
    }
    std::fs::remove_dir_all(&root)?;
    let mut total = Total::default();
    for number in 0..lives.len() {
        let (before, now) = (&lives[..number], &lives[number]);
        let n_cuts = n_cuts.div_ceil(LIVES);
        now.cut(before, binary, dir, n_cuts, &mut rng, &mut total)
            .await?;
    }
    Ok(total)
}
