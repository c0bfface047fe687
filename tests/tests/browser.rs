//! `tympan viz --web`, looked at with a real browser: known signals are where they must be, controls do what they say,
//! what is missing is shown as missing, and strangers stay outside.

#[path = "web/http.rs"]
mod http;
mod web;

use anyhow::{Context, Result, ensure};
use http::Http;
use serde_json::{Value, json};
use shm_layout::{FrameIndex, v1};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system_tests::{CLIPS, Setup, Speech, long, program, wait_until, watchdog, workspace_root};
use web::{FakeWords, Page, Server, UNSETTLED, Writer};

/// The five channels that `signals` judges.
const KNOWN: [&str; 5] = ["sine:440:0.125", "chirp:100:12000:0.4", "click", "silence", "noise:0.25"];

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

fn clean(seen: &Value) -> Result<()> {
    for field in ["faults", "violations"] {
        let none = seen[field].as_array().is_none_or(Vec::is_empty);
        ensure!(none, "{field}: {}", seen[field]);
    }
    Ok(())
}

#[test]
fn known_signals_are_seen_where_they_are() -> Result<()> {
    let page = Page::new()?;
    let _stereo = Writer::start(&page, "pair", &["sine:300:0.5", "against:300:0.5"])?;
    let _known = Writer::start(&page, "known", &["sine:440:0.125", "click", "sine:1000:0.5"])?;
    let all = page.serve(&[])?.drive("signals", &json!({}))?;
    let all = all.as_array().context("three ways of drawing")?;
    ensure!(all.len() == 3);
    for seen in all {
        clean(seen)?;
        let query = seen["query"].as_str().context("query")?;
        ensure!(seen["shared"].as_bool() == Some(query != "?shared=no"), "{query}: shared memory");
        ensure!(seen["kind"] == if query == "?draw=webgl" { "webgl" } else { "image" }, "{query}: {}", seen["kind"]);
        ensure!((seen["lost"].as_u64(), seen["gaps"].as_u64()) == (Some(0), Some(0)), "{query}: something is missing");
        // Of how many frames its transforms were: fewer where it could not keep up. A tone is found within a tenth of a bin.
        let fft = numbers(&seen["ffts"]).into_iter().fold(f64::MAX, f64::min);
        let bin_hz = 48_000.0 / fft;
        // Streams by name: the tone, the click, 1 kHz, and the pair.
        let tone = |lane: usize| (seen["tones"][lane][0]["hz"].as_f64(), seen["tones"][lane][0]["levelDb"].as_f64());
        for (lane, hz, db) in [(0, 440.0, -18.06), (2, 1_000.0, -6.02), (3, 300.0, -6.02)] {
            let (Some(actual_hz), Some(actual_db)) = tone(lane) else {
                anyhow::bail!("{query}: no tone in lane {lane}")
            };
            ensure!(
                (actual_hz - hz).abs() < 0.1 * bin_hz + 0.1 && (actual_db - db).abs() < 0.3,
                "{query}: {actual_hz} Hz {actual_db} dB"
            );
        }
        ensure!(
            (seen["meters"][0]["peak"].as_f64().context("peak")? - 0.125).abs() < 0.001,
            "{query}: {}",
            seen["meters"]
        );
        ensure!(
            (seen["meters"][0]["rms"].as_f64().context("rms")? - 0.0884).abs() < 0.002,
            "{query}: {}",
            seen["meters"]
        );
        let pair =
            seen["pairs"].as_array().and_then(|pairs| pairs.iter().find(|pair| pair["lane"] == 4)).context("pair")?;
        ensure!((pair["value"].as_f64().context("value")? + 1.0).abs() < 0.001, "{query}: {pair}");
        // In pixels: the brightest row is the tone's, and its colour is its level's.
        for (lane, hz, db) in [(0, 440.0_f64, -18.06), (2, 1_000.0, -6.02), (3, 300.0, -6.02)] {
            let row = &seen["lanes"][lane];
            let rows = row["rows"].as_f64().context("rows")?;
            let expected = rows * (hz / 40.0).ln() / (24_000.0_f64 / 40.0).ln();
            let actual = row["brightest"].as_f64().context("brightest")? + 0.5;
            let half_a_bin = rows * (1.0 + bin_hz / 2.0 / hz).ln() / 600.0_f64.ln();
            ensure!(
                (actual - expected).abs() <= 1.5 + half_a_bin,
                "{query}: {hz} Hz in row {actual} of {rows}, and not {expected}"
            );
            let (low, high) = (-90.0, 0.0);
            let level = low + row["level"].as_f64().context("level")? / 255.0 * (high - low);
            // A Hann window's scallop is 1.4 dB at the most.
            ensure!(level > db - 1.9 && level < db + 0.6, "{query}: {hz} Hz looks like {level} dB, and not {db}");
            ensure!(row["unknown"] == 0, "{query}: pixels that are no colours of the map");
        }
        // A click of one sample at each whole second, in the column of that second.
        let clicks = numbers(&seen["lanes"][1]["clicks"]);
        let (end, per_column) = (seen["end"][1].as_f64().context("end")?, seen["columnS"].as_f64().context("scale")?);
        let width = seen["width"].as_f64().context("width")?;
        // The ring may be younger than the picture is wide.
        let whole_seconds = (width * per_column).min(end).floor();
        ensure!(clicks.len() as f64 >= whole_seconds - 1.0, "{query}: clicks at {clicks:?} of {whole_seconds} s");
        for x in clicks {
            let seconds = end - (width - x - 0.5) * per_column;
            ensure!((seconds - seconds.round()).abs() <= 1.6 * per_column, "{query}: a click at {seconds} s");
        }
    }
    Ok(())
}

