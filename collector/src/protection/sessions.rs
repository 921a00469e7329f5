//! Who has logged in: random session IDs, which stand for a token until they end.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use longpole_proto::UnixNanos;
use parking_lot::Mutex;
use ring::rand::{SecureRandom, SystemRandom};

use super::tokens::{TokenDigest, sha256};

/// How long a session lasts.
pub(super) const LIFETIME: Duration = Duration::from_hours(12);

/// How many there are at once. More end the oldest.
const SESSIONS_MAX: usize = 4_096;

/// A session's ID has so many random bytes.
const ID_BYTES: usize = 32;

/// The sessions of one server, by the digest of their IDs, whose order says nothing of them. They end with
/// the process.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

struct Session {
    token: TokenDigest,
    ends: UnixNanos,
}

impl Sessions {
    /// Begins a session for who gave a token; `None` when the system has no random bytes.
    pub(super) fn begin(&self, token: TokenDigest, now: UnixNanos) -> Option<String> {
        let mut id = [0; ID_BYTES];
        SystemRandom::new().fill(&mut id).ok()?;
        let id = id.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        });
        let mut sessions = self.0.lock();
        sessions.retain(|_, session| session.ends > now);
        while sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.ends);
            let Some(key) = oldest.map(|(key, _)| *key) else {
                break;
            };
            sessions.remove(&key);
        }
        let ends = now.plus_nanos(u64::try_from(LIFETIME.as_nanos()).unwrap_or(u64::MAX));
        sessions.insert(sha256(id.as_bytes()), Session { token, ends });
        Some(id)
    }

    /// The token a session stands for, while it lasts.
    pub(super) fn token(&self, id: &[u8], now: UnixNanos) -> Option<TokenDigest> {
        let sessions = self.0.lock();
        let session = sessions.get(&sha256(id))?;
        (session.ends > now).then_some(session.token)
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &[u8]) {
        self.0.lock().remove(&sha256(id));
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::testing::START;

    use super::*;

    #[test]
    fn a_session_stands_for_its_token_until_it_ends() {
        let sessions = Sessions::default();
        let (mine, yours) = (TokenDigest::of(b"mine"), TokenDigest::of(b"yours"));
        let my_id = sessions.begin(mine, START).expect("random bytes");
        let your_id = sessions.begin(yours, START).expect("random bytes");
        assert_ne!(my_id, your_id);
        assert_eq!(my_id.len(), 2 * ID_BYTES);
        let nearly = START.plus_nanos(12 * 3_600_000_000_000 - 1);
        assert_eq!(sessions.token(my_id.as_bytes(), nearly), Some(mine));
        assert_eq!(sessions.token(your_id.as_bytes(), nearly), Some(yours));
        assert_eq!(sessions.token(b"", START), None);
        assert_eq!(sessions.token(my_id.as_bytes(), nearly.plus_nanos(1)), None);
        sessions.end(your_id.as_bytes());
        assert_eq!(sessions.token(your_id.as_bytes(), START), None);
        assert_eq!(sessions.token(my_id.as_bytes(), START), Some(mine));
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let sessions = Sessions::default();
        let token = TokenDigest::of(b"token");
        let ids: Vec<_> = (0..=SESSIONS_MAX as u64)
            .map(|n| sessions.begin(token, START.plus_nanos(n)))
            .collect::<Option<_>>()
            .expect("random bytes");
        let lasts = |id: &String| sessions.token(id.as_bytes(), START).is_some();
        assert!(!lasts(&ids[0]), "the oldest made room");
        assert!(ids[1..].iter().all(lasts));
    }
}
