//! OTLP/JSON, both ways ([JSON Protobuf Encoding]).
//!
//! [JSON Protobuf Encoding]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

use crate::Trace;
use crate::wire::ExportRequest;

/// Why a body is no OTLP/JSON export request at all.
#[derive(Debug, thiserror::Error)]
#[error("body is not an OTLP/JSON export request: {0}")]
pub struct JsonError(String);

/// Reads an export request from JSON; bad spans are refused one by one.
///
/// # Errors
/// When the body is not JSON, or not an object with `resourceSpans`.
pub fn read_export_request(_json: &[u8]) -> Result<ExportRequest, JsonError> {
    todo!()
}

/// Writes a trace as OTLP/JSON: `{"resourceSpans":[…]}`, ids in hex, 64-bit numbers as strings.
pub fn write_trace(_trace: &Trace) -> String {
    todo!()
}
