//! The newest refusal, for the page, and a log line now and then.

use longpole_proto::UnixNanos;
use parking_lot::Mutex;

use super::Transport;

/// A warning is logged no more often than this: a client that sends rubbish must not fill the disk
/// with log lines.
const WARN_EVERY_NANOS: u64 = 10_000_000_000;

/// A refusal's text may quote what was sent.
const TEXT_CHARS_MAX: usize = 300;

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<(UnixNanos, String)>,
    warned: Option<UnixNanos>,
    n_quiet: u64,
}

impl Refusals {
    pub(super) fn note(
        &self,
        transport: Transport,
        reason: &'static str,
        text: &str,
        now: UnixNanos,
    ) {
        let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
        let transport = transport.name();
        let mut state = self.0.lock();
        let is_due = state
            .warned
            .is_none_or(|warned| now.nanos_since(warned) >= WARN_EVERY_NANOS);
        if is_due {
            let n_before = std::mem::take(&mut state.n_quiet);
            state.warned = Some(now);
            tracing::warn!(
                transport,
                reason,
                n_not_logged_before = n_before,
                "refused: {text:?}"
            );
        } else {
            state.n_quiet += 1;
            tracing::debug!(transport, reason, "refused: {text:?}");
        }
        state.last = Some((now, text));
    }

    pub(super) fn last(&self) -> Option<(UnixNanos, String)> {
        self.0.lock().last.clone()
    }
}
