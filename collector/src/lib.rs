//! longpole: collects traces over OTLP, stores them, and shows why a request was slow.
//!
//! [`run`] is the whole server. It is given its ports and the token that stops it, so that a test
//! runs it as the binary does.

mod admin;
mod banner;
pub mod clock;
pub mod config;
pub mod demo;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http_server;
mod ingest;
mod listeners;
pub mod load;
pub mod logging;
mod metrics;
pub mod otlp;
mod protection;
mod server;
pub mod shutdown;
#[cfg(test)]
mod testing;
mod version;

use std::io;
use std::sync::Arc;

use longpole_storage::{StorageError, StoreConfig};
use longpole_ui::BasePathError;
use protection::Protection;
use tokio_util::sync::CancellationToken;

pub use config::{Config, DemoConfig, Invocation, LogConfig, LogFormat, LogLevel};
pub use listeners::{Addresses, BindError, Listeners};
pub use protection::{ProtectionError, check};

/// Why the server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A port cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The base path is none.
    #[error(transparent)]
    BasePath(#[from] BasePathError),
    /// A token file cannot be used.
    #[error(transparent)]
    Protection(#[from] ProtectionError),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Open(#[source] StorageError),
    /// The store did not close as it should.
    #[error("the store did not close cleanly")]
    Close(#[source] StorageError),
    /// The operating system refuses what a server needs.
    #[error("cannot run")]
    System(#[from] io::Error),
    /// A part of the server ended by itself.
    #[error("the {part} listener failed")]
    Listener {
        /// Which.
        part: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the store and serves until `shutdown` is cancelled; then stops accepting, answers what is
/// under way, closes the store and returns. Stopping takes at most a few seconds.
///
/// # Errors
/// When the store cannot be opened or closed, or a listener fails.
pub async fn run(
    config: Config,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let protection = Arc::new(Protection::load(&config)?);
    let store_config = StoreConfig {
        data_dir: config.data_dir.clone(),
        durability: config.durability,
        memory_limit_bytes: config.memory_limit_bytes,
        retention: config.retention,
        max_disk_bytes: config.max_disk_bytes,
    };
    let store = tokio::task::spawn_blocking(move || longpole_storage::open(&store_config))
        .await
        .expect("opening a store returns its errors")
        .map_err(RunError::Open)?;
    server::serve(
        &config,
        listeners,
        protection,
        Arc::clone(&store),
        clock::system(),
        shutdown,
    )
    .await
}
