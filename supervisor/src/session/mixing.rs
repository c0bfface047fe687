//! The mixer's settings: they outlive the engine that has them.

use super::Session;
use crate::mix_wish::MixWish;
use crate::refusal::{Refusal, refusal};
use control_protocol::{Gain, Master, StreamName, Strip, ToEngine};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is set, and what was configured for streams that may come.
#[derive(Debug, Default)]
pub(super) struct Desk {
    strips: BTreeMap<StreamName, Strip>,
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
        }
    }

    fn strip(&self, name: &StreamName) -> Strip {
        self.strips.get(name).copied().unwrap_or_default()
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
            json!({"stream": name, "gain_db": db(gain), "gain": gain, "pan": pan, "mute": mute, "solo": solo, "heard": heard})
        };
        let Master { gain, ceiling } = self.desk.master;
        json!({
            "strips": self.listed().map(|(name, _)| row(name)).collect::<Vec<_>>(),
            "master": {"gain_db": db(gain), "gain": gain, "ceiling_db": db(ceiling)},
        })
    }

    /// Tells the engine how a stream goes into the mix, or what is done to the sum.
    pub(super) fn tell_strip(&self, name: &StreamName) {
        self.tell_engine(if *name == StreamName::mix() {
            ToEngine::SetMaster(self.desk.master)
        } else {
            ToEngine::SetStrip { stream: name.clone(), strip: self.desk.strip(name) }
        });
    }
}

/// In decibels, to a hundredth; nothing is silence.
fn db(gain: Gain) -> Option<f64> {
    gain.db().map(|db| (f64::from(db) * 100.0).round() / 100.0)
}
