//! The one way in: a request's bytes become stored spans, or a refusal that says why.
//!
//! Success is answered only once the store says that the spans are as durable as promised. What is
//! on its way is counted in bytes and bounded; over the bound a client is told to come back.

mod compression;
mod in_flight;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use longpole_proto::formats::otlp_json;
use longpole_proto::wire::{ExportRequest, Rejections, Warnings};
use longpole_storage::{Appended, StorageError, Store};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::metrics::{Metrics, Transport};

pub(crate) use compression::Encoding;
pub(crate) use in_flight::{ConnectionBytes, InFlight, Reservation};

/// How long the store is waited for. Exporters give up after 10 s by default; this only keeps
/// requests from gathering behind a disk that hangs.
pub(crate) const STORE_DEADLINE: Duration = Duration::from_mins(1);

/// How many bytes of requests may be on their way at once, unless a few of the largest allowed
/// requests are more.
const IN_FLIGHT_BYTES_MAX: u64 = 256 << 20;

/// Bodies larger than this are read off the reactor; compressed ones from an eighth of it, as that is
/// what spans commonly shrink to.
const INLINE_BYTES_MAX: usize = 256 << 10;
const INLINE_PACKED_BYTES_MAX: usize = INLINE_BYTES_MAX / 8;

/// Why a request is refused as a whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not an export request.
    #[error("{0}")]
    Undecodable(String),
    /// It is too large.
    #[error(
        "request is over the limit of {limit_bytes} bytes after decompression; send smaller batches or raise --max-request-bytes"
    )]
    TooLarge { limit_bytes: usize },
    /// It says it is something else than OTLP.
    #[error("content type {0:?} is not supported; send application/x-protobuf or application/json")]
    ContentType(String),
    /// It is compressed in a way that is not understood.
    #[error("content encoding {0:?} is not supported; send gzip, zstd or none")]
    ContentEncoding(String),
    /// It is OTLP, but not traces.
    #[error("longpole takes traces, not {0}; switch the exporter of {0} off")]
    NotTraces(&'static str),
    /// There is nothing at the path.
    #[error("there is nothing at {path:?}; traces go to {expected}")]
    Path {
        path: String,
        expected: &'static str,
    },
    /// The method is not the one for the path.
    #[error("method {0} is not allowed; traces go to POST /v1/traces")]
    Method(String),
    /// It is no gRPC, on the port that is for it.
    #[error("this port takes OTLP/gRPC; send OTLP/HTTP to {http_endpoint}/v1/traces")]
    NotGrpc { http_endpoint: String },
    /// It is gRPC, on the port that is for OTLP/HTTP.
    #[error("this port takes OTLP/HTTP; send OTLP/gRPC to {grpc_endpoint}")]
    NotHttp { grpc_endpoint: String },
    /// Too much is on its way.
    #[error("more than {limit_bytes} bytes of requests are being worked on; try again in a second")]
    Busy { limit_bytes: u64 },
    /// Too much of one connection is on its way.
    #[error(
        "more than {limit_bytes} bytes of requests of this connection are being worked on; try again in a second"
    )]
    TooMuchAtOnce { limit_bytes: u64 },
    /// It came too slowly.
    #[error("request was not there after {} s; try again with smaller batches", waited.as_secs())]
    SlowBody { waited: Duration },
    /// The store took too long.
    #[error("spans were not stored within {} s; try again", waited.as_secs())]
    Slow { waited: Duration },
    /// The disk is nearly full.
    #[error(
        "the disk has {free_bytes} bytes free, {least_bytes} must be; try again when there is room"
    )]
    DiskFull { free_bytes: u64, least_bytes: u64 },
    /// The store failed.
    #[error("spans cannot be stored right now; try again")]
    Store(#[source] StorageError),
    /// longpole is stopping.
    #[error("longpole is stopping; try again")]
    Closing,
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Busy { limit_bytes, .. } => Self::Busy { limit_bytes },
            StorageError::Full {
                free_bytes,
                least_bytes,
                ..
            } => Self::DiskFull {
                free_bytes,
                least_bytes,
            },
            StorageError::Closed => Self::Closing,
            error => Self::Store(error),
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An `ExportTraceServiceRequest` in protobuf.
    Protobuf,
    /// The same in JSON.
    Json,
}

/// An export request's body, all of it, as it came.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) encoding: Encoding,
    pub(crate) format: Format,
}

