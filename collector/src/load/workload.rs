//! The workload: export requests encoded once, then sent again and again with new ids and times.
//!
//! Traces of 3 to 500 spans (median 12) over 15 services, as their SDKs would send them: a request
//! holds one service's spans of many traces. A *round* is a set of traces cut into such requests;
//! its bytes never change but for the places a [`Patch`] names, so that generating a span costs a
//! few copies.

use std::ops::Range;

use longpole_proto::wire::{ExportRequest, SpanSlice};
use prost::Message as _;

use super::shop::{self, SERVICES};

/// How many spans a request holds before its service begins the next.
const REQUEST_SPANS: usize = 466;

/// How many traces a round is made of: 15 services times about 466 spans, at 18 spans a trace.
const ROUND_TRACES: usize = 390;

/// Where a span's changing bytes lie in its request.
#[derive(Debug, Clone, Copy)]
struct Patch {
    /// Which of the round's traces it is of.
    trace: u32,
    /// Where its trace ID begins; its span ID and, if it has one, its parent's follow in this order.
    ids: u32,
    number: u32,
    /// Its parent's number in the trace, plus 1; 0 for none.
    parent_no: u32,
    /// Where its start begins; its end follows.
    times: u32,
    start_nanos: u64,
    duration_nanos: u64,
    /// Where its unique request ID's 16 hex digits begin; 0 for none.
    request_id: u32,
}

/// A request to be patched and sent.
#[derive(Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    patches: Vec<Patch>,
}

/// A set of traces, cut into requests.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) requests: Vec<Template>,
    /// How many spans each of its traces has.
    pub(crate) trace_spans: Vec<u32>,
}

/// All rounds, to be sent in turn.
#[derive(Debug)]
pub(crate) struct Workload {
    rounds: Vec<Round>,
    seed: u64,
}

/// Which of the endless sequence of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the round, counted over all repetitions.
    pub(crate) round_no: u64,
    /// The request in it.
    pub(crate) request: usize,
}

impl Workload {
    /// Makes `n_rounds` different rounds from a seed; the same seed makes the same workload.
    pub(crate) fn new(seed: u64, n_rounds: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rounds = (0..n_rounds.max(1)).map(|_| Round::new(&mut rng)).collect();
        Self { rounds, seed }
    }

    /// The round a number stands for.
    pub(crate) fn round(&self, round_no: u64) -> &Round {
        let n_rounds = self.rounds.len() as u64;
        &self.rounds[usize::try_from(round_no % n_rounds).expect("less than the number of rounds")]
    }

    /// The place behind `place`.
    pub(crate) fn next(&self, place: Place) -> Place {
        if place.request + 1 < self.round(place.round_no).requests.len() {
            Place {
                request: place.request + 1,
                ..place
            }
        } else {
            Place {
                round_no: place.round_no + 1,
                request: 0,
            }
        }
    }

    /// How many spans the request at a place has.
    pub(crate) fn n_spans(&self, place: Place) -> usize {
        self.round(place.round_no).requests[place.request]
            .patches
            .len()
    }

    /// Which of its round's traces each span of the request at a place is of.
    pub(crate) fn trace_spans(&self, place: Place) -> impl Iterator<Item = usize> + '_ {
        self.round(place.round_no).requests[place.request]
            .patches
            .iter()
            .map(|patch| patch.trace as usize)
    }

    /// The ID of a round's trace.
    pub(crate) fn trace_id(&self, round_no: u64, trace: usize) -> [u8; 16] {
        let high = mix(self.seed ^ mix(round_no));
        let low = mix(high ^ (trace as u64 + 1));
        let mut id = [0; 16];
        id[..8].copy_from_slice(&mix(low).to_be_bytes());
        // Never all zero: the lowest bit is set.
        id[8..].copy_from_slice(&(low | 1).to_be_bytes());
        id
    }

    /// The bytes of the request at a place, its spans beginning at `base_nanos` and later.
    pub(crate) fn encode(&self, place: Place, base_nanos: u64) -> Vec<u8> {
        let template = &self.round(place.round_no).requests[place.request];
        let mut bytes = template.bytes.clone();
        for patch in &template.patches {
            let trace_id = self.trace_id(place.round_no, patch.trace as usize);
            let salt = u64::from_be_bytes([
                trace_id[0],
                trace_id[1],
                trace_id[2],
                trace_id[3],
                trace_id[4],
                trace_id[5],
                trace_id[6],
                trace_id[7],
            ]);
            let ids = patch.ids as usize;
            put(&mut bytes, ids..ids + 16, &trace_id);
            // Each ID stands behind its two-byte header.
            put(&mut bytes, ids + 18..ids + 26, &span_id(salt, patch.number));
            if patch.parent_no > 0 {
                put(
                    &mut bytes,
                    ids + 28..ids + 36,
                    &span_id(salt, patch.parent_no - 1),
                );
            }
            let times = patch.times as usize;
            let start = base_nanos + patch.start_nanos;
            put(&mut bytes, times..times + 8, &start.to_le_bytes());
            put(
                &mut bytes,
                times + 9..times + 17,
                &(start + patch.duration_nanos).to_le_bytes(),
            );
            if patch.request_id > 0 {
                let at = patch.request_id as usize;
                put(&mut bytes, at..at + 16, format!("{salt:016x}").as_bytes());
            }
        }
        bytes
    }
}

fn put(bytes: &mut [u8], range: Range<usize>, with: &[u8]) {
    bytes[range].copy_from_slice(with);
}