#[test]
fn each_control_does_what_it_says() -> Result<()> {
    let page = Page::new()?;
    let _known = Writer::start(&page, "known", &KNOWN)?;
    let png = page.folder().join("seen.png");
    let seen = page.serve(&[])?.drive("controls", &json!({"lanes": KNOWN.len(), "png": png}))?;
    clean(&seen)?;
    for (place, palette) in seen["palettes"].as_array().context("palettes")?.iter().enumerate() {
        ensure!(palette["part"].as_f64() == Some(1.0), "map {place}: pixels of other colours: {palette}");
    }
    let darkest: Vec<&Value> = (0..5).map(|map| &seen["palettes"][map]["first"]).collect();
    ensure!(darkest[0] == &json!([0x44, 0x01, 0x54]) && darkest[4] == &json!([0, 0, 0]), "{darkest:?}");
    let rows = numbers(&seen["rows"]);
    let mel = |hz: f64| (1.0 + hz / 700.0).ln();
    let expected = [
        440.0 / 24_000.0,
        (440.0_f64 / 40.0).ln() / 600.0_f64.ln(),
        (mel(440.0) - mel(40.0)) / (mel(24_000.0) - mel(40.0)),
    ];
    for (actual, expected) in rows.iter().zip(expected) {
        ensure!((actual - expected).abs() < 0.04, "{rows:?}, and not {expected:?}");
    }
    ensure!(rows.len() == 3);
    let number = |name: &str| seen[name].as_f64().with_context(|| name.to_owned());
    ensure!(number("lightLow")? > number("lightHigh")? + 5.0, "a lower floor is brighter: {seen}");
    ensure!(
        number("arrow")? > 0.5 && (number("dragged")? - number("dragExpected")?).abs() < 0.3 * number("dragExpected")?,
        "{seen}"
    );
    ensure!((number("zoomed")? - 0.7).abs() < 0.01 && number("deep")? > 0.0, "{seen}");
    // The history grows while it is pointed at.
    ensure!((number("scrubbed")? - number("scrubExpected")?).abs() < 1.5, "{seen}");
    ensure!(seen["still"]["end"] == 0.0, "a pause that goes on: {}", seen["still"]);
    for (name, value) in
        [("panel", json!(true)), ("closed", json!(true)), ("live", json!(true)), ("theme", json!("light"))]
    {
        ensure!(seen[name] == value, "{name}: {}", seen[name]);
    }
    ensure!(seen["cursor"].as_str().is_some_and(|text| text.contains(':')), "{}", seen["cursor"]);
    ensure!(
        (seen["kept"].as_u64(), seen["reset"].as_u64()) == (Some(3), Some(0)),
        "kept {}, reset {}",
        seen["kept"],
        seen["reset"]
    );
    let bytes = std::fs::read(&png)?;
    let size = |at: usize| bytes.get(at..at + 4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
    ensure!(
        bytes.starts_with(b"\x89PNG\r\n\x1a\n") && size(16) == Some(1_280) && size(20).is_some_and(|h| h > 700),
        "no PNG of the page"
    );
    Ok(())
}

#[test]
fn words_stand_under_their_sound_and_are_heard() -> Result<()> {
    let page = Page::new()?;
    let writer = Writer::start(&page, "talk", &["sine:440:0.25"])?;
    let now = wait_until("some seconds of sound", watchdog(3.0), || {
        Ok(Some(writer.newest()?).filter(|&frame| frame > 240_000))
    })?;
    let _words = FakeWords::start(&page, "talk", &[("hello", now - 96_000), ("world", now - 48_000)])?;
    let seen = page.serve(&[])?.drive("words", &json!({"lanes": 1, "words": 2, "press": "hello"}))?;
    clean(&seen)?;
    ensure!(seen["partials"] == json!([["talk", UNSETTLED]]), "what may change: {}", seen["partials"]);
    ensure!(seen["spoken"] == "hello world", "for screen readers: {}", seen["spoken"]);
    let place = seen["place"].as_array().context("place")?;
    ensure!(place.len() == 2, "{place:?}");
    for word in place {
        let off = (word["x"].as_f64().context("x")? - word["right"].as_f64().context("right")?).abs();
        ensure!(off < 12.0, "{word} is {off} pixels from its sound");
    }
    ensure!(seen["heard"]["missing"] == 0, "{}", seen["heard"]);
    ensure!((seen["heard"]["peak"].as_f64().context("peak")? - 0.25).abs() < 0.001, "{}", seen["heard"]);
    ensure!(
        seen["selection"]["width"].as_f64().is_some_and(|width| (width - 36.0).abs() < 3.0),
        "{}",
        seen["selection"]
    );
    Ok(())
}

#[test]
fn the_words_of_an_instance_stand_under_their_sound_and_are_heard() -> Result<()> {
    let speech = Speech::join(&CLIPS)?;
    let mut instance = Setup::run(&[&speech.uri()]).start()?;
    instance.wait_ready()?;
    instance.wait_event("a final", watchdog(15.0), |event| event.is("final"))?;
    let server = Server::start(instance.folders(), &["file"])?;
    let seen = server.drive("words", &json!({"lanes": 1, "words": 3, "waitS": 100}))?;
    clean(&seen)?;
    drop(server);
    // As the instance said them: text and time.
    let events = instance.log().all()?;
    let said: Vec<&Value> =
        events.iter().flat_map(|event| event.fields["words"].as_array().into_iter().flatten()).collect();
    let near = |word: &Value, seconds: f64, off_s: f64| {
        word["start_s"].as_f64().is_some_and(|start| (start - seconds).abs() < off_s)
    };
    let words = seen["words"].as_array().context("words")?;
    for word in words {
        let at = word["startSeconds"].as_f64().context("startSeconds")?;
        ensure!(said.iter().any(|one| one["text"] == word["text"] && near(one, at, 0.001)), "{word} was never said");
    }
    let place = seen["place"].as_array().context("place")?;
    ensure!(!place.is_empty() && words.len() >= 3, "{seen}");
    let mut free = f64::MIN;
    for word in place {
        let number = |name: &str| word[name].as_f64().with_context(|| name.to_owned());
        // A word that is longer than its sound has the next one make way.
        let expected = number("right")?.max(free);
        ensure!((number("x")? - expected).abs() < 12.0, "{word} does not stand at {expected}");
        free = number("x")? + number("wide")? + 3.0;
    }
    // The pressed one is marked where it was said, and what is heard is what the ring has there.
    let (at, length) = (&seen["selected"]["atS"], &seen["selected"]["lengthS"]);
    let (at, length) = (at.as_f64().context("at")?, length.as_f64().context("length")?);
    let fits = |word: &&&Value| {
        near(word, at, 0.05) && word["end_s"].as_f64().is_some_and(|end| (end - at - length).abs() < 0.1)
    };
    let word = said.iter().find(fits).with_context(|| format!("no word was said at {at} s for {length} s"))?;
    let frame = |name: &str| word[name].as_u64().with_context(|| name.to_owned());
    let margin = (frame("end_frame")? - frame("start_frame")?) as f64
        / (word["end_s"].as_f64().context("end")? - word["start_s"].as_f64().context("start")?)
        * 0.05;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred frames")]
    let margin = margin.round() as u64;
    let from = frame("start_frame")?.saturating_sub(margin);
    let mut samples = vec![0.0; usize::try_from(frame("end_frame")? + margin - from)?];
    let stream = events.iter().find_map(|event| event.fields["stream"].as_str()).context("stream")?;
    let frames = samples.len();
    instance.ring(stream)?.read(FrameIndex(from), &mut samples, frames)?;
    let peak = samples.iter().fold(0.0_f64, |peak, &sample| peak.max(f64::from(sample.abs())));
    let heard = seen["heard"]["peak"].as_f64().context("peak")?;
    ensure!(seen["heard"]["missing"] == 0 && peak > 0.01 && (heard - peak).abs() < 1e-6, "{heard} is heard of {peak}");
    instance.interrupt()?;
    instance.wait_exit(watchdog(2.0))?;
    instance.assert_clean()
}

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
    let (hatched, expected) =
        (seen["hatched"].as_f64().context("hatched")?, seen["expected"].as_f64().context("expected")?);
    ensure!((hatched - expected).abs() <= 3.0, "{hatched} columns are drawn as missing, and not {expected}");
    let number = |name: &str| seen[name].as_f64().with_context(|| name.to_owned());
    let off = (number("dark")? - number("darkExpected")?).abs();
    ensure!(off <= 3.0 + 2.0 * number("hopColumns")?, "{off} columns of the spectrogram too many or too few: {seen}");
    // Between two epochs nobody captured anything: a second.
    ensure!(seen["after"].as_u64() == Some(14_400 + 48_000), "{} frames after the next epoch", seen["after"]);
    ensure!((seen["lost"].as_u64(), seen["other"].as_u64()) == (Some(0), Some(0)), "{seen}");
    ensure!(seen["overflow"].as_f64().is_some_and(|pixels| pixels <= 0.0), "wider than a phone: {}", seen["overflow"]);
    Ok(())
}

