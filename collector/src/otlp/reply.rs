//! What a refusal is called in each protocol: one table for gRPC and HTTP.
//!
//! OTLP clients retry UNAVAILABLE, 503 and the like for ever and drop everything else at once, so
//! a code decides whether spans are lost. Retryable is only what may go well the next time.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use longpole_proto::wire::Rejections;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{Code, Status};

use crate::ingest::Refusal;

/// How long a client that was told to come back later is asked to wait.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refusal in the protocols' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    /// In gRPC, and as the code of a `google.rpc.Status`.
    pub(crate) code: Code,
    /// In HTTP.
    pub(crate) http: StatusCode,
    /// How long to wait before the next try; `None` when trying again cannot help.
    pub(crate) retry_after: Option<Duration>,
    /// In metrics.
    pub(crate) reason: &'static str,
}

/// The protocols' words for a refusal.
pub(crate) fn reply(refusal: &Refusal) -> Reply {
    let (code, http, retry_after, reason) = match refusal {
        Refusal::Undecodable(_) => (
            Code::InvalidArgument,
            StatusCode::BAD_REQUEST,
            None,
            "undecodable",
        ),
        Refusal::TooLarge { .. } => (
            Code::ResourceExhausted,
            StatusCode::PAYLOAD_TOO_LARGE,
            None,
            "too_large",
        ),
        Refusal::ContentType(_) => (
            Code::InvalidArgument,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            "content_type",
        ),
        Refusal::ContentEncoding(_) => (
            Code::Unimplemented,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            "content_encoding",
        ),
        Refusal::NotTraces(_) => (
            Code::Unimplemented,
            StatusCode::NOT_FOUND,
            None,
            "not_traces",
        ),
        Refusal::NotGrpc { .. } => (
            Code::InvalidArgument,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            "not_grpc",
        ),
        Refusal::NotHttp { .. } => (
            Code::InvalidArgument,
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            None,
            "not_http",
        ),
        Refusal::Path { .. } => (Code::Unimplemented, StatusCode::NOT_FOUND, None, "path"),
        Refusal::Method(_) => (
            Code::Unimplemented,
            StatusCode::METHOD_NOT_ALLOWED,
            None,
            "method",
        ),
        Refusal::Busy { .. } => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "busy",
        ),
        Refusal::Slow { .. } => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "slow",
        ),
        // The spans are still with the client: whatever ails the store, they must come again.
        Refusal::Store(_) => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "store",
        ),
        Refusal::Closing => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "closing",
        ),
    };
    Reply {
        code,
        http,
        retry_after,
        reason,
    }
}

/// The answer to an export request of which all but `rejections` is stored.
pub(crate) fn success(rejections: &Rejections) -> ExportTraceServiceResponse {
    let n_rejected = rejections.total();
    ExportTraceServiceResponse {
        partial_success: (n_rejected > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(n_rejected).unwrap_or(i64::MAX),
            error_message: rejections.message(),
        }),
    }
}

/// A refusal as a gRPC status, with `RetryInfo` when it is worth trying again.
pub(crate) fn grpc_status(refusal: &Refusal) -> Status {
    let reply = reply(refusal);
    let message = refusal.to_string();
    let Some(delay) = reply.retry_after else {
        return Status::new(reply.code, message);
    };
    let details = rpc_status(refusal, Some(delay)).encode_to_vec();
    Status::with_details(reply.code, message, Bytes::from(details))
}

/// A refusal as the body of an HTTP answer in protobuf.
pub(crate) fn protobuf_body(refusal: &Refusal) -> Vec<u8> {
    rpc_status(refusal, reply(refusal).retry_after).encode_to_vec()
}

/// A refusal as the body of an HTTP answer in JSON.
pub(crate) fn json_body(refusal: &Refusal) -> Vec<u8> {
    let body = serde_json::json!({
        "code": reply(refusal).code as i32,
        "message": refusal.to_string(),
    });
    body.to_string().into_bytes()
}

fn rpc_status(refusal: &Refusal, retry_after: Option<Duration>) -> RpcStatus {
    RpcStatus {
        code: reply(refusal).code as i32,
        message: refusal.to_string(),
        details: retry_after.map(RetryInfo::any).into_iter().collect(),
    }
}

