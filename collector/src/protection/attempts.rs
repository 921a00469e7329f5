//! How often somebody may guess at the login form.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use longpole_proto::UnixNanos;
use parking_lot::Mutex;

/// So many wrong tokens of one address are taken in [`WINDOW`].
const WRONG_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_mins(5);

/// Of so many addresses it is remembered; of more, the one that began to guess first is forgotten.
const ADDRESSES_MAX: usize = 1_024;

/// Who guessed, and how often.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<IpAddr, Guesses>>);

struct Guesses {
    n_wrong: u32,
    began: UnixNanos,
}

impl Attempts {
    /// Takes one of an address's attempts.
    ///
    /// # Errors
    /// How long to wait, when it has none left.
    pub(super) fn take(&self, address: IpAddr, now: UnixNanos) -> Result<(), Duration> {
        let window_nanos = u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let address = site_of(address);
        let mut all = self.0.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            all.retain(|_, guesses| now.nanos_since(guesses.began) < window_nanos);
            let first = all.iter().min_by_key(|(_, guesses)| guesses.began);
            if let Some(first) = first.map(|(address, _)| *address)
                && all.len() >= ADDRESSES_MAX
            {
                all.remove(&first);
            }
        }
        let guesses = all.entry(address).or_insert(Guesses {
            n_wrong: 0,
            began: now,
        });
        let waited = now.nanos_since(guesses.began);
        if waited >= window_nanos {
            *guesses = Guesses {
                n_wrong: 0,
                began: now,
            };
        } else if guesses.n_wrong >= WRONG_MAX {
            return Err(Duration::from_nanos(window_nanos - waited));
        }
        guesses.n_wrong += 1;
        Ok(())
    }

    /// Forgets what an address guessed: it knows a token.
    pub(super) fn forgive(&self, address: IpAddr) {
        self.0.lock().remove(&site_of(address));
    }
}

/// Whoever has one address of IPv6 has 2^64.
fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::START;

    use super::*;

    #[test]
    fn after_some_wrong_tokens_an_address_waits_and_others_do_not() {
        let attempts = Attempts::default();
        let mine: IpAddr = "2001:db8::1".parse().expect("an address");
        let beside: IpAddr = "2001:db8::2".parse().expect("an address");
        let yours: IpAddr = "192.0.2.7".parse().expect("an address");
        for _ in 0..WRONG_MAX {
            attempts.take(mine, START).expect("some are left");
        }
        let later = START.plus_nanos(1_000_000_000);
        let wait = Err(WINDOW.saturating_sub(Duration::from_secs(1)));
        assert_eq!(attempts.take(mine, later), wait);
        assert_eq!(attempts.take(beside, later), wait, "the same site");
        assert_eq!(attempts.take(yours, later), Ok(()));
        let over = START.plus_nanos(300_000_000_000);
        assert_eq!(attempts.take(mine, over), Ok(()));
        for _ in 1..WRONG_MAX {
            attempts.take(mine, over).expect("some are left");
        }
        attempts.forgive(mine);
        assert_eq!(attempts.take(mine, over), Ok(()));
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let attempts = Attempts::default();
        for n in 0..3 * u32::try_from(ADDRESSES_MAX).expect("a few") {
            let address = IpAddr::V4(n.into());
            let now = START.plus_nanos(n.into());
            attempts.take(address, now).expect("its first");
            assert!(attempts.0.lock().len() <= ADDRESSES_MAX);
        }
    }
}
