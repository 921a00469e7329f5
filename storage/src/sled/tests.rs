mod aggregates;
mod attributes;
mod counting;
mod marks;
mod overview;
mod paging;
mod reopen;
mod retention;
mod room;
mod search;
mod status;
mod versions;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use longpole_proto::TraceId;
use longpole_proto::testing::{SpanBuilder, parts_of, trace_id};
use longpole_proto::wire::to_messages;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use parking_lot::Mutex;
use prost::Message;
use tempfile::TempDir;

use super::keeper::{self, Keeper};
use super::live::Take;
use super::settings::Clock;
use super::*;
use crate::sled::partition::guarded;
use crate::testing::FaultyDisk;

fn open(dir: &Path, disk: &FaultyDisk) -> SledStore {
    open_with(dir, disk, |_| {})
}

fn open_with(dir: &Path, disk: &FaultyDisk, change: impl FnOnce(&mut Settings)) -> SledStore {
    let config = StoreConfig::new(dir);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let mut settings = Settings::new(&config);
    change(&mut settings);
    SledStore::open(&config, settings, &files).expect("a store")
}

/// Appends a span with the number `n` and waits for the answer.
fn append(store: &SledStore, n: u64, text: &str) -> Result<u64, StorageError> {
    let span = SpanBuilder::new(n, "work").attribute("text", text);
    send(store, request_of(trace_id(), [span]), UnixNanos(n))
}

/// A request with spans of a trace.
fn request_of(trace_id: TraceId, spans: impl IntoIterator<Item = SpanBuilder>) -> ExportRequest {
    let resource_spans = to_messages(&parts_of(spans), trace_id);
    let bytes = TracesData { resource_spans }.encode_to_vec();
    ExportRequest::parse(bytes.into()).expect("an export request")
}

/// Appends a request, waits for the answer, and says how many spans were taken.
fn send(
    store: &SledStore,
    request: ExportRequest,
    received: UnixNanos,
) -> Result<u64, StorageError> {
    let (sender, answer) = mpsc::sync_channel(1);
    let done = move |result: Result<_, _>| sender.send(result).expect("the test waits");
    store.append(request, received, Box::new(done));
    let answer = answer.recv().expect("every append is answered");
    answer.map(|appended: crate::Appended| appended.n_spans)
}

/// The time it is for a store.
fn now(store: &SledStore) -> UnixNanos {
    store.engine().expect("open").core.settings.clock.now()
}

fn n_spans(store: &SledStore) -> u64 {
    store.stats().expect("the store counts").n_spans
}

#[test]
fn once_the_store_failed_nothing_is_acknowledged_and_nothing_lost() {
    let dir = TempDir::new().expect("a directory");
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.reopen_pause = HOUR;
    });
    append(&store, 1, "").expect("acknowledged");
    store.engine().expect("open").core.fail("a test's failure");
    for result in [
        append(&store, 2, "").map(drop),
        store.flush(),
        store.close(),
    ] {
        assert!(
            matches!(&result, Err(StorageError::Engine(cause)) if cause.to_string() == "a test's failure")
        );
    }
    assert!(
        fs::read_dir(dir.path().join("log"))
            .expect("a directory")
            .count()
            > 0,
        "the log is kept"
    );
    assert_eq!(n_spans(&open(dir.path(), &FaultyDisk::new())), 1);
}

#[test]
fn what_sled_panics_with_is_an_error() {
    let result: Result<(), _> = guarded(|| panic!("page {} is gone", 7));
    assert!(
        matches!(&result, Err(StorageError::Engine(cause)) if cause.to_string() == "page 7 is gone")
    );
}

/// A clock that stands until it is set.
#[derive(Default)]
struct ManualClock(Mutex<Duration>);

