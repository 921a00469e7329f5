//! Waiting for conditions.

use std::time::{Duration, Instant};

/// How long a condition may take: far more than it ever should, for a machine that is busy.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Asks `probe` until it gives a value.
///
/// # Panics
/// When it gave none within [`DEADLINE`]; the message says `what` was waited for.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "waited {DEADLINE:?} in vain for {what}"
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that waits between two looks"
        )]
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
