//! Whether this program can work on this machine, as a line of JSON: for `tympan doctor`.

use crate::{blas, processor};
use control_protocol::Exit;
use serde::Serialize;
use std::io::{self, Write};

/// What is said. Fields are only ever added.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether it can.
    ok: bool,
    /// Extensions of the instruction set that the program uses.
    built_for: &'a [&'static str],
    /// Those of them that this processor lacks.
    missing: &'a [&'static str],
    /// The library for matrix products, if not ggml's own code: `openblas`.
    blas: Option<&'static str>,
    blas_version: Option<&'a str>,
    /// Whose kernels that library uses.
    blas_kernels: Option<&'a str>,
    /// What to tell a person, if it cannot.
    reason: Option<&'a str>,
}

/// Says it. Calls nothing that another processor might not know, so that it can be asked anywhere.
///
/// # Errors
/// When nobody reads.
pub fn run(out: &mut impl Write) -> io::Result<Exit> {
    let (fit, blas) = (processor::fit(), blas::linked());
    let reason = fit.refusal();
    let report = Report {
        ok: reason.is_none(),
        built_for: &fit.built_for,
        missing: &fit.missing,
        blas: blas.as_ref().map(|_| "openblas"),
        blas_version: blas.as_ref().map(|blas| blas.version.as_str()),
        blas_kernels: blas.as_ref().map(|blas| blas.kernels.as_str()),
        reason: reason.as_deref(),
    };
    writeln!(out, "{}", serde_json::to_string(&report)?)?;
    Ok(if report.ok { Exit::Clean } else { Exit::CpuUnfit })
}
