//! The time, as an input.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use longpole_proto::UnixNanos;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> UnixNanos + Send + Sync>;

/// The system's clock.
pub fn system() -> Clock {
    Arc::new(|| {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixNanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    })
}
