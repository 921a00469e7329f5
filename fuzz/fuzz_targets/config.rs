//! Any text as a configuration file, and as the value of any option: never a panic, and what is
//! accepted is printed as a file that says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| longpole_fuzz::config(bytes));
