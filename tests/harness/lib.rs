//! What the end-to-end tests share: a real server, clients, drawn traces, recordings, a browser.
//!
//! Nothing here sleeps for a fixed time: [`eventually`] waits for conditions, with a deadline.

mod browser;
mod client;
pub mod corpus;
pub mod grpc;
pub mod large;
mod server;
pub mod spans;
mod wait;

pub use browser::{Browser, Medium, Script};
pub use client::{Client, Reply};
pub use server::Server;
pub use wait::{DEADLINE, eventually};
