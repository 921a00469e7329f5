//! What the disk has free, and what may be taken in of it.
//!
//! Spans come in faster than anybody looks: so what comes in counts until the next look.

use std::sync::atomic::{AtomicU64, Ordering};

use super::files::Room;
use super::settings::Settings;

/// What the disk has free.
#[derive(Debug, Default)]
pub(super) struct Free {
    /// How much it was at the last look, when that is too little; else 0.
    too_little: AtomicU64,
    /// How much must be.
    least: AtomicU64,
    /// How much may come in before somebody looks again.
    spare: AtomicU64,
}

impl Free {
    /// Notes what a look at the disk showed.
    pub(super) fn note(&self, room: Room, settings: &Settings) {
        let least = settings.least_free(room.total_bytes);
        let is_full = room.free_bytes < least;
        let free = if is_full { room.free_bytes.max(1) } else { 0 };
        self.least.store(least, Ordering::Relaxed);
        self.spare
            .store(room.free_bytes.saturating_sub(least), Ordering::Relaxed);
        let before = self.too_little.swap(free, Ordering::Relaxed);
        if is_full && before == 0 {
            tracing::error!(
                room.free_bytes,
                "the disk is nearly full; spans are refused until there is room"
            );
        } else if !is_full && before > 0 {
            tracing::info!(room.free_bytes, "there is room on the disk again");
        }
    }

    /// How much is free and how much must be, in bytes, when it is too little.
    pub(super) fn too_little(&self) -> Option<(u64, u64)> {
        match self.too_little.load(Ordering::Relaxed) {
            0 => None,
            free => Some((free, self.least.load(Ordering::Relaxed))),
        }
    }

    /// Counts what comes in; says `false` when somebody has to look first.
    pub(super) fn spend(&self, n_bytes: u64) -> bool {
        let less = |spare: u64| spare.checked_sub(n_bytes);
        self.spare
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
