//! Unpacks bodies under a cap: a bomb is stopped where the limit is, however much it would still
//! unpack to.
//!
//! A body is unpacked in one go once all of it is there. So there are no more decoders, each with
//! its window, than threads that unpack, however many clients send slowly. The only place that may
//! use flate2's decoders.

#![expect(clippy::disallowed_types, reason = "this is the capped reader")]

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::{Refusal, Reservation};

/// How much is unpacked before it is counted.
const STEP_BYTES: usize = 64 << 10;

/// The least room a body is given to unpack into, and how much it gets on the word of its size.
const ROOM_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 20;

/// What spans commonly unpack to, to their compressed size.
const USUAL_RATIO: usize = 6;

/// Zstandard's largest window, as a power of two: 8 MiB, which is what [RFC 9659] allows over HTTP and
/// no level below 20 goes beyond. The library's own bound is 128 MiB for a frame of a few bytes.
///
/// [RFC 9659]: https://www.rfc-editor.org/rfc/rfc9659
const WINDOW_LOG_MAX: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// By gzip, in one member or several.
    Gzip,
    /// By Zstandard, in one frame or several.
    Zstd,
}

impl Encoding {
    /// The names of those there are, as headers list them.
    pub(crate) const NAMES: &str = "gzip,zstd,identity";

    /// What an HTTP or gRPC header means; `None` when it is not understood.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if name.is_empty() || is("identity") {
            Some(Self::Identity)
        } else if is("gzip") {
            Some(Self::Gzip)
        } else if is("zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// Unpacks `packed`, which `room` covers, and makes `room` cover the result as well.
    ///
    /// # Errors
    /// When it is more than `limit_bytes`, badly compressed, or there is no room for it.
    pub(crate) fn unpack(
        self,
        packed: Bytes,
        limit_bytes: usize,
        room: &mut Reservation,
    ) -> Result<Bytes, Refusal> {
        let (unpacked, name) = match self {
            Self::Identity => return Ok(packed),
            Self::Gzip => {
                let decoder = MultiGzDecoder::new(&packed[..]);
                (take(decoder, packed.len(), limit_bytes, room), "gzip")
            }
            Self::Zstd => {
                let decoder = zstd_decoder(&packed);
                let unpacked = decoder
                    .map_err(Stop::Bad)
                    .and_then(|decoder| take(decoder, packed.len(), limit_bytes, room));
                (unpacked, "zstd")
            }
        };
        unpacked.map(Bytes::from).map_err(|stop| match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Bad(error) => Refusal::Undecodable(format!("body is not valid {name}: {error}")),
        })
    }
}

/// Why there is no more.
enum Stop {
    Refused(Refusal),
    Bad(io::Error),
}

