//! The command line.

use crate::logs::LogsArgs;
use crate::meters::MetersArgs;
use crate::model::ModelArgs;
use crate::orders::{RestartArgs, ScaleArgs, StreamsArgs};
use crate::settings::keys::{self, Key, Kind};
use crate::settings::{ConfigArgs, Settings, Value};
use crate::stop::StopArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Hears, mixes, publishes and understands sound.
#[derive(Debug, Parser)]
#[command(name = "tympan", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// Configuration file [default: ~/.config/tympan/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Whether `start` has started this one.
    #[arg(long, hide = true)]
    pub in_background: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Listen, and write down what is spoken, while it is spoken
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// The same in the background: returns when it listens; the words go to a file
    #[command(after_help = START_HELP)]
    Start(RunArgs),
    /// End the running instance, and wait until it is gone
    #[command(after_help = "Examples:\n  tympan stop\n  tympan stop --now")]
    Stop(StopArgs),
    /// Show what the processes said and what happened to them
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Write down recordings, as fast as the machine can
    #[command(after_help = TRANSCRIBE_EXAMPLES)]
    Transcribe(TranscribeArgs),
    /// Measure how right, how fast and how costly the words are on this machine
    #[command(after_help = BENCH_HELP)]
    Bench(BenchArgs),
    /// Show the processes, streams and jobs of the running instance
    #[command(after_help = "Examples:\n  tympan status\n  tympan status --json | jq .queue")]
    Status(JsonArgs),
    /// Have more workers, or fewer, while it runs
    #[command(after_help = "Examples:\n  tympan scale workers=4")]
    Scale(ScaleArgs),
    /// Replace processes, or try again what has failed
    #[command(
        after_help = "Examples:\n  tympan restart worker\n  tympan restart worker --number 1\n  tympan restart engine"
    )]
    Restart(RestartArgs),
    /// Listen no more; sound is captured as ever
    #[command(after_help = "Examples:\n  tympan pause\n  tympan pause mic")]
    Pause(StreamsArgs),
    /// Listen again
    #[command(after_help = "Examples:\n  tympan resume\n  tympan resume mic")]
    Resume(StreamsArgs),
    /// Pause, or listen again where all is paused: for a hotkey
    #[command(after_help = TOGGLE_HELP)]
    Toggle(StreamsArgs),
    /// Add and remove sources while it runs, and list them
    Source(SourceArgs),
    /// Set how the streams go into the mix: gain, pan, mute, solo, processing; and show it
    Mix(MixArgs),
    /// Show how loud the streams and the mix are, sixty times a second
    #[command(after_help = METERS_HELP)]
    Meters(MetersArgs),
    /// Show sound: waveform, spectrogram, spectrum, meters
    #[command(disable_help_flag = true)]
    Viz(VizArgs),
    /// Show how long sound is on its way, stage by stage
    #[command(after_help = LATENCY_HELP)]
    Latency(LatencyArgs),
    /// Play the mix or a stream to a speaker, and show the speakers there are
    Output(OutputArgs),
    /// Show the rings that programs can read
    #[command(after_help = RINGS_EXAMPLES, args_conflicts_with_subcommands = true)]
    Rings(RingsArgs),
    /// Show the microphones and other inputs
    #[command(
        after_help = "Examples:\n  tympan devices\n  tympan devices --all\n  tympan devices --json | jq -r '.[].id'"
    )]
    Devices(DevicesArgs),
    /// Say what is wrong here, what it means, and how to mend it
    #[command(after_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// List, fetch, check, add and remove models
    Model(ModelArgs),
    /// Show, check and begin the configuration
    Config(ConfigArgs),
}

const RUN_EXAMPLES: &str = "\
Sources:
  device:              the default microphone       device:NAME   one that `tympan devices` shows
  file:PATH            a recording, in real time    stdin:        WAV, or raw with stdin:rate=16000&channels=1&format=s16le
  ring:NAME            a ring that another program writes, as `tympan rings` shows it; or the path of its file
  test:tone            also sweep, noise, silence, count; ?hz=440&channels=2
  demo:                a clip of speech that is built in

