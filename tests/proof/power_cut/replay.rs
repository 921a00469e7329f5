//! A life that was watched: its events, when each request was answered, and servers on what a power
//! cut would have left.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use super::disk::{Disk, Fate};
use super::record::{Connection, Watched};
use super::strace::{self, Call, Event};
use super::{Total, WORKLOAD, server};
use crate::check::check;
use crate::exporter::Outcome;
use crate::ledger::Ledger;
use crate::workload::{Source, SpanKey};

/// How every successful answer begins.
const SUCCESS: &[u8] = b"HTTP/1.1 200 ";

/// One in so many servers goes on after the cut, is killed, and must then have both.
const GOES_ON_ONE_IN: usize = 4;
/// With so many requests.
const MORE_REQUESTS: usize = 20;

/// A server's life.
pub(super) struct Life {
    /// What there was before.
    disk: Disk,
    events: Vec<Event>,
    /// Acknowledged requests, with the event in which the answer began to leave.
    answers: Vec<(usize, Vec<SpanKey>)>,
    unanswered: Vec<Vec<SpanKey>>,
}

impl Life {
    /// A life that began with this disk.
    ///
    /// # Errors
    /// When the recording cannot be understood, or does not fit what the clients saw.
    pub(super) fn new(disk: Disk, watched: &Watched) -> anyhow::Result<Self> {
        let events = strace::read(BufReader::new(File::open(&watched.recording)?))?;
        let answers = answers(&events, &watched.connections)?;
        for connection in &watched.connections {
            let (port, seen) = (connection.port, connection.n_acknowledged);
            let n = answers.iter().filter(|answer| answer.1 == port).count();
            ensure!(n >= seen, "{n} answers left for port {port}, {seen} came");
        }
        let mut next: HashMap<u16, usize> = HashMap::new();
        let requests: HashMap<u16, &Connection> = watched
            .connections
            .iter()
            .map(|connection| (connection.port, connection))
            .collect();
        let mut answered = Vec::new();
        for (event, port) in answers {
            let number = next.entry(port).or_default();
            let request = requests[&port].requests.get(*number);
            let request = request.with_context(|| format!("an answer too many for {port}"))?;
            answered.push((event, request.clone()));
            *number += 1;
        }
        let unanswered = watched.connections.iter().flat_map(|connection| {
            let n_answered = next.get(&connection.port).copied().unwrap_or(0);
            connection.requests[n_answered..].iter().cloned()
        });
        fs::remove_file(&watched.recording)?;
        Ok(Self {
            disk,
            unanswered: unanswered.collect(),
            events,
            answers: answered,
        })
    }

    /// The disk at its end, which must be as the real one is now.
    ///
    /// # Errors
    /// When it is not: the model missed something.
    pub(super) fn end(&self) -> anyhow::Result<Disk> {
        let mut disk = self.disk.clone();
        for event in &self.events {
            disk.apply(event)?;
        }
        disk.process_ended()?;
        disk.check()?;
        Ok(disk)
    }

    /// Cuts the power at moments of this life, which came after others.
    ///
    /// # Errors
    /// With what was lost.
    pub(super) async fn cut(
        &self,
        before: &[Self],
        binary: &Path,
        dir: &Path,
        n_cuts: usize,
        rng: &mut fastrand::Rng,
        total: &mut Total,
    ) -> anyhow::Result<()> {
        let mut moments: Vec<usize> = (0..n_cuts).map(|n| self.moment(n, rng)).collect();
        moments.sort_unstable();
        let mut disk = self.disk.clone();
        let mut n_applied = 0;
        for moment in moments {
            for event in &self.events[n_applied..=moment] {
                disk.apply(event)?;
            }
            n_applied = moment + 1;
            let is_answer = self.answers.iter().any(|answer| answer.0 == moment);
            for mut fate in [Fate::Gone, Fate::Drawn(rng.fork())] {
                let what = format!("power cut after event {moment}, what was not synced {fate}");
                let ledger = self.ledger(before, moment);
                let result = look(&disk, fate.clone(), ledger, binary, dir, rng, total).await;
                if result.is_err() {
                    // What the server has not touched, for whoever wants to look.
                    disk.cut_power(&dir.join("cut"), &mut fate)?;
                }
                result.context(what)?;
                total.cuts += 1;
                total.after_answer += usize::from(is_answer);
            }
        }
        Ok(())
    }

