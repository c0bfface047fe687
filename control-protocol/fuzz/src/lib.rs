//! What the fuzz targets do; `control-protocol/tests/bytes.rs` does the same without a fuzzer.

pub mod bodies;
