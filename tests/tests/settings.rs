//! Settings: a flag comes before a variable, a variable before the file, the file before the default.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use system_tests::*;

struct Place {
    folders: Folders,
    config: PathBuf,
}

impl Place {
    fn new() -> Result<Self> {
        let folders = Folders::new()?;
        let config = folders.notes().join("config");
        Ok(Self { folders, config })
    }

    fn tympan(&self, args: &[&str]) -> Result<Command> {
        let mut command = tympan(&self.folders)?;
        command.env("XDG_CONFIG_HOME", &self.config).args(args);
        Ok(command)
    }

    fn says(&self, args: &[&str]) -> Result<String> {
        let finished = run_to_end(&mut self.tympan(args)?, watchdog(5.0))?;
        finished.expect_success()?;
        Ok(finished.stdout)
    }

    fn write(&self, text: &str) -> Result<()> {
        fs::create_dir_all(self.config.join("tympan"))?;
        Ok(fs::write(self.config.join("tympan/config.toml"), text)?)
    }
}

/// The value of a setting and where it came from.
fn shown(command: &mut Command, key: &str) -> Result<(Value, String)> {
    let finished = run_to_end(command, watchdog(5.0))?;
    finished.expect_success()?;
    let all: Vec<Value> = serde_json::from_str(&finished.stdout)?;
    let one =
        all.into_iter().find(|one| one["key"] == key).with_context(|| format!("no {key}: {}", finished.stdout))?;
    Ok((one["value"].clone(), one["from"].as_str().context("from")?.to_owned()))
}

#[test]
fn the_nearest_one_counts_and_is_named() -> Result<()> {
    let place = Place::new()?;
    let show = |args: &[&str]| place.tympan(&[&["config", "show", "--json"], args].concat());
    ensure!(shown(&mut show(&[])?, "words.workers")? == (2.into(), "default".to_owned()));
    place.write("# mine\n\n[words]\nworkers = 3\nmodel = \"base\"\n")?;
    let (value, from) = shown(&mut show(&[])?, "words.workers")?;
    ensure!(value == 3 && from.ends_with("config.toml:4"), "{value} from {from}");
    ensure!(shown(show(&[])?.env("TYMPAN_WORKERS", "4"), "words.workers")? == (4.into(), "TYMPAN_WORKERS".to_owned()));
    let mut flag = show(&["--workers", "5"])?;
    ensure!(shown(flag.env("TYMPAN_WORKERS", "4"), "words.workers")? == (5.into(), "--workers".to_owned()));
    // What one of them does not set is left to the next.
    let (value, from) = shown(show(&[])?.env("TYMPAN_WORKERS", "4"), "words.model")?;
    ensure!(value == "base" && from.ends_with("config.toml:5"), "{value} from {from}");
    // Another file, by a flag and by a variable.
    let other = place.folders.notes().join("other.toml");
    fs::write(&other, "[words]\nworkers = 6\n")?;
    let path = other.to_str().context("path")?;
    ensure!(shown(&mut show(&["--config", path])?, "words.workers")?.0 == 6);
    ensure!(shown(show(&[])?.env("TYMPAN_CONFIG", path), "words.workers")?.0 == 6);
    let people = place.says(&["config", "show"])?;
    ensure!(people.contains("words.workers") && people.contains("config.toml:4"), "{people}");
    place.folders.assert_clean()
}

#[test]
fn a_file_to_begin_with() -> Result<()> {
    let place = Place::new()?;
    let path = place.says(&["config", "path"])?;
    let path = PathBuf::from(path.trim_end());
    ensure!(path == place.config.join("tympan/config.toml") && !path.exists(), "{}", path.display());
    place.says(&["config", "init"])?;
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains("# workers = 2") && text.contains("TYMPAN_WORKERS"), "{text}");
    ensure!(place.says(&["config", "check"])?.contains("all right"));
    // Written once, and not over what somebody has changed.
    fs::write(&path, text.replace("# workers = 2", "workers = 7"))?;
    run_to_end(&mut place.tympan(&["config", "init"])?, watchdog(5.0))?.expect_exit(3, &["--force"])?;
    let show = &mut place.tympan(&["config", "show", "--json"])?;
    ensure!(shown(show, "words.workers")?.0 == 7);
    place.says(&["config", "init", "--force"])?;
    ensure!(shown(&mut place.tympan(&["config", "show", "--json"])?, "words.workers")?.0 == 2);
    place.folders.assert_clean()
}

#[test]
fn a_run_does_what_is_set() -> Result<()> {
    let place = Place::new()?;
    place.write("[sound]\nsources = [\"hum=test:tone\"]\nrate = 16000\nhistory = 7\n[words]\nworkers = 3\n")?;
    let setup = Setup::run(&[]).env("XDG_CONFIG_HOME", &place.config).env("TYMPAN_HISTORY", "9");
    let mut instance = setup.start()?;
    let started = instance.wait_ready()?;
    ensure!(started.whole("sample_rate_hz")? == 16_000, "{}", started.fields);
    let status = instance.status()?;
    ensure!(status.of_role("worker").count() == 3, "{status:?}");
    let ring = instance.ring("hum")?;
    ensure!(ring.info().capacity_frames == 9 * 16_000, "{:?}", ring.info());
    instance.interrupt()?;
    instance.wait_stopped(watchdog(2.0))?;
    instance.assert_clean()
}
