//! What must hold for any input; each target in `fuzz_targets/` is one of these.
#![forbid(unsafe_code)]

mod columns;
mod compressed;
mod configuration;
mod encoders;
mod flat;
mod one_trace;
mod query;
mod requests;
mod traces;

pub use columns::columns;
pub use compressed::decompression;
pub use configuration::config;
pub use encoders::jaeger;
pub use query::query;
pub use requests::{json, protobuf};
