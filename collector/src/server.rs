//! The server's parts, what joins them, and the order in which they stop.

use std::sync::Arc;
use std::time::Instant;

use longpole_storage::Store;
use longpole_ui::{ReceiverStatus, UiState, Urls};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, AdminState};
use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::listeners::Addresses;
use crate::metrics::Metrics;
use crate::otlp::{grpc, http};
use crate::{Config, Listeners, RunError, banner, demo, http_server, shutdown};

type PartResult = Result<(), RunError>;

/// Serves from `store` until `shutdown`, then drains and closes the store.
///
/// # Errors
/// When a listener fails or the store does not close.
pub(crate) async fn serve(
    config: &Config,
    listeners: Listeners,
    store: Arc<dyn Store>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let addresses = listeners.addresses()?;
    let urls = Urls::new(&config.base_path)?;
    // Stops the parts; also when one of them fails, which must not cancel the caller's token.
    let stop = shutdown.child_token();
    let mut parts = start(
        config,
        urls.clone(),
        listeners,
        addresses,
        &store,
        &clock,
        &stop,
    );
    banner::announce(config, &urls, addresses);
    warn_when_exposed(addresses);

    let failed = tokio::select! {
        () = shutdown.cancelled() => None,
        ended = parts.join_next() => ended.and_then(failure),
    };
    let stopping = Instant::now();
    stop.cancel();
    drain(parts).await;
    close(store, stopping).await?;
    info!(took = ?stopping.elapsed(), "stopped");
    failed.map_or(Ok(()), Err)
}

fn start(
    config: &Config,
    urls: Urls,
    listeners: Listeners,
    addresses: Addresses,
    store: &Arc<dyn Store>,
    clock: &Clock,
    stop: &CancellationToken,
) -> JoinSet<PartResult> {
    let metrics = Arc::new(Metrics::new());
    let ingest = Arc::new(Ingest::new(
        Arc::clone(store),
        Arc::clone(clock),
        Arc::clone(&metrics),
        config.max_request_bytes,
    ));
    let mut parts = JoinSet::new();

    let connections_max = http_server::connections_max();
    let serve = |listener, router| {
        let served = http_server::serve(listener, router, connections_max, stop.clone());
        async {
            served.await;
            Ok(())
        }
    };

    let grpc = grpc::router(Arc::clone(&ingest), &addresses.http_endpoint());
    parts.spawn(serve(listeners.grpc, grpc));
    let http = http::router(ingest, &addresses.grpc_endpoint(), &config.cors_origins);
    parts.spawn(serve(listeners.http, http));

    let pages = longpole_ui::router(UiState {
        store: Arc::clone(store),
        urls,
        links: config.links.clone(),
        clock: Arc::clone(clock),
        receivers: receiver_status(addresses, Arc::clone(&metrics)),
    });
    let admin = admin::router(AdminState {
        store: Arc::clone(store),
        metrics,
        clock: Arc::clone(clock),
        stop: stop.clone(),
    });
    parts.spawn(serve(listeners.ui, admin.merge(pages)));

    if config.demo {
        let endpoint = addresses
            .grpc_endpoint()
            .parse()
            .expect("an address makes a URL");
        let demo = demo::beside_server(endpoint, Arc::clone(clock), stop.clone());
        parts.spawn(async {
            demo.await;
            Ok(())
        });
    }
    parts
}

fn receiver_status(
    addresses: Addresses,
    metrics: Arc<Metrics>,
) -> Arc<dyn Fn() -> ReceiverStatus + Send + Sync> {
    Arc::new(move || ReceiverStatus {
        grpc_endpoint: addresses.grpc_endpoint(),
        http_endpoint: addresses.http_endpoint(),
        spans_accepted: metrics.n_spans_accepted(),
        spans_refused: metrics.n_spans_refused(),
        last_refusal: metrics.last_refusal(),
    })
}

fn warn_when_exposed(addresses: Addresses) {
    for (flag, address) in addresses.exposed() {
        warn!(
            "--{flag} {address} can be reached from other machines: whoever reaches it can \
             read or write traces, as there is no access control"
        );
    }
}

/// Why a part ended that should not have.
fn failure(ended: Result<PartResult, JoinError>) -> Option<RunError> {
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(panicked) => Some(RunError::Listener {
            part: "unknown",
            source: panicked.into(),
        }),
    }
}

/// Waits until all parts have ended, or as long as is fair, and then ends them.
async fn drain(mut parts: JoinSet<PartResult>) {
    let ended = tokio::time::timeout(shutdown::DRAIN_DEADLINE, async {
        while let Some(ended) = parts.join_next().await {
            if let Some(error) = failure(ended) {
                error!(%error, "a part failed while stopping");
            }
        }
    });
    if ended.await.is_err() {
        // What they wait for was not acknowledged: its senders will send it again.
        warn!("connections that did not end in time are cut");
        parts.shutdown().await;
    }
}

/// Flushes and closes the store in what is left of the time for stopping.
async fn close(store: Arc<dyn Store>, stopping: Instant) -> Result<(), RunError> {
    let left = shutdown::DEADLINE.saturating_sub(stopping.elapsed());
    let closing = tokio::task::spawn_blocking(move || store.close());
    match tokio::time::timeout(left, closing).await {
        Ok(Ok(closed)) => closed.map_err(RunError::Close),
        Ok(Err(panicked)) => Err(RunError::Listener {
            part: "store",
            source: panicked.into(),
        }),
        Err(_) => {
            // What was acknowledged is in the log; the next start reads it from there.
            warn!("the store did not close in time; the next start will take longer");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
