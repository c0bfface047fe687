//! The outputs of this engine, seen from the control thread.

use crate::engine::Event;
use crate::limits::short;
use crate::output::{Figures, Form, News, Opening, Output, Reading, Which, keep};
use control_protocol::{ClockKind, EngineConfig, Exit, FromEngine, OutputFigures, OutputSpec};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often it is told how they do.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// All of them, those that are still being opened too.
#[derive(Default)]
pub(crate) struct Outputs {
    kept: Vec<Kept>,
    tickets: u32,
    told: Option<Instant>,
}

struct Kept {
    ticket: u32,
    spec: OutputSpec,
    output: Output,
    /// As it was opened last.
    form: Option<Form>,
    /// Why it is away, while it is.
    lost: Option<String>,
}

impl Outputs {
    /// Opens one more, which takes the place of the one of its number as soon as it is open. On the same device, the
    /// stream alone changes.
    pub(crate) fn set(
        &mut self,
        spec: OutputSpec,
        config: Option<&EngineConfig>,
        own: &Sender<Event>,
        send: &dyn Fn(FromEngine),
    ) {
        let (number, wish) = (spec.number, spec.wish);
        // What was wished before and is not open yet is not wished any more.
        self.kept.retain(|kept| kept.spec.number != number || kept.form.is_some() || kept.spec.keep_trying);
        let same = |kept: &&mut Kept| kept.spec.number == number && kept.spec.device == spec.device;
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.output.play(spec.stream.as_str());
            kept.spec = spec;
            return kept.tell(send);
        }
        if let Err((reason, exit)) = self.open(spec, config, own) {
            send(FromEngine::OutputFailed { number, wish, reason: short(reason), exit });
        }
    }

    fn open(
        &mut self,
        spec: OutputSpec,
        config: Option<&EngineConfig>,
        own: &Sender<Event>,
    ) -> Result<(), (String, Exit)> {
        let config = config.filter(|config| config.clock == ClockKind::Monotonic);
        let config = config.ok_or_else(|| ("only what is live is played".to_owned(), Exit::Refused))?;
        let which: Which = spec.device.parse().map_err(|e| (format!("{e}"), Exit::Usage))?;
        let opening = Opening {
            which,
            reading: Reading {
                dir: config.runtime_dir.clone().into(),
                session: config.session,
                stream: Arc::new(Mutex::new(spec.stream.as_str().to_owned())),
                block_frames: config.block_frames,
            },
            engine_rate_hz: config.sample_rate_hz,
            keep_trying: spec.keep_trying,
        };
        self.tickets += 1;
        let (ticket, own) = (self.tickets, own.clone());
        // Who is gone does not hear it.
        let tell = move |news| drop(own.send(Event::Output(ticket, news)));
        let output = keep(opening, tell).map_err(|e| (format!("no thread for the output: {e}"), Exit::Refused))?;
        self.kept.push(Kept { ticket, spec, output, form: None, lost: None });
        Ok(())
    }

    /// Lets it go.
    pub(crate) fn close(&mut self, number: u32) {
        self.kept.retain(|kept| kept.spec.number != number);
    }

    /// A keeper has something to say. One that was let go is not heard any more.
    pub(crate) fn on_news(&mut self, ticket: u32, news: News, send: &dyn Fn(FromEngine)) {
        let Some(at) = self.kept.iter().position(|kept| kept.ticket == ticket) else { return };
        let OutputSpec { number, wish, .. } = self.kept[at].spec;
        match news {
            News::Opened(form) | News::Back(form) => {
                (self.kept[at].form, self.kept[at].lost) = (Some(form), None);
                self.kept[at].tell(send);
                self.kept.retain(|kept| kept.spec.number != number || kept.ticket == ticket);
            }
            News::Failed(error) => {
                self.kept.remove(at);
                let reason = short(error.reason);
                send(FromEngine::OutputFailed { number, wish, reason, exit: error.exit });
            }
            News::Lost { reason } => {
                self.kept[at].lost = Some(short(reason));
                self.kept[at].tell(send);
            }
        }
    }

    /// Tells how those do that are open.
    pub(crate) fn look(&mut self, send: &dyn Fn(FromEngine)) {
        if self.kept.is_empty() || self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        self.told = Some(Instant::now());
        for kept in self.kept.iter().filter(|kept| kept.form.is_some()) {
            let figures = figures(&kept.output.figures());
            send(FromEngine::OutputPlays { number: kept.spec.number, wish: kept.spec.wish, figures });
        }
    }
}

impl Kept {
    fn tell(&self, send: &dyn Fn(FromEngine)) {
        let OutputSpec { number, wish, .. } = self.spec;
        if let Some(Form { description, sample_rate_hz, channels }) = &self.form {
            let (description, sample_rate_hz, channels) = (short(description.clone()), *sample_rate_hz, *channels);
            if self.lost.is_none() {
                return send(FromEngine::OutputOpened { number, wish, description, sample_rate_hz, channels });
            }
        }
        if let Some(reason) = &self.lost {
            send(FromEngine::OutputLost { number, wish, reason: reason.clone() });
        }
    }
}

fn figures(figures: &Figures) -> OutputFigures {
    let Figures { underruns, underrun_frames, xruns, skipped_frames, queued_frames, delay_us, ppm_thousandths } =
        *figures;
    OutputFigures { underruns, underrun_frames, xruns, skipped_frames, queued_frames, delay_us, ppm_thousandths }
}
