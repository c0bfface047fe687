//! What processes take: processor and memory.

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use std::collections::BTreeMap;

/// Processes by their id, with what they have taken. One that has ended keeps its share.
#[derive(Debug, Default)]
pub(super) struct Usage {
    taken: BTreeMap<u32, Taken>,
}

#[derive(Debug)]
struct Taken {
    role: String,
    processor_s: f64,
    memory_mb: f64,
}

impl Usage {
    /// Looks at one more process.
    pub(super) fn add(&mut self, pid: u32, role: &str) {
        let taken = Taken { role: role.to_owned(), processor_s: 0.0, memory_mb: 0.0 };
        self.taken.entry(pid).or_insert(taken);
    }

    /// Seconds of processor time of all processes so far.
    pub(super) fn processor_s(&mut self) -> f64 {
        for (&pid, taken) in &mut self.taken {
            taken.processor_s = processor_s(pid).unwrap_or(taken.processor_s);
        }
        self.taken.values().map(|taken| taken.processor_s).sum()
    }

    /// Looks how much memory they take now.
    pub(super) fn look_at_memory(&mut self) {
        for (&pid, taken) in &mut self.taken {
            taken.memory_mb = taken.memory_mb.max(memory_mb(pid).unwrap_or(0.0));
        }
    }

    /// The most memory that was seen, in MB by role; what processes share is divided among them.
    pub(super) fn memory_mb(&self) -> BTreeMap<String, f64> {
        let mut roles: BTreeMap<String, f64> = BTreeMap::new();
        for taken in self.taken.values() {
            *roles.entry(taken.role.clone()).or_default() += taken.memory_mb;
        }
        roles
    }
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a bench")]
fn processor_s(pid: u32) -> Option<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    let time = clock.now().ok()?;
    Some(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// Seconds of processor time of the whole machine so far, and those that its host took from it.
pub(super) fn machine_processor_s() -> Option<f64> {
    of_stat(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The first line: user, nice, system, idle, waiting, interrupts, theirs below, stolen; in hundredths of a second, whatever
/// the kernel's own clock is.
fn of_stat(text: &str) -> Option<f64> {
    let fields: Vec<f64> =
        text.lines().next()?.strip_prefix("cpu ")?.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6, 7].map(|at| fields.get(at).copied().unwrap_or(0.0));
    (fields.len() >= 4).then(|| busy.iter().sum::<f64>() / 100.0)
}

/// The proportional set: pages of a process, those that it shares divided by those who share them.
fn memory_mb(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let kilobytes: f64 =
        text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.trim().parse().ok())?;
    Some(kilobytes / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_takes_is_seen() {
        let mut usage = Usage::default();
        usage.add(std::process::id(), "test");
        let before_s = usage.processor_s();
        let sum = (0..20_000_000_u64).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n));
        assert!(usage.processor_s() > before_s, "{sum}");
        usage.look_at_memory();
        assert!(usage.memory_mb()["test"] > 1.0);
    }

    #[test]
    fn the_machine_s_work_is_read() {
        assert_eq!(of_stat("cpu  100 10 50 900 7 5 3 2 0 0\ncpu0 1 2 3\n"), Some(1.7));
        assert_eq!(of_stat("cpu0 1 2 3 4\n"), None);
        assert!(machine_processor_s().is_some_and(|s| s > 0.0));
    }

    #[test]
    fn a_process_that_is_gone_keeps_what_it_took() {
        let mut usage = Usage::default();
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        usage.add(child.id(), "gone");
        let taken_s = usage.processor_s();
        child.wait().expect("its end");
        assert!(usage.processor_s() >= taken_s);
    }
}