Examples:
  tympan run
  tympan run device:USB file:talk.mp3
  tympan run guest=file:guest.flac --json
  tympan run device:USB demo: --model base --language mic=de
  tympan run mic=device: call=device:monitor --model base --model call=tiny.en
  arecord -f S16_LE -r 16000 -t raw | tympan run 'stdin:rate=16000&channels=1&format=s16le'";

const START_HELP: &str = "\
Takes what `tympan run` takes, but stdin:. The words are JSON lines as those of
`tympan run --json`, without partials, in a file of its own; latest.jsonl
beside it always is the newest. --json prints pid and files as JSON.

Examples:
  tympan start
  tympan start device:USB --model base
  tail -F ~/.local/share/tympan/words/latest.jsonl | jq -r 'select(.event==\"final\").text'
  tympan logs -f
  tympan stop";

const LOGS_EXAMPLES: &str = "\
Examples:
  tympan logs
  tympan logs -f worker
  tympan logs -n 20 worker 1
  tympan logs --since 2h --json | jq -r 'select(.level==\"error\").text'";

const TRANSCRIBE_EXAMPLES: &str = "\
Examples:
  tympan transcribe talk.mp3
  tympan transcribe --format srt -o talk.srt talk.mp3
  tympan transcribe --format json *.wav | jq -r .text";

const TOGGLE_HELP: &str = "\
Where one of several streams is still listened to, all are paused.

Examples:
  tympan toggle
  tympan toggle mic --json | jq -r '.paused[]'";

