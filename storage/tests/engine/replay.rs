//! What the embedded engine takes in again from its log.

use std::fs;

use longpole_proto::testing::SpanBuilder;
use longpole_storage::{Durability, StoreConfig};
use tempfile::TempDir;

use crate::batches::{append, id, one_span, request_of, stored};
use crate::{config, sled};

/// Traces are sealed while the log is still read when memory is short. Such a block has the spans
/// read so far; that later ones were once known of must not make them count as stored.
#[test]
fn spans_that_come_late_in_a_log_larger_than_memory_are_all_taken_in() {
    const N_TRACES: u64 = 60;
    let dir = TempDir::new().expect("a directory");
    let store = sled(dir.path()).expect("a store");
    let text = "x".repeat(8 << 10);
    for n in 1..=N_TRACES {
        let early = SpanBuilder::new(1, "early").at(0, n);
        let early = early.attribute("text", text.as_str());
        append(&*store, request_of(id(n), [early])).expect("acknowledged");
    }
    for n in 1..=N_TRACES {
        let late = SpanBuilder::new(2, "late").at(0, n).parent(1);
        append(&*store, request_of(id(n), [late])).expect("acknowledged");
    }
    append(&*store, one_span(id(N_TRACES + 1), 1)).expect("acknowledged");
    store.close().expect("the store closes");
    drop(store);
    fs::remove_dir_all(dir.path().join("partitions")).expect("the database");

    let small = StoreConfig {
        memory_limit_bytes: 256 << 10,
        ..config(dir.path(), Durability::Fsync)
    };
    let store = longpole_storage::open(&small).expect("a store");
    for n in 1..=N_TRACES {
        assert_eq!(stored(&*store, id(n)).len(), 2, "trace {n}");
    }
}
