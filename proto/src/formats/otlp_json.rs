//! OTLP/JSON, both ways ([JSON Protobuf Encoding]).
//!
//! [JSON Protobuf Encoding]: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

mod read;
mod shape;
#[cfg(test)]
mod tests;
mod transcode;
mod write;

pub use read::{JsonError, read_export_request};
pub use write::{write_span, write_trace};
