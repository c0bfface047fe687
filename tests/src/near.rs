//! Numbers that are measured, and may be off.

use anyhow::{Result, ensure};

/// A number is what it should be, or off by so much at the most.
///
/// # Errors
/// When it is not; says what it is instead.
pub fn near(what: &str, actual: f64, expected: f64, off: f64) -> Result<()> {
    ensure!((actual - expected).abs() <= off, "{what}: {actual} instead of {expected}");
    Ok(())
}
