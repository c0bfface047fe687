//! Each control does what it says.

use super::judge::{clean, number, numbers};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Five channels of one ring.
const KNOWN: [&str; 5] = ["sine:440:0.125", "chirp:100:12000:0.4", "click", "silence", "noise:0.25"];

#[test]
fn each_control_does_what_it_says() -> Result<()> {
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &KNOWN)?;
    let png = page.folder().join("seen.png");
    let seen = page.serve(&[])?.drive("controls", &json!({"lanes": KNOWN.len(), "png": png}))?;
    clean(&seen)?;
    for (place, palette) in seen["palettes"].as_array().context("palettes")?.iter().enumerate() {
        ensure!(palette["part"].as_f64() == Some(1.0), "map {place}: pixels of other colours: {palette}");
    }
    let darkest: Vec<&Value> = (0..5).map(|map| &seen["palettes"][map]["first"]).collect();
    ensure!(darkest[0] == &json!([0x44, 0x01, 0x54]) && darkest[4] == &json!([0, 0, 0]), "{darkest:?}");
    let rows = numbers(&seen["rows"]);
    let mel = |hz: f64| (1.0 + hz / 700.0).ln();
    let expected = [
        440.0 / 24_000.0,
        (440.0_f64 / 40.0).ln() / 600.0_f64.ln(),
        (mel(440.0) - mel(40.0)) / (mel(24_000.0) - mel(40.0)),
    ];
    for (actual, expected) in rows.iter().zip(expected) {
        ensure!((actual - expected).abs() < 0.04, "{rows:?}, and not {expected:?}");
    }
    ensure!(rows.len() == 3);
    let number = |name: &str| number(&seen, name);
    ensure!(number("lightLow")? > number("lightHigh")? + 5.0, "a lower floor is brighter: {seen}");
    ensure!(
        number("arrow")? > 0.5 && (number("dragged")? - number("dragExpected")?).abs() < 0.3 * number("dragExpected")?,
        "{seen}"
    );
    ensure!((number("zoomed")? - 0.7).abs() < 0.01 && number("deep")? > 0.0, "{seen}");
    // The history grows while it is pointed at; its edges are elsewhere.
    ensure!(number("scrubExpected")? > 0.5, "{seen}");
    ensure!((number("scrubbed")? - number("scrubExpected")?).abs() < 1.5, "{seen}");
    ensure!(seen["still"]["end"] == 0.0, "a pause that goes on: {}", seen["still"]);
    for (name, value) in [
        ("panel", json!(true)),
        ("closed", json!(true)),
        ("live", json!(true)),
        ("stoodStill", json!(true)),
        ("focus", json!("open-settings")),
        ("theme", json!("light")),
    ] {
        ensure!(seen[name] == value, "{name}: {}", seen[name]);
    }
    ensure!(seen["cursor"].as_str().is_some_and(|text| text.contains(':')), "{}", seen["cursor"]);
    ensure!(
        (seen["kept"].as_u64(), seen["reset"].as_u64()) == (Some(3), Some(0)),
        "kept {}, reset {}",
        seen["kept"],
        seen["reset"]
    );
    let bytes = std::fs::read(&png)?;
    let size = |at: usize| bytes.get(at..at + 4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
    ensure!(
        bytes.starts_with(b"\x89PNG\r\n\x1a\n") && size(16) == Some(1_280) && size(20).is_some_and(|h| h > 700),
        "no PNG of the page"
    );
    Ok(())
}

#[test]
fn it_is_as_dark_as_the_system_until_somebody_chooses() -> Result<()> {
    const DARK: &str = "rgb(11, 13, 19)";
    const LIGHT: &str = "rgb(251, 251, 253)";
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125"])?;
    let seen = page.serve(&[])?.drive("theme", &json!({"lanes": 1}))?;
    clean(&seen)?;
    let (dark, light) = (json!(["dark", DARK]), json!(["light", LIGHT]));
    let followed = json!([["dark", dark], ["light", light], ["dark", dark], ["light", light]]);
    ensure!(seen["seen"] == followed, "{seen}");
    // Dark was chosen where the system is light, and stays whatever it becomes, and when the page is opened again.
    ensure!(seen["chosen"] == json!([dark, dark, dark, dark]), "{seen}");
    ensure!(seen["again"] == json!([light, dark]), "as at first it follows the system: {seen}");
    Ok(())
}

#[test]
fn a_phone_and_a_screen_reader_reach_all_of_it() -> Result<()> {
    let roles = [
        ("button", "Pause"),
        ("button", "Back to now"),
        ("button", "PNG"),
        ("button", "Dark or light"),
        ("button", "Settings"),
        ("slider", "Place in the history"),
        ("img", "Level meters"),
        ("group", "Words"),
        ("region", "Waveforms and spectrograms"),
    ];
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125"])?;
    let seen = page.serve(&[])?.drive("phone", &json!({"lanes": 1, "roles": roles}))?;
    clean(&seen)?;
    // A finger over 90 pixels; two, from 50 pixels apart to 150.
    ensure!((number(&seen, "pannedPixels")? - 90.0).abs() < 9.0, "{seen}");
    ensure!((number(&seen, "zoomed")? - 1.0 / 3.0).abs() < 0.04, "{seen}");
    ensure!(number(&seen["panel"], "width")? <= 375.0 && number(&seen, "overflow")? <= 0.0, "{seen}");
    for (role, name) in roles {
        ensure!(seen["roles"][format!("{role} {name}")].as_u64() >= Some(1), "no {role} \"{name}\": {seen}");
    }
    Ok(())
}
