//! Traces that still arrive, in memory, and when each is sealed.
//!
//! A trace is due when it was quiet for a while or is old; a large one at once; under pressure the
//! one that was quiet longest. What is due waits until there is enough for a block.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use longpole_proto::TraceId;

use super::budget::Budget;
use super::received::Chunk;
use super::settings::Settings;

/// What a trace takes besides its spans.
const TRACE_BYTES: u64 = 256;

/// Traces are looked at by when they are due in steps of this part of the quiet time.
const TICKS: u32 = 64;

/// A trace in memory.
#[derive(Debug, Clone)]
pub(super) struct LiveTrace {
    pub(super) trace_id: TraceId,
    /// In order of sequence; at least one.
    pub(super) chunks: Vec<Chunk>,
    pub(super) n_spans: usize,
    /// Of its spans' messages.
    pub(super) n_bytes: u64,
    /// Tells it from an earlier one with the same ID.
    generation: u64,
    first: Duration,
    last: Duration,
    is_ready: bool,
}

impl LiveTrace {
    /// It with as many of its chunks, the first ones, as have at most so many spans and bytes of them;
    /// `None` when that is none.
    pub(super) fn beginning(&self, n_spans_max: usize, n_bytes_max: u64) -> Option<Self> {
        let mut beginning = Self {
            chunks: Vec::new(),
            n_spans: 0,
            n_bytes: 0,
            ..*self
        };
        for chunk in &self.chunks {
            let spans = chunk.spans();
            let n_spans = beginning.n_spans + spans.len();
            let n_bytes = beginning.n_bytes + spans.n_bytes() as u64;
            if n_spans > n_spans_max || n_bytes > n_bytes_max {
                break;
            }
            (beginning.n_spans, beginning.n_bytes) = (n_spans, n_bytes);
            beginning.chunks.push(chunk.clone());
        }
        (!beginning.chunks.is_empty()).then_some(beginning)
    }

    fn due(&self, settings: &Settings) -> Duration {
        (self.last + settings.quiet).min(self.first + settings.age_max)
    }
}

/// The traces in memory that no sealer has taken.
#[derive(Debug)]
pub(super) struct Live {
    /// What the requests in memory take: those of the traces here, and of those being sealed.
    requests: Budget,
    traces: HashMap<TraceId, LiveTrace, RandomState>,
    /// Every trace once, with its generation, in the tick in which it was due when it was put here.
    by_due: BTreeMap<u128, Vec<(u64, TraceId)>>,
    /// Those to be sealed next.
    ready: VecDeque<(u64, TraceId)>,
    ready_spans: usize,
    ready_since: Option<Duration>,
    next_generation: u64,
}

/// When to take traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// When they are due and fill a block, or waited long.
    Due,
    /// Until memory is below its limit.
    Pressed,
    /// All.
    All,
}

impl Live {
    /// No traces; `requests` is what their chunks' requests are counted in.
    pub(super) fn new(requests: Budget) -> Self {
        Self {
            requests,
            traces: HashMap::default(),
            by_due: BTreeMap::new(),
            ready: VecDeque::new(),
            ready_spans: 0,
            ready_since: None,
            next_generation: 0,
        }
    }

    /// How many bytes it takes, about.
    pub(super) fn n_bytes(&self) -> u64 {
        self.requests.taken_bytes() + self.traces.len() as u64 * TRACE_BYTES
    }

    /// A trace.
    pub(super) fn get(&self, trace_id: TraceId) -> Option<&LiveTrace> {
        self.traces.get(&trace_id)
    }

