//! Commands that people try and that have another name here.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What is tried, and what does it.
const SLIPS: [(&[&str], &str); 8] = [
    (
        &["listen", "record", "live", "demo"],
        "`tympan run` listens, `tympan start` in the background; `tympan run demo:` plays a clip",
    ),
    (&["quit", "kill", "end"], "`tympan stop` ends what runs"),
    (&["log", "journal"], "`tympan logs` shows what the processes said"),
    (&["fetch", "download", "pull", "install", "get"], "`tympan model fetch` fetches models"),
    (&["list", "ls"], "`tympan devices` lists microphones, `tympan model list` models, `tympan rings` streams"),
    (
        &["init", "set", "settings", "edit"],
        "`tympan config init` writes a file of settings, `tympan config show` shows them",
    ),
    (&["version", "info"], "`tympan --version`, and `tympan doctor` for this machine"),
    (
        &["check", "test", "diagnose", "mics", "microphones"],
        "`tympan doctor` checks this machine, `tympan devices` lists microphones",
    ),
];

/// What was meant by a command that does not exist.
pub(crate) fn hint(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(tried)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    if std::path::Path::new(tried).is_file() {
        return Some(format!(
            "`tympan transcribe {tried}` writes a recording down, `tympan run {tried}` plays it in real time"
        ));
    }
    SLIPS.iter().find(|(slips, _)| slips.contains(&tried.as_str())).map(|(_, hint)| (*hint).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn a_slip_is_no_command_and_gets_its_hint() {
        let real: Vec<String> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for slip in SLIPS.iter().flat_map(|(slips, _)| *slips) {
            assert!(!real.iter().any(|name| name == slip), "{slip}");
            let error = Cli::try_parse_from(["tympan", slip]).unwrap_err();
            assert!(hint(&error).is_some_and(|hint| hint.contains("`tympan ")), "{slip}");
        }
        assert_eq!(hint(&Cli::try_parse_from(["tympan", "xyzzy"]).unwrap_err()), None);
        assert_eq!(hint(&Cli::try_parse_from(["tympan", "run", "--nope"]).unwrap_err()), None);
        assert!(
            hint(&Cli::try_parse_from(["tympan", file!().rsplit_once("supervisor/").unwrap().1]).unwrap_err())
                .unwrap()
                .contains("transcribe")
        );
    }
}
