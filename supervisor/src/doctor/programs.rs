//! The other programs: there, able to start, and of this version.

use super::Case;
use super::finding::Finding;
use super::outside::run;
use super::surroundings::{Package, Surroundings};
use crate::refusal::exit_of;
use crate::siblings::{self, Siblings};
use control_protocol::Exit;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) const NAME: &str = "programs";
const PATIENCE: Duration = Duration::from_secs(5);
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Packages with a library that a program of ours may miss, by the beginning of the library's name.
const LIBRARIES: [(&str, Package); 4] = [
    ("libasound", Package("libasound2-dev", "alsa-lib", "alsa-lib", "libasound2")),
    ("libopenblas", Package("libopenblas0", "openblas-serial openblas-threads", "openblas", "libopenblas_pthreads0")),
    ("libgomp", Package("libgomp1", "libgomp", "gcc-libs", "libgomp1")),
    ("libstdc++", Package("libstdc++6", "libstdc++", "gcc-libs", "libstdc++6")),
];

/// A program and what it says of itself.
struct Sibling {
    name: &'static str,
    path: PathBuf,
    said: Result<String, Failure>,
}

/// Why a program says nothing.
enum Failure {
    /// A shared library is missing.
    Library(String),
    /// It knows instructions that the processor does not.
    Instruction,
    /// In its own words.
    Other(String),
}

/// Looks for the programs and asks them for their version.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let siblings = match Siblings::find() {
        Ok(siblings) => siblings,
        Err(e) => return vec![Finding::fault(NAME, exit_of(&e), format!("{e:#}")).mend_as_said()],
    };
    let viz_reader = siblings::viz_reader();
    let drawing = viz_reader.as_ref().ok().map(|path| ("viz-reader", path.clone()));
    let programs = [("audio-engine", siblings.engine), ("transcriber-worker", siblings.transcriber)];
    let programs = programs.into_iter().chain(drawing);
    let asked: Vec<_> = programs.map(|(name, path)| Sibling { name, said: version(&path), path }).collect();
    let mut found = findings(&asked, &case.here);
    if let Err(e) = viz_reader {
        // All but pictures works.
        found.push(Finding::warning(NAME, format!("{e:#}")).means("`tympan viz` cannot draw").mend_as_said());
    }
    found
}

fn version(path: &Path) -> Result<String, Failure> {
    let ran = run(path, &["--version"], PATIENCE).map_err(Failure::Other)?;
    if ran.status.success() {
        return Ok(ran.stdout.split_whitespace().last().unwrap_or_default().to_owned());
    }
    if ran.met_unknown_instruction() {
        return Err(Failure::Instruction);
    }
    Err(missing_library(&ran.stderr).map_or_else(|| Failure::Other(ran.last_words()), Failure::Library))
}

/// The library that the loader names.
fn missing_library(stderr: &str) -> Option<String> {
    let (_, after) = stderr.split_once("error while loading shared libraries: ")?;
    Some(after.split(':').next()?.trim().to_owned())
}

fn findings(programs: &[Sibling], here: &Surroundings) -> Vec<Finding> {
    let mut found = Vec::new();
    for program in programs {
        let path = program.path.display();
        match &program.said {
            Ok(version) if version == OWN_VERSION => {}
            Ok(version) => found.push(
                Finding::fault(NAME, Exit::Refused, format!("{path} has version {version}, this tympan {OWN_VERSION}"))
                    .means("they do not understand each other; build or install all of them together")
                    .mend("cargo build --release"),
            ),
            Err(Failure::Library(library)) => {
                let known = LIBRARIES.iter().find(|(begin, _)| library.starts_with(begin));
                let finding =
                    Finding::fault(NAME, Exit::Refused, format!("{} cannot start: {library} is missing", program.name));
                found.push(match known {
                    Some((_, package)) => finding.mend(here.install(*package)),
                    None => finding.means("a library of the system; install the package that has it"),
                });
            }
            Err(Failure::Instruction) => found.push(
                Finding::fault(NAME, Exit::CpuUnfit, format!("{path} was built for another processor"))
                    .means("building it on this machine fits it to this processor")
                    .mend("cargo build --release"),
            ),
            Err(Failure::Other(words)) => {
                found.push(
                    Finding::fault(NAME, Exit::Refused, format!("{path}: {words}")).mend("cargo build --release"),
                );
            }
        }
    }
    if found.is_empty() {
        let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
        let folder = programs.first().and_then(|program| program.path.parent()).unwrap_or(Path::new("/"));
        found.push(Finding::good(NAME, format!("{} {OWN_VERSION} in {}", names.join(", "), folder.display())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    fn found(said: Result<String, Failure>) -> Vec<Finding> {
        let program = Sibling { name: "audio-engine", path: "/opt/audio-engine".into(), said };
        findings(&[program], &Surroundings::desktop(Installer::Dnf))
    }

    #[test]
    fn only_the_own_version_fits() {
        assert_eq!(found(Ok(OWN_VERSION.into()))[0].severity, Severity::Good);
        let other = &found(Ok("0.0.9".into()))[0];
        assert_eq!((other.exit, other.severity), (Exit::Refused, Severity::Fault));
        assert!(other.what.contains("/opt/audio-engine") && other.what.contains("0.0.9"), "{other:?}");
    }

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        let said = "audio-engine: error while loading shared libraries: libasound.so.2: cannot open shared object file";
        let library = missing_library(said).unwrap();
        assert_eq!(library, "libasound.so.2");
        let finding = &found(Err(Failure::Library(library)))[0];
        assert_eq!(finding.mend.as_deref(), Some("sudo dnf install alsa-lib"));
        assert_eq!(missing_library("panicked"), None);
        assert!(found(Err(Failure::Library("libx.so".into())))[0].means.is_some());
    }

    #[test]
    fn an_unknown_instruction_has_its_own_code() {
        assert_eq!(found(Err(Failure::Instruction))[0].exit, Exit::CpuUnfit);
        assert!(found(Err(Failure::Other("oh".into())))[0].what.ends_with("oh"));
    }
}
