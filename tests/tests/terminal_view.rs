//! `tympan viz` in a terminal, as a person has it: real rings, the real program, and the screen that is read.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use shm_layout::v1;
use std::process::{Command, Stdio};
use std::time::Duration;
use system_tests::*;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);
/// How far what is shown may be from what is written: the peak's frequency and level, and a meter's.
const HZ_TOLERANCE: f64 = 1.0;
const DB_TOLERANCE: f64 = 0.2;

fn soon() -> Duration {
    watchdog(2.0)
}

/// 440 Hz at −6.02 dBFS on the left, 1,000 Hz at −20 dBFS on the right.
fn pair(folders: &Folders) -> Result<ToneWriter> {
    let labels = vec!["left".into(), "right".into()];
    Tones { labels, ..Tones::new("mic", 48_000, &[(440, 0.5), (1_000, 0.1)]) }.start(&folders.runtime())
}

/// The peak that the spectrum's title names.
fn peak(rows: &[String]) -> Option<(f64, f64)> {
    let row = rows.iter().find(|row| row.contains(" Hz ") && row.contains(" dBFS"))?;
    let before = |unit: &str| row.split(unit).next()?.split_whitespace().last()?.parse().ok();
    Some((before(" Hz ")?, before(" dBFS")?))
}

/// Whether row 0 shows this setting.
fn heading<'a>(word: &'a str) -> impl Fn(&[String]) -> bool + 'a {
    move |rows| rows[0].contains(word)
}

fn anywhere<'a>(word: &'a str) -> impl Fn(&[String]) -> bool + 'a {
    move |rows| rows.iter().any(|row| row.contains(word))
}

fn lightness(color: vt100::Color) -> u32 {
    match color {
        vt100::Color::Rgb(red, green, blue) => u32::from(red) + u32::from(green) + u32::from(blue),
        _ => 0,
    }
}

#[test]
fn what_is_shown_is_what_is_in_the_ring() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    let mut viewer = Viewer::start(&folders, LARGE, &["mic", "--scale", "linear"], &[])?;
    let rows = viewer.wait("the left peak", soon(), |rows| peak(rows).is_some_and(|peak| peak.0 > 400.0))?;
    let (hz, db) = peak(&rows).context("a peak")?;
    near("left Hz", hz, 440.0, HZ_TOLERANCE)?;
    near("left dB", db, 20.0 * 0.5_f64.log10(), DB_TOLERANCE)?;
    ensure!(rows.iter().any(|row| row.contains("mic left") && row.contains("48 kHz")), "{rows:#?}");
    // Peak and mean of both channels, side by side with their bars.
    let rows = viewer
        .wait("meters", soon(), |rows| rows.iter().any(|row| row.contains("mic right") && row.contains("-23.0")))?;
    ensure!(
        rows.iter().any(|row| row.contains("mic left") && row.contains("-6.0") && row.contains("-9.0")),
        "{rows:#?}"
    );
    viewer.press("\t")?;
    let rows = viewer.wait("the right peak", soon(), |rows| peak(rows).is_some_and(|peak| peak.0 > 800.0))?;
    let (hz, db) = peak(&rows).context("a peak")?;
    near("right Hz", hz, 1_000.0, HZ_TOLERANCE)?;
    near("right dB", db, -20.0, DB_TOLERANCE)?;
    // The spectrogram has its brightest row where the tone is.
    viewer.press("vvo")?;
    viewer.wait("one spectrogram", soon(), |rows| rows[0].contains("spectrogram") && rows[2].contains("Hz"))?;
    std::thread::sleep(Duration::from_millis(300));
    let screen = viewer.screen();
    let (top, height) = (2, LARGE.1 - 4);
    let pixel = |row: u16| {
        let cell = screen.cell(top + row / 2, LARGE.0 - 20)?;
        let upper = if cell.contents() == "▀" { cell.fgcolor() } else { cell.bgcolor() };
        Some(lightness(if row.is_multiple_of(2) { upper } else { cell.bgcolor() }))
    };
    let brightest = (0..2 * height).max_by_key(|row| pixel(*row)).context("rows")?;
    let expected = (1.0 - 1_000.0 / 24_000.0) * f64::from(2 * height);
    near("the tone's row", f64::from(brightest), expected, 1.5)?;
    Ok(())
}

