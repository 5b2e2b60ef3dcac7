#![no_main]

#[path = "../../crates/plan/tests/targets/mod.rs"]
#[allow(dead_code)] // The other targets.
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::sites::compile(data));
