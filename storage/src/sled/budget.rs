//! How much memory may be taken, and how much is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number of bytes that may be taken; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    taken_bytes: Arc<AtomicU64>,
    limit_bytes: u64,
}

/// Some of a [`Budget`]'s bytes; given back when dropped.
#[derive(Debug)]
pub(super) struct Taken {
    bytes: u64,
    taken_bytes: Arc<AtomicU64>,
}

impl Budget {
    /// A budget of so many bytes.
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            taken_bytes: Arc::default(),
            limit_bytes,
        }
    }

    /// Takes `bytes` when that many are left. All of it gives any number, so that nothing is too
    /// large for ever.
    pub(super) fn take(&self, bytes: u64) -> Option<Taken> {
        self.taken_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                let sum = taken.checked_add(bytes)?;
                (taken == 0 || sum <= self.limit_bytes).then_some(sum)
            })
            .ok()?;
        Some(Taken {
            bytes,
            taken_bytes: Arc::clone(&self.taken_bytes),
        })
    }

    /// Takes `bytes` whether or not that many are left.
    pub(super) fn take_anyway(&self, bytes: u64) -> Taken {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
        Taken {
            bytes,
            taken_bytes: Arc::clone(&self.taken_bytes),
        }
    }

    /// How much is taken.
    pub(super) fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    /// How much there is in all.
    pub(super) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.taken_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new(10);
        let six = budget.take(6).expect("all is free");
        assert!(budget.take(5).is_none());
        let four = budget.take(4).expect("just fits");
        assert_eq!(budget.taken_bytes(), 10);
        drop(six);
        assert_eq!(budget.taken_bytes(), 4);
        drop(four);
        assert!(budget.take(u64::MAX).is_some(), "alone, anything fits");
    }
}
