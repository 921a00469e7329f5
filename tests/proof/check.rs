//! What a server has of what was sent to it, counted span by span.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use longpole_tests::Client;
use longpole_tests::spans::spans_of;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::ledger::Record;
use crate::workload::{Workload, span_id};

/// How many traces are read at once.
const READERS: usize = 8;
/// How many of a fault's spans are named.
const NAMED_MAX: usize = 5;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Traces looked at.
    pub(crate) n_traces: usize,
    /// Acknowledged spans that were looked for.
    pub(crate) n_acknowledged: usize,
    /// Those of them that were there as they were sent.
    pub(crate) n_found: usize,
    /// Acknowledged spans of traces the server said it cannot read now.
    pub(crate) n_unreadable: usize,
    /// Spans that were sent and not acknowledged.
    pub(crate) n_unanswered: usize,
    /// Those of them that were there all the same.
    pub(crate) n_survived: usize,
    /// Spans as they are stored: what was sent twice may be there twice.
    pub(crate) n_stored: usize,
    /// What is wrong, in words: lost spans, changed ones, some that were there too often or were
    /// never sent.
    pub(crate) faults: Vec<String>,
    /// How many spans that is about.
    pub(crate) n_wrong: usize,
}

impl Count {
    /// Fails when anything is wrong.
    ///
    /// # Errors
    /// With what is.
    pub(crate) fn verdict(&self, when: &str) -> anyhow::Result<()> {
        let n_unreadable = self.n_unreadable;
        ensure!(
            n_unreadable == 0,
            "{when}: {n_unreadable} spans cannot be read"
        );
        self.verdict_of_readable(when)
    }

    /// Fails when anything is wrong with what could be read.
    ///
    /// # Errors
    /// With what is.
    pub(crate) fn verdict_of_readable(&self, when: &str) -> anyhow::Result<()> {
        let (n_wrong, faults) = (self.n_wrong, self.faults.join("; "));
        ensure!(
            n_wrong == 0 && self.n_found + self.n_unreadable == self.n_acknowledged,
            "{when}: {n_wrong} spans are not as they must be: {faults}"
        );
        Ok(())
    }

    fn wrong(&mut self, trace: u128, what: &str, spans: &[u64]) {
        if spans.is_empty() {
            return;
        }
        self.n_wrong += spans.len();
        if self.faults.len() < NAMED_MAX {
            let named: Vec<String> = spans
                .iter()
                .take(NAMED_MAX)
                .map(|id| format!("{id:016x}"))
                .collect();
            let n = spans.len();
            let named = named.join(", ");
            self.faults
                .push(format!("trace {trace:032x} {what} {n}: {named}"));
        }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.n_traces += other.n_traces;
        self.n_acknowledged += other.n_acknowledged;
        self.n_found += other.n_found;
        self.n_unreadable += other.n_unreadable;
        self.n_unanswered += other.n_unanswered;
        self.n_survived += other.n_survived;
        self.n_stored += other.n_stored;
        self.n_wrong += other.n_wrong;
        self.faults.extend(other.faults);
        self.faults.truncate(NAMED_MAX);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} acknowledged spans in {} traces; {} of {} unanswered ones",
            self.n_found, self.n_acknowledged, self.n_traces, self.n_survived, self.n_unanswered
        )
    }
}

/// Reads traces from a server and compares each with what must and what may be there.
///
/// # Errors
/// When the server cannot be asked.
pub(crate) async fn check(
    client: &Client,
    workload: Workload,
    traces: Vec<(u128, Record)>,
) -> anyhow::Result<Count> {
    let traces = Arc::new(Mutex::new(traces.into_iter()));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let (client, traces) = (client.clone(), Arc::clone(&traces));
        readers.spawn(async move {
            let mut count = Count::default();
            loop {
                let next = traces.lock().next();
                let Some((trace, record)) = next else {
                    return anyhow::Ok(count);
                };
                count += match read(&client, trace).await? {
                    Some(found) => compare(workload, trace, &record, &spans_of(&found)),
                    None => unreadable(&record),
                };
            }
        });
    }
    let mut count = Count::default();
    while let Some(of_reader) = readers.join_next().await {
        count += of_reader??;
    }
    Ok(count)
}

