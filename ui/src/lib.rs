//! Pages and query APIs over a [`Store`](longpole_storage::Store): axum and askama.
//!
//! Knows HTTP and HTML, no receiver and no engine. All state of a page is in its URL, everything
//! works without JavaScript, and every URL is made in [`urls`].

pub mod urls;

use std::sync::Arc;

use longpole_proto::UnixNanos;
use longpole_storage::Store;

pub use urls::Urls;

/// What the pages need to know of the receivers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverStatus {
    /// The gRPC endpoint to copy into an application, such as `http://127.0.0.1:4317`.
    pub grpc_endpoint: String,
    /// The HTTP endpoint to copy into an application, such as `http://127.0.0.1:4318`.
    pub http_endpoint: String,
    /// How many spans were accepted since the start.
    pub spans_accepted: u64,
    /// How many spans were refused since the start.
    pub spans_refused: u64,
    /// Why the newest refused request or span was refused, with its time.
    pub last_refusal: Option<(UnixNanos, String)>,
}

/// What the router serves from; cheap to clone.
#[derive(Clone)]
pub struct UiState {
    /// Where traces are.
    pub store: Arc<dyn Store>,
    /// Where the pages are mounted.
    pub urls: Urls,
    /// The time now.
    pub clock: Arc<dyn Fn() -> UnixNanos + Send + Sync>,
    /// How the receivers do.
    pub receivers: Arc<dyn Fn() -> ReceiverStatus + Send + Sync>,
}

/// The pages and query APIs.
pub fn router(_state: UiState) -> axum::Router {
    todo!()
}
