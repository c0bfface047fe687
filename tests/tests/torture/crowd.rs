//! The readers: one in peace, one of each language that is stopped and continued, and one that is killed and comes again in
//! the next language.

use crate::part::{Part, Tongue};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use system_tests::*;

/// So many epochs of a stopped reader go by in every other of its stops: more than have a file at any time.
const LONG_STOP_EPOCHS: u64 = 6;

struct Disturbed {
    tongue: Tongue,
    reader: Part,
    stops: u64,
    stopped_until: Option<u64>,
}

pub(crate) struct Crowd<'a> {
    readers: &'a Readers,
    folder: &'a Path,
    steady: Part,
    disturbed: Vec<Disturbed>,
    mortal: (Tongue, Part),
    kills: BTreeMap<Tongue, u64>,
}

impl<'a> Crowd<'a> {
    pub(crate) fn start(readers: &'a Readers, folder: &'a Path) -> Result<Self> {
        let disturbed = Tongue::ALL.map(|tongue| {
            let reader = Part::reader(readers, tongue, folder, &[])?;
            Ok(Disturbed { tongue, reader, stops: 0, stopped_until: None })
        });
        Ok(Self {
            readers,
            folder,
            steady: Part::reader(readers, Tongue::Rust, folder, &[])?,
            disturbed: disturbed.into_iter().collect::<Result<_>>()?,
            mortal: (Tongue::Rust, Part::reader(readers, Tongue::Rust, folder, &[])?),
            kills: BTreeMap::new(),
        })
    }

    /// Stops some and kills some.
    pub(crate) fn disturb(&mut self, chance: &mut Chance, epoch: u64) -> Result<()> {
        for disturbed in &mut self.disturbed {
            if disturbed.stopped_until.is_none() && chance.below(4) == 0 {
                disturbed.reader.signal(Signal::SIGSTOP)?;
                disturbed.stops += 1;
                let epochs = if disturbed.stops % 2 == 0 { LONG_STOP_EPOCHS } else { 1 };
                disturbed.stopped_until = Some(epoch + epochs);
            }
        }
        if chance.below(4) == 0 {
            let (tongue, reader) = &mut self.mortal;
            reader.kill().with_context(|| format!("the reader in {tongue:?} to be killed"))?;
            *self.kills.entry(*tongue).or_default() += 1;
            let next = Tongue::ALL.into_iter().cycle().skip_while(|other| other != tongue).nth(1).context("endless")?;
            self.mortal = (next, Part::reader(self.readers, next, self.folder, &[])?);
        }
        Ok(())
    }

    /// Continues those whose time has come.
    pub(crate) fn release(&mut self, epoch: u64) -> Result<()> {
        for disturbed in &mut self.disturbed {
            if disturbed.stopped_until.is_some_and(|until| until <= epoch) {
                disturbed.reader.signal(Signal::SIGCONT)?;
                disturbed.stopped_until = None;
            }
        }
        Ok(())
    }

    /// What each of them counted, at the end of the stream.
    pub(crate) fn end(mut self) -> Result<Counts> {
        self.release(u64::MAX)?;
        for tongue in Tongue::ALL {
            let stops = self.disturbed.iter().find(|one| one.tongue == tongue).map_or(0, |one| one.stops);
            let kills = self.kills.get(&tongue).copied().unwrap_or(0);
            eprintln!("{tongue:?}: {stops} stops and {kills} kills");
            ensure!(stops > 1 && kills > 0, "hardly disturbed in {tongue:?}: {stops} stops and {kills} kills");
        }
        let answer = |tongue, reader: Part| {
            let said = reader.answer().with_context(|| format!("the reader in {tongue:?}"))?;
            eprintln!("{tongue:?}: {said}");
            Ok::<_, anyhow::Error>((tongue, said))
        };
        Ok(Counts {
            steady: answer(Tongue::Rust, self.steady)?.1,
            disturbed: self.disturbed.into_iter().map(|one| answer(one.tongue, one.reader)).collect::<Result<_>>()?,
            mortal: answer(self.mortal.0, self.mortal.1)?,
        })
    }
}

/// What each reader counted.
pub(crate) struct Counts {
    pub(crate) steady: Value,
    pub(crate) disturbed: Vec<(Tongue, Value)>,
    pub(crate) mortal: (Tongue, Value),
}

impl Counts {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        let others = self.disturbed.iter().chain([&self.mortal]).map(|(_, said)| said);
        std::iter::once(&self.steady).chain(others)
    }
}

/// A count in what a reader said.
pub(crate) fn number(said: &Value, key: &str) -> Result<u64> {
    said[key].as_u64().with_context(|| format!("{key} in {said}"))
}