/// A trace as a server has it, empty when it has none; `None` when it says that it cannot read it.
async fn read(client: &Client, trace: u128) -> anyhow::Result<Option<TracesData>> {
    let path = format!("/api/v1/traces/{trace:032x}");
    let headers = [("accept", "application/x-protobuf")];
    let reply = client.try_get(&path, &headers).await;
    let reply = reply.with_context(|| format!("{path} was not answered"))?;
    match reply.status {
        200 => Ok(Some(TracesData::decode(reply.body)?)),
        404 => Ok(Some(TracesData::default())),
        500 | 503 => Ok(None),
        status => anyhow::bail!("{path}: {status} {}", reply.text()),
    }
}

fn unreadable(record: &Record) -> Count {
    let n_acknowledged = record.values().filter(|sent| sent.is_acknowledged).count();
    Count {
        n_traces: 1,
        n_acknowledged,
        n_unreadable: n_acknowledged,
        n_unanswered: record.len() - n_acknowledged,
        ..Count::default()
    }
}

/// Compares a trace as it was found with what is known of it.
pub(crate) fn compare(
    workload: Workload,
    trace: u128,
    record: &Record,
    found: &[(String, Span)],
) -> Count {
    let id = |span: &Span| {
        let bytes = span.span_id.as_slice().try_into();
        bytes.map_or(0, u64::from_be_bytes)
    };
    let expected = spans_of(&workload.trace(trace, record.keys().copied()));
    let expected: BTreeMap<u64, &(String, Span)> =
        expected.iter().map(|of| (id(&of.1), of)).collect();
    let mut times: BTreeMap<u64, usize> = BTreeMap::new();
    let mut changed = Vec::new();
    let mut foreign = Vec::new();
    for of in found {
        let id = id(&of.1);
        *times.entry(id).or_default() += 1;
        match expected.get(&id) {
            None => foreign.push(id),
            Some(expected) if *expected != of => changed.push(id),
            Some(_) => {}
        }
    }
    let mut count = Count {
        n_traces: 1,
        n_stored: found.len(),
        ..Count::default()
    };
    let (mut lost, mut repeated) = (Vec::new(), Vec::new());
    for (&number, sent) in record {
        let id = span_id((trace, number));
        let n = times.get(&id).copied().unwrap_or(0);
        if n > sent.times {
            repeated.push(id);
        }
        if sent.is_acknowledged {
            count.n_acknowledged += 1;
            count.n_found += n.min(1);
            if n == 0 {
                lost.push(id);
            }
        } else {
            count.n_unanswered += 1;
            count.n_survived += n.min(1);
        }
    }
    count.wrong(trace, "lost", &lost);
    count.wrong(trace, "changed", &changed);
    count.wrong(trace, "has more often than it was sent", &repeated);
    count.wrong(trace, "has what was never sent", &foreign);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Sent;

    const WORKLOAD: Workload = Workload {
        filler_bytes: 9,
        trace_spans: 24,
    };
    const TRACE: u128 = 77;

    fn record() -> Record {
        let sent = |is_acknowledged, times| Sent {
            times,
            is_acknowledged,
        };
        [
            (0, sent(true, 1)),
            (1, sent(true, 2)),
            (2, sent(true, 1)),
            (3, sent(false, 1)),
        ]
        .into()
    }

    fn found(numbers: &[u32]) -> Vec<(String, Span)> {
        spans_of(&WORKLOAD.trace(TRACE, numbers.iter().copied()))
    }

    #[test]
    fn all_that_was_acknowledged_is_enough() {
        for (numbers, n_survived) in [(&[0, 1, 2][..], 0), (&[0, 1, 2, 3, 1], 1)] {
            let count = compare(WORKLOAD, TRACE, &record(), &found(numbers));
            assert_eq!((count.n_found, count.n_survived), (3, n_survived));
            count.verdict("now").expect("nothing is wrong");
        }
    }

    #[test]
    fn every_fault_is_named() {
        let mut changed = found(&[0, 1, 2]);
        changed[1].1.name.push('x');
        let repeated = found(&[0, 0, 1, 1, 2]);
        let cases = [
            (found(&[0, 2]), "lost 1"),
            (vec![], "lost 3"),
            (changed, "changed 1"),
            (repeated, "more often than it was sent 1"),
            (found(&[0, 1, 2, 9]), "never sent 1"),
        ];
        for (found, expected) in cases {
            let count = compare(WORKLOAD, TRACE, &record(), &found);
            let error = count.verdict("now").expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
