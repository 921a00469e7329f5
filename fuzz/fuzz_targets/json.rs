//! Any bytes as an OTLP/JSON export request: never a panic, and what is accepted is what prost
//! reads of its protobuf, and comes back from the JSON that longpole writes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| longpole_fuzz::json(bytes));
