#![no_main]
//! Any bytes as a ring file.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shm_layout_fuzz::with_place(|place| place.attach(bytes));
});
