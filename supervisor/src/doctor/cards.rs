//! The sound cards: which have an input, and whether this user may open it.

use super::Case;
use super::finding::Finding;
use super::inputs::{DEVICES, inputs};
use super::outside::count;
use super::server::{Server, Servers};
use super::surroundings::Surroundings;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "sound cards";

/// What the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cards {
    /// By their names.
    cards: Vec<String>,
    /// Inputs, and whether this user may open them.
    inputs: Vec<(PathBuf, bool)>,
}

/// Looks at the kernel's cards.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let server = case.servers.get().map_or(Server::None, Servers::main);
    let listed = std::fs::read_to_string("/proc/asound/cards").unwrap_or_default();
    findings(&Cards { cards: names(&listed), inputs: inputs() }, &case.here, server)
}

/// ` 0 [PCH            ]: HDA-Intel - HDA Intel PCH`, and a line of details.
fn names(cards: &str) -> Vec<String> {
    let named = cards.lines().filter_map(|line| line.split_once("]: "));
    named.map(|(_, name)| name.split_once(" - ").map_or(name, |(_, long)| long).trim().to_owned()).collect()
}

fn findings(cards: &Cards, here: &Surroundings, server: Server) -> Vec<Finding> {
    let served = !matches!(server, Server::None);
    let names = cards.cards.join(", ");
    // With a server, what the kernel has is the server's business.
    let bad = |text: String| if served { Finding::note(NAME, text) } else { Finding::warning(NAME, text) };
    if cards.inputs.iter().any(|(_, allowed)| *allowed) {
        let n = cards.inputs.len() as u64;
        let inputs = count(n, "input");
        let of = if names.is_empty() { String::new() } else { format!(" of {names}") };
        return vec![Finding::good(NAME, format!("{inputs}{of}"))];
    }
    if let Some((path, _)) = cards.inputs.first() {
        let text = format!("{} is not open to you", path.display());
        let means = "the desktop's user has these devices; others, as over ssh, need the group audio";
        let mend = if here.container {
            "docker run --group-add audio IMAGE".to_owned()
        } else {
            "sudo usermod -aG audio \"$(id -un)\"\n# then log in again, or: newgrp audio".to_owned()
        };
        return vec![bad(text).means(means).mend(mend)];
    }
    if !cards.cards.is_empty() && Path::new(DEVICES).exists() {
        return vec![
            bad(format!("no input; there is {names}"))
                .means("these cards only play; plug a microphone in, or switch the card's profile to one with input")
                .mend("cat /proc/asound/pcm"),
        ];
    }
    if served {
        return vec![Finding::good(NAME, "none that is open here; the sound server's are used")];
    }
    if here.container {
        return vec![
            Finding::warning(NAME, "none in this container")
                .means("a container has only the devices it is given")
                .mend("docker run --device /dev/snd --group-add audio IMAGE"),
        ];
    }
    vec![
        Finding::warning(NAME, "none")
            .means("no microphone is plugged in, or the kernel has no driver for it (virtual machines have none)")
            .mend("lsusb; lspci | grep -i audio"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    const CARDS: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n                      HDA Intel PCH at 0xa1\n 1 [Mic            ]: USB-Audio - Yeti\n";

    #[test]
    fn cards_have_names() {
        assert_eq!(names(CARDS), ["HDA Intel PCH", "Yeti"]);
        assert!(names("--- no soundcards ---\n").is_empty());
    }

    #[test]
    fn what_is_missing_depends_on_the_place() {
        let mut here = Surroundings::desktop(Installer::Apt);
        let found = |cards: &Cards, here: &Surroundings, server| findings(cards, here, server).remove(0);
        let input = |allowed| Cards { cards: names(CARDS), inputs: vec![("/dev/snd/pcmC0D0c".into(), allowed)] };
        assert_eq!(found(&input(true), &here, Server::None).severity, Severity::Good);
        let closed = found(&input(false), &here, Server::None);
        assert!(closed.severity == Severity::Warning && closed.mend.unwrap().contains("usermod -aG audio"));
        assert_eq!(found(&input(false), &here, Server::PipeWire).severity, Severity::Note, "the server may open it");
        assert_eq!(found(&Cards::default(), &here, Server::None).severity, Severity::Warning);
        assert_eq!(found(&Cards::default(), &here, Server::PulseAudio).severity, Severity::Good);
        here.container = true;
        assert!(found(&Cards::default(), &here, Server::None).mend.unwrap().contains("--device /dev/snd"));
        assert!(found(&input(false), &here, Server::None).mend.unwrap().contains("--group-add audio"));
    }
}
