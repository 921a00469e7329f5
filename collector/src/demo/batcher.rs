//! Batches spans per process, as SDKs do: so traces arrive in pieces, children before parents.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use longpole_proto::UnixNanos;

use super::fleet::{Fleet, Instance, Library, SCHEMA_URL};
use super::recorder::{MS, Recorded};

/// As the SDKs' batch processor has it.
pub(super) const BATCH_SPANS_MAX: usize = 512;

/// How often a process sends what has ended, in nanoseconds.
const EVERY_NANOS: u64 = 1_000 * MS;

/// The batch processors of all processes.
pub(super) struct Batchers {
    fleet: Fleet,
    /// By instance.
    batchers: Vec<Batcher>,
}

struct Batcher {
    waiting: Vec<(Library, Span)>,
    next: UnixNanos,
}

impl Batchers {
    /// Batchers that begin at `now`, each a bit later than the one before, as processes start.
    pub(super) fn new(fleet: Fleet, now: UnixNanos) -> Self {
        let n_instances = fleet.instances().len() as u64;
        let batchers = (0..n_instances)
            .map(|n| Batcher {
                waiting: Vec::new(),
                next: now.plus_nanos(EVERY_NANOS * n / n_instances),
            })
            .collect();
        Self { fleet, batchers }
    }

    /// Takes a request's spans.
    pub(super) fn push(&mut self, spans: Vec<Recorded>) {
        for Recorded {
            instance,
            library,
            span,
        } in spans
        {
            self.batchers[instance].waiting.push((library, span));
        }
    }

    /// The export requests that are due at `now`, of spans that have ended by then.
    pub(super) fn due(&mut self, now: UnixNanos) -> Vec<ExportTraceServiceRequest> {
        let mut requests = Vec::new();
        for (batcher, instance) in self.batchers.iter_mut().zip(self.fleet.instances()) {
            if batcher.next <= now {
                batcher.next = now.plus_nanos(EVERY_NANOS);
                requests.extend(batcher.take_ended(now, instance));
            }
        }
        requests
    }

    /// The export requests of all spans that have ended by `now`, due or not.
    pub(super) fn flush(&mut self, now: UnixNanos) -> Vec<ExportTraceServiceRequest> {
        let batchers = self.batchers.iter_mut().zip(self.fleet.instances());
        batchers
            .flat_map(|(batcher, instance)| batcher.take_ended(now, instance))
            .collect()
    }
}

impl Batcher {
    fn take_ended(
        &mut self,
        now: UnixNanos,
        instance: &Instance,
    ) -> Vec<ExportTraceServiceRequest> {
        let (mut ended, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, span)| span.end_time_unix_nano <= now.0);
        self.waiting = waiting;
        // A processor gets a span when it ends.
        ended.sort_by_key(|(_, span)| span.end_time_unix_nano);
        ended
            .chunks(BATCH_SPANS_MAX)
            .map(|batch| export_request(instance, batch))
            .collect()
    }
}

fn export_request(instance: &Instance, batch: &[(Library, Span)]) -> ExportTraceServiceRequest {
    let scope_spans = Library::ALL
        .into_iter()
        .filter_map(|library| {
            let of_library = batch.iter().filter(|(of, _)| *of == library);
            let spans: Vec<Span> = of_library.map(|(_, span)| span.clone()).collect();
            (!spans.is_empty()).then(|| ScopeSpans {
                scope: Some(instance.service.scope(library)),
                spans,
                schema_url: SCHEMA_URL.to_owned(),
            })
        })
        .collect();
    let resource = Some(instance.resource.clone());
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource,
            scope_spans,
            schema_url: SCHEMA_URL.to_owned(),
        }],
    }
}
