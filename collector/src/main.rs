//! The `longpole` binary: arguments, logging, runtime, exit code.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use longpole::{Invocation, Listeners, LogFormat};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let invocation = Invocation::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let format = invocation.log().format;
    match start(invocation) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match format {
                LogFormat::Text => eprintln!("longpole: {error:#}"),
                LogFormat::Json => tracing::error!("{error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn start(invocation: Invocation) -> anyhow::Result<()> {
    longpole::logging::init(invocation.log())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(invocation));
    // What blocks still is of no use to anybody.
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn run(invocation: Invocation) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    longpole::shutdown::on_signals(shutdown.clone())?;
    match invocation {
        Invocation::Serve(config) => {
            longpole::check(&config)?;
            let listeners = Listeners::bind(&config).await?;
            longpole::run(config, listeners, shutdown).await?;
            Ok(())
        }
        Invocation::Demo(config) => {
            longpole::demo::run(config, longpole::clock::system(), shutdown).await?;
            Ok(())
        }
        Invocation::Load(config) => {
            let report = longpole::load::run(config, shutdown).await?;
            write!(std::io::stdout(), "{report}")?;
            Ok(())
        }
        Invocation::Sink(config) => longpole::load::receive(config, shutdown).await,
        Invocation::CheckConfig { config, text } => {
            longpole::check(&config)?;
            write!(std::io::stdout(), "{text}")?;
            Ok(())
        }
    }
}
