//! Serves an axum router over HTTP/1.1, with bounds and a drain that axum's own server lacks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Connections of one listener at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a client may take over a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait after a failed accept: most often the process is out of file descriptors, and
/// trying at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Called when a client spoke HTTP/2 without asking: it cannot be answered, but the user can be told.
pub(crate) type OnHttp2 = Arc<dyn Fn() + Send + Sync>;

/// Serves until stopped, then until every request has its answer.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    on_http2: OnHttp2,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &permits)).await {
        match accepted {
            Ok((stream, permit)) => {
                let connection =
                    handle(stream, router.clone(), Arc::clone(&on_http2), stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn handle(stream: TcpStream, router: Router, on_http2: OnHttp2, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        if error.is_parse_version_h2() {
            on_http2();
        }
        debug!(%error, "connection ended early");
    }
}
