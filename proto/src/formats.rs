//! The other shapes of a trace: JSON as OTLP has it, and as Jaeger has it.

pub mod jaeger;
pub mod otlp_json;
