//! The `tympan` command: spawns the engine, the listener and the workers, watches and restarts them, keeps the jobs
//! and prints the words. It links neither the sound library nor the recogniser, so their faults cannot reach it.

// As in std, and without the panic where standard error cannot be written, as with a log on a full disk: nobody would
// be left to end the other processes in order.
macro_rules! eprint {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!($($text)*));
    }};
}
macro_rules! eprintln {
    ($($text:tt)*) => { eprint!("{}\n", format_args!($($text)*)) };
}

mod agreement;
mod background;
mod bench;
mod child;
mod cli;
mod control;
mod copy;
mod decibels;
mod devices;
mod doctor;
mod event;
mod inherited;
mod inspect;
mod lag;
mod language;
mod last_exit;
mod latency;
mod log;
mod logs;
mod mailbox;
mod meters;
mod mix_orders;
mod mix_wish;
mod model;
mod models;
mod oneshot;
mod orders;
mod outfile;
mod output;
mod output_orders;
mod owner;
mod paths;
mod patient;
mod policy;
mod printer;
mod queue;
mod recovery;
mod report;
mod run;
mod session;
mod settings;
mod show;
mod siblings;
mod slips;
mod source_orders;
mod sources;
mod stderr;
mod stop;
mod transcribe;
mod transcript;
mod viz;
mod voice;
mod words;

use anyhow::Result;
use clap::Parser;
use cli::{Cli, Command, RingsCommand};
use control_protocol::{Exit, refusal};
use settings::{ConfigFile, Settings};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        if let Some(hint) = slips::hint(&error) {
            eprintln!("\n  tip: {hint}");
        }
        std::process::exit(error.exit_code());
    });
    match carry_out(&cli) {
        Ok(exit) => exit.into(),
        Err(e) => {
            eprintln!("tympan: {e:#}");
            refusal::exit_of(&e).into()
        }
    }
}

fn carry_out(cli: &Cli) -> Result<Exit> {
    let load = || Settings::load(ConfigFile::find(cli.config.as_deref()).as_ref());
    if let Command::Start(args) = &cli.command
        && !cli.in_background
    {
        return background::start(args.json);
    }
    if matches!(cli.command, Command::Run(_) | Command::Start(_) | Command::Transcribe(_) | Command::Bench(_)) {
        // It may be meant for a later version, so it is no error.
        settings::unknown_variables().iter().for_each(|slip| eprintln!("tympan: {slip}"));
    }
    let done = match &cli.command {
        Command::Run(args) => return run::run(args, load()?, None),
        Command::Start(args) => {
            // Before anything is opened.
            let starter = background::Starter::leave()?;
            return run::run(args, load()?, Some(starter));
        }
        Command::Stop(args) => stop::stop(*args, &load()?),
        Command::Logs(args) => logs::logs(args, &load()?),
        Command::Transcribe(args) => return transcribe::transcribe(args, load()?),
        Command::Bench(args) => return bench::bench(args, cli.config.as_deref(), load()?),
        Command::Doctor(args) => return doctor::doctor(args, cli.config.as_deref()),
        Command::Model(args) => return model::model(args, &load()?),
        Command::Config(args) => return settings::config(args, cli.config.as_deref()),
        Command::Status(args) => inspect::status(&load()?, args.json),
        Command::Rings(args) => match &args.command {
            Some(RingsCommand::Copy(args)) => return copy::copy(&load()?, &args.name, &args.v1),
            None => inspect::rings(&load()?, args.json.json),
        },
        Command::Scale(args) => orders::scale(args, &load()?),
        Command::Restart(args) => orders::restart(args, &load()?),
        Command::Pause(args) => orders::pause("pause", args, &load()?),
        Command::Resume(args) => orders::pause("resume", args, &load()?),
        Command::Toggle(args) => orders::pause("toggle", args, &load()?),
        Command::Source(args) => source_orders::source(&args.command, &load()?),
        Command::Mix(args) => mix_orders::mix(&args.command, &load()?),
        Command::Meters(args) => meters::meters(args, &load()?),
        Command::Viz(args) => viz::viz(args, &load()?),
        Command::Latency(args) => latency::latency(*args, &load()?),
        Command::Output(args) => output_orders::output(&args.command, &load()?),
        Command::Devices(args) => devices::devices(args),
    };
    done.map(|()| Exit::Clean)
}
