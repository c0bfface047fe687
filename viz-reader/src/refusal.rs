//! An error with an exit code of its own, as the `tympan` command has them.

use control_protocol::Exit;
use std::io::ErrorKind;
use thiserror::Error;

/// Why nothing is shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Refusal {
    /// How the program ends.
    pub exit: Exit,
    /// What, on what, why, and what to do.
    pub text: String,
}

/// A [`Refusal`]: `refusal!(Usage, "…{x}")`.
macro_rules! refusal {
    ($exit:ident, $($text:tt)*) => {
        $crate::refusal::Refusal { exit: control_protocol::Exit::$exit, text: format!($($text)*) }
    };
}
pub(crate) use refusal;

/// Ends a function with a [`Refusal`]: `refuse!(Usage, "…{x}")`.
macro_rules! refuse {
    ($exit:ident, $($text:tt)*) => { return Err($crate::refusal::refusal!($exit, $($text)*).into()) };
}
pub(crate) use refuse;

/// The exit code of an error: its refusal's; a full file system has one too.
#[must_use]
pub fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return refusal.exit;
    }
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    if kinds.into_iter().any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
        return Exit::NoRoom;
    }
    Exit::Fault
}