/// A span's ID in the trace with this salt; never zero.
fn span_id(salt: u64, number: u32) -> [u8; 8] {
    (mix(salt ^ u64::from(number)) | 1).to_be_bytes()
}

/// `SplitMix64`'s finisher: every input bit moves half of the output's.
pub(super) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Round {
    fn new(rng: &mut fastrand::Rng) -> Self {
        let mut batches: Vec<Vec<(u32, shop::Span)>> = vec![Vec::new(); SERVICES.len()];
        let mut requests = Vec::new();
        let mut trace_spans = Vec::new();
        for trace in 0..ROUND_TRACES {
            let spans = shop::trace(rng);
            trace_spans.push(u32::try_from(spans.len()).expect("at most 500 spans"));
            for span in spans {
                let service = span.slot.service;
                batches[service].push((u32::try_from(trace).expect("few traces"), span));
                if batches[service].len() == REQUEST_SPANS {
                    requests.push(Template::new(
                        service,
                        &std::mem::take(&mut batches[service]),
                    ));
                }
            }
        }
        for (service, batch) in batches
            .iter()
            .enumerate()
            .filter(|(_, batch)| !batch.is_empty())
        {
            requests.push(Template::new(service, batch));
        }
        Self {
            requests,
            trace_spans,
        }
    }
}

impl Template {
    fn new(service: usize, spans: &[(u32, shop::Span)]) -> Self {
        let request = shop::request(service, spans.iter().map(|(_, span)| span));
        let bytes = request.encode_to_vec();
        let walked =
            ExportRequest::parse(bytes.clone().into()).expect("prost encodes what can be walked");
        let patches = walked
            .spans()
            .iter()
            .zip(spans)
            .map(|(slice, (trace, span))| Patch::new(&bytes, slice, *trace, span))
            .collect();
        Self { bytes, patches }
    }
}

impl Patch {
    /// Finds the places in a span as prost encodes it: fields by number, each tag and length a byte.
    fn new(bytes: &[u8], slice: &SpanSlice, trace: u32, span: &shop::Span) -> Self {
        let place = |at: usize| u32::try_from(at).expect("a request is far below 4 GiB");
        let message = &bytes[slice.message()];
        let request_id = memchr::memmem::find(message, shop::REQUEST_ID.as_bytes())
            .map_or(0, |at| place(slice.message().start + at));
        Self {
            trace,
            ids: place(slice.message().start + 2),
            number: span.slot.number,
            parent_no: span.slot.parent_no,
            // Behind the name: kind, a tag and a byte, then the tag of the start.
            times: place(slice.name().end + 3),
            start_nanos: span.slot.start_nanos,
            duration_nanos: span.slot.duration_nanos,
            request_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_round_is_whole_traces_with_new_ids_each_time() {
        let workload = Workload::new(7, 2);
        let mut seen: HashMap<[u8; 16], Vec<ExportedSpan>> = HashMap::new();
        let mut place = Place {
            round_no: 0,
            request: 0,
        };
        // Two rounds, and the first of them again.
        while place.round_no < 3 {
            let bytes = workload.encode(place, 1_000_000_000);
            let request = ExportRequest::parse(bytes.into()).expect("a request");
            assert_eq!(request.rejections().total(), 0);
            assert_eq!(request.spans().len(), workload.n_spans(place));
            for span in request.spans() {
                seen.entry(span.trace_id.to_bytes())
                    .or_default()
                    .push(ExportedSpan {
                        id: span.span_id.to_bytes(),
                        parent: span.parent_id.map(longpole_proto::SpanId::to_bytes),
                        takes: span.start.0 >= 1_000_000_000 && span.end > span.start,
                    });
            }
            place = workload.next(place);
        }
        assert_eq!(seen.len(), 3 * ROUND_TRACES);
        for (round_no, trace) in
            (0..3).flat_map(|round_no| (0..ROUND_TRACES).map(move |trace| (round_no, trace)))
        {
            let spans = &seen[&workload.trace_id(round_no, trace)];
            assert_eq!(
                spans.len(),
                workload.round(round_no).trace_spans[trace] as usize
            );
            assert_eq!(spans.iter().filter(|span| span.parent.is_none()).count(), 1);
            for span in spans {
                assert!(span.takes);
                assert!(
                    span.parent
                        .is_none_or(|parent| spans.iter().any(|other| other.id == parent))
                );
            }
        }
    }

    struct ExportedSpan {
        id: [u8; 8],
        parent: Option<[u8; 8]>,
        takes: bool,
    }

    #[test]
    fn the_mix_is_the_one_the_peers_were_measured_with() {
        let workload = Workload::new(7, 4);
        let (mut n_spans, mut n_bytes, mut n_requests) = (0, 0, 0);
        let mut sizes: Vec<u32> = Vec::new();
        let mut place = Place {
            round_no: 0,
            request: 0,
        };
        while place.round_no < 4 {
            n_spans += workload.n_spans(place);
            n_bytes += workload.encode(place, 0).len();
            n_requests += 1;
            if place.request == 0 {
                sizes.extend(&workload.round(place.round_no).trace_spans);
            }
            place = workload.next(place);
        }
        sizes.sort_unstable();
        let median = sizes[sizes.len() / 2];
        assert!(
            (10..=14).contains(&median),
            "median of {median} spans a trace"
        );
        assert!(sizes[0] >= 3 && sizes[sizes.len() - 1] <= 500);
        let bytes = n_bytes / n_spans;
        assert!((400..=470).contains(&bytes), "{bytes} bytes a span");
        assert!(
            n_spans / n_requests > 250,
            "{} spans a request",
            n_spans / n_requests
        );
    }
}
