//! The sound server: which one runs, and whether this shell reaches it.

use super::Case;
use super::finding::Finding;
use super::outside::{Door, knock, knock_tcp, quoted, variable};
use super::surroundings::Surroundings;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const NAME: &str = "sound server";
/// PulseAudio's, where an address names none.
const PULSE_PORT: u16 = 4713;

/// A sound server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    PipeWire,
    PulseAudio,
    Jack,
    None,
}

/// What there is of sound servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Servers {
    /// `XDG_RUNTIME_DIR`.
    session: Option<PathBuf>,
    pipewire: (PathBuf, Door),
    /// Its address may be on another machine.
    pulse: (String, Door),
    /// Whether `PULSE_SERVER` named it.
    pulse_named: bool,
    jack: bool,
    /// A session with a sound server that this shell does not look at: where it usually is, of this user or of the
    /// one who called `sudo`.
    elsewhere: Option<PathBuf>,
}

impl Servers {
    /// The one that gives the default microphone.
    pub(super) fn main(&self) -> Server {
        if self.pulse_named && self.pulse.1 == Door::Open {
            Server::PulseAudio
        } else if self.pipewire.1 == Door::Open {
            Server::PipeWire
        } else if self.pulse.1 == Door::Open {
            Server::PulseAudio
        } else if self.jack {
            Server::Jack
        } else {
            Server::None
        }
    }

    /// Whether programs for PulseAudio are served: by itself, or by PipeWire in its place.
    pub(super) fn speaks_pulse(&self) -> bool {
        self.pulse.1 == Door::Open
    }
}

/// Looks for the servers, and remembers them.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let servers = servers(&case.here);
    let hardware = super::inputs::hears_something();
    let findings = findings(&servers, &case.here, hardware);
    let _ = case.servers.set(servers);
    findings
}

fn servers(here: &Surroundings) -> Servers {
    let session = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = |uid: u32| PathBuf::from(format!("/run/user/{uid}"));
    let of_pipewire = variable("PIPEWIRE_RUNTIME_DIR").map(PathBuf::from).or_else(|| session.clone());
    let pipewire = of_pipewire.unwrap_or_else(|| usual(here.uid)).join("pipewire-0");
    // Without the variable, PipeWire's own programs do not find it either.
    let pipewire_door = if session.is_some() { knock(&pipewire) } else { Door::Absent };
    let named = variable("PULSE_SERVER");
    let pulse = match &named {
        Some(address) => address.split(' ').next_back().unwrap_or(address).to_owned(),
        None => {
            let folder = variable("PULSE_RUNTIME_PATH").map(PathBuf::from);
            let folder = folder.or_else(|| session.as_ref().map(|dir| dir.join("pulse")));
            folder.unwrap_or_else(|| usual(here.uid).join("pulse")).join("native").to_string_lossy().into_owned()
        }
    };
    let pulse_door = if named.is_some() || session.is_some() { knock_pulse(&pulse) } else { Door::Absent };
    let pulse = (pulse, pulse_door);
    let pulse = if pulse.1 == Door::Absent { without_session().unwrap_or(pulse) } else { pulse };
    let others = [Some(here.uid), here.sudo_uid].into_iter().flatten().map(usual);
    let elsewhere = others.filter(|dir| session.as_ref() != Some(dir));
    let elsewhere =
        elsewhere.into_iter().find(|dir| dir.join("pipewire-0").exists() || dir.join("pulse/native").exists());
    Servers {
        pipewire: (pipewire, pipewire_door),
        pulse,
        pulse_named: named.is_some(),
        jack: jack_runs(here.uid),
        session,
        elsewhere,
    }
}

/// Where PulseAudio has its socket when it was started without a session, as on servers.
fn without_session() -> Option<(String, Door)> {
    let folder = PathBuf::from(variable("HOME")?).join(".config/pulse");
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let runtime = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with("-runtime"));
    let sockets = runtime.map(|entry| entry.path().join("native"));
    let found = sockets.map(|path| (path.to_string_lossy().into_owned(), knock(&path)));
    found.into_iter().find(|(_, door)| *door != Door::Absent)
}

