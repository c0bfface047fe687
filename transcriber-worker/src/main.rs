//! `transcriber-worker`: one of the processes that `tympan` starts. Rings to utterances, or utterances to text.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use control_link::LinkError;
use control_protocol::Exit;
use std::path::PathBuf;
use std::process::ExitCode;
use transcriber_worker::{direct, listener, worker};

/// Turns rings into text. Started by `tympan`; `--role direct` is for tests and benches.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// What to be
    #[arg(long, value_enum)]
    role: Part,
    /// The speech model (direct)
    #[arg(long, required_if_eq("role", "direct"))]
    model: Option<PathBuf>,
    /// Threads of one computation (direct)
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// 16 kHz mono WAV files (direct)
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Finds utterances in rings
    Listener,
    /// Writes utterances down
    Worker,
    /// Calls Whisper on whole files, without anything of ours: a line of JSON a file
    Direct,
}

fn main() -> ExitCode {
    stderr_log::install();
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(exit) => exit.into(),
        Err(e) => {
            log::error!("{e:#}");
            let orphaned = matches!(
                e.downcast_ref(),
                Some(LinkError::Closed | LinkError::Orphaned(_) | LinkError::Version { .. })
            );
            if orphaned { Exit::Orphaned } else { Exit::Fault }.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<Exit> {
    match arguments.role {
        Part::Listener => Ok(listener::run()?),
        Part::Worker => Ok(worker::run()?),
        Part::Direct => {
            let model = arguments.model.as_deref().context("--role direct needs --model")?;
            direct::run(model, arguments.threads, &arguments.files, &mut std::io::stdout().lock())?;
            Ok(Exit::Clean)
        }
    }
}

/// Diagnostics go to standard error, where the supervisor takes them.
mod stderr_log {
    use log::{LevelFilter, Log, Metadata, Record};

    struct Stderr;

    impl Log for Stderr {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            // Whisper reports its loading as news and every abort as an error; ours say it better.
            !metadata.target().starts_with("whisper_rs")
        }

        fn log(&self, record: &Record<'_>) {
            if self.enabled(record.metadata()) {
                eprintln!("{}: {}", record.level().as_str().to_ascii_lowercase(), record.args());
            }
        }

        fn flush(&self) {}
    }

    pub(crate) fn install() {
        if log::set_logger(&Stderr).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
    }
}
