//! Loudness and true peak against ffmpeg's `ebur128`, on signals and on speech.

use audio_dsp::{Loudness, Signal, SignalSource, TruePeak};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What `ffmpeg` says, with `input` on its standard input.
fn ffmpeg(arguments: &[&str], input: Vec<u8>) -> Output {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostats"]).args(arguments);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child =
        child.unwrap_or_else(|e| panic!("ffmpeg cannot be started ({e}): install Debian's package `ffmpeg`"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        // ffmpeg may close its input early: its own words tell more.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        drop(done.send(child.wait_with_output()));
    });
    let output =
        wait.recv_timeout(Duration::from_secs(120)).expect("ffmpeg ends within two minutes").expect("its output");
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Integrated loudness in LUFS and true peak in dBFS.
struct Measured {
    integrated: f64,
    peak_db: f64,
}

fn by_ffmpeg(interleaved: &[f32], rate_hz: u32, channels: usize) -> Measured {
    let (rate, count) = (rate_hz.to_string(), channels.to_string());
    let filter = "ebur128=peak=true:metadata=1,ametadata=mode=print:key=lavfi.r128.I:file=-";
    let bytes = interleaved.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let arguments =
        ["-f", "f32le", "-ar", &rate, "-ac", &count, "-i", "-", "-filter_complex", filter, "-f", "null", "/dev/null"];
    let output = ffmpeg(&arguments, bytes);
    let last = |text: &[u8], key: &str| -> f64 {
        let text = String::from_utf8_lossy(text).into_owned();
        let line = text.lines().filter_map(|line| line.trim().strip_prefix(key)).next_back();
        let value = line.and_then(|line| line.split_whitespace().next()).and_then(|value| value.parse().ok());
        value.unwrap_or_else(|| panic!("ffmpeg says no {key}: {text}"))
    };
    Measured { integrated: last(&output.stdout, "lavfi.r128.I="), peak_db: last(&output.stderr, "Peak:") }
}

fn by_us(interleaved: &[f32], rate_hz: u32, channels: usize) -> Measured {
    let frames = interleaved.len() / channels;
    let planar: Vec<f32> =
        (0..channels).flat_map(|channel| interleaved.iter().skip(channel).step_by(channels).copied()).collect();
    let (mut loudness, mut peak) = (Loudness::new(rate_hz, channels), TruePeak::new(rate_hz, channels));
    loudness.push(&planar, frames);
    peak.push(&planar, frames);
    Measured { integrated: loudness.integrated(), peak_db: 20.0 * f64::from(peak.take()).log10() }
}

fn compare(what: &str, interleaved: &[f32], rate_hz: u32, channels: usize) {
    let (theirs, ours) = (by_ffmpeg(interleaved, rate_hz, channels), by_us(interleaved, rate_hz, channels));
    let (lu, db) = (ours.integrated - theirs.integrated, ours.peak_db - theirs.peak_db);
    eprintln!("{what}: {:.2} LUFS ({lu:+.3}), {:.2} dBTP ({db:+.3})", ours.integrated, ours.peak_db);
    assert!(lu.abs() <= 0.1, "{what}: {} LUFS, ffmpeg says {}", ours.integrated, theirs.integrated);
    assert!(db.abs() <= 0.2, "{what}: true peak {} dB, ffmpeg says {}", ours.peak_db, theirs.peak_db);
}

#[test]
fn signals_measure_as_in_ffmpeg() {
    let sweep = Signal::Sweep { from_hz: 30.0, to_hz: 18_000.0, seconds: 3.0 };
    let signals = [
        ("tone", Signal::Tone { hz: 997.0 }),
        ("low tone", Signal::Tone { hz: 60.0 }),
        ("sweep", sweep),
        ("noise", Signal::Noise),
    ];
    for (name, signal) in signals {
        for (rate_hz, channels) in [(48_000, 1), (48_000, 2), (44_100, 2), (48_000, 6), (96_000, 2)] {
            let mut samples = vec![0.0; 8 * rate_hz as usize * channels];
            SignalSource::new(signal, rate_hz).fill(&mut samples, channels);
            // Half of it quieter: the gate has something to do.
            let half = samples.len() / 2;
            samples[half..].iter_mut().for_each(|sample| *sample *= 0.25);
            compare(&format!("{name}, {channels} channels at {rate_hz} Hz"), &samples, rate_hz, channels);
        }
    }
}

#[test]
fn speech_measures_as_in_ffmpeg() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech");
    let mut clips = 0;
    for entry in std::fs::read_dir(&folder).expect("the clips") {
        let path = entry.expect("a clip").path();
        if path.extension().is_some_and(|extension| extension == "wav") {
            let name = path.to_str().expect("a name in UTF-8");
            // As it is, and at the rate of the engine.
            for rate_hz in [16_000, 48_000] {
                let rate = rate_hz.to_string();
                let raw = ffmpeg(&["-i", name, "-ac", "1", "-ar", &rate, "-f", "f32le", "-"], Vec::new()).stdout;
                let samples: Vec<f32> = raw.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                compare(&format!("{name} at {rate_hz} Hz"), &samples, rate_hz, 1);
            }
            clips += 1;
        }
    }
    assert!(clips >= 6, "{clips} clips in {}", folder.display());
}
