//! A request body that counts as on its way while it is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::ingest::Reservation;
use crate::otlp::reply;

/// Ends in UNAVAILABLE when there is no room for more of it.
pub(super) struct Metered<B> {
    body: B,
    room: Reservation,
}

impl<B> Metered<B> {
    pub(super) fn new(body: B, room: Reservation) -> Self {
        Self { body, room }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let n_bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        Poll::Ready(match self.room.grow(n_bytes) {
            Ok(()) => frame,
            Err(refusal) => Some(Err(reply::grpc_status(&refusal))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
