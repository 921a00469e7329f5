//! How many bytes of requests are on their way, and a bound on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Refusal;

/// Counts the bytes that are on their way.
#[derive(Debug)]
pub(crate) struct InFlight {
    used_bytes: AtomicU64,
    limit_bytes: u64,
}

impl InFlight {
    pub(crate) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            used_bytes: AtomicU64::new(0),
            limit_bytes,
        })
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }
}

/// A request's share of the bytes on their way; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    in_flight: Arc<InFlight>,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(in_flight: Arc<InFlight>) -> Self {
        Self {
            in_flight,
            bytes: 0,
        }
    }

    /// Takes `more` bytes more.
    ///
    /// # Errors
    /// When that would be over the limit; the reservation stays as it is.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Refusal> {
        let more = more as u64;
        let limit_bytes = self.in_flight.limit_bytes;
        // Counters only: no memory is published through them.
        self.in_flight
            .used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(more).filter(|&used| used <= limit_bytes)
            })
            .map_err(|_| Refusal::Busy { limit_bytes })?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.in_flight
            .used_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_limit_is_busy_until_others_are_done() {
        let in_flight = InFlight::new(10);
        let mut first = Reservation::new(Arc::clone(&in_flight));
        let mut second = Reservation::new(Arc::clone(&in_flight));
        first.grow(6).expect("room");
        second.grow(4).expect("room");
        assert!(matches!(
            second.grow(1),
            Err(Refusal::Busy { limit_bytes: 10 })
        ));
        drop(first);
        second.grow(6).expect("the first one's room");
        drop(second);
        assert_eq!(in_flight.used_bytes.load(Ordering::Relaxed), 0);
    }
}
