//! On what it was measured.

use crate::siblings::Siblings;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// How long the recogniser may take to say what it was built for.
const PATIENCE: Duration = Duration::from_secs(10);
/// What makes a difference to a recogniser.
const FEATURES: [&str; 16] = [
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512vl",
    "avx512bw",
    "avx512vbmi",
    "avx512_vnni",
    "avx512_bf16",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "sve",
];

/// Processor and libraries.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    /// The processor's name.
    pub processor: Option<String>,
    /// How many of it this program may use.
    pub processors: usize,
    /// What it can do that a recogniser might use.
    pub features: Vec<String>,
    /// What the recogniser was built for.
    pub built_for: Vec<String>,
    /// The library for products of matrices, with its version and its kernels; `None` is the recogniser's own code.
    pub blas: Option<String>,
}

impl Machine {
    /// Looks and asks.
    pub(super) fn look(siblings: &Siblings) -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let (processor, features) = of_cpuinfo(&cpuinfo);
        let check: Value =
            crate::oneshot::ask_program(&siblings.transcriber, &["--role", "check"], PATIENCE).unwrap_or_default();
        let names = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let blas = ["blas", "blas_version", "blas_kernels"].map(|field| check[field].as_str());
        Self {
            processor,
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            features,
            built_for: names(&check["built_for"]),
            blas: blas[0].map(|_| blas.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        }
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let name = self.processor.as_deref().unwrap_or("unknown processor");
        let features = self.features.join(" ");
        let blas = self.blas.as_deref().unwrap_or("no BLAS");
        format!("{name}, {} processors; {features}; {blas}", self.processors)
    }
}

fn of_cpuinfo(text: &str) -> (Option<String>, Vec<String>) {
    let field = |names: &[&str]| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            names.contains(&name.trim()).then(|| value.trim())
        })
    };
    let flags: Vec<&str> = field(&["flags", "Features"]).unwrap_or_default().split(' ').collect();
    let features = FEATURES.iter().filter(|name| flags.contains(name)).map(|&name| name.to_owned()).collect();
    (field(&["model name", "Model"]).map(str::to_owned), features)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx avx2 fma f16c sse4_2\n";
        let (name, features) = of_cpuinfo(text);
        assert_eq!((name.as_deref(), features.join(" ").as_str()), (Some("Some CPU @ 2 GHz"), "avx avx2 fma f16c"));
        assert_eq!(of_cpuinfo(""), (None, Vec::new()));
    }
}
