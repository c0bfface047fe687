//! Speech without an end: words keep pace, and memory does not grow.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::time::Duration;
use system_tests::*;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// How far the newest words of a stream may be behind its sound: the longest utterance, of 20 s, which is heard again while
/// it goes on, and a few seconds. Words that wait longer than the policy of `supervisor/src/lag.rs` allows are told.
const LAG_S_MAX: f64 = 25.0;
/// What `lag` calls late: a final that comes so many seconds after its end.
const TOLD_S: f64 = 2.0;
/// What any process may take, in kB: a worker of tiny.en with the longest sound that is heard at once, of which several texts
/// are followed.
const MEMORY_KB_MAX: f64 = 350_000.0;
/// Minutes of three streams, and of one.
const MINUTES: [f64; 2] = [5.0, 60.0];
/// Of the three in the short run.
const SHORT_MINUTES: f64 = 0.2;

/// How long speech goes on; `TYMPAN_MINUTES` decides in the long run.
fn minutes(which: usize) -> f64 {
    let given = std::env::var("TYMPAN_MINUTES").ok().and_then(|text| text.parse().ok());
    if long() { given.unwrap_or(MINUTES[which]).min(MINUTES[which]) } else { SHORT_MINUTES }
}

/// Clips for so long, the first of them the `first`-th.
fn speech(minutes: f64, first: usize) -> Result<Speech> {
    let order: Vec<&str> = CLIPS.iter().cycle().skip(first).take(CLIPS.len()).copied().collect();
    let round_s = Speech::join(&order)?.seconds() - 2.0;
    let whole = (minutes * 60.0 / round_s * CLIPS.len() as f64).ceil();
    let count = (1..).take_while(|n| f64::from(*n) <= whole).count().max(2);
    Speech::join(&order.iter().cycle().take(count).copied().collect::<Vec<_>>())
}

/// What was seen at a time.
struct Look {
    at_s: f64,
    /// Anonymous memory of each process, in kB.
    memory_kb: BTreeMap<(String, u32), u64>,
    /// The longest lag of the streams, in seconds.
    lag_s: f64,
    /// Whether it was told that finals come late.
    late: bool,
}

fn memory_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn look(instance: &Instance, at_s: f64) -> Result<Look> {
    let status = instance.json("status")?;
    let rows = |name: &str| status[name].as_array().cloned().with_context(|| format!("no {name} in {status}"));
    let memory = rows("processes")?.into_iter().filter_map(|process| {
        let pid = u32::try_from(process["pid"].as_u64()?).ok()?;
        Some(((process["role"].as_str()?.to_owned(), pid), memory_kb(pid)?))
    });
    let streams = rows("streams")?;
    let lags = streams.iter().filter_map(|stream| stream["words_lag_s"].as_f64());
    Ok(Look {
        at_s,
        memory_kb: memory.collect(),
        lag_s: lags.fold(0.0, f64::max),
        late: streams.iter().any(|stream| stream["pace"] == "late_finals"),
    })
}

/// Looks until the shortest of the files is over.
fn watch(instance: &Instance, stream: &str, seconds: f64) -> Result<Vec<Look>> {
    let ring = instance.ring(stream)?;
    let (mut looks, rate) = (Vec::new(), f64::from(ring.info().sample_rate_hz));
    loop {
        let at_s = ring.commit().since(ring.info().first_frame) as f64 / rate;
        if at_s > seconds - 1.0 {
            return Ok(looks);
        }
        looks.push(look(instance, at_s)?);
        std::thread::sleep(LOOK);
    }
}

/// Nothing was lost, the events are as they promise, and of each stream all words are there.
fn check_words(instance: &mut Instance, spoken: &[(&str, &Speech)]) -> Result<()> {
    let longest_s = spoken.iter().map(|(_, speech)| speech.seconds()).fold(0.0, f64::max);
    instance.wait_event("stopped", watchdog(longest_s + 5.0), |e| e.is("stopped"))?;
    instance.wait_stopped(watchdog(2.0))?;
    let events = instance.log().all()?;
    ensure!(!events.iter().any(|e| e.is("lost")), "frames were lost");
    let ended = events.iter().filter(|e| e.is("process") && e.fields["reason"].is_string());
    ensure!(ended.count() == 0, "a process had to be replaced");
    let committed = assert_live_text(&events)?;
    for (name, speech) in spoken {
        let (expected, said) = (speech.timed()?, timed_words(instance, Some(name))?);
        let (lost, row) = (lost_words(&expected, &said), lost_in_a_row(&expected, &said));
        eprintln!("{name}: {} words, {} said, {} not there, {row} in a row", expected.len(), said.len(), lost.len());
        ensure!(row <= 2 && lost.len() * 20 <= expected.len(), "{name}: {lost:?}");
        ensure!(said.len() * 20 <= expected.len() * 21 + 40, "{name}: {} words of {}", said.len(), expected.len());
    }
    ensure!(committed > 0, "nothing was committed while it was spoken");
    instance.assert_clean()
}

