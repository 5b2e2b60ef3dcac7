#![no_main]

#[path = "../../crates/plan/tests/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (_, target) = targets::TARGETS.iter().find(|(name, _)| *name == "design_compile").expect("a target of this name");
    target(data);
});
