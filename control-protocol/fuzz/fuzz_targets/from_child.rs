#![no_main]
//! Any bytes as what a child says to its supervisor.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    control_protocol_fuzz::bodies::from_child(bytes);
});
