//! What pictures in a terminal cost, on a terminal that takes everything at once.

use crate::rows::{Measure, Plan, Row, quantile};
use crate::{now_s, seconds_of};
use anyhow::{Result, ensure};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::time::{Duration, Instant};
use system_tests::{Folders, Tones, Viewer, watchdog};

pub(crate) const STEREO: Measure = Measure {
    names: &[
        "viz 120x40, 60 wished: pictures a second",
        "viz 120x40, 60 wished: processor",
        "viz 120x40, 60 wished: sent",
        "viz 120x40, 30 wished: pictures a second",
        "viz 120x40, 30 wished: processor",
        "viz 120x40, 30 wished: sent",
        "viz 120x40, no sound comes: processor",
    ],
    run: stereo,
};

pub(crate) const WIDE: Measure = Measure {
    names: &[
        "viz of 64 channels at 192 kHz: pictures a second",
        "viz of 64 channels at 192 kHz: processor",
        "viz of 64 channels at 192 kHz: key to picture, p95",
        "viz of 64 channels at 192 kHz: losses told",
    ],
    run: wide,
};

const SIZE: (u16, u16) = (120, 40);
/// How long is looked at once.
const SPAN: Duration = Duration::from_secs(5);
const SPANS: usize = 3;
/// What a picture begins with: a synchronised update.
const BEGIN: &[u8] = b"\x1b[?2026h";
const KEYS: usize = 100;

/// What a viewer did in a span.
#[derive(Default)]
struct Spans {
    pictures: Vec<f64>,
    processor: Vec<f64>,
    kilobytes: Vec<f64>,
}

impl Spans {
    fn look(&mut self, viewer: &Viewer) -> Result<()> {
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(viewer.pid())?))?;
        let (begin, used, bytes) = (Instant::now(), seconds_of(clock)?, viewer.bytes().len());
        std::thread::sleep(SPAN);
        let (seconds, used) = (begin.elapsed().as_secs_f64(), seconds_of(clock)? - used);
        let sent = viewer.bytes().split_off(bytes);
        let pictures = sent.windows(BEGIN.len()).filter(|bytes| *bytes == BEGIN).count();
        self.pictures.push(pictures as f64 / seconds);
        self.processor.push(used / seconds * 100.0);
        self.kilobytes.push(sent.len() as f64 / 1_024.0 / seconds);
        Ok(())
    }
}

/// Two channels at 48 kHz, all views at once.
fn stereo(plan: &Plan) -> Result<Vec<Row>> {
    let folders = Folders::new()?;
    let mut ring = Tones::new("mic", 48_000, &[(440, 0.5), (1_000, 0.1)]).start(&folders.runtime())?;
    let (mut rows, spans, mut idle) = (Vec::new(), plan.times(SPANS), Spans::default());
    for (rate, names) in [("60", &STEREO.names[..3]), ("30", &STEREO.names[3..6])] {
        let mut viewer = Viewer::start(&folders, SIZE, &["--fps", rate, "mic"], &[])?;
        viewer.wait("live", watchdog(2.0), |rows| rows[0].contains("live"))?;
        // Until the picture is full, less is drawn.
        std::thread::sleep(Duration::from_secs(5));
        let mut seen = Spans::default();
        (0..spans).try_for_each(|_| seen.look(&viewer))?;
        rows.push(Row::new(names[0], quantile(&mut seen.pictures, 0.5), "a s", spans));
        rows.push(Row::new(names[1], quantile(&mut seen.processor, 0.5), "% of a core", spans));
        rows.push(Row::new(names[2], quantile(&mut seen.kilobytes, 0.5), "KiB a s", spans));
        if rate == "30" {
            ring.close()?;
            viewer.wait("the end", watchdog(2.0), |rows| rows[1].contains("closed"))?;
            std::thread::sleep(Duration::from_secs(1));
            (0..spans).try_for_each(|_| idle.look(&viewer))?;
        }
    }
    rows.push(Row::new(STEREO.names[6], quantile(&mut idle.processor, 0.5), "% of a core", spans));
    Ok(rows)
}

fn wide(plan: &Plan) -> Result<Vec<Row>> {
    let folders = Folders::new()?;
    let channels: Vec<(u32, f32)> = (1..=64).map(|channel| (channel * 500, 0.5)).collect();
    let wide = Tones { history_s: 1.0, ahead_s: 0.5, ..Tones::new("wide", 192_000, &channels) };
    let _ring = wide.start(&folders.runtime())?;
    let mut viewer = Viewer::start(&folders, SIZE, &["--fps", "60", "wide"], &[])?;
    viewer.wait("live", watchdog(2.0), |rows| rows[0].contains("live"))?;
    std::thread::sleep(Duration::from_secs(5));
    let (spans, mut seen, mut keys_ms) = (plan.times(SPANS), Spans::default(), Vec::new());
    (0..spans).try_for_each(|_| seen.look(&viewer))?;
    for number in 0..plan.times(KEYS) {
        let (key, word) = if number % 2 == 0 { ("]", "-85..0 dB") } else { ("[", "-90..0 dB") };
        let begin_s = now_s()?;
        viewer.press(key)?;
        viewer.wait(word, watchdog(1.0), |rows| rows[0].contains(word))?;
        keys_ms.push((now_s()? - begin_s) * 1_000.0);
        std::thread::sleep(Duration::from_millis(37));
    }
    let title = viewer.rows().into_iter().nth(1).unwrap_or_default();
    ensure!(title.contains("192 kHz"), "no stream is shown: {title}");
    let told = title.split(" loss").next().filter(|_| title.contains(" loss"));
    let losses = told.and_then(|before| before.split_whitespace().last()?.parse().ok()).unwrap_or(0.0);
    let names = WIDE.names;
    Ok(vec![
        Row::new(names[0], quantile(&mut seen.pictures, 0.5), "a s", spans),
        Row::new(names[1], quantile(&mut seen.processor, 0.5), "% of a core", spans),
        Row::new(names[2], quantile(&mut keys_ms, 0.95), "ms", keys_ms.len()),
        Row::new(names[3], losses, "losses", 1),
    ])
}
