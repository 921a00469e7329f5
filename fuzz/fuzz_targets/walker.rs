//! Any bytes as a protobuf export request: never a panic, and what is accepted is what prost reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| longpole_fuzz::protobuf(bytes));
