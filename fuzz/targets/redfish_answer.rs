#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| slipway_drivers::redfish::fuzzing::answer(data));
