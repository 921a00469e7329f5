//! What operators and orchestrators ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use bytesize::ByteSize;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, StatusCode};
use longpole_proto::wire::ExportRequest;
use longpole_storage::{Concern, Health, StorageError, Store};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::clock::Clock;
use crate::metrics::{self, Metrics};
use crate::protection::PageAccess;

/// A store that takes longer than this over nothing is not ready.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// What the answers are made from.
#[derive(Clone)]
pub(crate) struct AdminState {
    /// Where traces are.
    pub(crate) store: Arc<dyn Store>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// The time.
    pub(crate) clock: Clock,
    /// Who may see the metrics; everybody when there is none.
    pub(crate) access: Option<Arc<PageAccess>>,
    /// Cancelled once the receivers stop.
    pub(crate) stop: CancellationToken,
}

/// The paths for operators.
pub(crate) fn router(state: AdminState) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(text))
        .layer(SetResponseHeaderLayer::overriding(
            X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(state)
}

/// One thing that must work, and why it does not.
struct Part {
    name: &'static str,
    fault: Option<String>,
}

async fn ready(State(state): State<AdminState>) -> Response {
    let receivers = Part {
        name: "receivers",
        fault: state
            .stop
            .is_cancelled()
            .then(|| "longpole is stopping".to_owned()),
    };
    let write = Part {
        name: "storeWrite",
        fault: check_write(&state).await.err(),
    };
    let read = Part {
        name: "storeRead",
        fault: read(&state.store, Store::stats).await.err(),
    };
    let disk = Part {
        name: "disk",
        fault: self::read(&state.store, Store::health)
            .await
            .map_or_else(Some, |health| disk_fault(&health)),
    };
    let parts = [receivers, write, read, disk];
    let is_ready = parts.iter().all(|part| part.fault.is_none());
    let parts: Vec<_> = parts
        .iter()
        .map(|part| serde_json::json!({"name": part.name, "ok": part.fault.is_none(), "reason": part.fault}))
        .collect();
    let body = serde_json::json!({"ready": is_ready, "parts": parts}).to_string();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

/// Why the disk is one on which spans are refused, when it is.
fn disk_fault(health: &Health) -> Option<String> {
    health.concerns.iter().find_map(|concern| match concern {
        Concern::DiskFull {
            free_bytes,
            least_bytes,
        } => Some(format!(
            "the disk has {} free, less than the {} that spans are taken from on",
            ByteSize(*free_bytes),
            ByteSize(*least_bytes)
        )),
        _ => None,
    })
}

/// Whether an append of nothing goes all the way through.
async fn check_write(state: &AdminState) -> Result<(), String> {
    let nothing = ExportRequest::parse(Bytes::new()).map_err(|error| error.to_string())?;
    let (done, stored) = oneshot::channel();
    // Nobody listens any more when the deadline has passed.
    let completion = Box::new(move |result| drop(done.send(result)));
    state.store.append(nothing, (state.clock)(), completion);
    match tokio::time::timeout(CHECK_DEADLINE, stored).await {
        Ok(Ok(Ok(_))) => Ok(()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Err(_)) => Err(StorageError::Closed.to_string()),
        Err(_) => Err(too_slow()),
    }
}

/// Reads from the store, which may block, within the deadline.
async fn read<T: Send + 'static>(
    store: &Arc<dyn Store>,
    read: impl FnOnce(&dyn Store) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, String> {
    let store = Arc::clone(store);
    let read = tokio::task::spawn_blocking(move || read(&*store));
    match tokio::time::timeout(CHECK_DEADLINE, read).await {
        Ok(Ok(result)) => result.map_err(|error| error.to_string()),
        Ok(Err(_)) => Err("the store failed".to_owned()),
        Err(_) => Err(too_slow()),
    }
}

fn too_slow() -> String {
    format!(
        "the store did not answer within {} s",
        CHECK_DEADLINE.as_secs()
    )
}

async fn text(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    if let Some(access) = &state.access
        && access.check_bearer(&headers).is_err()
    {
        let challenge = [(WWW_AUTHENTICATE, "Bearer")];
        let text = "send a token for the pages as the header Authorization: Bearer TOKEN\n";
        return (StatusCode::UNAUTHORIZED, challenge, text).into_response();
    }
    let status = read(&state.store, Store::status).await.ok();
    let body = state.metrics.encode(status.as_ref());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_with_what_is_free_and_what_must_be() {
        let mut health = Health::default();
        assert_eq!(disk_fault(&health), None);
        health.concerns.push(Concern::SetAside { n_pieces: 1 });
        assert_eq!(disk_fault(&health), None, "spans are taken");
        health.concerns.push(Concern::DiskFull {
            free_bytes: 1 << 20,
            least_bytes: 64 << 20,
        });
        let fault = disk_fault(&health).expect("it is full");
        assert_eq!(
            fault,
            "the disk has 1.0 MiB free, less than the 64.0 MiB that spans are taken from on"
        );
    }
}
