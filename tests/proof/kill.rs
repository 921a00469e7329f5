//! `kill -9` at random moments under load, with reads beside it. After each restart every span that was
//! acknowledged is looked for by ID and compared with what was sent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::check::{Count, check};
use crate::exporter::{Exporter, Outcome};
use crate::pause::pause;
use crate::reads::{Shared, read};
use crate::scratch::Scratch;
use crate::server::{Server, ServerCommand, end};
use crate::workload::{Source, SpanKey, Workload};

const SENDERS: usize = 8;
const READERS: usize = 2;

/// How many rounds a data directory lives; then all of it is read once more.
const ROUNDS_OF_A_DIRECTORY: usize = 10;

/// No round is killed later than after so many spans, so that each can be looked for.
const ROUND_SPANS_MAX: usize = 20_000;

/// How long a paced round lasts at most: long enough for checkpoints, every 2 s, and for traces that
/// were quiet for 10 s across restarts.
const PACED_MAX: Duration = Duration::from_millis(4_500);
/// How often each sender of a paced round sends.
const PACE: Duration = Duration::from_millis(60);

/// One kill in so many is followed by another while the server still starts.
const KILLED_STARTING_ONE_IN: u32 = 4;
const STARTING_MAX: Duration = Duration::from_millis(400);

/// Small, so that logs roll and partitions are closed within a few rounds; a directory's spans stay
/// far below it.
const MAX_DISK: &str = "384MiB";
const MEMORY_LIMIT: &str = "128MiB";
const WORKLOAD: Workload = Workload {
    filler_bytes: 700,
    trace_spans: 24,
};

/// How to run it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many kills
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: usize,
    /// What the moments and spans are made from; drawn when not given
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Runs the proof and says what was counted.
///
/// # Errors
/// With what was lost, or could not be done.
pub(crate) async fn prove(binary: &Path, below: &Path, args: &Args) -> anyhow::Result<String> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("proof kill: seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut total = Total::default();
    let mut rounds = 0..args.rounds;
    while !rounds.is_empty() {
        let scratch = Scratch::new(below)?;
        let lived = live(binary, scratch.path(), &mut rounds, &mut rng, &mut total).await;
        scratch
            .settle(lived)
            .with_context(|| format!("seed {seed}, round {}", rounds.start))?;
    }
    Ok(format!(
        "{} kills under load, {} more while starting, seed {seed}\n\
         {}\n\
         {} reads under load, {} partitions closed, {} requests sent again after a kill\n\
         lost: 0",
        args.rounds,
        total.n_killed_starting,
        total.count,
        total.n_reads,
        total.n_closed,
        total.n_repeated,
    ))
}

#[derive(Debug, Default)]
struct Total {
    /// Of the last look at each directory.
    count: Count,
    n_reads: usize,
    n_killed_starting: usize,
    n_closed: usize,
    n_repeated: usize,
}

/// One data directory's life: rounds of load and kill, each checked after the next start.
async fn live(
    binary: &Path,
    dir: &Path,
    rounds: &mut std::ops::Range<usize>,
    rng: &mut fastrand::Rng,
    total: &mut Total,
) -> anyhow::Result<()> {
    let command = ServerCommand::new(binary, &dir.join("data"), &dir.join("log.json"))
        .option("--durability", "fsync")
        .option("--max-disk", MAX_DISK)
        .option("--memory-limit", MEMORY_LIMIT);
    let shared = Arc::new(Shared::default());
    let mut senders: Vec<Sender> = (0..SENDERS).map(|_| Sender::new(rng)).collect();
    for round in rounds.take(ROUNDS_OF_A_DIRECTORY) {
        let mut server = command.start().await?;
        check_all(&server, &shared, false).await?;
        let moment = Moment::draw(rng);
        let before = shared.ledger.lock().n_acknowledged();
        senders = load_and_kill(&mut server, &shared, senders, moment, rng).await?;
        server.check_log()?;
        server.check_kept()?;
        total.n_closed += server.n_said("closed a partition");
        let n_spans = shared.ledger.lock().n_acknowledged() - before;
        eprintln!(
            "round {round}: ready after {:.0?}, killed {moment}, {n_spans} spans acknowledged",
            server.ready_after
        );
        ensure!(n_spans > 0, "no span was acknowledged: no load, no proof");
        if rng.u32(0..KILLED_STARTING_ONE_IN) == 0 {
            let mut child = command.spawn()?;
            pause(STARTING_MAX.mul_f64(rng.f64())).await;
            end(&mut child, Signal::KILL).await?;
            total.n_killed_starting += 1;
        }
    }
    let mut server = command.start().await?;
    let count = check_all(&server, &shared, true).await?;
    eprintln!("this directory: {count}");
    server.end(Signal::TERM).await?;
    server.check_log()?;
    let server = command.start().await?;
    let again = check_all(&server, &shared, true).await?;
    ensure!(again == count, "after a clean stop it was {again}");
    total.count += count;
    total.n_reads += shared.n_reads.load(Ordering::Relaxed);
    total.n_repeated += senders
        .iter()
        .map(|sender| sender.n_repeated)
        .sum::<usize>();
    Ok(())
}

