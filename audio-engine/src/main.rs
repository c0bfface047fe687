//! The engine's process: a child of `tympan`, and the one-shot commands that must not hang it.

mod once;
mod samples;

use audio_engine::engine::{Event, serve};
use audio_engine::rt::exit_now;
use clap::{Parser, Subcommand};
use control_protocol::{Exit, FromEngine, Role, ToEngine};
use std::sync::mpsc::{Sender, channel};

/// Tympan's audio engine: sources to rings. `tympan` starts it; by hand only the commands below are of use.
#[derive(Debug, Parser)]
#[command(name = "audio-engine", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the supervisor that started this process.
    Run,
    /// Print the input devices as a JSON array.
    Devices {
        /// Plug-ins too: ALSA's other ways to the same devices.
        #[arg(long)]
        all: bool,
    },
    /// Print the outputs as a JSON array.
    Outputs {
        /// Plug-ins too: ALSA's other ways to the same devices.
        #[arg(long)]
        all: bool,
    },
    /// Open a source and print what it is as a JSON object, e.g. `audio-engine probe device:`.
    Probe {
        /// `device:`, `device:NAME`, `file:PATH`, `demo:`, `stdin:`, `ring:PATH`, `test:SIGNAL` or `virtual:SIGNAL`.
        uri: String,
        /// Listen for so long, and say how loud it was.
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        seconds: Option<f64>,
    },
    /// Write a recording to standard output: 16-bit little-endian samples, one channel.
    Samples {
        /// The recording.
        path: String,
        /// Frames a second.
        #[arg(long, value_name = "HZ", default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(8_000..=192_000))]
        rate: u32,
    },
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=60.0).contains(seconds));
    seconds.ok_or_else(|| "a number from 0.01 to 60".into())
}

fn main() {
    // Before anything that might start a thread.
    audio_engine::asound::prepare();
    let exit = match Arguments::parse().command {
        None | Some(Command::Run) => run(),
        Some(Command::Devices { all }) => once::devices(all),
        Some(Command::Outputs { all }) => once::outputs(all),
        Some(Command::Probe { uri, seconds }) => once::probe(&uri, seconds),
        Some(Command::Samples { path, rate }) => samples::samples(&path, rate),
    };
    // Streams of a dead sound server cannot be dropped: nothing is.
    exit_now(exit.code())
}

fn run() -> Exit {
    let (sender, mut receiver) = match control_link::connect::<FromEngine, ToEngine>(Role::Engine) {
        Ok(link) => link,
        Err(error) => {
            eprintln!("audio-engine is started by tympan: {error}");
            return Exit::Orphaned;
        }
    };
    let (own, events) = channel();
    let inbox = own.clone();
    let listening = std::thread::Builder::new().name("link".into()).spawn(move || listen(&mut receiver, &inbox));
    if let Err(error) = listening {
        eprintln!("no thread for the link: {error}");
        return Exit::Fault;
    }
    serve(&events, &own, &|message| {
        // A supervisor that is gone is noticed by the listening thread.
        let _ = sender.send(&message);
    })
}

fn listen(receiver: &mut control_link::LinkReceiver<ToEngine>, inbox: &Sender<Event>) {
    loop {
        let event = receiver.recv().map_or(Event::Gone, Event::Message);
        let gone = matches!(event, Event::Gone);
        if inbox.send(event).is_err() || gone {
            return;
        }
    }
}
