//! What longpole counts about itself; one registry a server, nothing global.

mod refusals;
mod store;

use std::time::Duration;

use longpole_proto::UnixNanos;
use longpole_storage::StoreStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::ingest::{Refusal, Taken};
use crate::otlp::reply;
use crate::version::{COMMIT, VERSION};
use refusals::Refusals;
use store::StoreMetrics;

/// The content type of [`Metrics::encode`]'s text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    HttpProtobuf,
    /// OTLP/HTTP with JSON, or with nothing that is known.
    HttpJson,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Grpc, Self::HttpProtobuf, Self::HttpJson];

    /// The name in metrics and logs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http_protobuf",
            Self::HttpJson => "http_json",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabels {
    transport: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    transport: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WarningLabels {
    transport: &'static str,
    reason: &'static str,
}

type Outcomes = Family<OutcomeLabels, Counter>;

/// The counters of one server.
pub(crate) struct Metrics {
    registry: Registry,
    spans: Outcomes,
    requests: Outcomes,
    warnings: Family<WarningLabels, Counter>,
    spans_refused: Counter,
    refusals: Refusals,
    store: StoreMetrics,
    /// What every request touches, by [`Transport`], so that no map is looked up for it.
    hot: [Hot; Transport::ALL.len()],
}

#[derive(Debug)]
struct Hot {
    spans_accepted: Counter,
    requests_accepted: Counter,
    bytes: Counter,
    ack_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("longpole");
        let spans = Outcomes::default();
        registry.register(
            "receiver_spans",
            "Spans received, by what became of them",
            spans.clone(),
        );
        let warnings = Family::<WarningLabels, Counter>::default();
        registry.register(
            "receiver_odd_spans",
            "Spans accepted although something is odd about them",
            warnings.clone(),
        );
        let requests = Outcomes::default();
        registry.register(
            "receiver_requests",
            "Export requests received, by what became of them",
            requests.clone(),
        );
        let bytes = Family::<TransportLabels, Counter>::default();
        registry.register(
            "receiver_request_bytes",
            "Bytes of export requests after decompression",
            bytes.clone(),
        );
        // From 0.25 ms to 16 s, doubling.
        let ack_seconds = Family::<TransportLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.000_25, 2.0, 17))
        });
        registry.register_with_unit(
            "receiver_ack_duration",
            "Time from a read request to its spans being as durable as promised",
            Unit::Seconds,
            ack_seconds.clone(),
        );
        let store = StoreMetrics::default();
        store.register(&mut registry);
        registry.register(
            "build",
            "What is running",
            Info::new([("version", VERSION), ("commit", COMMIT)]),
        );
        let hot = Transport::ALL.map(|transport| {
            let accepted = OutcomeLabels {
                transport: transport.name(),
                outcome: "accepted",
                reason: "",
            };
            let labels = TransportLabels {
                transport: transport.name(),
            };
            Hot {
                spans_accepted: spans.get_or_create_owned(&accepted),
                requests_accepted: requests.get_or_create_owned(&accepted),
                bytes: bytes.get_or_create_owned(&labels),
                ack_seconds: ack_seconds.get_or_create_owned(&labels),
            }
        });
        Self {
            registry,
            spans,
            requests,
            warnings,
            spans_refused: Counter::default(),
            refusals: Refusals::default(),
            store,
            hot,
        }
    }

    /// Notes a request that could be read, and what is to be said of its spans.
    pub(crate) fn request_read(
        &self,
        transport: Transport,
        n_bytes: usize,
        taken: &Taken,
        now: UnixNanos,
    ) {
        self.hot[transport as usize].bytes.inc_by(n_bytes as u64);
        for (reason, n_spans) in taken.warnings.iter() {
            let labels = WarningLabels {
                transport: transport.name(),
                reason: reason.name(),
            };
            self.warnings.get_or_create(&labels).inc_by(n_spans);
        }
        let rejections = &taken.rejections;
        if rejections.total() == 0 {
            return;
        }
        for (reason, n_spans) in rejections.iter() {
            let labels = OutcomeLabels {
                transport: transport.name(),
                outcome: "refused",
                reason: reason.name(),
            };
            self.spans.get_or_create(&labels).inc_by(n_spans);
        }
        self.spans_refused.inc_by(rejections.total());
        self.refusals
            .note(transport, "spans", &rejections.message(), now);
    }

    /// Notes that a request's accepted spans are stored.
    pub(crate) fn request_stored(&self, transport: Transport, n_spans: u64, took: Duration) {
        let hot = &self.hot[transport as usize];
        hot.spans_accepted.inc_by(n_spans);
        hot.requests_accepted.inc();
        hot.ack_seconds.observe(took.as_secs_f64());
    }

    /// Notes a request that was refused as a whole.
    pub(crate) fn request_refused(&self, transport: Transport, refusal: &Refusal, now: UnixNanos) {
        let reason = reply::reply(refusal).reason;
        let labels = OutcomeLabels {
            transport: transport.name(),
            outcome: "refused",
            reason,
        };
        self.requests.get_or_create(&labels).inc();
        self.refusals
            .note(transport, reason, &refusal.to_string(), now);
    }

    /// How many spans are stored since the start.
    pub(crate) fn n_spans_accepted(&self) -> u64 {
        self.hot.iter().map(|hot| hot.spans_accepted.get()).sum()
    }

    /// How many spans of readable requests were refused since the start.
    pub(crate) fn n_spans_refused(&self) -> u64 {
        self.spans_refused.get()
    }

    /// What was refused last, and when.
    pub(crate) fn last_refusal(&self) -> Option<(UnixNanos, String)> {
        self.refusals.last()
    }

    /// All counters as `OpenMetrics` text; the store's as in `status`, or as they were.
    pub(crate) fn encode(&self, status: Option<&StoreStatus>) -> String {
        if let Some(status) = status {
            self.store.set(status);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_795_312_074_755_000_000);

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.request_stored(Transport::Grpc, 7, Duration::from_millis(3));
        metrics.request_refused(
            Transport::HttpJson,
            &Refusal::TooLarge { limit_bytes: 9 },
            NOW,
        );
        let text = metrics.encode(None);
        for line in [
            r#"longpole_receiver_spans_total{transport="grpc",outcome="accepted",reason=""} 7"#,
            r#"longpole_receiver_requests_total{transport="http_json",outcome="refused",reason="too_large"} 1"#,
            r#"longpole_receiver_ack_duration_seconds_count{transport="grpc"} 1"#,
            &format!(r#"longpole_build_info{{version="{VERSION}",commit="{COMMIT}"}} 1"#),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line} in\n{text}"
            );
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_last_refusal_is_kept_with_its_time() {
        let metrics = Metrics::new();
        assert_eq!(metrics.last_refusal(), None);
        metrics.request_refused(Transport::Grpc, &Refusal::Closing, NOW);
        assert_eq!(
            metrics.last_refusal(),
            Some((NOW, Refusal::Closing.to_string()))
        );
    }
}
