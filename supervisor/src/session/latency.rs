//! How long sound is on its way, as the engine tells it, and the probe that holds it against an impulse.
//!
//! The probe is a source like any other to the engine, and none to anybody else: it is muted in the mix before it comes,
//! nobody listens to it, and it goes by itself. An output without hardware plays it, and says when it does.

use super::{Part, Phase, Session};
use crate::refusal::{Refusal, refusal};
use control_protocol::{ClockKind, Delays, OutputFigures, OutputSpec, SourceSpec, StreamName, Strip, ToEngine};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A device that is resampled, as most are.
const PROBE_URI: &str = "virtual:impulse?drift_ppm=50";
/// An output that is resampled, as those are that do not lead, and its number in the engine.
const PROBE_DEVICE: &str = "virtual:?channels=1&drift_ppm=-50&listen=1";
pub(super) const PROBE_OUTPUT: u32 = 1;
/// How long a probe is there: six impulses, and what it takes to open it.
const PROBE_FOR: Duration = Duration::from_secs(4);
/// More impulses than there are in that time.
const IMPULSES_MAX: usize = 64;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Latency {
    delays: BTreeMap<StreamName, Delays>,
    probe: Option<Probe>,
}

#[derive(Debug)]
struct Probe {
    stream: StreamName,
    ends: Instant,
    /// The engine was told to let it go.
    leaving: bool,
    /// Why it could not come.
    failure: Option<String>,
    impulses_ns: Vec<u64>,
    /// How long its output takes, once that is known, and when it has played impulses.
    output_us: Option<u64>,
    played_ns: Vec<u64>,
}

impl Latency {
    pub(super) fn told(&mut self, stream: StreamName, delays: Delays) {
        self.delays.insert(stream, delays);
    }

    pub(super) fn impulse(&mut self, stream: &StreamName, at_ns: u64) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.stream == *stream)
            && probe.impulses_ns.len() < IMPULSES_MAX
        {
            probe.impulses_ns.push(at_ns);
        }
    }

    /// The probe's output has played an impulse.
    pub(super) fn played(&mut self, at_ns: u64) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.played_ns.len() < IMPULSES_MAX) {
            probe.played_ns.push(at_ns);
        }
    }

    /// How the probe's output does.
    pub(super) fn plays(&mut self, figures: OutputFigures) {
        if let Some(probe) = self.probe.as_mut().filter(|_| figures.delay_us > 0) {
            probe.output_us = Some(figures.delay_us);
        }
    }

    /// This source is no more.
    pub(super) fn forget(&mut self, stream: &StreamName) {
        self.delays.remove(stream);
    }

    /// The engine is gone, and all of its sources.
    pub(super) fn clear(&mut self) {
        self.delays.clear();
        self.probe = None;
    }
}

impl Session<'_> {
    /// The stages of every stream's way.
    pub(super) fn latency(&self) -> Value {
        let rate = self.plan.sample_rate_hz;
        let row = |name: &StreamName| {
            let mut row = stages(self.latency.delays.get(name), rate);
            row["stream"] = json!(name);
            row
        };
        let listed = self.listed().map(|(name, stream)| {
            let mut row = row(name);
            row["live"] = json!(stream.live);
            let committed = self.rings.of(name).map(shm_layout::RingWarden::commit);
            let listener = committed.map(|commit| commit.since(stream.position)).filter(|_| !stream.finished);
            row["listener_ms"] = json!(listener.map(|frames| frames as f64 * 1e3 / f64::from(rate)));
            row
        });
        let probe = self.latency.probe.as_ref().map(|probe| {
            let mut row = row(&probe.stream);
            row["reason"] = json!(probe.failure);
            row["impulses_ns"] = json!(probe.impulses_ns);
            let way = self.latency.delays.get(&probe.stream).zip(probe.output_us);
            let out_us = way.map(|(delays, output_us)| out_us(delays, output_us));
            row["output_ms"] = json!(probe.output_us.map(|us| us as f64 / 1e3));
            row["out_ms"] = json!(out_us.map(|us| us as f64 / 1e3));
            row["played_ns"] = json!(probe.played_ns);
            row
        });
        json!({
            "sample_rate_hz": rate, "block_frames": self.block_frames(), "leader": self.leader,
            "streams": listed.collect::<Vec<_>>(), "probe": probe,
        })
    }

    /// Sends a probe on its way.
    ///
    /// # Errors
    /// When there is one, or it could not come.
    pub(super) fn send_probe(&mut self) -> Result<Value, Refusal> {
        self.is_running().map_err(|text| refusal!(Refused, "{text}"))?;
        if self.plan.clock == ClockKind::Virtual {
            return Err(refusal!(Refused, "this run is as fast as it goes (--fast): there is no latency in it"));
        }
        if self.latency.probe.as_ref().is_some_and(|probe| probe.failure.is_none()) {
            return Err(refusal!(Refused, "a probe is on its way already; try again in some seconds"));
        }
        if !self.is_ready(Part::Engine) {
            return Err(refusal!(Refused, "the engine is being started; try again in a moment"));
        }
        let names = (1..).map(|n| if n == 1 { "probe".to_owned() } else { format!("probe-{n}") });
        let mut free = names.filter_map(|name| StreamName::new(name).ok());
        let Some(stream) = free.find(|name| !self.streams.contains_key(name)) else {
            return Err(refusal!(Fault, "no name is free for a probe"));
        };
        let epoch = self.rings.next_epoch();
        self.tell_epoch(&stream, epoch);
        let strip = Strip { mute: true, ..Strip::default() };
        self.tell_engine(ToEngine::SetStrip { stream: stream.clone(), strip });
        let spec = SourceSpec { stream: stream.clone(), uri: PROBE_URI.into(), resume_frames: 0 };
        self.tell_engine(ToEngine::AddSource(spec));
        // No wish of anybody's has this number.
        let output = OutputSpec {
            number: PROBE_OUTPUT,
            wish: 0,
            device: PROBE_DEVICE.into(),
            stream: stream.clone(),
            keep_trying: false,
        };
        self.tell_engine(ToEngine::SetOutput(output));
        let answer = json!({"ok": true, "stream": stream});
        self.latency.delays.remove(&stream);
        self.latency.probe = Some(Probe {
            stream,
            ends: Instant::now() + PROBE_FOR,
            leaving: false,
            failure: None,
            impulses_ns: Vec::new(),
            output_us: None,
            played_ns: Vec::new(),
        });
        Ok(answer)
    }

    /// Whether this is the probe's stream, and nobody's else.
    pub(super) fn is_probe(&self, stream: &StreamName) -> bool {
        self.latency.probe.as_ref().is_some_and(|probe| probe.stream == *stream)
    }

    /// Lets a probe go whose time is over.
    pub(super) fn end_probe_in_time(&mut self) {
        let Some(probe) = self.latency.probe.as_mut().filter(|probe| probe.ends <= Instant::now()) else { return };
        if probe.failure.is_some() {
            self.latency.probe = None;
        } else if !std::mem::replace(&mut probe.leaving, true) {
            let stream = probe.stream.clone();
            self.tell_engine(ToEngine::CloseOutput { number: PROBE_OUTPUT });
            self.tell_engine(ToEngine::RemoveSource { stream });
        }
    }

    /// The probe could not come.
    pub(super) fn probe_failed(&mut self, reason: String) {
        if let Some(probe) = &mut self.latency.probe {
            probe.failure = Some(reason);
            self.tell_engine(ToEngine::CloseOutput { number: PROBE_OUTPUT });
        }
    }

    /// The probe has left. A run whose last source ended meanwhile ends now.
    pub(super) fn probe_left(&mut self, stream: &StreamName) {
        self.rings.retire(stream);
        self.latency.forget(stream);
        self.latency.probe = None;
        if self.phase == Phase::Running && self.all_captured() {
            self.tell_engine(ToEngine::Close);
        }
    }
}

