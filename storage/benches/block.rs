//! What it costs to make a block of some thousand spans and to read it: `cargo bench -p longpole-storage`.

#[path = "../../proto/benches/shop.rs"]
mod shop;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use longpole_proto::wire::ExportRequest;
use longpole_storage::testing::bench::{BlockBytes, Traces};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    block(&mut criterion);
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
