//! One listener's connections: no more than so many, and who makes room for the next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AxumBody;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ingest::ConnectionBytes;

/// Connections of one listener at once: a large fleet's exporters, at 16 KB each while they are idle.
const CONNECTIONS_MAX: usize = 4_096;

/// The listeners that share the process's file descriptors.
const LISTENERS: u64 = 3;

/// How many descriptors are asked for, and how many the store keeps.
const DESCRIPTORS_WANTED: u64 = 16 << 10;
const DESCRIPTORS_OF_STORE: u64 = 512;

/// How long a connection that was asked to leave may stay without a request, and how long it is
/// waited for before the next one is asked.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);

/// How many connections a listener may have: as many as there are descriptors for. Raises the
/// process's limit of open files to what it may be, as most systems start with 1,024.
pub(crate) fn connections_max() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = DESCRIPTORS_WANTED.min(maximum.unwrap_or(u64::MAX));
    let mut n_descriptors = current.unwrap_or(u64::MAX);
    if n_descriptors < wanted {
        let raised = Rlimit {
            current: Some(wanted),
            maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => n_descriptors = wanted,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    connections_for(n_descriptors)
}

fn connections_for(n_descriptors: u64) -> usize {
    let each = n_descriptors.saturating_sub(DESCRIPTORS_OF_STORE) / LISTENERS;
    usize::try_from(each).map_or(CONNECTIONS_MAX, |each| each.clamp(16, CONNECTIONS_MAX))
}

/// Who is connected to a listener.
pub(super) struct Connections {
    permits: Arc<Semaphore>,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    by_number: HashMap<u64, Arc<State>>,
    next_number: u64,
}

struct State {
    leave: CancellationToken,
    bytes: ConnectionBytes,
    n_requests: AtomicUsize,
    quiet_since: Mutex<Instant>,
}

impl Connections {
    pub(super) fn new(connections_max: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(connections_max)),
            open: Arc::default(),
        }
    }

    /// Waits until there is room for one more, asking others to leave.
    pub(super) async fn admit(&self) -> Connection {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.make_room().await,
        };
        let state = Arc::new(State {
            leave: CancellationToken::new(),
            bytes: ConnectionBytes::default(),
            n_requests: AtomicUsize::new(0),
            quiet_since: Mutex::new(Instant::now()),
        });
        let mut open = self.open.lock();
        let number = open.next_number;
        open.next_number += 1;
        open.by_number.insert(number, Arc::clone(&state));
        Connection {
            state,
            number,
            peer: None,
            open: Arc::clone(&self.open),
            _permit: permit,
        }
    }

    async fn make_room(&self) -> OwnedSemaphorePermit {
        loop {
            self.ask_one_to_leave();
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = timeout(LEAVE_DEADLINE, permit).await {
                return permit.expect("the semaphore is never closed");
            }
        }
    }

    /// Asks the one that was without a request for longest. Who sends a request stays.
    fn ask_one_to_leave(&self) {
        let open = self.open.lock();
        let quiet = open
            .by_number
            .values()
            .filter(|state| !state.is_busy() && !state.leave.is_cancelled());
        if let Some(state) = quiet.min_by_key(|state| *state.quiet_since.lock()) {
            state.leave.cancel();
        }
    }
}

impl State {
    // Only ever a hint for whom to part with: nothing is published through the count.
    fn is_busy(&self) -> bool {
        self.n_requests.load(Ordering::Relaxed) > 0
    }
}

/// The address that a request's connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A connection's place; free when dropped.
pub(super) struct Connection {
    state: Arc<State>,
    number: u64,
    peer: Option<Peer>,
    open: Arc<Mutex<Open>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    /// The same connection, of a client at an address.
    pub(super) fn from(mut self, peer: IpAddr) -> Self {
        self.peer = Some(Peer(peer));
        self
    }

    /// Tells a request's handlers its connection's bytes on their way, and who sends it.
    pub(super) fn mark<B>(&self, request: &mut http::Request<B>) {
        let extensions = request.extensions_mut();
        extensions.insert(self.state.bytes.clone());
        if let Some(peer) = self.peer {
            extensions.insert(peer);
        }
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn begin_request(&self) -> RequestGuard {
        self.state.n_requests.fetch_add(1, Ordering::Relaxed);
        RequestGuard(Arc::clone(&self.state))
    }

    /// Waits until it should end: to make room, or because the server stops.
    pub(super) async fn asked_to_leave(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.state.leave.cancelled() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Waits until it had no request for a while.
    pub(super) async fn abandoned(&self) {
        let asked = Instant::now();
        loop {
            let quiet_since = (*self.state.quiet_since.lock()).max(asked);
            let left = LEAVE_DEADLINE.saturating_sub(quiet_since.elapsed());
            if left.is_zero() && !self.state.is_busy() {
                return;
            }
            sleep(left.max(LEAVE_DEADLINE / 4)).await;
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.lock().by_number.remove(&self.number);
    }
}

/// Counts as a request.
pub(super) struct RequestGuard(Arc<State>);

impl RequestGuard {
    /// Counts on until the answer is sent.
    pub(super) fn until_sent(self, answer: Response) -> Response<Guarded> {
        answer.map(|body| Guarded { body, _guard: self })
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        *self.0.quiet_since.lock() = Instant::now();
        self.0.n_requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body that counts as a request while it is sent.
pub(super) struct Guarded {
    body: AxumBody,
    _guard: RequestGuard,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_share_what_descriptors_the_store_leaves() {
        let cases = [
            (0, 16),
            (1_024, 170),
            (8_192, 2_560),
            (20_000, CONNECTIONS_MAX),
            (u64::MAX, CONNECTIONS_MAX),
        ];
        for (n_descriptors, n_connections) in cases {
            assert_eq!(connections_for(n_descriptors), n_connections);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_quietest_makes_room_and_who_is_busy_stays() {
        let connections = Connections::new(3);
        let busy = connections.admit().await;
        let guard = busy.begin_request();
        sleep(Duration::from_secs(1)).await;
        let quietest = connections.admit().await;
        sleep(Duration::from_secs(1)).await;
        let newest = connections.admit().await;
        let asked = |connection: &Connection| connection.state.leave.is_cancelled();

        let next = async {
            quietest.state.leave.cancelled().await;
            assert!(!asked(&busy) && !asked(&newest));
            drop(quietest);
        };
        let (fourth, ()) = tokio::join!(connections.admit(), next);

        // Whoever does not leave in time is waited for no longer: the next one is asked.
        let began = Instant::now();
        let next = async {
            newest.state.leave.cancelled().await;
            fourth.state.leave.cancelled().await;
            assert_eq!(began.elapsed(), LEAVE_DEADLINE);
            drop(fourth);
        };
        let (_fifth, ()) = tokio::join!(connections.admit(), next);
        assert!(!asked(&busy));
        drop(guard);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_abandoned_some_time_after_its_last_request() {
        let connections = Connections::new(1);
        let connection = connections.admit().await;
        let began = Instant::now();
        let guard = connection.begin_request();
        let request = async {
            sleep(Duration::from_secs(30)).await;
            drop(guard);
        };
        tokio::join!(connection.abandoned(), request);
        let took = began.elapsed();
        let least = Duration::from_secs(30) + LEAVE_DEADLINE;
        assert!(took >= least && took <= least + LEAVE_DEADLINE, "{took:?}");
    }
}