/// [google.rpc.Status](https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// [google.protobuf.Any](https://protobuf.dev/programming-guides/proto3/#any).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// [google.rpc.RetryInfo](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) retry_delay: Option<ProtoDuration>,
}

/// [google.protobuf.Duration](https://protobuf.dev/reference/protobuf/google.protobuf/#duration).
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct ProtoDuration {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl RetryInfo {
    pub(crate) const TYPE_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

    fn any(delay: Duration) -> Any {
        let retry_delay = ProtoDuration {
            seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
            nanos: delay.subsec_nanos().cast_signed(),
        };
        let info = Self {
            retry_delay: Some(retry_delay),
        };
        Any {
            type_url: Self::TYPE_URL.to_owned(),
            value: info.encode_to_vec(),
        }
    }

    /// The delay a status' details ask for, if any.
    pub(crate) fn delay_in(details: &[u8]) -> Option<Duration> {
        let status = RpcStatus::decode(details).ok()?;
        let any = status
            .details
            .iter()
            .find(|any| any.type_url == Self::TYPE_URL)?;
        let delay = Self::decode(any.value.as_slice()).ok()?.retry_delay?;
        let seconds = u64::try_from(delay.seconds).ok()?;
        let nanos = u32::try_from(delay.nanos).ok()?;
        Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(u64::from(nanos))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longpole_storage::StorageError;

    fn for_good() -> Vec<(Refusal, Code, u16)> {
        let text = || "x".to_owned();
        vec![
            (Refusal::Undecodable(text()), Code::InvalidArgument, 400),
            (
                Refusal::TooLarge { limit_bytes: 9 },
                Code::ResourceExhausted,
                413,
            ),
            (Refusal::ContentType(text()), Code::InvalidArgument, 415),
            (Refusal::ContentEncoding(text()), Code::Unimplemented, 415),
            (Refusal::NotTraces("metrics"), Code::Unimplemented, 404),
            (
                Refusal::Path {
                    path: text(),
                    expected: "y",
                },
                Code::Unimplemented,
                404,
            ),
            (Refusal::Method(text()), Code::Unimplemented, 405),
            (
                Refusal::NotGrpc {
                    http_endpoint: text(),
                },
                Code::InvalidArgument,
                415,
            ),
            (
                Refusal::NotHttp {
                    grpc_endpoint: text(),
                },
                Code::InvalidArgument,
                505,
            ),
        ]
    }

    fn only_now() -> Vec<Refusal> {
        vec![
            Refusal::Busy { limit_bytes: 9 },
            Refusal::Slow {
                waited: Duration::from_secs(30),
            },
            Refusal::from(StorageError::Busy {
                waiting_bytes: 9,
                limit_bytes: 8,
            }),
            Refusal::from(StorageError::Closed),
            Refusal::from(StorageError::Damaged {
                what: "block".to_owned(),
            }),
        ]
    }

    #[test]
    fn only_what_may_go_well_the_next_time_is_retried() {
        let only_now = only_now()
            .into_iter()
            .map(|refusal| (refusal, Code::Unavailable, 503, true));
        let for_good = for_good()
            .into_iter()
            .map(|(refusal, code, http)| (refusal, code, http, false));
        for (refusal, code, http, is_retryable) in for_good.chain(only_now) {
            let reply = reply(&refusal);
            assert_eq!(
                (reply.code, reply.http.as_u16()),
                (code, http),
                "{refusal:?}"
            );
            assert_eq!(reply.retry_after.is_some(), is_retryable, "{refusal:?}");
            let status = grpc_status(&refusal);
            assert_eq!(status.code(), code);
            assert_eq!(
                RetryInfo::delay_in(status.details()),
                reply.retry_after,
                "{refusal:?}"
            );
            let body = RpcStatus::decode(protobuf_body(&refusal).as_slice()).expect("a status");
            assert_eq!(
                (body.code, body.message),
                (code as i32, refusal.to_string())
            );
        }
    }

    #[test]
    fn a_json_status_escapes_its_message() {
        let body = json_body(&Refusal::ContentType("a\"b".to_owned()));
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["code"], 3);
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| text.contains("\"a\\\"b\"")),
            "{body}"
        );
    }
}
