//! The processor this program was built for, and the one it runs on.
//!
//! Whisper's arithmetic (ggml) is compiled for the processor of the machine that builds it, unless `GGML_NATIVE=OFF`
//! says otherwise. Carried to an older processor, it would be killed at the first instruction that is unknown there.
//! So whoever is about to call ggml asks here first: what is asked was settled when ggml was compiled, and asking runs
//! none of its arithmetic (its own summary does, so that it cannot be asked).

#![expect(unsafe_code, reason = "ggml says what it was compiled for by C functions")]

use std::ffi::c_int;
use whisper_rs::whisper_rs_sys as ggml;

/// What a program wants of a processor, and what of that it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// Extensions of the instruction set that ggml was compiled to use, by Rust's names.
    pub built_for: Vec<&'static str>,
    /// Those that this processor, or its kernel, does not have.
    pub missing: Vec<&'static str>,
    /// Whether a program built with `GGML_NATIVE=OFF` would run here.
    portable_would_do: bool,
}

/// Compares. Nothing of ggml may be called before, and nothing after when something is missing.
#[must_use]
pub fn fit() -> Fit {
    let wanted = || extensions().into_iter().filter(|extension| extension.wanted);
    Fit {
        built_for: wanted().map(|extension| extension.name).collect(),
        missing: wanted().filter(|extension| !extension.here).map(|extension| extension.name).collect(),
        portable_would_do: extensions().iter().all(|extension| extension.here || !PORTABLE.contains(&extension.name)),
    }
}

impl Fit {
    /// What to tell a person, if the program must not go on.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if self.missing.is_empty() {
            return None;
        }
        let elsewhere = if self.portable_would_do { ", or anywhere with GGML_NATIVE=OFF set" } else { "" };
        Some(format!(
            "this program was built for another processor, one with {}, which this one lacks: build it on this machine \
             (`cargo build --release`){elsewhere}",
            self.missing_in_short(),
        ))
    }

    /// The many parts of AVX-512 are one thing to a person, where all of it is missing.
    fn missing_in_short(&self) -> String {
        let mut names = self.missing.clone();
        if names.contains(&"avx512f") {
            names.retain(|name| !name.starts_with("avx512"));
            names.push("AVX-512");
        }
        names.join(", ")
    }
}

/// An extension of the instruction set.
struct Extension {
    name: &'static str,
    wanted: bool,
    here: bool,
}

/// What ggml is compiled for with `GGML_NATIVE=OFF`.
#[cfg(target_arch = "x86_64")]
const PORTABLE: &[&str] = &["avx", "avx2", "bmi2", "f16c", "fma"];
#[cfg(not(target_arch = "x86_64"))]
const PORTABLE: &[&str] = &["neon"];

/// `"name" | "name"… => question of ggml`, each name asked of this processor.
macro_rules! extensions {
    ($detected:ident: $($($name:tt)|+ => $question:ident),+ $(,)?) => {
        vec![$($(Extension { name: $name, wanted: compiled_for(ggml::$question), here: std::arch::$detected!($name) }),+),+]
    };
}

// AMX is not among them: ggml asks the kernel for it at run time, and no compiler uses it unasked.
#[cfg(target_arch = "x86_64")]
fn extensions() -> Vec<Extension> {
    extensions! { is_x86_feature_detected:
        "sse3" => ggml_cpu_has_sse3,
        "ssse3" => ggml_cpu_has_ssse3,
        "avx" => ggml_cpu_has_avx,
        "avx2" => ggml_cpu_has_avx2,
        "avxvnni" => ggml_cpu_has_avx_vnni,
        "bmi2" => ggml_cpu_has_bmi2,
        "f16c" => ggml_cpu_has_f16c,
        "fma" => ggml_cpu_has_fma,
        // What every processor with AVX-512 since 2017 has; a compiler that may use one of them uses all.
        "avx512f" | "avx512bw" | "avx512cd" | "avx512dq" | "avx512vl" => ggml_cpu_has_avx512,
        "avx512vbmi" => ggml_cpu_has_avx512_vbmi,
        "avx512vnni" => ggml_cpu_has_avx512_vnni,
        "avx512bf16" => ggml_cpu_has_avx512_bf16,
    }
}

#[cfg(target_arch = "aarch64")]
fn extensions() -> Vec<Extension> {
    extensions! { is_aarch64_feature_detected:
        "neon" => ggml_cpu_has_neon,
        "dotprod" => ggml_cpu_has_dotprod,
        "fp16" => ggml_cpu_has_fp16_va,
        "i8mm" => ggml_cpu_has_matmul_int8,
        "sve" => ggml_cpu_has_sve,
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn extensions() -> Vec<Extension> {
    Vec::new()
}

fn compiled_for(question: unsafe extern "C" fn() -> c_int) -> bool {
    // SAFETY: each of these functions takes nothing, touches nothing, and returns a constant of its compilation.
    unsafe { question() != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_fits_where_it_was_built() {
        let fit = fit();
        assert_eq!((fit.missing.as_slice(), fit.refusal()), (&[][..], None), "{fit:?}");
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        assert!(!fit.built_for.is_empty(), "ggml uses what every such processor has");
    }

    #[test]
    fn a_refusal_names_what_is_missing_and_the_ways_out() {
        let refusal = |missing: &[&'static str], portable_would_do| {
            let fit = Fit { built_for: Vec::new(), missing: missing.into(), portable_would_do };
            fit.refusal().unwrap_or_default()
        };
        let older = refusal(&["avx", "fma", "avx512f", "avx512bw"], false);
        assert!(older.contains("with avx, fma, AVX-512, which this one lacks"), "{older}");
        assert!(older.contains("`cargo build --release`") && !older.contains("GGML_NATIVE"), "{older}");
        let newer = refusal(&["avx512bf16"], true);
        assert!(newer.contains("with avx512bf16, which") && newer.contains("GGML_NATIVE=OFF"), "{newer}");
    }
}
