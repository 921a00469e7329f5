//! The capped decompression alone, for `fuzz/`: what the receivers have of it is private.

use bytes::Bytes;

use crate::ingest::{ConnectionBytes, Encoding, InFlight, Refusal, Reservation};

/// What becomes of a compressed body.
#[derive(Debug)]
pub enum Unpacked {
    /// It is unpacked.
    Whole {
        /// To what.
        bytes: Vec<u8>,
        /// How many bytes of it are counted as being on their way.
        counted: u64,
    },
    /// It is more than the limit.
    TooLarge,
    /// It is badly compressed.
    Bad,
}

/// Unpacks a body by gzip, of at most `limit_bytes`.
pub fn unpack_gzip(packed: &[u8], limit_bytes: usize) -> Unpacked {
    unpack(Encoding::Gzip, packed, limit_bytes)
}

/// Unpacks a body by Zstandard, of at most `limit_bytes`.
pub fn unpack_zstd(packed: &[u8], limit_bytes: usize) -> Unpacked {
    unpack(Encoding::Zstd, packed, limit_bytes)
}

fn unpack(encoding: Encoding, packed: &[u8], limit_bytes: usize) -> Unpacked {
    let in_flight = InFlight::new(u64::MAX);
    let mut room = Reservation::new(in_flight.clone(), ConnectionBytes::default());
    match encoding.unpack(Bytes::copy_from_slice(packed), limit_bytes, &mut room) {
        Ok(bytes) => Unpacked::Whole {
            bytes: bytes.into(),
            counted: in_flight.used_bytes(),
        },
        Err(Refusal::TooLarge { .. }) => Unpacked::TooLarge,
        Err(_) => Unpacked::Bad,
    }
}
