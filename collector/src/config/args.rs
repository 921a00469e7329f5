//! The command line, as clap reads it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use http::HeaderValue;
use longpole_storage::Durability;
use longpole_ui::{LinkTemplateError, LinkTemplates};
use tonic::transport::Uri;

use super::{Config, DemoConfig, Invocation, LogConfig, LogFormat, LogLevel, value};
use crate::load::{LoadConfig, Protocol, Sink, SinkConfig};
use crate::version;

/// Shows why a request was slow.
///
/// longpole receives OpenTelemetry traces, keeps every span it acknowledges, and names the hop
/// that made a request slow. Without a command it serves: one process with collector, store and
/// pages. Try it: longpole --demo
#[derive(Debug, Parser)]
#[command(
    name = "longpole",
    version = version::VERSION,
    long_version = version::long(),
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Every option can be set in the environment: --data-dir is LONGPOLE_DATA_DIR. A flag wins over it, \
                  and it over the file of --config."
)]
pub(super) struct Cli {
    #[command(flatten)]
    serve: ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Collect, store and show traces (the same as no command)
    Serve(ServeArgs),
    /// Send a small shop's traffic to an OTLP/gRPC endpoint
    Demo(DemoArgs),
    /// Measure how many spans a second an OTLP endpoint takes, and at what cost
    Load(LoadArgs),
    /// Check what serve would run with, without running it, and print it as the TOML of --config
    CheckConfig(ServeArgs),
}

