//! Another instance of this user, in either of the usual places.

use super::Case;
use super::finding::Finding;
use super::outside::quoted;
use crate::paths;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "instance";

/// What is known of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    /// Its runtime folder.
    pub runtime: PathBuf,
    /// Its process, as its lock says.
    pub pid: Option<u32>,
    /// Whether its control socket takes connections.
    pub answers: bool,
}

/// Looks into the places, and remembers who is there.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let found: Vec<Instance> = paths::runtime_places(&case.settings).iter().filter_map(|dir| in_place(dir)).collect();
    let findings = findings(&found);
    let _ = case.instances.set(found);
    findings
}

/// The instance of a runtime folder. The lock itself is not touched: for that moment nobody could begin.
fn in_place(runtime: &Path) -> Option<Instance> {
    let answers = paths::lives(runtime);
    let pid = std::fs::read_to_string(runtime.join("instance.lock")).ok().and_then(|text| text.trim().parse().ok());
    let pid = pid.filter(|pid| is_tympan(*pid));
    (answers || pid.is_some()).then(|| Instance { runtime: runtime.to_owned(), pid, answers })
}

fn is_tympan(pid: u32) -> bool {
    let lives = shm_layout::start_time_of(pid).is_some();
    lives && std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "tympan")
}

fn findings(instances: &[Instance]) -> Vec<Finding> {
    if instances.is_empty() {
        return vec![Finding::good(NAME, "no other runs")];
    }
    instances.iter().map(finding).collect()
}

fn finding(instance: &Instance) -> Finding {
    let place = instance.runtime.display();
    let who = instance.pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
    if !instance.answers {
        let pid = instance.pid.unwrap_or_default();
        return Finding::warning(NAME, format!("a tympan{who} has {place} and does not answer"))
            .means("it is beginning or ending, or it hangs; until it ends no other can begin there")
            .mend(format!("kill {pid}"));
    }
    Finding::note(NAME, format!("a tympan{who} runs in {place}"))
        .means("another one beside it needs a runtime folder of its own")
        .mend(format!("tympan status\nTYMPAN_RUNTIME_DIR={} tympan run", quoted(format!("{place}-2"))))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    #[test]
    fn who_runs_is_named_with_the_place() {
        let instance = Instance { runtime: "/run/x".into(), pid: Some(7), answers: true };
        let found = &findings(std::slice::from_ref(&instance))[0];
        assert_eq!(found.severity, Severity::Note);
        assert!(found.what.contains("pid 7") && found.what.contains("/run/x"), "{found:?}");
        let stuck = &findings(&[Instance { answers: false, ..instance }])[0];
        assert_eq!((stuck.severity, stuck.mend.as_deref()), (Severity::Warning, Some("kill 7")));
        assert_eq!(findings(&[])[0].severity, Severity::Good);
    }

    #[test]
    fn a_lock_of_a_process_that_is_no_tympan_means_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(in_place(folder.path()), None);
        std::fs::write(folder.path().join("instance.lock"), format!("{}\n", std::process::id())).unwrap();
        assert_eq!(in_place(folder.path()), None);
    }
}
