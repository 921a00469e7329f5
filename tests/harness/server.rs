//! A real server in this process, on free ports.

use std::net::{Ipv4Addr, SocketAddr};

use longpole::{Addresses, Config, Listeners};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Client, DEADLINE, eventually};

/// A running server with a data directory of its own. When it is dropped, it is stopped and the
/// directory is removed; that takes a runtime with several threads.
#[derive(Debug)]
pub struct Server {
    client: Client,
    addresses: Addresses,
    config: Config,
    // Dropped in this order: nothing writes where nothing is.
    running: Running,
    data_dir: TempDir,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// Starts a server with another configuration than the default.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let data_dir = TempDir::new().expect("a temporary directory can be made");
        let mut config = Config::with_data_dir(data_dir.path().join("data"));
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        (config.otlp_grpc, config.otlp_http, config.ui) = (free, free, free);
        change(&mut config);
        Self::start_on(data_dir, config).await
    }

    async fn start_on(data_dir: TempDir, config: Config) -> Self {
        let listeners = Listeners::bind(&config).await.expect("ports are free");
        let addresses = listeners.addresses().expect("bound sockets have addresses");
        let running = Running::new(config.clone(), listeners);
        let client = Client::new(addresses.otlp_http, addresses.ui);
        let server = Self {
            client,
            addresses,
            config,
            running,
            data_dir,
        };
        eventually("the server to be ready", async || {
            assert!(
                !server.running.task.is_finished(),
                "the server ended before it was ready"
            );
            server
                .client
                .try_get("/readyz", &[])
                .await
                .filter(|reply| reply.status == 200)
        })
        .await;
        server
    }

    /// Speaks to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its OTLP/gRPC endpoint.
    pub fn grpc_endpoint(&self) -> String {
        self.addresses.grpc_endpoint()
    }

    /// Its OTLP/HTTP endpoint.
    pub fn http_endpoint(&self) -> String {
        self.addresses.http_endpoint()
    }

    /// The URL of a path of its pages.
    pub fn ui_url(&self, path: &str) -> String {
        self.addresses.ui_endpoint() + path
    }

    /// Stops it as SIGTERM does.
    ///
    /// # Panics
    /// When it did not stop well.
    pub async fn stop(mut self) {
        self.running.stop().await;
    }

    /// Stops it as SIGTERM does, and starts another one on the same data.
    ///
    /// # Panics
    /// When it did not stop well or does not become ready again.
    pub async fn restart(mut self) -> Self {
        self.running.stop().await;
        Self::start_on(self.data_dir, self.config).await
    }
}

/// The server's task.
#[derive(Debug)]
struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn new(config: Config, listeners: Listeners) -> Self {
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        let task = tokio::spawn(async move {
            let ended = longpole::run(config, listeners, token).await;
            ended.expect("the server runs and stops");
        });
        Self { shutdown, task }
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        let stopped = timeout(DEADLINE, &mut self.task).await;
        stopped
            .expect("the server stops in time")
            .expect("the server stops without a panic");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if !self.task.is_finished() {
            // How it ends is for `stop` to check.
            block_in_place(|| Handle::current().block_on(timeout(DEADLINE, &mut self.task))).ok();
        }
    }
}
