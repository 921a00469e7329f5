//! Bodies that say they are compressed.

use std::io::Read;

use longpole::fuzzing::{Unpacked, unpack_gzip, unpack_zstd};

/// Some bytes: whether by zstd, where the limit is, and the body.
pub fn decompression(bytes: &[u8]) {
    let &[is_zstd, low, high, ref body @ ..] = bytes else {
        return;
    };
    let limit_bytes = usize::from(u16::from_le_bytes([low, high])) * 8;
    let (unpacked, plain) = if is_zstd % 2 == 1 {
        let plain = zstd::stream::read::Decoder::with_buffer(body)
            .and_then(|decoder| at_most(decoder, limit_bytes));
        (unpack_zstd(body, limit_bytes), plain)
    } else {
        let plain = at_most(flate2::bufread::MultiGzDecoder::new(body), limit_bytes);
        (unpack_gzip(body, limit_bytes), plain)
    };
    match (unpacked, plain) {
        (Unpacked::Whole { bytes, counted }, Ok(plain)) => {
            assert!(bytes.len() <= limit_bytes);
            assert_eq!(counted, bytes.len() as u64, "what it takes is counted");
            assert_eq!(bytes, plain);
        }
        (Unpacked::TooLarge, Ok(plain)) => assert!(plain.len() > limit_bytes),
        // Larger windows than longpole takes, or nothing at all.
        (Unpacked::Bad, plain) => assert!(plain.is_err() || is_zstd % 2 == 1),
        // One byte over the limit is seen before what is bad behind it, or behind.
        (Unpacked::TooLarge, Err(_)) => {}
        (Unpacked::Whole { .. }, Err(error)) => panic!("taken, where the library says {error}"),
    }
}

/// All there is, but no more than a byte over the limit.
fn at_most(decoder: impl Read, limit_bytes: usize) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    decoder
        .take(limit_bytes as u64 + 1)
        .read_to_end(&mut plain)?;
    Ok(plain)
}