impl ManualClock {
    fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for ManualClock {
    fn elapsed(&self) -> Duration {
        *self.0.lock()
    }

    fn now(&self) -> UnixNanos {
        UnixNanos(u64::try_from(self.elapsed().as_nanos()).expect("a short test"))
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// A clock that a tick goes by of whenever somebody looks.
#[derive(Default)]
struct Ticking(Mutex<Duration>);

impl Clock for Ticking {
    fn elapsed(&self) -> Duration {
        let mut elapsed = self.0.lock();
        *elapsed += Duration::from_millis(1);
        *elapsed
    }

    fn now(&self) -> UnixNanos {
        UnixNanos(1)
    }
}

/// A store without threads of its own doing anything unasked, on a clock that stands.
fn at_rest(dir: &Path, disk: &FaultyDisk) -> (SledStore, Arc<ManualClock>) {
    at_rest_with(dir, disk, |_| {})
}

/// The same, but for these settings.
fn at_rest_with(
    dir: &Path,
    disk: &FaultyDisk,
    change: impl FnOnce(&mut Settings),
) -> (SledStore, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let store = open_with(dir, disk, |settings| {
        settings.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
        settings.free_bytes_min = 0;
        settings.free_percent_min = 0;
        change(settings);
    });
    (store, clock)
}

/// A store at rest that may take so many bytes.
fn limited(dir: &Path, disk: &FaultyDisk, limit_bytes: u64) -> (SledStore, Arc<ManualClock>) {
    at_rest_with(dir, disk, |settings| {
        settings.disk_bytes_max = limit_bytes;
        settings.partition_log_bytes = limit_bytes / 8;
    })
}

fn id(trace: u8) -> TraceId {
    TraceId::new([trace; 16]).expect("not zero")
}

fn request(trace: u8, span: u64, text: &str) -> ExportRequest {
    let span = SpanBuilder::new(span, "work").attribute("text", text);
    request_of(id(trace), [span])
}

fn append_to(store: &SledStore, trace: u8, span: u64, received: UnixNanos) {
    send(store, request(trace, span, "text"), received).expect("acknowledged");
}

fn n_of(store: &SledStore, trace: u8) -> usize {
    n_of_trace(store, id(trace))
}

fn n_of_trace(store: &SledStore, trace_id: TraceId) -> usize {
    let trace = store.trace(trace_id).expect("the store reads");
    trace.map_or(0, |trace| {
        let message = TracesData::decode(trace.otlp.as_ref()).expect("a TracesData");
        let scopes = message.resource_spans.iter().flat_map(|of| &of.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    })
}

fn n_found(store: &SledStore) -> usize {
    let everything = SearchRequest {
        limit: 1_000,
        ..SearchRequest::default()
    };
    let result = store.search(&everything).expect("the store searches");
    assert!(result.complete);
    result.requests.len()
}

fn seal_all(engine: &Engine) {
    while engine.core.seal_or_fail(Take::All).expect("sled works") {}
}

/// Seals, begins another partition and closes the one before.
fn close_partition(engine: &Engine) {
    seal_all(engine);
    engine.keeper.begin_partition().expect("the disk is fine");
    engine.keeper.close_due().expect("the disk is fine");
    engine.keeper.checkpoint().expect("the disk is fine");
}

fn partitions(dir: &Path) -> usize {
    let entries = fs::read_dir(dir.join("partitions")).expect("a directory");
    entries.count()
}

#[test]
fn the_log_forgets_what_is_in_closed_partitions_and_no_more() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(1));
    engine.keeper.checkpoint().expect("the disk is fine");
    seal_all(&engine);
    engine.keeper.checkpoint().expect("the disk is fine");
    let n_bytes = engine.log.bytes();
    assert!(n_bytes > 0, "the active partition needs it");
    engine.keeper.begin_partition().expect("the disk is fine");
    engine.keeper.checkpoint().expect("the disk is fine");
    engine.flush().expect("the segment is over");
    assert_eq!(engine.log.bytes(), n_bytes, "it is not closed yet");
    append_to(&store, 2, 1, UnixNanos(1));
    engine.keeper.close_due().expect("the disk is fine");
    engine.keeper.checkpoint().expect("the disk is fine");
    assert!(engine.log.bytes() < 2 * n_bytes, "only the second is left");
    assert!(engine.log.bytes() > 0, "it is not sealed yet");
    assert_eq!((n_of(&store, 1), n_of(&store, 2)), (1, 1));
}

#[test]
fn late_spans_make_fragments_that_read_as_one_trace() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for span in 1..=20 {
        append_to(&store, 1, span, clock.now());
        append_to(
            &store,
            100 + u8::try_from(span).expect("small"),
            1,
            clock.now(),
        );
        let n_spans = usize::try_from(span).expect("small");
        for _ in 0..2 {
            assert_eq!(n_of(&store, 1), n_spans);
            assert_eq!(n_found(&store), n_spans + 1);
            let stats = store.stats().expect("the store counts");
            assert_eq!((stats.n_traces, stats.n_spans), (span + 1, 2 * span));
            if span % 3 == 0 {
                close_partition(&engine);
            } else {
                seal_all(&engine);
            }
        }
    }
    // The newest summary is of the whole, also of more fragments than are read when sealing.
    let most = SearchRequest {
        order: crate::Order::Spans,
        limit: 1,
        ..SearchRequest::default()
    };
    let found = store.search(&most).expect("the store searches");
    assert_eq!(found.requests[0].n_spans, 20);
    drop(engine);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!((n_of(&store, 1), n_found(&store)), (20, 21));
}

#[test]
fn a_trace_that_waits_while_others_are_sealed_is_in_the_log_until_it_is() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, clock) = at_rest(dir.path(), &disk);
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, clock.now());
    clock.advance(Duration::from_secs(5));
    append_to(&store, 2, 1, clock.now());
    append_to(&store, 1, 2, clock.now());
    // Both are due only later; the first trace's block has nothing of the second.
    clock.advance(Duration::from_secs(70));
    assert!(engine.core.seal_or_fail(Take::Due).is_ok());
    append_to(&store, 1, 3, clock.now());
    engine.keeper.checkpoint().expect("the disk is fine");
    drop(engine);
    disk.fail(disk.n_operations(), crate::testing::Fault::Crash);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!((n_of(&store, 1), n_of(&store, 2)), (3, 1));
    assert_eq!(n_spans(&store), 4);
}

