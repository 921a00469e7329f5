//! What stands above the rows: the facts, which services the time went to, and the findings.

use longpole_analysis::FindingKind;
use longpole_analysis::format::{duration, label, percent};

use super::scene::Scene;
use crate::Urls;
use crate::format::{Count, iso, utc};
use crate::palette::{COLOURS, Palette};
use crate::timeline::Percent;
use crate::trace_cache::Loaded;

/// How many services the bar names; the rest are one.
const SHARES_MAX: usize = 12;
/// From this share on, in percent, a service's name fits into the bar.
const NAMED_SHARE: f64 = 6.0;
/// How many findings are shown at once.
const FINDINGS_FIRST: usize = 3;
/// How many are shown on demand; all are in the JSON.
const FINDINGS_MAX: usize = 24;

pub(super) struct Facts {
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) took: String,
    pub(super) start: String,
    pub(super) start_iso: String,
    pub(super) n_spans: Count,
    pub(super) n_services: Count,
    pub(super) n_errors: Count,
    pub(super) n_duplicates: Count,
    pub(super) depth: Count,
    pub(super) json_href: String,
}

/// A service's part of the critical path.
pub(super) struct Share {
    pub(super) class: String,
    pub(super) width: Percent,
    /// Name and share.
    pub(super) text: String,
    pub(super) took: String,
    pub(super) is_named: bool,
}

pub(super) struct FindingView {
    pub(super) is_error: bool,
    pub(super) kind: &'static str,
    pub(super) text: String,
    pub(super) saved: Option<String>,
    pub(super) href: Option<String>,
}

pub(super) fn facts(urls: &Urls, loaded: &Loaded) -> Facts {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let root = trace.request_root();
    let depth = (0..trace.len())
        .map(|span_idx| trace.depth(span_idx))
        .max()
        .unwrap_or(0);
    Facts {
        service: label(trace.service(root)).into_owned(),
        operation: label(&trace.span(root).name).into_owned(),
        took: duration(analysis.duration_nanos),
        start: utc(trace.span(root).start),
        start_iso: iso(trace.span(root).start),
        n_spans: trace.len().into(),
        n_services: trace.services().len().into(),
        n_errors: trace.n_errors().into(),
        n_duplicates: Count(trace.n_duplicates()),
        depth: Count::from(depth + 1),
        json_href: urls.api_trace(trace.id()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a bar's width")]
pub(super) fn shares(loaded: &Loaded, palette: &Palette<'_>) -> Vec<Share> {
    let (trace, analysis) = (&loaded.trace, loaded.analysis());
    let total = analysis.duration_nanos;
    let on_path: Vec<_> = analysis
        .services
        .iter()
        .filter(|share| share.critical_nanos > 0)
        .collect();
    let (named, others) = on_path.split_at(on_path.len().min(SHARES_MAX));
    let share = |name: &str, class: String, nanos: u64| {
        let width = nanos as f64 * 100.0 / total.max(1) as f64;
        Share {
            class,
            width: Percent(width),
            text: format!("{name} {}", percent(nanos, total)),
            took: duration(nanos),
            is_named: width >= NAMED_SHARE,
        }
    };
    let mut shares: Vec<Share> = named
        .iter()
        .map(|service| {
            let name = &trace.services()[service.service_idx];
            share(&label(name), palette.class(name), service.critical_nanos)
        })
        .collect();
    if !others.is_empty() {
        let nanos = others.iter().map(|service| service.critical_nanos).sum();
        shares.push(share(
            &format!("{} more services", others.len()),
            Palette::class_of(COLOURS - 1),
            nanos,
        ));
    }
    shares
}

/// What was found: the first few, the others, and how many are not here.
pub(super) struct Findings {
    pub(super) first: Vec<FindingView>,
    pub(super) more: Vec<FindingView>,
    pub(super) n_left: Count,
}

pub(super) fn findings(scene: &Scene<'_>) -> Findings {
    let all = &scene.loaded.analysis().findings;
    let shown = all.iter().take(FINDINGS_MAX);
    let views = shown.map(|finding| FindingView {
        is_error: finding.kind == FindingKind::Errors,
        kind: finding.kind.name(),
        text: finding.text.clone(),
        saved: (finding.saved_nanos > 0).then(|| duration(finding.saved_nanos)),
        href: finding.span_idxs.first().map(|&at| scene.href_of(at)),
    });
    let mut first: Vec<FindingView> = views.collect();
    // Errors are told at once, whatever they cost.
    first.sort_by_key(|finding| !finding.is_error);
    Findings {
        more: first.split_off(first.len().min(FINDINGS_FIRST)),
        first,
        n_left: all.len().saturating_sub(FINDINGS_MAX).into(),
    }
}
