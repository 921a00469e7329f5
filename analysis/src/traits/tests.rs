//! What is told, over generated sets of requests and over traces.

mod chances;
mod differences;
mod facts;