#[test]
fn every_key_does_what_it_says() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    let mut viewer = Viewer::start(&folders, LARGE, &["mic"], &[])?;
    // A picture comes in pieces, its last row at the end.
    let whole = |rows: &[String]| heading("live")(rows) && rows.last().is_some_and(|row| !row.trim().is_empty());
    let footer = viewer.wait("a footer", soon(), whole)?.pop().context("a footer")?;
    for key in ["quit", "help", "pause", "scroll", "zoom", "view", "next", "only", "colour", "scale", "fft", "window"] {
        ensure!(footer.contains(key), "{key} is not in the footer: {footer}");
    }
    for (key, word) in [
        ("+", "2 s"),
        ("\x1b[B", "5 s"),
        ("w", "hamming 2048"),
        ("W", "hann 2048"),
        ("f", "4096"),
        ("F", "2048"),
        ("]", "-85..0"),
        ("[", "-90..0"),
        ("{", "-90..-5"),
        ("}", "-90..0"),
        ("s", "mel"),
        ("c", "plasma"),
        ("C", "viridis"),
        ("v", "waveform"),
        ("V", "all"),
        (" ", "paused"),
        ("\x1b[D", "paused -1.25 s"),
        ("\x1b[C", "paused"),
        ("\x1b[H", "paused -"),
        ("\x1b[F", "live"),
        ("\x1b[5~", "paused -"),
        (" ", "live"),
    ] {
        viewer.press(key)?;
        viewer.wait(&format!("{word} after {key:?}"), soon(), heading(word))?;
    }
    viewer.press("o")?;
    viewer.wait("one channel", soon(), |rows| rows.iter().filter(|row| row.contains("48 kHz")).count() == 1)?;
    viewer.press("\t")?;
    viewer.wait("the next channel", soon(), |rows| rows[1].contains("mic right"))?;
    viewer.press("oa")?;
    viewer.wait("a higher wave", soon(), anywhere("-6dB"))?;
    viewer.press("?")?;
    viewer.wait("help", soon(), anywhere("lost: overwritten"))?;
    viewer.press("?V")?;
    viewer.wait("meters", soon(), |rows| rows[0].contains("meters") && !anywhere("lost: overwritten")(rows))?;
    viewer.press("q")?;
    ensure!(viewer.wait_exit(soon())?.success(), "q is no fault");
    Ok(())
}

#[test]
fn colours_are_those_the_terminal_has() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    /// Foreground and background colours in the picture.
    fn colours(viewer: &Viewer) -> Vec<vt100::Color> {
        let screen = viewer.screen();
        let cells = (0..SMALL.1).flat_map(|row| (0..SMALL.0).map(move |column| (row, column)));
        let cells = cells.filter_map(|(row, column)| screen.cell(row, column));
        cells
            .flat_map(|cell| [cell.fgcolor(), cell.bgcolor()])
            .filter(|color| *color != vt100::Color::Default)
            .collect()
    }
    use vt100::Color::{Idx, Rgb};
    let start = |variables: &[(&str, &str)]| -> Result<Viewer> {
        let mut viewer = Viewer::start(&folders, SMALL, &["mic"], variables)?;
        viewer.wait("the peak", soon(), |rows| rows[0].contains("live") && anywhere("440")(rows))?;
        Ok(viewer)
    };
    let seen = colours(&start(&[])?);
    ensure!(seen.len() > 400 && seen.iter().all(|color| matches!(color, Rgb(..))), "true colour: {}", seen.len());
    let seen = colours(&start(&[("COLORTERM", "")])?);
    ensure!(seen.len() > 400 && seen.iter().all(|color| matches!(color, Idx(16..))), "256 colours: {}", seen.len());
    let mut sixteen = start(&[("COLORTERM", ""), ("TERM", "xterm")])?;
    sixteen.wait("shades", soon(), |rows| {
        rows.iter().any(|row| row.contains('▒') || row.contains('░') || row.contains('▓'))
    })?;
    let seen = colours(&sixteen);
    ensure!(seen.len() > 200 && seen.iter().all(|color| matches!(color, Idx(..16))), "16 colours: {}", seen.len());
    let plain = start(&[("NO_COLOR", "1")])?;
    ensure!(colours(&plain).is_empty(), "NO_COLOR has colours");
    let ascii = start(&[("NO_COLOR", "1"), ("LC_ALL", "C")])?;
    ensure!(ascii.rows().concat().is_ascii(), "{:#?}", ascii.rows());
    // A terminal that can draw nothing gets lines.
    let mut dumb = Viewer::start(&folders, SMALL, &["mic"], &[("TERM", "dumb")])?;
    dumb.wait("a line", soon(), |rows| rows.iter().any(|row| row.contains("mic at") && row.contains("peak -6.0")))?;
    dumb.signal(Signal::SIGINT)?;
    ensure!(dumb.wait_exit(soon())?.success(), "interrupted");
    ensure!(!dumb.bytes().contains(&0x1b), "control sequences: {:?}", String::from_utf8_lossy(&dumb.bytes()));
    Ok(())
}

