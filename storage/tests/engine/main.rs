//! Every engine through the same tests (`suite`, `model`), and the embedded one's own.

mod batches;
mod damage;
mod faults;
mod fixture;
mod model;
mod overview;
mod replay;
mod retries;
mod suite;

use std::path::Path;
use std::sync::Arc;

use longpole_storage::testing::FaultyDisk;
use longpole_storage::{Durability, StorageError, Store, StoreConfig};

/// Opens an engine's store in a directory.
type Open = fn(&Path) -> Result<Arc<dyn Store>, StorageError>;

fn config(dir: &Path, durability: Durability) -> StoreConfig {
    StoreConfig {
        durability,
        ..StoreConfig::new(dir)
    }
}

fn sled(dir: &Path) -> Result<Arc<dyn Store>, StorageError> {
    longpole_storage::open(&config(dir, Durability::Fsync))
}

fn sled_without_fsync(dir: &Path) -> Result<Arc<dyn Store>, StorageError> {
    longpole_storage::open(&config(dir, Durability::Os))
}

/// The embedded store on a disk that can fail.
fn on(disk: &FaultyDisk, dir: &Path) -> Arc<dyn Store> {
    disk.open(&config(dir, Durability::Fsync)).expect("a store")
}

/// Seals, closes and checkpoints all the time.
fn hasty(dir: &Path) -> Result<Arc<dyn Store>, StorageError> {
    FaultyDisk::hasty().open(&config(dir, Durability::Os))
}

/// Makes a module with the tests every engine must pass.
macro_rules! engine {
    ($module:ident, $open:path) => {
        mod $module {
            engine!(@tests $open:
                a_closed_store_refuses
                a_completion_that_panics_hurts_nobody
                a_foreign_cursor_is_refused
                a_huge_trace_comes_back_whole
                a_late_root_lengthens_the_request
                a_limit_of_nothing_gives_one
                a_request_sent_twice_is_one_trace
                a_request_without_spans_is_acknowledged
                a_second_open_is_refused
                a_span_sent_in_two_requests_is_one_span
                a_trace_says_when_it_was_received
                an_operation_belongs_to_its_service
                an_unknown_trace_is_none
                any_history_reads_like_its_model
                appended_spans_come_back_byte_for_byte
                appends_from_many_threads_are_all_found
                reopening_keeps_everything
                ties_are_by_trace_id
                traces_of_one_request_are_kept_apart
                what_is_acknowledged_is_found_at_once
            );
        }
    };
    (@tests $open:path: $($test:ident)*) => {
        $(#[test]
        fn $test() {
            crate::suite::$test($open);
        })*
    };
}

engine!(embedded, crate::sled);
engine!(embedded_without_fsync, crate::sled_without_fsync);
engine!(hasty_embedded, crate::hasty);
