//! `tympan viz --png --csv`: known sounds stand in pictures and tables where they must, and what is wrong is said.

use anyhow::{Context, Result, ensure};
use audio_dsp::ColourMap;
use nix::sys::signal::Signal;
use shm_layout::{Epoch, FrameIndex, RingSpec, RingWriter, SessionId};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use system_tests::*;

const RATE_HZ: u32 = 16_000;
const SECONDS: usize = 4;

/// A 440 Hz tone of half of full scale at the left; a chirp from 0 Hz to half the rate, with a click of one sample, at the
/// right.
#[expect(clippy::cast_possible_truncation, reason = "samples")]
fn tone_and_chirp() -> [Vec<f32>; 2] {
    let count = SECONDS * RATE_HZ as usize;
    let tau = std::f64::consts::TAU;
    let times = || (0..count).map(|n| n as f64 / f64::from(RATE_HZ));
    let tone = times().map(|t| (0.5 * (tau * 440.0 * t).sin()) as f32).collect();
    // 2,000 Hz more each second.
    let mut chirp: Vec<f32> = times().map(|t| (0.25 * (tau * 1_000.0 * t * t).sin()) as f32).collect();
    chirp[count / 2] = 0.9;
    [tone, chirp]
}

fn write_wav(path: &Path, planar: &[Vec<f32>], rate_hz: u32) -> Result<()> {
    let spec = hound::WavSpec {
        channels: u16::try_from(planar.len())?,
        sample_rate: rate_hz,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut wav = hound::WavWriter::create(path, spec)?;
    for frame in 0..planar[0].len() {
        planar.iter().try_for_each(|plane| wav.write_sample(plane[frame]))?;
    }
    Ok(wav.finalize()?)
}

/// A part of the way from one pixel to another.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels")]
fn between(from: usize, to: usize, part: f64) -> usize {
    from + ((to - from) as f64 * part) as usize
}

struct Room {
    folders: Folders,
}

impl Room {
    fn new() -> Result<Self> {
        let folders = Folders::new()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folders.runtime())?;
        Ok(Self { folders })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folders.notes().join(name)
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = tympan(&self.folders)?;
        command.arg("viz").args(args).current_dir(self.folders.notes());
        Ok(command)
    }

    fn viz(&self, args: &[&str]) -> Result<Finished> {
        run_to_end(&mut self.command(args)?, watchdog(6.0))
    }

    /// A ring in the folder of this room's instance, which does not run.
    fn ring(&self, stream: &str, rate_hz: u32, channels: u32, capacity_frames: u64) -> Result<RingWriter> {
        let spec = RingSpec {
            stream: stream.into(),
            session: SessionId([5; 16]),
            epoch: Epoch(1),
            previous_epoch: None,
            sample_rate_hz: rate_hz,
            channels,
            capacity_frames,
            first_frame: FrameIndex(0),
            labels: Vec::new(),
            overview: false,
        };
        Ok(RingWriter::create(&self.folders.runtime(), &spec)?)
    }
}

