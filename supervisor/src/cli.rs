//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Hears, mixes, publishes and understands sound.
#[derive(Debug, Parser)]
#[command(name = "tympan", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Listen, and write down what is spoken, while it is spoken
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Write down recordings, as fast as the machine can
    #[command(after_help = TRANSCRIBE_EXAMPLES)]
    Transcribe(TranscribeArgs),
    /// Show the processes, streams and jobs of the running instance
    #[command(after_help = "Examples:\n  tympan status\n  tympan status --json | jq .queue")]
    Status(JsonArgs),
    /// Show the rings that programs can read
    #[command(after_help = "Examples:\n  tympan rings\n  tympan rings --json | jq -r '.[].path'")]
    Rings(JsonArgs),
    /// Show the microphones and other inputs
    #[command(after_help = "Examples:\n  tympan devices\n  tympan devices --json | jq -r '.[].id'")]
    Devices(JsonArgs),
}

const RUN_EXAMPLES: &str = "\
Sources:
  device:              the default microphone       device:NAME   one that `tympan devices` shows
  file:PATH            a recording, in real time    stdin:        WAV, or raw with stdin:rate=16000&channels=1&format=s16le
  test:tone            also sweep, noise, silence, count; ?hz=440&channels=2
  demo:                a clip of speech that is built in

Examples:
  tympan run
  tympan run device:USB file:talk.mp3
  tympan run guest=file:guest.flac --json
  arecord -f S16_LE -r 16000 -t raw | tympan run 'stdin:rate=16000&channels=1&format=s16le'";

const TRANSCRIBE_EXAMPLES: &str = "\
Examples:
  tympan transcribe talk.mp3
  tympan transcribe --format srt -o talk.srt talk.mp3
  tympan transcribe --format json *.wav | jq -r .text";

/// How words are made.
#[derive(Debug, Clone, Args)]
pub(crate) struct WordArgs {
    /// Whisper model: a name such as tiny.en, or the path of a ggml file
    #[arg(long, default_value = "tiny.en", value_name = "NAME|PATH")]
    pub model: String,
    /// Spoken language: a code such as en, or auto
    #[arg(long, default_value = "en", value_name = "CODE")]
    pub language: String,
    /// Transcribing processes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Threads of each of them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// Show what the other processes say on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// What to listen to, as URI or NAME=URI; the default microphone when nothing is given
    #[arg(value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Files and standard input as fast as the machine can, not in real time
    #[arg(long)]
    pub fast: bool,
    /// Rate of the rings in Hz
    #[arg(long, default_value_t = 48_000, value_name = "HZ", value_parser = clap::value_parser!(u32).range(8_000..=192_000))]
    pub rate: u32,
    /// Seconds of history in each ring
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(5..=3_600))]
    pub history: u32,
    #[command(flatten)]
    pub words: WordArgs,
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
    pub words: WordArgs,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
