//! What it costs to walk export requests, beside what it costs to decode them: `cargo bench -p longpole-proto`.

mod shop;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use longpole_proto::wire::ExportRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    walker(&mut criterion);
    criterion.final_summary();
}

fn walker(criterion: &mut Criterion) {
    let requests = shop::requests();
    let walk = |bytes: &Bytes| ExportRequest::parse(bytes.clone()).expect("an export request");
    let n_spans: usize = requests.iter().map(|bytes| walk(bytes).spans().len()).sum();
    let n_bytes: usize = requests.iter().map(Bytes::len).sum();
    eprintln!("{n_spans} spans, {} bytes each", n_bytes / n_spans);
    let mut group = criterion.benchmark_group("spans");
    group.throughput(Throughput::Elements(n_spans as u64));
    group.bench_function("walk", |bencher| {
        bencher.iter(|| {
            for bytes in &requests {
                black_box(walk(bytes));
            }
        });
    });
    group.bench_function("walk, and cut by trace", |bencher| {
        bencher.iter(|| {
            for bytes in &requests {
                walk(bytes)
                    .by_trace()
                    .messages()
                    .for_each(|of| drop(black_box(of)));
            }
        });
    });
    group.bench_function("prost", |bencher| {
        bencher.iter(|| {
            for bytes in &requests {
                black_box(ExportTraceServiceRequest::decode(bytes.clone()).is_ok());
            }
        });
    });
    group.finish();
}
