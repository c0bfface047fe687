//! `tympan latency`: how long sound is on its way, stage by stage, and whether an impulse says the same.

use crate::cli::LatencyArgs;
use crate::control;
use crate::output::{columns, print, print_json, table};
use crate::paths::Folders;
use crate::refusal::{refusal, refuse};
use crate::settings::Settings;
use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use shm_layout::{FrameIndex, RingReader, Wait};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the probe's ring may take to come, and an impulse after it.
const PATIENCE: Duration = Duration::from_secs(3);
/// What the first moments of a source say of its steady flow is little.
const SETTLING_MS: u64 = 600;
/// Impulses that are looked at, and the least that say something.
const IMPULSES: usize = 5;
const IMPULSES_MIN: usize = 3;
/// Half of what an impulse has once it went through a resampler.
const THRESHOLD: f32 = 0.15;
/// From one impulse to the next: what sounded earlier is another one.
const EVERY_NS: u64 = 500_000_000;

/// Shows the stages of every stream's way.
///
/// # Errors
/// When none runs here; with a probe, when it says otherwise.
pub(crate) fn latency(args: LatencyArgs, settings: &Settings) -> Result<()> {
    let folders = Folders::of_running(settings)?;
    let socket = folders.socket();
    let probed = if args.probe { Some(probe(&socket, &folders.runtime)?) } else { None };
    let mut answer = match &probed {
        Some((answer, _)) => answer.clone(),
        None => control::ask(&socket, &json!({"command": "latency"}))?,
    };
    if let Some((_, found)) = &probed {
        answer["probe"] = found.json();
    } else if let Some(answer) = answer.as_object_mut() {
        answer.remove("probe");
    }
    if args.json {
        print_json(&answer)?;
    } else {
        print(&shown(&answer))?;
        if let Some((_, found)) = &probed {
            print(&format!("\n{}\n", found.shown()))?;
        }
    }
    match probed {
        Some((_, found)) if !found.agrees() => {
            refuse!(Fault, "the impulse was not on its way for as long as the stages say; is the machine busy?")
        }
        _ => Ok(()),
    }
}

fn shown(answer: &Value) -> String {
    let number = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    let row = |stream: &Value| {
        let stage = |name: &str| {
            let stages = stream["stages"].as_array().into_iter().flatten();
            stages.filter(|stage| stage["stage"] == name).map(|stage| number(&stage["ms"])).next_back()
        };
        let cell = |name: &str| stage(name).unwrap_or_else(|| "-".to_owned());
        let frames = stream["sum_frames"].as_u64().map_or_else(|| "-".to_owned(), |frames| frames.to_string());
        [
            stream["stream"].as_str().unwrap_or_default().to_owned(),
            cell("device"),
            cell("queue"),
            cell("resampler"),
            cell("block"),
            cell("tick"),
            number(&stream["sum_ms"]),
            frames,
            number(&stream["in_mix_ms"]),
            number(&stream["listener_ms"]),
        ]
    };
    let rows: Vec<_> = answer["streams"].as_array().into_iter().flatten().map(row).collect();
    let names = ["stream", "device", "queue", "resampler", "block", "tick", "sum", "frames", "in_mix", "listener"];
    let clock = answer["leader"].as_str().map_or_else(
        || "the clock is the computer's".to_owned(),
        |leader| format!("{leader} leads the clock, so nothing of it is resampled"),
    );
    format!("{}in ms; {clock}\n", table(names, &rows, columns()))
}

/// What an impulse took.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Until its frame could be read in its own ring, and in the mix.
    ring_ms: f64,
    mix_ms: f64,
    /// By how much its frame is behind the first one of its block, which waits longest.
    behind_ms: f64,
}

/// What the impulses say, beside what the stages say.
#[derive(Debug)]
struct Found {
    taken: Vec<Taken>,
    sum_ms: f64,
    in_mix_ms: f64,
    block_ms: f64,
    out: Out,
}

/// What the impulses took until an output had played them, and what the stages and the output say.
#[derive(Debug)]
struct Out {
    taken_ms: Vec<f64>,
    said_ms: f64,
}