#[test]
fn another_size_is_drawn_anew() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    let mut viewer = Viewer::start(&folders, LARGE, &["mic"], &[])?;
    viewer.wait("the first size", soon(), |rows| rows.len() == 40 && rows[39].contains("quit"))?;
    for (columns, rows) in [SMALL, (200, 50), (40, 10)] {
        viewer.resize((columns, rows))?;
        let last = usize::from(rows) - 1;
        viewer.wait("the new size", soon(), |seen| {
            seen.len() == last + 1 && seen[last].contains("quit") && seen[0].contains("tympan")
        })?;
    }
    viewer.resize((20, 5))?;
    viewer.wait("too small", soon(), |rows| rows[0].contains("too small") && rows[1].contains("40 x 10"))?;
    viewer.resize(SMALL)?;
    viewer.wait("room again", soon(), |rows| rows[23].contains("quit"))?;
    Ok(())
}

#[test]
fn rings_that_end_are_followed() -> Result<()> {
    let folders = Folders::new()?;
    let mut ring = Tones::new("mic", 48_000, &[(440, 0.5)]).start(&folders.runtime())?;
    let mut viewer = Viewer::start(&folders, SMALL, &["mic"], &[])?;
    viewer.wait("the peak", soon(), |rows| peak(rows).is_some_and(|(hz, _)| (hz - 440.0).abs() < HZ_TOLERANCE))?;
    let end = ring.close()?;
    viewer.wait("its end", soon(), |rows| rows[1].contains("closed"))?;
    // The next epoch begins half a second later: a gap.
    let next = Tones { epoch: 2, first: end + 24_000, ..Tones::new("mic", 48_000, &[(1_000, 0.5)]) };
    let mut next = next.start(&folders.runtime())?;
    viewer
        .wait("the next epoch", soon(), |rows| rows[1].contains("replaced 1×") && rows[1].contains("1 gap 0.50 s"))?;
    let rows = viewer
        .wait("its tone", soon(), |rows| peak(rows).is_some_and(|(hz, _)| (hz - 1_000.0).abs() < HZ_TOLERANCE))?;
    ensure!(rows[3..12].iter().any(|row| row.matches('┊').count() >= 3), "no gap is drawn: {rows:#?}");
    next.close()?;
    // Another program's, which is killed.
    for file in std::fs::read_dir(folders.runtime())? {
        std::fs::remove_file(file?.path())?;
    }
    let writer = Command::new(env!("CARGO_BIN_EXE_paced-writer"))
        .arg(folders.runtime())
        .args(["mic", "1", "0", "8000", "1", "0", "0"])
        .stdin(Stdio::piped())
        .spawn();
    let mut writer = writer.context("paced-writer")?;
    let seen =
        viewer.wait("another session", soon(), |rows| rows[1].contains("replaced 2×") && rows[1].contains("8 kHz"));
    writer.kill()?;
    writer.wait()?;
    seen?;
    viewer.wait("its crash", soon(), |rows| rows[1].contains("crashed"))?;
    Ok(())
}

