//! Any trace written as Jaeger has it, and asked for as columns: never a panic, and what a reader makes
//! of either is what the trace and its analysis say.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    longpole_fuzz::jaeger(bytes);
    longpole_fuzz::columns(bytes);
});
