//! A ring whose writer is killed in the middle of its writes, again and again, while readers in Rust, C, Python and Node are
//! stopped, continued and killed: no word is accepted that was not written there, and every frame is read or counted as
//! lost.

mod crowd;
mod part;

use anyhow::{Result, ensure};
use crowd::{Counts, Crowd, number};
use nix::sys::signal::Signal;
use part::{CAPACITY_FRAMES, Part, Tongue};
use shm_layout::{Epoch, RingWarden, ring_file};
use std::path::Path;
use std::time::{Duration, Instant};
use system_tests::*;

/// Kills that must fall between `reserve` and `commit`, or nothing was put to the test.
const INSIDE_MIN: u64 = 50;
/// Words that each reader that lives to the end must have looked at, for each life of the writer.
const WORDS_EACH_MIN: u64 = 100_000;

fn warden(folder: &Path, epoch: u64) -> Result<RingWarden> {
    wait_until("the ring of the next epoch", watchdog(2.0), || {
        Ok(RingWarden::attach(folder, "torture", Epoch(epoch)).ok())
    })
}

/// Kills the writer: where it is, or inside of a write. For that it is held and looked at until it is there.
fn kill(writer: &mut Part, ring: &RingWarden, inside: bool, chance: &mut Chance) -> Result<()> {
    let begin = Instant::now();
    while inside && begin.elapsed() < watchdog(0.1) {
        writer.hold()?;
        if ring.reserve() != ring.commit() {
            break;
        }
        writer.signal(Signal::SIGCONT)?;
        std::thread::sleep(Duration::from_micros(chance.below(2_000)));
    }
    writer.kill()
}

#[test]
fn killed_writers_and_disturbed_readers() -> Result<()> {
    let readers = Readers::build()?;
    let (mut chance, kills) = (Chance::seeded(), scaled(1_000));
    let folder = tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?;
    let dir = folder.path();
    let mut crowd = Crowd::start(&readers, dir)?;
    let (mut next, mut inside, mut committed, mut gaps) = (0, 0, 0, 0);
    for epoch in 1..=kills {
        let mut writer = Part::writer(dir, epoch, next, 0)?;
        let ring = warden(dir, epoch)?;
        crowd.disturb(&mut chance, epoch)?;
        std::thread::sleep(Duration::from_micros(10_000 + chance.below(70_000)));
        // Most of them in the middle of a write, the rest at any moment.
        kill(&mut writer, &ring, epoch % 4 != 0, &mut chance)?;
        inside += u64::from(ring.reserve() > ring.commit());
        committed += ring.commit().since(ring.info().first_frame);
        ring.mark_crashed();
        crowd.release(epoch + 1)?;
        // The next life begins beyond all that was announced, and a little later.
        next = ring.reserve().0 + 1 + chance.below(1_000);
        gaps += next - ring.commit().0;
        if epoch > 4 {
            std::fs::remove_file(dir.join(ring_file("torture", Epoch(epoch - 4)))).ok();
        }
    }
    let last = Part::writer(dir, kills + 1, next, 20)?;
    let ring = warden(dir, kills + 1)?;
    let counts = crowd.end()?;
    drop(last);
    committed += ring.commit().since(ring.info().first_frame);

    let mut words = 0;
    for said in counts.all() {
        words += number(said, "words")?;
        check(said, ring.commit().0, gaps)?;
    }
    eprintln!(
        "{kills} writers killed, {inside} of them between reserve and commit; {committed} frames committed, {words} words looked at"
    );
    check_readers(&counts, kills, committed)?;
    ensure!(inside >= INSIDE_MIN, "only {inside} kills fell between reserve and commit");
    ensure!(words >= scaled(1_000_000_000), "only {words} words");
    Ok(())
}

/// No word was wrong, and every frame is accounted for; the stream ends at `end` and has so many frames of gaps.
fn check(said: &serde_json::Value, end: u64, gaps: u64) -> Result<()> {
    ensure!(number(said, "wrong")? == 0, "a wrong word: {said}");
    ensure!(number(said, "end")? == end, "the end is {end}: {said}");
    let sum = number(said, "read")? + number(said, "lost")? + number(said, "gaps")?;
    ensure!(end - number(said, "begin")? == sum, "not every frame is accounted for: {said}");
    ensure!(number(said, "gaps")? <= gaps, "what was captured was called a gap: {said}");
    Ok(())
}

fn check_readers(counts: &Counts, kills: u64, committed: u64) -> Result<()> {
    // One that was never disturbed misses no epoch: what was committed since it came is what it read or lost, to the frame.
    let steady = &counts.steady;
    ensure!(number(steady, "epochs")? == kills + 1, "{steady}");
    let since = committed - number(steady, "begin")?;
    ensure!(number(steady, "read")? + number(steady, "lost")? == since, "{since} frames: {steady}");
    for (tongue, said) in &counts.disturbed {
        ensure!(number(said, "words")? >= kills * WORDS_EACH_MIN, "{tongue:?} hardly read: {said}");
        ensure!(number(said, "epochs")? <= kills, "{tongue:?} never slept through an epoch: {said}");
    }
    Ok(())
}

#[test]
fn without_the_check_wrong_words_are_seen() -> Result<()> {
    let readers = Readers::build()?;
    let folder = tempfile::Builder::new().prefix("tympan-test-").tempdir_in("/dev/shm")?;
    let _writer = Part::writer(folder.path(), 1, 0, 0)?;
    let ring = warden(folder.path(), 1)?;
    wait_until("a full ring", watchdog(2.0), || Ok((ring.commit().0 > CAPACITY_FRAMES).then_some(())))?;
    for tongue in Tongue::ALL {
        let said = Part::reader(&readers, tongue, folder.path(), &["--trust"])?.answer()?;
        eprintln!("{tongue:?} without validation: {said}");
        ensure!(number(&said, "wrong")? > 0, "the torture cannot fail in {tongue:?}: {said}");
    }
    Ok(())
}
