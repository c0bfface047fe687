//! One file, in real time, through a whole system: `tympan run --json`, watched from outside.

use super::Asked;
use super::child::Measured;
use super::join::{Joined, SETTLE_S};
use super::room::Room;
use super::said::Said;
use super::usage::{Usage, machine_processor_s};
use anyhow::{Context, Result, bail};
use control_protocol::Exit;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use shm_layout::RingReader;
use std::collections::BTreeMap;
use std::io::BufWriter;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// What the stream is called.
pub(super) const STREAM: &str = "speech";
/// What is played.
pub(super) const FILE: &str = "joined.wav";
/// How often the clock is looked at when nothing is said.
const STEP: Duration = Duration::from_millis(50);
/// How long it takes, at the longest, until sound is captured.
const START_S: f64 = 60.0;
/// How much longer than the file the words may take.
const LATE_S: f64 = 300.0;

/// What was seen. Times are seconds of the file.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// All texts, in the order in which they came.
    pub said: Vec<Said>,
    /// Seconds of processor time from the first sound until everything was written down.
    pub speaking_processor_s: Option<f64>,
    /// Cores that everything else on the machine used meanwhile.
    pub others_cores: Option<f64>,
    /// Cores that were used while nobody spoke.
    pub quiet_cores: Option<f64>,
    /// The most memory that was seen while somebody spoke, in MB by role.
    pub memory_mb: BTreeMap<String, f64>,
    /// Frames whose words are missing.
    pub lost_frames: u64,
    /// Processes that ended by a fault.
    pub faults: usize,
}

/// Plays it.
///
/// # Errors
/// When it cannot be played to its end.
pub(super) fn play(asked: &Asked, room: &Room, joined: &Joined, hangover_ms: u32) -> Result<Played> {
    let file = room.at(FILE);
    let cannot = || format!("cannot write {}", file.display());
    joined.write_wav(BufWriter::new(std::fs::File::create(&file).with_context(cannot)?)).with_context(cannot)?;
    let mut command = asked.command(room, "run");
    command
        // Whatever is configured: nobody wants to hear it.
        .args(["--json", "--output", "off", "--hangover", &hangover_ms.to_string()])
        .arg("--")
        .arg(format!("{STREAM}=file:{}", file.display()));
    let measured = Measured::start(room, command)?;
    let mut watch = Watch::new(room, joined, &measured);
    let mut told = f64::MIN;
    loop {
        match measured.lines.recv_timeout(STEP) {
            Ok(line) => watch.hear(&line)?,
            Err(RecvTimeoutError::Timeout) => asked.heed()?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let Some(now_s) = watch.look()? else { continue };
        if now_s > told + 1.0 {
            told = now_s;
            asked.say(&format!("{:.0} of {:.0} s played", now_s.clamp(0.0, joined.seconds()), joined.seconds()));
        }
    }
    if measured.end()? == Exit::Incomplete {
        asked.incomplete();
    }
    watch.played.memory_mb = watch.usage.memory_mb();
    Ok(watch.played)
}

fn monotonic_s() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "microseconds are enough")]
    let seconds = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
    seconds
}

/// What had been used of the processors at a time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at_s: f64,
    /// By the processes that are measured.
    own_s: f64,
    /// By all.
    all_s: Option<f64>,
}

/// What is known while it plays.
struct Watch<'a> {
    room: &'a Room,
    joined: &'a Joined,
    usage: Usage,
    ring: Option<RingReader>,
    begun_s: f64,
    /// At the first sound, after the last, and at the end of the silence.
    marks: [Option<Mark>; 3],
    memory_due_s: f64,
    played: Played,
}

impl<'a> Watch<'a> {
    fn new(room: &'a Room, joined: &'a Joined, measured: &Measured) -> Self {
        let mut usage = Usage::default();
        usage.add(measured.pid(), "supervisor");
        Self {
            room,
            joined,
            usage,
            ring: None,
            begun_s: monotonic_s(),
            marks: [None; 3],
            memory_due_s: 0.0,
            played: Played::default(),
        }
    }

