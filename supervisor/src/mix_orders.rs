//! `tympan mix set` and `show`: the mixer of the running instance.

use crate::cli::MixCommand;
use crate::control;
use crate::mix_wish::MixWish;
use crate::output::{columns, print, print_json, table};
use crate::paths::Folders;
use crate::refusal::refuse;
use crate::settings::Settings;
use anyhow::Result;
use control_protocol::StreamName;
use serde_json::{Value, json};

/// Carries out one of them. What is set is on its way to the mix when the instance answers.
///
/// # Errors
/// When a setting is none, no instance runs here, or it has no such stream.
pub(crate) fn mix(command: &MixCommand, settings: &Settings) -> Result<()> {
    match command {
        MixCommand::Set { name, changes } => {
            let wish = match MixWish::parse(changes.iter().map(String::as_str)) {
                Ok(wish) => wish,
                Err(text) => refuse!(Usage, "{text}"),
            };
            if let Ok(known) = StreamName::new(name.as_str())
                && let Err(text) = wish.check(&known)
            {
                refuse!(Usage, "{text}");
            }
            let socket = Folders::of_running(settings)?.socket();
            let answer = control::ask(&socket, &json!({"command": "mix_set", "stream": name, "wish": wish}))?;
            print(&shown(&answer["mix"]))
        }
        MixCommand::Show(args) => {
            let socket = Folders::of_running(settings)?.socket();
            let answer = control::ask(&socket, &json!({"command": "mix_show"}))?;
            if args.json { print_json(&answer["mix"]) } else { print(&shown(&answer["mix"])) }
        }
    }
}

fn shown(mix: &Value) -> String {
    let decibels = |value: &Value| value.as_f64().map_or_else(|| "-inf dB".to_owned(), |db| format!("{db:.1} dB"));
    let switch = |value: &Value| if value == true { "on" } else { "-" }.to_owned();
    let row = |strip: &Value| {
        let name = strip["stream"].as_str().unwrap_or_default().to_owned();
        let pan = strip["pan"].as_f64().map_or_else(String::new, |pan| format!("{pan:+.2}"));
        let heard = if strip["heard"] == true { "yes" } else { "no" }.to_owned();
        let processing = strip["processing"].as_str().unwrap_or("-").to_owned();
        [name, decibels(&strip["gain_db"]), pan, switch(&strip["mute"]), switch(&strip["solo"]), heard, processing]
    };
    let rows: Vec<_> = mix["strips"].as_array().into_iter().flatten().map(row).collect();
    let master = &mix["master"];
    let mut text = table(["stream", "gain", "pan", "mute", "solo", "heard", "processing"], &rows, columns());
    for strip in mix["strips"].as_array().into_iter().flatten() {
        if let (Some(name), Some(frames @ 1..)) = (strip["stream"].as_str(), strip["unprocessed_frames"].as_u64()) {
            text.push_str(&format!("{name}: {frames} frames were not processed in time and are silent in the mix\n"));
        }
    }
    format!("{text}mix: gain {}, ceiling {}\n", decibels(&master["gain_db"]), decibels(&master["ceiling_db"]))
}