const BENCH_HELP: &str = "\
FOLDER has recordings with what is said in them: talk.txt beside talk.wav, or
a manifest.json ([{\"file\": \"talk.wav\", \"transcript\": \"...\"}]), or LibriSpeech's
*.trans.txt. Without it six short clips that are built in are used.

The recordings are written down as fast as it goes, then played in real time,
joined by pauses. Numbers mean little while the machine does something else.

Examples:
  tympan bench
  tympan bench --model base
  tympan bench ~/recordings --json | jq .live.final";

const SOURCE_ADD_HELP: &str = "\
What `tympan run` takes, but stdin:. Returns when it is open. Its name is free
again when it was removed; 64 sources are the most at a time.

Examples:
  tympan source add device:USB
  tympan source add call=device:monitor
  tympan source add guest=file:guest.flac
  tympan source add call=ring:softphone";

const SOURCE_REMOVE_HELP: &str = "\
Returns when it is captured no more. What was said in it is written down. Without
any source the run goes on and waits for another one; `tympan stop` ends it.

Examples:
  tympan source remove call";

const MIX_SET_HELP: &str = "\
  gain=-6dB    or a factor, 0 to 10; up to 20dB; -inf is silence
  pan=-0.3     -1 is left, 0 the middle, 1 right
  mute=on      not heard in the mix; its own ring goes on
  solo=on      only those that are solo are heard
  highpass=80Hz    takes away what is lower (20Hz to 2000Hz)
  gate=-50dB       turns down what is softer (-100dB to 0dB), by 40 dB
  eq=-3,0,+2       raises or lowers what is below 200 Hz, around 1 kHz and
                   above 5 kHz, in dB (-24 to 24)
  comp=-20dB:4     compresses what is louder (-60dB to 0dB), 4 dB to 1 (1 to 20)
  ceiling=-1dB (of mix) what no sample of the mix exceeds

Each of highpass, gate, eq and comp can be off; while any is on, the mix is one
block of 10 ms later. A change takes 10 ms (of processing 20), without a click.
The same line, as in mix = [\"mic gain=-6dB\"], can stand in the configuration.

Examples:
  tympan mix set mic gain=-6dB
  tympan mix set guest mute=on
  tympan mix set mic highpass=80Hz gate=-50dB comp=-20dB:4
  tympan mix set mix gain=-3dB ceiling=-1dB";

const METERS_HELP: &str = "\
On a terminal a bar for each stream: the mean level, the peak above it, and the
peak of late as a mark; then peak and held peak in dBFS, and how often it
clipped. Of the mix also loudness (EBU R128) of 400 ms (M), of 3 s (S) and of
all since the start (I), its range (LRA), and true peak (TP). q or Ctrl-C ends,
r counts anew. Elsewhere a line a second for each stream.

A reading covers a sixtieth of a second. With a smaller --rate several are
joined, and no sample is in none of them.

Examples:
  tympan meters
  tympan meters mic mix
  tympan meters mix --json | jq .loudness.integrated_lufs
  tympan meters --once --json
  tympan meters --reset";

const LATENCY_HELP: &str = "\
From the sound to the moment when the first frame of its block can be read:
  device     the device's period, and what its hardware says that it takes more
  queue      what lies ready, so that a late callback is no gap
  resampler  what is inside of it; a device that leads the clock has none
  block      a block is written when its last frame is due
  tick       by how much that is late
  in_mix     the same to the mix ring, whose limiter looks ahead
  listener   how far speech detection is behind the ring
Files and pipes are read ahead and have no latency.

--probe sends impulses through a virtual device with a clock of its own, the
way of every device that is resampled, and takes the time until they can be
read. It is muted in the mix, so that nobody hears it: the mix ring is held
against the index, which means the same instant in every ring. It takes 4 s.
The exit code is 1 when a time is not that of its stages within a block.

Examples:
  tympan latency
  tympan latency --probe
  tympan latency --json | jq '.streams[] | {stream, sum_ms}'";

const OUTPUT_SET_HELP: &str = "\
DEVICE is an id or name that `tympan output list` shows, or a part of one; default
is the one that the desktop has chosen, and is followed when that is another one.
A device that goes is tried again until it is back.

A microphone that hears the speaker hears itself: `tympan mix set mic mute=on`
takes it out of the mix, and headphones do, too.

Examples:
  tympan output set default
  tympan output set USB --stream guest";

const RINGS_EXAMPLES: &str = "\
Examples:
  tympan rings
  tympan rings --json | jq -r '.[].path'
  tympan rings copy mic --v1 mic.audio";

const COPY_HELP: &str = "\
The file has the ring's history and goes on with its sound, until Ctrl-C or until the ring is closed. \
What was never captured, or came too fast, is silence in its place, and is told; what was lost makes the exit code 5. \
The end of the file's last write is filled up with silence.";

const DOCTOR_HELP: &str = "\
The exit code is 0 when all is well, 5 when something works in part, and
that of the first fault when something does not work at all.

Examples:
  tympan doctor
  tympan doctor --quick --device USB
  tympan doctor --json | jq -r '.[] | select(.severity==\"fault\").mend'";

/// How words are made; what is not given is configured, or the default.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WordFlags {
    /// Whisper model: a name such as tiny.en, or the path of a ggml file; once more as mic=base for the stream mic alone
    /// [default: tiny.en]
    #[arg(long, value_name = "NAME|PATH")]
    pub model: Vec<String>,
    /// Spoken language: a code such as en, or auto; once more as mic=de for the stream mic alone [default: en]
    #[arg(long, value_name = "CODE")]
    pub language: Vec<String>,
    /// Transcribing processes [default: 2]
    #[arg(long, value_name = "COUNT", value_parser = range_of(&keys::WORKERS))]
    pub workers: Option<u32>,
    /// Threads of each of them [default: 1]
    #[arg(long, value_name = "COUNT", value_parser = range_of(&keys::THREADS))]
    pub threads: Option<u32>,
    /// Memory each of them may take, in MB; 0 is four times its models and 1 GB [default: 0]
    #[arg(long, value_name = "MB", value_parser = range_of(&keys::MEMORY))]
    pub memory: Option<u32>,
}

impl WordFlags {
    /// Sets what was given.
    pub(crate) fn over(&self, settings: &mut Settings) {
        settings.flag(&keys::MODEL, Value::each(&keys::MODEL, self.model.clone()));
        settings.flag(&keys::LANGUAGE, Value::each(&keys::LANGUAGE, self.language.clone()));
        settings.flag(&keys::WORKERS, self.workers.map(Value::Count));
        settings.flag(&keys::THREADS, self.threads.map(Value::Count));
        settings.flag(&keys::MEMORY, self.memory.map(Value::Count));
    }
}

/// How words are made while they are spoken.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LiveFlags {
    /// How long a pause ends an utterance, in ms [default: 280]
    #[arg(long, value_name = "MS", value_parser = range_of(&keys::HANGOVER))]
    pub hangover: Option<u32>,
}

impl LiveFlags {
    /// Sets what was given.
    pub(crate) fn over(&self, settings: &mut Settings) {
        settings.flag(&keys::HANGOVER, self.hangover.map(Value::Count));
    }
}

/// All flags that stand for settings.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingFlags {
    /// Rate of the rings in Hz [default: 48000]
    #[arg(long, value_name = "HZ", value_parser = range_of(&keys::RATE))]
    pub rate: Option<u32>,
    /// Seconds of history in each ring [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = range_of(&keys::HISTORY))]
    pub history: Option<u32>,
    /// How much resampling computes: fast for speech, best for music [default: normal]
    #[arg(long, value_name = "QUALITY", value_parser = choice_of(&keys::RESAMPLING))]
    pub resampling: Option<String>,
    /// Sound kept ready for late callbacks, in ms; 0 is as it fits [default: 0]
    #[arg(long, value_name = "MS", value_parser = range_of(&keys::CUSHION))]
    pub cushion: Option<u32>,
    /// How a stream goes into the mix, as in --mix "mic gain=-6dB"; once more for another stream [default: []]
    #[arg(long, value_name = "LINE")]
    pub mix: Vec<String>,
    /// Play to this device, as `tympan output list` shows it, or to default [default: off]
    #[arg(long, value_name = "DEVICE")]
    pub output: Option<String>,
    /// Play this stream there [default: mix]
    #[arg(long, value_name = "NAME")]
    pub output_stream: Option<String>,
    #[command(flatten)]
    pub hearing: LiveFlags,
    #[command(flatten)]
    pub words: WordFlags,
}

impl SettingFlags {
    /// Sets what was given.
    pub(crate) fn over(&self, settings: &mut Settings) {
        settings.flag(&keys::RATE, self.rate.map(Value::Count));
        settings.flag(&keys::HISTORY, self.history.map(Value::Count));
        settings.flag(&keys::RESAMPLING, self.resampling.clone().map(Value::Text));
        settings.flag(&keys::CUSHION, self.cushion.map(Value::Count));
        settings.flag(&keys::MIX, (!self.mix.is_empty()).then(|| Value::List(self.mix.clone())));
        settings.flag(&keys::OUTPUT, self.output.clone().map(Value::Text));
        settings.flag(&keys::OUTPUT_STREAM, self.output_stream.clone().map(Value::Text));
        self.hearing.over(settings);
        self.words.over(settings);
    }
}

fn range_of(key: &Key) -> clap::builder::RangedI64ValueParser<u32> {
    let Kind::Count(min, max) = key.kind else { unreachable!("{} is a number", key.name) };
    clap::value_parser!(u32).range(i64::from(min)..=i64::from(max))
}

fn choice_of(key: &Key) -> clap::builder::PossibleValuesParser {
    let Kind::Choice(choices) = key.kind else { unreachable!("{} is a choice", key.name) };
    choices.into()
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What to listen to, as URI or NAME=URI; without any, what is configured, or the default microphone
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Files and standard input as fast as the machine can, not in real time
    #[arg(long)]
    pub fast: bool,
    #[command(flatten)]
    pub settings: SettingFlags,
    /// Show what the other processes say on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

/// Formats of a transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The text alone
    Txt,
    /// SubRip subtitles
    Srt,
    /// WebVTT subtitles
    Vtt,
    /// One JSON object a file: segments with times, text, model, lost frames
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TranscribeArgs {
    /// Recordings: WAV, FLAC, MP3, Ogg Vorbis, M4A and what else symphonia reads
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Txt)]
    pub format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Write to this file instead of standard output (one recording only)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub words: WordFlags,
    /// Show what the other processes say on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Recordings with transcripts; without it, the clips that are built in
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Two recordings only, the shortest: to try it out
    #[arg(long)]
    pub quick: bool,
    /// Play recordings until they are so long together
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub live: u32,
    /// What decides their order and the pauses between them
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Noise beside them, so many dB below the speech
    #[arg(long, value_name = "DB", allow_negative_numbers = true, value_parser = decibels)]
    pub noise: Option<f64>,
    #[command(flatten)]
    pub hearing: LiveFlags,
    #[command(flatten)]
    pub words: WordFlags,
}

