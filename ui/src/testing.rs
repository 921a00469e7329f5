//! A store in memory, and asking the router like a browser without scripts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use longpole_analysis::query::{Matcher, QueryError};
use longpole_analysis::{Analysis, TraceSummary};
use longpole_proto::testing::{START, SpanBuilder, parts_of, trace_of};
use longpole_proto::wire::{ExportRequest, decode_traces, encode_traces};
use longpole_proto::{SpanKind, Trace, TraceId, UnixNanos};
use longpole_storage::{
    Cancel, Completion, Concern, Damage, DiskStatus, Health, Matched, MemoryStatus, Operation,
    Order, Overview, OverviewBuilder, OverviewRequest, PartitionState, PartitionStatus,
    RecoveryStatus, Removal, RemovalReason, RemovedStatus, Scanned, SearchLimit, SearchRequest,
    SearchResult, SetAside, Stats, Stopped, StorageError, Store, StoreStatus, StoredTrace,
    TraceVersion, Unseen,
};
use scraper::{Html, Selector};
use tokio::sync::{Mutex, mpsc};
use tower::ServiceExt as _;

use crate::{Access, LinkTemplates, ReceiverStatus, UiState, Urls, router};

/// When tests ask: a minute after test traces begin.
pub(crate) const NOW: UnixNanos = UnixNanos(START.0 + 60_000_000_000);

/// Traces in memory, searched by looking at each.
#[derive(Default)]
pub(crate) struct FakeStore {
    traces: BTreeMap<TraceId, StoredTrace>,
    summaries: Vec<TraceSummary>,
    operations: Vec<Operation>,
    /// What it says about itself, but for its counts.
    pub(crate) status: StoreStatus,
    /// Whether every call fails.
    pub(crate) is_broken: bool,
    /// What searches do not see, whatever they look at.
    pub(crate) unseen: Unseen,
    /// Whether nothing is counted in the time there is for it.
    pub(crate) is_slow: bool,
    /// Why no query can be used.
    pub(crate) refusal: Option<QueryError>,
    /// What searches wait at.
    pub(crate) gate: Option<Gate>,
}

/// Says that a search began, and makes it wait while somebody holds it.
pub(crate) struct Gate {
    pub(crate) began: mpsc::Sender<Cancel>,
    pub(crate) held: Arc<Mutex<()>>,
}

impl FakeStore {
    pub(crate) fn with(traces: impl IntoIterator<Item = Trace>) -> Self {
        let mut store = Self::default();
        for trace in traces {
            store.put(&trace, START.plus_nanos(1_000_000_000));
        }
        store
    }

    pub(crate) fn put(&mut self, trace: &Trace, received: UnixNanos) {
        let otlp = Bytes::from(encode_traces(trace));
        // As it will be read back.
        let parts = decode_traces(trace.id(), &otlp).expect("encoded traces decode");
        let trace = Trace::new(trace.id(), parts).expect("a trace with spans");
        self.summaries.push(Analysis::of(&trace).summary(&trace));
        for at in 0..trace.len() {
            let (service, name) = (trace.service(at).to_owned(), trace.span(at).name.clone());
            self.operations.push(Operation {
                service,
                name: name.to_string(),
            });
        }
        self.operations.sort();
        self.operations.dedup();
        let trace_id = trace.id();
        let stored = StoredTrace {
            trace_id,
            otlp,
            first_received: received,
            last_received: received,
        };
        self.traces.insert(trace_id, stored);
    }

    fn check(&self) -> Result<(), StorageError> {
        if self.is_broken {
            return Err(StorageError::Damaged {
                what: "the secret cause".to_owned(),
            });
        }
        Ok(())
    }

    /// Name and text of every span's attributes.
    fn attributes(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for (trace_id, stored) in &self.traces {
            let parts = decode_traces(*trace_id, &stored.otlp).expect("encoded traces decode");
            for attribute in parts.spans.iter().flat_map(|span| &span.attributes) {
                let text = attribute.value.as_str().unwrap_or_default();
                all.push((attribute.key.clone(), text.to_owned()));
            }
        }
        all
    }

    fn matches(&self, matcher: &Matcher, summary: &TraceSummary, request: &SearchRequest) -> bool {
        let stored = &self.traces[&summary.trace_id];
        let parts = decode_traces(summary.trace_id, &stored.otlp).expect("encoded traces decode");
        let trace = Trace::new(summary.trace_id, parts).expect("a trace with spans");
        matcher.is_match_unanalysed(&trace)
            && request.from.is_none_or(|from| summary.start >= from)
            && request.to.is_none_or(|to| summary.start < to)
    }
}

