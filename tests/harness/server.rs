//! A real server in this process, on free ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use longpole::{Config, Listeners};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{Client, eventually};

/// A running server with a data directory of its own, which is removed when it is dropped.
#[derive(Debug)]
pub struct Server {
    client: Client,
    grpc: SocketAddr,
    http: SocketAddr,
    ui: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
    config: Config,
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
        change(&mut config);
        Self::start_on(data_dir, config).await
    }

    async fn start_on(data_dir: TempDir, mut config: Config) -> Self {
        let (grpc, http, ui) = (listener().await, listener().await, listener().await);
        config.otlp_grpc = address(&grpc);
        config.otlp_http = address(&http);
        config.ui = address(&ui);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn({
            let (config, shutdown) = (config.clone(), shutdown.clone());
            async move {
                let listeners = Listeners { grpc, http, ui };
                longpole::run(config, listeners, shutdown)
                    .await
                    .expect("the server runs and stops");
            }
        });
        let server = Self {
            client: Client::new(config.otlp_http, config.ui),
            grpc: config.otlp_grpc,
            http: config.otlp_http,
            ui: config.ui,
            shutdown,
            running,
            config,
            data_dir,
        };
        eventually("the server to be ready", async || {
            assert!(
                !server.running.is_finished(),
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
        format!("http://{}", self.grpc)
    }

    /// Its OTLP/HTTP endpoint.
    pub fn http_endpoint(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The URL of a path of its pages.
    pub fn ui_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ui)
    }

    /// Where it keeps everything.
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// Asks it to stop; [`Self::stop`] and [`Self::restart`] wait for that.
    pub fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops it as SIGTERM does, and gives its data directory's keeper.
    ///
    /// # Panics
    /// When it did not stop well.
    pub async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.running
            .await
            .expect("the server stops without a panic");
        self.data_dir
    }

    /// Stops it as SIGTERM does, and starts another one on the same data.
    ///
    /// # Panics
    /// When it did not stop well or does not become ready again.
    pub async fn restart(self) -> Self {
        let config = self.config.clone();
        let data_dir = self.stop().await;
        Self::start_on(data_dir, config).await
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port is free")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener
        .local_addr()
        .expect("a bound socket has an address")
}
