//! Commands that answer once, on standard output, and end. A sound system that hangs does not hang them.

use audio_engine::device;
use audio_engine::source::{self, OpenSource, with_patience};
use control_protocol::Exit;
use serde::Serialize;
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The rate sources are asked for when nobody has configured one.
const PROBE_RATE_HZ: u32 = 48_000;
/// How long a virtual device may take to deliver its first period; real ones have delivered when they are open.
const FIRST_PERIOD_PATIENCE: Duration = Duration::from_secs(2);

/// `audio-engine devices`.
pub(crate) fn devices() -> Exit {
    let Some(listed) = with_patience(device::list) else {
        eprintln!("the sound system does not answer");
        return print(&Vec::<device::DeviceLine>::new());
    };
    match listed {
        Ok(mut lines) => {
            // A default that has a name and delivers nothing is none.
            for line in lines.iter_mut().filter(|line| line.default) {
                line.default = probed("device:").ok;
            }
            print(&lines)
        }
        Err(error) => {
            eprintln!("the sound system does not answer: {error}");
            print(&Vec::<device::DeviceLine>::new())
        }
    }
}

/// `audio-engine probe URI`. Ends with [`Exit::Clean`] whether or not the source can be opened: the answer says so.
pub(crate) fn probe(uri: &str) -> Exit {
    print(&probed(uri))
}

#[derive(Debug, Serialize)]
struct Probe {
    ok: bool,
    description: Option<String>,
    sample_rate_hz: Option<u32>,
    channels: Option<usize>,
    reason: Option<String>,
}

fn probed(uri: &str) -> Probe {
    let refused = |reason: String| Probe {
        ok: false,
        description: None,
        sample_rate_hz: None,
        channels: None,
        reason: Some(reason),
    };
    let open = match source::open(uri, PROBE_RATE_HZ, 0) {
        Ok(open) => open,
        Err(error) => return refused(error.reason),
    };
    if open.live && !delivers(&open) {
        return refused(format!("{}: opened, but nothing comes from it", open.description));
    }
    Probe {
        ok: true,
        sample_rate_hz: Some(open.sample_rate_hz),
        channels: Some(open.channels),
        description: Some(open.description),
        reason: None,
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

#[expect(clippy::print_stdout, reason = "the one place where this program prints data")]
fn print(answer: &impl Serialize) -> Exit {
    let Ok(text) = serde_json::to_string_pretty(answer) else { return Exit::Fault };
    println!("{text}");
    if std::io::stdout().flush().is_err() { Exit::Fault } else { Exit::Clean }
}