#[test]
fn a_tone_a_chirp_and_a_click_are_where_they_must_be() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    let args =
        ["--png", "a.png", "--csv", "a.csv", "--scale", "linear", "--fft", "1024", "--range", "-80..0", "known.wav"];
    let done = room.viz(&args)?;
    done.expect_success()?;
    ensure!(done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
    let table = Table::read(&room.path("a.csv"))?;
    let [channel, time, min, max] =
        [table.column("channel")?, table.column("time_s")?, table.column("min")?, table.column("max")?];
    let (mut tones, mut chirps, mut clicks) = (0, 0, 0);
    for row in &table.rows {
        let seconds: f64 = row[time].parse()?;
        let (least, greatest): (f64, f64) = (row[min].parse()?, row[max].parse()?);
        // The transforms at both ends have silence in them.
        let inside = (0.1..3.9).contains(&seconds);
        let (hz, level) = table.loudest(row)?;
        if row[channel] == "left" && inside {
            ensure!((hz - 440.0).abs() <= 15.7 && (level + 6.02).abs() < 1.5, "{seconds} s: {level} dB at {hz} Hz");
            ensure!((greatest - 0.5).abs() < 0.01 && (least + 0.5).abs() < 0.01, "{seconds} s: {least} to {greatest}");
            tones += 1;
        } else if inside && (seconds - 2.0).abs() > 0.05 {
            ensure!((hz - 2_000.0 * seconds).abs() < 90.0, "{seconds} s: the chirp is at {hz} Hz");
            chirps += 1;
        }
        clicks += usize::from(greatest > 0.85);
    }
    ensure!(tones > 200 && chirps > 200, "{tones} and {chirps} rows");
    ensure!(clicks == 1, "one sample's click is in {clicks} rows");

    let picture = Picture::read(&room.path("a.png"))?;
    ensure!((picture.width, picture.height) == (1_600, 900), "{}x{}", picture.width, picture.height);
    let panels = picture.panels();
    ensure!(panels.len() == 5, "waveform and spectrogram of two channels, and a spectrum: {panels:?}");
    let brightest_hz = |panel: (usize, usize, usize, usize), part: f64| {
        let (left, top, right, bottom) = panel;
        let x = between(left, right, part);
        // Beyond the label in the corner.
        let best = (top..bottom)
            .map(|y| (level_of(ColourMap::Viridis, picture.at(x, y)), y))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let (level, y) = best.unwrap_or((0.0, top));
        let height = (bottom - top) as f64;
        (level * 80.0 - 80.0, (bottom as f64 - 0.5 - y as f64) / height * f64::from(RATE_HZ) / 2.0, 8_000.0 / height)
    };
    for part in [0.2, 0.4, 0.6, 0.8] {
        let (level, hz, row_hz) = brightest_hz(panels[1], part);
        ensure!((hz - 440.0).abs() < row_hz + 16.0 && (level + 6.0).abs() < 2.0, "tone: {level} dB at {hz} Hz");
        let (_, hz, row_hz) = brightest_hz(panels[3], part);
        ensure!((hz - 8_000.0 * part).abs() < row_hz * 2.0 + 60.0, "chirp: {hz} Hz at {part}");
    }
    // The click stands above the chirp's wave, in one place alone.
    let (left, top, right, bottom) = panels[2];
    let y = between(top, bottom, (1.0 - 0.8) / 2.0);
    let dark: Vec<usize> = (left + 100..right).filter(|&x| picture.at(x, y)[0] < 100).collect();
    let middle = left + (right - left) / 2;
    ensure!(!dark.is_empty() && dark.iter().all(|x| x.abs_diff(middle) <= 2), "the click at {middle}: {dark:?}");
    Ok(())
}

#[test]
fn a_second_of_sound_is_drawn_without_steps() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    let span = ["--from", "1s", "--to", "2s", "--channels", "2", "known.wav"];
    let picture = ["--png", "a.png", "--csv", "a.csv"];
    room.viz(&[&picture[..], &["--scale", "linear"], &span].concat())?.expect_success()?;
    room.viz(&[&["--csv", "alone.csv"][..], &span].concat())?.expect_success()?;
    // 64 ms at 16 kHz, and a row each quarter of that, whether there is a picture or not.
    let table = fs::read_to_string(room.path("a.csv"))?;
    ensure!(table == fs::read_to_string(room.path("alone.csv"))?, "a picture changes the table");
    let header = table.lines().next().unwrap_or_default();
    ensure!(header.ends_with(",dbfs_8000hz") && header.split(',').count() == 6 + 513, "{header}");
    ensure!(table.lines().count() == 1 + 16_000_usize.div_ceil(256), "{} lines", table.lines().count());
    let picture = Picture::read(&room.path("a.png"))?;
    let (left, top, right, bottom) = picture.panels()[1];
    let column = |x: usize| (top..bottom).map(|y| picture.at(x, y)).collect::<Vec<_>>();
    let columns: Vec<_> = (left..right).map(column).collect();
    let changes = columns.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // The chirp is another one in each column; 63 transforms would be 63 steps.
    ensure!(changes * 10 > columns.len() * 9, "{changes} of {} columns differ from the one before", columns.len());
    Ok(())
}

