//! Latency that is known: the stages add up, and an impulse through the same way says the same.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shm_layout::{FrameIndex, RingReader};
use system_tests::*;

fn measured(instance: &Instance, stream: &str) -> Result<Value> {
    wait_until("what is measured", watchdog(3.0), || {
        let said = instance.json("latency")?;
        let row = said["streams"].as_array().and_then(|rows| rows.iter().find(|row| row["stream"] == stream).cloned());
        Ok(row.filter(|row| row["sum_ms"].is_number()))
    })
}

#[test]
fn the_stages_add_up_and_an_impulse_agrees_and_nobody_hears_it() -> Result<()> {
    let talk = format!("talk=file:{}", clip_file("librivox_0880.wav").display());
    let mut instance = Setup::run(&["mic=virtual:silence?drift_ppm=80", "quiet=test:silence", &talk]).start()?;
    instance.wait_ready()?;
    for stream in ["mic", "quiet"] {
        let row = measured(&instance, stream)?;
        let stages = row["stages"].as_array().context("stages")?;
        let names: Vec<_> = stages.iter().filter_map(|stage| stage["stage"].as_str()).collect();
        ensure!(names == ["device", "queue", "resampler", "block", "tick"], "{row}");
        let sum: f64 = stages.iter().filter_map(|stage| stage["ms"].as_f64()).sum();
        let said = row["sum_ms"].as_f64().context("sum")?;
        ensure!((sum - said).abs() < 0.01, "{row}");
        ensure!(stages[0]["ms"] == 10.0 && stages[0]["frames"] == 480, "{row}");
        if stream == "mic" {
            // It leads: a block is filled while its period is, and adds nothing. What is kept is for late callbacks.
            let kept = stages[1]["ms"].as_f64().context("queue")?;
            ensure!(stages[3]["ms"] == 0.0 && kept > 2.0 && said > 12.0, "{row}");
        } else {
            ensure!(stages[3]["ms"] == 10.0 && said > 19.0, "{row}");
        }
        ensure!((row["in_mix_ms"].as_f64().context("mix")? - said - 5.0).abs() < 0.01, "{row}");
    }
    let said = instance.json("latency")?;
    let file = said["streams"].as_array().context("rows")?.iter().find(|row| row["stream"] == "talk").cloned();
    ensure!(file.is_some_and(|row| row["sum_ms"].is_null() && row["live"] == false), "{said}");
    ensure!(said["leader"] == "mic" && instance.json("status")?["leader"] == "mic", "{said}");
    // The only source that makes a sound is over.
    wait_until("the end of the file", watchdog(6.0), || {
        Ok(instance.status()?.streams.iter().any(|s| s.stream == "talk" && s.state == "ended").then_some(()))
    })?;
    let (since, mix) = (instance.log().len(), instance.ring("mix")?);
    let from = mix.commit().plus(4_800);
    let probed = instance.command(&["latency", "--probe", "--json"])?;
    probed.expect_success()?;
    let probe = serde_json::from_str::<Value>(&probed.stdout)?["probe"].clone();
    eprintln!("{probe}");
    ensure!(probe["agrees"] == true && probe["impulses"].as_u64().is_some_and(|n| n >= 3), "{probe}");
    // Through an output too: later than in the ring by what the output takes, and as late as it says.
    let number = |key: &str| probe[key].as_f64().with_context(|| format!("no {key} in {probe}"));
    ensure!(number("measured_out_ms")? > number("measured_ms")?, "{probe}");
    ensure!(number("difference_out_ms")?.abs() <= number("block_ms")?, "{probe}");
    let text = instance.command(&["latency"])?;
    ensure!(text.stdout.contains("mic leads the clock") && text.stdout.contains("listener"), "{}", text.stdout);
    // One at a time; and it goes by itself.
    wait_until("its end", watchdog(3.0), || Ok(instance.json_of_request("latency")?["probe"].is_null().then_some(())))?;
    let silent = silence(&mix, from, mix.commit())?;
    ensure!(silent, "the probe was heard in the mix");
    let of_probe = |event: &Event| event.fields["stream"] == "probe" || event.is("source_added");
    ensure!(!instance.log().all()?[since..].iter().any(of_probe), "the probe was told of");
    let of_output = |event: &Event| event.is("output") || event.is("leads");
    ensure!(!instance.log().all()?[since..].iter().any(of_output), "its output was told of");
    ensure!(instance.json("status")?["outputs"] == serde_json::json!([]) && said["leader"] == "mic", "{said}");
    ensure!(instance.status()?.streams.len() == 3);
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

fn silence(ring: &RingReader, from: FrameIndex, to: FrameIndex) -> Result<bool> {
    let frames = usize::try_from(to.since(from))?;
    let mut planar = vec![0.0; frames * ring.info().channels as usize];
    ring.read(from, &mut planar, frames)?;
    ensure!(frames > 48_000, "hardly anything to look at: {frames} frames");
    Ok(planar.iter().all(|sample| *sample == 0.0))
}

#[test]
fn an_impulse_stands_at_the_same_frame_in_its_ring_and_in_the_mix() -> Result<()> {
    let mut instance = Setup::run(&["click=virtual:impulse?drift_ppm=-100", "test:silence"]).start()?;
    let rings = [instance.ring("click")?, instance.ring("mix")?];
    instance.wait_captured(&rings[1], 3.0)?;
    let from = rings[0].info().first_frame;
    let frames = usize::try_from(rings[1].commit().since(from))?.min(140_000);
    let peaks = |ring: &RingReader| -> Result<Vec<usize>> {
        let mut planar = vec![0.0; frames * ring.info().channels as usize];
        ring.read(from, &mut planar, frames)?;
        let plane = &planar[..frames];
        let is_peak =
            |n: &usize| plane[*n].abs() > 0.3 && (n - 3..n + 4).all(|near| plane[near].abs() <= plane[*n].abs());
        Ok((3..frames - 4).filter(is_peak).collect())
    };
    let (own, mixed) = (peaks(&rings[0])?, peaks(&rings[1])?);
    ensure!(own.len() >= 4 && own == mixed, "{own:?} in its ring, {mixed:?} in the mix");
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}

#[test]
fn a_probe_that_cannot_come_is_said() -> Result<()> {
    let mut instance = Setup::run(&["demo:"]).arg("--resampling").arg("fast").start()?;
    instance.wait_ready()?;
    let twice = instance.json_of_request("latency_probe")?;
    ensure!(twice["ok"] == true, "{twice}");
    let again = instance.json_of_request("latency_probe")?;
    ensure!(again["error"].as_str().is_some_and(|text| text.contains("on its way already")), "{again}");
    instance.interrupt()?;
    instance.wait_exit(watchdog(3.0))?;
    instance.assert_clean()
}
