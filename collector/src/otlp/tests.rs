//! Every answer there is, over both protocols: a row each.

mod grpc;
mod http;

use std::sync::Arc;

use ::http::HeaderMap;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use futures_util::stream::{StreamExt, iter, pending};
use http_body_util::StreamBody;
use hyper::body::Frame;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use crate::ingest::{ConnectionBytes, Ingest, Reservation};
use crate::testing::{FakeStore, Mood, ingest};

const LIMIT_BYTES: usize = 64 << 10;

/// What is wrong on the server's side.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    None,
    Store(Mood),
    Closed,
    /// All requests together have as much on their way as there may be.
    Full,
    /// The connection has.
    ConnectionFull,
}

/// What is sent: bytes, or bytes without an end.
#[derive(Debug, Clone)]
enum Sent {
    Whole(Bytes),
    Endless(&'static [u8]),
}

impl Sent {
    fn body(self) -> AxumBody {
        match self {
            Self::Whole(bytes) => bytes.into(),
            Self::Endless(bytes) => {
                let first = iter([Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(
                    bytes,
                )))]);
                AxumBody::new(StreamBody::new(first.chain(pending())))
            }
        }
    }
}

impl From<Bytes> for Sent {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl From<Vec<u8>> for Sent {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(bytes.into())
    }
}

impl From<&'static str> for Sent {
    fn from(text: &'static str) -> Self {
        Self::Whole(text.into())
    }
}

/// An ingest in trouble, what is behind it, and the connection that meets it.
struct Troubled {
    store: Arc<FakeStore>,
    ingest: Arc<Ingest>,
    connection: ConnectionBytes,
    _held: Vec<Reservation>,
}

fn in_trouble(trouble: Trouble) -> Troubled {
    let mood = match trouble {
        Trouble::Store(mood) => mood,
        _ => Mood::Willing,
    };
    let store = FakeStore::new(mood);
    if let Trouble::Closed = trouble {
        longpole_storage::Store::close(&*store).expect("it closes");
    }
    let ingest = ingest(&store, LIMIT_BYTES);
    let connection = ConnectionBytes::default();
    let holders = match trouble {
        Trouble::Full => vec![ConnectionBytes::default(), ConnectionBytes::default()],
        Trouble::ConnectionFull => vec![connection.clone()],
        _ => Vec::new(),
    };
    let held = holders
        .into_iter()
        .map(|holder| {
            let mut room = ingest.reserve(holder);
            // Half of all is what one connection may have; only counted, never allocated.
            room.grow(128 << 20).expect("there is room");
            room
        })
        .collect();
    Troubled {
        store,
        ingest,
        connection,
        _held: held,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .map(|value| value.to_str().expect("ASCII"))
}

/// How many spans a success says were rejected, and why; 0 and nothing when it says nothing.
fn said(body: &[u8], is_protobuf: bool) -> (i64, String) {
    if is_protobuf {
        let answer = ExportTraceServiceResponse::decode(body).expect("an answer");
        let partial = answer.partial_success.unwrap_or_default();
        return (partial.rejected_spans, partial.error_message);
    }
    let answer: serde_json::Value = serde_json::from_slice(body).expect("JSON");
    let Some(partial) = answer.get("partialSuccess") else {
        assert_eq!(answer, serde_json::json!({}));
        return (0, String::new());
    };
    let rejected = partial["rejectedSpans"].as_str().expect("text");
    let message = partial["errorMessage"].as_str().expect("text");
    (rejected.parse().expect("a number"), message.to_owned())
}
