//! The messages a refusal is made of, as far as they are used.

use std::time::Duration;

use prost::Message;

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

/// [google.rpc.BadRequest](https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) field_violations: Vec<FieldViolation>,
}

/// What is wrong; which field it is in is part of the text.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FieldViolation {
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}

impl BadRequest {
    pub(crate) const TYPE_URL: &str = "type.googleapis.com/google.rpc.BadRequest";

    pub(super) fn any(why: &str) -> Any {
        let violation = FieldViolation {
            description: why.to_owned(),
        };
        let bad = Self {
            field_violations: vec![violation],
        };
        Any {
            type_url: Self::TYPE_URL.to_owned(),
            value: bad.encode_to_vec(),
        }
    }
}

impl RetryInfo {
    pub(crate) const TYPE_URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

    pub(super) fn any(delay: Duration) -> Any {
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
