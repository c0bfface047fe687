//! `tympan devices`: the inputs that the sound libraries know, asked in a process of its own.

use crate::cli::DevicesArgs;
use crate::oneshot::ask_program;
use crate::output::{columns, print, print_json, table};
use crate::siblings::Siblings;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the sound libraries may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// An input, as the engine tells it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    /// The sound system.
    pub host: String,
    /// What `device:ID` takes.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether `device:` means this one, and it works.
    pub default: bool,
    /// `microphone`, `monitor`, `plugin` or `other`.
    pub kind: String,
    /// Whether the sound server has muted it, where it knows.
    pub muted: Option<bool>,
    default_sample_rate_hz: u32,
    channels: u16,
    sample_rates: [u32; 2],
    formats: Vec<String>,
}

/// Asks for the inputs.
///
/// # Errors
/// When the sound libraries do not answer.
pub(crate) fn ask(siblings: &Siblings, all: bool) -> Result<Vec<Device>> {
    let args: &[&str] = if all { &["devices", "--all"] } else { &["devices"] };
    ask_program(&siblings.engine, args, PATIENCE)
}

/// Shows the inputs.
///
/// # Errors
/// When the sound libraries do not answer.
pub(crate) fn devices(args: &DevicesArgs) -> Result<()> {
    let devices = ask(&Siblings::find()?, args.all)?;
    if args.json {
        return print_json(&devices);
    }
    if devices.is_empty() {
        eprintln!("tympan: no input device; `tympan doctor` says why. `tympan run demo:` works without one");
        return Ok(());
    }
    let rows: Vec<_> = devices.iter().map(row).collect();
    print(&table(["  input", "name", "rates", "channels", "formats", "host"], &rows, columns()))
}

fn row(device: &Device) -> [String; 6] {
    let kind = if device.kind == "microphone" { String::new() } else { format!(" ({})", device.kind) };
    let muted = if device.muted == Some(true) { " (muted)" } else { "" };
    [
        format!("{}device:{}", if device.default { "* " } else { "  " }, device.id),
        format!("{}{kind}{muted}", device.name),
        rates(device.sample_rates),
        device.channels.to_string(),
        device.formats.join(" "),
        device.host.clone(),
    ]
}

/// A range of rates in kHz.
fn rates([min_hz, max_hz]: [u32; 2]) -> String {
    let khz = |hz: u32| f64::from(hz) / 1_000.0;
    if min_hz == max_hz { format!("{} kHz", khz(min_hz)) } else { format!("{}-{} kHz", khz(min_hz), khz(max_hz)) }
}

#[cfg(test)]
mod tests {
    use super::rates;

    #[test]
    fn rates_are_read_in_kilohertz() {
        assert_eq!(rates([44_100, 44_100]), "44.1 kHz");
        assert_eq!(rates([8_000, 192_000]), "8-192 kHz");
    }
}
