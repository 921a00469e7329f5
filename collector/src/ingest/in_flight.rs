//! How many bytes of requests are on their way, and bounds on it: for all, and for each connection.

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

    /// How many bytes one connection may have on their way: half, so that one that sends more than
    /// can be stored leaves room for the others.
    fn connection_limit_bytes(&self) -> u64 {
        self.limit_bytes / 2
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

/// One connection's bytes on their way. The server adds it to each request's extensions.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionBytes(Arc<AtomicU64>);

/// A request's share of the bytes on their way; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    in_flight: Arc<InFlight>,
    connection: ConnectionBytes,
    bytes: u64,
}

impl Reservation {
    pub(crate) fn new(in_flight: Arc<InFlight>, connection: ConnectionBytes) -> Self {
        Self {
            in_flight,
            connection,
            bytes: 0,
        }
    }

    /// Takes `more` bytes more.
    ///
    /// # Errors
    /// When that would be over a limit; the reservation stays as it is.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), Refusal> {
        let more = more as u64;
        let limit_bytes = self.in_flight.connection_limit_bytes();
        if !add(&self.connection.0, more, limit_bytes) {
            return Err(Refusal::TooMuchAtOnce { limit_bytes });
        }
        let limit_bytes = self.in_flight.limit_bytes;
        if !add(&self.in_flight.used_bytes, more, limit_bytes) {
            self.connection.0.fetch_sub(more, Ordering::Relaxed);
            return Err(Refusal::Busy { limit_bytes });
        }
        self.bytes += more;
        Ok(())
    }
}

/// Adds unless that goes over the limit. Counters only: no memory is published through them.
fn add(counter: &AtomicU64, more: u64, limit: u64) -> bool {
    counter
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|&used| used <= limit)
        })
        .is_ok()
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for counter in [&self.in_flight.used_bytes, &self.connection.0] {
            counter.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_the_limit_is_busy_until_others_are_done() {
        let in_flight = InFlight::new(10);
        let on_its_own = || Reservation::new(Arc::clone(&in_flight), ConnectionBytes::default());
        let (mut first, mut second, mut third) = (on_its_own(), on_its_own(), on_its_own());
        first.grow(5).expect("room");
        second.grow(4).expect("room");
        third.grow(1).expect("room");
        let refusal = second.grow(1);
        assert!(matches!(refusal, Err(Refusal::Busy { limit_bytes: 10 })));
        drop(first);
        second.grow(1).expect("the first one's room");
        drop((second, third));
        assert_eq!(in_flight.used_bytes(), 0);
    }

    #[test]
    fn one_connection_leaves_room_for_others() {
        let in_flight = InFlight::new(10);
        let connection = ConnectionBytes::default();
        let of_one = || Reservation::new(Arc::clone(&in_flight), connection.clone());
        let (mut first, mut second) = (of_one(), of_one());
        first.grow(3).expect("room");
        second.grow(2).expect("room");
        let refusal = second.grow(1);
        assert!(matches!(
            refusal,
            Err(Refusal::TooMuchAtOnce { limit_bytes: 5 })
        ));
        let mut other = Reservation::new(Arc::clone(&in_flight), ConnectionBytes::default());
        other.grow(5).expect("another one's half");
        drop(first);
        second.grow(3).expect("its own room");
    }
}
