//! `/api/v1/traces/{id}/analysis`: the trace page's answer as JSON.

use axum::extract::State;
use axum::response::Response;
use longpole_analysis::FindingKind;
use longpole_proto::SpanId;
use serde::Serialize;

use super::answer;
use crate::error::UiError;
use crate::extract::{Pairs, TraceIdPath};
use crate::site::Site;
use crate::trace_cache::Loaded;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    trace_id: String,
    duration_nanos: u64,
    incomplete: bool,
    slowest_hop: SlowestHop<'a>,
    culprit: Culprit<'a>,
    verdict: String,
    critical_path: Vec<Section>,
    services: Vec<ServiceShare<'a>>,
    hops: Vec<Hop<'a>>,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SlowestHop<'a> {
    service: &'a str,
    name: &'a str,
    span_id: SpanId,
    nanos: u64,
    share: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Culprit<'a> {
    service: &'a str,
    name: &'a str,
    peer: Option<&'a str>,
    span_ids: Vec<SpanId>,
    nanos: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Section {
    span_id: SpanId,
    start_unix_nano: String,
    end_unix_nano: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceShare<'a> {
    service: &'a str,
    critical_nanos: u64,
    self_nanos: u64,
    spans: usize,
    errors: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hop<'a> {
    service: &'a str,
    name: &'a str,
    span_id: SpanId,
    /// The caller's span of the call, when it belongs to the hop.
    client_span_id: Option<SpanId>,
    /// The entry of the hop it was called from.
    caller_span_id: Option<SpanId>,
    nanos: u64,
    network_nanos: u64,
    spans: usize,
    errors: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    kind: FindingKind,
    text: &'a str,
    span_ids: Vec<SpanId>,
    saved_nanos: u64,
}

/// The analysis of a trace.
pub(crate) async fn analysis(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    pairs.only(&[])?;
    site.read(move |site| {
        let loaded = site.trace(trace_id)?;
        answer(&document(&loaded))
    })
    .await
}

#[expect(clippy::cast_precision_loss, reason = "a share has fewer digits")]
fn document(loaded: &Loaded) -> Document<'_> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let span_id = |span_idx: usize| trace.span(span_idx).span_id;
    let name = |span_idx: usize| trace.span(span_idx).name.as_ref();
    let span_ids = |span_idxs: &[usize]| {
        span_idxs
            .iter()
            .map(|&span_idx| span_id(span_idx))
            .collect()
    };
    let slowest = &analysis.hops[analysis.slowest_hop];
    let culprit_idx = analysis.culprit.span_idxs[0];
    Document {
        trace_id: trace.id().to_string(),
        duration_nanos: analysis.duration_nanos,
        incomplete: trace.is_incomplete(),
        slowest_hop: SlowestHop {
            service: trace.service(slowest.entry_idx),
            name: name(slowest.entry_idx),
            span_id: span_id(slowest.entry_idx),
            nanos: slowest.nanos,
            share: slowest.nanos as f64 / analysis.duration_nanos.max(1) as f64,
        },
        culprit: Culprit {
            service: trace.service(culprit_idx),
            name: name(culprit_idx),
            peer: analysis.culprit.peer.as_deref(),
            span_ids: span_ids(&analysis.culprit.span_idxs),
            nanos: analysis.culprit.nanos,
        },
        verdict: analysis.verdict.to_string(),
        critical_path: analysis
            .critical_path
            .iter()
            .map(|section| Section {
                span_id: span_id(section.span_idx),
                start_unix_nano: section.start.0.to_string(),
                end_unix_nano: section.end.0.to_string(),
            })
            .collect(),
        services: analysis
            .services
            .iter()
            .map(|share| ServiceShare {
                service: &trace.services()[share.service_idx],
                critical_nanos: share.critical_nanos,
                self_nanos: share.self_nanos,
                spans: share.n_spans,
                errors: share.n_errors,
            })
            .collect(),
        hops: analysis
            .hops
            .iter()
            .map(|hop| Hop {
                service: trace.service(hop.entry_idx),
                name: name(hop.entry_idx),
                span_id: span_id(hop.entry_idx),
                client_span_id: hop.client_idx.map(span_id),
                caller_span_id: hop
                    .parent
                    .map(|parent| span_id(analysis.hops[parent].entry_idx)),
                nanos: hop.nanos,
                network_nanos: hop.network_nanos,
                spans: hop.n_spans,
                errors: hop.n_errors,
            })
            .collect(),
        findings: analysis
            .findings
            .iter()
            .map(|finding| Finding {
                kind: finding.kind,
                text: &finding.text,
                span_ids: span_ids(&finding.span_idxs),
                saved_nanos: finding.saved_nanos,
            })
            .collect(),
    }
}
