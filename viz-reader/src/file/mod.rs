//! Pictures and numbers in files: `--png`, `--csv`.
//!
//! The sound passes once, however long it is; what stays in memory is the picture. A file appears when it is whole.

mod analysis;
mod canvas;
mod csv;
mod layout;
mod picture;
mod progress;
mod save;
mod source;
mod text;
mod ticks;
mod when;

pub use when::When;

use crate::cli::{Arguments, Channels, Look};
use crate::refusal::{Refusal, refuse};
use crate::rings::runtime_folder;
use analysis::{Analysis, Plan, Step};
use anyhow::{Context, Result};
use audio_dsp::{FrequencyAxis, FrequencyScale, Rows, Stft};
use canvas::Canvas;
use control_protocol::Exit;
use csv::Table;
use layout::Layout;
use picture::Picture;
use progress::Progress;
use save::Output;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use source::{About, Missing, Source, Taker};
use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// As a shell says of a program that Ctrl-C has ended.
const EXIT_ON_SIGNAL: i32 = 130;
/// Where a logarithmic axis begins.
const LOG_LOW_HZ: f64 = 20.0;

/// Draws what the command line names, and writes its numbers.
///
/// # Errors
/// When the sound or a file is not as it must be; then there is no new file.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let [name] = arguments.names.as_slice() else {
        refuse!(Usage, "one recording or ring is needed with --png or --csv, and {} are named", arguments.names.len());
    };
    let (look, files) = (&arguments.look, &arguments.files);
    if files.png == files.csv {
        refuse!(Usage, "--png and --csv name the same file");
    }
    let mut source = Source::open(name, &runtime_folder())?;
    let about = source.about().clone();
    let channels = channels_of(&about, look.channels.as_ref())?;
    let labels: Vec<String> = channels.iter().map(|&channel| about.labels[channel].clone()).collect();
    let span = source.span(files.from, files.to)?;
    let layout = Layout::new(files.size, look.view, channels.len())?;
    // Before there is a file that a signal might leave behind.
    let stop = stop_on_signals()?;
    let png = files.png.as_deref().map(Output::begin).transpose()?;
    let table = files.csv.as_deref().map(Output::begin).transpose()?;
    let fft = look.fft_frames(about.rate_hz);
    let table = table.map(|out| Table::begin(out, look.view, &about, labels.clone(), fft)).transpose()?;
    let table = table.map(RefCell::new);

    let stft = Stft::new(look.window, fft)?;
    let axis = axis_of(look, about.rate_hz, fft);
    let rows = layout.spectrograms.first().map(|area| Rows::new(axis, area.height, stft.bins(), about.rate_hz));
    // Without a picture nothing of it is computed.
    let (columns, rows) = if png.is_some() { (layout.columns, rows) } else { (0, None) };
    let (hop, step_every) = hop_and_steps(look, fft, span.frames(), columns);
    // What lies around a part of a sound belongs into the transforms at its ends: cut off there, it would click.
    let (lead, read_to) = span.around(fft / 2);
    let plan = Plan {
        from: span.from,
        frames: span.frames(),
        lead,
        beyond: span.beyond,
        channels,
        hop,
        step_every,
        columns,
        rows,
    };
    let each = |step: &Step<'_>| {
        if stop.load(Ordering::Relaxed) {
            refuse!(Incomplete, "{}: stopped; no file was written", about.name);
        }
        table.as_ref().map_or(Ok(()), |table| table.borrow_mut().step(step))
    };
    let mut analysis = Analysis::new(plan, stft, each);
    let mut watched = Watched { analysis: &mut analysis, progress: Progress::new(&about.name) };
    let fault = source.read((span.from - lead as u64, read_to), &mut watched)?;
    drop(watched);
    analysis.finish()?;

    let picture = Picture { about: &about, look, analysis: &analysis, layout: &layout, axis, labels: &labels };
    if let Some(out) = png {
        save(&picture.draw()?, &about, out)?;
    }
    let missing = picture.missing();
    for channel in 0..labels.len() {
        if let Some(table) = &table {
            let (mean, greatest) = (analysis.mean_levels(channel), analysis.greatest_levels(channel));
            table.borrow_mut().spectrum(channel, &mean, &greatest)?;
        }
    }
    drop(analysis);
    table.map_or(Ok(()), |table| table.into_inner().finish())?;
    if !missing.is_empty() {
        tell(&format!("{}: {missing}", about.name));
    }
    if let Some(fault) = &fault {
        tell(&fault.reason);
    }
    Ok(fault.map_or(Exit::Clean, |fault| fault.exit))
}