fn decibels(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|db| (-20.0..=100.0).contains(db)).ok_or_else(|| "a number from -20 to 100".into())
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LatencyArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Send impulses, and compare
    #[arg(long)]
    pub probe: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VizArgs {
    /// Rings, recordings and flags; `tympan viz --help` shows them
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct RingsArgs {
    #[command(subcommand)]
    pub command: Option<RingsCommand>,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    #[command(subcommand)]
    pub command: SourceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// Listen to one more
    #[command(after_help = SOURCE_ADD_HELP)]
    Add {
        /// What to listen to, as URI or NAME=URI
        #[arg(value_name = "SOURCE")]
        source: String,
    },
    /// Listen to one no more
    #[command(after_help = SOURCE_REMOVE_HELP)]
    Remove {
        /// Its name, as `tympan source list` shows it
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show the sources there are
    #[command(
        after_help = "Examples:\n  tympan source list\n  tympan source list --json | jq -r '.[] | select(.state==\"failed\").reason'"
    )]
    List(JsonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct MixArgs {
    #[command(subcommand)]
    pub command: MixCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MixCommand {
    /// Set a stream's strip, or the mix itself
    #[command(after_help = MIX_SET_HELP)]
    Set {
        /// The stream, as `tympan mix show` shows it; mix is the sum
        #[arg(value_name = "NAME")]
        name: String,
        /// What is to change: settings of a stream; gain and ceiling of the mix
        #[arg(value_name = "KEY=VALUE", required = true)]
        changes: Vec<String>,
    },
    /// Show all strips
    #[command(after_help = "Examples:\n  tympan mix show\n  tympan mix show --json | jq .master")]
    Show(JsonArgs),
}

#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    #[command(subcommand)]
    pub command: OutputCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OutputCommand {
    /// Play to a device
    #[command(after_help = OUTPUT_SET_HELP)]
    Set {
        /// default, or a device
        #[arg(value_name = "DEVICE")]
        device: String,
        /// What is played there
        #[arg(long, value_name = "NAME", default_value = "mix")]
        stream: String,
    },
    /// Play nothing
    Off,
    /// Show the outputs there are, and what is played
    #[command(after_help = "Examples:\n  tympan output list\n  tympan output list --json | jq -r '.devices[].id'")]
    List(DevicesArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RingsCommand {
    /// Keep a live copy of a ring in another layout
    #[command(after_help = COPY_HELP)]
    Copy(CopyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// The ring, as `tympan rings` shows it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Write layout version 1 (planar 64-bit samples) to this file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    pub v1: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Do not listen to the microphone for 5 s
    #[arg(long)]
    pub quick: bool,
    /// Listen to this one, as `tympan devices` shows it
    #[arg(long, value_name = "NAME")]
    pub device: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DevicesArgs {
    /// Plug-in devices too
    #[arg(long)]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_help_says_the_defaults_of_the_settings() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let run = command.find_subcommand_mut("run").expect("run").render_long_help().to_string();
        for key in keys::ALL {
            let Some(flag) = key.flag.filter(|flag| flag.starts_with("--")) else { continue };
            let (_, after) = run.split_once(&format!("{flag} ")).unwrap_or_else(|| panic!("no {flag}"));
            let own = after.split("\n      --").next().unwrap_or(after);
            assert!(own.contains(&format!("[default: {}]", key.default.trim_matches('"'))), "{flag}: {own}");
        }
    }
}
