//! An error with an exit code of its own: what a person, or a script, reacts to in a way of its own.

use crate::Exit;
use std::error::Error;
use std::io::{self, ErrorKind};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    /// How the program ends.
    pub exit: Exit,
    /// What, on what, why, and what to do.
    pub text: String,
}

impl Refusal {
    /// A refusal in these words.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }
}

/// A [`Refusal`]: `refusal!(Usage, "…{x}")`.
#[macro_export]
macro_rules! refusal {
    ($exit:ident, $($text:tt)*) => { $crate::refusal::Refusal::new($crate::Exit::$exit, ::std::format!($($text)*)) };
}
pub use crate::refusal;

/// Ends a function with a [`Refusal`]: `refuse!(Usage, "…{x}")`.
#[macro_export]
macro_rules! refuse {
    ($exit:ident, $($text:tt)*) => { return ::std::result::Result::Err($crate::refusal!($exit, $($text)*).into()) };
}
pub use crate::refuse;

/// The exit code of an error: that of the refusal in its chain of causes; a full file system has one too.
#[must_use]
pub fn exit_of(error: &impl AsRef<dyn Error>) -> Exit {
    let mut chain = vec![error.as_ref()];
    while let Some(cause) = chain.last().copied().and_then(Error::source) {
        chain.push(cause);
    }
    if let Some(refusal) = chain.iter().find_map(|cause| cause.downcast_ref::<Refusal>()) {
        return refusal.exit;
    }
    let mut kinds = chain.iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kinds.any(|kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) {
        return Exit::NoRoom;
    }
    Exit::Fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("while starting")]
    struct Added(#[source] Box<dyn Error>);

    fn refused() -> Result<(), Box<dyn Error>> {
        refuse!(NoModel, "no model in {}", "/models");
    }

    #[test]
    fn the_code_is_found_below_what_was_added() {
        let refusal = refused().unwrap_err();
        assert_eq!(refusal.to_string(), "no model in /models");
        assert_eq!(exit_of(&refusal), Exit::NoModel);
        let added = |error| -> Box<dyn Error> { Box::new(Added(error)) };
        assert_eq!(exit_of(&added(refusal)), Exit::NoModel);
        let of_kind = |kind| -> Box<dyn Error> { Box::new(io::Error::from(kind)) };
        assert_eq!(exit_of(&added(of_kind(ErrorKind::StorageFull))), Exit::NoRoom);
        assert_eq!(exit_of(&of_kind(ErrorKind::NotFound)), Exit::Fault);
    }
}
