//! Export requests from JSON.

use super::{shape, transcode};
use crate::wire::{ExportRequest, RejectReason, Rejections, WireError};

/// Why a body is no OTLP/JSON export request at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is not JSON, or not of the shape OTLP says outside of any span, resource or scope.
    #[error("body is not an OTLP/JSON export request: {0}")]
    Shape(String),
    /// As protobuf it would be refused.
    #[error(transparent)]
    Request(#[from] WireError),
}

/// Reads an export request from JSON, as if its sender had chosen protobuf. Bad spans are refused
/// one by one, and so are all spans of a bad resource or scope. `null` is the same as nothing,
/// unknown names are ignored, 64-bit numbers may be strings, enums must be numbers. Takes O(body)
/// memory.
///
/// # Errors
/// When the body is not a JSON object, or not of OTLP's shape outside of spans, resources and
/// scopes; or as [`ExportRequest::parse`].
pub fn read_export_request(json: &[u8]) -> Result<ExportRequest, JsonError> {
    let (request, n_malformed) = transcode::to_protobuf(json, &shape::REQUEST)
        .map_err(|error| JsonError::Shape(error.to_string()))?;
    let mut request = ExportRequest::parse(request.into())?;
    let mut rejections = Rejections::default();
    rejections.add(RejectReason::Malformed, n_malformed);
    request.add_rejections(&rejections);
    Ok(request)
}
