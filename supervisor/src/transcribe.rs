//! `tympan transcribe`: recordings, as fast as the machine can.

use crate::cli::{Format, TranscribeArgs};
use crate::event;
use crate::models;
use crate::outfile::OutFile;
use crate::output::print;
use crate::paths::{Folders, SET_BY, private_dir, room};
use crate::recovery::{self, RECORDING};
use crate::refusal::refuse;
use crate::report::{Report, Reporter};
use crate::run::{plan, supervise};
use crate::session::{Outcome, Plan};
use crate::settings::{Settings, each, keys};
use crate::siblings::Siblings;
use crate::transcript::{TimedText, Transcript};
use crate::voice::Voice;
use anyhow::{Context, Result};
use control_protocol::{ClockKind, Exit, StreamName};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The rate Whisper hears: rings at this rate are written down without another conversion.
const RATE_HZ: u32 = 16_000;
/// What the ring of a recording holds: two pieces of up to 28 s and more, for each worker and to decode ahead.
const HISTORY_MS_MIN: u32 = 60_000;
/// What it holds where few are open.
const HISTORY_MS_MAX: u32 = 120_000;
/// Recordings that are open at once. Between two batches the processes are started anew, and the last piece of one is
/// worked on alone.
const BATCH_MAX: usize = 16;
/// As many are open where there is little room for rings.
const BATCH_MIN: usize = 8;
/// What the ring of a recording takes, in bytes. Rings together take a quarter of the room (`shm_layout::fit_history`).
const RING_BYTES: u64 = 4 * RATE_HZ as u64 * HISTORY_MS_MIN as u64 / 1_000;

/// Writes recordings down.
///
/// # Errors
/// When it cannot begin. A recording that fails is said, and the others go on.
pub(crate) fn transcribe(args: &TranscribeArgs, mut settings: Settings) -> Result<Exit> {
    args.words.over(&mut settings);
    for (key, flags) in [(&keys::LANGUAGE, &args.words.language), (&keys::MODEL, &args.words.model)] {
        each::refuse_streams(key, flags)?;
        settings.forget_streams(key);
    }
    let format = if args.json { Format::Json } else { args.format };
    if args.files.len() > 1 && (args.output.is_some() || matches!(format, Format::Srt | Format::Vtt)) {
        refuse!(Usage, "one recording at a time with --output, srt and vtt; txt and json take many");
    }
    check_files(args)?;
    let siblings = Siblings::find()?;
    let user = Folders::of_new(&settings)?;
    private_dir(&user.runtime, SET_BY)?;
    recovery::clear_orphaned_recordings(&user.runtime);
    let runtime = user.runtime.join(format!("{RECORDING}{}", crate::owner::owner_tag()));
    let folders = Folders { runtime, ..user.clone() };
    let done = folders.create().and_then(|()| all_batches(args, format, &settings, &siblings, &folders));
    let _ = std::fs::remove_dir_all(&folders.runtime);
    let _ = std::fs::remove_dir_all(folders.spill());
    // Only if nobody else uses it.
    let _ = std::fs::remove_dir(&user.runtime);
    done
}

/// What is wrong with the files' names, before any work.
fn check_files(args: &TranscribeArgs) -> Result<()> {
    for file in &args.files {
        if file.as_os_str() == "-" && !file.exists() {
            refuse!(Usage, "transcribe reads files; of a pipe, `tympan run --fast -` writes the words down");
        }
        if file.to_str().is_none() {
            refuse!(NoInput, "{}: its name is not UTF-8 and cannot be passed on; rename it", file.display());
        }
    }
    // An option that lost its argument, as in `-o talk.mp3`, would cost the recording.
    let same = |file: &Path, output: &Path| match (std::fs::metadata(file), std::fs::metadata(output)) {
        (Ok(file), Ok(output)) => file.is_file() && (file.dev(), file.ino()) == (output.dev(), output.ino()),
        _ => false,
    };
    if let Some(output) = args.output.as_deref()
        && args.files.iter().any(|file| same(file, output))
    {
        refuse!(Usage, "--output {} is the recording itself; name another file", output.display());
    }
    Ok(())
}

fn all_batches(
    args: &TranscribeArgs,
    format: Format,
    settings: &Settings,
    siblings: &Siblings,
    folders: &Folders,
) -> Result<Exit> {
    let mut out = args.output.as_deref().map(OutFile::begin).transpose()?;
    let mut ends = Vec::new();
    let voice = Voice::new()?;
    for files in args.files.chunks(batch(room(&folders.runtime))) {
        private_dir(&folders.spill(), SET_BY)?;
        let named = name_files(files)?;
        let sources = named.iter().map(|(name, path)| Ok((name.clone(), format!("file:{}", utf8(path)?))));
        let base = plan(settings, siblings.clone(), folders.clone(), sources.collect::<Result<_>>()?)?;
        let plan = Plan {
            clock: ClockKind::Virtual,
            offline: true,
            sample_rate_hz: RATE_HZ,
            history_ms: history_ms(files.len()),
            voice: args.verbose.then(|| voice.clone()),
            ..base
        };
        let mut collector = Collector::new(&named, voice.clone());
        let (events, mut inbox) = event::inbox();
        let outcome = supervise(&plan, &mut collector, events, &mut inbox)?;
        collector.clear_progress();
        voice.flush();
        let model = models::file_name(plan.models.first());
        for (name, path) in &named {
            let transcript = collector.transcript(name, path, &model, &outcome);
            let failure = outcome.failed.iter().find(|failure| failure.stream == *name);
            if let Some(failure) = failure {
                eprintln!("tympan: {}", failure.reason);
            }
            let unread = failure.is_some() && transcript.segments.is_empty();
            if !unread || format == Format::Json {
                write(&transcript, format, args, &mut out)?;
            }
            ends.push(match failure {
                Some(failure) => failure.exit,
                None if transcript.lost_frames > 0 => Exit::Incomplete,
                None => Exit::Clean,
            });
        }
        if outcome.interrupted {
            eprintln!("tympan: interrupted; what is written down so far is not all");
            return Ok(Exit::Incomplete);
        }
        if let Some(error) = outcome.error.filter(|_| outcome.failed.is_empty()) {
            return Err(error.into());
        }
    }
    Ok(together(&ends))
}

