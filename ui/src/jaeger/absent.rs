//! What Jaeger has and longpole does not: said with 501, which Jaeger's UI shows as it is.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;

use super::classic::check_kind;
use super::params::{Params, TimeUnit};
use crate::error::{BadParameter, UiError};
use crate::extract::{Pairs, path_text};

/// The route's `{metric}`.
#[derive(Debug, Clone)]
pub(super) struct MetricPath(String);

impl<S: Send + Sync> FromRequestParts<S> for MetricPath {
    type Rejection = UiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, UiError> {
        let metric = path_text(parts, state, "metric").await;
        match metric.as_str() {
            "latencies" | "calls" | "errors" | "minstep" => Ok(Self(metric)),
            _ => Err(UiError::no_page(parts.uri.path())),
        }
    }
}

/// That Jaeger's metrics cannot be given: they are of one kind of spans, and longpole's numbers are not kept
/// by kind. Parameters are checked all the same.
pub(super) async fn metrics(
    MetricPath(metric): MetricPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    let known = [
        "service",
        "quantile",
        "groupByOperation",
        "endTs",
        "lookback",
        "step",
        "ratePer",
        "spanKind",
        "prettyPrint",
    ];
    let params = Params::read(pairs, &known)?;
    if metric != "minstep" {
        if params.all("service").next().is_none() {
            return Err(BadParameter::new("service", "", "at least one service").into());
        }
        let quantile = params.parsed(&["quantile"], "a number from 0 to 1", |text| {
            let quantile: f64 = text.parse().ok()?;
            (0.0..=1.0).contains(&quantile).then_some(quantile)
        })?;
        if metric == "latencies" && quantile.is_none() {
            return Err(BadParameter::new("quantile", "", "a number from 0 to 1").into());
        }
        params.flag(&["groupByOperation"])?;
        params.time("endTs", TimeUnit::Millis)?;
        for name in ["lookback", "step", "ratePer"] {
            params.millis(name)?;
        }
        check_kind(&params, &["spanKind"])?;
    }
    Err(UiError::NotHere(
        "longpole has no metrics by span kind, which Jaeger's are",
    ))
}

/// That trace quality is not measured.
pub(super) async fn quality_metrics(pairs: Pairs) -> Result<Response, UiError> {
    Params::read(pairs, &["service", "hours", "prettyPrint"])?;
    Err(UiError::NotHere(
        "longpole does not measure the quality of traces",
    ))
}
