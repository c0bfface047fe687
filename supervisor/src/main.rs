//! The `tympan` command: spawns the engine, the listener and the workers, watches and restarts them, keeps the jobs
//! and prints the words. It links neither the sound library nor the recogniser, so their faults cannot reach it.

mod child;
mod cli;
mod control;
mod event;
mod inspect;
mod models;
mod oneshot;
mod owner;
mod paths;
mod policy;
mod printer;
mod queue;
mod recovery;
mod report;
mod run;
mod session;
mod show;
mod siblings;
mod sources;
mod transcribe;
mod transcript;

use clap::Parser;
use cli::{Cli, Command};
use control_protocol::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match &Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Transcribe(args) => transcribe::transcribe(args),
        Command::Status(args) => inspect::status(args.json).map(|()| Exit::Clean),
        Command::Rings(args) => inspect::rings(args.json).map(|()| Exit::Clean),
        Command::Devices(args) => inspect::devices(args.json).map(|()| Exit::Clean),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(e) => {
            eprintln!("tympan: {e:#}");
            Exit::Fault.into()
        }
    }
}
