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

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use longpole_proto::testing::START;
    use tracing_subscriber::fmt;

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_sent_makes_no_log_line_of_its_own() {
        let hostile = "x\r\nERROR longpole: pwned\n\u{1b}[2J\u{1b}]0;pwned\u{7}\0\u{202e}\u{2028}";
        for is_json in [false, true] {
            let log = Log::default();
            let writer = {
                let log = log.clone();
                move || log.clone()
            };
            let builder = fmt().with_writer(writer).with_ansi(false);
            let note = || {
                let refusals = Refusals::default();
                refusals.note(Transport::HttpJson, "undecodable", hostile, START);
            };
            if is_json {
                tracing::subscriber::with_default(builder.json().finish(), note);
            } else {
                tracing::subscriber::with_default(builder.finish(), note);
            }
            let text = String::from_utf8(log.0.lock().clone()).expect("UTF-8");
            assert!(text.contains("pwned"), "{text:?}");
            let line = text.strip_suffix('\n').expect("a line");
            let is_inert = |char: char| !char.is_control() && !"\u{202e}\u{2028}".contains(char);
            assert!(line.chars().all(is_inert), "{text:?}");
        }
    }
}
