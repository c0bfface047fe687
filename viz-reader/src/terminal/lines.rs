//! Levels in lines: where nothing can be drawn, or a program reads.

use super::app::App;
use super::draw::meters::{dbfs, decibels};
use super::guard::Asked;
use super::session::Session;
use super::spectrum::Peak;
use crate::refusal::refuse;
use anyhow::Result;
use control_protocol::Exit;
use serde_json::{Value, json};
use shm_layout::RingState;
use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

/// A line for each stream so often.
const EVERY: Duration = Duration::from_secs(1);
/// How often rings are read meanwhile: far more often than one is overwritten.
const READ_EVERY: Duration = Duration::from_millis(50);
/// Rings that have ended may have successors; so long is waited for them.
const AFTER_END: Duration = Duration::from_secs(3);

/// What a line says of a stream.
struct Line<'a> {
    app: &'a App,
    stream: usize,
    channels: &'a [usize],
    peaks: &'a [Option<Peak>],
}

/// Prints until it is ended, standard output is closed, or all rings have ended.
pub(super) fn run(mut session: Session, as_json: bool, asked: &Asked) -> Result<Exit> {
    let mut due = Instant::now() + EVERY;
    let mut alive_at = Instant::now();
    while !asked.is_over() {
        session.read(Instant::now() + READ_EVERY);
        if session.app.streams.iter().any(|stream| stream.state == RingState::Live) {
            alive_at = Instant::now();
        }
        let ended = alive_at.elapsed() >= AFTER_END;
        if Instant::now() >= due || ended {
            due += EVERY;
            session.show();
            if !print(&mut session.app, as_json)? {
                return Ok(Exit::Clean);
            }
        }
        if ended {
            return Ok(Exit::Clean);
        }
        std::thread::sleep(READ_EVERY.min(due.saturating_duration_since(Instant::now())));
    }
    Ok(Exit::Clean)
}

/// Whether there is still somebody who reads.
fn print(app: &mut App, as_json: bool) -> Result<bool> {
    let lanes = app.lanes();
    let mut out = String::new();
    for stream in 0..app.streams.len() {
        let channels: Vec<usize> = lanes.iter().filter(|lane| lane.0 == stream).map(|lane| lane.1).collect();
        let peaks: Vec<Option<Peak>> = channels.iter().map(|&channel| peak(app, stream, channel)).collect();
        let line = Line { app, stream, channels: &channels, peaks: &peaks };
        out.push_str(&if as_json { line.json().to_string() } else { line.text() });
        out.push('\n');
    }
    let mut stdout = std::io::stdout();
    match stdout.write_all(out.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => refuse!(Fault, "standard output takes nothing: {e}"),
    }
}

fn peak(app: &mut App, stream: usize, channel: usize) -> Option<Peak> {
    let low_hz = app.axis(app.streams[stream].shape.sample_rate_hz).low_hz.max(10.0);
    let own = &mut app.streams[stream];
    let spectrum = &mut own.channels[channel].spectrum;
    spectrum.take(&own.store, channel, own.store.end(), &mut app.stft);
    let peak = spectrum.peak(low_hz, own.shape.sample_rate_hz, &app.lobe);
    peak.filter(|peak| spectrum.whole && peak.level_db > super::draw::spectrum::PEAK_DB_MIN)
}

const fn state_name(state: RingState) -> &'static str {
    match state {
        RingState::Live => "live",
        RingState::Closed => "closed",
        RingState::Crashed => "crashed",
    }
}

impl Line<'_> {
    fn text(&self) -> String {
        let own = &self.app.streams[self.stream];
        let mut parts = vec![format!("{} at {:.1} s", harmless(&own.name), own.seconds(own.store.end()))];
        for (&channel, peak) in self.channels.iter().zip(self.peaks) {
            let reading = &own.readings[channel];
            let label = if own.shape.channels == 1 { String::new() } else { format!("{}: ", own.shape.label(channel)) };
            let levels = format!("peak {} rms {} dBFS", decibels(reading.peak), decibels(reading.rms));
            let tone = peak.map(|peak| format!(" {:.1} Hz {:.1} dBFS", peak.hz, peak.level_db)).unwrap_or_default();
            parts.push(format!("{}{levels}{tone}", harmless(&label)));
        }
        if own.gaps.times > 0 {
            parts.push(format!("{} gaps {:.2} s", own.gaps.times, own.seconds(own.gaps.frames)));
        }
        if own.lost.times > 0 {
            parts.push(format!("{} losses {:.2} s", own.lost.times, own.seconds(own.lost.frames)));
        }
        if own.replaced > 0 {
            parts.push(format!("replaced {}", own.replaced));
        }
        if own.state != RingState::Live {
            parts.push(state_name(own.state).to_owned());
        } else if let Some(still) = own.still() {
            parts.push(format!("no frames for {} s", still.as_secs()));
        }
        parts.join(" | ")
    }

    fn json(&self) -> Value {
        let own = &self.app.streams[self.stream];
        let level = |level: f32| rounded(f64::from(dbfs(level)));
        let channel = |(&channel, peak): (&usize, &Option<Peak>)| {
            let reading = &own.readings[channel];
            json!({
                "channel": channel + 1, "label": own.shape.label(channel),
                "peak_dbfs": level(reading.peak), "rms_dbfs": level(reading.rms),
                "held_peak_dbfs": level(reading.held_peak), "clips": reading.clips,
                "tone_hz": peak.map(|peak| rounded(peak.hz)),
                "tone_dbfs": peak.map(|peak| rounded(f64::from(peak.level_db))),
            })
        };
        json!({
            "event": "levels", "stream": own.name, "state": state_name(own.state),
            "to_frame": own.store.end(), "sample_rate_hz": own.shape.sample_rate_hz,
            "channels": self.channels.iter().zip(self.peaks).map(channel).collect::<Vec<_>>(),
            "gaps": own.gaps.times, "gap_frames": own.gaps.frames,
            "losses": own.lost.times, "lost_frames": own.lost.frames, "replaced": own.replaced,
        })
    }
}

/// Two digits behind the point; null where it is minus infinity.
fn rounded(value: f64) -> Value {
    if value.is_finite() { json!((value * 100.0).round() / 100.0) } else { Value::Null }
}

/// Without characters that a terminal would obey.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
