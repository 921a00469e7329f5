//! The critical path of every recording beside Jaeger's and CRISP's: the same where there is no reason
//! for another.

use std::collections::{BTreeMap, BTreeSet};

use longpole_analysis::others::{Difference, by_crisp, by_jaeger, by_us, differences};
use longpole_analysis::{Analysis, Section};
use longpole_proto::wire::{ExportRequest, decode_traces};
use longpole_proto::{Trace, TraceId};
use longpole_tests::corpus::{Recording, fixtures};

#[test]
fn recordings_have_jaegers_and_crisps_path_where_nothing_runs_at_once() {
    let Some(recordings) = fixtures() else { return };
    let (mut n_traces, mut n_alike) = (0, 0);
    let mut shares: BTreeMap<BTreeSet<Difference>, (u64, u64, u64)> = BTreeMap::new();
    for recording in &recordings {
        for trace in traces(recording) {
            let name = format!("{} {}", recording.name, trace.id());
            let analysis = Analysis::of(&trace);
            let jaegers = by_jaeger(&trace);
            let reasons = differences(&trace);
            n_traces += 1;
            if reasons.is_empty() {
                n_alike += 1;
                assert_eq!(analysis.critical_path, jaegers, "{name}");
                assert_eq!(by_us(&trace, &analysis), by_crisp(&trace), "{name}");
            }
            let sum: u64 = analysis.critical_path.iter().map(Section::nanos).sum();
            assert_eq!(sum, analysis.duration_nanos, "{name}");
            let (n, alike, all) = shares.entry(reasons).or_default();
            *n += 1;
            *alike += alike_nanos(&analysis.critical_path, &jaegers);
            *all += sum;
        }
    }
    for (reasons, (n, alike, all)) in shares {
        eprintln!("{n} traces, {alike} of {all} ns as Jaeger's: {reasons:?}");
    }
    eprintln!("{n_alike} of {n_traces} traces have no reason to differ");
    assert!(n_alike >= recordings.len() / 2, "{n_alike} of {n_traces}");
}

/// For how long two paths are on the same span.
fn alike_nanos(a: &[Section], b: &[Section]) -> u64 {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut nanos = 0;
    while let (Some(one), Some(other)) = (a.peek(), b.peek()) {
        if one.span_idx == other.span_idx {
            let (start, end) = (one.start.max(other.start), one.end.min(other.end));
            nanos += end.nanos_since(start.min(end));
        }
        if one.end <= other.end {
            a.next()
        } else {
            b.next()
        };
    }
    nanos
}

fn traces(recording: &Recording) -> Vec<Trace> {
    let mut messages: BTreeMap<TraceId, Vec<u8>> = BTreeMap::new();
    for body in &recording.requests {
        let request = ExportRequest::parse(body.clone()).expect("a recorded request");
        for (trace_id, message) in request.by_trace().messages() {
            messages.entry(trace_id).or_default().extend(message);
        }
    }
    let read = |(trace_id, message): (TraceId, Vec<u8>)| {
        let parts = decode_traces(trace_id, &message).expect("what was accepted");
        Trace::new(trace_id, parts).expect("it has spans")
    };
    messages.into_iter().map(read).collect()
}
