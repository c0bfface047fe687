//! `tympan rings copy`: a live ring as a file of layout version 1, which others read.

use anyhow::{Context, Result, ensure};
use audio_dsp::{COUNT_MODULUS, decode_count};
use nix::sys::signal::Signal;
use shm_layout::{FrameIndex, v1};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use system_tests::*;

/// All that one must know to read version 1: header fields, the counter, and where a frame lies. Prints how many frames
/// were written, and the newest second of the first channel.
const READER: &str = r#"
import struct, sys
with open(sys.argv[1], "rb") as file:
    file = file.read()
magic, version, rate, channels, capacity, sequence, write = struct.unpack_from("<8s6Q", file)
assert (magic, version) == (b"AUDITAB!", 1), (magic, version)
assert len(file) == 4096 + channels * capacity * 8
written = sequence * write
newest = [struct.unpack_from("<d", file, 4096 + frame % capacity * 8)[0] for frame in range(written - rate, written)]
print(rate, channels, capacity, write, written, *(int(sample * 2**24) for sample in newest))
"#;

/// A copy in progress. Dropped, it is killed.
struct Copy {
    child: Child,
    file: PathBuf,
    stderr: PathBuf,
}

impl Copy {
    fn start(instance: &Instance, stream: &str) -> Result<Self> {
        let notes = instance.folders().notes();
        let (file, stderr) = (notes.join("copy.audio"), notes.join("copy.stderr"));
        let mut command = tympan(instance.folders())?;
        command.args(["rings", "copy", stream, "--v1"]).arg(&file).stdin(Stdio::null());
        let child = command.stderr(std::fs::File::create(&stderr)?).stdout(Stdio::null()).spawn()?;
        Ok(Self { child, file, stderr })
    }

    fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.stderr)?)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(end_process(self.child.id(), signal), "it has ended: {}", self.said()?);
        Ok(())
    }

    /// The file, as soon as it has so many seconds.
    fn reader(&self, seconds: u64) -> Result<v1::Reader> {
        let reader = wait_until("the file", watchdog(2.0), || Ok(v1::Reader::attach(&self.file, 0).ok()))?;
        wait_until("its seconds", watchdog(seconds as f64 + 1.0), || {
            Ok((reader.written().0 >= seconds * 48_000).then_some(()))
        })?;
        Ok(reader)
    }

    /// The frame of the ring that is the file's frame 0.
    fn first(&self) -> Result<u64> {
        let said = self.said()?;
        let (_, after) = said.split_once("from its frame ").with_context(|| said.clone())?;
        Ok(after.split(' ').next().context("a number")?.parse()?)
    }

    fn end(&mut self) -> Result<ExitStatus> {
        wait_until("the end of the copy", watchdog(2.0), || Ok(self.child.try_wait()?))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The file's frames from here on, of its one channel.
fn frames_of(reader: &v1::Reader, from: u64, count: u64) -> Result<Vec<f64>> {
    let mut planar = vec![0.0; usize::try_from(count)?];
    reader.read(FrameIndex(from), &mut planar, usize::try_from(count)?)?;
    Ok(planar)
}

/// What Python, which knows nothing of us, reads: rate, channels, capacity, frames of a write, frames written; and the
/// newest second as counts.
fn in_python(file: &Path) -> Result<([u64; 5], Vec<u64>)> {
    let mut python = Command::new(workspace_root().join("target/python/bin/python"));
    let finished = run_to_end(python.args(["-c", READER]).arg(file), watchdog(6.0))?;
    finished.expect_success()?;
    let numbers: Vec<u64> = finished.stdout.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let (header, newest) = numbers.split_first_chunk().context("five numbers")?;
    Ok((*header, newest.to_vec()))
}

/// Consecutive counts, but for `zeros` frames of silence; how many of those there are.
fn count_on(samples: &[f64]) -> Result<u64> {
    let mut before: Option<u64> = None;
    let mut zeros = 0;
    for &sample in samples {
        #[expect(clippy::cast_possible_truncation, reason = "an f32 in an f64")]
        let number = u64::from(decode_count(sample as f32).with_context(|| format!("{sample} is no count"))?);
        match before {
            Some(last) if number == 0 && last + 1 < u64::from(COUNT_MODULUS) => zeros += 1,
            Some(last) if zeros == 0 => ensure!(number == last + 1, "{number} after {last}"),
            _ => {}
        }
        if number > 0 {
            before = Some(number);
        }
    }
    ensure!(before.is_some(), "no counts at all");
    Ok(zeros)
}

#[test]
fn a_live_copy_goes_on_through_a_killed_engine_to_the_end_of_the_run() -> Result<()> {
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let ring = instance.ring("test")?;
    let mut copy = Copy::start(&instance, "test")?;
    let reader = copy.reader(2)?;
    ensure!(reader.info().sample_rate_hz == 48_000 && reader.info().channels == 1, "{:?}", reader.info());
    ensure!(reader.info().capacity_frames == ring.info().capacity_frames, "{:?}", reader.info());
    let first = copy.first()?;
    let mut same = vec![0.0; 96_000];
    ring.read(FrameIndex(first), &mut same, 96_000)?;
    let copied = frames_of(&reader, 0, 96_000)?;
    ensure!(copied.iter().zip(&same).all(|(copied, sample)| *copied == f64::from(*sample)), "other samples");
    ensure!(count_on(&copied)? == 0, "silence in what was captured");
    let ([rate, channels, capacity, write, written], newest) = in_python(&copy.file)?;
    ensure!((rate, channels, capacity) == (48_000, 1, reader.info().capacity_frames), "{rate} {channels} {capacity}");
    ensure!(write == reader.info().write_frames && written >= 96_000, "{write} {written}");
    ensure!(newest.windows(2).all(|pair| pair[1] == pair[0] + 1), "Python reads something else");

    instance.kill_role("engine")?;
    let before = reader.written().0;
    wait_until("a second of the next epoch", watchdog(5.0), || {
        Ok((copy.said()?.contains("never captured") && reader.written().0 > before + 48_000).then_some(()))
    })?;
    let next = instance.ring("test")?;
    ensure!(next.info().epoch > ring.info().epoch, "no next epoch");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    ensure!(copy.end()?.success(), "{}", copy.said()?);

    // Whole: every frame from the first to the last of the run, silence in the gap, and the end filled up.
    let end = next.commit().0 - first;
    let write = reader.info().write_frames;
    ensure!(reader.written().0 == end.next_multiple_of(write), "{} of {end}", reader.written());
    let gap = next.info().first_frame.since(ring.commit());
    let all = frames_of(&reader, 0, end)?;
    let zeros = count_on(&all)?;
    ensure!(gap > 0 && (gap..gap + 2).contains(&zeros), "{zeros} frames of silence, and the gap has {gap}");
    let at = usize::try_from(next.info().first_frame.0 - first)?;
    let mut same = vec![0.0; 4_800];
    next.read(next.info().first_frame, &mut same, 4_800)?;
    ensure!(all[at..].iter().zip(&same).all(|(copied, sample)| *copied == f64::from(*sample)), "shifted by the gap");
    let padding = frames_of(&reader, end, reader.written().0 - end)?;
    ensure!(padding.iter().all(|sample| *sample == 0.0), "the last write is not filled up with silence");
    let (numbers, _) = in_python(&copy.file)?;
    ensure!(numbers[4] == reader.written().0, "Python sees {} frames", numbers[4]);
    ensure!(copy.said()?.contains("0 frames lost"), "{}", copy.said()?);
    Ok(())
}

#[test]
fn ctrl_c_ends_a_copy_and_what_was_lost_is_said() -> Result<()> {
    let instance = Setup::run(&["test:count"]).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let ring = instance.ring("test")?;
    let mut copy = Copy::start(&instance, "test")?;
    copy.reader(1)?;
    copy.signal(Signal::SIGINT)?;
    ensure!(copy.end()?.success(), "{}", copy.said()?);
    ensure!(count_on(&frames_of(&copy.reader(1)?, 0, 48_000)?)? == 0, "silence in what was captured");
    std::fs::remove_file(&copy.file)?;

    let mut copy = Copy::start(&instance, "test")?;
    let reader = copy.reader(1)?;
    copy.signal(Signal::SIGSTOP)?;
    let lapped = ring.commit().0 + ring.info().capacity_frames + 48_000;
    wait_until("a lap", watchdog(7.0), || Ok((ring.commit().0 > lapped).then_some(())))?;
    copy.signal(Signal::SIGCONT)?;
    let first = copy.first()?;
    wait_until("what comes after it", watchdog(2.0), || Ok((first + reader.written().0 > lapped).then_some(())))?;
    // Where the others are: what comes after the loss is in its place.
    let written = reader.written().0;
    let (mut same, copied) = (vec![0.0; 4_800], frames_of(&reader, written - 4_800, 4_800)?);
    ring.read(FrameIndex(first + written - 4_800), &mut same, 4_800)?;
    ensure!(copied.iter().zip(&same).all(|(copied, sample)| *copied == f64::from(*sample)), "shifted by the loss");
    copy.signal(Signal::SIGINT)?;
    let status = copy.end()?;
    ensure!(status.code() == Some(code::INCOMPLETE.into()), "{status}: {}", copy.said()?);
    ensure!(copy.said()?.contains("came too fast and are lost"), "{}", copy.said()?);
    Ok(())
}

#[test]
fn the_end_of_a_killed_instance_ends_its_copy() -> Result<()> {
    let instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let mut copy = Copy::start(&instance, "test")?;
    copy.reader(1)?;
    ensure!(end_process(instance.pid(), Signal::SIGKILL), "it ended by itself");
    let status = copy.end()?;
    ensure!(status.code() == Some(code::INCOMPLETE.into()), "{status}: {}", copy.said()?);
    ensure!(copy.said()?.contains("was killed"), "{}", copy.said()?);
    ensure!(count_on(&frames_of(&copy.reader(1)?, 0, 48_000)?)? == 0, "silence in what was captured");
    Ok(())
}

#[test]
fn what_cannot_be_copied_is_refused() -> Result<()> {
    let folders = Folders::new()?;
    let nobody = run_to_end(tympan(&folders)?.args(["rings", "copy", "mic", "--v1", "/dev/null/x"]), watchdog(2.0))?;
    nobody.expect_exit(code::NOT_RUNNING, &["no ring", "tympan run"])?;

    let mut instance = Setup::run(&["hum=test:tone"]).start()?;
    instance.wait_ready()?;
    let notes = instance.folders().notes().to_owned();
    let refuses = |name: &str, file: &Path, code: u8, named: &[&str]| {
        let file = file.to_str().context("path")?;
        instance.command(&["rings", "copy", name, "--v1", file])?.expect_exit(code, named)
    };
    refuses("mic", &notes.join("copy"), code::REFUSED, &["\"mic\"", "there is: hum, mix"])?;
    let there = notes.join("there");
    std::fs::write(&there, "mine")?;
    refuses("hum", &there, code::REFUSED, &["there already", "another file"])?;
    ensure!(std::fs::read_to_string(&there)? == "mine", "it was overwritten");
    refuses("hum", &notes.join("no/copy"), code::REFUSED, &["no folder"])?;
    ensure!(instance.command(&["rings", "copy", "hum"])?.code == Some(code::USAGE.into()), "without a file");

    let small = notes.join("small");
    let mut command = tympan(instance.folders())?;
    command.args(["rings", "copy", "hum", "--v1"]).arg(small.join("copy"));
    let disk = on_small_disk(&command, &small, "size=1m,mode=700", watchdog(2.0))?;
    disk.finished.expect_exit(code::NO_ROOM, &["no room", "12 MB"])?;
    ensure!(disk.left.is_empty(), "left: {:?}", disk.left);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}
