//! The terminal while it is ours: entered, left on every way out, put aside by Ctrl-Z.

use anyhow::{Context, Result};
use control_protocol::Exit;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::{Frame, Terminal};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes that go out at once: more than a picture is written in pieces.
const WRITE_BYTES: usize = 1 << 16;

/// How long a viewer may go on whose terminal has hung up, or that was told so.
const AFTER_HANG_UP: Duration = Duration::from_secs(1);

/// Whether the terminal is ours now. It is given back once: to leave the alternate screen again would put the cursor where
/// it was before, over what a panic has said.
static OURS: AtomicBool = AtomicBool::new(false);

/// Standard output while the terminal is ours. What is written later, as by a buffer that a panic drops, goes nowhere.
#[derive(Debug)]
struct Ours;

impl Write for Ours {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if OURS.load(Ordering::Relaxed) { std::io::stdout().write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if OURS.load(Ordering::Relaxed) { std::io::stdout().flush() } else { Ok(()) }
    }
}

/// What others asked of us.
#[derive(Debug, Default)]
pub(super) struct Asked {
    end: Arc<AtomicBool>,
    aside: Arc<AtomicBool>,
}

impl Asked {
    /// Listens. The second signal to end ends at once: the first may find us waiting for a terminal that takes nothing. Where
    /// it is the terminal's end, nobody may be there to send a second one.
    pub(super) fn listen() -> Result<Self> {
        let asked = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&asked.end)).context("signals")?;
            signal_hook::flag::register(signal, Arc::clone(&asked.end)).context("signals")?;
        }
        let mut hung_up = Signals::new([SIGHUP]).context("signals")?;
        std::thread::spawn(move || {
            if hung_up.forever().next().is_some() {
                std::thread::sleep(AFTER_HANG_UP);
                give_back();
                std::process::exit(Exit::Clean.code().into());
            }
        });
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
    terminal: Terminal<CrosstermBackend<BufWriter<Ours>>>,
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

    /// Shows a picture, of which only what has changed is sent; whether there is still a terminal.
    pub(super) fn show(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<bool> {
        match self.send(draw) {
            Ok(()) => Ok(true),
            // What a terminal says that has hung up.
            Err(e) if e.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(false),
            Err(e) => Err(e).context("the terminal"),
        }
    }

    fn send(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> std::io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(draw)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
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
fn fresh() -> Result<Terminal<CrosstermBackend<BufWriter<Ours>>>> {
    let backend = CrosstermBackend::new(BufWriter::with_capacity(WRITE_BYTES, Ours));
    Terminal::new(backend).inspect_err(|_| give_back()).context("the terminal")
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> Result<()> {
    enable_raw_mode().context("the terminal's raw mode")?;
    OURS.store(true, Ordering::Relaxed);
    execute!(std::io::stdout(), EnterAlternateScreen, Hide, Clear(ClearType::All))
        .inspect_err(|_| give_back())
        .context("the terminal")
}

/// There is nobody to tell of a terminal that is gone.
fn give_back() {
    if !OURS.swap(false, Ordering::Relaxed) {
        return;
    }
    let mut out = std::io::stdout();
    let _ = execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::pty::{Winsize, openpty};
    use nix::sys::termios::tcgetattr;
    use ratatui::crossterm::terminal::is_raw_mode_enabled;
    use std::fs::File;
    use std::io::Read;
    use std::num::NonZero;
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    /// By this the test knows itself as the program that is to panic.
    const PANICS: &str = "TEST_PANICS_IN_ITS_TERMINAL";
    const SAYS: &str = "a picture that cannot be drawn";
    const ROWS: u16 = 60;
    const COLUMNS: u16 = 70;

    /// Draws a picture, and breaks off in the next one.
    fn panic_in_a_picture() {
        let mut screen = Screen::enter().unwrap();
        screen.show(|frame| frame.render_widget("drawn", frame.area())).unwrap();
        assert!(is_raw_mode_enabled().unwrap(), "the line is not raw");
        screen.show(|_| panic!("{SAYS}")).unwrap();
    }

    #[test]
    fn after_a_panic_the_terminal_is_as_before_and_says_why() {
        if std::env::var_os(PANICS).is_some() {
            return panic_in_a_picture();
        }
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let itself = "terminal::guard::tests::after_a_panic_the_terminal_is_as_before_and_says_why";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", itself, "--nocapture"])
            .env(PANICS, "1")
            .env_remove("RUST_BACKTRACE")
            .stdin(pty.slave.try_clone().unwrap())
            .stdout(pty.slave.try_clone().unwrap())
            .stderr(pty.slave.try_clone().unwrap())
            .spawn()
            .unwrap();
        let (told, shown) = channel();
        let mut from = File::from(pty.master);
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                if told.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > Duration::from_secs(60) {
                child.kill().unwrap();
                panic!("it does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(!status.success(), "it did not panic");
        assert_eq!(tcgetattr(&pty.slave).unwrap(), before, "the line's settings");
        // As the shell goes on.
        let mut shell = File::from(pty.slave);
        shell.write_all(b"the shell is here again").unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"the shell is here again") {
            bytes.extend(shown.recv_timeout(Duration::from_secs(60)).expect("what it has shown"));
        }
        let text = String::from_utf8_lossy(&bytes);
        let (ours, after) = text.rsplit_once("\x1b[?1049l").expect("the alternate screen is left");
        assert!(ours.contains("\x1b[?1049h") && ours.contains("drawn"), "{text:?}");
        assert!(after.contains(SAYS) && !after.contains("\x1b[?2026h"), "{after:?}");
        let cells = |count| NonZero::new(count).unwrap();
        let mut terminal = vt100::Parser::new(cells(ROWS), cells(COLUMNS), 0);
        terminal.process(&bytes);
        let screen = terminal.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{text:?}");
        let rows: Vec<String> = screen.rows(0, COLUMNS).collect();
        let row = |text: &str| rows.iter().position(|row| row.contains(text)).unwrap_or_else(|| panic!("{rows:#?}"));
        assert!(row(SAYS) < row("the shell is here again"), "{rows:#?}");
    }
}
