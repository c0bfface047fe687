//! What rings do is seen: gaps, ends, others in their places, and kinds that are seldom.

use super::judge::{accounts_hold, clean, number};
use crate::web::{Page, Writer};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shm_layout::v1;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system_tests::{wait_until, watchdog};

#[test]
fn gaps_and_ends_are_seen_by_all_browsers() -> Result<()> {
    let page = Page::new()?;
    let mut writer = Writer::start(&page, "mic", &["sine:440:0.25", "sine:440:0.25"])?;
    let orders = page.folder().join("orders");
    std::fs::write(&orders, "")?;
    let follow = writer.follow(&orders)?;
    let seen = page.serve(&[])?.drive("breaks", &json!({"lanes": 2, "orders": orders}))?;
    drop(follow);
    clean(&seen)?;
    ensure!(seen["gaps"] == 14_400, "{} frames of gap", seen["gaps"]);
    let number = |name: &str| number(&seen, name);
    let (hatched, expected) = (number("hatched")?, number("expected")?);
    ensure!((hatched - expected).abs() <= 3.0, "{hatched} columns are drawn as missing, and not {expected}");
    let off = (number("dark")? - number("darkExpected")?).abs();
    ensure!(off <= 3.0 + 2.0 * number("hopColumns")?, "{off} columns of the spectrogram too many or too few: {seen}");
    // Between two epochs nobody captured anything: a second.
    ensure!(seen["after"].as_u64() == Some(14_400 + 48_000), "{} frames after the next epoch", seen["after"]);
    ensure!((seen["lost"].as_u64(), seen["other"].as_u64()) == (Some(0), Some(0)), "{seen}");
    ensure!(seen["overflow"].as_f64().is_some_and(|pixels| pixels <= 0.0), "wider than a phone: {}", seen["overflow"]);
    Ok(())
}

/// A ring of version 1, written in real time until it is dropped: 440 Hz at 8 kHz.
struct OldWriter {
    on: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl OldWriter {
    fn start(path: &Path) -> Result<Self> {
        let info = v1::Info { sample_rate_hz: 8_000, channels: 1, capacity_frames: 80_000, write_frames: 80 };
        let mut ring = v1::Writer::create(path, info)?;
        let on = Arc::new(AtomicBool::new(true));
        let going = Arc::clone(&on);
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            for block in 0_u32.. {
                #[expect(clippy::cast_possible_truncation, reason = "f64 to sample")]
                let tone =
                    |frame: u32| (0.5 * (std::f64::consts::TAU * 440.0 * f64::from(frame) / 8_000.0).sin()) as f32;
                ring.write(&(block * 80..(block + 1) * 80).map(tone).collect::<Vec<_>>());
                let due = begin + Duration::from_millis(10) * (block + 1);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if !going.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        Ok(Self { on, thread: Some(thread) })
    }
}

impl Drop for OldWriter {
    fn drop(&mut self) {
        self.on.store(false, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[test]
fn unusual_rings_harm_nothing() -> Result<()> {
    let page = Page::new()?;
    let old = page.folder().join("old.audio");
    let check = |ring: &str, lanes: usize, tone_hz: Option<f64>| -> Result<Value> {
        let seen = page.serve(&[ring])?.drive("unusual", &json!({"lanes": lanes})).with_context(|| ring.to_owned())?;
        clean(&seen)?;
        accounts_hold(&seen)?;
        ensure!(seen["finite"] == true, "{ring}: {seen}");
        ensure!(
            seen["clickMs"].as_f64().is_some_and(|ms| ms < watchdog(0.2).as_secs_f64() * 1_000.0),
            "{ring}: {seen}"
        );
        if let Some(hz) = tone_hz {
            ensure!(
                seen["tone"]["hz"].as_f64().is_some_and(|seen| (seen - hz).abs() < 5.0),
                "{ring}: {}",
                seen["tone"]
            );
        }
        Ok(seen)
    };
    {
        let _writer = Writer::start_at(&page, "wide", (192_000, 2), &["noise:0.3"; 64])?;
        check("wide", 8, None)?;
    }
    {
        let _writer = Writer::start_at(&page, "narrow", (8_000, 10), &["sine:440:0.5"])?;
        let seen = check("narrow", 1, Some(440.0))?;
        ensure!(seen["rateHz"] == 8_000, "{seen}");
    }
    {
        let _writer = Writer::start(&page, "bad", &["bad", "bad", "sine:440:0.5"])?;
        check("bad", 3, Some(440.0))?;
    }
    let _old = OldWriter::start(&old)?;
    check(old.to_str().context("path")?, 1, Some(440.0))?;
    Ok(())
}

#[test]
fn a_ring_may_be_replaced_and_its_writer_die() -> Result<()> {
    let page = Page::new()?;
    let mut writer = Writer::start(&page, "mic", &["sine:440:0.25", "sine:440:0.25"])?;
    let orders = page.folder().join("orders");
    std::fs::write(&orders, "")?;
    let follow = writer.follow(&orders)?;
    let job = json!({"lanes": 2, "orders": orders, "crash": writer.pid()});
    let seen = page.serve(&[])?.drive("replaced", &job)?;
    drop(follow);
    clean(&seen)?;
    // Frames of another session are not those of the one before: nothing is missing between them.
    ensure!(seen["later"]["lost"] == 0 && seen["later"]["gaps"] == 0, "{seen}");
    let newest = |when: &str| seen[when]["newest"].as_u64().context("newest");
    ensure!(newest("after")? < newest("later")? && newest("before")? > 96_000, "{seen}");
    ensure!(seen["states"] == json!(["crashed", "crashed"]), "{seen}");
    Ok(())
}

#[test]
fn a_page_that_comes_late_shows_a_ring_that_stands_still() -> Result<()> {
    const END_S: u64 = 4;
    let page = Page::new()?;
    let mut writer = Writer::start(&page, "mic", &["sine:440:0.5"])?;
    writer.order(&format!("until {END_S}"))?;
    wait_until("the end", watchdog(6.0), || Ok(Some(writer.newest()?).filter(|&frame| frame >= END_S * 48_000)))?;
    let seen = page.serve(&[])?.drive("standing", &json!({"endS": END_S}))?;
    for page in seen.as_array().context("two pages")? {
        clean(page)?;
        let (above, half) = (number(page, "above")?, number(page, "half")?);
        ensure!((above - 0.5 * half).abs() <= 1.5, "{above} of {half} rows: {seen}");
    }
    Ok(())
}

#[test]
fn who_wants_the_past_gets_it_though_others_want_it_too() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "mic", &["silence"])?;
    let seen = page.serve(&[])?.drive("manyWantThePast", &json!({}))?;
    // What one has asked for is there for the others: nothing is asked for twice.
    ensure!(seen["asked"] == json!([[24_000, 48_000], [12_000, 24_000]]), "{seen}");
    ensure!(seen["told"] == json!(["picture", "word"]), "{seen}");
    let wanted = BTreeMap::from([("picture", 24_000), ("word", 12_000), ("another", 30_000)]);
    let served: Vec<(String, u64)> = serde_json::from_value(seen["served"].clone())?;
    ensure!(served.len() == 3 && served.iter().all(|(who, first)| *first <= wanted[who.as_str()]), "{seen}");
    Ok(())
}
