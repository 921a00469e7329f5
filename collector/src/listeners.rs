//! The ports, bound before anything else is done.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::Config;

/// The three listening sockets.
#[derive(Debug)]
pub struct Listeners {
    /// OTLP/gRPC.
    pub grpc: TcpListener,
    /// OTLP/HTTP.
    pub http: TcpListener,
    /// Pages and query APIs.
    pub ui: TcpListener,
    /// Whether they are to speak TLS.
    pub is_tls: bool,
}

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on --{flag} {address}: {}", reason(error))]
pub struct BindError {
    /// The flag's name without its dashes.
    pub flag: &'static str,
    /// The address.
    pub address: SocketAddr,
    // Not a source: the text says all of it.
    error: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has the port; stop it or choose another address".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root only".to_owned(),
        _ => error.to_string(),
    }
}

impl Listeners {
    /// Binds all of a configuration's ports, or none.
    ///
    /// # Errors
    /// When one of them cannot be bound; the others are free again.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        Ok(Self {
            grpc: bind("otlp-grpc", config.otlp_grpc).await?,
            http: bind("otlp-http", config.otlp_http).await?,
            ui: bind("ui", config.ui).await?,
            is_tls: config.tls_cert.is_some(),
        })
    }

    /// Where they listen.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> io::Result<Addresses> {
        Ok(Addresses {
            otlp_grpc: self.grpc.local_addr()?,
            otlp_http: self.http.local_addr()?,
            ui: self.ui.local_addr()?,
            is_tls: self.is_tls,
        })
    }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| BindError {
        flag,
        address,
        error,
    })
}

/// Where longpole listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP/gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP/HTTP.
    pub otlp_http: SocketAddr,
    /// Pages and query APIs.
    pub ui: SocketAddr,
    /// Whether they speak TLS.
    pub is_tls: bool,
}

impl Addresses {
    /// The gRPC endpoint as applications are told it.
    pub fn grpc_endpoint(&self) -> String {
        endpoint(self.otlp_grpc, self.is_tls)
    }

    /// The HTTP endpoint as applications are told it.
    pub fn http_endpoint(&self) -> String {
        endpoint(self.otlp_http, self.is_tls)
    }

    /// The pages' address as a browser is told it, without a base path.
    pub fn ui_endpoint(&self) -> String {
        endpoint(self.ui, self.is_tls)
    }

    /// The flags of the ports that other machines can reach, with their addresses.
    pub fn exposed(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        [
            ("otlp-grpc", self.otlp_grpc),
            ("otlp-http", self.otlp_http),
            ("ui", self.ui),
        ]
        .into_iter()
        .filter(|(_, address)| !address.ip().is_loopback())
    }
}

/// The URL of an address; one that stands for all of the machine's is reached by loopback.
fn endpoint(mut address: SocketAddr, is_tls: bool) -> String {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        };
        address.set_ip(loopback);
    }
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_named_by_loopback() {
        for (address, url) in [
            ("127.0.0.1:4317", "http://127.0.0.1:4317"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
            ("192.0.2.7:80", "http://192.0.2.7:80"),
        ] {
            assert_eq!(endpoint(address.parse().expect("an address"), false), url);
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_flag_and_frees_the_others() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let probe = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let free = probe.local_addr().expect("an address");
        drop(probe);
        let config = Config {
            otlp_grpc: free,
            otlp_http: taken.local_addr().expect("an address"),
            ..Config::with_data_dir("unused")
        };
        let error = Listeners::bind(&config)
            .await
            .expect_err("the port is taken");
        let text = error.to_string();
        assert!(
            text.starts_with(&format!(
                "cannot listen on --otlp-http {}: another process",
                config.otlp_http
            )),
            "{text}"
        );
        TcpListener::bind(free)
            .await
            .expect("the first port is free again");
    }
}
