//! OpenBLAS, where the program was built with it (feature `openblas`).
//!
//! It makes its threads, and chooses its kernels, while it is loaded: before `main`. By itself it makes a thread for
//! every core, in every process, which ggml never uses beyond those it is told to; and it takes a processor younger than
//! itself for an old one. Both can be told to it by variables only, so the program starts itself again with them.

#[cfg(feature = "openblas")]
pub use linked::prepare;

/// What OpenBLAS says of itself.
#[derive(Debug)]
pub struct Blas {
    /// Its version, `0.3.21`.
    pub version: String,
    /// Whose kernels it uses, `Haswell`.
    pub kernels: String,
}

/// OpenBLAS as it is now, if the program was built with it.
#[must_use]
pub fn linked() -> Option<Blas> {
    #[cfg(feature = "openblas")]
    return Some(linked::describe());
    #[cfg(not(feature = "openblas"))]
    None
}

/// Nothing to prepare.
#[cfg(not(feature = "openblas"))]
pub fn prepare() {}

#[cfg(feature = "openblas")]
mod linked {
    #![expect(unsafe_code, reason = "OpenBLAS says what it is by C functions")]

    use super::Blas;
    use std::ffi::{CStr, c_char};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    unsafe extern "C" {
        fn openblas_get_config() -> *const c_char;
        fn openblas_get_corename() -> *const c_char;
    }

    /// Starts the program again where a variable is missing, as the same process. Goes on as it is where that fails. What
    /// the user has set stays.
    pub fn prepare() {
        let mut wanted = vec![("OPENBLAS_NUM_THREADS", "1")];
        if let Some(kernels) = better_than(&describe().kernels) {
            wanted.push(("OPENBLAS_CORETYPE", kernels));
        }
        wanted.retain(|(name, _)| std::env::var_os(name).is_none());
        let Ok(program) = std::env::current_exe() else { return };
        if wanted.is_empty() {
            return;
        }
        let mut arguments = std::env::args_os();
        let mut command = Command::new(program);
        command.envs(wanted);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        let failed = command.args(arguments).exec();
        log::warn!("OpenBLAS keeps its own number of threads: the program could not be started again: {failed}");
    }

    /// The kernels that use all of this processor, where OpenBLAS has chosen others: it takes an old processor's for one
    /// that is younger than itself.
    #[cfg(target_arch = "x86_64")]
    fn better_than(kernels: &str) -> Option<&'static str> {
        use std::arch::is_x86_feature_detected as has;
        const AVX512: [&str; 2] = ["SkylakeX", "Cooperlake"];
        const AVX2: [&str; 3] = ["Haswell", "Zen", "Excavator"];
        let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
        if avx512 {
            (!AVX512.contains(&kernels)).then_some(AVX512[0])
        } else if has!("avx2") && has!("fma") {
            (!AVX2.contains(&kernels)).then_some(AVX2[0])
        } else {
            None
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn better_than(_: &str) -> Option<&'static str> {
        None
    }

    pub(super) fn describe() -> Blas {
        // SAFETY: both functions take nothing and return a text that stays where it is.
        let (config, kernels) = unsafe { (openblas_get_config(), openblas_get_corename()) };
        let (config, kernels) = (text(config), text(kernels));
        // `OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …`
        let version = config.split(' ').nth(1).unwrap_or("unknown").to_owned();
        Blas { version, kernels }
    }

    fn text(of: *const c_char) -> String {
        if of.is_null() {
            return String::new();
        }
        // SAFETY: not null, and a C text of OpenBLAS, which lives as long as the process.
        unsafe { CStr::from_ptr(of) }.to_string_lossy().into_owned()
    }
}
