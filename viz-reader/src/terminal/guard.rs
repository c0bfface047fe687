//! The terminal while it is ours: entered, left on every way out, put aside by Ctrl-Z.

use anyhow::{Context, Result};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::{Frame, Terminal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use std::io::{BufWriter, Stdout, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that go out at once: more than a picture is written in pieces.
const WRITE_BYTES: usize = 1 << 16;

/// What others asked of us.
#[derive(Debug, Default)]
pub(super) struct Asked {
    end: Arc<AtomicBool>,
    aside: Arc<AtomicBool>,
}

impl Asked {
    /// Listens. The second signal to end ends at once: the first may find us waiting for a terminal that takes nothing.
    pub(super) fn listen() -> Result<Self> {
        let asked = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&asked.end)).context("signals")?;
            signal_hook::flag::register(signal, Arc::clone(&asked.end)).context("signals")?;
        }
        Ok(asked)
    }

    /// Listens for being put aside, too.
    pub(super) fn listen_aside(&self) -> Result<()> {
        signal_hook::flag::register(SIGTSTP, Arc::clone(&self.aside)).context("signals")?;
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether it is to be put aside; asks once.
    pub(super) fn is_aside(&self) -> bool {
        self.aside.swap(false, Ordering::Relaxed)
    }
}

/// The terminal, entered.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Screen {
    pub(super) fn enter() -> Result<Self> {
        take()?;
        // What a panic says must be readable, and the shell after it usable.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        Ok(Self { terminal: fresh()? })
    }

    /// Shows a picture, of which only what has changed is sent.
    pub(super) fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate).context("the terminal")?;
        self.terminal.draw(draw).context("the terminal")?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate).context("the terminal")
    }

    /// Gives the terminal back, stops as Ctrl-Z has it, and takes the terminal again when it goes on.
    pub(super) fn aside(&mut self) -> Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(SIGTSTP).context("stop")?;
        take()?;
        self.terminal = fresh()?;
        Ok(())
    }
}

/// A terminal of which nothing is known but that it is empty. It is asked nothing: not all answer.
fn fresh() -> Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(WRITE_BYTES, std::io::stdout()));
    Terminal::new(backend).inspect_err(|_| give_back()).context("the terminal")
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> Result<()> {
    enable_raw_mode().context("the terminal's raw mode")?;
    execute!(std::io::stdout(), EnterAlternateScreen, Hide, Clear(ClearType::All))
        .inspect_err(|_| give_back())
        .context("the terminal")
}

/// There is nobody to tell of a terminal that is gone.
fn give_back() {
    let mut out = std::io::stdout();
    let _ = execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
}
