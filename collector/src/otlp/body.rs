//! Reads HTTP bodies under a cap that counts after decompression: a bomb is stopped where the
//! limit is, however much it would still unpack to.
//!
//! The only place that may use flate2's decoders.

#![expect(clippy::disallowed_types, reason = "this is the capped reader")]

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::ingest::{Refusal, Reservation};

/// How much memory a body gets on its own word before any of it has come.
const TRUSTED_BYTES_MAX: u64 = 1 << 20;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// By gzip, in one member or several.
    Gzip,
}

/// Reads all of a body, decompressed; the reservation returned covers it.
///
/// # Errors
/// When it is over `limit_bytes`, badly compressed, or there is no room for it.
pub(crate) async fn read<B>(
    body: &mut B,
    encoding: Encoding,
    limit_bytes: usize,
    room: Reservation,
) -> Result<(Bytes, Reservation), Refusal>
where
    B: Body + Unpin,
    B::Error: std::fmt::Display,
{
    let said_bytes = body.size_hint().lower();
    let trusted_bytes = usize::try_from(said_bytes.min(TRUSTED_BYTES_MAX)).unwrap_or(0);
    let capped = Capped {
        bytes: Vec::with_capacity(trusted_bytes.min(limit_bytes)),
        limit_bytes,
        room,
        refusal: None,
    };
    let mut sink = match encoding {
        Encoding::Identity => {
            // Refuse what says itself that it is too large before taking any of it.
            if said_bytes > limit_bytes as u64 {
                return Err(Refusal::TooLarge { limit_bytes });
            }
            Sink::Identity(capped)
        }
        Encoding::Gzip => Sink::Gzip(Box::new(MultiGzDecoder::new(capped))),
    };
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Refusal::Undecodable(format!("body is cut off: {error}")))?;
        if let Ok(mut data) = frame.into_data() {
            while data.has_remaining() {
                let chunk = data.chunk();
                sink.write(chunk)?;
                let n_written = chunk.len();
                data.advance(n_written);
            }
        }
    }
    let capped = sink.finish()?;
    Ok((Bytes::from(capped.bytes), capped.room))
}

enum Sink {
    Identity(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl Sink {
    fn write(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        match self {
            Self::Identity(capped) => capped.take(chunk),
            Self::Gzip(decoder) => decoder
                .write_all(chunk)
                .map_err(|error| gzip_refusal(decoder.get_mut(), &error)),
        }
    }

    fn finish(self) -> Result<Capped, Refusal> {
        match self {
            Self::Identity(capped) => Ok(capped),
            Self::Gzip(mut decoder) => {
                decoder
                    .try_finish()
                    .map_err(|error| gzip_refusal(decoder.get_mut(), &error))?;
                decoder.finish().map_err(|error| bad_gzip(&error))
            }
        }
    }
}

fn gzip_refusal(capped: &mut Capped, error: &io::Error) -> Refusal {
    capped.refusal.take().unwrap_or_else(|| bad_gzip(error))
}

fn bad_gzip(error: &io::Error) -> Refusal {
    Refusal::Undecodable(format!("body is not valid gzip: {error}"))
}

/// What was read so far.
struct Capped {
    bytes: Vec<u8>,
    limit_bytes: usize,
    room: Reservation,
    /// Why it takes no more: an [`io::Error`] cannot carry it through the decoder.
    refusal: Option<Refusal>,
}

impl Capped {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        if chunk.len() > self.limit_bytes - self.bytes.len() {
            return Err(Refusal::TooLarge {
                limit_bytes: self.limit_bytes,
            });
        }
        self.room.grow(chunk.len())?;
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }
}

impl Write for Capped {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        match self.take(chunk) {
            Ok(()) => Ok(chunk.len()),
            Err(refusal) => {
                self.refusal = Some(refusal);
                Err(io::Error::other("refused"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::Full;

    use super::*;
    use crate::ingest::InFlight;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).expect("writing to memory");
        encoder.finish().expect("writing to memory")
    }

    async fn read_all(
        body: Vec<u8>,
        encoding: Encoding,
        limit_bytes: usize,
    ) -> Result<Bytes, Refusal> {
        let room = Reservation::new(InFlight::new(u64::MAX));
        read(
            &mut Full::new(Bytes::from(body)),
            encoding,
            limit_bytes,
            room,
        )
        .await
        .map(|(bytes, _)| bytes)
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_taken() {
        let plain = vec![7; 1_000];
        for (body, encoding) in [
            (plain.clone(), Encoding::Identity),
            (gzip(&plain), Encoding::Gzip),
        ] {
            assert_eq!(
                read_all(body.clone(), encoding, 1_000)
                    .await
                    .expect("a body"),
                plain
            );
            let refusal = read_all(body, encoding, 999)
                .await
                .expect_err("over the limit");
            assert!(
                matches!(refusal, Refusal::TooLarge { limit_bytes: 999 }),
                "{refusal:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![0; 32 << 20]);
        assert!(bomb.len() < 64 << 10, "{} bytes is no bomb", bomb.len());
        let in_flight = InFlight::new(2 << 20);
        let room = Reservation::new(std::sync::Arc::clone(&in_flight));
        let mut body = Full::new(Bytes::from(bomb.clone()));
        let refusal = read(&mut body, Encoding::Gzip, 1 << 20, room)
            .await
            .expect_err("over the limit");
        assert!(matches!(refusal, Refusal::TooLarge { .. }), "{refusal:?}");

        let mut body = Full::new(Bytes::from(bomb));
        let room = Reservation::new(in_flight);
        let refusal = read(&mut body, Encoding::Gzip, 64 << 20, room)
            .await
            .expect_err("no room");
        assert!(matches!(refusal, Refusal::Busy { .. }), "{refusal:?}");
    }

    #[tokio::test]
    async fn bad_gzip_is_the_senders_fault() {
        let whole = gzip(b"spans");
        let mut wrong_sum = whole.clone();
        let at = wrong_sum.len() - 6;
        wrong_sum[at] ^= 1;
        let cases = [
            b"not gzip".to_vec(),
            whole[..whole.len() - 9].to_vec(),
            whole[..4].to_vec(),
            Vec::new(),
            wrong_sum,
        ];
        for body in cases {
            let refusal = read_all(body.clone(), Encoding::Gzip, 1_000)
                .await
                .expect_err("bad gzip");
            assert!(
                matches!(refusal, Refusal::Undecodable(_)),
                "{body:?}: {refusal:?}"
            );
        }
    }

    #[tokio::test]
    async fn gzip_may_have_several_members() {
        let body = [gzip(b"spans "), gzip(b"and more")].concat();
        assert_eq!(
            read_all(body, Encoding::Gzip, 1_000).await.expect("a body"),
            "spans and more"
        );
    }
}
