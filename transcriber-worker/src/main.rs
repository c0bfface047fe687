//! `transcriber-worker`: one of the processes that `tympan` starts. Rings to utterances, or utterances to text.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use control_link::LinkError;
use control_protocol::Exit;
use std::path::PathBuf;
use std::process::ExitCode;
use transcriber_worker::{blas, check, direct, illegal, listener, processor, worker};

/// Turns rings into text. Started by `tympan`; `--role direct` is for tests and benches, `--role check` for whoever
/// wonders whether this program fits this processor.
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
    /// Says as JSON whether this program fits this processor: exit code 0, or 9
    Check,
}

fn main() -> ExitCode {
    stderr_log::install();
    illegal::watch();
    let refusal = processor::fit().refusal();
    if refusal.is_none() {
        // Where the program does not fit it ends soon, and need not be quick.
        blas::prepare();
    }
    let arguments = Arguments::parse();
    match run(&arguments, refusal) {
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

fn run(arguments: &Arguments, refusal: Option<String>) -> Result<Exit> {
    match arguments.role {
        Part::Listener => Ok(listener::run()?),
        Part::Worker => Ok(worker::run(refusal)?),
        Part::Check => Ok(check::run(&mut std::io::stdout().lock())?),
        Part::Direct => {
            if let Some(refusal) = refusal {
                log::error!("{refusal}");
                return Ok(Exit::CpuUnfit);
            }
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
