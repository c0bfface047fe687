//! Pictures in a terminal.

use crate::cli::Arguments;
use crate::refusal::refuse;
use anyhow::Result;
use control_protocol::Exit;

/// Shows what the command line names.
///
/// # Errors
/// When it cannot be shown.
pub fn run(_arguments: &Arguments) -> Result<Exit> {
    refuse!(Refused, "this version does not draw there yet");
}
