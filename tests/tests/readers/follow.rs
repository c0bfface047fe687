//! Live rings, whose writer is killed and started again.

use crate::account::Account;
use crate::writer::Writer;
use crate::{READERS, shared_folder};
use anyhow::{Context, Result, ensure};
use audio_dsp::{COUNT_MODULUS, decode_count};
use nix::sys::signal::Signal;
use shm_layout::{Epoch, RingReader, RingWarden};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use system_tests::*;

/// Every sample is the pattern's, and so are the gaps.
fn look_at_pattern(from: u64, channels: &[&[f32]], told: &[(u64, u64)]) -> Result<()> {
    for (channel, samples) in (0..).zip(channels) {
        for (frame, &sample) in (from..).zip(*samples) {
            let expected = pattern_sample(frame, channel);
            ensure!(
                sample.to_bits() == expected.to_bits(),
                "frame {frame}, channel {channel}: {sample}, not {expected}"
            );
        }
    }
    let expected = pattern_gaps(from, from + channels[0].len() as u64);
    ensure!(joined(told) == joined(&expected), "at {from}: gaps {told:?}, not {expected:?}");
    Ok(())
}

/// Gaps that touch are one: the writer may tell of one in pieces.
fn joined(gaps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = Vec::new();
    for &(from, to) in gaps {
        match all.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => all.push((from, to)),
        }
    }
    all
}

/// Starts and kills writers while the process `reader` follows them; the last one ends in order. Where each was killed.
fn kill_again_and_again(dir: &Path, kills: u64, reader: u32, entered: &Receiver<()>) -> Result<Vec<u64>> {
    // Twenty times as fast as sound, so that the ring holds a tenth of a second.
    let mut first = 1_000;
    let mut ends = Vec::new();
    for epoch in 1..=kills {
        let writer = Writer::start(dir, epoch, first, 400)?;
        if epoch == 1 {
            entered.recv_timeout(watchdog(6.0)).context("the reader never entered the first ring")?;
        }
        std::thread::sleep(Duration::from_millis(150 + epoch * 37 % 200));
        if epoch % 3 == 1 {
            // It sleeps for longer than the ring is, so it must be lapped.
            ensure!(end_process(reader, Signal::SIGSTOP), "the reader is gone");
            let ring = RingReader::attach_stream(dir, "pattern")?;
            let lap = ring.commit().0 + 2 * Writer::CAPACITY;
            let lapped = wait_until("a lap", watchdog(2.0), || Ok((ring.commit().0 > lap).then_some(())));
            ensure!(end_process(reader, Signal::SIGCONT), "the reader is gone");
            lapped?;
        }
        writer.kill()?;
        let warden = RingWarden::attach(dir, "pattern", Epoch(epoch))?;
        ends.push(warden.commit().0);
        first = warden.reserve().0 + 1_000;
        // Half of the deaths are told by a supervisor; the other half the reader has to find out.
        if epoch % 2 == 0 {
            warden.mark_crashed();
        }
    }
    let last = Writer::start(dir, kills + 1, first, 400)?;
    std::thread::sleep(Duration::from_millis(300));
    last.close()?;
    Ok(ends)
}

fn accounts_for_every_frame(language: Language) -> Result<()> {
    let folder = shared_folder()?;
    let dir = folder.path();
    let kills = scaled(100);
    let mut following = READERS.follower(language, dir, "pattern")?;
    let pid = following.pid();
    let (entered, first_entry) = channel();
    let collector = std::thread::spawn(move || -> Result<Account> {
        let (mut account, mut silent) = (Account::default(), 0);
        while let Some(event) = following.next(watchdog(6.0))? {
            if matches!(event, ReaderEvent::Epoch { .. }) {
                // Only the first one is waited for.
                entered.send(()).ok();
            }
            silent = if event == ReaderEvent::Waiting { silent + 1 } else { 0 };
            ensure!(silent < 20, "watchdog: nothing happened for 20 s: {account:?}");
            account.take(event, &mut look_at_pattern)?;
        }
        let status = following.ended()?;
        ensure!(status.success(), "{language:?} ended with {status}: {account:?}");
        Ok(account)
    });
    let ends = kill_again_and_again(dir, kills, pid, &first_entry);
    // What the reader did wrong comes first: without it the rest fails too.
    let account = collector.join().map_err(|_| anyhow::anyhow!("the collector panicked"))??;
    let ends = ends?;
    eprintln!("{language:?}: {account:?}");
    account.check_sum()?;
    ensure!(account.crashed == ends, "crashes at {:?}, not {ends:?}", account.crashed);
    ensure!(account.epochs == (1..=kills + 1).collect::<Vec<_>>(), "epochs {:?}", account.epochs);
    ensure!(account.between_epochs >= kills * 1_000, "the gaps between epochs: {account:?}");
    ensure!(account.lost > 0 && account.in_table_gaps > 0, "neither lapped nor in a gap: {account:?}");
    ensure!(account.read > kills * 10_000, "hardly anything was read: {account:?}");
    Ok(())
}