fn zstd_decoder(packed: &[u8]) -> io::Result<ZstdDecoder<'static, &[u8]>> {
    if packed.is_empty() {
        // No frame at all, where gzip would miss its header.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut decoder = ZstdDecoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn take(
    mut decoder: impl Read,
    packed_bytes: usize,
    limit_bytes: usize,
    room: &mut Reservation,
) -> Result<Vec<u8>, Stop> {
    let usual_bytes = packed_bytes.saturating_mul(USUAL_RATIO);
    let mut unpacked =
        Vec::with_capacity(usual_bytes.clamp(*ROOM_BYTES.start(), *ROOM_BYTES.end()));
    loop {
        // One byte over the limit, if there is one, says that there is too much.
        let step = STEP_BYTES.min(limit_bytes - unpacked.len() + 1);
        let n_read = decoder
            .by_ref()
            .take(step as u64)
            .read_to_end(&mut unpacked)
            .map_err(Stop::Bad)?;
        if unpacked.len() > limit_bytes {
            return Err(Stop::Refused(Refusal::TooLarge { limit_bytes }));
        }
        room.grow(n_read).map_err(Stop::Refused)?;
        if n_read < step {
            return Ok(unpacked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::{ConnectionBytes, InFlight};
    use super::*;
    use crate::testing::{gzip, zstd};

    fn room(in_flight: &Arc<InFlight>) -> Reservation {
        Reservation::new(Arc::clone(in_flight), ConnectionBytes::default())
    }

    fn unpack(encoding: Encoding, packed: &[u8], limit_bytes: usize) -> Result<Bytes, Refusal> {
        let mut room = room(&InFlight::new(u64::MAX));
        encoding.unpack(Bytes::copy_from_slice(packed), limit_bytes, &mut room)
    }

    type Pack = fn(&[u8]) -> Vec<u8>;

    const PACKED: [(Encoding, Pack); 2] = [(Encoding::Gzip, gzip), (Encoding::Zstd, zstd)];

    #[test]
    fn a_body_of_exactly_the_limit_is_taken() {
        for n_bytes in [1_000, STEP_BYTES, 3 * STEP_BYTES, 3 * STEP_BYTES + 1] {
            let plain = vec![7; n_bytes];
            for (encoding, pack) in PACKED {
                let packed = pack(&plain);
                assert_eq!(unpack(encoding, &packed, n_bytes).expect("a body"), plain);
                let refusal = unpack(encoding, &packed, n_bytes - 1).expect_err("over the limit");
                assert!(
                    matches!(refusal, Refusal::TooLarge { limit_bytes } if limit_bytes == n_bytes - 1),
                    "{encoding:?}: {refusal:?}"
                );
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_where_the_limit_or_the_room_is() {
        for (encoding, pack) in PACKED {
            let bomb = pack(&vec![0; 32 << 20]);
            assert!(bomb.len() < 64 << 10, "{} bytes is no bomb", bomb.len());
            let refusal = unpack(encoding, &bomb, 1 << 20).expect_err("over the limit");
            assert!(matches!(refusal, Refusal::TooLarge { .. }), "{refusal:?}");

            let in_flight = InFlight::new(4 << 20);
            let mut room = room(&in_flight);
            let refusal = encoding
                .unpack(bomb.into(), 64 << 20, &mut room)
                .expect_err("no room");
            assert!(
                matches!(refusal, Refusal::TooMuchAtOnce { .. }),
                "{refusal:?}"
            );
            drop(room);
            assert_eq!(in_flight.used_bytes(), 0);
        }
    }

    #[test]
    fn what_is_badly_compressed_is_the_senders_fault() {
        for (encoding, pack) in PACKED {
            let whole = pack(b"spans, and some more of them");
            let mut damaged = whole.clone();
            damaged[0] ^= 1;
            let cut = |n_bytes| whole[..whole.len() - n_bytes].to_vec();
            let after = [&whole[..], b"rubbish"].concat();
            for packed in [b"plain".to_vec(), cut(9), cut(1), vec![], damaged, after] {
                let refusal = unpack(encoding, &packed, 1_000).expect_err("badly compressed");
                assert!(
                    matches!(refusal, Refusal::Undecodable(_)),
                    "{encoding:?} {packed:?}: {refusal:?}"
                );
            }
        }
        let mut wrong_sum = gzip(b"spans");
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        unpack(Encoding::Gzip, &wrong_sum, 1_000).expect_err("a wrong sum");
    }

    #[test]
    fn members_and_frames_are_joined() {
        for (encoding, pack) in PACKED {
            let packed = [pack(b"spans "), pack(b""), pack(b"and more")].concat();
            assert_eq!(
                unpack(encoding, &packed, 1_000).expect("a body"),
                "spans and more"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_never_becomes_more_than_the_limit(
            words in prop::collection::vec(any::<[u8; 3]>(), 0..300),
            n_times in 1..60_usize,
            of in 0..PACKED.len(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in prop::option::of(any::<prop::sample::Index>()),
            limit_bytes in 0..40_000_usize,
        ) {
            let plain = words.concat().repeat(n_times);
            let (encoding, pack) = PACKED[of];
            let whole = pack(&plain);
            let mut packed = whole.clone();
            for (at, byte) in damage {
                let at = at.index(packed.len());
                packed[at] = byte;
            }
            packed.truncate(end.map_or(packed.len(), |end| end.index(packed.len())));
            let is_whole = packed == whole;
            let in_flight = InFlight::new(u64::MAX);
            let mut room = room(&in_flight);
            match encoding.unpack(packed.into(), limit_bytes, &mut room) {
                Ok(unpacked) => {
                    prop_assert!(unpacked.len() <= limit_bytes);
                    prop_assert_eq!(in_flight.used_bytes(), unpacked.len() as u64);
                    prop_assert!(!is_whole || unpacked == plain);
                }
                Err(refusal) => {
                    let is_too_large = matches!(refusal, Refusal::TooLarge { .. });
                    prop_assert!(!is_whole || is_too_large && plain.len() > limit_bytes);
                }
            }
        }
    }

    #[test]
    fn a_zstd_window_beyond_8_mib_is_refused_before_it_is_made() {
        for (window_log, is_taken) in [(23, true), (24, false), (27, false)] {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
            encoder.window_log(window_log).expect("a window");
            io::Write::write_all(&mut encoder, &[0; 100]).expect("memory takes everything");
            let packed = encoder.finish().expect("memory takes everything");
            let unpacked = unpack(Encoding::Zstd, &packed, 1_000);
            assert_eq!(unpacked.is_ok(), is_taken, "2^{window_log}: {unpacked:?}");
        }
    }
}