    /// A moment right behind an answer, behind a change of names or a sync, or anywhere, in turn.
    fn moment(&self, n: usize, rng: &mut fastrand::Rng) -> usize {
        let is_turn = |at: &usize| {
            let call = &*self.events[*at].call;
            matches!(
                call,
                Call::Rename { .. } | Call::Remove { .. } | Call::Sync { .. }
            )
        };
        let all = 0..self.events.len();
        let choice: Vec<usize> = match n % 3 {
            0 => self.answers.iter().map(|answer| answer.0).collect(),
            1 => all.filter(is_turn).collect(),
            _ => all.collect(),
        };
        choice[rng.usize(0..choice.len())]
    }

    /// What must and what may be there at a moment.
    fn ledger(&self, before: &[Self], moment: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for life in before {
            life.note(usize::MAX, &mut ledger);
        }
        self.note(moment, &mut ledger);
        ledger
    }

    fn note(&self, moment: usize, ledger: &mut Ledger) {
        for (answered, keys) in &self.answers {
            ledger.sent(keys);
            if *answered <= moment {
                ledger.acknowledged(keys);
            }
        }
        for keys in &self.unanswered {
            ledger.sent(keys);
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_spans: usize = self.answers.iter().map(|answer| answer.1.len()).sum();
        let n_syncs = self
            .events
            .iter()
            .filter(|event| matches!(*event.call, Call::Sync { .. }) && event.result == Some(0));
        write!(
            f,
            "{n_spans} spans acknowledged in {} requests, {} events, {} syncs",
            self.answers.len(),
            self.events.len(),
            n_syncs.count()
        )
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "is gone",
            Self::Drawn(_) => "is there in part",
        })
    }
}

/// In which event which connection's next answer began to leave.
fn answers(events: &[Event], connections: &[Connection]) -> anyhow::Result<Vec<(usize, u16)>> {
    let is_ours = |port| connections.iter().any(|connection| connection.port == port);
    let mut ports: HashMap<i32, u16> = HashMap::new();
    let mut answers = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match (&*event.call, event.result) {
            (Call::Accept { port }, Some(fd)) if fd >= 0 && is_ours(*port) => {
                ports.insert(i32::try_from(fd)?, *port);
            }
            (Call::Close { fd }, None) => drop(ports.remove(fd)),
            (Call::Write { fd, bytes, .. }, None) => {
                if let Some(&port) = ports.get(fd)
                    && bytes.starts_with(SUCCESS)
                {
                    answers.push((at, port));
                }
            }
            _ => {}
        }
    }
    Ok(answers)
}

/// Starts a server on what a cut leaves and looks for every span that must be there.
async fn look(
    disk: &Disk,
    mut fate: Fate,
    mut ledger: Ledger,
    binary: &Path,
    dir: &Path,
    rng: &mut fastrand::Rng,
    total: &mut Total,
) -> anyhow::Result<()> {
    let left = dir.join("disk");
    disk.cut_power(&left, &mut fate)?;
    let mut running = server(binary, dir).start().await?;
    let count = check(running.client(), WORKLOAD, ledger.all_acknowledged()).await?;
    count.verdict("after the power cut")?;
    total.acknowledged += count.n_acknowledged;
    total.survived += count.n_survived;
    if total.cuts.is_multiple_of(GOES_ON_ONE_IN) {
        let mut source = Source::new(rng.u64(..), WORKLOAD);
        let mut exporter = running.exporter(total.cuts / GOES_ON_ONE_IN).await?;
        for _ in 0..MORE_REQUESTS {
            let keys = source.next();
            ledger.sent(&keys);
            let outcome = exporter.export(WORKLOAD.request(&keys)).await;
            ensure!(outcome == Outcome::Acknowledged, "afterwards: {outcome:?}");
            ledger.acknowledged(&keys);
        }
        running.end(Signal::KILL).await?;
        running = server(binary, dir).start().await?;
        let count = check(running.client(), WORKLOAD, ledger.all_acknowledged()).await?;
        count.verdict("after the power cut and a kill")?;
        total.went_on += 1;
    }
    running.end(Signal::KILL).await?;
    let set_aside = fs::read_dir(left.join("data/quarantine"));
    total.made_anew += set_aside.map_or(0, Iterator::count);
    fs::remove_dir_all(&left)?;
    Ok(())
}
