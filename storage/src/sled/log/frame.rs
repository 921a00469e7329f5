//! The bytes of a log segment: a head, then frames. All numbers are little-endian.
//!
//! Every checksum of a segment starts from its salt, a number nobody outside knows. What looks like
//! a frame inside the body of another (a body may be any bytes a client sent) therefore is none,
//! and looking for the next frame behind a damaged one takes time linear in the segment.

use bytes::Bytes;
use longpole_proto::UnixNanos;

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"LongLog\n";

/// The version of the segment's layout.
const VERSION: u32 = 1;

/// A copy of a segment's head: magic 8, version 4, salt 4, first sequence 8, checksum 4.
const HEAD_COPY_BYTES: usize = 28;

/// The length of a segment's head: two copies, so that a flipped bit in it loses no frame.
pub(super) const SEGMENT_HEAD_BYTES: usize = 2 * HEAD_COPY_BYTES;

/// The length of a frame's head: body length 4, body checksum 4, sequence 8, received 8, flags 1,
/// head checksum 4.
pub(super) const FRAME_HEAD_BYTES: usize = 29;

/// The flag of a body that is an lz4 block behind its length (4 bytes).
const LZ4: u8 = 1;

/// The longest body: twice the longest export request the collector takes. Replay holds one whole.
pub(crate) const BODY_BYTES_MAX: usize = 128 << 20;

/// What every frame of a segment needs to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Where checksums start.
    pub(super) salt: u32,
    /// No frame's sequence is smaller.
    pub(super) first_seq: u64,
}

impl SegmentHead {
    /// Appends the head's bytes.
    pub(super) fn encode(&self, to: &mut Vec<u8>) {
        let mut copy = [0; HEAD_COPY_BYTES];
        copy[..8].copy_from_slice(&MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[12..16].copy_from_slice(&self.salt.to_le_bytes());
        copy[16..24].copy_from_slice(&self.first_seq.to_le_bytes());
        let crc = crc32c::crc32c(&copy[..24]);
        copy[24..].copy_from_slice(&crc.to_le_bytes());
        to.extend_from_slice(&copy);
        to.extend_from_slice(&copy);
    }

    /// Reads the head at the start of a segment; `None` when both copies are damaged.
    pub(super) fn decode(segment: &[u8]) -> Option<Self> {
        segment
            .chunks_exact(HEAD_COPY_BYTES)
            .take(2)
            .find_map(|copy| {
                let crc = u32_at(copy, 24)?;
                (copy.starts_with(&MAGIC)
                    && u32_at(copy, 8)? == VERSION
                    && crc32c::crc32c(&copy[..24]) == crc)
                    .then_some(Self {
                        salt: u32_at(copy, 12)?,
                        first_seq: u64_at(copy, 16)?,
                    })
            })
    }
}

/// What the log keeps of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its place in the log; grows by at least one.
    pub(crate) seq: u64,
    /// When the body was received.
    pub(crate) received: UnixNanos,
    /// What was appended.
    pub(crate) body: Bytes,
}

/// Appends the bytes of a frame, its body compressed when that makes it shorter.
pub(super) fn encode(
    salt: u32,
    seq: u64,
    received: UnixNanos,
    body: &[u8],
    to: &mut Vec<u8>,
) -> FrameHead {
    let packed = lz4_flex::compress_prepend_size(body);
    let (flags, body) = if packed.len() < body.len() {
        (LZ4, &*packed)
    } else {
        (0, body)
    };
    let len = u32::try_from(body.len()).expect("bodies over BODY_BYTES_MAX are refused");
    let body_crc = checksum(salt, body);

    let mut head = [0; FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&len.to_le_bytes());
    head[4..8].copy_from_slice(&body_crc.to_le_bytes());
    head[8..16].copy_from_slice(&seq.to_le_bytes());
    head[16..24].copy_from_slice(&received.0.to_le_bytes());
    head[24] = flags;
    let crc = crc32c::crc32c_append(salt, &head[..25]);
    head[25..].copy_from_slice(&crc.to_le_bytes());
    to.extend_from_slice(&head);
    to.extend_from_slice(body);
    FrameHead {
        body_bytes: len,
        body_crc,
        flags,
        seq,
        received,
    }
}

/// The checksum of a body as stored.
pub(super) fn checksum(salt: u32, stored: &[u8]) -> u32 {
    crc32c::crc32c_append(salt, stored)
}

