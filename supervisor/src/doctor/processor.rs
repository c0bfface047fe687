//! The processor and its memory: whether the recogniser was built for it, and whether the workers fit.

use super::Case;
use super::finding::Finding;
use super::outside::{count, megabytes, run};
use super::surroundings::{Package, Surroundings};
use crate::settings::keys;
use crate::siblings::Siblings;
use control_protocol::Exit;
use serde::Deserialize;
use std::time::Duration;

pub(super) const NAME: &str = "processor";
const PATIENCE: Duration = Duration::from_secs(10);
const OPENBLAS: Package = Package("libopenblas-dev", "openblas-devel", "openblas", "openblas-devel");

/// What `transcriber-worker --role check` says.
#[derive(Debug, Clone, Default, Deserialize)]
struct Check {
    ok: bool,
    #[serde(default)]
    built_for: Vec<String>,
    #[serde(default)]
    missing: Vec<String>,
    blas: Option<String>,
    reason: Option<String>,
}

/// Why there is no such answer.
enum Silence {
    /// An instruction that is unknown here, before anything could be said.
    Instruction,
    /// In other words.
    Other(String),
}

/// The machine, and what is wanted of it.
struct Machine {
    cores: u32,
    workers: u32,
    threads: u32,
    /// Of the memory, what can still be had.
    free_bytes: Option<u64>,
    /// Of each model.
    models_bytes: Vec<u64>,
}

/// Asks the worker and counts.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Ok(siblings) = Siblings::find() {
        let check =
            run(&siblings.transcriber, &["--role", "check"], PATIENCE).map_err(Silence::Other).and_then(|ran| {
                if ran.met_unknown_instruction() {
                    return Err(Silence::Instruction);
                }
                serde_json::from_str(&ran.stdout).map_err(|_| Silence::Other(ran.last_words()))
            });
        found.extend(of_build(check, &case.here));
    }
    let machine = Machine {
        cores: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        workers: case.settings.count(&keys::WORKERS),
        threads: case.settings.count(&keys::THREADS),
        free_bytes: free_bytes(),
        models_bytes: case
            .models
            .get()
            .into_iter()
            .flatten()
            .filter_map(|path| Some(path.metadata().ok()?.len()))
            .collect(),
    };
    found.extend(of_machine(&machine));
    found
}

/// Memory that can be had: what the kernel says, or what the container's limit leaves.
fn free_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let left = limit.map(|limit| limit.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let available = available(&meminfo);
    available.into_iter().chain(left).min()
}

/// `MemAvailable:   23552000 kB`
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb << 10)
}

fn of_build(check: Result<Check, Silence>, here: &Surroundings) -> Vec<Finding> {
    let unfit = |text: String| {
        Finding::fault(NAME, Exit::CpuUnfit, text)
            .means("building it on this machine fits it to this processor")
            .mend("cargo build --release")
    };
    let check = match check {
        Ok(check) => check,
        Err(Silence::Instruction) => return vec![unfit("the recogniser was built for another processor".to_owned())],
        Err(Silence::Other(text)) => {
            return vec![
                Finding::warning(NAME, format!("the recogniser does not say what it was built for: {text}"))
                    .means("a transcriber-worker of another version, or a damaged one")
                    .mend("cargo build --release"),
            ];
        }
    };
    if !check.ok {
        let missing = check.missing.join(", ");
        let text =
            check.reason.unwrap_or_else(|| format!("the recogniser needs {missing}, which this processor lacks"));
        return vec![unfit(text)];
    }
    if check.blas.is_none() {
        return vec![
            Finding::note(NAME, "the recogniser is built without OpenBLAS")
                .means("it works, and takes about one and a half times as long")
                .mend(format!("{}\nscripts/run", here.install(OPENBLAS))),
        ];
    }
    let with: Vec<String> = check.built_for.into_iter().chain(check.blas).collect();
    vec![Finding::good(NAME, format!("the recogniser fits ({})", with.join(", ")))]
}