/// What is measured, stage by stage and in sum; nothing of a stream that has no latency or is not measured yet.
fn stages(delays: Option<&Delays>, rate: u32) -> Value {
    let stage = |name: &str, us: u32| json!({"stage": name, "ms": ms(us), "frames": frames(us, rate)});
    let Some(delays) = delays else {
        return json!({"stages": [], "sum_ms": null, "sum_frames": null, "mix_ms": null, "in_mix_ms": null});
    };
    let (device_us, sum_us) = (delays.hardware_us.unwrap_or(0) + delays.period_us, sum_us(delays));
    json!({
        "stages": [
            stage("device", device_us), stage("queue", delays.queue_us), stage("resampler", delays.resampler_us),
            stage("block", delays.block_us), stage("tick", delays.tick_us),
        ],
        "hardware_ms": delays.hardware_us.map(ms),
        "sum_ms": ms(sum_us), "sum_frames": frames(sum_us, rate),
        "mix_ms": ms(delays.mix_us), "in_mix_ms": ms(sum_us + delays.mix_us),
    })
}

/// From a sound to the moment when the first frame of its block can be read.
fn sum_us(delays: &Delays) -> u32 {
    let device_us = delays.hardware_us.unwrap_or(0) + delays.period_us;
    device_us + delays.queue_us + delays.resampler_us + delays.block_us + delays.tick_us
}

/// From a sound to when it is played, by an output that takes so long from a frame's place in time, where its ring was
/// written evenly: what the first frame waits for its block is in both.
fn out_us(delays: &Delays, output_us: u64) -> u64 {
    (u64::from(sum_us(delays)) + output_us).saturating_sub(u64::from(delays.block_us))
}

fn ms(us: u32) -> f64 {
    f64::from(us) / 1_000.0
}

fn frames(us: u32, rate: u32) -> u64 {
    (u64::from(us) * u64::from(rate) + 500_000) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_stages() {
        let delays = Delays {
            hardware_us: Some(1_500),
            period_us: 10_000,
            queue_us: 40_000,
            resampler_us: 1_333,
            block_us: 10_000,
            tick_us: 80,
            mix_us: 5_000,
        };
        let row = stages(Some(&delays), 48_000);
        let parts: f64 = row["stages"].as_array().unwrap().iter().filter_map(|stage| stage["ms"].as_f64()).sum();
        assert!((parts - row["sum_ms"].as_f64().unwrap()).abs() < 1e-9, "{row}");
        assert_eq!(row["stages"][0]["frames"], 552);
        assert!((row["in_mix_ms"].as_f64().unwrap() - 67.913).abs() < 1e-9, "{row}");
        assert_eq!(stages(None, 48_000)["stages"], json!([]));
        // The block is waited for once.
        assert_eq!(out_us(&delays, 30_000), 62_913 - 10_000 + 30_000);
    }
}
