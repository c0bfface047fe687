//! An error with an exit code of its own: what a person, or a script, reacts to in a way of its own.

use control_protocol::Exit;
use std::io::ErrorKind;
use thiserror::Error;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub(crate) struct Refusal {
    /// How the command ends.
    pub exit: Exit,
    /// What, on what, why, and what to do.
    pub text: String,
}

impl Refusal {
    /// A refusal in these words.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

/// A [`Refusal`]: `refusal!(Usage, "…{x}")`.
macro_rules! refusal {
    ($exit:ident, $($text:tt)*) => { $crate::refusal::Refusal::new(control_protocol::Exit::$exit, format!($($text)*)) };
}
pub(crate) use refusal;

/// Ends a function with a [`Refusal`]: `refuse!(Usage, "…{x}")`.
macro_rules! refuse {
    ($exit:ident, $($text:tt)*) => {
        return Err($crate::refusal::Refusal::new(control_protocol::Exit::$exit, format!($($text)*)).into())
    };
}
pub(crate) use refuse;

/// The exit code of an error: its refusal's; a full file system has one too.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return refusal.exit;
    }
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    if kinds.into_iter().any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
        return Exit::NoRoom;
    }
    Exit::Fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_code_is_found_below_what_was_added() {
        let refused: anyhow::Result<()> = Err(Refusal::new(Exit::NoModel, "no model").into());
        assert_eq!(exit_of(&refused.context("while starting").unwrap_err()), Exit::NoModel);
        let full: anyhow::Result<()> = Err(std::io::Error::from(ErrorKind::StorageFull).into());
        assert_eq!(exit_of(&full.context("cannot write").unwrap_err()), Exit::NoRoom);
        assert_eq!(exit_of(&anyhow::anyhow!("else")), Exit::Fault);
    }
}
