//! What longpole is told: flags, environment and file become a typed [`Config`] before any port is bound.
//!
//! A flag wins over its `LONGPOLE_…` variable, which wins over the file, which wins over the default. A
//! value that does not read is refused with the value and what is expected.

mod args;
mod effective;
mod file;
#[cfg(test)]
mod reference;
mod value;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use http::HeaderValue;
use longpole_storage::{Durability, StoreConfig};
use longpole_ui::LinkTemplates;
use tonic::transport::Uri;

use self::file::ConfigFile;
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
    /// Where spans and requests lead elsewhere.
    pub links: LinkTemplates,
    /// Whether to send a small shop's traffic to itself.
    pub demo: bool,
    /// How long spans are kept after they were received.
    pub retention: Duration,
    /// How large the data directory may become before the oldest spans go, in bytes.
    pub max_disk_bytes: u64,
    /// How much memory the process may take, in bytes.
    pub memory_limit_bytes: u64,
    /// How large an export request may be after decompression, in bytes.
    pub max_request_bytes: usize,
    /// The origins whose pages may send to OTLP/HTTP from a browser; `*` for any.
    pub cors_origins: Vec<HeaderValue>,
    /// Where the tokens are, one of which everybody must have.
    pub token_file: Option<PathBuf>,
    /// Where the listeners' certificates are, in PEM; without, they speak no TLS.
    pub tls_cert: Option<PathBuf>,
    /// Where the certificate's key is, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Where the authorities of clients' certificates are, in PEM; everybody must have one then.
    pub tls_client_ca: Option<PathBuf>,
    /// How to log.
    pub log: LogConfig,
}

impl Config {
    /// The defaults, with everything kept in `data_dir`.
    pub fn with_data_dir(data_dir: impl Into<PathBuf>) -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let store = StoreConfig::new(data_dir);
        Self {
            data_dir: store.data_dir,
            durability: store.durability,
            otlp_grpc: loopback(4317),
            otlp_http: loopback(4318),
            ui: loopback(16686),
            base_path: "/".to_owned(),
            links: LinkTemplates::default(),
            demo: false,
            retention: store.retention,
            max_disk_bytes: store.max_disk_bytes,
            memory_limit_bytes: store.memory_limit_bytes,
            max_request_bytes: MAX_REQUEST_BYTES,
            cors_origins: Vec::new(),
            token_file: None,
            tls_cert: None,
            tls_key: None,
            tls_client_ca: None,
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
    /// Where the token to send is.
    pub token_file: Option<PathBuf>,
    /// Where the authorities that the endpoint's certificate may be of are; those of the system without.
    pub tls_ca: Option<PathBuf>,
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
    /// Say what would be served with.
    CheckConfig {
        /// What that is.
        config: Config,
        /// The same for people, as TOML with where each value is from.
        text: String,
    },
}

impl Invocation {
    /// Reads a command line, the program's name first, and the environment.
    ///
    /// # Errors
    /// When the command line or a variable is wrong, and for `--help` and `--version`: the error
    /// prints what to say and knows the exit code.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut command = args::Cli::command();
        let mut matches = command.clone().try_get_matches_from(&args)?;
        let file = file_of(&command, &matches).map_err(|error| {
            let said = format!("{:#}", anyhow::Error::from(error));
            command.error(ErrorKind::ValueValidation, said)
        })?;
        if let Some(file) = &file {
            command = match serving(&matches) {
                Some((Some(name), _)) => command.mut_subcommand(name, |of| file.apply(of)),
                _ => file.apply(command),
            };
            matches = command.clone().try_get_matches_from(&args)?;
        }
        let cli = args::Cli::from_arg_matches(&matches)?;
        Self::new(cli, || effective::text(&command, &matches, file.as_ref()))
            .map_err(|error| command.error(ErrorKind::ValueValidation, format!("--link: {error}")))
    }

    /// How to log.
    pub fn log(&self) -> LogConfig {
        match self {
            Self::Serve(config) | Self::CheckConfig { config, .. } => config.log,
            Self::Demo(config) => config.log,
            Self::Load(config) => config.log,
            Self::Sink(config) => config.log,
        }
    }
}

/// The name of the command that was given, if one was, and what it was given, when it takes what
/// `serve` takes.
fn serving(matches: &ArgMatches) -> Option<(Option<&str>, &ArgMatches)> {
    match matches.subcommand() {
        None => Some((None, matches)),
        Some((name, of)) => args::SERVING.contains(&name).then_some((Some(name), of)),
    }
}

/// The file that is to be read, read.
fn file_of(
    command: &clap::Command,
    matches: &ArgMatches,
) -> Result<Option<ConfigFile>, file::FileError> {
    let path = serving(matches).and_then(|(_, of)| of.get_one::<PathBuf>("config"));
    path.map(|path| ConfigFile::read(path, command)).transpose()
}

#[cfg(test)]
mod tests;
