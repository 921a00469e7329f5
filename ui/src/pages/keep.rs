//! The trace page's buttons that keep a trace or delete it.

use axum::extract::State;
use axum::response::Redirect;

use crate::api::keep::Change;
use crate::error::UiError;
use crate::extract::TraceIdPath;
use crate::site::Site;

/// Deletes a trace, and leads to the others.
pub(crate) async fn delete(site: State<Site>, trace_id: TraceIdPath) -> Result<Redirect, UiError> {
    change(site, trace_id, Change::Delete).await
}

/// Pins a trace, and leads back to it.
pub(crate) async fn pin(site: State<Site>, trace_id: TraceIdPath) -> Result<Redirect, UiError> {
    change(site, trace_id, Change::Pin).await
}

/// Pins a trace no more, and leads back to it.
pub(crate) async fn unpin(site: State<Site>, trace_id: TraceIdPath) -> Result<Redirect, UiError> {
    change(site, trace_id, Change::Unpin).await
}

async fn change(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    change: Change,
) -> Result<Redirect, UiError> {
    site.read(move |site| change.apply(site, trace_id)).await?;
    Ok(Redirect::to(&match change {
        Change::Delete => site.urls().search(),
        Change::Pin | Change::Unpin => site.urls().trace(trace_id),
    }))
}
