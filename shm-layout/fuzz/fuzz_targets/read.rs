#![no_main]
//! A ring whose words are anything, also while it is read.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    shm_layout_fuzz::with_place(|place| place.read(bytes));
});
