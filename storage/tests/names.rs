//! A million distinct attribute names, searched in bounded memory. Alone in its process, whose memory
//! it measures.

use std::fs;
use std::sync::mpsc;

use longpole_analysis::query::{Field, Op, Query, Scope};
use longpole_proto::wire::ExportRequest;
use longpole_storage::{Matched, SearchRequest, StoreConfig};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use tempfile::TempDir;

const N_REQUESTS: u64 = 1_000;
const SPAN_NAMES: u64 = 1_000;

/// How much a search may take, in bytes: what it decodes of one block, and what it decodes that from.
/// All spans are in one here, 89 MB of them.
const SEARCH_BYTES_MAX: u64 = 256 << 20;

/// A trace of one span with names that no other has.
fn request(n: u64) -> ExportRequest {
    let attribute = |name: u64| KeyValue {
        key: format!(
            "customer.{:016x}.balance.of.account.{name:016x}.of.{n:016x}",
            n ^ name
        ),
        value: Some(AnyValue {
            value: Some(any_value::Value::IntValue(1)),
        }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: u128::from(n + 1).to_be_bytes().to_vec(),
        span_id: (n + 1).to_be_bytes().to_vec(),
        name: "work".to_owned(),
        start_time_unix_nano: n,
        end_time_unix_nano: 2 * n,
        attributes: (0..SPAN_NAMES).map(attribute).collect(),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans {
        spans: vec![span],
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        scope_spans,
        ..ResourceSpans::default()
    }];
    let bytes = TracesData { resource_spans }.encode_to_vec();
    ExportRequest::parse(bytes.into()).expect("an export request")
}

/// What this process takes: now, and at the most since that was last forgotten.
fn memory_bytes() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let of = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
        kib.expect("a number of kilobytes") << 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[test]
fn a_million_names_are_searched_in_little_memory() {
    let dir = TempDir::new().expect("a directory");
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    for n in 0..N_REQUESTS {
        let (sender, answer) = mpsc::sync_channel(1);
        let done = move |result| sender.send(result).expect("the test waits");
        store.append(request(n), longpole_proto::UnixNanos(n), Box::new(done));
        answer.recv().expect("an answer").expect("acknowledged");
    }
    // All of it is in blocks then.
    store.close().expect("it closes");
    drop(store);
    let store = longpole_storage::open(&StoreConfig::new(dir.path())).expect("a store");
    let known = format!(
        "customer.{:016x}.balance.of.account.{:016x}.of.{:016x}",
        7 ^ 8,
        8,
        7
    );
    let exists = |key: &str| Query::Exists(Field::attribute(Scope::Any, key));
    let is_one = Query::compare(Field::attribute(Scope::Any, &known), Op::Eq, 1);
    let searches = [
        (exists(&known), 1),
        (is_one, 1),
        (exists("customer.of.nobody"), 0),
        (Query::Word("nobody".to_owned()), 0),
        (Query::default(), N_REQUESTS),
    ];
    // Opens and reads what any search does.
    store
        .search(&SearchRequest::default())
        .expect("the store searches");
    for (query, n_expected) in searches {
        // Forgets how much it was at the most (proc_pid_clear_refs(5)).
        fs::write("/proc/self/clear_refs", "5").expect("one's own process");
        let (before, _) = memory_bytes();
        let request = SearchRequest {
            query,
            limit: 10,
            count: true,
            ..SearchRequest::default()
        };
        let result = store.search(&request).expect("the store searches");
        let (_, most) = memory_bytes();
        assert_eq!(
            result.matched,
            Matched::Exactly(n_expected),
            "{request:?} {:?} {:?}",
            result.unseen,
            result.scanned
        );
        let taken = most.saturating_sub(before);
        assert!(taken < SEARCH_BYTES_MAX, "{taken} bytes for {request:?}");
    }
}
