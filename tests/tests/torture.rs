//! A ring whose writer is killed in the middle of its writes, again and again, while readers are stopped, continued and
//! killed: no word is accepted that was not written there, and every frame is read or counted as lost.

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use shm_layout::{Epoch, RingWarden, ring_file};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use system_tests::*;

const CHANNELS: u64 = 64;
const WRITE_FRAMES: u64 = 32_768;
const CAPACITY_FRAMES: u64 = 4 * WRITE_FRAMES;
/// Kills that must fall between `reserve` and `commit`, or nothing was put to the test.
const INSIDE_MIN: u64 = 50;

/// Numbers that look like chance and can be had again (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn seed() -> u64 {
    let given = std::env::var("TYMPAN_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()) | 1 << 40)
}

/// A process that goes with its test.
struct Part(Child);

impl Part {
    fn start(program: &str, args: &[String]) -> Result<Self> {
        let path = PathBuf::from(program);
        let child = Command::new(path).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        Ok(Self(child.context("a part of the torture")?))
    }

    fn reader(folder: &Path, args: &[&str]) -> Result<Self> {
        let folder = folder.to_str().context("path")?;
        let args: Vec<String> = std::iter::once(folder).chain(args.iter().copied()).map(str::to_owned).collect();
        Self::start(env!("CARGO_BIN_EXE_torture-reader"), &args)
    }

    fn writer(folder: &Path, epoch: u64, first: u64, writes: u64) -> Result<Self> {
        let numbers = [epoch, first, CHANNELS, CAPACITY_FRAMES, WRITE_FRAMES, writes];
        let folder = folder.to_str().context("path")?.to_owned();
        let args: Vec<String> = std::iter::once(folder).chain(numbers.map(|number| number.to_string())).collect();
        Self::start(env!("CARGO_BIN_EXE_torture-writer"), &args)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(end_process(self.0.id(), signal), "it has ended before it was signalled");
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    fn answer(mut self) -> Result<Value> {
        let status = wait_until("the end of a part", watchdog(6.0), || Ok(self.0.try_wait()?))?;
        ensure!(status.success(), "{status}");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.0.stdout.take().context("piped")?, &mut text)?;
        serde_json::from_str(&text).with_context(|| text)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn warden(folder: &Path, epoch: u64) -> Result<RingWarden> {
    wait_until("the ring of the next epoch", watchdog(2.0), || {
        Ok(RingWarden::attach(folder, "torture", Epoch(epoch)).ok())
    })
}

#[test]
fn killed_writers_and_disturbed_readers() -> Result<()> {
    let (seed, kills) = (seed(), scaled(1_000));
    eprintln!("TYMPAN_SEED={seed}");
    let mut chance = Chance(seed);
    let folder = tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?;
    let dir = folder.path();
    let steady = Part::reader(dir, &[])?;
    let disturbed = Part::reader(dir, &[])?;
    let mut mortal = Part::reader(dir, &[])?;
    let (mut next, mut inside, mut committed, mut stops, mut reader_kills) = (0, 0, 0, 0, 0);
    for epoch in 1..=kills {
        let mut writer = Part::writer(dir, epoch, next, 0)?;
        let ring = warden(dir, epoch)?;
        let stopped = chance.below(3) == 0;
        if stopped {
            disturbed.signal(Signal::SIGSTOP)?;
            stops += 1;
        }
        if chance.below(8) == 0 {
            mortal.kill()?;
            mortal = Part::reader(dir, &[])?;
            reader_kills += 1;
        }
        std::thread::sleep(Duration::from_micros(10_000 + chance.below(70_000)));
        if epoch % 4 != 0 {
            // Most of them as soon as a write has begun, the rest at any moment.
            let aimed = Instant::now();
            let in_work = |inside: bool| {
                while (ring.reserve() != ring.commit()) != inside && aimed.elapsed() < Duration::from_millis(20) {}
            };
            in_work(false);
            in_work(true);
        }
        writer.kill()?;
        inside += u64::from(ring.reserve() > ring.commit());
        committed += ring.commit().since(ring.info().first_frame);
        ring.mark_crashed();
        if stopped {
            disturbed.signal(Signal::SIGCONT)?;
        }
        // The next life begins beyond all that was announced, and a little later.
        next = ring.reserve().0 + 1 + chance.below(1_000);
        if epoch > 4 {
            std::fs::remove_file(dir.join(ring_file("torture", Epoch(epoch - 4)))).ok();
        }
    }
    let last = Part::writer(dir, kills + 1, next, 20)?;
    let ring = warden(dir, kills + 1)?;
    let (steady, disturbed, mortal) = (steady.answer()?, disturbed.answer()?, mortal.answer()?);
    drop(last);
    committed += ring.commit().since(ring.info().first_frame);

    let number = |said: &Value, key: &str| said[key].as_u64().with_context(|| format!("{key} in {said}"));
    let mut words = 0;
    for (name, said) in [("steady", &steady), ("disturbed", &disturbed), ("killed", &mortal)] {
        eprintln!("{name} reader: {said}");
        ensure!(number(said, "wrong")? == 0, "a wrong word: {said}");
        let [begin, end, read, lost, gaps] = ["begin", "end", "read", "lost", "gaps"].map(|key| number(said, key));
        ensure!(end? - begin? == read? + lost? + gaps?, "not every frame is accounted for: {said}");
        ensure!(number(said, "end")? == ring.commit().0, "{said}");
        words += number(said, "words")?;
    }
    eprintln!(
        "{kills} writers killed, {inside} of them between reserve and commit; {stops} stops and {reader_kills} kills of readers; {committed} frames committed, {words} words looked at"
    );
    // One that was never disturbed misses no epoch: what was committed since it came is what it read or lost, to the frame.
    ensure!(number(&steady, "epochs")? == kills + 1, "{steady}");
    let since = committed - number(&steady, "begin")?;
    ensure!(number(&steady, "read")? + number(&steady, "lost")? == since, "{since} frames: {steady}");
    ensure!(inside >= INSIDE_MIN, "only {inside} kills fell between reserve and commit");
    ensure!(stops > 0 && reader_kills > 0, "no reader was disturbed");
    ensure!(words >= scaled(1_000_000_000), "only {words} words");
    Ok(())
}

#[test]
fn without_the_check_wrong_words_are_seen() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?;
    let _writer = Part::writer(folder.path(), 1, 0, 0)?;
    let ring = warden(folder.path(), 1)?;
    wait_until("a full ring", watchdog(2.0), || Ok((ring.commit().0 > CAPACITY_FRAMES).then_some(())))?;
    let said = Part::reader(folder.path(), &["--trust"])?.answer()?;
    eprintln!("without validation: {said}");
    ensure!(said["wrong"].as_u64().is_some_and(|wrong| wrong > 0), "the torture cannot fail: {said}");
    Ok(())
}
