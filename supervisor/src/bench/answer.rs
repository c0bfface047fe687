//! What a bench says, for programs and for people.

use super::errors::{Difference, WordErrors, count, differences};
use super::join::Joined;
use super::latency::{Latency, WordTimes, commits, finals, first_partial, word_times};
use super::live::Played;
use super::machine::Machine;
use super::normalise::words;
use super::offline::Offline;
use super::promises::broken;
use super::rounded;
use super::said::{Kind, Said};
use super::stability::stability;
use crate::output::{columns, table};
use serde::Serialize;
use std::collections::BTreeMap;

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    /// With what.
    #[serde(flatten)]
    pub setup: Setup,
    /// Where.
    pub machine: Machine,
    /// Of what.
    pub material: Material,
    /// As fast as the machine can.
    pub offline: Offline,
    /// In real time.
    pub live: Live,
}

/// What was set.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Setup {
    /// The model's file.
    pub model: String,
    /// The language it was told.
    pub language: String,
    /// Transcribing processes.
    pub workers: u32,
    /// Threads of each.
    pub threads: u32,
    /// How long a pause ends an utterance, in milliseconds.
    pub hangover_ms: u32,
}

/// The recordings.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Material {
    /// Where they are; `None` for the clips that are built in.
    pub folder: Option<String>,
    /// How many.
    pub recordings: usize,
    /// How long.
    pub seconds: f64,
}

/// What came of playing the recordings in real time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Live {
    /// How many of them were played.
    pub recordings: usize,
    /// How long it was, with pauses.
    pub seconds: f64,
    /// How long something was heard.
    pub speech_s: f64,
    /// What decided order and pauses.
    pub seed: u64,
    /// Noise, so many dB below the speech.
    pub noise_db: Option<f64>,
    /// Words said, and errors of the finals by their kind.
    #[serde(flatten)]
    pub errors: WordErrors,
    /// Errors for a hundred words said.
    pub word_error_rate_percent: Option<f64>,
    /// What these errors are.
    pub differences: Vec<Difference>,
    /// The same file, as it was played, with its noise: as a recording.
    pub as_recording: Offline,
    /// What was said in the events and was not so.
    pub broken_promises: Vec<String>,
    /// From the first sound of a recording to the first text about it.
    pub first_partial: Option<Latency>,
    /// From the end of a word until it was certain.
    pub commit: Option<Latency>,
    /// From the last sound of a recording to its last final.
    #[serde(rename = "final")]
    pub finals: Option<Latency>,
    /// Partial texts.
    pub partials: usize,
    /// Words of partial texts that the next text did not have, for a hundred words of the finals.
    pub taken_back_per_100_words: Option<f64>,
    /// How exact the times of words are, where the recordings have some.
    pub word_times: Option<WordTimes>,
    /// Processor time for each second of speech, until all was written down: cores.
    pub cores_speaking: Option<f64>,
    /// Cores that everything else on the machine used meanwhile. Where it is much, the latencies are of little use.
    pub cores_of_others: Option<f64>,
    /// Cores while nobody speaks.
    pub cores_quiet: Option<f64>,
    /// The most memory that was seen, by role.
    pub memory_mb: BTreeMap<String, f64>,
    /// Of all processes together.
    pub memory_mb_all: f64,
    /// Frames whose words are missing.
    pub lost_frames: u64,
    /// Processes that ended by a fault.
    pub faults: usize,
}

/// Reckons what was seen.
#[expect(clippy::cast_precision_loss, reason = "counts of words")]
pub(super) fn of_live(
    joined: &Joined,
    played: &Played,
    as_recording: Offline,
    seed: u64,
    noise_db: Option<f64>,
) -> Live {
    let said = &played.said;
    let mut written: Vec<&Said> = said.iter().filter(|text| text.kind == Kind::Final).collect();
    written.sort_by(|one, other| one.start_s.total_cmp(&other.start_s));
    let written = written.iter().map(|text| text.text.as_str()).collect::<Vec<_>>().join(" ");
    let (heard, written) = (words(&joined.transcript()), words(&written));
    let errors = count(&heard, &written);
    let stability = stability(said);
    let back = 100.0 * stability.taken_back as f64 / stability.words.max(1) as f64;
    Live {
        recordings: joined.clips.len(),
        seconds: rounded(joined.seconds()),
        speech_s: rounded(joined.speech_s()),
        seed,
        noise_db,
        errors,
        differences: differences(&heard, &written),
        word_error_rate_percent: errors.percent().map(rounded),
        as_recording,
        broken_promises: broken(said),
        first_partial: first_partial(joined, said),
        commit: commits(joined, said),
        finals: finals(joined, said),
        partials: stability.partials,
        taken_back_per_100_words: (stability.partials > 0).then_some(rounded(back)),
        word_times: word_times(joined, said),
        cores_speaking: played.speaking_processor_s.map(|s| rounded(s / joined.speech_s().max(0.001))),
        cores_of_others: played.others_cores.map(rounded),
        cores_quiet: played.quiet_cores.map(|cores| (cores * 1e5).round() / 1e5),
        memory_mb: played.memory_mb.iter().map(|(role, mb)| (role.clone(), rounded(*mb))).collect(),
        memory_mb_all: rounded(played.memory_mb.values().sum()),
        lost_frames: played.lost_frames,
        faults: played.faults,
    }
}

