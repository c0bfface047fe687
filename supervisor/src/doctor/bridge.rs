//! ALSA's bridge to the sound server: the plug-in, and the configuration that makes it the default. Without it a program
//! that uses ALSA, as tympan does, passes the server by: it gets the raw device, busy or muted, or none.

use super::Case;
use super::finding::Finding;
use super::outside::variable;
use super::server::{Server, Servers};
use super::surroundings::{Package, Surroundings};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "ALSA bridge";
const PIPEWIRE: Package = Package("pipewire-alsa", "pipewire-alsa", "pipewire-alsa", "pipewire-alsa");
const PULSE: Package =
    Package("libasound2-plugins", "alsa-plugins-pulseaudio", "pulseaudio-alsa", "alsa-plugins-pulse");
const ALSA: Package = Package("libasound2-data", "alsa-lib", "alsa-lib", "alsa");

/// What ALSA has and is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Alsa {
    /// Whether its own configuration is there; nothing works without.
    configured: bool,
    /// `libasound_module_pcm_pipewire.so`
    pipewire: Option<PathBuf>,
    /// `libasound_module_pcm_pulse.so`
    pulse: Option<PathBuf>,
    /// The type of the default device, and the file that says so. The last file counts.
    default: Option<(String, PathBuf)>,
}

/// Looks for the plug-ins and reads ALSA's configuration.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let Some(servers) = case.servers.get() else { return Vec::new() };
    findings(&alsa(), servers, &case.here)
}

fn alsa() -> Alsa {
    let plugin = |name: &str| {
        let file = format!("libasound_module_pcm_{name}.so");
        plugin_folders().iter().map(|folder| folder.join(&file)).find(|path| is_of_our_kind(path))
    };
    let main = variable("ALSA_CONFIG_PATH").map_or_else(|| PathBuf::from("/usr/share/alsa/alsa.conf"), PathBuf::from);
    let text = std::fs::read_to_string(&main).unwrap_or_default();
    let mut default = None;
    for path in configuration_files(&text) {
        if let Some(kind) = std::fs::read_to_string(&path).ok().as_deref().and_then(default_of) {
            default = Some((kind, path));
        }
    }
    Alsa { configured: !text.is_empty(), pipewire: plugin("pipewire"), pulse: plugin("pulse"), default }
}

fn plugin_folders() -> Vec<PathBuf> {
    if let Some(folder) = variable("ALSA_PLUGIN_DIR") {
        return vec![folder.into()];
    }
    let mut folders = Vec::new();
    for root in ["/usr/lib64", "/usr/lib", "/lib64", "/lib", "/usr/local/lib64", "/usr/local/lib"] {
        folders.push(PathBuf::from(root));
        // Debian has a folder for each kind of processor.
        let below = std::fs::read_dir(root).into_iter().flatten().flatten();
        folders.extend(below.filter(|entry| entry.file_name().to_string_lossy().contains("-linux-")).map(|e| e.path()));
    }
    folders.into_iter().map(|folder| folder.join("alsa-lib")).collect()
}

/// Whether a library is for the same kind of processor as this program.
fn is_of_our_kind(path: &Path) -> bool {
    let kind = |path: &Path| {
        let mut head = [0; 20];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
        Some(([head[4], head[5]], [head[18], head[19]]))
    };
    kind(path).is_some_and(|its| kind(Path::new("/proc/self/exe")).is_none_or(|own| own == its))
}

/// The files that ALSA reads after its own, in order.
fn configuration_files(main: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["/usr/share/alsa/alsa.conf.d", "/usr/etc/alsa/conf.d", "/var/lib/alsa/conf.d", "/etc/alsa/conf.d"] {
        // Which of these folders count has changed with the years.
        if !main.contains(folder) {
            continue;
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut inside: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "conf")).collect();
        inside.sort();
        files.extend(inside);
    }
    files.push("/etc/asound.conf".into());
    if let Some(home) = variable("HOME").map(PathBuf::from) {
        files.push(home.join(".asoundrc"));
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("alsa/asoundrc"));
    }
    files
}

/// The type of the default device, if a text of ALSA's configuration sets one.
fn default_of(text: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let text: String = lines.map(|line| line.replace(['=', ';', ','], " ") + "\n").collect();
    // Loaded when its server runs; that is what this file of PulseAudio's does.
    if text.contains("pulse-alsa.conf") {
        return Some("pulse".into());
    }
    let text = text.replace('{', " { ").replace('}', " } ").replace(['"', '\''], "");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut kind = None;
    for (at, word) in words.iter().enumerate() {
        let rest = &words[at + 1..];
        match *word {
            "pcm.!default" | "pcm.default" if rest.first() == Some(&"{") => {
                let inside = rest.iter().position(|word| *word == "}").map_or(rest, |end| &rest[..end]);
                let named = inside.iter().position(|word| *word == "type").and_then(|at| inside.get(at + 1));
                kind = named.copied().or(kind);
            }
            "pcm.!default" | "pcm.default" | "pcm.!default.type" | "pcm.default.type" => {
                kind = rest.first().copied().or(kind);
            }
            _ => {}
        }
    }
    kind.map(str::to_owned)
}

