//! What is played where. It outlives the engine that plays it: the next one opens it again.

use super::{Phase, Session};
use crate::refusal::{Refusal, refusal};
use crate::report::{Leader, OutputState, Report};
use control_protocol::{ClockKind, Exit, FromEngine, OutputFigures, OutputSpec, StreamName, ToEngine, URI_BYTES_MAX};
use serde_json::{Value, json};
use std::time::Instant;

/// The one output that there is now. Messages and requests have room for more.
const NUMBER: u32 = 0;

/// The output, and what is to come in its place.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    wishes: u32,
    /// What was open last.
    present: Option<Present>,
    /// What was wished last and is not open yet, or cannot be opened.
    next: Option<Next>,
}

#[derive(Debug, Clone)]
struct Wished {
    wish: u32,
    device: String,
    stream: StreamName,
}

#[derive(Debug)]
struct Present {
    wished: Wished,
    description: String,
    sample_rate_hz: u32,
    channels: u32,
    figures: OutputFigures,
    /// Why it is away, and since when.
    lost: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Next {
    wished: Wished,
    /// Whether the run was to begin with it.
    configured: bool,
    failure: Option<(Exit, String)>,
}

impl Outputs {
    /// As it is configured.
    pub(super) fn new(configured: Option<&(String, StreamName)>) -> Self {
        let mut outputs = Self::default();
        if let Some((device, stream)) = configured {
            outputs.wish(device.clone(), stream.clone(), true);
        }
        outputs
    }

    fn wish(&mut self, device: String, stream: StreamName, configured: bool) {
        self.wishes += 1;
        let wished = Wished { wish: self.wishes, device, stream };
        self.next = Some(Next { wished, configured, failure: None });
    }

    /// Whether it is known what came of the output that the run was to begin with.
    pub(super) fn have_answered(&self) -> bool {
        self.next.as_ref().is_none_or(|next| !next.configured || next.failure.is_some())
    }

    /// The engine that played is gone.
    pub(super) fn engine_died(&mut self) {
        if let Some(present) = &mut self.present {
            present.lost.get_or_insert_with(|| ("there is no engine".to_owned(), Instant::now()));
        }
    }
}

impl Session<'_> {
    /// Has a stream played to a device. Whether that could be opened, the list says.
    ///
    /// # Errors
    /// When it cannot even be tried.
    pub(super) fn set_output(&mut self, device: String, stream: Option<String>) -> Result<Value, Refusal> {
        self.is_running().map_err(|text| refusal!(Refused, "{text}"))?;
        if self.plan.clock == ClockKind::Virtual {
            return Err(refusal!(Refused, "this run is as fast as it goes (--fast): nothing of it is played"));
        }
        if device.is_empty() {
            return Err(refusal!(Usage, "an output wants a device's name; `tympan output list` shows them"));
        }
        if device.len() > URI_BYTES_MAX {
            return Err(refusal!(Usage, "a device's name of {} bytes, and {URI_BYTES_MAX} are the most", device.len()));
        }
        let stream = StreamName::new(stream.as_deref().unwrap_or("mix")).map_err(|e| refusal!(Usage, "{e}"))?;
        if stream != StreamName::mix() && !self.listed().any(|(known, _)| *known == stream) {
            let names: Vec<_> = self.listed().map(|(name, _)| name.as_str()).chain(["mix"]).collect();
            return Err(refusal!(Refused, "there is no stream {stream}; there is {}", names.join(", ")));
        }
        self.outputs.wish(device, stream, false);
        if let Some(next) = &self.outputs.next {
            self.tell_output(&next.wished, false);
        }
        Ok(json!({"ok": true, "outputs": self.output_rows()}))
    }

    /// Plays nothing any more.
    pub(super) fn close_output(&mut self) -> Value {
        self.outputs.next = None;
        self.tell_engine(ToEngine::CloseOutput { number: NUMBER });
        if let Some(present) = self.outputs.present.take() {
            self.report_output(&present, OutputState::Off, None, None);
        }
        json!({"ok": true, "outputs": self.output_rows()})
    }

    /// Tells a new engine what is played.
    pub(super) fn tell_outputs(&self) {
        if self.plan.clock == ClockKind::Virtual {
            return;
        }
        if let Some(present) = &self.outputs.present {
            self.tell_output(&present.wished, true);
        }
        if let Some(next) = self.outputs.next.as_ref().filter(|next| next.failure.is_none()) {
            self.tell_output(&next.wished, false);
        }
    }

    fn tell_output(&self, wished: &Wished, keep_trying: bool) {
        let Wished { wish, device, stream } = wished.clone();
        self.tell_engine(ToEngine::SetOutput(OutputSpec { number: NUMBER, wish, device, stream, keep_trying }));
    }