fn most_frequent(
    texts: impl Iterator<Item = String>,
    prefix: &str,
    limit: usize,
) -> longpole_storage::MostFrequent {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for text in texts.filter(|text| text.starts_with(prefix)) {
        *counts.entry(text).or_default() += 1;
    }
    let mut texts: Vec<_> = counts.into_iter().collect();
    texts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let is_exact = texts.len() <= limit;
    texts.truncate(limit);
    longpole_storage::MostFrequent { texts, is_exact }
}

impl Store for FakeStore {
    fn append(&self, _: ExportRequest, _: UnixNanos, done: Completion) {
        done(Err(StorageError::Closed));
    }

    fn trace(&self, trace_id: TraceId) -> Result<Option<StoredTrace>, StorageError> {
        self.check()?;
        Ok(self.traces.get(&trace_id).cloned())
    }

    fn trace_version(&self, trace_id: TraceId) -> Result<Option<TraceVersion>, StorageError> {
        self.check()?;
        let trace = self.traces.get(&trace_id);
        // Its spans do not change here.
        Ok(trace.map(|_| TraceVersion::new([])))
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

    fn search(&self, request: &SearchRequest) -> Result<SearchResult, StorageError> {
        self.check()?;
        let skip = match &request.after {
            None => 0,
            Some(cursor) => cursor.parse().map_err(|_| StorageError::Cursor {
                cursor: cursor.clone(),
            })?,
        };
        if let Some(gate) = &self.gate {
            gate.began
                .blocking_send(request.cancel.clone())
                .expect("the test listens");
            drop(gate.held.blocking_lock());
        }
        if request.cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        if let Some(error) = &self.refusal {
            return Err(error.clone().into());
        }
        let matcher = Matcher::new(&request.query)?;
        let mut found: Vec<&TraceSummary> = self
            .summaries
            .iter()
            .filter(|summary| self.matches(&matcher, summary, request))
            .collect();
        found.sort_by_key(|summary| {
            let value = match request.order {
                Order::Slowest => summary.duration_nanos,
                Order::Newest => summary.start.0,
                Order::Spans => summary.n_spans,
                Order::Errors => summary.n_errors,
            };
            (std::cmp::Reverse(value), summary.trace_id)
        });
        let requests: Vec<_> = found
            .iter()
            .skip(skip)
            .take(request.limit)
            .copied()
            .cloned()
            .collect();
        let end = skip + requests.len();
        Ok(SearchResult {
            requests,
            matched: if request.count
                && !(self.is_slow && request.count_within.is_some())
                && self.unseen == Unseen::default()
            {
                Matched::Exactly(found.len() as u64)
            } else {
                Matched::AtLeast(found.len().min(end + 1) as u64)
            },
            complete: self.unseen == Unseen::default(),
            next: (end < found.len()).then(|| end.to_string()),
            unseen: self.unseen,
            scanned: Scanned::default(),
        })
    }

    fn overview(&self, request: &OverviewRequest) -> Result<Overview, StorageError> {
        self.check()?;
        if request.cancel.is_cancelled() {
            return Err(StorageError::Cancelled);
        }
        let matcher = Matcher::new(&request.query)?;
        let range = SearchRequest {
            from: request.from,
            to: request.to,
            ..SearchRequest::default()
        };
        let mut builder = OverviewBuilder::new(request);
        for summary in &self.summaries {
            if self.matches(&matcher, summary, &range) {
                let hop = &summary.slowest_hop;
                builder.add(
                    summary.trace_id,
                    summary.start,
                    summary.duration_nanos,
                    summary.n_errors > 0,
                    Some((&hop.service, &hop.name)),
                );
            }
        }
        let overview = builder.finish();
        let mut unseen = self.unseen;
        if self.is_slow {
            let stopped = request.within.map(|within| Stopped {
                limit: SearchLimit::Time(within),
                seen_beyond: None,
            });
            unseen.stopped = unseen.stopped.or(stopped);
        }
        let complete = unseen == Unseen::default();
        Ok(Overview {
            matched: match overview.matched {
                Matched::Exactly(n) if !complete => Matched::AtLeast(n),
                all => all,
            },
            complete,
            unseen,
            ..overview
        })
    }

    fn services(&self, limit: usize) -> Result<Vec<String>, StorageError> {
        self.check()?;
        let mut services: Vec<String> = self
            .operations
            .iter()
            .map(|operation| operation.service.clone())
            .collect();
        services.dedup();
        services.truncate(limit);
        Ok(services)
    }

    fn operations(
        &self,
        service: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Operation>, StorageError> {
        self.check()?;
        let of_service =
            |operation: &&Operation| service.is_none_or(|service| service == operation.service);
        Ok(self
            .operations
            .iter()
            .filter(of_service)
            .take(limit)
            .cloned()
            .collect())
    }

    fn attribute_names(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<longpole_storage::MostFrequent, StorageError> {
        self.check()?;
        let names = self.attributes().into_iter().map(|(name, _)| name);
        Ok(most_frequent(names, prefix, limit))
    }

    fn attribute_values(
        &self,
        name: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<longpole_storage::MostFrequent, StorageError> {
        self.check()?;
        let of_name = self.attributes().into_iter().filter(|of| of.0 == name);
        Ok(most_frequent(
            of_name.map(|(_, value)| value),
            prefix,
            limit,
        ))
    }

    fn aggregates(
        &self,
        _: &longpole_storage::AggregatesRequest,
    ) -> Result<longpole_storage::Aggregates, StorageError> {
        self.check()?;
        Ok(longpole_storage::Aggregates::default())
    }

    fn stats(&self) -> Result<Stats, StorageError> {
        self.check()?;
        let n_spans = self.summaries.iter().map(|summary| summary.n_spans).sum();
        Ok(Stats {
            n_traces: self.traces.len() as u64,
            n_spans,
            ..Stats::default()
        })
    }

    fn health(&self) -> Result<Health, StorageError> {
        self.check()?;
        Ok(self.status.health.clone())
    }

    fn status(&self) -> Result<StoreStatus, StorageError> {
        Ok(StoreStatus {
            stats: Stats {
                n_traces: self.traces.len() as u64,
                ..self.stats()?
            },
            ..self.status.clone()
        })
    }

    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// The pages over a store, mounted at a base path.
pub(crate) fn site_at(base: &str, store: FakeStore) -> Router {
    site_over(base, Arc::new(store))
}

/// The pages over any store, mounted at a base path.
pub(crate) fn site_over(base: &str, store: Arc<dyn Store>) -> Router {
    site_linked(base, store, LinkTemplates::default())
}

/// The pages over any store, with links out of them.
pub(crate) fn site_linked(base: &str, store: Arc<dyn Store>, links: LinkTemplates) -> Router {
    site_of(base, store, links, None)
}

/// The pages over any store, for who is let in.
pub(crate) fn site_with(base: &str, store: Arc<dyn Store>, access: Arc<dyn Access>) -> Router {
    site_of(base, store, LinkTemplates::default(), Some(access))
}

fn site_of(
    base: &str,
    store: Arc<dyn Store>,
    links: LinkTemplates,
    access: Option<Arc<dyn Access>>,
) -> Router {
    router(UiState {
        store,
        urls: Urls::new(base).expect("a base path"),
        links,
        clock: Arc::new(|| NOW),
        receivers: Arc::new(|| ReceiverStatus {
            grpc_endpoint: "http://127.0.0.1:4317".to_owned(),
            http_endpoint: "http://127.0.0.1:4318".to_owned(),
            spans_accepted: 0,
            spans_refused: 2,
            needs_token: false,
            last_refusal: Some((START, "2 spans refused: <b>invalid</b> trace ID".to_owned())),
        }),
        access,
    })
}

/// The pages over a store of these traces.
pub(crate) fn site(traces: impl IntoIterator<Item = Trace>) -> Router {
    site_at("", FakeStore::with(traces))
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn html(&self) -> Html {
        Html::parse_document(self.text())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().expect("ASCII"))
            .unwrap_or_default()
    }

    /// The texts of what a CSS selector finds, white space folded.
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).expect("a selector");
        let texts = self.html();
        texts
            .select(&selector)
            .map(|element| folded(&element.text().collect::<String>()))
            .collect()
    }

    /// An attribute of what a CSS selector finds.
    pub(crate) fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let selector = Selector::parse(selector).expect("a selector");
        let html = self.html();
        html.select(&selector)
            .filter_map(|element| element.attr(name))
            .map(str::to_owned)
            .collect()
    }
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Asks for something, with headers.
pub(crate) async fn ask(
    site: &Router,
    method: &str,
    uri: &str,
    headers: &[(header::HeaderName, &str)],
) -> Reply {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = site
        .clone()
        .oneshot(request)
        .await
        .expect("routers do not fail");
    reply(response).await
}

/// A whole answer.
pub(crate) async fn reply(response: axum::response::Response) -> Reply {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

/// Gets a page.
pub(crate) async fn get(site: &Router, uri: &str) -> Reply {
    ask(site, "GET", uri, &[]).await
}

/// The trace of some spans under an ID of its own.
pub(crate) fn trace_with_id(n: u64, spans: impl IntoIterator<Item = SpanBuilder>) -> Trace {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    let trace_id = TraceId::new(bytes).expect("ids in tests start at 1");
    Trace::new(trace_id, parts_of(spans)).expect("a test trace has spans")
}

/// A checkout in which a stock lookup is the slowest hop.
pub(crate) fn checkout() -> Trace {
    let gateway = SpanBuilder::new(1, "POST /checkout")
        .service("gateway")
        .kind(SpanKind::Server)
        .at(0, 390);
    let stock = SpanBuilder::new(2, "GET /stock")
        .service("inventory")
        .kind(SpanKind::Server)
        .parent(1)
        .at(20, 220);
    let lock = SpanBuilder::new(3, "lock wait")
        .service("inventory")
        .parent(2)
        .at(58, 210);
    let quote = SpanBuilder::new(4, "POST /quote")
        .service("pricing")
        .kind(SpanKind::Server)
        .parent(1)
        .at(21, 60);
    let charge = SpanBuilder::new(5, "POST /charge")
        .service("payments")
        .kind(SpanKind::Server)
        .parent(1)
        .at(230, 380);
    trace_of([gateway, stock, lock, quote, charge.error("declined")])
}

/// What a store says about itself to which much has happened.
pub(crate) fn eventful() -> StoreStatus {
    let partition = |n: u64, state, received| PartitionStatus {
        id: format!("2026-11-22T01-{n:04}"),
        state,
        received,
        n_spans: n * 1_000,
        bytes: n << 20,
    };
    let received = Some((START, START.plus_nanos(5_000_000_000)));
    let removal = Removal {
        id: "2026-11-14T22-0000".to_owned(),
        reason: RemovalReason::Size,
        removed: NOW,
        newest_received: START,
        n_spans: 1,
        bytes: 1 << 20,
    };
    StoreStatus {
        health: Health {
            concerns: vec![
                Concern::DiskFull {
                    free_bytes: 4 << 30,
                    least_bytes: 5 << 30,
                },
                Concern::SetAside { n_pieces: 1 },
                Concern::Damaged { n_pieces: 2 },
            ],
            opened: NOW.minus(Duration::from_hours(27)),
            retention: Duration::from_hours(7 * 24),
            max_disk_bytes: 10 << 30,
            oldest_received: Some(START),
            last_removal: Some(removal.clone()),
        },
        data_dir: "/var/lib/<longpole>".into(),
        format: "longpole sled 2".to_owned(),
        newest_received: Some(NOW),
        n_log_segments: 3,
        partitions: vec![
            partition(1, PartitionState::Closed, received),
            partition(2, PartitionState::Open, None),
        ],
        removed: RemovedStatus {
            n_partitions: 2,
            n_spans: 1,
            last: Some(removal),
        },
        set_aside: vec![SetAside {
            path: "quarantine/2026-11-21T23-0009".into(),
            reason: Some("page <7> is gone".to_owned()),
            bytes: 3 << 20,
        }],
        damaged: vec![Damage {
            found: START,
            path: "log/00000042.log".into(),
            reason: "bytes 3 to 9 are damaged and were skipped".to_owned(),
        }],
        recovery: RecoveryStatus {
            took: Duration::from_millis(1_250),
            n_partitions: 2,
            n_set_aside: 1,
            n_requests: 7,
            n_spans: 70,
            n_skipped: 2,
            torn_bytes: 17,
            is_rebuilt: true,
        },
        disk: DiskStatus {
            free_bytes: 4 << 30,
            total_bytes: 100 << 30,
            least_free_bytes: 5 << 30,
        },
        memory: MemoryStatus {
            limit_bytes: 512 << 20,
            resident_bytes: Some(100 << 20),
        },
        n_retries: 12,
        ..StoreStatus::default()
    }
}