/// Knocks at an address as `PULSE_SERVER` has it.
fn knock_pulse(address: &str) -> Door {
    // `{machine}unix:/path` is for one machine only.
    let address = address.rsplit('}').next().unwrap_or(address);
    if let Some(path) = address.strip_prefix("unix:").or_else(|| address.starts_with('/').then_some(address)) {
        return knock(Path::new(path));
    }
    let host = ["tcp:", "tcp4:", "tcp6:"].iter().find_map(|prefix| address.strip_prefix(prefix)).unwrap_or(address);
    let with_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if with_port { host.to_owned() } else { format!("{host}:{PULSE_PORT}") };
    knock_tcp(&address, Duration::from_secs(2))
}

/// Whether JACK's first server of this user has its socket.
fn jack_runs(uid: u32) -> bool {
    knock(Path::new(&format!("/dev/shm/jack_default_{uid}_0"))) == Door::Open
}

fn findings(servers: &Servers, here: &Surroundings, hardware: bool) -> Vec<Finding> {
    let (pipewire, pulse) = (servers.pipewire.0.display(), &servers.pulse.0);
    match servers.main() {
        Server::PipeWire => return vec![Finding::good(NAME, format!("PipeWire answers at {pipewire}"))],
        Server::PulseAudio => return vec![Finding::good(NAME, format!("PulseAudio answers at {pulse}"))],
        Server::Jack => {
            return vec![
                Finding::note(NAME, "JACK runs; no PipeWire and no PulseAudio does")
                    .means("JACK is reached by its own name")
                    .mend("tympan run device:jack"),
            ];
        }
        Server::None => {}
    }
    vec![unreachable(servers, here).unwrap_or_else(|| none(here, hardware))]
}

/// A server that is there and cannot be used.
fn unreachable(servers: &Servers, here: &Surroundings) -> Option<Finding> {
    let (pipewire, pulse) = (servers.pipewire.0.display(), &servers.pulse.0);
    if servers.pulse_named {
        return Some(
            Finding::warning(NAME, format!("PULSE_SERVER says {pulse}, and nobody answers there"))
                .means("no microphone of that server can be used")
                .mend("unset PULSE_SERVER"),
        );
    }
    if let Some(place) = &servers.elsewhere {
        let place = place.display();
        if here.uid == 0 && here.sudo_uid.is_some() {
            return Some(
                Finding::warning(NAME, format!("the sound server in {place} is your own user's, and this is root"))
                    .means("a sound server serves its own user only; tympan needs no root")
                    .mend("exit  # and call tympan without sudo"),
            );
        }
        let have = servers.session.as_ref().map_or("not set".to_owned(), |dir| format!("{}", dir.display()));
        return Some(
            Finding::warning(NAME, format!("a sound server is in {place}, and XDG_RUNTIME_DIR is {have}"))
                .means("this shell (ssh, su, cron) does not find the sound server of your session")
                .mend(format!("export XDG_RUNTIME_DIR={place}")),
        );
    }
    let door = [servers.pipewire.1, servers.pulse.1];
    if door.contains(&Door::Closed) {
        return Some(
            Finding::warning(NAME, format!("{pipewire} or {pulse} is there, and closed to user {}", here.uid))
                .means("a sound server serves its own user only")
                .mend(format!("ls -ln {}", quoted(&servers.pipewire.0))),
        );
    }
    if door.contains(&Door::Deserted) {
        let restart = if servers.pipewire.1 == Door::Deserted {
            "systemctl --user restart pipewire pipewire-pulse wireplumber"
        } else {
            "pulseaudio --start"
        };
        return Some(
            Finding::warning(NAME, "the sound server has died; its socket is still there")
                .means("no microphone works until it runs again")
                .mend(restart),
        );
    }
    None
}

fn none(here: &Surroundings, hardware: bool) -> Finding {
    if hardware {
        return Finding::note(NAME, "none; ALSA's devices are used directly")
            .means("only one program at a time can use a microphone then");
    }
    let none = Finding::warning(NAME, "none runs: no PipeWire, PulseAudio or JACK");
    if here.container {
        return none
            .means("a container has no sound unless it is given some, for example the sound server of its host")
            .mend("docker run -v \"$XDG_RUNTIME_DIR/pulse/native:/tmp/pulse\" -e PULSE_SERVER=unix:/tmp/pulse --user \"$(id -u)\" IMAGE");
    }
    if here.ssh {
        return none
            .means("on this machine nobody is logged in with sound; a recording or a pipe works without")
            .mend("systemctl --user start pipewire pipewire-pulse wireplumber\nssh LAPTOP arecord -f S16_LE -r 16000 -t wav | tympan run stdin:");
    }
    none.means("without one, and without a sound card, there is no microphone; recordings and pipes work")
        .mend("systemctl --user start pipewire pipewire-pulse wireplumber")
}

