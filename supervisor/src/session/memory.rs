//! How much memory the workers take, and what comes of too much.

use super::{Part, Session};

impl Session<'_> {
    /// Ends the workers that take more than they may; their deaths do the rest.
    pub(super) fn look_at_memory(&mut self) {
        let allowed = self.plan.worker_memory_bytes;
        let taken = |part: &Part| {
            let child = self.places.get(part)?.child.as_ref().filter(|_| matches!(part, Part::Worker(_)))?;
            own_memory_bytes(child.pid).filter(|&bytes| bytes > allowed)
        };
        let greedy: Vec<_> = self.places.keys().filter_map(|part| Some((*part, taken(part)?))).collect();
        for (part, bytes) in greedy {
            let (taken, allowed) = (bytes / 1_000_000, allowed / 1_000_000);
            self.cut_off(part, &format!("it takes {taken} MB of memory, and --memory allows {allowed}"));
        }
    }
}

/// Memory that only this process has: what is resident and not shared (`statm` of proc(5), which is sooner read than
/// `status`).
fn own_memory_bytes(pid: u32) -> Option<u64> {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = pages.split_ascii_whitespace().skip(1).map(|count| count.parse::<u64>().ok());
    let (resident, shared) = (pages.next()??, pages.next()??);
    resident.saturating_sub(shared).checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::own_memory_bytes;

    #[test]
    fn what_a_process_fills_is_its_own() {
        let before = own_memory_bytes(std::process::id()).expect("this process");
        let filled = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = own_memory_bytes(std::process::id()).expect("this process");
        assert!(after >= before + (60 << 20), "{before} {after}");
        drop(filled);
        assert_eq!(own_memory_bytes(u32::MAX), None);
    }
}
