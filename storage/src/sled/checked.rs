//! Values with a checksum of our own, plain or compressed, as `docs/disk-format.md` has them.

use std::io;

use parking_lot::Mutex;
use zstd::bulk::{Compressor, Decompressor};

/// How many decompressors, some 100 KB each, are kept for the next who needs one.
const DECOMPRESSORS_MAX: usize = 4;

/// Making one takes as long as decompressing a few kilobytes.
static DECOMPRESSORS: Mutex<Vec<Decompressor<'static>>> = Mutex::new(Vec::new());

/// Undoes zstd's compression of something of at most so many bytes.
///
/// # Errors
/// When it is damaged or longer.
pub(super) fn decompress(packed: &[u8], bytes_max: usize) -> io::Result<Vec<u8>> {
    let kept = DECOMPRESSORS.lock().pop();
    let mut decompressor = kept.map_or_else(Decompressor::new, Ok)?;
    let bytes = decompressor.decompress(packed, bytes_max);
    let mut kept = DECOMPRESSORS.lock();
    if kept.len() < DECOMPRESSORS_MAX {
        kept.push(decompressor);
    }
    bytes
}

/// A value to store: these bytes behind their checksum.
pub(super) fn with_crc(bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut value = vec![0; 4];
    value.extend(bytes);
    put_crc(value)
}

/// The bytes of a value that has its checksum before them; `None` when it is damaged.
pub(super) fn without_crc(value: &[u8]) -> Option<&[u8]> {
    let (crc, bytes) = value.split_first_chunk()?;
    (u32::from_le_bytes(*crc) == crc32c::crc32c(bytes)).then_some(bytes)
}

/// A value to store: a record, compressed, behind its length and a checksum of both.
pub(super) fn pack(record: &[u8], zstd: &mut Compressor<'_>) -> Vec<u8> {
    let packed = zstd
        .compress(record)
        .expect("memory takes all that is written");
    let len = u32::try_from(record.len()).expect("a record is bounded");
    let mut value = vec![0; 4];
    value.extend_from_slice(&len.to_le_bytes());
    value.extend_from_slice(&packed);
    put_crc(value)
}

/// Undoes [`pack`], for records of no more than so many bytes; `None` when it is damaged.
pub(super) fn unpack(value: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let (len, packed) = without_crc(value)?.split_first_chunk()?;
    let len = u32::from_le_bytes(*len) as usize;
    if len > bytes_max {
        return None;
    }
    let record = decompress(packed, len).ok()?;
    (record.len() == len).then_some(record)
}

/// Puts the checksum in its place.
fn put_crc(mut value: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&value[4..]);
    value[..4].copy_from_slice(&crc.to_le_bytes());
    value
}