fn findings(alsa: &Alsa, servers: &Servers, here: &Surroundings) -> Vec<Finding> {
    if !alsa.configured {
        return vec![
            Finding::warning(NAME, "ALSA's own configuration is not there (/usr/share/alsa/alsa.conf)")
                .means("without it no device has a name, and none opens")
                .mend(here.install(ALSA)),
        ];
    }
    let server = servers.main();
    if matches!(server, Server::None | Server::Jack) {
        return vec![Finding::good(NAME, "not needed without PipeWire or PulseAudio")];
    }
    let pipewire = alsa.pipewire.is_some() && server == Server::PipeWire;
    let pulse = alsa.pulse.is_some() && servers.speaks_pulse();
    let name = if server == Server::PipeWire { "PipeWire" } else { "PulseAudio" };
    if !pipewire && !pulse {
        let (package, file) = if server == Server::PipeWire {
            (PIPEWIRE, "libasound_module_pcm_pipewire.so")
        } else {
            (PULSE, "libasound_module_pcm_pulse.so")
        };
        return vec![
            Finding::warning(NAME, format!("{name} runs, and ALSA has no bridge to it ({file} is missing)"))
                .means("tympan asks ALSA, which passes the server by: no default microphone, or a busy one")
                .mend(here.install(package)),
        ];
    }
    match &alsa.default {
        Some((kind, file)) if (kind == "pipewire" && pipewire) || (kind == "pulse" && pulse) => {
            vec![Finding::good(NAME, format!("ALSA's default leads to {name} ({})", file.display()))]
        }
        Some((kind, file)) => vec![
            Finding::note(NAME, format!("{} makes {kind} ALSA's default, not {name}", file.display()))
                .means("if the microphone below works, that is right; else let the default lead to the server")
                .mend(lines_for(if pipewire { "pipewire" } else { "pulse" })),
        ],
        None => vec![
            Finding::warning(NAME, format!("the bridge to {name} is installed, and is not ALSA's default"))
                .means("the default microphone passes the server by, and may be busy or muted")
                .mend(lines_for(if pipewire { "pipewire" } else { "pulse" })),
        ],
    }
}

fn lines_for(kind: &str) -> String {
    format!("printf 'pcm.!default {{ type {kind} }}\\nctl.!default {{ type {kind} }}\\n' >> ~/.asoundrc")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    fn with(pipewire: bool, pulse: bool, default: Option<&str>) -> Alsa {
        Alsa {
            configured: true,
            pipewire: pipewire.then(|| "/p.so".into()),
            pulse: pulse.then(|| "/q.so".into()),
            default: default.map(|kind| (kind.into(), "/etc/asound.conf".into())),
        }
    }

    fn found(alsa: &Alsa, servers: &Servers, installer: Installer) -> Finding {
        findings(alsa, servers, &Surroundings::desktop(installer)).remove(0)
    }

    #[test]
    fn pipewire_without_its_bridge_is_told_how_to_get_it() {
        let servers = Servers::of_tests(true, true);
        let finding = found(&with(false, false, None), &servers, Installer::Apt);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.mend.as_deref(), Some("sudo apt-get install pipewire-alsa"));
        let finding = found(&with(false, true, None), &Servers::of_tests(true, false), Installer::Zypper);
        assert_eq!(finding.mend.as_deref(), Some("sudo zypper install pipewire-alsa"), "nobody speaks PulseAudio");
        let finding = found(&with(true, false, None), &Servers::of_tests(false, true), Installer::Dnf);
        assert_eq!(finding.mend.as_deref(), Some("sudo dnf install alsa-plugins-pulseaudio"));
    }

    #[test]
    fn a_bridge_counts_when_it_is_the_default() {
        let servers = Servers::of_tests(true, true);
        assert_eq!(found(&with(true, false, Some("pipewire")), &servers, Installer::Apt).severity, Severity::Good);
        assert_eq!(found(&with(false, true, Some("pulse")), &servers, Installer::Apt).severity, Severity::Good);
        let aside = found(&with(true, false, None), &servers, Installer::Apt);
        assert!(aside.severity == Severity::Warning && aside.mend.unwrap().contains("type pipewire"));
        assert_eq!(found(&with(true, false, Some("hw")), &servers, Installer::Apt).severity, Severity::Note);
        assert_eq!(
            found(&with(false, false, None), &Servers::of_tests(false, false), Installer::Apt).severity,
            Severity::Good
        );
        assert_eq!(found(&Alsa::default(), &servers, Installer::Apt).severity, Severity::Warning);
    }

    #[test]
    fn the_default_is_read_from_all_forms() {
        for (text, kind) in [
            ("pcm.!default {\n  type pipewire\n  capture_node \"-1\"\n}", Some("pipewire")),
            ("pcm.!default { type pulse hint { show on } }", Some("pulse")),
            ("pcm.!default pipewire", Some("pipewire")),
            ("pcm.!default = \"pulse\";", Some("pulse")),
            ("pcm.!default.type pulse", Some("pulse")),
            ("# pcm.!default { type pulse }", None),
            ("pcm.pulse {\n type pulse\n}", None),
            ("@hooks [ { func x files [ \"/usr/share/alsa/pulse-alsa.conf\" ] } ]", Some("pulse")),
            ("pcm.!default { type hw card 0 }\npcm.!default { type pulse }", Some("pulse")),
        ] {
            assert_eq!(default_of(text).as_deref(), kind, "{text}");
        }
    }

    #[test]
    fn a_library_for_another_processor_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::read("/proc/self/exe").unwrap();
        let (fits, other) = (folder.path().join("a.so"), folder.path().join("b.so"));
        std::fs::write(&fits, &own[..64]).unwrap();
        let mut strange = own[..64].to_vec();
        strange[18] ^= 1;
        std::fs::write(&other, strange).unwrap();
        assert!(is_of_our_kind(&fits) && !is_of_our_kind(&other) && !is_of_our_kind(Path::new("/nowhere")));
    }
}
