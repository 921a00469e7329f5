//! Trace summaries: what a list of traces shows, spans and errors by service among it.

use std::time::Duration;

use longpole_analysis::TraceSummary;
use longpole_proto::trace::Attachment;
use longpole_proto::{StatusCode, Trace, TraceId, wire};
use longpole_storage::{Cancel, StorageError};
use serde::Serialize;

use crate::error::UiError;
use crate::site::Site;

/// How many bytes of spans are read for an answer. Behind that, what is not in the summary that is kept of
/// a trace is left out.
const READ_BYTES_MAX: usize = 256 << 20;

/// How long they are read. Behind that, likewise: Jaeger's UI waits ten seconds for the whole.
const READ_TIME_MAX: Duration = Duration::from_secs(4);

/// A trace, in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    trace_id: TraceId,
    root_service_name: String,
    root_operation_name: String,
    min_start_time_unix_nano: String,
    max_end_time_unix_nano: String,
    span_count: u64,
    error_span_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    orphan_span_count: Option<usize>,
    services: Vec<Service>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_span_count: Option<u64>,
}

impl Summary {
    /// From what is kept alone: of the whole trace's times only the root's are known.
    fn of_kept(kept: TraceSummary) -> Self {
        let end = kept.start.plus_nanos(kept.duration_nanos);
        let service = |name| Service {
            name,
            span_count: None,
            error_span_count: None,
        };
        Self {
            trace_id: kept.trace_id,
            root_service_name: kept.root_service,
            root_operation_name: kept.root_operation,
            min_start_time_unix_nano: kept.start.0.to_string(),
            max_end_time_unix_nano: end.0.to_string(),
            span_count: kept.n_spans,
            error_span_count: kept.n_errors,
            orphan_span_count: None,
            services: kept.services.into_iter().map(service).collect(),
        }
    }

    fn of_trace(trace: &Trace) -> Self {
        let mut services: Vec<(&str, u64, u64)> = trace
            .services()
            .iter()
            .map(|name| (name.as_str(), 0, 0))
            .collect();
        let mut n_orphans = 0;
        for (at, span) in trace.spans().iter().enumerate() {
            let service = &mut services[trace.service_idx(at)];
            service.1 += 1;
            service.2 += u64::from(span.status.code == StatusCode::Error);
            n_orphans += usize::from(trace.attachment(at) == Attachment::Orphan);
        }
        services.sort_unstable();
        let root = trace.request_root();
        Self {
            trace_id: trace.id(),
            root_service_name: trace.service(root).to_owned(),
            root_operation_name: trace.span(root).name.to_string(),
            min_start_time_unix_nano: trace.start().0.to_string(),
            max_end_time_unix_nano: trace.end().0.to_string(),
            span_count: trace.len() as u64,
            error_span_count: services.iter().map(|service| service.2).sum(),
            orphan_span_count: Some(n_orphans),
            services: services
                .into_iter()
                .map(|(name, n_spans, n_errors)| Service {
                    name: name.to_owned(),
                    span_count: Some(n_spans),
                    error_span_count: Some(n_errors),
                })
                .collect(),
        }
    }
}

/// The summaries of what a search found. Blocks.
pub(super) fn summaries_of(
    site: &Site,
    requests: Vec<TraceSummary>,
    cancel: &Cancel,
) -> Result<Vec<Summary>, UiError> {
    let mut n_bytes = 0_usize;
    let begun = site.now();
    let nanos_max = u64::try_from(READ_TIME_MAX.as_nanos()).unwrap_or(u64::MAX);
    let mut summaries = Vec::with_capacity(requests.len());
    for kept in requests {
        if cancel.is_cancelled() {
            return Err(StorageError::Cancelled.into());
        }
        let is_read = n_bytes < READ_BYTES_MAX && site.now().nanos_since(begun) < nanos_max;
        let stored = if is_read {
            site.state.store.trace(kept.trace_id)?
        } else {
            None
        };
        let trace = stored.and_then(|stored| {
            n_bytes += stored.otlp.len();
            let parts = wire::decode_outline(kept.trace_id, &stored.otlp, &[]).ok()?;
            Trace::new(kept.trace_id, parts)
        });
        summaries.push(match trace {
            Some(trace) => Summary::of_trace(&trace),
            None => Summary::of_kept(kept),
        });
    }
    Ok(summaries)
}
