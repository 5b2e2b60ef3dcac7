#![no_main]

#[path = "../../crates/ipmi/tests/targets/mod.rs"]
#[allow(dead_code)] // The other targets.
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::session::set_up(data));
