//! Real-time scheduling: whether it is granted. Without it everything works, with more jitter.

use super::Case;
use super::finding::Finding;
use super::surroundings::Surroundings;
use rustix::process::{Resource, getrlimit};

pub(super) const NAME: &str = "real time";
/// The highest priority that the engine asks for.
const PRIORITY: u64 = 12;
/// `CAP_SYS_NICE`.
const SYS_NICE: u32 = 23;

/// Asks the kernel.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let limit = getrlimit(Resource::Rtprio).current.unwrap_or(u64::MAX);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    vec![finding(limit, may_do_all(&status) && is_first_namespace(&users), &case.here)]
}

/// Whether the limit does not count, by the text of /proc/self/status.
fn may_do_all(status: &str) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    capabilities & (1 << SYS_NICE) != 0
}

/// Whether users are those of the machine: in a namespace of its own (a container without root) the capability is there
/// and grants nothing.
fn is_first_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn finding(limit: u64, may_do_all: bool, here: &Surroundings) -> Finding {
    if may_do_all {
        return Finding::good(NAME, "granted (CAP_SYS_NICE)");
    }
    if limit >= PRIORITY {
        return Finding::good(NAME, format!("granted up to priority {limit}"));
    }
    let finding = Finding::note(NAME, format!("not granted (priority {limit}, {PRIORITY} wanted)"))
        .means("everything works; on a loaded machine a device may have short gaps, which are counted and told");
    if here.container {
        return finding.mend("docker run --cap-add SYS_NICE IMAGE");
    }
    finding.mend(
        "echo '@audio - rtprio 20' | sudo tee /etc/security/limits.d/90-tympan.conf\nsudo usermod -aG audio \"$(id -un)\"\n# then log in again",
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::super::surroundings::Installer;
    use super::*;

    #[test]
    fn either_a_limit_or_a_capability_is_enough() {
        let mut here = Surroundings::desktop(Installer::Apt);
        assert_eq!(finding(95, false, &here).severity, Severity::Good);
        assert_eq!(finding(0, true, &here).severity, Severity::Good);
        let refused = finding(0, false, &here);
        assert!(refused.severity == Severity::Note && refused.mend.unwrap().contains("@audio - rtprio 20"));
        here.container = true;
        assert!(finding(0, false, &here).mend.unwrap().contains("SYS_NICE"));
    }

    #[test]
    fn the_capability_is_read() {
        assert!(may_do_all("Name:\tx\nCapEff:\t000001ffffffffff\n"));
        assert!(!may_do_all("CapEff:\t0000000000000000\n"));
        assert!(!may_do_all(""));
        assert!(is_first_namespace("         0          0 4294967295\n"));
        assert!(!is_first_namespace("         0       1000          1\n"));
    }
}
