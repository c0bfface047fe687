//! `viz-reader`: the program behind `tympan viz`.

use clap::Parser;
use control_protocol::Exit;
use std::io::Write;
use std::process::ExitCode;
use viz_reader::cli::{Arguments, Target};
use viz_reader::{file, refusal, terminal, web};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.target() {
        Target::Files => file::run(&arguments),
        Target::Browser => web::run(&arguments),
        Target::Terminal => terminal::run(&arguments),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(e) => {
            // A closed standard error is no reason to end otherwise.
            let _ = writeln!(std::io::stderr(), "tympan: {e:#}");
            let exit: Exit = refusal::exit_of(&e);
            exit.into()
        }
    }
}
