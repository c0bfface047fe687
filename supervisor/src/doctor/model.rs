//! The models: there, and what they should be.

use super::Case;
use super::finding::Finding;
use crate::refusal::exit_of;
use crate::settings::keys;
use crate::{models, paths};
use anyhow::Result;
use std::path::PathBuf;

pub(super) const NAME: &str = "model";

/// Looks for the recogniser's file and the voice detector's.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let Ok(folder) = paths::models(&case.settings) else {
        // Said by the folders' check.
        return Vec::new();
    };
    let wanted = case.settings.text(&keys::MODEL).unwrap_or_default();
    let recogniser = models::recogniser(&folder, &wanted);
    if let Ok(path) = &recogniser {
        let _ = case.model.set(path.clone());
    }
    findings(recogniser, models::voice_detector(&folder))
}

fn findings(recogniser: Result<PathBuf>, voice_detector: Result<PathBuf>) -> Vec<Finding> {
    let mut found = Vec::new();
    for (what, model) in [("recogniser", recogniser), ("voice detector", voice_detector)] {
        found.push(match model {
            Ok(path) => Finding::good(NAME, format!("{what} {}", path.display())),
            Err(e) => Finding::fault(NAME, exit_of(&e), format!("{e:#}")).mend_as_said(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::worst;
    use super::*;
    use crate::refusal::Refusal;
    use control_protocol::Exit;

    #[test]
    fn a_refusal_brings_its_code_and_its_command() {
        let refused = Refusal::new(Exit::NoModel, "x is not there; `tympan model fetch x` fetches it");
        let found = findings(Err(refused.into()), Ok("/vad".into()));
        assert_eq!((worst(&found), found.len()), (Exit::NoModel, 2));
        assert_eq!(found[0].mend.as_deref(), Some("tympan model fetch x"));
        assert_eq!(found[1].what, "voice detector /vad");
    }
}
