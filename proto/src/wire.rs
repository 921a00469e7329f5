//! OTLP over the wire: export requests walked without decoding them, stored traces decoded.
//!
//! An [`ExportRequest`] keeps the bytes it came in and knows where each span lies in them, so that
//! what is stored is what was sent, unknown fields included. Where protobuf leaves a choice (a
//! message sent in two halves, a field sent twice, any order of fields) the reading is prost's.

mod by_trace;
mod decode;
mod encode;
pub(crate) mod group;
mod outline;
pub mod reader;
mod rejections;
mod request;
#[cfg(test)]
pub(crate) mod samples;
mod span;
#[cfg(test)]
mod tests;
mod warnings;

pub use by_trace::{ByTrace, TraceSpans};
pub use decode::{VALUE_DEPTH_MAX, decode_attribute, decode_outline, decode_traces, decode_value};
pub use encode::{encode_traces, to_messages};
pub use outline::ResourceOutline;
pub use rejections::{RejectReason, Rejections};
pub use request::{ExportRequest, SPREAD_BYTES_MAX};
pub use span::SpanSlice;
pub use warnings::{WarnReason, Warnings};

/// Why bytes are not a protobuf message of the expected shape. Positions count from the first byte
/// of the whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The message ends inside a field.
    #[error("message is cut off in the field at byte {at}")]
    Truncated {
        /// Where the value that is cut off begins.
        at: usize,
    },
    /// A number takes more than 64 bits.
    #[error("varint at byte {at} is longer than 64 bits")]
    Varint {
        /// Where.
        at: usize,
    },
    /// A field's tag has the number 0, a wire type that does not exist, or more than 32 bits.
    #[error("field tag {tag} at byte {at} is invalid")]
    Tag {
        /// Where.
        at: usize,
        /// The tag as sent.
        tag: u64,
    },
    /// A group ends that was not begun, or groups are nested too deep.
    #[error("group of field {field} at byte {at} is out of place")]
    Group {
        /// Where.
        at: usize,
        /// The group's field number.
        field: u32,
    },
    /// A known field is not of the type OTLP says.
    #[error("field {field} at byte {at} has wire type {found}, not {expected}")]
    WireType {
        /// Where.
        at: usize,
        /// The field's number.
        field: u32,
        /// The wire type it has.
        found: u8,
        /// The wire type it must have.
        expected: u8,
    },
    /// The message is larger than anything that may be walked.
    #[error("message of {n_bytes} bytes is over the limit of {limit_bytes}")]
    TooLarge {
        /// How large it is.
        n_bytes: usize,
        /// How large it may be.
        limit_bytes: usize,
    },
    /// Large resources or scopes are shared by very many traces.
    #[error(
        "resources and scopes take {n_bytes} bytes once each of the request's traces has its own, \
         over the limit of {limit_bytes}: send fewer traces in a request"
    )]
    Spread {
        /// How much they would take.
        n_bytes: u64,
        /// How much they may take.
        limit_bytes: u64,
    },
}
