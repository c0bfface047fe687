//! The end: in order, and nothing left of it.

use anyhow::{Context, Result, ensure};
use system_tests::*;

/// What Ctrl-C promises.
const END_S: f64 = 2.0;

fn speech() -> Result<Speech> {
    Speech::join(&BASE_SPEECH)
}

#[test]
fn ctrl_c_in_mid_sentence() -> Result<()> {
    let speech = speech()?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    instance.wait_captured(&ring, speech.span_s(1).start + 2.0)?;
    let family = processes_of(&instance.folders().runtime());
    ensure!(family.len() >= 5, "supervisor, engine, listener and two workers: {family:?}");
    ensure!(!instance.folders().runtime_files()?.is_empty(), "no files: the test looks at the wrong place");
    instance.interrupt()?;
    let stopped = instance.wait_stopped(watchdog(END_S))?;
    stopped.whole("pending")?;
    ensure!(!stopped.text("reason")?.is_empty(), "{}", stopped.fields);
    ensure!(family.iter().all(|process| !process.is_alive()), "{family:?}");
    instance.assert_once()?;
    instance.assert_clean()
}

#[test]
fn a_second_ctrl_c_ends_at_once() -> Result<()> {
    let speech = speech()?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("file")?;
    instance.wait_captured(&ring, speech.span_s(1).start + 2.0)?;
    instance.interrupt()?;
    // The first may already have been enough.
    instance.interrupt().ok();
    instance.wait_exit(watchdog(END_S))?;
    instance.assert_clean()
}

#[test]
fn ctrl_c_while_everything_is_starting() -> Result<()> {
    for processes in 2..=5 {
        let mut instance = Setup::run(&["test:tone"]).start()?;
        let runtime = instance.folders().runtime();
        wait_until("the first children", watchdog(5.0), || {
            Ok((processes_of(&runtime).len() >= processes).then_some(()))
        })?;
        instance.interrupt()?;
        instance.wait_exit(watchdog(END_S))?;
        instance.assert_clean().with_context(|| format!("interrupted with {processes} processes"))?;
    }
    Ok(())
}

#[test]
fn the_end_of_a_file_is_the_end() -> Result<()> {
    let mut instance = Setup::run(&[&format!("file:{}", clip_file("librivox_0880.wav").display())]).start()?;
    instance.wait_event("stopped", watchdog(10.0), |e| e.is("stopped"))?;
    let stopped = instance.wait_stopped(watchdog(END_S))?;
    ensure!(stopped.whole("pending")? == 0, "the end of a file is drained: {}", stopped.fields);
    ensure!(instance.said()?.to_lowercase().contains("young man"), "{}", instance.said()?);
    instance.assert_clean()
}

#[test]
fn a_terminal_is_left_as_it_was() -> Result<()> {
    let speech = speech()?;
    let mut terminal = Terminal::run(&[&speech.uri()])?;
    terminal.wait_shown("a sentence", watchdog(10.0), |shown| shown.to_lowercase().contains("young man"))?;
    ensure!(processes_of(&terminal.folders().runtime()).len() >= 5, "hardly any processes");
    terminal.press_ctrl_c()?;
    let status = terminal.wait_exit(watchdog(END_S))?;
    ensure!(status.code().is_some(), "ended by a signal: {status}");
    ensure!(terminal.settings()? == *terminal.settings_before(), "{:?}", terminal.settings()?);
    let shown = terminal.shown();
    let last = |sequence: &str| shown.rfind(sequence);
    ensure!(last("\x1b[?25l") <= last("\x1b[?25h"), "the cursor is hidden");
    ensure!(last("\x1b[?1049h") <= last("\x1b[?1049l"), "the other screen is left on");
    ensure!(!shown.contains("panicked at"), "a panic");
    terminal.folders().assert_clean()
}
