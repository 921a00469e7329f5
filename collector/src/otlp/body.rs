//! Reads request bodies under a cap on their size and a pace that they must keep.

use std::fmt::Display;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::ingest::{Refusal, Reservation};

/// How much memory a body gets on its own word before any of it has come.
const TRUSTED_BYTES_MAX: usize = 1 << 20;

/// What a body must keep up with: half a minute whatever comes, then 32 kbit/s, as the slowest
/// mobile uplinks do, but no more than five minutes. Exporters give up after 10 s by default.
const GRACE: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND_MIN: u64 = 4 << 10;
const READ_MAX: Duration = Duration::from_mins(5);

/// Reads one body into memory.
pub(crate) struct Reader<'a, B> {
    body: &'a mut B,
    began: Instant,
    bytes: Vec<u8>,
    limit_bytes: usize,
    /// How much is expected in all.
    expected_bytes: usize,
    room: Reservation,
}

impl<'a, B> Reader<'a, B>
where
    B: Body + Unpin,
    B::Error: Display,
{
    /// Reads from `body`, up to `limit_bytes`; `room` will cover what was read.
    ///
    /// # Errors
    /// When the body says itself that it is larger.
    pub(crate) fn new(
        body: &'a mut B,
        limit_bytes: usize,
        room: Reservation,
    ) -> Result<Self, Refusal> {
        let said_bytes = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if said_bytes > limit_bytes {
            return Err(Refusal::TooLarge { limit_bytes });
        }
        Ok(Self {
            body,
            began: Instant::now(),
            bytes: Vec::with_capacity(said_bytes.min(TRUSTED_BYTES_MAX)),
            limit_bytes,
            expected_bytes: said_bytes,
            room,
        })
    }

    /// Waits for more of the body; says whether there was any.
    ///
    /// # Errors
    /// When there is too much, no room, it breaks off, or it comes too slowly.
    pub(crate) async fn more(&mut self) -> Result<bool, Refusal> {
        let frame = timeout_at(self.deadline(), self.body.frame()).await;
        let waited = self.began.elapsed();
        let Some(frame) = frame.map_err(|_| Refusal::SlowBody { waited })? else {
            return Ok(false);
        };
        let frame =
            frame.map_err(|error| Refusal::Undecodable(format!("body is cut off: {error}")))?;
        let Ok(mut data) = frame.into_data() else {
            return Ok(true);
        };
        while data.has_remaining() {
            let chunk = data.chunk();
            let n_bytes = chunk.len();
            if n_bytes > self.limit_bytes - self.bytes.len() {
                let limit_bytes = self.limit_bytes;
                return Err(Refusal::TooLarge { limit_bytes });
            }
            self.room.grow(n_bytes)?;
            make_room(&mut self.bytes, n_bytes, self.expected_bytes);
            self.bytes.extend_from_slice(chunk);
            data.advance(n_bytes);
        }
        Ok(true)
    }

    /// Reads to the end.
    ///
    /// # Errors
    /// As [`Self::more`].
    pub(crate) async fn rest(mut self) -> Result<(Bytes, Reservation), Refusal> {
        while self.more().await? {}
        Ok(self.into_parts())
    }

    /// What was read so far, and the room that covers it.
    pub(crate) fn into_parts(self) -> (Bytes, Reservation) {
        (self.bytes.into(), self.room)
    }

    /// What was read so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Tells how much there will be in all: memory is taken in fewer steps.
    pub(crate) fn expect(&mut self, n_bytes: usize) {
        self.expected_bytes = n_bytes;
        let more = n_bytes
            .min(TRUSTED_BYTES_MAX)
            .saturating_sub(self.bytes.len());
        self.bytes.reserve_exact(more);
    }

    fn deadline(&self) -> Instant {
        let earned = Duration::from_secs(self.bytes.len() as u64 / BYTES_PER_SECOND_MIN);
        self.began + (GRACE + earned).min(READ_MAX)
    }
}