/// A line on standard error; who cannot be told need not be.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "tympan: {text}");
}

fn channels_of(about: &About, wished: Option<&Channels>) -> Result<Vec<usize>, Refusal> {
    let count = about.labels.len();
    let Some(Channels(wished)) = wished else { return Ok((0..count).collect()) };
    match wished.iter().find(|&&channel| channel >= count) {
        Some(channel) => {
            let has = if count == 1 { "1 channel".to_owned() } else { format!("{count} channels") };
            Err(crate::refusal::refusal!(Usage, "{} has {has}, and no channel {}", about.name, channel + 1))
        }
        None => Ok(wished.clone()),
    }
}

/// From the lowest frequency that is worth its room to half the rate.
fn axis_of(look: &Look, rate_hz: u32, fft: usize) -> FrequencyAxis {
    let high_hz = f64::from(rate_hz) / 2.0;
    // Below the first bin there is nothing to be seen.
    let first_bin = f64::from(rate_hz) / fft as f64;
    let low_hz = match look.scale {
        FrequencyScale::Log => LOG_LOW_HZ.max(first_bin).min(high_hz / 4.0),
        FrequencyScale::Linear | FrequencyScale::Mel => 0.0,
    };
    FrequencyAxis { scale: look.scale, low_hz, high_hz }
}

/// Frames from one transform to the next, and how many of them are a step of the table. A picture of little sound has
/// columns that are narrower than a step, and each gets a transform of its own; the numbers are the same with it.
fn hop_and_steps(look: &Look, fft: usize, frames: u64, columns: usize) -> (u64, u64) {
    let step = look.hop_frames(fft);
    if look.hop.is_some() || columns == 0 {
        return (step, 1);
    }
    let mut every = 1;
    while step / every > 1 && step / every * columns as u64 > frames {
        every *= 2;
    }
    (step / every, every)
}

fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the second signal finds the flag set.
        signal_hook::flag::register_conditional_shutdown(signal, EXIT_ON_SIGNAL, Arc::clone(&stop))
            .context("cannot watch signals")?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot watch signals")?;
    }
    Ok(stop)
}

/// Hands the sound on, and tells how far it is.
struct Watched<'a, F> {
    analysis: &'a mut Analysis<F>,
    progress: Progress,
}

impl<F: FnMut(&Step<'_>) -> Result<()>> Taker for Watched<'_, F> {
    fn sound(&mut self, planar: &[&[f32]]) -> Result<()> {
        self.progress.at(self.analysis.part());
        self.analysis.sound(planar)
    }

    fn missing(&mut self, frames: u64, why: Missing) -> Result<()> {
        self.progress.at(self.analysis.part());
        self.analysis.missing(frames, why)
    }
}

fn save(canvas: &Canvas, about: &About, mut out: Output) -> Result<()> {
    let (width, height) = (u32::try_from(canvas.width())?, u32::try_from(canvas.height())?);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.add_itxt_chunk("Title".into(), about.name.clone())?;
    encoder.add_text_chunk("Software".into(), concat!("Tympan ", env!("CARGO_PKG_VERSION")).into())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(canvas.rgb())?;
    writer.finish()?;
    out.put(&bytes)?;
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn every_column_of_a_picture_has_a_transform() {
        let look = |more: &[&str]| Arguments::parse_from([&["viz", "a.wav"], more].concat()).look;
        for frames in [1, 500, 16_000, 113_600, 1_000_000] {
            for fft in [64, 512, 8_192] {
                let (hop, every) = hop_and_steps(&look(&[]), fft, frames, 1_374);
                assert_eq!(hop * every, fft as u64 / 4);
                assert!(hop == 1 || hop * 1_374 <= frames, "{frames} frames of {fft}: {hop}");
                assert!(every == 1 || hop * 2 * 1_374 > frames, "no more than are seen: {frames} of {fft}: {hop}");
            }
        }
        assert_eq!(hop_and_steps(&look(&[]), 512, 16_000, 0), (128, 1), "a table alone");
        assert_eq!(hop_and_steps(&look(&["--hop", "300"]), 512, 16_000, 1_374), (300, 1), "as it is wished");
    }
}
