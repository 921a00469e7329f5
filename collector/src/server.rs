//! The server's parts, what joins them, and the order in which they stop.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use longpole_storage::Store;
use longpole_ui::{ReceiverStatus, UiState, Urls};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, AdminState};
use crate::clock::Clock;
use crate::http_server::Within;
use crate::ingest::Ingest;
use crate::listeners::Addresses;
use crate::metrics::Metrics;
use crate::otlp::client::Client;
use crate::otlp::{grpc, http};
use crate::protection::{Guard, Protection};
use crate::{Config, Listeners, RunError, banner, demo, http_server, shutdown};

type PartResult = Result<(), RunError>;

/// Serves from `store` until `shutdown`, then drains and closes the store.
///
/// # Errors
/// When a listener fails or the store does not close.
pub(crate) async fn serve(
    config: &Config,
    listeners: Listeners,
    protection: Arc<Protection>,
    store: Arc<dyn Store>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let addresses = listeners.addresses()?;
    let urls = Urls::new(&config.base_path)?;
    // Stops the parts; also when one of them fails, which must not cancel the caller's token.
    let stop = shutdown.child_token();
    let shared = Shared {
        protection,
        store: Arc::clone(&store),
        clock,
        stop: stop.clone(),
    };
    let mut parts = start(config, urls.clone(), listeners, addresses, &shared);
    banner::announce(config, &urls, addresses);
    shared.protection.warn_of_oddities();
    warn_when_exposed(addresses, &shared.protection);

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

/// What all parts have.
struct Shared {
    protection: Arc<Protection>,
    store: Arc<dyn Store>,
    clock: Clock,
    stop: CancellationToken,
}

fn start(
    config: &Config,
    urls: Urls,
    listeners: Listeners,
    addresses: Addresses,
    shared: &Shared,
) -> JoinSet<PartResult> {
    let Shared {
        protection,
        store,
        clock,
        stop,
    } = shared;
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
        let served = http_server::serve(
            listener,
            router,
            connections_max,
            protection.tls(),
            stop.clone(),
        );
        async {
            served.await;
            Ok(())
        }
    };

    let grpc = grpc::router(
        Arc::clone(&ingest),
        &addresses.http_endpoint(),
        protection.ingest_guard(),
    );
    parts.spawn(serve(listeners.grpc, grpc));
    let http = http::router(
        Arc::clone(&ingest),
        &addresses.grpc_endpoint(),
        &config.cors_origins,
        protection.ingest_guard(),
    );
    parts.spawn(serve(listeners.http, http));

    let access = protection.page_access(config, clock);
    let pages = longpole_ui::router(UiState {
        store: Arc::clone(store),
        urls,
        links: config.links.clone(),
        clock: Arc::clone(clock),
        receivers: receiver_status(addresses, access.is_some(), Arc::clone(&metrics)),
        access: access.clone().map(|access| access as _),
    });
    let admin = admin::router(AdminState {
        store: Arc::clone(store),
        metrics,
        clock: Arc::clone(clock),
        access,
        stop: stop.clone(),
    });
    parts.spawn(serve(listeners.ui, admin.merge(pages)));

    let follow = Arc::clone(protection).follow(stop.clone());
    parts.spawn(async {
        follow.await;
        Ok(())
    });
    if config.demo {
        // It has no token, and need not trust the server's certificate.
        let unguarded = grpc::router(ingest, &addresses.http_endpoint(), Guard::default());
        start_demo(&mut parts, unguarded, shared);
    }
    parts
}

fn start_demo(parts: &mut JoinSet<PartResult>, receiver: Router, shared: &Shared) {
    let within = Within::new(receiver, shared.stop.clone());
    let client = Client::within(within.clone());
    let demo = demo::beside_server(client, Arc::clone(&shared.clock), shared.stop.clone());
    parts.spawn(async {
        demo.await;
        within.ended().await;
        Ok(())
    });
}

fn receiver_status(
    addresses: Addresses,
    needs_token: bool,
    metrics: Arc<Metrics>,
) -> Arc<dyn Fn() -> ReceiverStatus + Send + Sync> {
    Arc::new(move || ReceiverStatus {
        grpc_endpoint: addresses.grpc_endpoint(),
        http_endpoint: addresses.http_endpoint(),
        spans_accepted: metrics.n_spans_accepted(),
        spans_refused: metrics.n_spans_refused(),
        needs_token,
        last_refusal: metrics.last_refusal(),
    })
}

fn warn_when_exposed(addresses: Addresses, protection: &Protection) {
    for (flag, address) in addresses.exposed() {
        let is_guarded = protection.has_tokens();
        if let Some(warning) = exposure(flag, is_guarded, protection.tls().is_some()) {
            warn!("--{flag} {address} can be reached from other machines{warning}");
        }
    }
}

/// What is missing where other machines reach a port.
fn exposure(flag: &str, has_tokens: bool, has_tls: bool) -> Option<String> {
    let may = match flag {
        "ui" => "read all traces",
        _ => "send spans",
    };
    let no_tls = "without TLS: whoever is on the way reads what is sent";
    match (has_tokens, has_tls) {
        (true, true) => None,
        (true, false) => Some(format!(
            " {no_tls}, tokens as well; --tls-cert and --tls-key encrypt"
        )),
        (false, true) => Some(format!(
            " without a token: whoever reaches it can {may}; --token-file asks for one"
        )),
        (false, false) => Some(format!(
            " without a token: whoever reaches it can {may}; and {no_tls}. --token-file asks for a \
             token, --tls-cert and --tls-key encrypt"
        )),
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