/// Looks for every span of the traces that changed, or of all.
async fn check_all(server: &Server, shared: &Shared, all: bool) -> anyhow::Result<Count> {
    let traces = {
        let mut ledger = shared.ledger.lock();
        let changed = ledger.take_changed();
        if all { ledger.all() } else { changed }
    };
    let count = check(server.client(), WORKLOAD, traces).await?;
    count.verdict("after a kill")?;
    if all {
        let n_stored = server.metric("longpole_store_spans").await?;
        let found = count.n_stored;
        ensure!(
            n_stored == found as u64,
            "{found} spans are there, the server says {n_stored}"
        );
    }
    let n_damaged = server.metric("longpole_store_damaged").await?;
    ensure!(
        n_damaged == 0,
        "{n_damaged} pieces are damaged, says the server"
    );
    Ok(count)
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// At full speed, so many spans and so long after the first acknowledgement.
    Spans(usize, Duration),
    /// So long after the first acknowledgement, at a steady pace.
    Paced(Duration),
}

impl Moment {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        if rng.bool() {
            let jitter = Duration::from_millis(20).mul_f64(rng.f64());
            Self::Spans(rng.usize(1..ROUND_SPANS_MAX), jitter)
        } else {
            Self::Paced(PACED_MAX.mul_f64(rng.f64()))
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spans(n_spans, later) => write!(f, "{later:.1?} after {n_spans} spans"),
            Self::Paced(after) => write!(f, "after {after:.1?} at a steady pace"),
        }
    }
}

/// What a sender takes from one server to the next.
#[derive(Debug)]
struct Sender {
    source: Source,
    rng: fastrand::Rng,
    /// The request the last server did not answer.
    unanswered: Option<Vec<SpanKey>>,
    n_repeated: usize,
}

impl Sender {
    fn new(rng: &mut fastrand::Rng) -> Self {
        Self {
            source: Source::new(rng.u64(..), WORKLOAD),
            rng: rng.fork(),
            unanswered: None,
            n_repeated: 0,
        }
    }

    /// Sends until the server is killed.
    async fn send(
        mut self,
        mut exporter: Exporter,
        shared: Arc<Shared>,
        pace: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let mut ticks = pace.map(interval);
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        while !shared.is_over() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            // Exporters send again what was not answered, unless they ended as well.
            let again = self.unanswered.take().filter(|_| self.rng.bool());
            self.n_repeated += usize::from(again.is_some());
            let keys = again.unwrap_or_else(|| self.source.next());
            shared.ledger.lock().sent(&keys);
            match exporter.export(WORKLOAD.request(&keys)).await {
                Outcome::Acknowledged => shared.ledger.lock().acknowledged(&keys),
                _ if shared.is_over() => self.unanswered = Some(keys),
                outcome => bail!("a request under load came to {outcome:?}"),
            }
        }
        Ok(self)
    }
}

async fn load_and_kill(
    server: &mut Server,
    shared: &Arc<Shared>,
    senders: Vec<Sender>,
    moment: Moment,
    rng: &mut fastrand::Rng,
) -> anyhow::Result<Vec<Sender>> {
    shared.is_over.store(false, Ordering::SeqCst);
    let before = shared.ledger.lock().n_acknowledged();
    let pace = matches!(moment, Moment::Paced(_)).then_some(PACE);
    let mut sending = JoinSet::new();
    for (number, sender) in senders.into_iter().enumerate() {
        let exporter = server.exporter(number).await?;
        sending.spawn(sender.send(exporter, Arc::clone(shared), pace));
    }
    let mut reading = JoinSet::new();
    for _ in 0..READERS {
        let (client, shared) = (server.client().clone(), Arc::clone(shared));
        reading.spawn(read(client, WORKLOAD, shared, rng.u64(..)));
    }
    let (n_spans, later) = match moment {
        Moment::Spans(n_spans, later) => (n_spans, later),
        Moment::Paced(later) => (1, later),
    };
    let due = async {
        while shared.ledger.lock().n_acknowledged() < before + n_spans {
            pause(Duration::from_micros(200)).await;
        }
        pause(later).await;
    };
    // Nobody ends before the kill, but by an error.
    tokio::select! {
        () = due => {}
        Some(ended) = sending.join_next() => drop(ended??),
        Some(ended) = reading.join_next() => ended??,
    }
    shared.is_over.store(true, Ordering::SeqCst);
    server.end(Signal::KILL).await?;
    let mut senders = Vec::new();
    while let Some(ended) = sending.join_next().await {
        senders.push(ended??);
    }
    while let Some(ended) = reading.join_next().await {
        ended??;
    }
    Ok(senders)
}
