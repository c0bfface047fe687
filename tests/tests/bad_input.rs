//! Wrong orders, files that end and sixty-four sources at once: each is answered, and who is there already loses no sample.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shm_layout::{Follow, Follower};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use system_tests::*;

/// Every source that there can be.
const SOURCES_MAX: usize = 64;
const RATE_HZ: u32 = 8_000;

/// Follows the stream that counts until `over`, and looks at every frame.
fn follow(runtime: &Path, over: &AtomicBool) -> Result<Counted> {
    let (mut follower, mut planar, mut seen) = (Follower::new(runtime, "count"), Vec::new(), Counted::default());
    let mut rings = 0;
    while !over.load(Ordering::Relaxed) {
        match follower.next(&mut planar, 4_096, Duration::from_millis(100)) {
            Follow::NewEpoch { .. } => rings += 1,
            Follow::Frames { from, frames } => {
                seen.look_at(follower.ring().context("in a ring")?, from, &planar, frames)?;
            }
            Follow::Waiting => {}
            other => anyhow::bail!("{other:?} after {seen:?}"),
        }
    }
    ensure!(rings == 1, "{rings} rings");
    Ok(seen)
}

/// Orders over one connection.
struct Orders(BufReader<UnixStream>);

impl Orders {
    fn of(instance: &Instance) -> Result<Self> {
        let socket = UnixStream::connect(instance.folders().runtime().join("control.sock"))?;
        socket.set_read_timeout(Some(watchdog(2.0)))?;
        Ok(Self(BufReader::new(socket)))
    }

    fn give(&mut self, order: &Value) -> Result<Value> {
        self.0.get_mut().write_all(format!("{order}\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("{order} was answered with {line:?}"))
    }

    fn refused(&mut self, order: &Value, words: &str) -> Result<()> {
        let answer = self.give(order)?;
        ensure!(answer["error"].as_str().is_some_and(|error| error.contains(words)), "{order}: {answer}");
        Ok(())
    }

    fn add(&mut self, stream: &str, uri: &str) -> Result<()> {
        let answer = self.give(&json!({"command": "source_add", "stream": stream, "uri": uri}))?;
        ensure!(answer["ok"] == true, "{stream}: {answer}");
        Ok(())
    }

    /// In which state a source is.
    fn state(&mut self, stream: &str) -> Result<Option<String>> {
        let listed = self.give(&json!({"command": "source_list"}))?;
        let rows = listed["sources"].as_array().context("no list")?;
        Ok(rows.iter().find(|row| row["stream"] == stream).and_then(|row| Some(row["state"].as_str()?.to_owned())))
    }
}

fn wrong_orders(orders: &mut Orders) -> Result<()> {
    let mix = |wish: Value| json!({"command": "mix_set", "stream": "count", "wish": wish});
    // What JSON has no number for, what is none, and what is out of range.
    for (wish, words) in [
        (json!({"gain": null, "pan": "left"}), "not a request"),
        (json!({"gain": "loud"}), "not a request"),
        (json!({"gain": 1e39}), "no gain"),
        (json!({"gain": -1.0}), "no gain"),
        (json!({"gain": 11.0}), "no gain"),
        (json!({"pan": 3.0}), "no pan"),
        (json!({"volume": 1.0}), "not a request"),
        (json!({"highpass_hz": 5.0}), "20"),
    ] {
        orders.refused(&mix(wish), words)?;
    }
    let nobody = json!({"command": "mix_set", "stream": "nobody", "wish": {"mute": true}});
    orders.refused(&nobody, "there is no source nobody")?;
    orders.refused(&json!({"command": "source_remove", "stream": "nobody"}), "there is no source nobody")?;
    let twice = json!({"command": "source_add", "stream": "count", "uri": "test:tone"});
    orders.refused(&twice, "there is a source count already")?;
    orders.refused(&json!({"command": "output_set", "device": ""}), "wants a device's name")?;
    orders.refused(&json!({"command": "output_set", "device": "default", "stream": "nobody"}), "nobody")
}

/// Half a second of sound in a file.
fn short_file(path: &Path) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE_HZ,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec)?;
    (0..i16::try_from(RATE_HZ / 2)?).try_for_each(|frame| file.write_sample(frame % 200 * 100))?;
    Ok(file.finalize()?)
}

#[test]
fn whatever_is_asked_wrongly_nobody_loses_a_sample() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("short.wav");
    short_file(&path)?;
    let rate = RATE_HZ.to_string();
    let mut instance = Setup::run(&["count=test:count"]).arg("--rate").arg(rate).arg("--history").arg("5").start()?;
    instance.wait_ready()?;
    let (runtime, over) = (instance.folders().runtime(), AtomicBool::new(false));
    let seen = std::thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&runtime, &over));
        let done = (|| -> Result<()> {
            let mut orders = Orders::of(&instance)?;
            wrong_orders(&mut orders)?;
            // A file that ends, one that is not there, a signal and a device that nobody knows.
            for (uri, state) in [
                (format!("file:{}", path.display()).as_str(), "ended"),
                ("file:/no/such/talk.wav", "failed"),
                ("test:bell", "failed"),
                ("device:gramophone", "failed"),
            ] {
                orders.add("guest", uri)?;
                let is_so = |now: Option<String>| (now.as_deref() == Some(state)).then_some(());
                wait_until(state, watchdog(5.0), || Ok(is_so(orders.state("guest")?)))
                    .with_context(|| uri.to_owned())?;
                orders.give(&json!({"command": "source_remove", "stream": "guest"}))?;
            }
            // As many as there can be, at once, and one more.
            for n in 1..SOURCES_MAX {
                orders.add(&format!("s{n}"), "test:tone")?;
            }
            let more = json!({"command": "source_add", "stream": "more", "uri": "test:tone"});
            orders.refused(&more, "64 sources are the most")?;
            wait_until("all of them", watchdog(10.0), || {
                let listed = orders.give(&json!({"command": "source_list"}))?;
                let is_open = |row: &Value| row["state"] == "open" && row["lost_frames"] == 0;
                let rows = listed["sources"].as_array().context("no list")?;
                Ok((rows.len() == SOURCES_MAX && rows.iter().all(is_open)).then_some(()))
            })?;
            wrong_orders(&mut orders)
        })();
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::Relaxed);
        let seen = follower.join().expect("no panic");
        done.and(seen)
    })?;
    eprintln!("{seen:?}");
    ensure!(seen.numbered > u64::from(RATE_HZ) && seen.missing == 0, "{seen:?}");
    let is_fault = |event: &Event| event.is("lost") || event.fields["state"] == "exited";
    ensure!(!instance.log().all()?.iter().any(is_fault), "{:?}", instance.log().all()?);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(3.0))?;
    instance.assert_clean()
}
