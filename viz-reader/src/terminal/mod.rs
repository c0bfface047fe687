//! Pictures in a terminal: waveform, spectrogram, spectrum and meters of rings, drawn with characters.
//!
//! It reads rings into a history of its own (`store`), so that a picture that stands still stays when its frames have
//! been overwritten, and draws from that alone (`draw`). What it was too slow for is a loss in the picture, and what
//! nobody captured a gap. Where nothing can be drawn it prints lines (`lines`).

mod abilities;
mod app;
mod columns;
mod dots;
mod draw;
mod guard;
mod keys;
mod layout;
mod lines;
mod paint;
mod session;
mod spectrum;
mod store;
mod stream;

use crate::cli::Arguments;
use abilities::{Abilities, Depth, Glyphs};
use anyhow::Result;
use app::Then;
use control_protocol::Exit;
use guard::{Asked, Screen};
use keys::{Came, Keys};
use paint::Paint;
use ratatui::crossterm::event::{Event, KeyEventKind};
use session::Session;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Part of a picture's time that may be spent on reading, and on transforms; the rest of both is done with the next one.
const WORK_PART: u32 = 3;
/// How often a signal is looked for, and a ring that brings nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so long without anything new there is no hurry to look.
const QUIET_AFTER: Duration = Duration::from_millis(500);

/// Shows the rings that the command line names until the user ends it.
///
/// # Errors
/// When there is nothing to show, or the terminal cannot be used.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let variable = |name: &str| std::env::var(name).ok();
    let drawn = !arguments.terminal.json && std::io::stdout().is_terminal();
    let abilities = Abilities::of(variable).filter(|_| drawn);
    let paint = Paint::new(
        abilities.unwrap_or(Abilities { depth: Depth::None, glyphs: Glyphs::Ascii }),
        arguments.look.colours,
    );
    let session = Session::open(arguments, paint)?;
    let asked = Asked::listen()?;
    match abilities {
        Some(_) => pictures(session, arguments.terminal.fps, &asked),
        None => lines::run(session, arguments.terminal.json, &asked),
    }
}

/// Draws until the user ends it.
fn pictures(mut session: Session, rate: u32, asked: &Asked) -> Result<Exit> {
    asked.listen_aside()?;
    let keys = Keys::open()?;
    let mut screen = Screen::enter()?;
    let period = Duration::from_secs(1) / rate.max(1);
    let work = period / WORK_PART;
    let (mut due, mut news_at) = (Instant::now(), Instant::now());
    let mut drawn = Drawn::new();
    let mut changed = true;
    while !asked.is_over() {
        let came = session.read(Instant::now() + work);
        if came {
            news_at = Instant::now();
        }
        // What comes while the picture stands still is only kept.
        changed |= came && !session.app.paused;
        if Instant::now() >= due && (changed || drawn.is_stale()) {
            session.app.drawn_a_second = drawn.a_second();
            session.show();
            let mut finished = true;
            if !screen.show(|frame| finished = session.app.draw(frame.buffer_mut(), Instant::now() + work))? {
                return Ok(Exit::Clean);
            }
            drawn.one_more();
            changed = !finished;
            due = (due + period).max(Instant::now());
        }
        let quiet = (news_at.elapsed() >= QUIET_AFTER || session.app.paused) && !changed;
        let wait = if quiet { LOOK_EVERY } else { due.saturating_duration_since(Instant::now()).min(LOOK_EVERY) };
        // It is time for a picture, and its frames will be there any moment.
        let wait = if wait.is_zero() && !changed { period / 4 } else { wait };
        let mut aside = asked.is_aside();
        let mut next = keys.next(wait)?;
        loop {
            match next {
                Came::Nothing => break,
                Came::HungUp => return Ok(Exit::Clean),
                Came::Event(Event::Key(key)) if key.kind != KeyEventKind::Release => match session.app.press(key) {
                    Then::GoOn => {}
                    Then::Quit => return Ok(Exit::Clean),
                    Then::Suspend => aside = true,
                },
                Came::Event(_) => {}
            }
            changed = true;
            next = keys.next(Duration::ZERO)?;
        }
        if aside {
            screen.aside()?;
            changed = true;
        }
    }
    Ok(Exit::Clean)
}

/// Counts pictures.
struct Drawn {
    /// When the last ones were drawn.
    at: std::collections::VecDeque<Instant>,
    shown_at: Instant,
}

impl Drawn {
    fn new() -> Self {
        Self { at: std::collections::VecDeque::new(), shown_at: Instant::now() }
    }

    fn one_more(&mut self) {
        self.shown_at = Instant::now();
        self.at.push_back(self.shown_at);
    }

    /// Pictures of the last second.
    fn a_second(&mut self) -> u32 {
        while self.at.front().is_some_and(|at| at.elapsed() > Duration::from_secs(1)) {
            self.at.pop_front();
        }
        u32::try_from(self.at.len()).unwrap_or(u32::MAX)
    }

    /// Whether the picture is a second old: how often there are pictures, and how long a ring has stood still, changes.
    fn is_stale(&self) -> bool {
        self.shown_at.elapsed() >= Duration::from_secs(1)
    }
}
