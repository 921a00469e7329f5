//! The closed loop: each worker sends a request, waits for the answer, and sends the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::Mutex;

use super::workload::{Place, Workload};

/// What one export came to.
pub(super) struct Answer {
    /// How many of its spans were refused.
    pub(super) n_rejected: u64,
}

/// A connection of one worker.
pub(super) trait Exporter: Send + 'static {
    /// Sends a request and waits for the answer.
    fn export(&mut self, request: Bytes) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// Hands out places until enough spans are handed out, and remembers which were acknowledged.
pub(super) struct Feed {
    workload: Arc<Workload>,
    n_spans_max: u64,
    state: Mutex<State>,
    n_spans: AtomicU64,
}

struct State {
    next: Place,
    n_spans_handed: u64,
    /// When the spans of the rounds under way begin.
    bases: HashMap<u64, u64>,
    acknowledged: HashSet<(u64, usize)>,
    latencies: Vec<Duration>,
    n_rejected: u64,
    n_failed: u64,
    first_error: Option<String>,
}

/// What the workers found together.
pub(super) struct Found {
    pub(super) n_spans: u64,
    pub(super) n_rejected: u64,
    pub(super) n_failed: u64,
    pub(super) first_error: Option<String>,
    /// In order.
    pub(super) latencies: Vec<Duration>,
    acknowledged: HashSet<(u64, usize)>,
    rounds: u64,
}

impl Feed {
    pub(super) fn new(workload: Arc<Workload>, n_spans_max: u64) -> Self {
        Self {
            workload,
            n_spans_max,
            state: Mutex::new(State {
                next: Place {
                    round_no: 0,
                    request: 0,
                },
                n_spans_handed: 0,
                bases: HashMap::new(),
                acknowledged: HashSet::new(),
                latencies: Vec::new(),
                n_rejected: 0,
                n_failed: 0,
                first_error: None,
            }),
            n_spans: AtomicU64::new(0),
        }
    }

    /// The next place and when its round's spans begin.
    fn next(&self) -> Option<(Place, u64)> {
        let mut state = self.state.lock();
        if state.n_spans_handed >= self.n_spans_max {
            return None;
        }
        let place = state.next;
        state.next = self.workload.next(place);
        state.n_spans_handed += self.workload.n_spans(place) as u64;
        if place.request == 0 {
            state.bases.insert(place.round_no, now_nanos());
            // Rounds end about when the next begins: two old ones are enough for the slowest worker,
            // which has its base already.
            state
                .bases
                .retain(|&round_no, _| round_no + 2 > place.round_no);
        }
        let base = state.bases[&place.round_no];
        Some((place, base))
    }

    /// Works until there is nothing left to send.
    pub(super) async fn work(self: Arc<Self>, mut exporter: impl Exporter) {
        while let Some((place, base)) = self.next() {
            let request = self.workload.encode(place, base);
            let begun = Instant::now();
            let answer = exporter.export(request.into()).await;
            let took = begun.elapsed();
            let mut state = self.state.lock();
            match answer {
                Ok(answer) => {
                    self.n_spans
                        .fetch_add(self.workload.n_spans(place) as u64, Ordering::Relaxed);
                    state.acknowledged.insert((place.round_no, place.request));
                    state.latencies.push(took);
                    state.n_rejected += answer.n_rejected;
                }
                Err(error) => {
                    state.n_failed += 1;
                    state.first_error.get_or_insert(error);
                }
            }
        }
    }

    /// Hands out nothing more.
    pub(super) fn stop(&self) {
        self.state.lock().n_spans_handed = u64::MAX;
    }

    /// What was found by all workers.
    pub(super) fn finish(&self) -> Found {
        let mut state = self.state.lock();
        let mut latencies = std::mem::take(&mut state.latencies);
        latencies.sort_unstable();
        Found {
            n_spans: self.n_spans.load(Ordering::Relaxed),
            n_rejected: state.n_rejected,
            n_failed: state.n_failed,
            first_error: state.first_error.take(),
            latencies,
            acknowledged: std::mem::take(&mut state.acknowledged),
            rounds: state.next.round_no + 1,
        }
    }
}

impl Found {
    /// Writes each trace's ID and how many of its spans were acknowledged, a line a trace.
    pub(super) fn write_ids(
        &self,
        workload: &Workload,
        to: &mut impl std::io::Write,
    ) -> std::io::Result<()> {
        for round_no in 0..self.rounds {
            let round = workload.round(round_no);
            let mut n_spans = vec![0_u32; round.trace_spans.len()];
            for request in 0..round.requests.len() {
                if self.acknowledged.contains(&(round_no, request)) {
                    for trace in workload.trace_spans(Place { round_no, request }) {
                        n_spans[trace] += 1;
                    }
                }
            }
            for (trace, n_spans) in n_spans.into_iter().enumerate().filter(|&(_, n)| n > 0) {
                for byte in workload.trace_id(round_no, trace) {
                    write!(to, "{byte:02x}")?;
                }
                writeln!(to, " {n_spans}")?;
            }
        }
        Ok(())
    }
}

fn now_nanos() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
