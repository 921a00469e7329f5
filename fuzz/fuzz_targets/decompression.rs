//! Any bytes as a compressed body: never a panic, never more than the limit, and what flate2 and zstd
//! make of them without one.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| longpole_fuzz::decompression(bytes));
