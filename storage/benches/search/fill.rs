//! Fills a store with the load tool's spans.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use longpole_proto::UnixNanos;
use longpole_proto::wire::ExportRequest;
use longpole_storage::{Durability, StoreConfig};

use crate::workload::{Place, Workload};

/// How many different rounds of requests there are, as the load tool has.
const N_ROUNDS: usize = 48;

const SEED: u64 = 7;

/// How many appends wait at once.
const TOGETHER: usize = 32;

/// What is known of a filled store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    pub(super) n_spans: u64,
    pub(super) n_rounds: u64,
    /// When the last round began.
    pub(super) end_nanos: u64,
}

impl Filled {
    /// Reads what a filling left beside its store.
    pub(super) fn read(dir: &Path) -> Self {
        Self::find(dir).expect("the store was filled")
    }

    fn find(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(note(dir)).ok()?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            n_spans: next()?,
            n_rounds: next()?,
            end_nanos: next()?,
        })
    }

    /// The IDs of so many of its traces, spread over all rounds.
    pub(super) fn trace_ids(&self, n: u64) -> Vec<[u8; 16]> {
        let workload = Workload::new(SEED, 1);
        let rounds = (0..n).map(|at| (self.n_rounds - 1) * at / n);
        rounds
            .map(|round_no| workload.trace_id(round_no, 3))
            .collect()
    }
}

fn note(dir: &Path) -> PathBuf {
    dir.with_extension("filled")
}

/// Fills the store, or finds it filled.
pub(super) fn fill(config: &StoreConfig, n_spans_max: u64, hours: u64) -> Filled {
    if let Some(filled) = Filled::find(&config.data_dir) {
        eprintln!("{} has {} spans", config.data_dir.display(), filled.n_spans);
        return filled;
    }
    let config = StoreConfig {
        durability: Durability::Os,
        ..config.clone()
    };
    let begun = Instant::now();
    let workload = Workload::new(SEED, N_ROUNDS);
    let store = longpole_storage::open(&config).expect("an empty directory");
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = u64::try_from(now.expect("behind 1970").as_nanos()).expect("before 2554");
    let range_nanos = hours * 3_600_000_000_000;
    let (sender, answers) = mpsc::sync_channel(TOGETHER);
    let mut place = Place {
        round_no: 0,
        request: 0,
    };
    let (mut n_spans, mut n_waiting, mut base) = (0, 0, 0);
    // Rounds are not cut: each has all spans of its traces.
    while n_spans < n_spans_max || place.request > 0 {
        if place.request == 0 {
            let share = u128::from(range_nanos) * u128::from(n_spans) / u128::from(n_spans_max);
            base = now - range_nanos + u64::try_from(share).expect("a part of it");
        }
        let bytes = workload.encode(place, base);
        n_spans += workload.n_spans(place) as u64;
        place = workload.next(place);
        let request = ExportRequest::parse(bytes.into()).expect("an export request");
        if n_waiting == TOGETHER {
            answer(&answers);
            n_waiting -= 1;
        }
        let sender = sender.clone();
        let done = move |result| sender.send(result).expect("it is waited for");
        store.append(request, UnixNanos(base), Box::new(done));
        n_waiting += 1;
    }
    (0..n_waiting).for_each(|_| answer(&answers));
    store.close().expect("the store closes");
    let filled = Filled {
        n_spans,
        n_rounds: place.round_no,
        end_nanos: base,
    };
    let text = format!("{n_spans} {} {base}\n", place.round_no);
    fs::write(note(&config.data_dir), text).expect("a file beside the store");
    eprintln!(
        "filled {} with {n_spans} spans over {hours} h in {:.1} s",
        config.data_dir.display(),
        begun.elapsed().as_secs_f64()
    );
    filled
}

type Answer = Result<longpole_storage::Appended, longpole_storage::StorageError>;

fn answer(answers: &mpsc::Receiver<Answer>) {
    let answer = answers.recv().expect("every append is answered");
    answer.expect("acknowledged");
}