#[test]
fn a_slow_browser_gets_coarser_pictures_and_fine_ones_again() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "many", &["noise:0.3"; 8])?;
    let server = page.serve(&["--fft", "8192", "--hop", "512"])?;
    let seen = server.drive("throttled", &json!({"lanes": 8, "own": true}))?;
    clean(&seen)?;
    ensure!(seen["coarse"]["quality"].as_u64() > Some(0) || seen["coarse"]["scale"].as_u64() > Some(1), "{seen}");
    ensure!(seen["again"] == json!({"fft": 8_192, "hop": 512}), "{seen}");
    // Coarser, and nothing is hidden by it.
    accounts_hold(&seen)?;
    Ok(())
}

#[test]
fn coarser_transforms_overlap_as_is_wished() -> Result<()> {
    let page = Page::new()?;
    let seen = page.serve(&[])?.drive("steps", &json!({}))?;
    let all = seen.as_array().context("steps")?;
    ensure!(all.len() == 125, "{seen}");
    for one in all {
        let number = |value: &Value| value.as_f64().with_context(|| one.to_string());
        let wished = number(&one["hop"])? / number(&one["fft"])?;
        let computed = number(&one["computed"]["hop"])? / number(&one["computed"]["fft"])?;
        // A click between two transforms that do not overlap is in neither.
        ensure!(computed <= wished.max(0.5), "{one}");
        ensure!(number(&one["computed"]["fft"])? <= number(&one["fft"])?, "{one}");
    }
    Ok(())
}