    /// What the engine says of an output; what it says of another is not for here.
    pub(super) fn output_said(&mut self, message: FromEngine) {
        match message {
            FromEngine::OutputOpened { wish, description, sample_rate_hz, channels, .. } => {
                self.output_opened(wish, (description, sample_rate_hz, channels));
            }
            FromEngine::OutputFailed { wish, reason, exit, .. } => self.output_failed(wish, reason, exit),
            FromEngine::OutputLost { wish, reason, .. } => {
                if let Some(mut present) = self.outputs.present.take_if(|present| present.wished.wish == wish) {
                    let (_, since) = present.lost.take().unwrap_or_else(|| (String::new(), Instant::now()));
                    present.lost = Some((reason.clone(), since));
                    present.figures.delay_us = 0;
                    self.report_output(&present, OutputState::Away, Some(reason), None);
                    self.outputs.present = Some(present);
                }
            }
            FromEngine::OutputPlays { wish, figures, .. } => {
                if let Some(mut present) = self.outputs.present.take_if(|present| present.wished.wish == wish) {
                    // Another engine counts anew.
                    let before = present.figures.underrun_frames.min(figures.underrun_frames);
                    let frames = figures.underrun_frames - before;
                    present.figures = figures;
                    if frames > 0 {
                        self.report_output(&present, OutputState::Underrun, None, Some(frames));
                    }
                    self.outputs.present = Some(present);
                }
            }
            _ => {}
        }
    }

    fn output_opened(&mut self, wish: u32, (description, sample_rate_hz, channels): (String, u32, u32)) {
        let open = |wished| Present {
            wished,
            description,
            sample_rate_hz,
            channels,
            figures: OutputFigures::default(),
            lost: None,
        };
        if let Some(next) = self.outputs.next.take_if(|next| next.wished.wish == wish) {
            let present = open(next.wished);
            self.report_output(&present, OutputState::Open, None, None);
            self.outputs.present = Some(present);
        } else if let Some(before) = self.outputs.present.take_if(|present| present.wished.wish == wish) {
            let present = Present { figures: before.figures, ..open(before.wished) };
            let away_s = before.lost.map(|(_, since)| since.elapsed().as_secs_f64());
            self.report_output(&present, OutputState::Back { away_s: away_s.unwrap_or(0.0) }, None, None);
            self.outputs.present = Some(present);
        }
    }

    fn output_failed(&mut self, wish: u32, reason: String, exit: Exit) {
        let Some(next) = self.outputs.next.as_mut().filter(|next| next.wished.wish == wish) else { return };
        next.failure = Some((exit, reason.clone()));
        if next.configured && self.phase == Phase::Running {
            // As with a source that a run was to begin with, and alone.
            self.outcome.error.get_or_insert_with(|| Refusal::new(exit, reason));
            self.end("the output could not be opened");
        }
    }

    /// All outputs, as users see them.
    pub(super) fn output_rows(&self) -> Vec<Value> {
        let Outputs { present, next, .. } = &self.outputs;
        if present.is_none() && next.is_none() {
            return Vec::new();
        }
        let next = next.as_ref().map(|Next { wished, failure, .. }| {
            let (exit, reason) = failure.clone().unzip();
            let state = if reason.is_some() { "failed" } else { "opening" };
            let exit = exit.map(Exit::code);
            json!({"device": wished.device, "stream": wished.stream, "state": state, "reason": reason, "exit": exit})
        });
        let Some(present) = present else {
            return vec![json!({"output": NUMBER, "device": null, "stream": null, "state": "off", "next": next})];
        };
        let Present { wished, description, sample_rate_hz, channels, figures, lost } = present;
        let delay_ms = Some(figures.delay_us).filter(|&us| us > 0 && lost.is_none()).map(|us| round(us as f64 / 1e3));
        vec![json!({
            "output": NUMBER, "device": wished.device, "stream": wished.stream,
            "state": if lost.is_some() { "away" } else { "open" },
            "description": description, "sample_rate_hz": sample_rate_hz, "channels": channels,
            "reason": lost.as_ref().map(|(reason, _)| reason),
            "away_s": lost.as_ref().map(|(_, since)| since.elapsed().as_secs_f64()),
            "leads": self.leader == Some(Leader::OUTPUT) && lost.is_none(),
            "delay_ms": delay_ms, "queued_frames": figures.queued_frames,
            "underruns": figures.underruns, "underrun_frames": figures.underrun_frames, "xruns": figures.xruns,
            "skipped_frames": figures.skipped_frames, "ppm": figures.ppm_thousandths as f64 / 1e3,
            "next": next,
        })]
    }

    fn report_output(&mut self, present: &Present, state: OutputState, reason: Option<String>, frames: Option<u64>) {
        let Wished { device, stream, .. } = present.wished.clone();
        let description = present.description.clone();
        self.reporter.report(Report::Output { state, stream, device, description, reason, frames });
    }
}

/// To a tenth.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