#[test]
fn wide_fast_narrow_and_slow_rings_are_drawn() -> Result<()> {
    let folders = Folders::new()?;
    let wide: Vec<(u32, f32)> = (1..=64).map(|channel| (channel * 500, 0.5)).collect();
    let _wide =
        Tones { history_s: 1.0, ahead_s: 0.5, ..Tones::new("wide", 192_000, &wide) }.start(&folders.runtime())?;
    let _slow = Tones::new("slow", 8_000, &[(440, 0.5)]).start(&folders.runtime())?;
    let mut viewer = Viewer::start(&folders, LARGE, &["--fps", "60", "wide", "slow"], &[])?;
    let channel = |n: f64| move |rows: &[String]| peak(rows).is_some_and(|(hz, _)| (hz - n * 500.0).abs() < 5.0);
    viewer.wait("the first channel", watchdog(4.0), channel(1.0))?;
    viewer.press(&"\t".repeat(63))?;
    viewer.wait("the last of 64", watchdog(4.0), channel(64.0))?;
    viewer.press("\t")?;
    let seen = viewer.wait("the other stream", watchdog(4.0), |rows| {
        peak(rows).is_some_and(|(hz, _)| (hz - 440.0).abs() < HZ_TOLERANCE)
    })?;
    ensure!(seen.iter().any(|row| row.contains("slow") && row.contains("8 kHz")), "{seen:#?}");
    ensure!(seen[0].contains("of 65"), "{}", seen[0]);
    Ok(())
}

#[test]
fn a_ring_of_version_1_is_drawn() -> Result<()> {
    let folders = Folders::new()?;
    let path = folders.notes().join("old.audio");
    let info = v1::Info { sample_rate_hz: 8_000, channels: 1, capacity_frames: 16_000, write_frames: 80 };
    let mut ring = v1::Writer::create(&path, info)?;
    for block in 0..100 {
        #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
        let tone = |frame: u32| (0.5 * (std::f64::consts::TAU * 440.0 * f64::from(frame) / 8_000.0).sin()) as f32;
        ring.write(&(block * 80..(block + 1) * 80).map(tone).collect::<Vec<_>>());
    }
    let mut viewer = Viewer::start(&folders, SMALL, &[path.to_str().context("path")?], &[])?;
    let rows =
        viewer.wait("its peak", soon(), |rows| peak(rows).is_some_and(|(hz, _)| (hz - 440.0).abs() < HZ_TOLERANCE))?;
    ensure!(rows[1].contains("version 1") && rows[1].contains("8 kHz"), "{}", rows[1]);
    viewer.wait("that it stands still", soon(), |rows| rows[1].contains("no frames for"))?;
    Ok(())
}

#[test]
fn what_was_overwritten_unread_is_a_loss_in_the_picture() -> Result<()> {
    let folders = Folders::new()?;
    let short = Tones { history_s: 0.5, ahead_s: 0.4, ..Tones::new("mic", 48_000, &[(440, 0.5)]) };
    let _ring = short.start(&folders.runtime())?;
    let mut viewer = Viewer::start(&folders, SMALL, &["mic"], &[])?;
    viewer.wait("live", soon(), |rows| peak(rows).is_some())?;
    viewer.signal(Signal::SIGSTOP)?;
    std::thread::sleep(Duration::from_secs(2));
    viewer.signal(Signal::SIGCONT)?;
    let rows = viewer.wait("the loss", soon(), |rows| rows[1].contains("1 loss 1."))?;
    ensure!(rows[3..14].iter().any(|row| row.matches('╳').count() >= 10), "{rows:#?}");
    Ok(())
}

#[test]
fn a_viewer_ends_with_its_terminal() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    // The second of them has half a key in its line, for the rest of which is waited.
    for (keys, variables) in [("", &[][..]), ("\x1b[", &[]), ("", &[("TERM", "dumb")])] {
        let mut viewer = Viewer::start(&folders, SMALL, &["mic"], variables)?;
        viewer.wait("the tone", soon(), anywhere("440"))?;
        viewer.press(keys)?;
        std::thread::sleep(watchdog(0.02));
        viewer.hang_up()?;
        let ended = viewer.wait_exit(soon()).with_context(|| format!("after {keys:?}, with {variables:?}"))?;
        ensure!(ended.success(), "{ended} after {keys:?}, with {variables:?}");
    }
    Ok(())
}

