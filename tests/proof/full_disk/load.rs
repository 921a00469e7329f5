//! Senders that come back when they are told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::WORKLOAD;
use crate::exporter::{Exporter, Outcome};
use crate::ledger::{Ledger, Record};
use crate::pause::pause;
use crate::server::Server;
use crate::workload::Source;

const SENDERS: usize = 6;

/// How fast each sender sends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As fast as it is answered.
    Full,
    /// A request every 25 ms, so that what is stored can be looked for span by span several times.
    Slow,
}

impl Pace {
    fn period(self) -> Duration {
        match self {
            Self::Full => Duration::from_micros(1),
            Self::Slow => Duration::from_millis(25),
        }
    }
}

/// How long a sender waits when it is refused.
const COME_BACK: Duration = Duration::from_millis(50);

/// So many answers of one kind in a row are no accident.
const IN_A_ROW: usize = 10 * SENDERS;

/// Senders at work.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    senders: Mutex<JoinSet<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    is_over: AtomicBool,
    is_held: AtomicBool,
    n_under_way: AtomicUsize,
    n_refused_in_a_row: AtomicUsize,
    n_taken_in_a_row: AtomicUsize,
    /// By its first words.
    reasons: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    /// Begins to send.
    ///
    /// # Errors
    /// When the server takes no connection.
    pub(super) async fn start(
        server: &Server,
        pace: Pace,
        rng: &mut fastrand::Rng,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut senders = JoinSet::new();
        for number in 0..SENDERS {
            let exporter = server.exporter(number).await?;
            let source = Source::new(rng.u64(..), WORKLOAD);
            senders.spawn(send(exporter, source, pace, Arc::clone(&shared)));
        }
        Ok(Self {
            shared,
            senders: Mutex::new(senders),
        })
    }

    /// How many spans were acknowledged.
    pub(super) fn n_acknowledged(&self) -> usize {
        self.shared.ledger.lock().n_acknowledged()
    }

    /// What must and may be there of each trace with an acknowledged span.
    pub(super) fn acknowledged(&self) -> Vec<(u128, Record)> {
        self.shared.ledger.lock().all_acknowledged()
    }

    /// What was said to those who were refused, and how often.
    pub(super) fn reasons(&self) -> String {
        let reasons = self.shared.reasons.lock();
        let said = reasons.iter().map(|(reason, n)| format!("{n} x {reason}"));
        said.collect::<Vec<_>>().join(", ")
    }

    /// Waits until nothing is taken any more.
    ///
    /// # Errors
    /// When a sender failed.
    pub(super) async fn is_refused(&self) -> anyhow::Result<()> {
        self.in_a_row(&self.shared.n_refused_in_a_row).await
    }

    /// Waits until everything is taken.
    ///
    /// # Errors
    /// When a sender failed.
    pub(super) async fn is_taken(&self) -> anyhow::Result<()> {
        self.in_a_row(&self.shared.n_taken_in_a_row).await
    }

    async fn in_a_row(&self, count: &AtomicUsize) -> anyhow::Result<()> {
        count.store(0, Ordering::SeqCst);
        while count.load(Ordering::SeqCst) < IN_A_ROW {
            if let Some(ended) = self.senders.lock().try_join_next() {
                ended??;
            }
            pause(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Holds the senders back until [`Self::go_on`], and waits for the answers under way: what is
    /// there does not change meanwhile.
    pub(super) async fn hold(&self) {
        self.shared.is_held.store(true, Ordering::SeqCst);
        while self.shared.n_under_way.load(Ordering::SeqCst) > 0 {
            pause(Duration::from_millis(1)).await;
        }
    }

    /// Lets the senders go on.
    pub(super) fn go_on(&self) {
        self.shared.is_held.store(false, Ordering::SeqCst);
    }

    /// Ends the senders once their requests are answered.
    ///
    /// # Errors
    /// When one failed.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let mut senders = std::mem::take(&mut *self.senders.lock());
        while let Some(ended) = senders.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn send(
    mut exporter: Exporter,
    mut source: Source,
    pace: Pace,
    shared: Arc<Shared>,
) -> anyhow::Result<()> {
    let mut again = None;
    let mut ticks = interval(pace.period());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.is_over.load(Ordering::SeqCst) {
        ticks.tick().await;
        shared.n_under_way.fetch_add(1, Ordering::SeqCst);
        if shared.is_held.load(Ordering::SeqCst) {
            shared.n_under_way.fetch_sub(1, Ordering::SeqCst);
            pause(COME_BACK).await;
            continue;
        }
        let keys = again.take().unwrap_or_else(|| source.next());
        shared.ledger.lock().sent(&keys);
        let outcome = exporter.export(WORKLOAD.request(&keys)).await;
        if outcome == Outcome::Acknowledged {
            shared.ledger.lock().acknowledged(&keys);
        }
        shared.n_under_way.fetch_sub(1, Ordering::SeqCst);
        match outcome {
            Outcome::Acknowledged => {
                shared.n_taken_in_a_row.fetch_add(1, Ordering::SeqCst);
                shared.n_refused_in_a_row.store(0, Ordering::SeqCst);
            }
            Outcome::Unavailable(reason) => {
                shared.n_refused_in_a_row.fetch_add(1, Ordering::SeqCst);
                shared.n_taken_in_a_row.store(0, Ordering::SeqCst);
                *shared.reasons.lock().entry(words(&reason)).or_default() += 1;
                again = Some(keys);
                pause(COME_BACK).await;
            }
            outcome => anyhow::bail!("a request came to {outcome:?}"),
        }
    }
    Ok(())
}

/// What a reason begins with, without what differs from one time to the next.
fn words(reason: &str) -> String {
    let is_word = |char: char| char.is_ascii_alphabetic() || " :,'".contains(char);
    let text: String = reason.chars().filter(|&char| is_word(char)).collect();
    let words: Vec<&str> = text.split_whitespace().take(12).collect();
    words.join(" ")
}