/// How many recordings are open at once, where so much room is left for rings.
fn batch(free_bytes: u64) -> usize {
    let fitting = free_bytes / 4 / RING_BYTES;
    usize::try_from(fitting).unwrap_or(BATCH_MAX).clamp(BATCH_MIN, BATCH_MAX)
}

/// How much of each of so many recordings is kept.
fn history_ms(files: usize) -> u32 {
    if files > BATCH_MIN / 2 { HISTORY_MS_MIN } else { HISTORY_MS_MAX }
}

/// The exit code of several recordings: what all ended with, or that some are missing.
fn together(ends: &[Exit]) -> Exit {
    let first = ends.first().copied().unwrap_or(Exit::Clean);
    if ends.iter().all(|&end| end == first) { first } else { Exit::Incomplete }
}

fn name_files(files: &[PathBuf]) -> Result<Vec<(StreamName, PathBuf)>> {
    let named = files.iter().enumerate();
    named.map(|(at, path)| Ok((StreamName::new(format!("file-{}", at + 1))?, std::path::absolute(path)?))).collect()
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{}: a path that is not UTF-8", path.display()))
}

fn write(transcript: &Transcript, format: Format, args: &TranscribeArgs, out: &mut Option<OutFile>) -> Result<()> {
    let text = transcript.render(format)?;
    if let Some(out) = out.take() {
        return out.finish(&text);
    }
    if format == Format::Txt && args.files.len() > 1 {
        return print(&format!("# {}\n{text}\n", transcript.file));
    }
    print(&text)
}

/// Keeps the words until their recording is done; shows how far it is.
struct Collector {
    segments: BTreeMap<StreamName, Vec<TimedText>>,
    progress: BTreeMap<StreamName, (f64, Option<f64>)>,
    voice: Voice,
    terminal: bool,
}

impl Collector {
    fn new(named: &[(StreamName, PathBuf)], voice: Voice) -> Self {
        let segments = named.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        Self { segments, progress: BTreeMap::new(), voice, terminal: std::io::stderr().is_terminal() }
    }

    fn transcript(&mut self, name: &StreamName, path: &Path, model: &str, outcome: &Outcome) -> Transcript {
        let segments = self.segments.remove(name).unwrap_or_default();
        Transcript {
            file: path.display().to_string(),
            text: segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" "),
            segments,
            model: model.to_owned(),
            duration_s: self.progress.get(name).and_then(|(_, total)| *total),
            lost_frames: outcome.lost_frames.get(name).copied().unwrap_or(0),
            error: outcome.failed.iter().find(|failure| failure.stream == *name).map(|failure| failure.reason.clone()),
        }
    }

    fn show_progress(&self) {
        if !self.terminal {
            return;
        }
        let done: f64 = self.progress.values().map(|(done, _)| done).sum();
        let total: Option<f64> = self.progress.values().map(|(_, total)| *total).sum();
        self.voice.print(match total.filter(|&total| total > 0.0) {
            Some(total) => {
                let percent = (100.0 * done / total).min(100.0);
                format!("\r\x1b[K{percent:3.0} %  {:.0} of {total:.0} s heard", done.min(total))
            }
            None => format!("\r\x1b[K{done:.0} s heard"),
        });
    }

    fn clear_progress(&self) {
        if self.terminal {
            self.voice.print("\r\x1b[K".to_owned());
        }
    }
}

impl Reporter for Collector {
    fn report(&mut self, report: Report) {
        match report {
            Report::Final { span, text, .. } => {
                let segment = TimedText { start_s: span.start_s, end_s: span.end_s, text };
                self.segments.entry(span.stream).or_default().push(segment);
            }
            Report::Progress { stream, done_s, total_s } => {
                self.progress.insert(stream, (done_s, total_s));
                self.show_progress();
            }
            Report::Process { role, pid, state: "failed", reason: Some(reason), .. } => {
                self.clear_progress();
                self.voice.say(&format!("tympan: {role} {pid}: {reason}"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_recordings_are_open_as_there_is_room_for() {
        assert_eq!([1, 4, 5, 16].map(history_ms), [120_000, 120_000, 60_000, 60_000]);
        // A container has 64 MB, a desktop some gigabytes.
        assert_eq!([0, 64 << 20, 200 << 20, 16 << 30].map(batch), [8, 8, 13, 16]);
    }

    #[test]
    fn recordings_that_end_alike_give_their_code() {
        assert_eq!(together(&[Exit::NotAudio]), Exit::NotAudio);
        assert_eq!(together(&[Exit::NoInput, Exit::NoInput]), Exit::NoInput);
        assert_eq!(together(&[Exit::Clean, Exit::NoInput]), Exit::Incomplete);
        assert_eq!(together(&[Exit::Clean, Exit::Clean]), Exit::Clean);
    }
}
