//! Commands that answer once, on standard output, and end. A sound system that hangs does not hang them, and what sound
//! libraries say on standard error is swallowed.

use audio_engine::inputs::{self, DeviceLine};
use audio_engine::output;
use audio_engine::queue::Run;
use audio_engine::source::{self, OpenSource, with_patience};
use control_protocol::Exit;
use serde::Serialize;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The rate sources are asked for when nobody has configured one.
const PROBE_RATE_HZ: u32 = 48_000;
/// How long a virtual device may take to deliver its first period; real ones have delivered when they are open.
const FIRST_PERIOD_PATIENCE: Duration = Duration::from_secs(2);
/// How much longer than it lasts sound may take to come.
const CAPTURE_PATIENCE: Duration = Duration::from_secs(3);

/// `audio-engine devices`.
pub(crate) fn devices(all: bool) -> Exit {
    print(&with_true_default(listed(move || inputs::list(all))))
}

/// `audio-engine outputs`.
pub(crate) fn outputs(all: bool) -> Exit {
    print(&listed(move || output::list(all)))
}

/// What a sound system lists; nothing, and a word about it, where it does not answer.
fn listed<L: Send + 'static>(list: impl FnOnce() -> Result<Vec<L>, cpal::Error> + Send + 'static) -> Vec<L> {
    let mut voice = Voice::take();
    match with_patience(list) {
        Some(Ok(lines)) => lines,
        Some(Err(error)) => {
            voice.say(&format!("the sound system does not answer: {error}"));
            Vec::new()
        }
        None => {
            voice.say("the sound system does not answer");
            Vec::new()
        }
    }
}

/// A default that has a name and delivers nothing is none.
fn with_true_default(mut lines: Vec<DeviceLine>) -> Vec<DeviceLine> {
    for line in lines.iter_mut().filter(|line| line.default) {
        line.default = probed("device:", None).ok;
    }
    lines.sort_by_key(|line| (!line.default, line.kind));
    lines
}

/// `audio-engine probe URI`. Ends with [`Exit::Clean`] whether or not the source can be opened: the answer says so.
pub(crate) fn probe(uri: &str, seconds: Option<f64>) -> Exit {
    let _voice = Voice::take();
    print(&probed(uri, seconds))
}

#[derive(Debug, Default, Serialize)]
struct Probe {
    ok: bool,
    /// What a run ends with that has no other source.
    exit: u8,
    description: Option<String>,
    sample_rate_hz: Option<u32>,
    channels: Option<usize>,
    reason: Option<String>,
    #[serde(flatten)]
    heard: Option<Heard>,
}

/// What came in the time that was asked for.
#[derive(Debug, Serialize)]
struct Heard {
    captured_s: f64,
    /// From 0 to 1.
    peak: f32,
    /// `None` when all is zero.
    rms_dbfs: Option<f64>,
    /// Whether every sample is exactly zero: a microphone that is muted or forbidden, not a quiet room.
    zeros: bool,
}

fn probed(uri: &str, seconds: Option<f64>) -> Probe {
    let refused = |reason: String, exit: Exit| Probe { reason: Some(reason), exit: exit.code(), ..Probe::default() };
    let mut open = match source::open(uri, PROBE_RATE_HZ, 0) {
        Ok(open) => open,
        Err(error) => return refused(error.reason, error.exit),
    };
    if open.live && !delivers(&open) {
        let reason = format!("{}: opened, but nothing comes from it", open.description);
        return refused(reason, Exit::NoDevice);
    }
    let heard = seconds.map(|seconds| hear(&mut open, seconds));
    Probe {
        ok: true,
        sample_rate_hz: Some(open.sample_rate_hz),
        channels: Some(open.channels),
        description: Some(open.description),
        heard,
        ..Probe::default()
    }
}

fn delivers(open: &OpenSource) -> bool {
    open.health.begin.store(true, Ordering::Relaxed);
    let since = Instant::now();
    while since.elapsed() < FIRST_PERIOD_PATIENCE {
        if open.health.periods.load(Ordering::Relaxed) > 0 {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Takes so many seconds of sound, or what comes of it.
fn hear(open: &mut OpenSource, seconds: f64) -> Heard {
    const STEP_FRAMES: usize = 480;
    let rate_hz = f64::from(open.queue_rate_hz);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the command line")]
    let wanted = (seconds * rate_hz).round() as u64;
    let mut planar = vec![0.0_f32; STEP_FRAMES * open.channels];
    let (mut frames, mut peak, mut squares) = (0_u64, 0.0_f32, 0.0_f64);
    let (since, patience) = (Instant::now(), Duration::from_secs_f64(seconds) + CAPTURE_PATIENCE);
    while frames < wanted && since.elapsed() < patience {
        let most = usize::try_from(wanted - frames).map_or(STEP_FRAMES, |left| left.min(STEP_FRAMES));
        open.outlet.refresh();
        match open.outlet.take(&mut planar, STEP_FRAMES, 0, most) {
            Run::Sound(count) => {
                for sample in planar.chunks_exact(STEP_FRAMES).flat_map(|plane| &plane[..count]) {
                    peak = peak.max(sample.abs());
                    squares += f64::from(*sample).powi(2);
                }
                frames += count as u64;
            }
            Run::Lost(..) => {}
            Run::Dry if open.outlet.is_finished() => break,
            Run::Dry => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
    let (captured_s, samples) = (frames as f64 / rate_hz, (frames * open.channels as u64) as f64);
    let zeros = frames > 0 && peak == 0.0;
    let rms_dbfs = (peak > 0.0).then(|| 10.0 * (squares / samples).log10());
    Heard { captured_s, peak, rms_dbfs, zeros }
}

/// Standard error for this program alone: whatever a sound library writes there goes nowhere.
struct Voice(Option<File>);

impl Voice {
    fn take() -> Self {
        let own = rustix::io::dup(std::io::stderr()).map(File::from).ok();
        let for_panics = own.as_ref().and_then(|own| own.try_clone().ok());
        if let (Some(mut panics), Ok(nowhere)) = (for_panics, File::options().write(true).open("/dev/null")) {
            let panics = std::sync::Mutex::new(move |text: String| writeln!(panics, "{text}"));
            std::panic::set_hook(Box::new(move |info| {
                if let Ok(mut say) = panics.lock() {
                    // Who has no standard error cannot be told.
                    let _ = say(info.to_string());
                }
            }));
            let _ = rustix::stdio::dup2_stderr(nowhere);
        }
        Self(own)
    }

    fn say(&mut self, text: &str) {
        if let Some(own) = &mut self.0 {
            // Who has no standard error cannot be told.
            let _ = writeln!(own, "{text}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "the one place where this program prints data")]
fn print(answer: &impl Serialize) -> Exit {
    let Ok(text) = serde_json::to_string_pretty(answer) else { return Exit::Fault };
    println!("{text}");
    if std::io::stdout().flush().is_err() { Exit::Fault } else { Exit::Clean }
}
