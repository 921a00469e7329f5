//! What a refusal is called in each protocol: one table for gRPC and HTTP.
//!
//! OTLP clients retry UNAVAILABLE, 503 and the like for ever and drop everything else at once, so
//! a code decides whether spans are lost. Retryable is only what may go well the next time.

mod rpc;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{Code, Status};

use crate::ingest::{Refusal, Taken};
use rpc::{Any, BadRequest};
pub(crate) use rpc::{RetryInfo, RpcStatus};

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
            Code::Unimplemented,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
        // Retryable because of its delay; others have room.
        Refusal::TooMuchAtOnce { .. } => (
            Code::ResourceExhausted,
            StatusCode::TOO_MANY_REQUESTS,
            Some(RETRY_AFTER),
            "too_much_at_once",
        ),
        // 408 would say it better, but clients drop what it answers.
        Refusal::SlowBody { .. } => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "slow_body",
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
        Refusal::DiskFull { .. } => (
            Code::Unavailable,
            StatusCode::SERVICE_UNAVAILABLE,
            Some(RETRY_AFTER),
            "disk_full",
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

/// The answer to an export request that was taken: it says something only when not all of it was,
/// or something is odd about it. Clients log what it says.
pub(crate) fn success(taken: &Taken) -> ExportTraceServiceResponse {
    let n_rejected = taken.rejections.total();
    let messages = [taken.rejections.message(), taken.warnings.message()];
    let error_message = messages
        .iter()
        .filter(|message| !message.is_empty())
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join("; ");
    let partial = ExportTracePartialSuccess {
        rejected_spans: i64::try_from(n_rejected).unwrap_or(i64::MAX),
        error_message,
    };
    ExportTraceServiceResponse {
        partial_success: (!partial.error_message.is_empty()).then_some(partial),
    }
}

/// A refusal as a gRPC status, with `RetryInfo` when it is worth trying again and `BadRequest` when
/// the request is to blame.
pub(crate) fn grpc_status(refusal: &Refusal) -> Status {
    let status = RpcStatus::of(refusal);
    let code = Code::from_i32(status.code);
    if status.details.is_empty() {
        return Status::new(code, status.message);
    }
    let details = Bytes::from(status.encode_to_vec());
    Status::with_details(code, status.message, details)
}

/// A refusal as the body of an HTTP answer in protobuf.
pub(crate) fn protobuf_body(refusal: &Refusal) -> Vec<u8> {
    RpcStatus::of(refusal).encode_to_vec()
}

/// A refusal as the body of an HTTP answer in JSON.
pub(crate) fn json_body(refusal: &Refusal) -> Vec<u8> {
    let details: Vec<_> = details(refusal).iter().map(Detail::json).collect();
    let mut body = serde_json::json!({
        "code": reply(refusal).code as i32,
        "message": refusal.to_string(),
    });
    if !details.is_empty() {
        body["details"] = details.into();
    }
    body.to_string().into_bytes()
}

/// What a program can act on.
enum Detail {
    RetryInfo(Duration),
    BadRequest(String),
}

fn details(refusal: &Refusal) -> Vec<Detail> {
    let retry = reply(refusal).retry_after.map(Detail::RetryInfo);
    let bad = match refusal {
        Refusal::Undecodable(why) => Some(Detail::BadRequest(why.clone())),
        _ => None,
    };
    retry.into_iter().chain(bad).collect()
}

impl Detail {
    fn any(&self) -> Any {
        match self {
            Self::RetryInfo(delay) => RetryInfo::any(*delay),
            Self::BadRequest(why) => BadRequest::any(why),
        }
    }

    /// As [protobuf's JSON](https://protobuf.dev/programming-guides/json/) writes an `Any`.
    fn json(&self) -> serde_json::Value {
        match self {
            Self::RetryInfo(delay) => serde_json::json!({
                "@type": RetryInfo::TYPE_URL,
                "retryDelay": format!("{}s", delay.as_secs_f64()),
            }),
            Self::BadRequest(why) => serde_json::json!({
                "@type": BadRequest::TYPE_URL,
                "fieldViolations": [{ "description": why }],
            }),
        }
    }
}

impl RpcStatus {
    fn of(refusal: &Refusal) -> Self {
        Self {
            code: reply(refusal).code as i32,
            message: refusal.to_string(),
            details: details(refusal).iter().map(Detail::any).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
