//! What it costs to append to the log, when eight requests at a time wait for the same sync.

#[path = "../../proto/benches/shop.rs"]
mod shop;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use longpole_storage::Durability;
use longpole_storage::testing::bench::AppendLog;
use tempfile::TempDir;

/// How many appends wait at once.
const TOGETHER: usize = 8;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    log(&mut criterion);
    criterion.final_summary();
}

fn log(criterion: &mut Criterion) {
    let requests: Vec<Bytes> = shop::requests().into_iter().take(TOGETHER).collect();
    let n_bytes: usize = requests.iter().map(Bytes::len).sum();
    eprintln!("{} requests, {n_bytes} bytes in all", requests.len());
    let mut group = criterion.benchmark_group("log");
    group.throughput(Throughput::Bytes(n_bytes as u64));
    for (name, durability) in [("os", Durability::Os), ("fsync", Durability::Fsync)] {
        let dir = TempDir::new().expect("a directory");
        let log = AppendLog::open(dir.path(), durability).expect("a log");
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || log.forget().expect("segments can be removed"),
                |()| log.append(&requests).expect("the disk takes them"),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