#[test]
fn c_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::C)
}

#[test]
fn python_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::Python)
}

#[test]
fn node_accounts_for_every_frame_while_the_writer_is_killed() -> Result<()> {
    accounts_for_every_frame(Language::Node)
}

/// In one epoch the count goes on by one a frame, but for gaps.
fn look_at_count(last: &mut Option<(u32, u64)>, from: u64, channels: &[&[f32]], gaps: &[(u64, u64)]) -> Result<()> {
    for (frame, &sample) in (from..).zip(channels[0]) {
        let at = usize::try_from(frame - from)?;
        ensure!(channels.iter().all(|c| c[at].to_bits() == sample.to_bits()), "{frame}: the channels differ");
        if gaps.iter().any(|gap| gap.0 <= frame && frame < gap.1) {
            ensure!(sample == 0.0, "{frame} lies in a gap and carries {sample}");
            *last = last.map(|(number, since)| (number, since + 1));
            continue;
        }
        let number = decode_count(sample).with_context(|| format!("{frame} carries {sample}, which is no count"))?;
        if let Some((before, gap)) = *last {
            let jump = number.wrapping_sub(before.wrapping_add(1)) % COUNT_MODULUS;
            ensure!(u64::from(jump) <= gap, "{frame}: {number} after {before}, with {gap} frames of gap between");
        }
        *last = Some((number, 0));
    }
    Ok(())
}

#[test]
fn a_live_engine_that_is_killed_is_followed_into_its_next_epoch() -> Result<()> {
    LazyLock::force(&READERS);
    let mut instance = Setup::run(&["test:count"]).start()?;
    instance.wait_ready()?;
    let dir = instance.folders().runtime();
    let (entered, first_entries) = channel();
    let collectors: Vec<_> = [Language::C, Language::Python, Language::Node]
        .into_iter()
        .map(|language| {
            let mut following = READERS.follower(language, &dir, "test")?;
            let entered = entered.clone();
            Ok(std::thread::spawn(move || -> Result<(Language, Account)> {
                let (mut account, mut last, mut silent) = (Account::default(), None, 0);
                while let Some(event) = following.next(watchdog(6.0))? {
                    if matches!(event, ReaderEvent::Epoch { .. } | ReaderEvent::Lost(..)) {
                        last = None;
                        // Only the first one is waited for.
                        entered.send(language).ok();
                    }
                    silent = if event == ReaderEvent::Waiting { silent + 1 } else { 0 };
                    ensure!(silent < 20, "watchdog: nothing happened for 20 s: {language:?} {account:?}");
                    account
                        .take(event, &mut |from, channels: &[&[f32]], gaps: &[(u64, u64)]| {
                            look_at_count(&mut last, from, channels, gaps)
                        })
                        .with_context(|| format!("{language:?}"))?;
                }
                let status = following.ended()?;
                ensure!(status.success(), "{language:?} ended with {status}");
                Ok((language, account))
            }))
        })
        .collect::<Result<_>>()?;
    for _ in &collectors {
        first_entries.recv_timeout(watchdog(6.0)).context("a reader never entered the first ring")?;
    }
    let ring = instance.ring("test")?;
    instance.wait_captured(&ring, ring.commit().seconds(48_000) + 2.0)?;
    instance.kill_role("engine")?;
    let next = wait_until("the next epoch", watchdog(5.0), || {
        let newest = RingReader::attach_stream(&dir, "test").ok();
        Ok(newest.filter(|newest| newest.info().epoch > ring.info().epoch))
    })?;
    instance.wait_captured(&next, 2.0)?;
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    for collector in collectors {
        let (language, account) = collector.join().map_err(|_| anyhow::anyhow!("a collector panicked"))??;
        eprintln!("{language:?}: {account:?}");
        account.check_sum()?;
        ensure!(account.crashed.len() == 1 && account.epochs.len() == 2, "{language:?}: {account:?}");
        ensure!(account.between_epochs > 0 && account.read > 3 * 48_000, "{language:?}: {account:?}");
    }
    instance.assert_clean()
}
