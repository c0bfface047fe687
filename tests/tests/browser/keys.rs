//! Keys and buttons do what the panel's list and their titles say.

use super::judge::{clean, number, numbers};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use system_tests::near;

fn list<'a>(seen: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    seen[name].as_array().with_context(|| format!("{name} in {seen}"))
}

fn is_name_of_a_picture(name: &Value) -> bool {
    name.as_str().is_some_and(|name| name.starts_with("tympan-20") && name.ends_with(".png"))
}

#[test]
fn each_key_does_what_the_list_says() -> Result<()> {
    const HZ: f64 = 440.0;
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &[&format!("sine:{HZ}:0.125")])?;
    let seen = page.serve(&[])?.drive("keys", &json!({"lanes": 1}))?;
    clean(&seen)?;
    // Logarithmic at first; of these three the next one, and where the tone is on its axis.
    let mel = |hz: f64| (1.0 + hz / 700.0).ln();
    let expected = [
        (2, (mel(HZ) - mel(40.0)) / (mel(24_000.0) - mel(40.0))),
        (0, HZ / 24_000.0),
        (1, (HZ / 40.0).ln() / 600.0_f64.ln()),
    ];
    let scales = list(&seen, "scales")?;
    ensure!(scales.len() == expected.len(), "{seen}");
    for (one, (scale, row)) in scales.iter().zip(expected) {
        ensure!(one["scale"] == scale, "F: {scales:?}");
        near("the tone's row", number(one, "row")?, row, 0.04)?;
    }
    // Once around all colour maps: of each the pixels are its colours.
    let maps = list(&seen, "colours")?;
    for (one, map) in maps.iter().zip([1, 2, 3, 4, 0]) {
        ensure!(one["map"] == map && one["part"].as_f64() == Some(1.0), "C: {maps:?}");
    }
    ensure!(maps.len() == 5, "{seen}");
    ensure!(seen["ffts"] == json!([4_096, 8_192, 8_192, 4_096, 2_048, 1_024, 512, 512]), "[ and ]: {}", seen["ffts"]);
    ensure!(seen["themes"] == json!(["light", "dark"]), "D: {}", seen["themes"]);
    ensure!(seen["panel"] == json!([true, false, true, false, false]), "comma and Escape: {}", seen["panel"]);
    ensure!(is_name_of_a_picture(&seen["saved"]), "S: {}", seen["saved"]);
    ensure!(
        seen["paused"] == json!([0, 0, 0]) && seen["live"] == json!([null, null, null]),
        "space, Home, End: {} {}",
        seen["paused"],
        seen["live"]
    );
    ensure!(seen["others"] == json!([0, "dark", 1]), "keys that are the browser's: {}", seen["others"]);
    ensure!(seen["button"] == json!(["light", null]), "the space of a button: {}", seen["button"]);
    let moved = numbers(&seen["moved"]);
    for (moved, tenths) in moved.iter().zip([1.0, 2.0, 1.0, 2.0]) {
        near("arrows", *moved, tenths / 10.0, 0.001)?;
    }
    let zoomed = list(&seen, "zoomed")?;
    ensure!(moved.len() == 4 && zoomed.len() == 4, "{seen}");
    for (one, factor) in zoomed.iter().zip([0.7, 0.7, 1.0 / 0.7, 1.0 / 0.7]) {
        near("plus and minus", number(one, "factor")?, factor, 0.001)?;
        near("the middle", number(one, "moved")?, 0.0, 0.01)?;
    }
    Ok(())
}

#[test]
fn keys_in_a_field_are_the_fields() -> Result<()> {
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125"])?;
    let seen = page.serve(&[])?.drive("fields", &json!({"lanes": 1}))?;
    clean(&seen)?;
    // Of all that is seen only the field's own setting is another one than before.
    let mut expected = seen["before"].clone();
    for (field, setting, value, text) in [
        ("number", "hop", json!(512), json!("512")),
        ("choice", "window", json!(4), json!("4")),
        ("slider", "gainDb", json!(6), json!("6")),
        ("check", "labels", json!(false), json!("on")),
    ] {
        ensure!(seen["before"]["settings"][setting] != value, "{setting} was so before");
        expected["settings"][setting] = value;
        let mut with_text = expected.clone();
        with_text["value"] = text;
        ensure!(seen[field] == with_text, "{field}: {}, and not {with_text}", seen[field]);
    }
    expected["panel"] = json!(false);
    ensure!(seen["after"] == expected, "Escape: {}, and not {expected}", seen["after"]);
    Ok(())
}

#[test]
fn buttons_and_wheel_do_what_they_say() -> Result<()> {
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125"])?;
    let seen = page.serve(&[])?.drive("mouse", &json!({"lanes": 1}))?;
    clean(&seen)?;
    let live = json!({"back": null, "says": "Pause", "pressed": "false", "live": true});
    let paused = json!({"back": 0, "says": "Go on", "pressed": "true", "live": false});
    ensure!(seen["buttons"] == json!([live, paused, live, paused, live]), "{seen}");
    ensure!(seen["themes"] == json!(["light", "dark"]), "{seen}");
    ensure!(is_name_of_a_picture(&seen["saved"]), "{seen}");
    ensure!(seen["panel"] == json!([true, false, true, false]), "{seen}");
    let wheel = &seen["wheel"];
    for (turn, moved, factor) in [
        ("live", 0.0, 0.2_f64.exp()),
        ("liveBack", 0.0, (-0.2_f64).exp()),
        ("sideways", 120.0, 1.0),
        ("back", -50.0, 1.0),
        ("shift", 60.0, 1.0),
    ] {
        near(turn, number(&wheel[turn], "moved")?, moved, 0.01)?;
        near(turn, number(&wheel[turn], "factor")?, factor, 1e-6)?;
    }
    // A turn of the wheel is not more than 80 pixels of it; what is under the pointer stays there.
    for (turn, factor) in [("closer", (-0.32_f64).exp()), ("wider", 0.1_f64.exp())] {
        near(turn, number(&wheel[turn], "factor")?, factor, 1e-6)?;
        near(turn, number(&wheel[turn], "off")?, 0.0, 0.01)?;
    }
    for (turn, is_live) in [("live", true), ("liveBack", true), ("sideways", false), ("wider", false)] {
        ensure!(wheel[turn]["back"].is_null() == is_live, "{turn}: {wheel}");
    }
    ensure!(seen["double"] == live, "a double click goes back to now: {seen}");
    Ok(())
}
