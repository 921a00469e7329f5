//! A server for this process alone: it has no port, so nobody else reaches it.

use std::sync::Arc;

use axum::Router;
use tokio::io::{DuplexStream, duplex};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::Connections;
use super::{Tracked, handle};

/// More than one would be a sign of a leak.
const CONNECTIONS_MAX: usize = 16;

const BUFFER_BYTES: usize = 64 << 10;

/// Serves a router to who has this; clones serve the same.
#[derive(Clone)]
pub(crate) struct Within {
    router: Router,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Within {
    pub(crate) fn new(router: Router, stop: CancellationToken) -> Self {
        Self {
            router,
            connections: Arc::new(Connections::new(CONNECTIONS_MAX)),
            tasks: TaskTracker::new(),
            stop,
        }
    }

    /// The client's side of a new connection.
    pub(crate) async fn connect(&self) -> DuplexStream {
        let connection = self.connections.admit().await;
        let (client, server) = duplex(BUFFER_BYTES);
        let tracked = Tracked(self.tasks.clone());
        let handled = handle(
            server,
            self.router.clone(),
            connection,
            self.stop.clone(),
            tracked,
        );
        self.tasks.spawn(handled);
        client
    }

    /// Waits until it is stopped and every request has its answer.
    pub(crate) async fn ended(self) {
        self.stop.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