fn of_machine(machine: &Machine) -> Vec<Finding> {
    let &Machine { cores, workers, threads, .. } = machine;
    let mut found = Vec::new();
    let wanted = workers.saturating_mul(threads);
    if wanted > cores {
        let fitting = (cores / threads.min(cores)).max(1);
        found.push(
            Finding::warning(NAME, format!("{} on {}", load(machine), count(cores, "core")))
                .means("they take time from each other, and words come later")
                .mend(format!("tympan run --workers {fitting} --threads {}", threads.min(cores))),
        );
    }
    if let Some(free_bytes) = machine.free_bytes {
        let a_worker: u64 = machine.models_bytes.iter().map(|&bytes| worker_bytes(bytes)).sum();
        let needed_bytes = a_worker.saturating_mul(workers.into());
        if needed_bytes > free_bytes {
            let (needed, free) = (megabytes(needed_bytes), megabytes(free_bytes));
            found.push(
                Finding::warning(
                    NAME,
                    format!("{} need about {needed} of memory, {free} are free", count(workers, "worker")),
                )
                .means("the kernel may kill one; fewer workers or a smaller model need less")
                .mend("tympan run --workers 1"),
            );
        }
    }
    if found.is_empty() {
        found.push(Finding::good(NAME, format!("{} for {}", count(cores, "core"), load(machine))));
    }
    found
}

/// How much is wanted at once.
fn load(machine: &Machine) -> String {
    let workers = count(machine.workers, "worker");
    if machine.threads == 1 { workers } else { format!("{workers} of {} threads", machine.threads) }
}

/// A worker's memory for one model, by the model's: measured, 217 MB for 78 MB and 333 MB for 148 MB.
const fn worker_bytes(model_bytes: u64) -> u64 {
    model_bytes + model_bytes / 2 + (100 << 20)
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Severity, worst};
    use super::super::surroundings::Installer;
    use super::*;

    fn of(json: &str) -> Finding {
        let here = Surroundings::desktop(Installer::Dnf);
        of_build(serde_json::from_str(json).map_err(|e| Silence::Other(e.to_string())), &here).remove(0)
    }

    #[test]
    fn what_it_was_built_for_decides() {
        let good = of(r#"{"ok":true,"built_for":["avx2","fma"],"missing":[],"blas":"openblas","reason":null}"#);
        assert!(good.severity == Severity::Good && good.what.contains("avx2, fma, openblas"), "{good:?}");
        let slow = of(r#"{"ok":true,"built_for":[],"missing":[],"blas":null,"reason":null}"#);
        assert_eq!(slow.severity, Severity::Note);
        assert!(slow.mend.unwrap().starts_with("sudo dnf install openblas-devel"));
        let unfit = of(r#"{"ok":false,"built_for":["avx512f"],"missing":["avx512f"],"blas":null,"reason":null}"#);
        assert!(unfit.exit == Exit::CpuUnfit && unfit.what.contains("avx512f"), "{unfit:?}");
        assert_eq!(of("no").severity, Severity::Warning);
        let here = Surroundings::desktop(Installer::Apt);
        assert_eq!(worst(&of_build(Err(Silence::Instruction), &here)), Exit::CpuUnfit);
    }

    #[test]
    fn workers_need_cores_and_memory() {
        let machine =
            Machine { cores: 2, workers: 2, threads: 1, free_bytes: Some(1 << 30), models_bytes: vec![78 << 20] };
        assert_eq!(of_machine(&machine)[0].severity, Severity::Good);
        let found =
            of_machine(&Machine { models_bytes: vec![78 << 20, 148 << 20], free_bytes: Some(1 << 30), ..machine });
        assert!(found[0].what.contains("2 workers need about 1078 MB"), "{found:?}");
        let machine = Machine { models_bytes: vec![78 << 20], ..machine };
        let found = of_machine(&Machine { workers: 4, free_bytes: Some(256 << 20), ..machine });
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].mend.as_deref(), Some("tympan run --workers 2 --threads 1"));
        assert!(found[1].what.contains("256 MB are free"), "{found:?}");
    }

    #[test]
    fn a_workers_memory_is_near_what_was_measured() {
        for (model_mb, worker_mb) in [(78, 217), (148, 333)] {
            let told = worker_bytes(model_mb << 20) >> 20;
            assert!(told.abs_diff(worker_mb) < 30, "{told} of {worker_mb}");
        }
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   1024 kB\n"), Some(1 << 20));
    }
}