/// Bytes that the kernel may keep on the way from one program to another.
fn kernel_bytes() -> Result<u64> {
    let most = |name: &str| -> Result<u64> {
        let text = std::fs::read_to_string(Path::new("/proc/sys/net/ipv4").join(name))?;
        Ok(text.split_whitespace().last().with_context(|| name.to_owned())?.parse()?)
    };
    Ok(most("tcp_rmem")? + most("tcp_wmem")?)
}

/// Bytes that a browser may keep of what it did not give to its page yet: far more than it does.
const BROWSER_BYTES: u64 = 16 << 20;
/// Milliseconds that the server waits for a page that takes nothing, before it sends it away.
const PATIENCE_MS: u64 = 5_000;

/// Every frame came or is told as lost, what is lost is drawn as lost, and the page shows now again.
fn nothing_is_hidden(seen: &Value, rate_hz: u32) -> Result<u64> {
    clean(seen)?;
    let count = |when: &str, what: &str| seen[when][what].as_u64().with_context(|| format!("{when} {what}: {seen}"));
    let grown = |what: &str| Ok::<_, anyhow::Error>(count("after", what)? - count("before", what)?);
    let (all, came, lost) = (grown("newest")?, grown("came")?, grown("lost")?);
    ensure!(all == came + lost, "of {all} frames {came} came and {lost} are told as lost: {seen}");
    ensure!(grown("gaps")? == 0, "a loss is no gap: {seen}");
    let number = |name: &str| seen[name].as_f64().with_context(|| name.to_owned());
    let (drawn, expected) = (number("drawnLostS")?, lost as f64 / f64::from(rate_hz));
    ensure!((drawn - expected).abs() <= 3.0 * number("columnS")?, "{drawn} s are drawn as lost, and not {expected}");
    ensure!(all as f64 / f64::from(rate_hz) * 1_000.0 > number("stoppedMs")?, "not at now: {seen}");
    // What is promised is a second.
    ensure!(number("liveMs")? < watchdog(1.0).as_secs_f64() * 1_000.0, "{seen}");
    Ok(lost)
}