impl Body {
    /// Whether reading it would keep a worker of the runtime from other requests for long.
    fn is_large(&self) -> bool {
        let inline_max = match self.encoding {
            Encoding::Identity => INLINE_BYTES_MAX,
            Encoding::Gzip | Encoding::Zstd => INLINE_PACKED_BYTES_MAX,
        };
        self.bytes.len() > inline_max
    }
}

fn parse(format: Format, bytes: Bytes) -> Result<ExportRequest, Refusal> {
    match format {
        Format::Protobuf => ExportRequest::parse(bytes).map_err(|error| {
            Refusal::Undecodable(format!("request is not an OTLP export request: {error}"))
        }),
        Format::Json => otlp_json::read_export_request(&bytes)
            .map_err(|error| Refusal::Undecodable(error.to_string())),
    }
}

/// What is to be said of a request that was taken.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The spans that were not.
    pub(crate) rejections: Rejections,
    /// What is odd about those that were.
    pub(crate) warnings: Warnings,
}

/// Takes requests in, for all receivers.
pub(crate) struct Ingest {
    store: Arc<dyn Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    in_flight: Arc<InFlight>,
    request_bytes_max: usize,
}

impl Ingest {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
        request_bytes_max: usize,
    ) -> Self {
        let in_flight_max = IN_FLIGHT_BYTES_MAX.max(4 * request_bytes_max as u64);
        Self {
            store,
            clock,
            metrics,
            in_flight: InFlight::new(in_flight_max),
            request_bytes_max,
        }
    }

    /// How large a request may be after decompression.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.request_bytes_max
    }

    /// Room for a request of a connection, of no bytes yet.
    pub(crate) fn reserve(&self, connection: ConnectionBytes) -> Reservation {
        Reservation::new(Arc::clone(&self.in_flight), connection)
    }

    /// Stores a request's spans and returns what is to be said of them. `room` must cover the body.
    /// When the caller goes away, or is told to come back because the store takes too long, the
    /// spans may be stored and counted all the same: a request that comes again is known.
    ///
    /// # Errors
    /// When the request as a whole is refused; nothing of it counts as stored then.
    pub(crate) async fn export(
        self: &Arc<Self>,
        transport: Transport,
        body: Body,
        room: Reservation,
    ) -> Result<Taken, Refusal> {
        let (done, stored) = oneshot::channel();
        let this = Arc::clone(self);
        let is_large = body.is_large();
        let submit = move || this.submit(transport, body, room, done);
        let taken = if is_large {
            // A panic in there is a bug the client cannot mend by trying again.
            tokio::task::spawn_blocking(submit)
                .await
                .map_err(|_| Refusal::Undecodable("request could not be read".to_owned()))??
        } else {
            submit()?
        };
        match tokio::time::timeout(STORE_DEADLINE, stored).await {
            Ok(Ok(Ok(_))) => Ok(taken),
            Ok(Ok(Err(error))) => Err(error.into()),
            // The store dropped the completion: it is going away.
            Ok(Err(_)) => Err(Refusal::Closing),
            Err(_) => Err(Refusal::Slow {
                waited: STORE_DEADLINE,
            }),
        }
    }

    /// Notes that a request was refused.
    pub(crate) fn refused(&self, transport: Transport, refusal: &Refusal) {
        self.metrics
            .request_refused(transport, refusal, (self.clock)());
    }

    /// Unpacks, parses and hands over to the store; `done` hears what came of it.
    fn submit(
        &self,
        transport: Transport,
        body: Body,
        mut room: Reservation,
        done: oneshot::Sender<Result<Appended, StorageError>>,
    ) -> Result<Taken, Refusal> {
        let started = Instant::now();
        let bytes = body
            .encoding
            .unpack(body.bytes, self.request_bytes_max, &mut room)?;
        let n_bytes = bytes.len();
        let request = parse(body.format, bytes)?;
        let now = (self.clock)();
        let taken = Taken {
            rejections: request.rejections().clone(),
            warnings: request.warnings(),
        };
        self.metrics.request_read(transport, n_bytes, &taken, now);
        let metrics = Arc::clone(&self.metrics);
        let completion = move |result: Result<Appended, StorageError>| {
            if let Ok(appended) = &result {
                metrics.request_stored(transport, appended.n_spans, started.elapsed());
            }
            drop(room);
            // Nobody listens any more when the client has gone away.
            drop(done.send(result));
        };
        if request.spans().is_empty() {
            completion(Ok(Appended { n_spans: 0 }));
        } else {
            self.store.append(request, now, Box::new(completion));
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