    /// All traces, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &LiveTrace> {
        self.traces.values()
    }

    /// The least sequence of any span.
    pub(super) fn seq_min(&self) -> Option<u64> {
        self.iter().map(|trace| trace.chunks[0].seq()).min()
    }

    /// Takes a trace out, with all that came up to the sequence `seq`; what came later stays.
    pub(super) fn forget(
        &mut self,
        trace_id: TraceId,
        seq: u64,
        now: Duration,
        settings: &Settings,
    ) {
        let Some(trace) = self.traces.remove(&trace_id) else {
            return;
        };
        if trace.is_ready {
            self.ready.retain(|&(_, ready)| ready != trace_id);
            self.ready_spans -= trace.n_spans;
        }
        for chunk in trace.chunks {
            if chunk.seq() > seq {
                self.insert(chunk, now, settings);
            }
        }
    }

    /// Adds a chunk that arrived at `now`; sequences grow.
    pub(super) fn insert(&mut self, chunk: Chunk, now: Duration, settings: &Settings) {
        let spans = chunk.spans();
        let (trace_id, n_spans, n_bytes) = (spans.trace_id(), spans.len(), spans.n_bytes());
        let trace = self.traces.entry(trace_id).or_insert_with(|| {
            self.next_generation += 1;
            let trace = LiveTrace {
                trace_id,
                chunks: Vec::with_capacity(4),
                n_spans: 0,
                n_bytes: 0,
                generation: self.next_generation,
                first: now,
                last: now,
                is_ready: false,
            };
            let tick = self.by_due.entry(tick(trace.due(settings), settings));
            tick.or_default().push((trace.generation, trace_id));
            trace
        });
        trace.n_bytes += n_bytes as u64;
        trace.n_spans += n_spans;
        trace.last = now;
        if trace.is_ready {
            self.ready_spans += n_spans;
        }
        trace.chunks.push(chunk);
        let is_large =
            trace.n_spans > settings.trace_spans_max || trace.n_bytes > settings.trace_bytes_max;
        if is_large && !trace.is_ready {
            trace.is_ready = true;
            let ready = (trace.generation, trace_id, trace.n_spans);
            self.make_ready(ready.0, ready.1, ready.2, now);
        }
    }

    fn make_ready(&mut self, generation: u64, trace_id: TraceId, n_spans: usize, now: Duration) {
        self.ready.push_back((generation, trace_id));
        self.ready_spans += n_spans;
        self.ready_since.get_or_insert(now);
    }

    /// Takes the traces of the next block, by ID; none when it is not time.
    pub(super) fn take(
        &mut self,
        when: Take,
        now: Duration,
        settings: &Settings,
    ) -> Vec<LiveTrace> {
        let last = if when == Take::Due {
            tick(now, settings)
        } else {
            u128::MAX
        };
        while self.ready_spans < settings.block_spans
            && let Some(first) = self.by_due.first_entry()
            && *first.key() <= last
        {
            let (at, traces) = first.remove_entry();
            let waiting = self.make_due_ready(at, traces, when, now, settings);
            if !waiting.is_empty() {
                self.by_due.insert(at, waiting);
                break;
            }
        }
        let has_waited = self
            .ready_since
            .is_some_and(|since| now >= since + settings.fill_max);
        if self.ready_spans < settings.block_spans && when == Take::Due && !has_waited {
            return Vec::new();
        }
        self.take_ready(settings, now)
    }

    /// Makes those of a tick's traces ready that are due, until there are enough, and gives back those
    /// that still wait in it.
    fn make_due_ready(
        &mut self,
        at: u128,
        mut traces: Vec<(u64, TraceId)>,
        when: Take,
        now: Duration,
        settings: &Settings,
    ) -> Vec<(u64, TraceId)> {
        let mut waiting = Vec::new();
        while self.ready_spans < settings.block_spans
            && let Some((generation, trace_id)) = traces.pop()
        {
            let Some(trace) = self
                .traces
                .get_mut(&trace_id)
                .filter(|trace| trace.generation == generation && !trace.is_ready)
            else {
                continue;
            };
            let due = trace.due(settings);
            let due_tick = tick(due, settings);
            if due_tick > at {
                let later = self.by_due.entry(due_tick).or_default();
                later.push((generation, trace_id));
            } else if when == Take::Due && due > now {
                waiting.push((generation, trace_id));
            } else {
                trace.is_ready = true;
                let n_spans = trace.n_spans;
                self.make_ready(generation, trace_id, n_spans, now);
            }
        }
        waiting.append(&mut traces);
        waiting
    }

    fn take_ready(&mut self, settings: &Settings, now: Duration) -> Vec<LiveTrace> {
        let mut taken = Vec::new();
        let mut n_spans = 0;
        while n_spans < settings.block_spans
            && let Some((_, trace_id)) = self.ready.pop_front()
        {
            let trace = self
                .traces
                .remove(&trace_id)
                .expect("what is ready is taken nowhere else");
            n_spans += trace.n_spans;
            self.ready_spans -= trace.n_spans;
            taken.push(trace);
        }
        self.ready_since = (!self.ready.is_empty()).then_some(now);
        taken.sort_unstable_by_key(|trace| trace.trace_id);
        taken
    }
}

/// The tick a moment lies in.
fn tick(at: Duration, settings: &Settings) -> u128 {
    at.as_nanos() / (settings.quiet / TICKS).as_nanos().max(1)
}