impl Answer {
    /// For people.
    pub(super) fn table(&self) -> String {
        let Setup { model, language, workers, threads, hangover_ms } = &self.setup;
        let (material, offline) = (&self.material, &self.offline);
        let from = material.folder.as_deref().unwrap_or("built in");
        let mut rows = vec![
            row("word errors of recordings", percent(offline.word_error_rate_percent), by_kind(&offline.errors)),
            row(
                "real-time factor of recordings",
                format!("{:.3}", offline.real_time_factor),
                format!("{:.1} s of sound in {:.1} s", offline.seconds, offline.taken_s),
            ),
        ];
        rows.extend(self.live.rows());
        format!(
            "{model}, language {language}, workers {workers}, threads {threads}, hang-over {hangover_ms} ms\n{}\n{} recordings ({from}), {:.1} s\n\n{}",
            self.machine.line(),
            material.recordings,
            material.seconds,
            table(["what", "result", "of"], &rows, columns())
        )
    }
}

impl Live {
    fn rows(&self) -> Vec<[String; 3]> {
        let noise = self.noise_db.map_or_else(String::new, |db| format!(", noise at {db} dB"));
        let of = format!("{:.1} s of speech in {:.1} s, seed {}{noise}", self.speech_s, self.seconds, self.seed);
        let memory = self.memory_mb.iter().map(|(role, mb)| format!("{role} {mb:.0}")).collect::<Vec<_>>().join(", ");
        let mut rows = vec![
            row("word errors live", percent(self.word_error_rate_percent), by_kind(&self.errors)),
            row(
                "... of the same sound as a recording",
                percent(self.as_recording.word_error_rate_percent),
                by_kind(&self.as_recording.errors),
            ),
            latency("first word begins to first partial", self.first_partial, "recordings"),
            latency("word spoken to committed", self.commit, "words"),
            latency("end of speech to final", self.finals, "recordings"),
            row(
                "words taken back, of 100",
                self.taken_back_per_100_words.map_or_else(none, |back| format!("{back:.1}")),
                format!("{} partials", self.partials),
            ),
            match self.word_times {
                Some(times) => row(
                    "error of word times, median",
                    format!("{:.3} s", times.median_error_s),
                    format!(
                        "{} words: p95 {:.2} s; beginnings {:+.2} s, ends {:+.2} s",
                        times.count / 2,
                        times.p95_error_s,
                        times.start_late_s,
                        times.end_late_s
                    ),
                ),
                None => row("error of word times, median", none(), "no times to compare".into()),
            },
            row("cores for a live stream", self.cores_speaking.map_or_else(none, |cores| format!("{cores:.2}")), of),
            row(
                "processor while nobody speaks",
                self.cores_quiet.map_or_else(none, |cores| format!("{:.2} % of a core", 100.0 * cores)),
                "all processes".into(),
            ),
            row(
                "processor used by others",
                self.cores_of_others.map_or_else(none, |cores| format!("{cores:.2} cores")),
                "while somebody spoke".into(),
            ),
            row("memory", format!("{:.0} MB", self.memory_mb_all), memory),
        ];
        if self.lost_frames > 0 || self.faults > 0 {
            let faults = format!("{} processes ended by a fault", self.faults);
            rows.push(row("lost", format!("{} frames", self.lost_frames), faults));
        }
        if let Some(first) = self.broken_promises.first() {
            rows.push(row("promises broken", self.broken_promises.len().to_string(), first.clone()));
        }
        rows
    }
}

fn row(what: &str, result: String, of: String) -> [String; 3] {
    [what.to_owned(), result, of]
}

fn none() -> String {
    "-".to_owned()
}

fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(none, |rate| format!("{rate:.1} %"))
}

fn by_kind(errors: &WordErrors) -> String {
    format!(
        "{} words: {} replaced, {} missing, {} too many",
        errors.words, errors.substitutions, errors.deletions, errors.insertions
    )
}

fn latency(what: &str, latency: Option<Latency>, of: &str) -> [String; 3] {
    let Some(latency) = latency else { return row(what, none(), format!("no {of}")) };
    let missing = if latency.missing > 0 { format!(", {} without", latency.missing) } else { String::new() };
    row(what, format!("{:.2} s, p95 {:.2} s", latency.p50_s, latency.p95_s), format!("{} {of}{missing}", latency.count))
}
