//! `tympan viz --web`, looked at with a real browser: known signals are where they must be, controls do what they say,
//! what is missing is shown as missing, and strangers stay outside.

#[path = "web/http.rs"]
mod http;
mod web;

#[path = "browser/agreement.rs"]
mod agreement;
#[path = "browser/away.rs"]
mod away;
#[path = "browser/controls.rs"]
mod controls;
#[path = "browser/judge.rs"]
mod judge;
#[path = "browser/keys.rs"]
mod keys;
#[path = "browser/looks.rs"]
mod looks;
#[path = "browser/loudness.rs"]
mod loudness;
#[path = "browser/memory.rs"]
mod memory;
#[path = "browser/module.rs"]
mod module;
#[path = "browser/pace.rs"]
mod pace;
#[path = "browser/picture_settings.rs"]
mod picture_settings;
#[path = "browser/reset.rs"]
mod reset;
#[path = "browser/rings.rs"]
mod rings;
#[path = "browser/saved.rs"]
mod saved;
#[path = "browser/signals.rs"]
mod signals;
#[path = "browser/sound.rs"]
mod sound;
#[path = "browser/strangers.rs"]
mod strangers;
#[path = "browser/words.rs"]
mod words;