/// The commands that take the options of `serve`, and so a file of them.
pub(super) const SERVING: [&str; 2] = ["serve", "check-config"];

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// A TOML file with any of these options, such as retention = "30d"; flags and the environment win
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_CONFIG",
        hide_env_values = true
    )]
    config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(
        long,
        value_name = "DIR",
        env = "LONGPOLE_DATA_DIR",
        hide_env_values = true,
        default_value = "./longpole-data"
    )]
    data_dir: PathBuf,
    /// Where to receive OTLP/gRPC
    #[arg(long, value_name = "ADDR", env = "LONGPOLE_OTLP_GRPC", hide_env_values = true, default_value = "127.0.0.1:4317", value_parser = value::address)]
    otlp_grpc: SocketAddr,
    /// Where to receive OTLP/HTTP
    #[arg(long, value_name = "ADDR", env = "LONGPOLE_OTLP_HTTP", hide_env_values = true, default_value = "127.0.0.1:4318", value_parser = value::address)]
    otlp_http: SocketAddr,
    /// Where the pages and query APIs are
    #[arg(long, value_name = "ADDR", env = "LONGPOLE_UI", hide_env_values = true, default_value = "127.0.0.1:16686", value_parser = value::address)]
    ui: SocketAddr,
    /// The path the pages are mounted at, behind a proxy
    #[arg(long, value_name = "PATH", env = "LONGPOLE_BASE_PATH", hide_env_values = true, default_value = "/", value_parser = value::base_path)]
    base_path: String,
    /// A link to show with every span and request, such as to its logs; {traceId}, {spanId}, {service},
    /// {startUnixMilli}, {endUnixMilli}, {startIso} and {endIso} are filled in. May be given more than
    /// once; in the environment, one a line
    #[arg(long, value_name = "NAME=URL", env = "LONGPOLE_LINK", hide_env_values = true, value_parser = value::links)]
    link: Vec<value::Links>,
    /// When a span counts as stored: fsync, when the disk has it (survives a power cut), or os, when
    /// the operating system has it (survives kill -9)
    #[arg(
        long,
        value_name = "WHEN",
        env = "LONGPOLE_DURABILITY",
        hide_env_values = true,
        hide_possible_values = true,
        default_value = "fsync"
    )]
    durability: DurabilityArg,
    /// How long spans are kept
    #[arg(long, value_name = "DURATION", env = "LONGPOLE_RETENTION", hide_env_values = true, default_value = "7d", value_parser = value::retention)]
    retention: Duration,
    /// How large the data directory may become before the oldest spans go
    #[arg(long, value_name = "BYTES", env = "LONGPOLE_MAX_DISK", hide_env_values = true, default_value = "10GiB", value_parser = value::max_disk)]
    max_disk: u64,
    /// How much memory the process may take
    #[arg(long, value_name = "BYTES", env = "LONGPOLE_MEMORY_LIMIT", hide_env_values = true, default_value = "512MiB", value_parser = value::memory_limit)]
    memory_limit: u64,
    /// How large an export request may be, after decompression
    #[arg(long, value_name = "BYTES", env = "LONGPOLE_MAX_REQUEST_BYTES", hide_env_values = true, default_value = "64MiB", value_parser = value::request_bytes)]
    max_request_bytes: usize,
    /// Whose pages may send to OTLP/HTTP from a browser: an origin with its scheme and port, or * for
    /// any; may be given several times
    #[arg(long = "cors-origin", value_name = "ORIGIN", env = "LONGPOLE_CORS_ORIGIN", hide_env_values = true, value_delimiter = ',', value_parser = value::cors_origin)]
    cors_origins: Vec<HeaderValue>,
    /// Ask everybody for a token of this file, which has one a line: ingest: before it makes it good for
    /// sending spans only, ui: for pages, query APIs and metrics only
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
    /// Speak TLS on all ports with the certificates of this file (PEM, the server's own first); needs
    /// --tls-key
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TLS_CERT",
        hide_env_values = true
    )]
    tls_cert: Option<PathBuf>,
    /// The key of --tls-cert (PEM, without a password)
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TLS_KEY",
        hide_env_values = true
    )]
    tls_key: Option<PathBuf>,
    /// Ask everybody for a certificate of an authority in this file (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TLS_CLIENT_CA",
        hide_env_values = true
    )]
    tls_client_ca: Option<PathBuf>,
    /// Also send a small shop's traffic to itself
    #[arg(long, env = "LONGPOLE_DEMO", hide_env_values = true, value_parser = clap::builder::BoolishValueParser::new())]
    demo: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// The OTLP/gRPC endpoint to send to
    #[arg(long, value_name = "URL", env = "LONGPOLE_ENDPOINT", hide_env_values = true, default_value = "http://127.0.0.1:4317", value_parser = value::endpoint)]
    endpoint: Uri,
    /// How many requests the shop gets a second
    #[arg(long, value_name = "NUMBER", env = "LONGPOLE_RATE", hide_env_values = true, default_value = "5", value_parser = value::rate)]
    rate: f64,
    /// For how long to send; until stopped when not set
    #[arg(long, value_name = "DURATION", env = "LONGPOLE_DURATION", hide_env_values = true, value_parser = value::duration)]
    duration: Option<Duration>,
    #[command(flatten)]
    sender: SenderArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// The OTLP endpoint to send to
    #[arg(long, value_name = "URL", env = "LONGPOLE_ENDPOINT", hide_env_values = true, default_value = "http://127.0.0.1:4317", value_parser = value::endpoint)]
    endpoint: Uri,
    #[command(flatten)]
    sender: SenderArgs,
    /// How to send, or to receive with --sink
    #[arg(
        long,
        value_name = "PROTOCOL",
        env = "LONGPOLE_PROTOCOL",
        hide_env_values = true,
        default_value = "grpc"
    )]
    protocol: Protocol,
    /// How many spans to send
    #[arg(long, value_name = "N", env = "LONGPOLE_SPANS", hide_env_values = true, default_value = "1000000", value_parser = value::count)]
    spans: u64,
    /// How many requests are under way at once
    #[arg(long, value_name = "C", env = "LONGPOLE_CONCURRENCY", hide_env_values = true, default_value = "8", value_parser = value::concurrency)]
    concurrency: usize,
    /// The server's process, to report its CPU time and memory
    #[arg(
        long,
        value_name = "PID",
        env = "LONGPOLE_SERVER_PID",
        hide_env_values = true
    )]
    server_pid: Option<u32>,
    /// Leave a file with a line for each trace: its ID, and how many of its spans were acknowledged
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_IDS",
        hide_env_values = true
    )]
    ids: Option<PathBuf>,
    /// What ids and mix are made from; the same seed sends the same traces
    #[arg(
        long,
        value_name = "NUMBER",
        env = "LONGPOLE_SEED",
        hide_env_values = true,
        default_value = "1"
    )]
    seed: u64,
    /// Instead of sending, receive and drop: raw bytes, or after decoding them
    #[arg(
        long,
        value_name = "WHAT",
        env = "LONGPOLE_SINK",
        hide_env_values = true
    )]
    sink: Option<Sink>,
    /// Where --sink receives
    #[arg(long, value_name = "ADDR", env = "LONGPOLE_LISTEN", hide_env_values = true, default_value = "127.0.0.1:4317", value_parser = value::address)]
    listen: SocketAddr,
    #[command(flatten)]
    log: LogArgs,
}