#[cfg(test)]
impl Servers {
    /// These doors, open or not there.
    pub(super) fn of_tests(pipewire: bool, pulse: bool) -> Self {
        let door = |open| if open { Door::Open } else { Door::Absent };
        Self {
            session: Some("/run/user/1000".into()),
            pipewire: ("/run/user/1000/pipewire-0".into(), door(pipewire)),
            pulse: ("/run/user/1000/pulse/native".into(), door(pulse)),
            pulse_named: false,
            jack: false,
            elsewhere: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    fn nothing() -> Servers {
        Servers::of_tests(false, false)
    }

    fn found(servers: &Servers, here: &Surroundings, hardware: bool) -> Finding {
        findings(servers, here, hardware).remove(0)
    }

    fn opened(pipewire: Door, pulse: Door) -> Servers {
        let none = nothing();
        Servers { pipewire: (none.pipewire.0, pipewire), pulse: (none.pulse.0, pulse), ..nothing() }
    }

    #[test]
    fn the_one_that_gives_the_microphone_is_named() {
        let here = Surroundings::desktop(Installer::Apt);
        let both = opened(Door::Open, Door::Open);
        assert_eq!((both.main(), found(&both, &here, false).severity), (Server::PipeWire, Severity::Good));
        assert_eq!(Servers { pulse_named: true, ..both }.main(), Server::PulseAudio);
        assert_eq!(opened(Door::Absent, Door::Open).main(), Server::PulseAudio);
        assert_eq!(Servers { jack: true, ..nothing() }.main(), Server::Jack);
    }

    #[test]
    fn a_shell_that_looks_elsewhere_is_told_where_to_look() {
        let mut here = Surroundings::desktop(Installer::Apt);
        let lost = Servers { session: None, elsewhere: Some("/run/user/1000".into()), ..nothing() };
        let finding = found(&lost, &here, true);
        assert_eq!(finding.mend.as_deref(), Some("export XDG_RUNTIME_DIR=/run/user/1000"));
        here.uid = 0;
        here.sudo_uid = Some(1_000);
        assert!(found(&lost, &here, false).means.unwrap().contains("needs no root"));
    }

    #[test]
    fn a_server_that_died_and_one_that_is_far_away_differ() {
        let here = Surroundings::desktop(Installer::Apt);
        let died = found(&opened(Door::Deserted, Door::Absent), &here, false);
        assert!(died.what.contains("died") && died.mend.unwrap().contains("restart pipewire"));
        let far = Servers { pulse_named: true, pulse: ("tcp:nowhere".into(), Door::Deserted), ..nothing() };
        assert_eq!(found(&far, &here, false).mend.as_deref(), Some("unset PULSE_SERVER"));
        assert!(found(&opened(Door::Closed, Door::Absent), &here, false).what.contains("closed"));
    }

    #[test]
    fn none_means_something_else_in_a_container() {
        let mut here = Surroundings::desktop(Installer::Apt);
        assert_eq!(found(&nothing(), &here, true).severity, Severity::Note);
        assert!(found(&nothing(), &here, false).mend.unwrap().starts_with("systemctl --user start"));
        here.ssh = true;
        assert!(found(&nothing(), &here, false).mend.unwrap().contains("tympan run stdin:"));
        here.container = true;
        assert!(found(&nothing(), &here, false).mend.unwrap().starts_with("docker run"));
    }

    #[test]
    fn addresses_of_pulseaudio_have_many_forms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("native");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let path = path.display();
        for address in [format!("{path}"), format!("unix:{path}"), format!("{{3f2a}}unix:{path}")] {
            assert_eq!(knock_pulse(&address), Door::Open, "{address}");
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(knock_pulse(&format!("tcp:127.0.0.1:{port}")), Door::Open);
        drop(listener);
        assert_eq!(knock_pulse(&format!("tcp:127.0.0.1:{port}")), Door::Deserted);
    }
}
