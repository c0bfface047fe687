//! A private sound server with a speaker that leads nowhere and a microphone that hears it.

use crate::{cache_home, wait_until, watchdog};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const ASOUNDRC: &str = "\
pcm.!default { type pulse hint { show on description \"Default\" } }
ctl.!default { type pulse }
pcm.vmon { type pulse device \"vsink.monitor\" hint { show on description \"Monitor of the null sink\" } }
";

/// PulseAudio with a null sink `vsink` (48 kHz, mono, f32), which ALSA captures as `vmon` (and as its default).
///
/// It has a home of its own, so that nobody's settings or sound server are touched, and ends with this.
#[derive(Debug)]
pub struct Pulse {
    folder: TempDir,
    server: Child,
}

impl Pulse {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not answer.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tympan-pulse-").tempdir()?;
        let run = folder.path().join("run");
        fs::create_dir(&run)?;
        fs::set_permissions(&run, Permissions::from_mode(0o700))?;
        fs::write(folder.path().join(".asoundrc"), ASOUNDRC)?;
        let server = Self::spawn(&folder)?;
        let mut pulse = Self { folder, server };
        pulse.wait_answer()?;
        Ok(pulse)
    }

    /// Starts the server once more, after [`kill`](Self::kill), for the same clients.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_again(&mut self) -> Result<()> {
        // What a killed one leaves.
        fs::remove_file(self.folder.path().join("run/pulse/pid")).ok();
        self.server = Self::spawn(&self.folder)?;
        self.wait_answer()
    }

    fn spawn(folder: &TempDir) -> Result<Child> {
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--log-target=stderr", "--log-level=error"]);
        command.args(["-L", "module-native-protocol-unix"]);
        // In pieces of 50 ms, as hardware does: else of up to two seconds, and whoever opens its monitor waits for one.
        let sink = "module-null-sink sink_name=vsink rate=48000 format=float32le channels=1 norewinds=1";
        command.args(["-L", sink]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(folder.path().join("stderr"))?);
        environment(&mut command, folder.path())?;
        command.spawn().context("pulseaudio: run scripts/setup test")
    }

    fn wait_answer(&mut self) -> Result<()> {
        wait_until("an answer of PulseAudio", watchdog(3.0), || {
            if let Some(status) = self.server.try_wait()? {
                let said = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
                bail!("PulseAudio ended with {status}: {said}");
            }
            Ok(self.ask(&["list", "short", "sources"])?.contains("vsink.monitor").then_some(()))
        })
    }

    /// Says more to ALSA, as lines of its configuration, to programs that start from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let path = self.folder.path().join(".asoundrc");
        let before = fs::read_to_string(&path)?;
        fs::write(&path, before + lines).context("ALSA's configuration")
    }

    /// What `pactl` says.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask(&self, args: &[&str]) -> Result<String> {
        let answer = self.command("pactl")?.args(args).output().context("pactl")?;
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// Variables with which a program uses this server, through ALSA or directly.
    ///
    /// # Errors
    /// When there is no home folder (the models stay in the user's own cache).
    pub fn environment(&self) -> Result<Vec<(OsString, OsString)>> {
        variables(self.folder.path())
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Plays a file and waits for its end.
    ///
    /// # Errors
    /// When it cannot be played.
    pub fn play(&self, file: &Path) -> Result<()> {
        let status = self.command("paplay")?.arg("--device=vsink").arg(file).status().context("paplay")?;
        ensure!(status.success(), "paplay ended with {status}");
        Ok(())
    }

    /// Adds something to the server, as `pactl load-module` does: `load("module-null-source", &["source_name=mic"])`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn load(&self, module: &str, arguments: &[&str]) -> Result<()> {
        let output = self.command("pactl")?.arg("load-module").arg(module).args(arguments).output().context("pactl")?;
        ensure!(output.status.success(), "{module}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Mutes a source, or lets it be heard again.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn mute(&self, source: &str, muted: bool) -> Result<()> {
        let mut command = self.command("pactl")?;
        let output =
            command.args(["set-source-mute", source, if muted { "1" } else { "0" }]).output().context("pactl")?;
        ensure!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Ends the server as a crash does.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill().context("PulseAudio")?;
        self.server.wait().map(|_| ()).context("PulseAudio")
    }

    /// A program that uses this server.
    ///
    /// # Errors
    /// As [`environment`](Self::environment).
    pub fn command(&self, program: &str) -> Result<Command> {
        let mut command = Command::new(program);
        environment(&mut command, self.folder.path())?;
        Ok(command)
    }
}

fn variables(home: &Path) -> Result<Vec<(OsString, OsString)>> {
    let run: PathBuf = home.join("run");
    let mut server = OsString::from("unix:");
    server.push(run.join("pulse/native"));
    Ok(vec![
        ("HOME".into(), home.into()),
        ("XDG_RUNTIME_DIR".into(), run.into()),
        ("XDG_CONFIG_HOME".into(), home.join(".config").into()),
        ("XDG_CACHE_HOME".into(), cache_home()?.into()),
        ("PULSE_SERVER".into(), server),
    ])
}

fn environment(command: &mut Command, home: &Path) -> Result<()> {
    command.envs(variables(home)?);
    for variable in ["PULSE_RUNTIME_PATH", "PULSE_SINK", "PULSE_SOURCE", "ALSA_CONFIG_PATH", "DBUS_SESSION_BUS_ADDRESS"]
    {
        command.env_remove(variable);
    }
    // The server itself must not look for another one.
    if command.get_program() == "pulseaudio" {
        command.env_remove("PULSE_SERVER");
    }
    Ok(())
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_starts_and_its_pipe_is_heard() {
        let pulse = Pulse::start().expect("PulseAudio");
        let heard = pulse.folder.path().join("heard.wav");
        let mut recorder = pulse.command("parecord").expect("home");
        let mut recorder = recorder.arg("--device=vsink.monitor").arg(&heard).spawn().expect("parecord");
        pulse.play(&crate::clip_file("librivox_0880.wav")).expect("played");
        recorder.kill().ok();
        recorder.wait().ok();
        let bytes = fs::read(&heard).expect("recording");
        assert!(bytes.iter().skip(44).any(|&b| b != 0), "only zeros in {} bytes", bytes.len());
        let pid = pulse.pid();
        drop(pulse);
        assert_eq!(shm_layout::start_time_of(pid), None);
    }
}
