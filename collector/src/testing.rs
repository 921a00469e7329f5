//! A store for tests of what is in front of it.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use longpole_proto::TraceId;
use longpole_proto::UnixNanos;
use longpole_proto::testing::{START, span_id, trace_id};
use longpole_proto::wire::ExportRequest;
use longpole_storage::{
    Appended, Completion, Health, Matched, Operation, Overview, OverviewBuilder, OverviewRequest,
    Scanned, SearchRequest, SearchResult, Stats, StorageError, Store, StoreStatus, StoredTrace,
    TraceVersion, Unseen,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::otlp::attributes;

/// What a [`FakeStore`] does with what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// Takes it.
    #[default]
    Willing,
    /// Has too much to do.
    Busy,
    /// Never answers.
    Silent,
    /// Has no room left on its disk.
    Full,
    /// Has lost its disk.
    Broken,
}

/// Remembers how many spans it was given.
#[derive(Default)]
pub(crate) struct FakeStore {
    state: Mutex<State>,
    n_spans: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    is_closed: bool,
    /// Completions nobody will call.
    silenced: Vec<Completion>,
}

impl FakeStore {
    pub(crate) fn new(mood: Mood) -> Arc<Self> {
        let store = Self::default();
        store.state.lock().mood = mood;
        Arc::new(store)
    }

    pub(crate) fn n_spans(&self) -> u64 {
        *self.n_spans.borrow()
    }

    /// Waits until it was given so many spans.
    pub(crate) async fn filled_with(&self, n_spans: u64) {
        let mut count = self.n_spans.subscribe();
        count
            .wait_for(|&count| count >= n_spans)
            .await
            .expect("the sender is ours");
    }

    /// Ends the silence about the first `n_requests` that wait for an answer.
    pub(crate) fn settle(
        &self,
        n_requests: usize,
        answer: impl Fn() -> Result<Appended, StorageError>,
    ) {
        let settled: Vec<_> = self.state.lock().silenced.drain(..n_requests).collect();
        for done in settled {
            done(answer());
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }
}

impl Store for FakeStore {
    fn append(&self, request: ExportRequest, _received: UnixNanos, done: Completion) {
        let mut state = self.state.lock();
        if state.is_closed {
            return done(Err(StorageError::Closed));
        }
        match state.mood {
            Mood::Willing => {
                let n_spans = request.spans().len() as u64;
                self.n_spans.send_modify(|count| *count += n_spans);
                done(Ok(Appended { n_spans }));
            }
            Mood::Busy => done(Err(StorageError::Busy {
                waiting_bytes: 2,
                limit_bytes: 1,
            })),
            Mood::Full => done(Err(StorageError::Full {
                path: "data".into(),
                free_bytes: 1,
                least_bytes: 2,
            })),
            Mood::Silent => state.silenced.push(done),
            Mood::Broken => done(Err(StorageError::Damaged {
                what: "the log".to_owned(),
            })),
        }
    }

    fn trace(&self, _trace_id: TraceId) -> Result<Option<StoredTrace>, StorageError> {
        Ok(None)
    }

    fn trace_version(&self, _trace_id: TraceId) -> Result<Option<TraceVersion>, StorageError> {
        Ok(None)
    }

    fn delete(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn deleted(&self, _: TraceId) -> Result<Option<UnixNanos>, StorageError> {
        Ok(None)
    }

    fn pin(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn unpin(&self, _: TraceId) -> Result<bool, StorageError> {
        Err(StorageError::Closed)
    }

    fn pinned(&self) -> Result<Vec<TraceId>, StorageError> {
        Ok(Vec::new())
    }

    fn search(&self, _request: &SearchRequest) -> Result<SearchResult, StorageError> {
        Ok(SearchResult {
            requests: Vec::new(),
            matched: Matched::AtLeast(0),
            complete: true,
            next: None,
            unseen: Unseen::default(),
            scanned: Scanned::default(),
        })
    }

    fn overview(&self, request: &OverviewRequest) -> Result<Overview, StorageError> {
        Ok(OverviewBuilder::new(request).finish())
    }

    fn services(&self, _limit: usize) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn operations(
        &self,
        _service: Option<&str>,
        _limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        Ok(Vec::new())
    }

    fn attribute_names(
        &self,
        _: &str,
        _: usize,
    ) -> Result<longpole_storage::MostFrequent, StorageError> {
        Ok(longpole_storage::MostFrequent::default())
    }

    fn attribute_values(
        &self,
        _: &str,
        _: &str,
        _: usize,
    ) -> Result<longpole_storage::MostFrequent, StorageError> {
        Ok(longpole_storage::MostFrequent::default())
    }

    fn aggregates(
        &self,
        _request: &longpole_storage::AggregatesRequest,
    ) -> Result<longpole_storage::Aggregates, StorageError> {
        Ok(longpole_storage::Aggregates::default())
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        if self.state.lock().mood == Mood::Broken {
            return Err(StorageError::Damaged {
                what: "the log".to_owned(),
            });
        }
        Ok(Stats {
            n_spans: self.n_spans(),
            ..Stats::default()
        })
    }

    fn health(&self) -> Result<Health, StorageError> {
        Ok(Health::default())
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        Ok(StoreStatus {
            stats: self.stats()?,
            ..StoreStatus::default()
        })
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        self.state.lock().is_closed = true;
        Ok(())
    }
}

/// A clock that stands still.
pub(crate) fn clock() -> Clock {
    Arc::new(|| START)
}

/// The way into a store, for requests of up to `request_bytes_max`.
pub(crate) fn ingest(store: &Arc<FakeStore>, request_bytes_max: usize) -> Arc<Ingest> {
    let store: Arc<dyn Store> = Arc::clone(store) as _;
    Arc::new(Ingest::new(
        store,
        clock(),
        Arc::new(Metrics::new()),
        request_bytes_max,
    ))
}

/// An export request of a service's `n_good` spans and `n_bad` ones whose trace ID is all zero.
pub(crate) fn export_request(n_good: u64, n_bad: u64) -> Bytes {
    let span = |n: u64, trace_id: [u8; 16]| Span {
        trace_id: trace_id.to_vec(),
        span_id: span_id(n).to_bytes().to_vec(),
        name: "GET /".to_owned(),
        start_time_unix_nano: START.0,
        end_time_unix_nano: START.0 + 1,
        ..Span::default()
    };
    let good = (1..=n_good).map(|n| span(n, trace_id().to_bytes()));
    let bad = (1..=n_bad).map(|n| span(n, [0; 16]));
    let scope_spans = vec![ScopeSpans {
        spans: good.chain(bad).collect(),
        ..ScopeSpans::default()
    }];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attributes::text("service.name", "shop")],
                ..Resource::default()
            }),
            scope_spans,
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

/// Packed by gzip.
pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

/// Packed by Zstandard.
pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::encode_all(plain, 3).expect("writing to memory")
}
