//! The meters of a running instance: true levels, sixty times a second, of every frame once, whoever dies.

use anyhow::{Context, Result, ensure};
use audio_dsp::{Signal, SignalSource};
use hound::{SampleFormat, WavSpec, WavWriter};
use nix::sys::signal::Signal as Ending;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use system_tests::*;

const RATE_HZ: u64 = 48_000;
/// Frames of a reading at that rate.
const WINDOW: u64 = RATE_HZ / 60;

/// `tympan meters --json`, followed. Dropped, it is ended.
struct Meters {
    child: Child,
    log: EventLog,
}

impl Meters {
    fn of(instance: &Instance, args: &[&str]) -> Result<Self> {
        let mut command = tympan(instance.folders())?;
        command.args(["meters", "--json"]).args(args).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("tympan meters")?;
        let log = EventLog::default();
        log.follow(child.stdout.take().context("piped")?);
        Ok(Self { child, log })
    }

    /// Waits for a reading of this stream.
    fn wait(&self, what: &str, stream: &str, seconds: f64, fits: impl Fn(&Event) -> bool) -> Result<Event> {
        self.log.wait(0, what, watchdog(seconds), |e| e.is("reading") && e.fields["stream"] == stream && fits(e))
    }

    /// Waits for its end, which is the instance's.
    fn wait_end(&mut self) -> Result<()> {
        let status = wait_until("the end of `tympan meters`", watchdog(2.0), || Ok(self.child.try_wait()?))?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    /// All readings of a stream.
    fn readings(&self, stream: &str) -> Result<Vec<Event>> {
        let mut events = self.log.all()?;
        events.retain(|event| event.is("reading") && event.fields["stream"] == stream);
        Ok(events)
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

fn loudness(reading: &Event, field: &str) -> Result<f64> {
    let loudness = &reading.fields["loudness"];
    loudness[field].as_f64().with_context(|| format!("no {field} in {}", reading.fields))
}

/// Readings that follow one another: each begins where the last one ends, but for what is said to be missing.
fn assert_unbroken(readings: &[Event]) -> Result<()> {
    for pair in readings.windows(2) {
        let missed = pair[1].whole("missed")?;
        let expected = pair[0].whole("to_frame")? + missed * WINDOW;
        ensure!(pair[1].whole("from_frame")? == expected, "{} before {}", pair[0].fields, pair[1].fields);
        ensure!(pair[1].whole("to_frame")? == expected + WINDOW, "{}", pair[1].fields);
    }
    Ok(())
}

#[test]
fn a_tone_has_its_level_sixty_times_a_second() -> Result<()> {
    let mut instance = Setup::run(&["tone=test:tone?hz=997&channels=2", "hush=test:silence"]).start()?;
    instance.wait_ready()?;
    let mut meters = Meters::of(&instance, &[])?;
    let first = meters.wait("a reading", "mix", 2.0, |_| true)?.whole("from_frame")?;
    for stream in ["tone", "hush", "mix"] {
        let enough = |event: &Event| event.whole("to_frame").is_ok_and(|to| to >= first + 6 * RATE_HZ);
        meters.wait("six seconds", stream, 7.0, enough)?;
        let readings = meters.readings(stream)?;
        assert_unbroken(&readings)?;
        // Five seconds of the frame index, which are the same in every stream.
        let (from, to) = (first.next_multiple_of(RATE_HZ), first.next_multiple_of(RATE_HZ) + 5 * RATE_HZ);
        let inside: Vec<_> = readings
            .iter()
            .filter(|event| event.whole("from_frame").is_ok_and(|frame| (from..to).contains(&frame)))
            .collect();
        let missed = inside.iter().map(|event| event.whole("missed")).sum::<Result<u64>>()?;
        ensure!(inside.len() as u64 + missed == 300, "{stream}: {} and {missed} missed in 5 s", inside.len());
        ensure!(inside.len() >= 295, "{stream}: {missed} of 300 missed");
        let last = inside.last().context("a reading")?;
        if stream == "hush" {
            near("silence", last.number("peak_dbfs")?, -144.0, 0.0)?;
            ensure!(last.fields["loudness"].is_null() && last.fields["channel_count"] == 1, "{}", last.fields);
            continue;
        }
        for (field, expected) in [("peak_dbfs", -6.02), ("rms_dbfs", -9.03), ("held_peak_dbfs", -6.02)] {
            near(field, last.number(field)?, expected, 0.1)?;
        }
        let channels = last.fields["channels"].as_array().context("channels")?;
        ensure!(channels.len() == 2 && channels[0] == channels[1] && last.whole("clips")? == 0, "{}", last.fields);
    }
    // The same sine in both channels: its peak in dBFS is its loudness (EBU Tech 3341).
    let last = meters.readings("mix")?.pop().context("a reading")?;
    for field in ["momentary_lufs", "short_term_lufs", "integrated_lufs", "true_peak_dbtp", "true_peak_max_dbtp"] {
        near(field, loudness(&last, field)?, -6.02, 0.1)?;
    }
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    meters.wait_end()?;
    instance.assert_clean()
}

/// A mono file of floats.
fn write_wav(path: &Path, rate: u32, channels: u16, samples: &[f32]) -> Result<()> {
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut writer = WavWriter::create(path, spec)?;
    samples.iter().try_for_each(|&sample| writer.write_sample(sample))?;
    Ok(writer.finalize()?)
}

#[test]
fn a_click_of_one_frame_is_in_one_reading_and_counted_as_a_clip() -> Result<()> {
    const CLICKS: usize = 20;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("clicks.wav");
    let mut samples = vec![0.0_f32; 10 * 48_000];
    for click in 0..CLICKS {
        // Anywhere in a reading, and first and last frames of some.
        samples[4 * 48_000 + click * 9_600 + [0, 799, 401, 1, 798][click % 5]] = 1.0;
    }
    write_wav(&file, 48_000, 1, &samples)?;
    let clicks = format!("clicks=file:{}", file.display());
    let mut instance = Setup::run(&[&clicks, "hush=test:silence"]).start()?;
    let ring = instance.ring("clicks")?;
    let mut meters = Meters::of(&instance, &["clicks", "mix"])?;
    let gone = |event: &Event| event.is("gone") && event.fields["stream"] == "clicks";
    meters.log.wait(0, "the end of the file", watchdog(11.0), gone)?;

    // Where they are, the ring says.
    let (first, end) = (ring.info().first_frame, ring.commit());
    let frames = usize::try_from(end.since(first))?;
    let mut sound = vec![0.0; frames];
    ring.read(first, &mut sound, frames)?;
    let places: Vec<u64> = (first.0..).zip(&sound).filter(|(_, sample)| **sample >= 1.0).map(|(at, _)| at).collect();
    ensure!(places.len() == CLICKS, "{} clicks", places.len());
    let readings = meters.readings("clicks")?;
    ensure!(readings[0].whole("from_frame")? < places[0], "it was looked at too late");
    ensure!(readings.iter().all(|event| event.fields["missed"] == 0), "some are missed");
    ensure!(readings[readings.len() - 1].whole("to_frame")? == end.0, "the end is in no reading");
    let mut clips = 0;
    for reading in &readings {
        let inside = reading.whole("from_frame")?..reading.whole("to_frame")?;
        let expected = places.iter().filter(|at| inside.contains(at)).count() as u64;
        let peak = reading.number("peak_dbfs")?;
        ensure!(expected <= 1 && peak == if expected == 1 { 0.0 } else { -144.0 }, "{}", reading.fields);
        clips += expected;
        ensure!(reading.whole("clips")? == clips, "{} after {clips} clips", reading.fields);
    }
    // The mix has them all; it is asked to count anew.
    let counted = |event: &Event| event.fields["clips"] == CLICKS;
    let last = meters.wait("all clicks in the mix", "mix", 1.0, counted)?;
    ensure!(last.number("held_peak_dbfs")? == 0.0, "{}", last.fields);
    let said = instance.command(&["meters", "mix", "--reset"])?;
    said.expect_success()?;
    ensure!(said.stdout == "counting anew: mix\n", "{said:?}");
    let anew = meters.wait("a reading without clips", "mix", 1.0, |event| {
        event.index > last.index
            && event.fields["clips"] == 0
            && event.fields["since_frame"] != last.fields["since_frame"]
    })?;
    ensure!(anew.number("held_peak_dbfs")? == -144.0 && anew.fields["loudness"]["integrated_lufs"].is_null());
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    meters.wait_end()?;
    instance.assert_clean()
}

#[test]
fn the_loudness_of_a_file_is_what_ffmpeg_says_of_it() -> Result<()> {
    const HZ: u32 = 44_100;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("programme.wav");
    // Loud and quiet parts, on both channels and on one; quiet at both ends, so that the same blocks are there.
    let mut samples = Vec::new();
    let sweep = Signal::Sweep { from_hz: 40.0, to_hz: 16_000.0, seconds: 2.0 };
    for (signal, seconds, left, right) in [
        (Signal::Silence, 1, 0.0, 0.0),
        (Signal::Noise, 3, 0.3, 0.2),
        (sweep, 4, 0.9, 0.0),
        (Signal::Noise, 4, 0.01, 0.02),
        (Signal::Tone { hz: 440.0 }, 3, 0.1, 1.4),
        (Signal::Silence, 1, 0.0, 0.0),
    ] {
        let mut part = vec![0.0_f32; 2 * HZ as usize * seconds];
        SignalSource::new(signal, HZ).fill(&mut part, 2);
        samples.extend(part.iter().zip([left, right].into_iter().cycle()).map(|(sample, gain)| sample * gain));
    }
    write_wav(&file, HZ, 2, &samples)?;
    let filter = "ebur128=peak=true:metadata=1,ametadata=mode=print:key=lavfi.r128.I:file=-";
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-nostats", "-i"]).arg(&file).args([
        "-filter_complex",
        filter,
        "-f",
        "null",
        "/dev/null",
    ]);
    let theirs = run_to_end(&mut ffmpeg, watchdog(5.0))?;
    theirs.expect_success()?;
    let last = |text: &str, key: &str| -> Result<f64> {
        let line = text.lines().filter_map(|line| line.trim().strip_prefix(key)).next_back();
        let value = line.and_then(|line| line.split_whitespace().next()).and_then(|value| value.parse().ok());
        value.with_context(|| format!("ffmpeg says no {key}: {text}"))
    };
    let (integrated, peak) = (last(&theirs.stdout, "lavfi.r128.I=")?, last(&theirs.stderr, "Peak:")?);
    ensure!((-20.0..-5.0).contains(&integrated) && (-6.0..0.0).contains(&peak), "{integrated} LUFS, {peak} dBTP");

    let programme = format!("programme=file:{}", file.display());
    let mut instance = Setup::run(&[&programme, "hush=test:silence"]).start()?;
    instance.ring("mix")?;
    let mut meters = Meters::of(&instance, &[])?;
    let gone = |event: &Event| event.is("gone") && event.fields["stream"] == "programme";
    let end = meters.log.wait(0, "the end of the file", watchdog(17.0), gone)?;
    let after = meters.wait("the mix after it", "mix", 1.0, |event| event.index > end.index + 60)?;
    near("integrated", loudness(&after, "integrated_lufs")?, integrated, 0.1)?;
    near("true peak", loudness(&after, "true_peak_max_dbtp")?, peak, 0.2)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    meters.wait_end()?;
    instance.assert_clean()
}

#[test]
fn meters_outlive_the_engine_and_end_with_the_instance() -> Result<()> {
    let mut instance = Setup::run(&["tone=test:tone"]).start()?;
    instance.wait_ready()?;
    let mut meters = Meters::of(&instance, &["tone"])?;
    let before = meters.wait("a reading", "tone", 2.0, |_| true)?;
    instance.kill_role("engine")?;
    let gone = meters.log.wait(0, "its going", watchdog(1.0), |event| event.is("gone"))?;
    let after = meters.wait("a reading of the next engine", "tone", 2.0, |event| event.index > gone.index)?;
    let (ended, began) = (before.whole("to_frame")?, after.whole("from_frame")?);
    ensure!(began > ended && after.whole("since_frame")? == began, "{} after {}", after.fields, before.fields);
    // The first one may be of a few frames.
    let next = meters.wait("the one after it", "tone", 1.0, |event| event.index > after.index)?;
    near("peak", next.number("peak_dbfs")?, -6.02, 0.1)?;
    // A source that comes is there with its first frame, and one that goes is gone.
    let all = Meters::of(&instance, &[])?;
    all.wait("a reading", "mix", 2.0, |_| true)?;
    instance.command(&["source", "add", "guest=test:tone"])?.expect_success()?;
    let guest = all.wait("the guest", "guest", 2.0, |_| true)?;
    ensure!(guest.whole("from_frame")? == instance.ring("guest")?.info().first_frame.0, "{}", guest.fields);
    instance.command(&["source", "remove", "guest"])?.expect_success()?;
    let leaves = |event: &Event| event.is("gone") && event.fields["stream"] == "guest";
    all.log.wait(0, "its going", watchdog(1.0), leaves)?;

    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    meters.wait_end()?;
    drop(all);
    instance.assert_clean()
}

#[test]
fn what_is_asked_for_wrongly_is_refused_in_plain_words() -> Result<()> {
    let mut instance = Setup::run(&["tone=test:tone"]).start()?;
    instance.wait_ready()?;
    instance.command(&["meters", "mic"])?.expect_exit(3, &["no meter of mic", "there is tone, mix"])?;
    instance.command(&["meters", "mic", "--reset"])?.expect_exit(3, &["mic", "tone", "mix"])?;
    instance.command(&["meters", "--rate", "61"])?.expect_exit(2, &["1..=60"])?;
    // There must have been a tenth of a second.
    instance.wait_captured(&instance.ring("tone")?, 0.5)?;
    let once = instance.command(&["meters", "--once"])?;
    once.expect_success()?;
    let names: Vec<_> = once.stdout.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    ensure!(names == ["stream", "tone", "mix"], "{}", once.stdout);
    let json = instance.command(&["meters", "tone", "--once", "--json"])?;
    json.expect_success()?;
    let line: serde_json::Value = serde_json::from_str(&json.stdout).with_context(|| json.stdout.clone())?;
    ensure!(
        line["stream"] == "tone" && line["to_frame"].as_u64() >= line["from_frame"].as_u64().map(|f| f + 6 * WINDOW)
    );
    // Ten a second, and no frame is in none.
    let meters = Meters::of(&instance, &["tone", "--rate", "10"])?;
    wait_until("a second of them", watchdog(2.0), || Ok((meters.log.len() > 10).then_some(())))?;
    for pair in meters.readings("tone")?.windows(2).skip(1) {
        let (from, to) = (pair[1].whole("from_frame")?, pair[1].whole("to_frame")?);
        ensure!(from == pair[0].whole("to_frame")? && (to - from == 6 * WINDOW || pair[1].fields["missed"] != 0));
    }
    drop(meters);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.command(&["meters"])?.expect_exit(18, &["no tympan runs here", "`tympan run`"])?;
    instance.assert_clean()
}

#[test]
fn bars_move_on_a_terminal_which_is_as_before_afterwards() -> Result<()> {
    const ENTER: &str = "\x1b[?1049h";
    const LEAVE: &str = "\x1b[?1049l";
    let mut instance = Setup::run(&["tone=test:tone"]).start()?;
    instance.wait_ready()?;
    let runtime = instance.folders().runtime();
    let runtime = runtime.to_str().context("a path")?;
    for (locale, no_colour, key) in [("C.UTF-8", "", "\x03"), ("C", "1", "q")] {
        let variables = [("TYMPAN_RUNTIME_DIR", runtime), ("LC_ALL", locale), ("NO_COLOR", no_colour)];
        let mut terminal = Terminal::start(100, &["meters"], &variables)?;
        let pictures = |shown: &str| shown.matches("\x1b[H").count();
        terminal.wait_shown("two seconds of pictures", watchdog(3.0), |shown| pictures(shown) > 120)?;
        let shown = terminal.shown();
        let page = shown.rsplit("\x1b[H").nth(1).context("a page")?;
        for text in ["tone", "mix", "LUFS", "dBTP", "-6.0", "clips"] {
            ensure!(page.contains(text), "no {text} in {page:?}");
        }
        let (drawn, coloured) = (page.contains('█'), page.contains("\x1b[32m"));
        ensure!((drawn, coloured) == (locale != "C", no_colour.is_empty()), "{locale}: {page:?}");
        ensure!(drawn || (page.contains('#') && page.is_ascii()), "{page:?}");
        terminal.press(key)?;
        ensure!(terminal.wait_exit(watchdog(1.0))?.success());
        // Its last words may still be on their way.
        terminal.wait_shown("the page's end", watchdog(1.0), |shown| shown.contains(LEAVE))?;
        let shown = terminal.shown();
        ensure!(shown.matches(ENTER).count() == 1 && shown.matches(LEAVE).count() == 1, "{shown:?}");
        ensure!(shown.find(ENTER) < shown.find(LEAVE) && shown.contains("\x1b[?25h"), "{shown:?}");
        ensure!(terminal.settings()? == *terminal.settings_before(), "the terminal is not as it was");
    }
    // It needs nobody's help, and disturbs nobody: the instance may be stopped.
    ensure!(end_process(instance.pid(), Ending::SIGSTOP));
    let once = instance.command(&["meters", "mix", "--once"]);
    ensure!(end_process(instance.pid(), Ending::SIGCONT));
    once?.expect_success()?;
    std::thread::sleep(Duration::from_millis(10));
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}
