//! OTLP over the network: receiving over gRPC and HTTP, and sending.
//!
//! The only place that knows tonic and HTTP bodies. What a request comes to is decided in
//! `ingest`; how that is said in each protocol is one table, in `reply`.

pub(crate) mod attributes;
pub(crate) mod body;
pub mod client;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod reply;

#[cfg(test)]
mod tests;
