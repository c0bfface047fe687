//! The mixer's settings: what everybody's strip is to be, and what comes before it.

use audio_dsp::Strip;
use control_protocol::{Master, Processing, StreamName, Strip as Wished};
use std::collections::BTreeMap;

/// What is wished for each stream, and for the sum.
#[derive(Debug, Default)]
pub struct Desk {
    strips: BTreeMap<StreamName, Wished>,
    processing: BTreeMap<StreamName, Processing>,
    master: Master,
}

/// What a strip is set to, on its way to the tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    gain: f32,
    pan: f32,
    open: bool,
}

impl Setting {
    /// Sets a strip, which glides there.
    ///
    /// # Real time
    /// Wait-free, allocates nothing.
    pub(crate) fn turn(&self, strip: &mut Strip) {
        strip.set_gain(self.gain);
        strip.set_pan(self.pan);
        strip.set_open(self.open);
    }
}

impl Desk {
    /// Wishes a strip for a stream, be it there or not.
    pub fn set(&mut self, stream: StreamName, strip: Wished) {
        self.strips.insert(stream, strip);
    }

    /// Wishes what a stream passes before its strip, be it there or not.
    pub fn process(&mut self, stream: StreamName, processing: Processing) {
        self.processing.insert(stream, processing);
    }

    /// What a stream passes before its strip.
    #[must_use]
    pub fn processing(&self, stream: &StreamName) -> Processing {
        self.processing.get(stream).copied().unwrap_or_default()
    }

    /// Forgets a stream.
    pub fn forget(&mut self, stream: &StreamName) {
        self.strips.remove(stream);
        self.processing.remove(stream);
    }

    /// Wishes what is done to the sum.
    pub const fn set_master(&mut self, master: Master) {
        self.master = master;
    }

    /// What is done to the sum.
    #[must_use]
    pub const fn master(&self) -> Master {
        self.master
    }

    /// What the strips of these streams, which are all there are, are set to. Where any of them is solo, only those that
    /// are are open.
    #[must_use]
    pub fn settings(&self, present: &[&StreamName]) -> Vec<Setting> {
        let wished = |name: &StreamName| self.strips.get(name).copied().unwrap_or_default();
        let any_solo = present.iter().any(|name| wished(name).solo);
        let setting = |name: &&StreamName| {
            let Wished { gain, pan, mute, solo } = wished(name);
            Setting { gain: gain.factor(), pan: pan.get(), open: !mute && (solo || !any_solo) }
        };
        present.iter().map(setting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_protocol::Gain;

    #[test]
    fn solo_closes_those_that_are_not_while_one_is_there() {
        let [a, b, c] = ["a", "b", "c"].map(|name| StreamName::new(name).unwrap());
        let mut desk = Desk::default();
        let open = |desk: &Desk, present: &[&StreamName]| -> Vec<bool> {
            desk.settings(present).iter().map(|setting| setting.open).collect()
        };
        assert_eq!(open(&desk, &[&a, &b]), [true, true]);
        desk.set(b.clone(), Wished { solo: true, ..Wished::default() });
        assert_eq!(open(&desk, &[&a, &b, &c]), [false, true, false]);
        assert_eq!(open(&desk, &[&a, &c]), [true, true], "who is not there silences nobody");
        desk.set(c.clone(), Wished { solo: true, mute: true, ..Wished::default() });
        assert_eq!(open(&desk, &[&a, &b, &c]), [false, true, false], "mute comes before solo");
        desk.forget(&b);
        assert_eq!(open(&desk, &[&a, &b]), [true, true]);
        desk.set(a.clone(), Wished { gain: Gain::SILENCE, ..Wished::default() });
        assert_eq!(desk.settings(&[&a])[0].gain, 0.0);
    }
}
