//! Takes requests in, in any order, and says what they are together. Its memory is bounded.

use std::collections::{BinaryHeap, HashMap};

use longpole_analysis::aggregate::{BUCKETS, Sketch};
use longpole_proto::{TraceId, UnixNanos};

use super::columns::Grid;
use super::{EXACT_PERCENTILES_MAX, Overview, OverviewRequest, Percentiles, SAMPLE_MAX};
use crate::{Matched, Operation, Scanned, Unseen};

/// How many slowest hops are told apart.
const HOPS_MAX: usize = 10_000;

/// How many bytes their names may take.
const HOP_BYTES_MAX: usize = 4 << 20;

/// An overview being made: for engines, which give it each request that matches, once.
#[derive(Debug)]
pub struct OverviewBuilder {
    n: u64,
    n_with_errors: u64,
    grid: Option<Grid>,
    durations: Durations,
    hops: Option<Hops>,
    n_hops: usize,
    sample: Sample,
}

impl OverviewBuilder {
    /// An overview of nothing yet.
    pub fn new(request: &OverviewRequest) -> Self {
        let mut grid = Grid::new(request.n_columns);
        if let Some(grid) = grid.as_mut().filter(|_| request.is_whole_range) {
            let last = request.to.map(|to| UnixNanos(to.0.saturating_sub(1)));
            for end in [request.from, last].into_iter().flatten() {
                grid.include(end);
            }
        }
        Self {
            n: 0,
            n_with_errors: 0,
            grid,
            durations: Durations::default(),
            hops: (request.n_hops > 0).then(Hops::default),
            n_hops: request.n_hops,
            sample: Sample {
                n_max: request.n_sample.min(SAMPLE_MAX),
                smallest: BinaryHeap::new(),
            },
        }
    }

    /// Takes a request in, which began and took so long. `hop` is the service and
    /// name of its slowest one, unless [`Self::add_hop`] gets it.
    pub fn add(
        &mut self,
        trace_id: TraceId,
        start: UnixNanos,
        duration_nanos: u64,
        has_errors: bool,
        hop: Option<(&str, &str)>,
    ) {
        self.n += 1;
        self.n_with_errors += u64::from(has_errors);
        if let Some(grid) = &mut self.grid {
            grid.add(start, duration_nanos, has_errors);
        }
        self.durations.add(duration_nanos);
        if let Some((service, name)) = hop {
            self.add_hop(service, name, 1);
        }
        self.sample.add(trace_id);
    }

    /// Counts so many requests' slowest hop, for engines that add them without.
    pub fn add_hop(&mut self, service: &str, name: &str, n: u64) {
        if let Some(hops) = &mut self.hops {
            hops.add(service, name, n);
        }
    }

    /// The overview, of all that matches.
    pub fn finish(self) -> Overview {
        let grid = self.grid.filter(|_| self.n > 0).map(Grid::finish);
        let (columns, cells) = grid.unzip();
        let hops = self.hops.unwrap_or_default();
        Overview {
            matched: Matched::Exactly(self.n),
            n_with_errors: self.n_with_errors,
            columns,
            cells: cells.unwrap_or_default(),
            percentiles: self.durations.finish(),
            has_all_hops: !hops.is_full,
            slowest_hops: hops.most_frequent(self.n_hops),
            sample: self.sample.finish(),
            complete: true,
            unseen: Unseen::default(),
            scanned: Scanned::default(),
        }
    }
}

/// Durations: each, while they are few.
#[derive(Debug, Default)]
struct Durations {
    each: Vec<u64>,
    /// By bucket of a [`Sketch`], once they are many.
    counts: Vec<u32>,
}

impl Durations {
    fn add(&mut self, nanos: u64) {
        if !self.counts.is_empty() {
            return self.count(nanos);
        }
        if self.each.len() < EXACT_PERCENTILES_MAX {
            return self.each.push(nanos);
        }
        self.counts = vec![0; usize::from(BUCKETS)];
        for each in std::mem::take(&mut self.each) {
            self.count(each);
        }
        self.count(nanos);
    }

    fn count(&mut self, nanos: u64) {
        let count = &mut self.counts[usize::from(Sketch::bucket(nanos))];
        *count = count.saturating_add(1);
    }

    fn finish(mut self) -> Option<Percentiles> {
        if self.counts.is_empty() {
            let n = self.each.len();
            let mut at = |percent: usize| {
                let place = (n * percent).div_ceil(100).checked_sub(1)?;
                let (_, nanos, _) = self.each.select_nth_unstable(place);
                Some(*nanos)
            };
            return Some(Percentiles {
                p50_nanos: at(50)?,
                p95_nanos: at(95)?,
                p99_nanos: at(99)?,
                are_exact: true,
            });
        }
        let mut sketch = Sketch::default();
        let counts: Vec<(u16, u32)> = (0..).zip(self.counts).collect();
        sketch.merge(&counts);
        Some(Percentiles {
            p50_nanos: sketch.quantile(0.5)?,
            p95_nanos: sketch.quantile(0.95)?,
            p99_nanos: sketch.quantile(0.99)?,
            are_exact: false,
        })
    }
}

/// How often which hop was the slowest.
#[derive(Debug, Default)]
struct Hops {
    /// By service, then by name.
    counts: HashMap<String, HashMap<String, u64>>,
    n: usize,
    n_bytes: usize,
    is_full: bool,
}

impl Hops {
    fn add(&mut self, service: &str, name: &str, n: u64) {
        let known = self.counts.get_mut(service);
        if let Some(count) = known.and_then(|names| names.get_mut(name)) {
            *count += n;
            return;
        }
        let n_bytes = self.n_bytes + service.len() + name.len();
        if self.n == HOPS_MAX || n_bytes > HOP_BYTES_MAX {
            self.is_full = true;
            return;
        }
        self.n += 1;
        self.n_bytes = n_bytes;
        let names = self.counts.entry(service.to_owned()).or_default();
        names.insert(name.to_owned(), n);
    }

    fn most_frequent(self, n_hops: usize) -> Vec<(Operation, u64)> {
        let hops = self.counts.into_iter().flat_map(|(service, names)| {
            names.into_iter().map(move |(name, n)| {
                let service = service.clone();
                (Operation { service, name }, n)
            })
        });
        let mut hops: Vec<_> = hops.collect();
        hops.sort_by(|(a, n_a), (b, n_b)| n_b.cmp(n_a).then_with(|| a.cmp(b)));
        hops.truncate(n_hops);
        hops
    }
}

/// The requests whose hashes are smallest.
#[derive(Debug)]
struct Sample {
    n_max: usize,
    smallest: BinaryHeap<(u64, TraceId)>,
}

impl Sample {
    fn add(&mut self, trace_id: TraceId) {
        if self.n_max == 0 {
            return;
        }
        let new = (hash(trace_id), trace_id);
        if self.smallest.len() < self.n_max {
            self.smallest.push(new);
        } else if let Some(mut greatest) = self.smallest.peek_mut()
            && new < *greatest
        {
            *greatest = new;
        }
    }

    fn finish(self) -> Vec<TraceId> {
        let sorted = self.smallest.into_sorted_vec();
        sorted.into_iter().map(|(_, trace_id)| trace_id).collect()
    }
}

/// Spreads IDs evenly, whatever some senders count up in them.
fn hash(trace_id: TraceId) -> u64 {
    let id = u128::from_be_bytes(trace_id.to_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "its halves")]
    let (high, low) = ((id >> 64) as u64, id as u64);
    mix(high ^ mix(low))
}

/// The finalizer of `SplitMix64`.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
