//! `DELETE /api/v1/traces/{id}`: deletes a trace; `PUT` and `DELETE` of its `/pin`: keeps it, or no
//! longer; `/api/v1/pins`: which are kept.

use axum::extract::State;
use axum::response::Response;
use longpole_proto::TraceId;
use serde_json::json;

use crate::error::UiError;
use crate::extract::{Pairs, TraceIdPath};
use crate::site::Site;

/// What is done to a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Delete,
    Pin,
    Unpin,
}

impl Change {
    /// Does it. Blocks.
    ///
    /// # Errors
    /// When nobody needs a token here, when there is no such trace (pinning one no more needs none), and
    /// when the store cannot.
    pub(crate) fn apply(self, site: &Site, trace_id: TraceId) -> Result<(), UiError> {
        if site.state.access.is_none() {
            return Err(UiError::NoTokens);
        }
        let store = &site.state.store;
        let done = match self {
            Self::Delete => store.delete(trace_id),
            Self::Pin => store.pin(trace_id),
            Self::Unpin => store.unpin(trace_id).map(|_| true),
        };
        if done.map_err(UiError::of_change)? {
            tracing::info!(%trace_id, change = ?self, "a trace was changed");
            return Ok(());
        }
        Err(site.no_trace(trace_id))
    }
}

/// Deletes a trace.
pub(crate) async fn delete(
    site: State<Site>,
    trace_id: TraceIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    change(site, trace_id, pairs, Change::Delete).await
}

/// Pins a trace.
pub(crate) async fn pin(
    site: State<Site>,
    trace_id: TraceIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    change(site, trace_id, pairs, Change::Pin).await
}

/// Pins a trace no more.
pub(crate) async fn unpin(
    site: State<Site>,
    trace_id: TraceIdPath,
    pairs: Pairs,
) -> Result<Response, UiError> {
    change(site, trace_id, pairs, Change::Unpin).await
}

async fn change(
    State(site): State<Site>,
    TraceIdPath(trace_id): TraceIdPath,
    pairs: Pairs,
    change: Change,
) -> Result<Response, UiError> {
    pairs.only(&[])?;
    site.read(move |site| change.apply(site, trace_id)).await?;
    let trace_id = trace_id.to_string();
    let answer = match change {
        Change::Delete => json!({ "traceId": trace_id, "deleted": true }),
        Change::Pin | Change::Unpin => {
            json!({ "traceId": trace_id, "pinned": change == Change::Pin })
        }
    };
    super::answer(&answer)
}

/// The traces that are pinned, those first that are so longest.
pub(crate) async fn pins(State(site): State<Site>, pairs: Pairs) -> Result<Response, UiError> {
    pairs.only(&[])?;
    let pinned = site.read(|site| Ok(site.state.store.pinned()?)).await?;
    let pinned: Vec<String> = pinned.iter().map(ToString::to_string).collect();
    super::answer(&json!({ "pinned": pinned }))
}