/// The levels of a recording, as scipy has them: transforms in the middle of multiples of the hop, silence around.
const LEVELS: &str = "
import sys, json, numpy as np
from scipy import signal
from scipy.io import wavfile
rate, x = wavfile.read(sys.argv[1])
n, hop = int(sys.argv[2]), int(sys.argv[3])
w = signal.get_window(sys.argv[4], n, fftbins=True)
out = {}
for name, c in zip(('left', 'right'), x.T):
    s = signal.ShortTimeFFT(w, hop, rate, fft_mode='onesided', scale_to='magnitude', phase_shift=None)
    m = np.abs(s.stft(c.astype(float), p0=0, p1=-(-len(c) // hop))).T
    m[:, 1:-1] *= 2
    out[name] = np.maximum(20 * np.log10(np.maximum(m, 1e-30)), -140).tolist()
json.dump(out, sys.stdout)";

#[test]
fn the_table_is_scipys_within_a_fiftieth_of_a_decibel() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    let args =
        ["--csv", "-", "--view", "spectrogram", "--window", "blackman", "--fft", "512", "--hop", "200", "known.wav"];
    let done = room.viz(&args)?;
    done.expect_success()?;
    fs::write(room.path("b.csv"), &done.stdout)?;
    let table = Table::read(&room.path("b.csv"))?;
    let python = workspace_root().join("target/python/bin/python");
    ensure!(python.exists(), "{} is missing: run scripts/setup-python", python.display());
    let mut scipy = Command::new(python);
    scipy.args(["-c", LEVELS]).arg(room.path("known.wav")).args(["512", "200", "blackman"]);
    let scipy = run_to_end(&mut scipy, watchdog(6.0))?;
    scipy.expect_success()?;
    let theirs: serde_json::Value = serde_json::from_str(&scipy.stdout)?;
    let (mut next, mut compared, mut worst) = ([0_usize; 2], 0_usize, 0.0_f64);
    for row in &table.rows {
        let channel = usize::from(row[0] == "right");
        let theirs = theirs[&row[0]][next[channel]].as_array().with_context(|| format!("row {}", next[channel]))?;
        ensure!(row[1] == (next[channel] * 200).to_string(), "frame {} of row {}", row[1], next[channel]);
        next[channel] += 1;
        ensure!(theirs.len() == table.bins().len(), "{} bins of scipy", theirs.len());
        for ((column, hz), theirs) in table.bins().into_iter().zip(theirs) {
            let (ours, theirs): (f64, f64) = (row[column].parse()?, theirs.as_f64().context("a number")?);
            if theirs > -85.0 {
                worst = worst.max((ours - theirs).abs());
                ensure!((ours - theirs).abs() < 0.02, "{hz} Hz of {}: {ours} dB, scipy has {theirs} dB", row[1]);
                compared += 1;
            }
        }
    }
    ensure!(next == [320; 2] && compared > 5_000, "{next:?} rows, {compared} levels compared");
    eprintln!("{compared} levels, {worst:.4} dB apart at most");
    Ok(())
}

#[test]
fn a_ring_is_drawn_with_its_gaps() -> Result<()> {
    let room = Room::new()?;
    let mut ring = room.ring("mic", 8_000, 1, 80_000)?;
    let tone: Vec<f32> = (0..16_000_u32).map(|n| 0.5 * (n as f32 * 0.5).sin()).collect();
    ring.write(&tone, tone.len());
    ring.mark_gap(FrameIndex(16_000), FrameIndex(24_000), 1);
    ring.write(&[0.0; 8_000], 8_000);
    ring.write(&tone, tone.len());
    let done = room.viz(&["--png", "ring.png", "--csv", "ring.csv", "--fft", "256", "mic"])?;
    done.expect_success()?;
    ensure!(done.stderr.contains("mic: not there: 2.000 s to 3.000 s never captured"), "{}", done.stderr);
    let table = Table::read(&room.path("ring.csv"))?;
    let (frame, what, min) = (table.column("frame")?, table.column("what")?, table.column("min")?);
    let (mut gaps, mut sounds) = (0, 0);
    for row in &table.rows {
        let middle: u64 = row[frame].parse()?;
        let is_gap = middle + 128 > 16_000 && middle < 24_000 + 128;
        // The ring goes on: the last transforms would need frames that are still to come.
        let expected = if is_gap {
            "gap"
        } else if middle + 128 > 40_000 {
            "later"
        } else {
            "sound"
        };
        ensure!(row[what] == expected, "frame {middle} is {}", row[what]);
        let has_levels = row.last().is_some_and(|level| !level.is_empty());
        ensure!(has_levels == (expected == "sound"), "frame {middle}: {row:?}");
        let has_peaks = !row[min].is_empty();
        ensure!(has_peaks != (16_032..=23_968).contains(&middle), "frame {middle}: {row:?}");
        (gaps, sounds) = (gaps + usize::from(is_gap), sounds + usize::from(has_levels));
    }
    ensure!(gaps > 100 && sounds > 400, "{gaps} and {sounds} rows");
    let picture = Picture::read(&room.path("ring.png"))?;
    let (left, top, right, bottom) = picture.panels()[1];
    let grey = |x: usize| {
        (top..bottom).filter(|&y| picture.at(x, y) == [236, 236, 238] || picture.at(x, y) == [205, 198, 190]).count()
    };
    let at = |seconds: f64| between(left, right, seconds / 5.0);
    ensure!(grey(at(1.5)) == 0 && grey(at(3.5)) == 0, "a gap where there is sound");
    ensure!(grey(at(2.1)) == bottom - top && grey(at(2.9)) == bottom - top, "no gap where there is one");

    // A part of it, by its distance from now.
    let done = room.viz(&["--csv", "-", "--view", "waveform", "--from", "-1s", "--to", "now", "mic"])?;
    done.expect_success()?;
    let first = done.stdout.lines().nth(1).context("a row")?;
    ensure!(first.starts_with("1,32000,4.000000,sound,"), "{first}");
    for (args, says) in [
        (["--from", "-11s"], "before the sound that is there: ring mic has 0.00 s to 5.00 s"),
        (["--from", "5.5s"], "behind the sound that is there"),
        (["--to", "6s"], "behind the sound that is there"),
        (["--channels", "2"], "has 1 channel, and no channel 2"),
    ] {
        let done = room.viz(&[&["--png", "none.png", "mic"], &args[..]].concat())?;
        done.expect_exit(2, &[says])?;
    }
    ensure!(!room.path("none.png").exists(), "a picture of nothing");
    Ok(())
}

#[test]
fn sixty_four_channels_of_192_khz_are_drawn() -> Result<()> {
    let room = Room::new()?;
    let mut ring = room.ring("many", 192_000, 64, 96_000)?;
    let planar: Vec<f32> = (0..64_u32)
        .flat_map(|channel| (0..48_000_u32).map(move |n| 0.5 * (n as f32 * (channel + 1) as f32 * 0.01).sin()))
        .collect();
    ring.write(&planar, 48_000);
    let done = room.viz(&["--png", "many.png", "--csv", "many.csv", "--view", "spectrum", "many"])?;
    done.expect_success()?;
    let table = Table::read(&room.path("many.csv"))?;
    ensure!(table.rows.len() == 64 * 4_097, "{} rows", table.rows.len());
    room.viz(&["--png", "all.png", "many"])?.expect_success()?;
    let picture = Picture::read(&room.path("all.png"))?;
    ensure!(picture.panels().len() == 129 && picture.height > 900, "{} panels", picture.panels().len());
    let done = room.viz(&["--png", "low.png", "--size", "800x600", "many"])?;
    done.expect_exit(2, &["too few for 64 channels; --size 800x"])
}

#[test]
fn what_is_wrong_is_said_and_leaves_no_file() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    fs::write(room.path("letter.wav"), "Dear Sir or Madam, this is not a sound at all.")?;
    let whole = fs::read(room.path("known.wav"))?;
    fs::write(room.path("cut.wav"), &whole[..whole.len() / 2])?;
    fs::write(room.path("old.png"), "what was there")?;
    let wrong: [(&[&str], u8, &str); 12] = [
        (&["none.wav"], 11, "none.wav: there is no such file"),
        (&["nobody"], 18, "there is neither a ring nor a file \"nobody\""),
        (&["letter.wav"], 12, "not an audio file"),
        (&["."], 11, "it is a folder"),
        (&["known.wav", "known.wav"], 2, "one recording or ring is needed"),
        (&["--size", "10x10", "known.wav"], 2, "a width from 400 to 16384"),
        (&["--size", "800x210", "known.wav"], 2, "too few for 2 channels"),
        (&["--fft", "1000", "known.wav"], 2, "a power of two from 64 to 16384"),
        (&["--from", "9s", "known.wav"], 2, "known.wav is 4.00 s long"),
        (&["--from", "yesterday", "known.wav"], 2, "a time is such as 12.5s"),
        (&["--csv", "old.png", "known.wav"], 2, "name the same file"),
        (&["--csv", "no/where.csv", "known.wav"], 1, "there is no folder"),
    ];
    for (args, code, says) in wrong {
        let done = room.viz(&[&["--png", "old.png"], args].concat())?;
        done.expect_exit(code, &[says]).with_context(|| format!("{args:?}"))?;
    }
    ensure!(fs::read(room.path("old.png"))? == b"what was there", "a picture that was there is gone");
    // What is there of a recording that is cut off is drawn, the rest is a gap, and both are told.
    let done = room.viz(&["--png", "cut.png", "--csv", "cut.csv", "cut.wav"])?;
    ensure!(done.code == Some(13), "{done:?}");
    ensure!(done.stderr.contains("cut off after"), "{}", done.stderr);
    let table = Table::read(&room.path("cut.csv"))?;
    let gone = table.rows.iter().filter(|row| row[3] == "cut_off").count();
    ensure!(gone > 0 && gone < table.rows.len(), "{gone} rows of {} are cut off", table.rows.len());
    Picture::read(&room.path("cut.png"))?;
    let files =
        fs::read_dir(room.folders.notes())?.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let drafts: Vec<String> = files.filter(|name| name.contains(".part")).collect();
    ensure!(drafts.is_empty(), "left over: {drafts:?}");
    Ok(())
}

#[test]
fn a_full_disk_leaves_nothing_behind() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    let small = room.path("small");
    let (known, big) = (room.path("known.wav"), small.join("big.csv"));
    let command = room.command(&["--csv", big.to_str().context("a name")?, known.to_str().context("a name")?])?;
    let done = on_small_disk(&command, &small, "size=1m,mode=700", watchdog(6.0))?;
    done.finished.expect_exit(15, &["cannot write", "big.csv"])?;
    ensure!(done.left.is_empty(), "left over: {:?}", done.left);
    Ok(())
}

