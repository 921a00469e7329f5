//! What longpole is told: flags and environment become a typed [`Config`] before any port is bound.
//!
//! A flag wins over its `LONGPOLE_…` variable, which wins over the default. A value that does not
//! read is refused with the value and what is expected.

mod args;
mod value;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use longpole_storage::Durability;
use tonic::transport::Uri;

use crate::load::{LoadConfig, SinkConfig};

/// How large a request may be after decompression unless told otherwise, as the OTLP
/// specification recommends: 64 MiB.
pub const MAX_REQUEST_BYTES: usize = 64 << 20;

/// What `longpole serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// When spans count as stored.
    pub durability: Durability,
    /// Where OTLP/gRPC is received.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP is received.
    pub otlp_http: SocketAddr,
    /// Where the pages and query APIs are.
    pub ui: SocketAddr,
    /// The path the pages are mounted at, such as `/longpole`; `/` or nothing for none.
    pub base_path: String,
    /// Whether to send a small shop's traffic to itself.
    pub demo: bool,
    /// How large an export request may be after decompression, in bytes.
    pub max_request_bytes: usize,
    /// How to log.
    pub log: LogConfig,
}

impl Config {
    /// The defaults, with everything kept in `data_dir`.
    pub fn with_data_dir(data_dir: impl Into<PathBuf>) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            data_dir: data_dir.into(),
            durability: Durability::Fsync,
            otlp_grpc: loopback(4317),
            otlp_http: loopback(4318),
            ui: loopback(16686),
            base_path: "/".to_owned(),
            demo: false,
            max_request_bytes: MAX_REQUEST_BYTES,
            log: LogConfig::default(),
        }
    }
}

/// What `longpole demo` runs with.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoConfig {
    /// The OTLP/gRPC endpoint to send to.
    pub endpoint: Uri,
    /// How many requests of the shop to send a second, in real time.
    pub requests_per_second: f64,
    /// For how long; `None` until stopped.
    pub duration: Option<Duration>,
    /// How to log.
    pub log: LogConfig,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// In which form.
    pub format: LogFormat,
    /// From which severity on.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogLevel {
    /// What failed and stays failed.
    Error,
    /// What is not as it should be.
    Warn,
    /// What happens once in a while.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Invocation {
    /// Collect, store and show.
    Serve(Config),
    /// Send the demo's traffic.
    Demo(DemoConfig),
    /// Send a load and measure.
    Load(LoadConfig),
    /// Take a load and do nothing with it.
    Sink(SinkConfig),
}

impl Invocation {
    /// Reads a command line, the program's name first, and the environment.
    ///
    /// # Errors
    /// When the command line or a variable is wrong, and for `--help` and `--version`: the error
    /// prints what to say and knows the exit code.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = args::Cli::command().try_get_matches_from(args)?;
        args::Cli::from_arg_matches(&matches).map(Self::from)
    }

    /// How to log.
    pub fn log(&self) -> LogConfig {
        match self {
            Self::Serve(config) => config.log,
            Self::Demo(config) => config.log,
            Self::Load(config) => config.log,
            Self::Sink(config) => config.log,
        }
    }
}

#[cfg(test)]
mod tests;