/// The head of a frame, its own checksum checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    body_bytes: u32,
    body_crc: u32,
    flags: u8,
    pub(super) seq: u64,
    received: UnixNanos,
}

impl FrameHead {
    /// Reads the head of the frame that begins at `at`; `None` when none does.
    pub(super) fn decode(salt: u32, segment: &[u8], at: usize) -> Option<Self> {
        let head = segment.get(at..)?.get(..FRAME_HEAD_BYTES)?;
        let body_bytes = u32_at(head, 0)?;
        if body_bytes as usize > BODY_BYTES_MAX
            || crc32c::crc32c_append(salt, &head[..25]) != u32_at(head, 25)?
        {
            return None;
        }
        Some(Self {
            body_bytes,
            body_crc: u32_at(head, 4)?,
            seq: u64_at(head, 8)?,
            received: UnixNanos(u64_at(head, 16)?),
            flags: head[24],
        })
    }

    /// Where the frame that begins at `at` ends; may lie behind the segment's end.
    pub(super) fn end(&self, at: usize) -> usize {
        at + FRAME_HEAD_BYTES + self.body_bytes as usize
    }

    /// The length of its body as stored.
    pub(super) fn stored_bytes(&self) -> u32 {
        self.body_bytes
    }

    /// The checksum of its body as stored, begun with its segment's salt.
    pub(super) fn body_crc(&self) -> u32 {
        self.body_crc
    }

    /// Whether its body is empty.
    pub(super) fn is_of_nothing(&self) -> bool {
        self.body_bytes == 0
    }

    /// Whether equal stored bodies of the two are equal bodies.
    pub(super) fn is_packed_as(&self, other: &Self) -> bool {
        self.flags == other.flags
    }

    /// The body as stored, not checked, of the frame that begins at `at`; `None` when it is cut off.
    pub(super) fn stored<'a>(&self, segment: &'a [u8], at: usize) -> Option<&'a [u8]> {
        segment.get(at + FRAME_HEAD_BYTES..self.end(at))
    }

    /// Reads the whole frame that begins at `at`; `None` when its body is damaged or cut off.
    pub(super) fn frame(&self, salt: u32, segment: &[u8], at: usize) -> Option<Frame> {
        let body = self.stored(segment, at)?;
        if checksum(salt, body) != self.body_crc {
            return None;
        }
        let body = match self.flags {
            0 => Bytes::copy_from_slice(body),
            LZ4 if u32_at(body, 0)? as usize <= BODY_BYTES_MAX => {
                lz4_flex::decompress_size_prepended(body).ok()?.into()
            }
            _ => return None,
        };
        Some(Frame {
            seq: self.seq,
            received: self.received,
            body,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(7, 42, UnixNanos(5), body, &mut bytes);
        bytes
    }

    fn decoded(bytes: &[u8]) -> Option<Frame> {
        FrameHead::decode(7, bytes, 0)?.frame(7, bytes, 0)
    }

    #[test]
    fn a_body_that_does_not_compress_is_stored_as_it_is() {
        let body: Vec<u8> = (0..=255).collect();
        let bytes = encoded(&body);
        assert_eq!(bytes.len(), FRAME_HEAD_BYTES + 256);
        assert_eq!(decoded(&bytes).expect("a frame").body, body);
    }

    #[test]
    fn either_copy_of_a_segments_head_will_do() {
        let head = SegmentHead {
            salt: 9,
            first_seq: 77,
        };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        for at in 0..SEGMENT_HEAD_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SegmentHead::decode(&damaged), Some(head), "byte {at}");
        }
        bytes[3] ^= 1;
        bytes[HEAD_COPY_BYTES + 3] ^= 1;
        assert_eq!(SegmentHead::decode(&bytes), None);
    }

    #[test]
    fn a_frame_of_another_segment_is_none() {
        let bytes = encoded(b"body");
        assert_eq!(FrameHead::decode(8, &bytes, 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_come_back(body in prop::collection::vec(0..4_u8, 0..600)) {
            let frame = decoded(&encoded(&body)).expect("a frame");
            prop_assert_eq!(frame, Frame { seq: 42, received: UnixNanos(5), body: body.into() });
        }

        #[test]
        fn a_flipped_bit_is_noticed(
            body in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let mut bytes = encoded(&body);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            prop_assert_eq!(decoded(&bytes), None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&bytes), None);
            prop_assert_eq!(SegmentHead::decode(&bytes), None);
        }
    }
}