impl Out {
    fn measured_ms(&self) -> f64 {
        median(self.taken_ms.clone())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Found {
    /// The median, as for the first frame of a block.
    fn measured_ms(&self, of: fn(&Taken) -> f64) -> f64 {
        median(self.taken.iter().map(|taken| of(taken) + taken.behind_ms).collect())
    }

    fn ring_ms(&self) -> f64 {
        self.measured_ms(|taken| taken.ring_ms)
    }

    fn mix_ms(&self) -> f64 {
        self.measured_ms(|taken| taken.mix_ms)
    }

    /// Within a block: the mix is written block by block, too.
    fn agrees(&self) -> bool {
        let near = |measured: f64, said: f64| (measured - said).abs() <= self.block_ms;
        let out = near(self.out.measured_ms(), self.out.said_ms);
        near(self.ring_ms(), self.sum_ms) && near(self.mix_ms(), self.in_mix_ms) && out
    }

    fn json(&self) -> Value {
        let round = |ms: f64| (ms * 1_000.0).round() / 1_000.0;
        json!({
            "agrees": self.agrees(), "block_ms": self.block_ms, "impulses": self.taken.len(),
            "measured_ms": round(self.ring_ms()), "sum_ms": self.sum_ms,
            "difference_ms": round(self.ring_ms() - self.sum_ms),
            "measured_in_mix_ms": round(self.mix_ms()), "in_mix_ms": self.in_mix_ms,
            "difference_in_mix_ms": round(self.mix_ms() - self.in_mix_ms),
            "measured_out_ms": round(self.out.measured_ms()), "out_ms": self.out.said_ms,
            "difference_out_ms": round(self.out.measured_ms() - self.out.said_ms),
        })
    }

    fn shown(&self) -> String {
        let agree = if self.agrees() { "they agree" } else { "they do not agree" };
        format!(
            "probe: {} impulses took {:.1} ms to their ring, {:.1} ms to the mix and {:.1} ms through an output; its stages \
             say {:.1}, {:.1} and {:.1} ms: {agree} within a block ({:.1} ms)",
            self.taken.len(),
            self.ring_ms(),
            self.mix_ms(),
            self.out.measured_ms(),
            self.sum_ms,
            self.in_mix_ms,
            self.out.said_ms,
            self.block_ms
        )
    }
}

/// An impulse in its ring.
struct Seen {
    at: FrameIndex,
    ring_ns: u64,
    mix_ns: u64,
    behind_frames: u64,
}

/// Sends a probe, and waits for its impulses. Also what the instance says in the end.
fn probe(socket: &Path, runtime: &Path) -> Result<(Value, Found)> {
    let sent = control::ask(socket, &json!({"command": "latency_probe"}))?;
    let stream = sent["stream"].as_str().unwrap_or_default();
    let mix = RingReader::attach_stream(runtime, "mix")?;
    let ring = ring_of(runtime, stream, mix.info().writer_pid)?;
    let rate_hz = u64::from(ring.info().sample_rate_hz);
    let block_frames =
        control::ask(socket, &json!({"command": "latency"}))?["block_frames"].as_u64().unwrap_or(1).max(1);
    let (mut seen, mut position) = (Vec::new(), ring.info().first_frame);
    let settled = position.plus(SETTLING_MS * rate_hz / 1_000);
    let begin = Instant::now();
    let mut block = Vec::new();
    while seen.len() < IMPULSES && begin.elapsed() < PATIENCE {
        let Wait::Ready(commit) = ring.wait(position, PATIENCE.saturating_sub(begin.elapsed())) else { break };
        let ring_ns = now_ns();
        let frames = usize::try_from(commit.since(position).min(ring.info().capacity_frames)).unwrap_or(0);
        block.resize(frames * ring.info().channels as usize, 0.0);
        let from = std::mem::replace(&mut position, commit);
        if ring.read(from, &mut block, frames).is_err() || from < settled {
            continue;
        }
        let Some((at, _)) = loudest(&block[..frames]).filter(|(_, peak)| *peak >= THRESHOLD) else { continue };
        let at = from.plus(at as u64);
        // The same index means the same instant: nobody need hear it there.
        if !matches!(mix.wait(at, Duration::from_millis(200)), Wait::Ready(_)) {
            break;
        }
        let behind_frames = at.since(mix.info().first_frame) % block_frames;
        seen.push(Seen { at, ring_ns, mix_ns: now_ns(), behind_frames });
    }
    let answer = control::ask(socket, &json!({"command": "latency"}))?;
    if let Some(reason) = answer["probe"]["reason"].as_str() {
        refuse!(Refused, "the probe could not come: {reason}");
    }
    let times = |key: &str| -> Vec<u64> {
        answer["probe"][key].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
    };
    let sounded_ns = times("impulses_ns");
    let ms = |frames: u64| frames as f64 * 1e3 / rate_hz as f64;
    let taken = |seen: &Seen| {
        let at_ns = sounded_ns.iter().rev().find(|at_ns| **at_ns <= seen.ring_ns)?;
        let since = |now_ns: u64| (now_ns - at_ns) as f64 * 1e-6;
        let is_its_own = seen.ring_ns - at_ns < EVERY_NS;
        is_its_own.then(|| Taken {
            ring_ms: since(seen.ring_ns),
            mix_ms: since(seen.mix_ns),
            behind_ms: ms(seen.behind_frames),
        })
    };
    let taken: Vec<_> = seen.iter().filter_map(taken).collect();
    let out_ms = |played_ns: u64| {
        let at_ns = sounded_ns.iter().rev().find(|at_ns| **at_ns <= played_ns)?;
        (played_ns - at_ns < EVERY_NS).then(|| (played_ns - at_ns) as f64 * 1e-6)
    };
    let taken_ms: Vec<f64> = times("played_ns").into_iter().filter_map(out_ms).collect();
    let number = |key: &str| answer["probe"][key].as_f64();
    let said = number("sum_ms").zip(number("in_mix_ms")).zip(number("out_ms"));
    let is_enough = taken.len() >= IMPULSES_MIN && taken_ms.len() >= IMPULSES_MIN;
    let Some(((sum_ms, in_mix_ms), said_ms)) = said.filter(|_| is_enough) else {
        let last = seen.last().map_or(0, |seen| seen.at.0);
        refuse!(
            Fault,
            "{} of {IMPULSES} impulses came in {} s, the last at frame {last}, and {} were played: too few to say anything; \
             is the machine busy?",
            taken.len(),
            PATIENCE.as_secs(),
            taken_ms.len()
        );
    };
    let out = Out { taken_ms, said_ms };
    Ok((answer, Found { taken, sum_ms, in_mix_ms, block_ms: ms(block_frames), out }))
}

/// The probe's ring, as soon as this engine has made it: one of an earlier probe may still lie there.
fn ring_of(runtime: &Path, stream: &str, engine: u32) -> Result<RingReader> {
    let begin = Instant::now();
    loop {
        let ring = RingReader::attach_stream(runtime, stream);
        match ring {
            Ok(ring) if ring.state() == shm_layout::RingState::Live && ring.info().writer_pid == engine => {
                return Ok(ring);
            }
            _ if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            _ => return Err(refusal!(Fault, "the probe's ring did not come within {} s", PATIENCE.as_secs()).into()),
        }
    }
}

fn loudest(samples: &[f32]) -> Option<(usize, f32)> {
    let magnitudes = samples.iter().map(|sample| sample.abs()).enumerate();
    magnitudes.max_by(|(_, a), (_, b)| a.total_cmp(b))
}

#[expect(clippy::cast_sign_loss, reason = "the monotonic clock is never negative")]
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ring_ms: &[f64]) -> Found {
        let taken = ring_ms.iter().map(|&ring_ms| Taken { ring_ms, mix_ms: ring_ms + 10.0, behind_ms: 4.0 });
        let out = Out { taken_ms: ring_ms.iter().map(|ms| ms + 20.0).collect(), said_ms: 68.0 };
        Found { taken: taken.collect(), sum_ms: 50.0, in_mix_ms: 55.0, block_ms: 10.0, out }
    }