/// Makes room for `more` bytes: twice what there is, but not beyond what is expected.
fn make_room(bytes: &mut Vec<u8>, more: usize, expected_bytes: usize) {
    let least = bytes.len() + more;
    if least > bytes.capacity() && least <= expected_bytes {
        let wanted = (2 * bytes.capacity()).clamp(least, expected_bytes);
        bytes.reserve_exact(wanted - bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;
    use crate::ingest::{ConnectionBytes, InFlight};

    /// Room for a connection of this many bytes.
    fn room(limit_bytes: u64) -> Reservation {
        let in_flight = InFlight::new(limit_bytes.saturating_mul(2));
        Reservation::new(in_flight, ConnectionBytes::default())
    }

    async fn read<B>(mut body: B, limit_bytes: usize, room: Reservation) -> Result<Bytes, Refusal>
    where
        B: Body + Unpin,
        B::Error: Display,
    {
        Ok(Reader::new(&mut body, limit_bytes, room)?.rest().await?.0)
    }

    /// A body of `n_chunks` of these bytes, one each `pause`, without an end.
    fn dripping(
        chunk: &'static [u8],
        n_chunks: usize,
        pause: Duration,
    ) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let stream = futures_util::stream::unfold(0, move |n| async move {
            if n == n_chunks {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
            Some((Ok(Frame::data(Bytes::from_static(chunk))), n + 1))
        });
        StreamBody::new(Box::pin(stream))
    }

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_is_taken() {
        let plain = Bytes::from(vec![7; 1_000]);
        let body = || Full::new(plain.clone());
        assert_eq!(
            read(body(), 1_000, room(1_000)).await.expect("a body"),
            plain
        );
        let refusal = read(body(), 999, room(1_000)).await;
        assert!(matches!(
            refusal,
            Err(Refusal::TooLarge { limit_bytes: 999 })
        ));
        let refusal = read(body(), 1_000, room(999)).await;
        assert!(matches!(refusal, Err(Refusal::TooMuchAtOnce { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_say_its_size_is_stopped_at_the_limit() {
        let body = dripping(&[0; 600], 5, Duration::ZERO);
        let refusal = read(body, 1_000, room(1 << 40)).await;
        assert!(matches!(refusal, Err(Refusal::TooLarge { .. })));
    }

    /// How long a body was waited for until it was refused for being slow.
    async fn patience(chunk: &'static [u8], n_chunks: usize, pause: Duration) -> Duration {
        let began = Instant::now();
        let body = dripping(chunk, n_chunks, pause);
        let refusal = read(body, 64 << 20, room(1 << 40)).await;
        assert!(
            matches!(refusal, Err(Refusal::SlowBody { .. })),
            "{refusal:?}"
        );
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_waited_for_as_long_as_it_keeps_up() {
        let second = Duration::from_secs(1);
        assert_eq!(patience(&[], 0, second).await, GRACE, "silence");
        assert_eq!(patience(&[0], 10_000, second).await, GRACE, "drops");
        let stalled = patience(&[0; 8 << 10], 10, second).await;
        assert_eq!(stalled, GRACE + 20 * second, "80 KiB, then silence");
        let steady = patience(&[0; 4 << 10], 10_000, second).await;
        assert_eq!(steady, READ_MAX, "what keeps up, but has no end");
    }

    #[tokio::test(start_paused = true)]
    async fn an_honest_slow_uplink_is_not_cut_off() {
        // A megabyte at 64 kbit/s.
        let chunks = (0..128).map(|_| Bytes::from_static(&[0; 8 << 10]));
        let stream = futures_util::stream::unfold(chunks, |mut chunks| async move {
            let chunk = chunks.next()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>(Frame::data(chunk)), chunks))
        });
        let body = StreamBody::new(Box::pin(stream));
        let bytes = read(body, 64 << 20, room(1 << 40)).await.expect("a body");
        assert_eq!(bytes.len(), 1 << 20);
    }

    #[test]
    fn memory_grows_to_what_is_expected_and_no_further() {
        let mut bytes = Vec::new();
        let expected = (5 << 20) + 3;
        while bytes.len() < expected {
            let more = (16 << 10).min(expected - bytes.len());
            make_room(&mut bytes, more, expected);
            bytes.resize(bytes.len() + more, 0);
        }
        assert_eq!(bytes.capacity(), expected);
    }
}