#[test]
fn what_a_stopped_page_missed_is_told_and_drawn() -> Result<()> {
    const LANES: usize = 8;
    const RATE_HZ: u32 = 192_000;
    let page = Page::new()?;
    let _writer = Writer::start_at(&page, "many", (RATE_HZ, 10), &["noise:0.3"; LANES])?;
    let server = page.serve(&[])?;
    // Until all buffers are full, the server's patience has ended, and a second is lost.
    let bytes_a_ms = LANES as u64 * u64::from(RATE_HZ) * 4 / 1_000;
    let stop_ms = (kernel_bytes()? + BROWSER_BYTES) / bytes_a_ms + PATIENCE_MS + 1_000;
    let seen = server.drive("stopped", &json!({"lanes": LANES, "rateHz": RATE_HZ, "stopMs": stop_ms, "own": true}))?;
    let lost = nothing_is_hidden(&seen, RATE_HZ)?;
    ensure!(
        lost >= u64::from(RATE_HZ),
        "nothing keeps what this page missed, and it was told of {lost} frames: {seen}"
    );
    Ok(())
}

#[test]
fn what_a_stopped_server_missed_is_told_and_drawn() -> Result<()> {
    const HISTORY_S: u32 = 2;
    let page = Page::new()?;
    let _writer = Writer::start_at(&page, "short", (48_000, HISTORY_S), &["noise:0.3"; 2])?;
    let server = page.serve(&[])?;
    // The ring goes round without it.
    let stop_ms = 2_000 * HISTORY_S;
    let seen = server.drive(
        "stopped",
        &json!({"lanes": 2, "rateHz": 48_000, "stopMs": stop_ms, "own": true, "server": server.pid()}),
    )?;
    let lost = nothing_is_hidden(&seen, 48_000)?;
    ensure!(lost >= u64::from(HISTORY_S) * 48_000, "overwritten, and told of {lost} frames: {seen}");
    Ok(())
}

#[test]
fn a_page_that_was_frozen_for_long_is_at_now_again() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "many", &["noise:0.3"; 8])?;
    let server = page.serve(&[])?;
    // Beyond the server's patience.
    let stop_ms = if long() { 3_600_000 } else { PATIENCE_MS + 3_000 };
    let job = json!({"lanes": 8, "rateHz": 48_000, "stopMs": stop_ms, "own": true, "frozen": true, "limitS": stop_ms / 1_000 + 300});
    let seen = server.drive("stopped", &job)?;
    accounts_hold(&seen)?;
    clean(&seen)?;
    // Its histories are 92 MB; what came while nobody computed is kept by nobody.
    ensure!(seen["grownMb"].as_f64().is_some_and(|grown| grown < 160.0), "{seen}");
    Ok(())
}