#[test]
fn what_the_active_partition_has_and_cannot_give_is_not_said_to_be_missing() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(1));
    seal_all(&engine);
    assert_eq!(n_of(&store, 1), 1);
    let view = engine.core.state.lock().view.clone();
    // As when its database met a full disk.
    view.active().expect("there is one").partition.abandon();
    let trace_id = TraceId::new([1; 16]).expect("not zero");
    assert!(store.trace(trace_id).is_err());
}

#[test]
fn partitions_go_when_their_newest_span_is_too_old() {
    let dir = TempDir::new().expect("a directory");
    let (store, clock) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, clock.now());
    close_partition(&engine);
    clock.advance(100 * HOUR);
    append_to(&store, 2, 1, clock.now());
    // Late: the trace outlives its first fragment.
    append_to(&store, 1, 2, clock.now());
    close_partition(&engine);
    engine.keeper.retain().expect("the disk is fine");
    assert_eq!((partitions(dir.path()), n_of(&store, 1)), (3, 2));
    clock.advance(68 * HOUR);
    engine.keeper.retain().expect("the disk is fine");
    assert_eq!(partitions(dir.path()), 2);
    assert_eq!(
        (n_of(&store, 1), n_of(&store, 2), n_found(&store)),
        (1, 1, 2)
    );
    assert_eq!(store.stats().expect("the store counts").n_traces, 2);
    clock.advance(100 * HOUR);
    engine.keeper.retain().expect("the disk is fine");
    assert_eq!(partitions(dir.path()), 1);
    assert_eq!((n_of(&store, 1), n_found(&store)), (0, 0));
    drop(engine);
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!((n_found(&store), n_spans(&store)), (0, 0));
}

#[test]
fn the_oldest_partitions_go_when_the_directory_is_too_large() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    for trace in 1..=4 {
        append_to(&store, trace, 1, UnixNanos(1));
        close_partition(&engine);
    }
    drop(engine);
    drop(store);
    let below = |of: &Path| keeper::bytes_below(of).expect("readable");
    let n_bytes = below(dir.path());
    let of_one = (below(&dir.path().join("partitions")) - 1) / 5;
    let store = open_with(dir.path(), &FaultyDisk::new(), |settings| {
        settings.disk_bytes_max = n_bytes - of_one - of_one / 2;
        settings.retention = Duration::MAX;
        settings.partition_age_max = Duration::MAX;
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
    });
    assert_eq!(n_found(&store), 4);
    let engine = store.engine().expect("open");
    engine.keeper.retain().expect("the disk is fine");
    let is_there = [1, 2, 3, 4].map(|trace| n_of(&store, trace));
    assert!(is_there.is_sorted(), "the oldest first: {is_there:?}");
    assert_eq!((is_there[0], is_there[3]), (0, 1), "no more than needed");
    assert!(below(dir.path()) <= n_bytes - of_one - of_one / 2);
    assert_eq!(n_found(&store), is_there.iter().sum::<usize>());
}

#[test]
fn a_nearly_full_disk_refuses_spans_until_there_is_room() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    disk.set_free_bytes(50 << 30);
    let store = open_with(dir.path(), &disk, |settings| {
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
    });
    append(&store, 1, "").expect("acknowledged");
    let core = Arc::clone(&store.engine().expect("open").core);
    disk.set_free_bytes(4 << 30);
    core.look_at_disk().expect("the disk says");
    let error = append(&store, 2, "").expect_err("less than 5 % are free");
    assert!(
        matches!(error, StorageError::Full { free_bytes, least_bytes, .. }
        if free_bytes == 4 << 30 && least_bytes == (100 << 30) / 100 * 5)
    );
    assert_eq!(n_spans(&store), 1);
    disk.set_free_bytes(6 << 30);
    core.look_at_disk().expect("the disk says");
    append(&store, 3, "").expect("there is room again");
}

