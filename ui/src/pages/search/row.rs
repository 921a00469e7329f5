//! A request as a row of the search page.

use longpole_analysis::TraceSummary;
use longpole_analysis::format::{count, duration, label, percent};
use longpole_proto::UnixNanos;

use crate::Urls;
use crate::format::{iso, utc_short};
use crate::palette::Palette;
use crate::timeline::Percent;

/// A request.
pub(super) struct RequestView {
    pub(super) href: String,
    pub(super) took: String,
    /// Its duration against the longest here.
    pub(super) width: Percent,
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) is_incomplete: bool,
    /// How many spans failed, in words.
    pub(super) errors: Option<String>,
    pub(super) hot: String,
    pub(super) hot_share: String,
    pub(super) path: Vec<PathShare>,
    /// What the path's bar shows, in words.
    pub(super) path_label: String,
    pub(super) n_spans: String,
    pub(super) n_services: String,
    pub(super) start: String,
    pub(super) start_iso: String,
}

/// A service's part of the critical path.
pub(super) struct PathShare {
    pub(super) class: String,
    pub(super) left: Percent,
    pub(super) width: Percent,
    pub(super) text: String,
}

pub(super) fn rows(urls: &Urls, requests: &[TraceSummary], now: UnixNanos) -> Vec<RequestView> {
    let longest = requests
        .iter()
        .map(|request| request.duration_nanos)
        .max()
        .unwrap_or(0);
    let palette = palette(requests);
    requests
        .iter()
        .map(|request| row(urls, request, now, longest, &palette))
        .collect()
}

/// The colours of the services of these requests, by critical time.
fn palette(requests: &[TraceSummary]) -> Palette<'_> {
    let mut sums: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (service, nanos) in requests.iter().flat_map(|request| &request.critical_nanos) {
        let sum = sums.entry(service).or_default();
        *sum = sum.saturating_add(*nanos);
    }
    let mut services: Vec<(&str, u64)> = sums.into_iter().collect();
    services.sort_by_key(|&(_, nanos)| std::cmp::Reverse(nanos));
    Palette::of(services.into_iter().map(|(service, _)| service))
}

fn row(
    urls: &Urls,
    request: &TraceSummary,
    now: UnixNanos,
    longest: u64,
    palette: &Palette<'_>,
) -> RequestView {
    let total = request.duration_nanos;
    let hot = &request.slowest_hop;
    let mut left = 0.0;
    let path: Vec<PathShare> = request
        .critical_nanos
        .iter()
        .map(|(service, nanos)| {
            let width = width(*nanos, total);
            let share = PathShare {
                class: palette.class(service),
                left: Percent(left),
                width: Percent(width),
                text: format!("{} {}", label(service), percent(*nanos, total)),
            };
            left += width;
            share
        })
        .collect();
    let texts: Vec<&str> = path.iter().map(|share| share.text.as_str()).collect();
    RequestView {
        href: urls.trace(request.trace_id),
        took: duration(total),
        width: Percent(width(total, longest)),
        service: label(&request.root_service).into_owned(),
        operation: label(&request.root_operation).into_owned(),
        is_incomplete: request.incomplete,
        errors: match request.n_errors {
            0 => None,
            1 => Some("error".to_owned()),
            n => Some(format!("{} errors", count(n))),
        },
        hot: format!("{} {}", label(&hot.service), label(&hot.name)),
        hot_share: percent(hot.nanos, total),
        path_label: format!("Critical path: {}", texts.join(", ")),
        path,
        n_spans: count(request.n_spans),
        n_services: count(request.services.len() as u64),
        start: utc_short(request.start, now),
        start_iso: iso(request.start),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of a bar's width")]
fn width(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
