//! Spans whose every byte follows from their trace's ID and their number in it, so that what comes
//! back can be compared with what was sent without keeping it.

use longpole_tests::spans::{Draft, request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// How many traces a sender has under way at once.
const OPEN_TRACES: usize = 6;
/// How many spans a request holds, about.
const REQUEST_SPANS: usize = 25;
/// One in so many requests has a span of a trace that was finished long ago.
const LATE_ONE_IN: u32 = 8;
/// How many finished traces a sender remembers.
const FINISHED_MAX: usize = 512;

const SERVICES: u64 = 12;
const OPERATIONS: u64 = 40;

/// A span's trace, and its number in it.
pub(crate) type SpanKey = (u128, u32);

/// How the spans look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    /// How much text each span has that the log cannot compress, in bytes.
    pub(crate) filler_bytes: usize,
    /// How many spans a trace has before its sender begins another.
    pub(crate) trace_spans: u32,
}

impl Workload {
    /// The request with these spans.
    pub(crate) fn request(self, keys: &[SpanKey]) -> ExportTraceServiceRequest {
        request(keys.iter().map(|&key| self.draft(key)))
    }

    /// What the store must give back for a trace with these spans.
    pub(crate) fn trace(self, trace: u128, numbers: impl Iterator<Item = u32>) -> TracesData {
        let drafts = numbers.map(|number| self.draft((trace, number)));
        TracesData {
            resource_spans: request(drafts).resource_spans,
        }
    }

    fn draft(self, (trace, number): SpanKey) -> Draft {
        let salt = span_id((trace, number));
        let draft = Draft::new(trace, salt, &format!("operation-{}", salt % OPERATIONS))
            .service(&format!("service-{}", (salt >> 20) % SERVICES))
            .kind(SpanKind::Server)
            .at(u64::from(number), u64::from(number) + salt % 400)
            .attribute("filler", &filler(salt, self.filler_bytes));
        match number {
            0 => draft,
            _ => draft.parent(span_id((trace, number / 2))),
        }
    }
}

/// A span's ID.
pub(crate) fn span_id((trace, number): SpanKey) -> u64 {
    let [_, _, _, _, _, _, _, _, low @ ..] = trace.to_be_bytes();
    mix(u64::from_be_bytes(low) ^ u64::from(number)) | 1
}

/// The name of some service.
pub(crate) fn service(rng: &mut fastrand::Rng) -> String {
    format!("service-{}", rng.u64(0..SERVICES))
}

/// Hex digits without a pattern: lz4 leaves them as they are, zstd takes half.
fn filler(salt: u64, n_bytes: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(salt);
    (0..n_bytes).map(|_| rng.digit(16)).collect()
}

/// `SplitMix64`'s finisher: every input bit moves half of the output's.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What one sender sends: a few traces that grow side by side, some spans late. No two sources share
/// a trace.
#[derive(Debug)]
pub(crate) struct Source {
    rng: fastrand::Rng,
    trace_spans: u32,
    open: Vec<SpanKey>,
    finished: Vec<SpanKey>,
}

impl Source {
    /// A source of its own traces; the same seed makes the same.
    pub(crate) fn new(seed: u64, workload: Workload) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            trace_spans: workload.trace_spans,
            open: Vec::new(),
            finished: Vec::new(),
        }
    }

    /// The spans of the next request, never one again.
    pub(crate) fn next(&mut self) -> Vec<SpanKey> {
        let mut keys = Vec::with_capacity(REQUEST_SPANS + OPEN_TRACES);
        while keys.len() < REQUEST_SPANS {
            while self.open.len() < OPEN_TRACES {
                self.open.push((self.rng.u128(1..), 0));
            }
            let at = self.rng.usize(0..self.open.len());
            for _ in 0..self.rng.usize(1..=OPEN_TRACES) {
                keys.push(take(&mut self.open[at]));
            }
            if self.open[at].1 >= self.trace_spans {
                let trace = self.open.swap_remove(at);
                if self.finished.len() < FINISHED_MAX {
                    self.finished.push(trace);
                } else {
                    let place = self.rng.usize(0..FINISHED_MAX);
                    self.finished[place] = trace;
                }
            }
        }
        if !self.finished.is_empty() && self.rng.u32(0..LATE_ONE_IN) == 0 {
            let at = self.rng.usize(0..self.finished.len());
            keys.push(take(&mut self.finished[at]));
        }
        keys
    }
}

fn take(next: &mut SpanKey) -> SpanKey {
    let key = *next;
    next.1 += 1;
    key
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const WORKLOAD: Workload = Workload {
        filler_bytes: 50,
        trace_spans: 24,
    };

    #[test]
    fn a_source_never_gives_a_span_twice() {
        let mut source = Source::new(7, WORKLOAD);
        let requests: Vec<Vec<SpanKey>> = (0..2_000).map(|_| source.next()).collect();
        let keys: Vec<SpanKey> = requests.concat();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        let ids: HashSet<(u128, u64)> = keys.iter().map(|&key| (key.0, span_id(key))).collect();
        assert_eq!(
            ids.len(),
            keys.len(),
            "nor two spans of a trace the same ID"
        );
        let traces =
            |requests: &[Vec<SpanKey>]| requests.concat().iter().map(|key| key.0).collect();
        let (early, late): (HashSet<u128>, HashSet<u128>) =
            (traces(&requests[..500]), traces(&requests[1_000..]));
        assert!(!early.is_disjoint(&late), "late spans");
    }

    #[test]
    fn a_span_is_always_the_same() {
        let keys = [(9, 0), (9, 1), (8, 0)];
        assert_eq!(WORKLOAD.request(&keys), WORKLOAD.request(&keys));
        assert_ne!(WORKLOAD.request(&keys[..1]), WORKLOAD.request(&keys[2..]));
    }
}
