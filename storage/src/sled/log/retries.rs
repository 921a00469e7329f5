//! What the log got lately, so that an exact retry is acknowledged and not stored twice: an exporter
//! that got no answer sends the same bytes again.
//!
//! A request is looked up by the checksum its frame has anyway. Whoever wants to can make two requests
//! with the same one, so it proves nothing: the frame it leads to is read back and compared byte for
//! byte. When the log has let it go, or anything differs, the request is stored as a new one.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::frame::FrameHead;
use crate::sled::files::Files;

/// How many requests are remembered: the last minutes of heavy traffic, in some megabytes.
pub(super) const REQUESTS_MAX: usize = 1 << 16;

/// The requests that were appended last.
#[derive(Default)]
pub(super) struct Retries {
    by_key: HashMap<Key, Place, RandomState>,
    /// All that were noted, oldest first, with their sequences: a later one may have taken a key over.
    order: VecDeque<(Key, u64)>,
}

/// What is the same for the same body: its checksum, begun with this log's salt, and its length,
/// both as stored.
type Key = (u32, u32);

/// Where a request's frame is.
struct Place {
    segment: Arc<Segment>,
    at: u32,
    seq: u64,
    is_durable: bool,
}

/// A segment, as far as its frames need it to be read.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) salt: u32,
}

/// A request the log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Its sequence.
    pub(super) seq: u64,
    /// Whether it is as durable as promised. What replay found need not be: the process before may
    /// have ended between write and sync, or after a sync that failed.
    pub(super) is_durable: bool,
}

impl Retries {
    /// Notes the frame that begins at `at` of a segment; `checksum` is its stored body's, begun with
    /// this log's salt.
    pub(super) fn note(
        &mut self,
        segment: &Arc<Segment>,
        at: usize,
        checksum: u32,
        head: &FrameHead,
        is_durable: bool,
    ) {
        // An append of nothing is how the store is asked whether it works.
        let (Ok(at), false) = (u32::try_from(at), head.is_of_nothing()) else {
            return;
        };
        let key = (checksum, head.stored_bytes());
        let place = Place {
            segment: Arc::clone(segment),
            at,
            seq: head.seq,
            is_durable,
        };
        self.by_key.insert(key, place);
        self.order.push_back((key, head.seq));
        while self.order.len() > REQUESTS_MAX {
            if let Some((key, seq)) = self.order.pop_front()
                && self.by_key.get(&key).is_some_and(|place| place.seq == seq)
            {
                self.by_key.remove(&key);
            }
        }
    }

    /// Whether the log has a frame with the body of this one, which was encoded with this log's salt.
    pub(super) fn find(&self, files: &dyn Files, head: &FrameHead, frame: &[u8]) -> Option<Known> {
        let place = self.by_key.get(&(head.body_crc(), head.stored_bytes()))?;
        let Segment { path, salt } = &*place.segment;
        let bytes = files.read_at(path, u64::from(place.at), frame.len()).ok()?;
        let found = FrameHead::decode(*salt, &bytes, 0)?;
        let is_same = found.seq == place.seq
            && found.is_packed_as(head)
            && found.stored(&bytes, 0)? == head.stored(frame, 0)?;
        is_same.then_some(Known {
            seq: place.seq,
            is_durable: place.is_durable,
        })
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use longpole_proto::UnixNanos;

    use super::super::frame;
    use super::*;

    #[test]
    fn only_so_many_are_remembered() {
        let segment = Arc::new(Segment {
            path: PathBuf::new(),
            salt: 0,
        });
        let mut retries = Retries::default();
        let mut bytes = Vec::new();
        let n_noted = REQUESTS_MAX as u64 + 10;
        for seq in 0..n_noted {
            bytes.clear();
            // Two in a row have the same body.
            let body = (seq / 2).to_le_bytes();
            let head = frame::encode(0, seq, UnixNanos(0), &body, &mut bytes);
            retries.note(&segment, 0, head.body_crc(), &head, true);
        }
        assert_eq!(retries.order.len(), REQUESTS_MAX);
        assert_eq!(retries.by_key.len(), REQUESTS_MAX / 2);
        let least = retries.by_key.values().map(|place| place.seq).min();
        assert_eq!(least, Some(11));
    }
}
