//! `tympan config`: what is set, whether it is right, and a file to begin with.

use super::keys::{ALL, DATA_DIR, MODELS_DIR, RUNTIME_DIR};
use super::{ConfigFile, Mistake, Settings, Value, file, unknown_variables};
use crate::cli::SettingFlags;
use crate::output::{columns, print, print_json, table};
use crate::paths::{self, Folders, private_dir};
use crate::refusal::refuse;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use control_protocol::Exit;
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Show every setting, and where its value comes from
    #[command(after_help = "Examples:\n  tympan config show\n  tympan config show --model base --json | jq")]
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        flags: SettingFlags,
    },
    /// Say what is wrong in the file and the variables
    #[command(after_help = "Example:\n  tympan config check")]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a commented file to begin with
    #[command(after_help = "Example:\n  tympan config init")]
    Init {
        /// Replace the file that is there
        #[arg(long)]
        force: bool,
    },
    /// Print where the file is, or would be
    #[command(after_help = "Example:\n  $EDITOR \"$(tympan config path)\"")]
    Path,
}

/// Carries out `tympan config`.
///
/// # Errors
/// When something is wrong in the settings, or the file cannot be written.
pub(crate) fn config(args: &ConfigArgs, named: Option<&std::path::Path>) -> Result<Exit> {
    let found = ConfigFile::find(named);
    match &args.command {
        ConfigCommand::Show { json, flags } => show(found.as_ref(), flags, *json)?,
        ConfigCommand::Check { json } => return check(found.as_ref(), *json),
        ConfigCommand::Init { force } => init(found, *force)?,
        ConfigCommand::Path => print(&format!("{}\n", place(found)?.path.display()))?,
    }
    Ok(Exit::Clean)
}

fn place(found: Option<ConfigFile>) -> Result<ConfigFile> {
    found.context("neither XDG_CONFIG_HOME nor HOME is set: no place for a file; --config names one")
}

fn show(found: Option<&ConfigFile>, flags: &SettingFlags, as_json: bool) -> Result<()> {
    let mut settings = Settings::load(found)?;
    flags.over(&mut settings);
    // What nobody set and something else decides is shown as it was decided.
    let folders = Folders::of_new(&settings)?;
    let models = paths::models(&settings)?;
    let value_of = |key: &super::Key| {
        let decided = match key {
            key if *key == RUNTIME_DIR => Some(Value::Path(folders.runtime.clone())),
            key if *key == DATA_DIR => Some(Value::Path(folders.data.clone())),
            key if *key == MODELS_DIR => Some(Value::Path(models.clone())),
            _ => None,
        };
        let (value, origin) = settings.shown(key);
        (decided.or_else(|| value.cloned()), origin.to_string())
    };
    if as_json {
        let line = |key: &&super::Key| {
            let (value, from) = value_of(key);
            let value = match value {
                None => serde_json::Value::Null,
                Some(Value::Count(count)) => json!(count),
                Some(Value::List(items)) => json!(items),
                Some(text) => json!(text.to_string()),
            };
            json!({"key": key.name, "value": value, "from": from})
        };
        return print_json(&ALL.iter().map(line).collect::<Vec<_>>());
    }
    let row = |key: &&super::Key| {
        let (value, from) = value_of(key);
        [key.name.to_owned(), value.map_or_else(|| "-".to_owned(), |value| value.to_string()), from]
    };
    let rows: Vec<_> = ALL.iter().map(row).collect();
    print(&table(["setting", "value", "from"], &rows, columns()))
}

fn check(found: Option<&ConfigFile>, as_json: bool) -> Result<Exit> {
    let (settings, mut mistakes) = Settings::gather(found);
    mistakes.extend(settings.misread());
    mistakes.extend(unknown_variables());
    let exit = if mistakes.is_empty() { Exit::Clean } else { Exit::BadConfig };
    if as_json {
        let line = |mistake: &Mistake| json!({"place": mistake.place, "text": mistake.text});
        print_json(&mistakes.iter().map(line).collect::<Vec<_>>())?;
        return Ok(exit);
    }
    for mistake in &mistakes {
        eprintln!("tympan: {mistake}");
    }
    if mistakes.is_empty() {
        let there = found.filter(|file| file.path.exists());
        print(&there.map_or_else(
            || "there is no file; the defaults are right\n".to_owned(),
            |file| format!("{}: all right\n", file.path.display()),
        ))?;
    }
    Ok(exit)
}

fn init(found: Option<ConfigFile>, force: bool) -> Result<()> {
    let path = place(found)?.path;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        private_dir(folder, "--config FILE or TYMPAN_CONFIG")?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600).create(force).truncate(force).create_new(!force);
    let mut file = match options.open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            refuse!(Refused, "{} is there already; --force replaces it", path.display())
        }
        opened => opened.with_context(|| format!("cannot write {}", path.display()))?,
    };
    file.write_all(file::template().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    print(&format!("{}\n", path.display()))
}
