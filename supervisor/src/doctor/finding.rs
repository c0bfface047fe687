//! What a check found: how bad, what it means, and the command that mends it.

use control_protocol::Exit;
use serde::{Serialize, Serializer};

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Good,
    /// Works; worth knowing.
    Note,
    /// Works in part, or soon no more.
    Warning,
    /// Does not work.
    Fault,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which check.
    pub check: &'static str,
    /// How bad.
    pub severity: Severity,
    /// How a command ends that meets it.
    #[serde(serialize_with = "code_of")]
    pub exit: Exit,
    /// What there is.
    pub what: String,
    /// What follows from it.
    pub means: Option<String>,
    /// Commands to paste, one a line.
    pub mend: Option<String>,
}

fn code_of<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl Finding {
    fn new(check: &'static str, severity: Severity, exit: Exit, what: impl Into<String>) -> Self {
        Self { check, severity, exit, what: what.into(), means: None, mend: None }
    }

    /// All is well.
    pub(super) fn good(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Good, Exit::Clean, what)
    }

    /// Worth knowing.
    pub(super) fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Note, Exit::Clean, what)
    }

    /// Not as it should be.
    pub(super) fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Warning, Exit::Incomplete, what)
    }

    /// Something cannot work.
    pub(super) fn fault(check: &'static str, exit: Exit, what: impl Into<String>) -> Self {
        Self::new(check, Severity::Fault, exit, what)
    }

    /// What follows from it.
    pub(super) fn means(mut self, text: impl Into<String>) -> Self {
        self.means = Some(text.into());
        self
    }

    /// What to type.
    pub(super) fn mend(mut self, commands: impl Into<String>) -> Self {
        self.mend = Some(commands.into());
        self
    }

    /// What to type, where a text in backticks says it, as messages of other commands do. A last clause that says
    /// nothing else goes.
    pub(super) fn mend_as_said(mut self) -> Self {
        self.mend = self.what.split('`').nth(1).map(str::to_owned);
        if let Some((before, clause)) = self.what.split_once("; `")
            && clause.matches('`').count() == 1
            && !clause.contains("; ")
        {
            self.what = before.to_owned();
        }
        self
    }
}

/// How `tympan doctor` ends: by the first of the worst.
pub(super) fn worst(findings: &[Finding]) -> Exit {
    let severity = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Good);
    findings.iter().find(|finding| finding.severity == severity).map_or(Exit::Clean, |finding| finding.exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_worst_counts() {
        let mut found = vec![Finding::good("a", ""), Finding::note("b", "")];
        assert_eq!(worst(&found), Exit::Clean);
        found.push(Finding::warning("c", ""));
        assert_eq!(worst(&found), Exit::Incomplete);
        found.push(Finding::fault("d", Exit::NoModel, ""));
        found.push(Finding::fault("e", Exit::NoDevice, ""));
        assert_eq!(worst(&found), Exit::NoModel);
        assert_eq!(worst(&[]), Exit::Clean);
    }

    #[test]
    fn a_program_reads_words_and_a_number() {
        let finding = Finding::fault("model", Exit::NoModel, "gone; `tympan model fetch x` fetches it").mend_as_said();
        let json = serde_json::to_value(finding).unwrap();
        assert_eq!(json["severity"], "fault");
        assert_eq!(json["exit"], 7);
        assert_eq!((json["mend"].as_str(), json["what"].as_str()), (Some("tympan model fetch x"), Some("gone")));
        let more = "no; `a` does it; B names another folder";
        let finding = Finding::fault("programs", Exit::Refused, more).mend_as_said();
        assert_eq!((finding.mend.as_deref(), finding.what.as_str()), (Some("a"), more));
        assert!(json["means"].is_null());
    }
}