    #[test]
    fn a_late_reader_once_is_no_latency_and_always_is() {
        let once = found(&[46.1, 46.2, 90.0, 46.0, 46.3]);
        assert!(once.agrees(), "{once:?}");
        assert!((once.ring_ms() - 50.2).abs() < 1e-9);
        assert!(once.shown().contains("took 50.2 ms to their ring, 60.2 ms") && once.shown().contains("they agree"));
        let always = found(&[58.0, 59.0, 60.0]);
        assert!(!always.agrees() && always.json()["difference_ms"] == 13.0, "{always:?}");
        assert!(!found(&[]).agrees(), "nothing says nothing");
        let mut late = found(&[46.0; 3]);
        late.out.taken_ms = vec![80.0; 3];
        assert!(!late.agrees() && late.json()["difference_out_ms"] == 12.0, "{late:?}");
    }

    #[test]
    fn a_stream_that_is_not_measured_has_no_numbers() {
        let answer = json!({"leader": "mic", "streams": [
            {"stream": "mic", "stages": [{"stage": "device", "ms": 12.345}], "sum_ms": 70.0, "sum_frames": 3_360},
            {"stream": "talk", "stages": [], "sum_ms": null},
        ]});
        let text = shown(&answer);
        assert!(text.contains("12.3") && text.contains("3360") && text.contains("mic leads the clock"), "{text}");
        assert!(text.lines().nth(2).is_some_and(|line| line.starts_with("talk") && !line.contains("0.0")), "{text}");
    }
}