#[test]
fn the_terminal_is_given_back() -> Result<()> {
    let folders = Folders::new()?;
    let _ring = pair(&folders)?;
    for end in ["q", "\x03", "SIGTERM", "SIGINT", "SIGHUP"] {
        let mut viewer = Viewer::start(&folders, SMALL, &["mic"], &[])?;
        viewer.wait("live", soon(), heading("live"))?;
        ensure!(viewer.screen().alternate_screen() && !viewer.is_line_restored()?, "it did not take the terminal");
        match end {
            "SIGTERM" => viewer.signal(Signal::SIGTERM)?,
            "SIGINT" => viewer.signal(Signal::SIGINT)?,
            "SIGHUP" => viewer.signal(Signal::SIGHUP)?,
            key => viewer.press(key)?,
        }
        ensure!(viewer.wait_exit(soon())?.success(), "{end:?} is an orderly end");
        let given_back = || {
            Ok((viewer.is_line_restored()? && !viewer.screen().alternate_screen() && !viewer.screen().hide_cursor())
                .then_some(()))
        };
        wait_until(&format!("the terminal after {end:?}"), soon(), given_back)?;
    }
    let mut viewer = Viewer::start(&folders, SMALL, &["mic"], &[])?;
    viewer.wait("live", soon(), heading("live"))?;
    for aside in ["\x1a", "SIGTSTP"] {
        if aside == "SIGTSTP" {
            viewer.signal(Signal::SIGTSTP)?
        } else {
            viewer.press(aside)?
        };
        wait_until("the stop", soon(), || Ok(viewer.is_stopped()?.then_some(())))?;
        wait_until("the shell's screen", soon(), || Ok((!viewer.screen().alternate_screen()).then_some(())))?;
        ensure!(viewer.is_line_restored()?, "the line is still raw after {aside:?}");
        viewer.signal(Signal::SIGCONT)?;
        viewer.wait("live again", soon(), heading("live"))?;
        ensure!(
            viewer.screen().alternate_screen() && !viewer.is_line_restored()?,
            "it did not take the terminal again"
        );
    }
    Ok(())
}

#[test]
fn levels_are_lines_for_programs() -> Result<()> {
    let folders = Folders::new()?;
    let mut ring = pair(&folders)?;
    let mut command = tympan(&folders)?;
    command.args(["viz", "--json", "--fft", "8192"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let log = EventLog::default();
    log.follow(child.stdout.take().context("piped")?);
    let line = log.wait(0, "levels", watchdog(2.0), |event| event.is("levels"));
    ring.close()?;
    // All rings have ended, and nothing came after them.
    let ended = wait_until("its end", watchdog(5.0), || Ok(child.try_wait()?));
    let _ended_already = child.kill();
    let line = line?;
    let left = &line.fields["channels"][0];
    let number = |name: &str| left[name].as_f64().with_context(|| format!("no {name} in {left}"));
    near("tone", number("tone_hz")?, 440.0, HZ_TOLERANCE)?;
    near("its level", number("tone_dbfs")?, -6.02, DB_TOLERANCE)?;
    near("the mean", number("rms_dbfs")?, -9.03, 0.05)?;
    ensure!(line.fields["stream"] == "mic" && left["label"] == "left", "{:?}", line.fields);
    ensure!(ended?.success(), "an end in order");
    Ok(())
}

#[test]
fn mistakes_are_explained() -> Result<()> {
    let folders = Folders::new()?;
    let said = |args: &[&str]| -> Result<Finished> {
        run_to_end(tympan(&folders)?.arg("viz").args(args).stdin(Stdio::null()), watchdog(1.0))
    };
    said(&[])?.expect_exit(18, &["`tympan run` makes them"])?;
    let _ring = pair(&folders)?;
    let clip = clip_file("jfk.wav");
    said(&[clip.to_str().context("path")?])?.expect_exit(2, &["is a recording", "--png"])?;
    said(&["mic", "--channels", "3"])?.expect_exit(2, &["mic has 2"])?;
    said(&["mic", "--from", "-3s"])?.expect_exit(2, &["--from", "--png FILE"])?;
    said(&["mice"])?.expect_exit(3, &["\"mice\"", ": mic"])?;
    Ok(())
}

#[test]
fn all_streams_of_an_instance_are_shown_with_its_meters() -> Result<()> {
    let instance = Setup::run(&["test:tone?hz=440"]).start()?;
    instance.wait_ready()?;
    let mut viewer = Viewer::start(instance.folders(), LARGE, &[], &[])?;
    viewer.wait("the source and the mix", soon(), |rows| anywhere("mix ")(rows) && anywhere("test ")(rows))?;
    viewer.wait("the mix's loudness", soon(), anywhere("LUFS"))?;
    viewer.wait("the peak", soon(), |rows| peak(rows).is_some_and(|(hz, _)| (hz - 440.0).abs() < HZ_TOLERANCE))?;
    Ok(())
}