    /// Where the file begins: on the session's clock, and on `CLOCK_MONOTONIC`. Its first frame is the ring's.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds since the machine was started")]
    fn begins_s(&mut self) -> Option<(f64, f64)> {
        if self.ring.is_none() {
            self.ring = RingReader::attach_stream(&self.room.instance(), STREAM).ok();
        }
        let ring = self.ring.as_ref()?;
        let (info, newest) = (ring.info(), ring.commit());
        let newest_s = ring.instant_of(newest)? as f64 / 1e9;
        let played_s = newest.since(info.first_frame) as f64 / f64::from(info.sample_rate_hz);
        Some((info.first_frame.seconds(info.sample_rate_hz), newest_s - played_s))
    }

    fn hear(&mut self, line: &str) -> Result<()> {
        let event: Value = serde_json::from_str(line).with_context(|| format!("run said {line:?}"))?;
        match event["event"].as_str() {
            Some("process") => {
                if let (Some(pid), Some(role)) =
                    (event["pid"].as_u64().and_then(|pid| pid.try_into().ok()), event["role"].as_str())
                {
                    self.usage.add(pid, role);
                }
                self.played.faults += usize::from(event["reason"].is_string());
            }
            Some("stopped") => self.played.lost_frames = event["lost_frames"].as_u64().unwrap_or(0),
            _ => {
                if let Some((session_s, begins_s)) = self.begins_s() {
                    let emitted_s = event["emitted_s"].as_f64().unwrap_or_else(monotonic_s) - begins_s;
                    self.played.said.extend(Said::read(&event, session_s, emitted_s));
                }
            }
        }
        Ok(())
    }

    /// Looks at what the processes take when it is time. The file's clock, once it runs.
    fn look(&mut self) -> Result<Option<f64>> {
        let now_s = monotonic_s();
        let Some((_, begins_s)) = self.begins_s() else {
            if now_s - self.begun_s > START_S {
                bail!("no sound was captured within {START_S} s; `tympan doctor` may know why");
            }
            return Ok(None);
        };
        let at_s = now_s - begins_s;
        let (spoken_s, end_s) = (self.joined.spoken_s(), self.joined.seconds());
        // The end of the file is work again.
        let due_s = [spoken_s.start, spoken_s.end + SETTLE_S, end_s - 0.2];
        for (mark, due_s) in self.marks.iter_mut().zip(due_s) {
            if mark.is_none() && at_s >= due_s {
                *mark = Some(Mark { at_s, own_s: self.usage.processor_s(), all_s: machine_processor_s() });
            }
        }
        let [first, settled, last] = self.marks;
        if let (Some(first), Some(settled)) = (first, settled) {
            let own_s = settled.own_s - first.own_s;
            self.played.speaking_processor_s = Some(own_s);
            let all_s = settled.all_s.zip(first.all_s).map(|(after_s, before_s)| after_s - before_s);
            let elapsed_s = (settled.at_s - first.at_s).max(0.001);
            self.played.others_cores = all_s.map(|all_s| ((all_s - own_s) / elapsed_s).max(0.0));
        }
        if let (Some(settled), Some(last)) = (settled, last) {
            self.played.quiet_cores = Some((last.own_s - settled.own_s) / (last.at_s - settled.at_s).max(0.001));
        }
        // To look costs a little, too: never in the silence that is measured.
        if at_s >= self.memory_due_s.max(spoken_s.start) && at_s < spoken_s.end + SETTLE_S {
            self.usage.look_at_memory();
            self.memory_due_s = at_s + 1.0;
        }
        if at_s > end_s + LATE_S {
            bail!("the words are more than {LATE_S} s late: this model is too slow for this machine");
        }
        Ok(Some(at_s))
    }
}
