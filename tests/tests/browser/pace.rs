//! A page that has too little of the processor draws more coarsely, and finely again.

use super::away::{nothing_is_hidden, until_lost_ms};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

#[test]
fn a_slow_browser_gets_coarser_pictures_and_fine_ones_again() -> Result<()> {
    const SIGNALS: [&str; 8] =
        ["noise:0.3", "noise:0.3", "noise:0.3", "noise:0.3", "noise:0.3", "noise:0.3", "noise:0.3", "click"];
    const RATE_HZ: u32 = 192_000;
    let page = Page::new()?;
    let writer = Writer::start_at(&page, "many", (RATE_HZ, 10), &SIGNALS)?;
    let server = page.serve(&["--fft", "8192", "--hop", "2048"])?;
    let stop_ms = until_lost_ms(SIGNALS.len(), RATE_HZ)?;
    let seen = server.drive(
        "throttled",
        &json!({"lanes": SIGNALS.len(), "stopMs": stop_ms, "beganS": writer.began_s()?, "own": true}),
    )?;
    ensure!(seen["coarse"]["quality"].as_u64() > Some(0) || seen["coarse"]["scale"].as_u64() > Some(1), "{seen}");
    ensure!(seen["again"] == json!({"fft": 8_192, "hop": 2_048}), "{seen}");
    // Coarser, and nothing is hidden by it: nothing keeps what a page missed that stood still for so long.
    let lost = nothing_is_hidden(&seen, RATE_HZ)?;
    ensure!(lost >= u64::from(RATE_HZ), "it was told of {lost} lost frames: {seen}");
    Ok(())
}

#[test]
fn coarser_transforms_overlap_as_is_wished() -> Result<()> {
    let page = Page::new()?;
    let seen = page.serve(&[])?.drive("steps", &json!({}))?;
    let all = seen.as_array().context("steps")?;
    ensure!(all.len() == 125, "{seen}");
    for one in all {
        let number = |value: &Value| value.as_f64().with_context(|| one.to_string());
        let wished = number(&one["hop"])? / number(&one["fft"])?;
        let computed = number(&one["computed"]["hop"])? / number(&one["computed"]["fft"])?;
        // A click between two transforms that do not overlap is in neither.
        ensure!(computed <= wished.max(0.5), "{one}");
        ensure!(number(&one["computed"]["fft"])? <= number(&one["fft"])?, "{one}");
    }
    Ok(())
}
