#![no_main]
//! Any bytes as what a supervisor says to its child.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    control_protocol_fuzz::bodies::to_child(bytes);
});
