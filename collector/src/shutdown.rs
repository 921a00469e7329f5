//! Signals: the first asks to stop, the second stops.

use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// How long stopping may take in all: orchestrators kill after 10 s or more.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How much of that requests under way may take; the rest is the store's.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(6);

/// A signal that comes this soon after the first is the same one twice: wrappers such as `timeout`
/// signal the process and its group.
const ECHO: Duration = Duration::from_millis(250);

/// Cancels `shutdown` at the first SIGINT or SIGTERM and exits the process at the second. Must be
/// called inside a runtime, whose tasks it joins.
///
/// # Errors
/// When the process may not handle signals.
pub fn on_signals(shutdown: CancellationToken) -> io::Result<()> {
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    tokio::spawn(watch(interrupt, terminate, shutdown));
    Ok(())
}

async fn watch(mut interrupt: Signal, mut terminate: Signal, shutdown: CancellationToken) {
    next(&mut interrupt, &mut terminate).await;
    let first = Instant::now();
    info!("stopping; a second signal stops at once");
    shutdown.cancel();
    loop {
        let signal = next(&mut interrupt, &mut terminate).await;
        if first.elapsed() > ECHO {
            // As a shell reports a process that died of the signal.
            std::process::exit(128 + signal.as_raw_value());
        }
    }
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    }
}
