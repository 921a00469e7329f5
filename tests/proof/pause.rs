//! The one place that waits for time to pass: proofs draw moments, tests wait for conditions.

use std::time::Duration;

/// Waits.
#[expect(
    clippy::disallowed_methods,
    reason = "a moment is what is drawn, not a condition"
)]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
