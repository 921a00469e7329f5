//! Any text as a query, with a caret anywhere in it: never a panic, what is read is written so that it is
//! read back, and what may stand at the caret fits there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| longpole_fuzz::query(bytes));