#[test]
fn ctrl_c_leaves_nothing_behind() -> Result<()> {
    let room = Room::new()?;
    write_wav(&room.path("known.wav"), &tone_and_chirp(), RATE_HZ)?;
    // A row for each of 64,000 frames of two channels, with 8,193 levels: minutes.
    let args = ["--csv", "big.csv", "--png", "big.png", "--fft", "16384", "--hop", "1", "known.wav"];
    let stderr = room.path("stderr");
    let mut child = room.command(&args)?.stderr(fs::File::create(&stderr)?).spawn()?;
    let names = || -> Result<Vec<String>> {
        let files = fs::read_dir(room.folders.notes())?.flatten();
        Ok(files.map(|file| file.file_name().to_string_lossy().into_owned()).collect())
    };
    let is_draft = |name: &String| name.ends_with(".part");
    wait_until("drafts", watchdog(2.0), || Ok(names()?.iter().any(is_draft).then_some(())))?;
    ensure!(end_process(child.id(), Signal::SIGINT), "it has ended already");
    let status = wait_until("its end", watchdog(2.0), || Ok(child.try_wait()?))?;
    ensure!(status.code() == Some(5), "{status}");
    let said = fs::read_to_string(&stderr)?;
    ensure!(said.contains("stopped; no file was written"), "{said}");
    let left = names()?;
    ensure!(!left.iter().any(|name| is_draft(name) || name.starts_with("big")), "left over: {left:?}");
    Ok(())
}
