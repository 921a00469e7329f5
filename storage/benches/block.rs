//! What it costs to make a block of some thousand spans, to read it, and to seal traces with all that
//! is stored of them: `cargo bench -p longpole-storage`.

#[path = "../../proto/benches/shop.rs"]
mod shop;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use longpole_proto::wire::ExportRequest;
use longpole_storage::testing::bench::{BlockBytes, Sealing, Traces};
use tempfile::TempDir;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    block(&mut criterion);
    seal(&mut criterion);
    criterion.final_summary();
}

fn block(criterion: &mut Criterion) {
    let requests: Vec<ExportRequest> = shop::requests()
        .into_iter()
        .map(|bytes| ExportRequest::parse(bytes).expect("an export request"))
        .collect();
    let traces = Traces::new(requests);
    let n_spans = traces.n_spans();
    let block: BlockBytes = traces.encode();
    eprintln!("{n_spans} spans, {} bytes each", block.len() / n_spans);
    let mut group = criterion.benchmark_group("block");
    group.throughput(Throughput::Elements(n_spans as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(traces.encode()));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| black_box(block.traces()));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("one trace", |bencher| {
        bencher.iter(|| black_box(block.trace(block.n_traces() / 2)));
    });
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let requests = shop::requests();
    let parsed = requests
        .iter()
        .map(|bytes| ExportRequest::parse(bytes.clone()));
    let n_spans: usize = parsed.map(|of| of.map_or(0, |of| of.spans().len())).sum();
    let mut group = criterion.benchmark_group("seal");
    group.throughput(Throughput::Elements(n_spans as u64));
    group.bench_function("traces", |bencher| {
        bencher.iter_batched(
            || {
                let dir = TempDir::new().expect("a directory");
                let sealing = Sealing::new(dir.path(), &requests).expect("a partition");
                (dir, sealing)
            },
            |(dir, sealing)| {
                sealing.seal().expect("sled works");
                (dir, sealing)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}
