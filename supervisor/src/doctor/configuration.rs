//! The settings: what is wrong in the file and in the variables.

use super::Case;
use super::finding::Finding;
use super::outside::quoted;
use crate::refusal::exit_of;
use crate::settings::{ConfigFile, Mistake, keys, unknown_variables};
use crate::sources;
use control_protocol::Exit;

pub(super) const NAME: &str = "settings";

/// Looks at the settings, which were gathered already.
pub(super) fn look(case: &Case) -> Vec<Finding> {
    let wanted = case.settings.list(&keys::SOURCES);
    let unusable = sources::parse(&wanted).err().map(|e| (exit_of(&e), format!("{e:#}")));
    findings(&case.mistakes, &unknown_variables(), unusable, case.file.as_ref())
}

fn findings(
    mistakes: &[Mistake],
    unknown: &[Mistake],
    unusable: Option<(Exit, String)>,
    file: Option<&ConfigFile>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for mistake in mistakes {
        let finding = Finding::fault(NAME, Exit::BadConfig, mistake.to_string());
        let of_file = file.filter(|file| mistake.place.starts_with(&*file.path.to_string_lossy()));
        found.push(match of_file {
            Some(file) if mistake.line > 0 => {
                finding.mend(format!("${{EDITOR:-vi}} +{} {}", mistake.line, quoted(&file.path)))
            }
            Some(file) if !file.path.exists() => {
                finding.mend(format!("tympan --config {} config init", quoted(&file.path)))
            }
            Some(file) => finding.mend(format!("ls -l {}", quoted(&file.path))),
            None => finding.mend(format!("unset {}", mistake.place)),
        });
    }
    for mistake in unknown {
        found.push(Finding::warning(NAME, mistake.to_string()).mend(format!("unset {}", mistake.place)));
    }
    if let Some((exit, text)) = unusable {
        let key = keys::SOURCES.name;
        found.push(
            Finding::fault(NAME, exit, format!("{key}: {text}"))
                .means("`tympan run` without a source cannot begin")
                .mend("tympan config show"),
        );
    }
    if found.is_empty() {
        let text = match file.filter(|file| file.path.exists()) {
            Some(file) => format!("{} is right", file.path.display()),
            None => "no file; the defaults hold".to_owned(),
        };
        found.push(Finding::good(NAME, text));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Severity, worst};
    use super::*;

    fn mistake(place: &str, line: usize) -> Mistake {
        Mistake { place: place.into(), line, text: "wrong".into() }
    }

    #[test]
    fn a_mistake_in_the_file_leads_to_its_line() {
        let file = ConfigFile { path: "/home/me/config.toml".into(), asked_for: false };
        let found = findings(
            &[mistake("/home/me/config.toml:3", 3), mistake("TYMPAN_RATE", 0)],
            &[mistake("TYMPAN_MODLE", 0)],
            None,
            Some(&file),
        );
        let mends: Vec<_> = found.iter().filter_map(|finding| finding.mend.as_deref()).collect();
        assert_eq!(mends, ["${EDITOR:-vi} +3 /home/me/config.toml", "unset TYMPAN_RATE", "unset TYMPAN_MODLE"]);
        assert_eq!(worst(&found), Exit::BadConfig);
        assert_eq!(found[2].severity, Severity::Warning);
    }

    #[test]
    fn sources_that_are_none_keep_their_code() {
        let found = findings(&[], &[], Some((Exit::NoInput, "no file".into())), None);
        assert_eq!((worst(&found), found.len()), (Exit::NoInput, 1));
        assert_eq!(findings(&[], &[], None, None)[0].severity, Severity::Good);
    }
}
