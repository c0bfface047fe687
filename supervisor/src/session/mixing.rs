//! The mixer's settings: they outlive the engine that has them.

use super::Session;
use crate::mix_wish::MixWish;
use crate::refusal::{Refusal, refusal};
use crate::report::{Report, Span};
use control_protocol::{Equaliser, Gain, Master, Processing, StreamName, Strip, ToEngine};
use serde_json::{Value, json};
use shm_layout::FrameIndex;
use std::collections::BTreeMap;

/// What is set, and what was configured for streams that may come.
#[derive(Debug, Default)]
pub(super) struct Desk {
    strips: BTreeMap<StreamName, Strip>,
    processing: BTreeMap<StreamName, Processing>,
    /// Frames that were not processed in time.
    unprocessed: BTreeMap<StreamName, u64>,
    master: Master,
}

impl Desk {
    /// As it is configured.
    pub(super) fn new(configured: &[(StreamName, MixWish)]) -> Self {
        let mut desk = Self::default();
        configured.iter().for_each(|(name, wish)| desk.set(name, wish));
        desk
    }

    fn set(&mut self, name: &StreamName, wish: &MixWish) {
        if *name == StreamName::mix() {
            wish.over_master(&mut self.master);
        } else {
            wish.over(self.strips.entry(name.clone()).or_default());
            wish.over_processing(self.processing.entry(name.clone()).or_default());
        }
    }

    fn strip(&self, name: &StreamName) -> Strip {
        self.strips.get(name).copied().unwrap_or_default()
    }

    fn processing(&self, name: &StreamName) -> Processing {
        self.processing.get(name).copied().unwrap_or_default()
    }
}

impl Session<'_> {
    /// Sets the strip of a stream, or what is done to the sum.
    ///
    /// # Errors
    /// When there is no such stream, or it has no such setting.
    pub(super) fn set_mix(&mut self, name: &str, wish: MixWish) -> Result<Value, Refusal> {
        let name = StreamName::new(name).map_err(|e| refusal!(Usage, "{e}"))?;
        wish.check(&name).map_err(|text| refusal!(Usage, "{text}"))?;
        if name != StreamName::mix() && !self.listed().any(|(known, _)| *known == name) {
            let names: Vec<_> = self.listed().map(|(name, _)| name.as_str()).chain(["mix"]).collect();
            return Err(refusal!(Refused, "there is no source {name}; there is {}", names.join(", ")));
        }
        self.desk.set(&name, &wish);
        self.tell_strip(&name);
        Ok(json!({"ok": true, "mix": self.mix()}))
    }

    /// All strips, and the sum.
    pub(super) fn mix(&self) -> Value {
        let any_solo = self.listed().any(|(name, _)| self.desk.strip(name).solo);
        let row = |name: &StreamName| {
            let strip = self.desk.strip(name);
            let Strip { gain, pan, mute, solo } = strip;
            let heard = !mute && (solo || !any_solo);
            let processing = self.desk.processing(name);
            let Processing { high_pass, gate, equaliser, compressor } = processing;
            json!({
                "stream": name, "gain_db": db(gain), "gain": gain, "pan": pan, "mute": mute, "solo": solo, "heard": heard,
                "highpass_hz": high_pass.map(|hz| rounded(hz.get())),
                "gate_db": gate.map(|db| rounded(db.get())),
                "eq_db": equaliser.map(|Equaliser(bands)| bands.map(|db| rounded(db.get()))),
                "comp": compressor.map(|compressor| json!({
                    "threshold_db": rounded(compressor.threshold_db.get()), "ratio": rounded(compressor.ratio.get()),
                })),
                "processing": processing.to_string(),
                "unprocessed_frames": self.desk.unprocessed.get(name).copied().unwrap_or_default(),
            })
        };
        let Master { gain, ceiling } = self.desk.master;
        json!({
            "strips": self.listed().map(|(name, _)| row(name)).collect::<Vec<_>>(),
            "master": {"gain_db": db(gain), "gain": gain, "ceiling_db": db(ceiling)},
        })
    }

    /// Tells the engine how a stream goes into the mix, or what is done to the sum.
    pub(super) fn tell_strip(&self, name: &StreamName) {
        if *name == StreamName::mix() {
            return self.tell_engine(ToEngine::SetMaster(self.desk.master));
        }
        self.tell_engine(ToEngine::SetStrip { stream: name.clone(), strip: self.desk.strip(name) });
        self.tell_engine(ToEngine::SetProcessing { stream: name.clone(), processing: self.desk.processing(name) });
    }

    /// Frames of a stream are silent in the mix.
    pub(super) fn report_unprocessed(&mut self, stream: StreamName, from: FrameIndex, to: FrameIndex) {
        // Only of streams that there are: nobody else's count is kept.
        if !self.streams.contains_key(&stream) {
            return;
        }
        *self.desk.unprocessed.entry(stream.clone()).or_default() += to.since(from);
        let span = Span::new(stream, from, to, self.plan.sample_rate_hz);
        self.reporter.report(Report::Unprocessed { span });
    }
}

/// As it was written, and not as the nearest number of 32 bits.
fn rounded(number: f32) -> f64 {
    (f64::from(number) * 1_000.0).round() / 1_000.0
}

/// In decibels, to a hundredth; nothing is silence.
fn db(gain: Gain) -> Option<f64> {
    gain.db().map(|db| (f64::from(db) * 100.0).round() / 100.0)
}