/// The largest of the looks' numbers.
fn most(looks: &[Look], number: impl Fn(&Look) -> f64) -> f64 {
    looks.iter().map(number).fold(0.0, f64::max)
}

#[test]
fn three_who_speak_all_the_time_and_two_workers() -> Result<()> {
    let speeches: Vec<Speech> = (0..3).map(|n| speech(minutes(0), 2 * n)).collect::<Result<_>>()?;
    let sources: Vec<String> = speeches.iter().zip(1..).map(|(speech, n)| format!("s{n}={}", speech.uri())).collect();
    let mut instance = Setup::run(&sources.iter().map(String::as_str).collect::<Vec<_>>()).start()?;
    instance.wait_ready()?;
    let shortest_s = speeches.iter().map(Speech::seconds).fold(f64::MAX, f64::min);
    let looks = watch(&instance, "s1", shortest_s)?;
    let lag_s = most(&looks, |look| look.lag_s);
    let late = looks.iter().filter(|look| look.late).count();
    eprintln!("{} looks: at most {lag_s:.1} s behind; late in {late}", looks.len());
    ensure!(looks.len() > 10, "{} looks", looks.len());
    // Whoever is behind by more than a sentence takes and what is called late is told.
    let untold = looks.iter().find(|look| look.lag_s > LAG_S_MAX + TOLD_S && !look.late);
    ensure!(untold.is_none(), "{:.1} s behind, and nobody is told", untold.map_or(0.0, |look| look.lag_s));
    // Partials are left out before finals come late.
    let events = instance.log().all()?;
    let is_late = |e: &Event| e.is("lag") && e.fields["pace"] == "late_finals";
    let merged = instance.json("status")?["queue"]["merged"].as_u64().context("merged")?;
    ensure!(merged > 0 || !events.iter().any(is_late), "finals come late, and no partial was left out");
    if long() {
        ensure!(lag_s <= LAG_S_MAX, "{lag_s:.1} s behind");
    }
    let names = ["s1", "s2", "s3"];
    check_words(&mut instance, &names.into_iter().zip(&speeches).collect::<Vec<_>>())
}

#[test]
fn memory_stays_as_it_is_and_words_on_time() -> Result<()> {
    // What is heard at once decides how much memory a worker takes, and when it hears the longest of it is chance. An hour has
    // all of it again and again, in both halves; in the short run a worker is held to what it may take at the most. That the
    // same sounds again and again take no more is tested where they can be the same: `transcriber-worker/tests/memory.rs`.
    let speech = if long() { speech(minutes(1), 0)? } else { Speech::join(&[CLIPS[1], CLIPS[4]].repeat(2))? };
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    let looks = watch(&instance, "file", speech.seconds())?;
    let (first, second) = looks.split_at(looks.partition_point(|look| look.at_s < speech.seconds() / 2.0));
    ensure!(first.len() > 10 && second.len() > 10, "{} and {} looks", first.len(), second.len());
    let processes: Vec<_> = second.iter().flat_map(|look| look.memory_kb.keys()).collect();
    ensure!(processes.iter().all(|process| first[0].memory_kb.contains_key(process)), "not the same processes");
    for process in first[0].memory_kb.keys() {
        let kb = |look: &Look| look.memory_kb.get(process).map_or(0.0, |kb| *kb as f64);
        let (before, after) = (most(first, kb), most(second, kb));
        eprintln!("{process:?}: {before} kB in the first half, {after} kB in the second");
        ensure!(before > 0.0, "{process:?} takes nothing");
        if long() || process.0 != "worker" {
            ensure!(after <= 1.05 * before + 2_048.0, "{process:?} grew from {before} to {after} kB");
        }
        ensure!(after <= MEMORY_KB_MAX, "{process:?} takes {after} kB");
    }
    let (before_s, after_s) = (most(first, |look| look.lag_s), most(second, |look| look.lag_s));
    eprintln!("at most {before_s:.1} s behind in the first half, {after_s:.1} s in the second");
    if long() {
        ensure!(after_s <= before_s + 2.0, "words fall behind: by {before_s:.1} s, then by {after_s:.1} s");
    }
    check_words(&mut instance, &[("file", &speech)])
}
