//! The trace page's buttons that keep a trace or delete it.

use axum::extract::State;
use axum::response::Redirect;

use crate::api::keep::Change;
use crate::error::UiError;
use crate::extract::TraceIdPath;
use crate::site::Site;

/// Deletes a trace, and leads to the others.
pub(crate) async fn delete(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
) -> Result<Redirect, UiError> {
    site.read(move |site| Change::Delete.apply(site, trace_id))
        .await?;
    Ok(Redirect::to(&site.urls().search()))
}

/// Pins a trace, and leads back to it.
pub(crate) async fn pin(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
) -> Result<Redirect, UiError> {
    site.read(move |site| Change::Pin.apply(site, trace_id))
        .await?;
    Ok(Redirect::to(&site.urls().trace(trace_id)))
}

/// Pins a trace no more, and leads back to it.
pub(crate) async fn unpin(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
) -> Result<Redirect, UiError> {
    site.read(move |site| Change::Unpin.apply(site, trace_id))
        .await?;
    Ok(Redirect::to(&site.urls().trace(trace_id)))
}