#[test]
fn no_more_is_taken_between_two_looks_at_the_disk_than_there_is_room_for() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let least_bytes = (100 << 30) / 100 * 5;
    disk.set_free_bytes(least_bytes + (1 << 20));
    let store = open_with(dir.path(), &disk, |settings| {
        settings.checkpoint_interval = HOUR;
        settings.room_interval = HOUR;
    });
    let text = "x".repeat(100_000);
    append(&store, 1, &text).expect("acknowledged");
    disk.set_free_bytes(least_bytes - 1);
    let n_taken = (2..100)
        .find(|&n| append(&store, n, &text).is_err())
        .expect("some time it is full");
    assert!((10..=12).contains(&n_taken), "{n_taken}");
    let error = append(&store, n_taken, "").expect_err("it stays full");
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
}

#[test]
fn a_closed_partition_that_turns_out_damaged_is_set_aside_and_the_rest_serves() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    let mut damaged = None;
    for trace in 1..=3 {
        append_to(&store, trace, 1, UnixNanos(1));
        damaged = damaged.or(engine
            .core
            .state
            .lock()
            .view
            .active()
            .map(|of| of.partition.dir().to_owned()));
        close_partition(&engine);
    }
    drop(engine);
    drop(store);
    let damaged = damaged.expect("a partition");
    fs::write(damaged.join("db"), b"nothing sled knows").expect("a damaged database");
    fs::write(damaged.join("conf"), b"nor this").expect("damaged parameters");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    // It is not opened before somebody needs it.
    assert_eq!(n_of(&store, 2), 1);
    assert_eq!(store.stats().expect("the store counts").n_damaged, 0);
    let all = SearchRequest {
        limit: 10,
        ..SearchRequest::default()
    };
    let result = store.search(&all).expect("the store searches");
    assert_eq!((result.requests.len(), result.complete), (2, false));
    store.engine().expect("open").keeper.go_round();
    assert_eq!(store.stats().expect("the store counts").n_damaged, 1);
    assert!(
        dir.path()
            .join("quarantine")
            .join(damaged.file_name().expect("a name"))
            .exists()
    );
    assert_eq!((n_of(&store, 1), n_of(&store, 3)), (0, 1));
    append_to(&store, 1, 7, UnixNanos(1));
    assert_eq!(n_of(&store, 1), 1);
}

#[test]
fn a_retry_of_what_was_set_aside_is_stored() {
    let dir = TempDir::new().expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(1));
    seal_all(&engine);
    engine.keeper.begin_partition().expect("the disk is fine");
    engine.keeper.close_due().expect("the disk is fine");
    append_to(&store, 1, 1, UnixNanos(2));
    assert_eq!(n_spans(&store), 1, "the log still has it");
    let view = engine.core.state.lock().view.clone();
    view.partitions()[0].partition.abandon();
    // The log lets it go only after this.
    engine.keeper.set_aside().expect("the disk is fine");
    append_to(&store, 1, 1, UnixNanos(2));
    assert_eq!((n_of(&store, 1), n_spans(&store)), (1, 1));
}

#[test]
fn a_partition_lost_before_it_was_closed_is_made_anew_beside_the_next() {
    let dir = TempDir::new().expect("a directory");
    let disk = FaultyDisk::new();
    let (store, _) = at_rest(dir.path(), &disk);
    let engine = store.engine().expect("open");
    append_to(&store, 1, 1, UnixNanos(1));
    append_to(&store, 2, 1, UnixNanos(1));
    seal_all(&engine);
    let lost = engine
        .core
        .state
        .lock()
        .view
        .active()
        .map(|of| of.partition.dir().to_owned());
    engine.keeper.begin_partition().expect("the disk is fine");
    append_to(&store, 2, 2, UnixNanos(1));
    append_to(&store, 3, 1, UnixNanos(1));
    seal_all(&engine);
    engine.keeper.checkpoint().expect("the disk is fine");
    drop(engine);
    disk.fail(disk.n_operations(), crate::testing::Fault::Crash);
    drop(store);
    fs::remove_dir_all(lost.expect("a partition")).expect("a directory");
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!([1, 2, 3].map(|trace| n_of(&store, trace)), [1, 2, 1]);
    assert_eq!((n_found(&store), n_spans(&store)), (3, 4));
    close_partition(&store.engine().expect("open"));
    assert_eq!([1, 2, 3].map(|trace| n_of(&store, trace)), [1, 2, 1]);
    assert_eq!((n_found(&store), n_spans(&store)), (3, 4));
    drop(store);
    let (store, _) = at_rest(dir.path(), &FaultyDisk::new());
    assert_eq!([1, 2, 3].map(|trace| n_of(&store, trace)), [1, 2, 1]);
    assert_eq!((n_found(&store), n_spans(&store)), (3, 4));
}