/// Of all frames that passed, each came, or is told as lost or never captured.
fn accounts_hold(seen: &Value) -> Result<()> {
    let grown = |what: &str| {
        let count = |when: &str| seen[when][what].as_u64().with_context(|| format!("{when} {what}: {seen}"));
        count("after")?.checked_sub(count("before")?).with_context(|| format!("{what} falls: {seen}"))
    };
    let (all, told) = (grown("newest")?, grown("came")? + grown("lost")? + grown("gaps")?);
    ensure!(all == told && all > 0, "of {all} frames {told} are accounted for: {seen}");
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

/// Mean and greatest difference of blocks of 16 x 16 pixels from those of a reference, of 255: other fonts stay below, what
/// is not where it was does not.
const MEAN_MOST: f64 = 2.0;
const BLOCK_MOST: f64 = 56.0;

/// The views of the page beside screenshots that are kept (`tests/tests/golden/page/`). Whoever changes how the page looks has
/// them taken anew, and looks at each before it is committed:
/// `TYMPAN_ACCEPT=1 cargo test --release --locked -p system-tests --test browser each_view_looks`. What was seen last lies in
/// `page/` beside the tested programs.
#[test]
fn each_view_looks_as_it_did() -> Result<()> {
    const END_S: u64 = 12;
    let page = Page::new()?;
    let mut known = Writer::start(&page, "known", &["sine:440:0.25", "chirp:100:8000:0.4", "click"])?;
    let mut pair = Writer::start(&page, "pair", &["sine:300:0.5", "against:300:0.5"])?;
    known.order(&format!("until {END_S}"))?;
    pair.order(&format!("until {END_S}"))?;
    let words =
        [("some", END_S * 48_000 - 180_000), ("known", END_S * 48_000 - 140_000), ("words", END_S * 48_000 - 90_000)];
    let _words = FakeWords::start(&page, "known", &words)?;
    let references = workspace_root().join("tests/tests/golden/page");
    let seen_in = program("signal-writer")?.with_file_name("page");
    std::fs::create_dir_all(&references)?;
    std::fs::create_dir_all(&seen_in)?;
    let accept = std::env::var_os("TYMPAN_ACCEPT").is_some_and(|value| value == "1");
    let job = json!({"lanes": 5, "words": words.len(), "endS": END_S, "references": references, "seen": seen_in,
        "accept": accept});
    let seen = page.serve(&[])?.drive("references", &job)?;
    clean(&seen)?;
    let views = seen["views"].as_array().context("views")?;
    ensure!(views.len() == 6, "{seen}");
    for view in views {
        let (mean, most) = (view["difference"]["mean"].as_f64(), view["difference"]["most"]["by"].as_f64());
        let (Some(mean), Some(most)) = (mean, most) else {
            anyhow::bail!("no reference of this size: {view}; seen: {}", seen_in.display())
        };
        ensure!(mean <= MEAN_MOST && most <= BLOCK_MOST, "looks different: {view}; seen: {}", seen_in.display());
    }
    Ok(())
}

#[test]
fn frames_without_end_need_no_more_memory() -> Result<()> {
    const LANES: usize = 2;
    let page = Page::new()?;
    let _writer = Writer::start(&page, "pair", &["chirp:100:12000:0.4"; LANES])?;
    let server = page.serve(&[])?;
    // All of them take more than half an hour.
    let (frames, seconds) = if long() { (216_000, 9_000) } else { (600, 600) };
    let job = json!({"lanes": LANES, "frames": frames, "seconds": seconds, "server": server.pid(), "limitS": seconds + 60,
        "args": ["--disable-frame-rate-limit", "--disable-gpu-vsync"]});
    let seen = server.drive("endure", &job)?;
    clean(&seen)?;
    accounts_hold(&seen)?;
    let looks = seen["looks"].as_array().context("looks")?;
    let at = |place: usize, what: &str| looks[place][what].as_f64().with_context(|| what.to_owned());
    ensure!(looks.len() == 10 && seen["draws"].as_u64() >= Some(frames), "{seen}");
    // A minute of history comes into use little by little, and then no more.
    let history_s = at(9, "seconds")?.min(60.0) - at(4, "seconds")?.min(60.0);
    let history_mb = history_s * 48_000.0 * 4.0 * LANES as f64 / f64::from(1 << 20);
    for (what, most_mb) in [("heapMb", 1.0), ("pageMb", 8.0 + history_mb), ("serverMb", 2.0)] {
        let grown = at(9, what)? - at(4, what)?;
        ensure!(grown < most_mb, "{what} grows by {grown} MB in the second half: {seen}");
    }
    Ok(())
}

#[test]
fn strangers_are_turned_away() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "mic", &["noise:0.3"; 16])?;
    let server = page.serve(&[])?;
    let http = Http { address: server.address()? };
    let own = http.address.to_string();
    let home = http.get("/", &own, &[])?;
    ensure!(home.status == 200 && home.head.contains("default-src 'none'"), "{}", home.head);
    for header in ["cross-origin-opener-policy: same-origin", "cross-origin-embedder-policy: require-corp", "nosniff"] {
        ensure!(home.head.to_lowercase().contains(header), "{header} is missing in {}", home.head);
    }
    ensure!(http.get("/../etc/passwd", &own, &[])?.status == 404 && http.get("/made-from", &own, &[])?.status == 404);
    ensure!(http.get("/", "evil.example", &[])?.status == 421, "another name for this machine");
    let foreign = http.upgrade(&own, Some("http://evil.example"));
    ensure!(foreign.is_err_and(|error| error.to_string().contains("403")), "a page of another origin");
    ensure!(http.upgrade("evil.example:80", None).is_err(), "another name for this machine");

    // What is no request gets an error; too much of it, and too long a message, the end.
    let mut socket = http.upgrade(&own, Some(&format!("http://{own}")))?;
    socket.wait_text("hello")?;
    socket.send_text("{\"type\":\"delete\"}")?;
    socket.wait_text("error")?;
    socket.send_text("{\"type\":\"frames\",\"request\":7,\"stream\":\"mic\",\"from\":0,\"to\":99999999999}")?;
    ensure!(socket.wait_text("error")?["request"] == 7);
    for _ in 0..20 {
        // The end may come between.
        let _ = socket.send_text("nonsense");
    }
    ensure!(socket.wait_close()? == Some(1_008));
    let mut socket = http.upgrade(&own, None)?;
    socket.wait_text("hello")?;
    let _ = socket.send_text(&"x".repeat(1 << 20));
    socket.wait_close()?;

    // Who reads nothing goes, and who reads does not notice.
    let mut good = http.upgrade(&own, None)?;
    let mut bad = http.upgrade(&own, None)?;
    for socket in [&mut good, &mut bad] {
        socket.wait_text("streams")?;
        socket.send_text("{\"type\":\"subscribe\",\"stream\":\"mic\"}")?;
    }
    let open = server.connections()?;
    let mut expected = None;
    let mut seen = 0;
    let gone = wait_until("the end of who reads nothing", watchdog(12.0), || {
        for (first, frames, missing) in good.frames(Duration::from_millis(200))? {
            ensure!(missing == 0, "somebody else's slowness cost frames");
            ensure!(expected.is_none_or(|expected| expected == first), "frames {expected:?} to {first} are missing");
            expected = Some(first + frames);
            seen += frames;
        }
        Ok((server.connections()? < open).then_some(()))
    });
    gone?;
    ensure!(seen > 48_000, "only {seen} frames came to who reads");
    Ok(())
}

#[test]
fn beyond_this_machine_a_token_is_wanted() -> Result<()> {
    let page = Page::new()?;
    let _writer = Writer::start(&page, "mic", &["sine:440:0.25"])?;
    let server = page.serve(&["--host", "0.0.0.0"])?;
    ensure!(server.url().contains("/#token="), "{}", server.url());
    let seen = server.drive("token", &json!({"lanes": 1}))?;
    ensure!(seen["refused"].as_str().is_some_and(|text| text.contains("token")), "{seen}");
    ensure!(
        seen["address"].as_str().is_some_and(|address| !address.contains("token")),
        "the token stays in the address: {seen}"
    );
    Ok(())
}
