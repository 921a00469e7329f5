//! The other shapes of a trace: JSON as OTLP has it, and as Jaeger has it.

pub mod jaeger;
pub mod otlp_json;

/// The name protobuf's JSON has for a number that JSON has not.
fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
