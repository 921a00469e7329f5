//! The one message of a unary call: five bytes of head, then the message ([gRPC over HTTP/2]).
//!
//! Read here rather than by tonic, which sets memory aside on the head's word, unpacks outside of
//! what is counted and lets Zstandard have windows of 128 MiB.
//!
//! [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

use std::cmp::Ordering;
use std::fmt::Display;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Body;
use prost::Message;

use crate::ingest::{Encoding, Refusal, Reservation};
use crate::otlp::body::Reader;

/// Whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;

/// Reads the message; `encoding` is what the headers say of compressed ones.
///
/// # Errors
/// When it is over `limit_bytes` as it comes, not of this form, too slow, or there is no room.
pub(super) async fn read<B>(
    body: &mut B,
    encoding: Encoding,
    limit_bytes: usize,
    room: Reservation,
) -> Result<(Bytes, Encoding, Reservation), Refusal>
where
    B: Body + Unpin,
    B::Error: Display,
{
    let mut reader = Reader::new(body, usize::MAX, room)?;
    while reader.bytes().len() < HEAD_BYTES {
        if !reader.more().await? {
            return Err(malformed("it ends within its head"));
        }
    }
    let [flag, length @ ..] = *reader
        .bytes()
        .first_chunk::<HEAD_BYTES>()
        .expect("read until there were as many");
    let encoding = match flag {
        0 => Encoding::Identity,
        1 if encoding == Encoding::Identity => {
            return Err(malformed("it is compressed, but grpc-encoding is not set"));
        }
        1 => encoding,
        _ => return Err(malformed("its first byte is neither 0 nor 1")),
    };
    let n_bytes = u32::from_be_bytes(length) as usize;
    if n_bytes > limit_bytes {
        return Err(Refusal::TooLarge { limit_bytes });
    }
    reader.expect(HEAD_BYTES + n_bytes);
    while reader.bytes().len() <= HEAD_BYTES + n_bytes && reader.more().await? {}
    let (mut bytes, room) = reader.into_parts();
    match bytes.len().cmp(&(HEAD_BYTES + n_bytes)) {
        Ordering::Less => Err(malformed("it is shorter than its head says")),
        Ordering::Equal => Ok((bytes.split_off(HEAD_BYTES), encoding, room)),
        Ordering::Greater => Err(malformed("more follows than its head says")),
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::Undecodable(format!("request is not a gRPC message: {why}"))
}

/// A message with its head, uncompressed: answers are shorter than gzip's own frame.
pub(super) fn frame(message: &impl Message) -> Bytes {
    let n_bytes = message.encoded_len();
    let mut framed = BytesMut::with_capacity(HEAD_BYTES + n_bytes);
    framed.put_u8(0);
    framed.put_u32(n_bytes.try_into().expect("an answer is under 4 GiB"));
    message.encode(&mut framed).expect("the buffer grows");
    framed.freeze()
}
