//! What was set is forgotten where that is wished.

use super::judge::{clean, number};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::json;

#[test]
fn all_settings_are_as_at_first_again() -> Result<()> {
    let others = json!({"fft": 4_096, "hop": 300, "window": 5, "show": "wave", "colours": 4, "scale": 0, "speed": 240,
        "lowDb": -60, "highDb": 5, "gainDb": 12, "labels": false});
    let page = Page::new()?;
    let _pair = Writer::start(&page, "pair", &["sine:440:0.125", "click"])?;
    // At first it is as the command line wishes.
    let seen = page.serve(&["--fft", "1024"])?.drive("reset", &json!({"lanes": 2, "others": others}))?;
    clean(&seen)?;
    let first = &seen["first"];
    ensure!(first["settings"]["fft"] == 1_024 && first["kept"] == 0, "{first}");
    let settings = first["settings"].as_object().context("settings")?;
    for (name, value) in settings {
        ensure!(seen["changed"][name] != *value, "{name} was not changed: {}", seen["changed"]);
        let wished = others.get(name).is_none_or(|wished| seen["changed"][name] == *wished);
        ensure!(wished, "{name} is not as it was set: {}", seen["changed"]);
    }
    // Theme and channels have no fields of their own.
    ensure!(settings.len() == others.as_object().context("others")?.len() + 2, "{first}");
    ensure!((number(first, "pixelsPerSecond")? - 120.0).abs() < 1e-9, "{first}");
    ensure!(seen["again"] == *first, "{}, and not {first}", seen["again"]);
    ensure!(seen["reloaded"] == *first, "{}, and not {first}", seen["reloaded"]);
    Ok(())
}
