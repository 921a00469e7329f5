//! Serves an axum router over HTTP/1.1 and HTTP/2, with bounds and a drain that axum's own server
//! lacks.
//!
//! What a client can hold is bounded: connections, requests of each, heads; and for how long. Bodies
//! are the receivers' business.

mod connections;
mod quiet;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

pub(crate) use connections::connections_max;
use connections::{Connection, Connections};
use quiet::Quiet;

/// How long a client may take over a request's head; counted from the end of the last answer, so
/// also how long a connection of HTTP/1.1 is kept without a request. SDKs send every 5 s.
const HEAD_DEADLINE: Duration = Duration::from_mins(1);

/// How large a head may be: headers are some hundred bytes, and a proxy may add a long token.
const HEAD_BYTES_MAX: u32 = 64 << 10;
const HEADERS_MAX: usize = 100;

/// How long no byte may move on a connection. Longer than any request that is being worked on, and
/// than two rounds of HTTP/2's pings.
const QUIET_MAX: Duration = Duration::from_mins(3);

/// How often a client of HTTP/2 is asked whether it is there, and how long its answer may take.
const PING_EVERY: Duration = Duration::from_mins(1);
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// Requests of one connection of HTTP/2 at once; more wait on the client's side.
const STREAMS_MAX: u32 = 256;

/// Large enough that a batch is on its way without waiting for the other side.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// How long to wait after a failed accept: most often the process is out of file descriptors, and
/// trying at once would only burn a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until stopped, then until every request has its answer. Of `connections_max` connections
/// the one that was quiet for longest makes room for the next.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let connections = Connections::new(connections_max);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "connection ended at once");
            continue;
        }
        let Some(connection) = stop.run_until_cancelled(connections.admit()).await else {
            break;
        };
        let (router, stop) = (router.clone(), stop.clone());
        tasks.spawn(handle(
            stream,
            router,
            connection,
            stop,
            Tracked(tasks.clone()),
        ));
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// Spawns the tasks of HTTP/2's requests where they are waited for.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

async fn handle(
    io: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    connection: Connection,
    stop: CancellationToken,
    tasks: Tracked,
) {
    let serve = service_fn(|mut request: http::Request<Incoming>| {
        let request_guard = connection.begin_request();
        request.extensions_mut().insert(connection.bytes());
        let answer = router.clone().oneshot(request);
        async move {
            let answer = answer.await?;
            Ok::<_, Infallible>(request_guard.until_sent(answer))
        }
    });
    let builder = builder(tasks);
    let io = TokioIo::new(Quiet::new(io, QUIET_MAX));
    let served = builder.serve_connection(io, serve);
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = connection.asked_to_leave(&stop) => {
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = served => ended,
                () = connection.abandoned() => {
                    debug!("connection without a request is cut");
                    return;
                }
            }
        }
    };
    if let Err(error) = ended {
        debug!(error, "connection ended early");
    }
}

fn builder(tasks: Tracked) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(tasks);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_DEADLINE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    builder
}

#[cfg(test)]
mod tests;
