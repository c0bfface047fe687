//! The models: there, and what they should be.

use super::Case;
use super::finding::Finding;
use crate::refusal::exit_of;
use crate::{models, paths};
use anyhow::Result;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "model";

/// Looks for the recogniser's file and the voice detector's.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let Ok(folder) = paths::models(&case.settings) else {
        // Said by the folders' check.
        return Vec::new();
    };
    let mut looked = Vec::new();
    // What cannot be read was said by the settings' check.
    if let Ok(each) = models::read(&case.settings) {
        looked.push((None, models::recogniser(&folder, models::common(&each))));
        let own = each.own.into_iter();
        looked.extend(own.map(|(stream, wanted)| (Some(stream), models::recogniser(&folder, &wanted))));
    }
    let files: Vec<_> = looked.iter().filter_map(|(_, file)| file.as_ref().ok().map(PathBuf::as_path)).collect();
    let _ = case.models.set(models::each_once(&files).into_iter().map(Path::to_owned).collect());
    findings(looked, models::voice_detector(&folder))
}

/// What was found of the recogniser of all streams, of those of single ones, and of the voice detector.
fn findings(recognisers: Vec<(Option<String>, Result<PathBuf>)>, voice_detector: Result<PathBuf>) -> Vec<Finding> {
    let of = |what: String, prefix: String, model: Result<PathBuf>| match model {
        Ok(path) => Finding::good(NAME, format!("{what} {}", path.display())),
        Err(e) => Finding::fault(NAME, exit_of(&e), format!("{prefix}{e:#}")).mend_as_said(),
    };
    let mut found: Vec<_> = recognisers
        .into_iter()
        .map(|(stream, model)| match stream {
            None => of("recogniser".into(), String::new(), model),
            Some(stream) => of(format!("recogniser of {stream}"), format!("{stream}: "), model),
        })
        .collect();
    found.push(of("voice detector".into(), String::new(), voice_detector));
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
        let of_call = Refusal::new(Exit::BadModel, "y is damaged; `tympan model fetch --force y` mends it");
        let found = findings(
            vec![
                (None, Err(refused.into())),
                (Some("mic".into()), Ok("/base".into())),
                (Some("call".into()), Err(of_call.into())),
            ],
            Ok("/vad".into()),
        );
        assert_eq!((worst(&found), found.len()), (Exit::NoModel, 4));
        assert_eq!(found[0].mend.as_deref(), Some("tympan model fetch x"));
        assert_eq!(found[1].what, "recogniser of mic /base");
        assert_eq!((found[2].what.as_str(), found[2].exit), ("call: y is damaged", Exit::BadModel));
        assert_eq!(found[3].what, "voice detector /vad");
    }
}
