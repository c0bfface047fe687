//! The engine's process: a child of `tympan`, and the one-shot commands that must not hang it.

mod once;

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
    Devices,
    /// Open a source and print what it is as a JSON object, e.g. `audio-engine probe device:`.
    Probe {
        /// `device:`, `device:NAME`, `file:PATH`, `demo:`, `stdin:`, `test:SIGNAL` or `virtual:SIGNAL`.
        uri: String,
    },
}

fn main() {
    let exit = match Arguments::parse().command {
        None | Some(Command::Run) => run(),
        Some(Command::Devices) => once::devices(),
        Some(Command::Probe { uri }) => once::probe(&uri),
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