/// What those who send need where there are tokens or TLS.
#[derive(Debug, Args)]
struct SenderArgs {
    /// Send the first token of this file that is for sending spans
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,
    /// Trust the authorities of this file (PEM) rather than the system's, where the endpoint is https
    #[arg(
        long,
        value_name = "FILE",
        env = "LONGPOLE_TLS_CA",
        hide_env_values = true
    )]
    tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct LogArgs {
    /// The form of log lines: text, or json with one object a line
    #[arg(
        long,
        value_name = "FORMAT",
        env = "LONGPOLE_LOG_FORMAT",
        hide_env_values = true,
        hide_possible_values = true,
        default_value = "text"
    )]
    log_format: LogFormat,
    /// The least severity that is logged: error, warn, info, debug or trace
    #[arg(
        long,
        value_name = "LEVEL",
        env = "LONGPOLE_LOG_LEVEL",
        hide_env_values = true,
        hide_possible_values = true,
        default_value = "info"
    )]
    log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DurabilityArg {
    /// When the disk has it: survives a power cut
    Fsync,
    /// When the operating system has it: survives kill -9
    Os,
}

impl Invocation {
    /// What a command line asks for; `text` gives what it would serve with.
    ///
    /// # Errors
    /// When links are too many, or share a name.
    pub(super) fn new(cli: Cli, text: impl FnOnce() -> String) -> Result<Self, LinkTemplateError> {
        Ok(match cli.command {
            None => Self::Serve(cli.serve.try_into()?),
            Some(Command::Serve(args)) => Self::Serve(args.try_into()?),
            Some(Command::Demo(args)) => Self::Demo(args.into()),
            Some(Command::Load(args)) => args.into(),
            Some(Command::CheckConfig(args)) => Self::CheckConfig {
                config: args.try_into()?,
                text: text(),
            },
        })
    }
}

impl TryFrom<ServeArgs> for Config {
    type Error = LinkTemplateError;

    fn try_from(args: ServeArgs) -> Result<Self, LinkTemplateError> {
        let links = args.link.into_iter().flat_map(|links| links.0);
        Ok(Self {
            data_dir: args.data_dir,
            durability: match args.durability {
                DurabilityArg::Fsync => Durability::Fsync,
                DurabilityArg::Os => Durability::Os,
            },
            otlp_grpc: args.otlp_grpc,
            otlp_http: args.otlp_http,
            ui: args.ui,
            base_path: args.base_path,
            links: LinkTemplates::new(links.collect())?,
            demo: args.demo,
            retention: args.retention,
            max_disk_bytes: args.max_disk,
            memory_limit_bytes: args.memory_limit,
            max_request_bytes: args.max_request_bytes,
            cors_origins: args.cors_origins,
            token_file: args.token_file,
            tls_cert: args.tls_cert,
            tls_key: args.tls_key,
            tls_client_ca: args.tls_client_ca,
            log: args.log.into(),
        })
    }
}

impl From<DemoArgs> for DemoConfig {
    fn from(args: DemoArgs) -> Self {
        Self {
            endpoint: args.endpoint,
            requests_per_second: args.rate,
            duration: args.duration,
            token_file: args.sender.token_file,
            tls_ca: args.sender.tls_ca,
            log: args.log.into(),
        }
    }
}

impl From<LoadArgs> for Invocation {
    fn from(args: LoadArgs) -> Self {
        let (protocol, log) = (args.protocol, args.log.into());
        if let Some(sink) = args.sink {
            let listen = args.listen;
            return Self::Sink(SinkConfig {
                sink,
                protocol,
                listen,
                log,
            });
        }
        Self::Load(LoadConfig {
            endpoint: args.endpoint,
            token_file: args.sender.token_file,
            tls_ca: args.sender.tls_ca,
            protocol,
            n_spans: args.spans,
            concurrency: args.concurrency,
            server_pid: args.server_pid,
            ids: args.ids,
            seed: args.seed,
            log,
        })
    }
}

impl From<LogArgs> for LogConfig {
    fn from(args: LogArgs) -> Self {
        Self {
            format: args.log_format,
            level: args.log_level,
        }
    }
}
