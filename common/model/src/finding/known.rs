//! What was said before, by which it is seen what is new or has got worse.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Code, Finding, Severity};

/// A finding without its words, which have figures in them that change from look to look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KnownFinding {
    /// Its code.
    pub code: Code,
    /// What it was about.
    pub subject: String,
    /// How bad it was.
    pub severity: Severity,
}

impl From<&Finding> for KnownFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            code: finding.code,
            subject: finding.subject.clone(),
            severity: finding.severity,
        }
    }
}

/// What of these matters when something is compared later: notes come and go.
#[must_use]
pub fn known(findings: &[Finding]) -> BTreeSet<KnownFinding> {
    let matters = findings.iter().filter(|finding| finding.severity > Severity::Note);
    matters.map(KnownFinding::from).collect()
}

/// What is said now and was not said before, or not as badly. A backup that gets too old is left out: time alone brings that, and not what is done
/// to servers.
#[must_use]
pub fn worse<'f>(before: &BTreeSet<KnownFinding>, now: &'f [Finding]) -> Vec<&'f Finding> {
    let is_worse = |finding: &&Finding| {
        let same = |one: &&KnownFinding| one.code == finding.code && one.subject == finding.subject;
        let was = before.iter().filter(same).map(|one| one.severity).max();
        finding.severity > Severity::Note
            && finding.code != Code::GuestNoBackup
            && was.is_none_or(|was| finding.severity > was)
    };
    now.iter().filter(is_worse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_or_more_grave_is_worse_and_nothing_else_is() {
        let said = |code, subject: &str, severity| Finding {
            severity,
            ..Finding::new(code, subject, "12 s", "")
        };
        let before = known(&[
            said(Code::LinkDown, "hk1/prox1", Severity::Warning),
            said(Code::StorageFilling, "hk1/prox1/local", Severity::Critical),
            said(Code::GuestStays, "hk1/guest 100", Severity::Note),
        ]);
        assert_eq!(before.len(), 2);
        let now = [
            said(Code::LinkDown, "hk1/prox1", Severity::Critical),
            said(Code::StorageFilling, "hk1/prox1/local", Severity::Warning),
            said(Code::LinkDown, "hk1/prox2", Severity::Warning),
            said(Code::CopyNotAtOnce, "hk1/guest 100", Severity::Note),
        ];
        let told: Vec<_> = worse(&before, &now).into_iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(told, ["hk1/prox1", "hk1/prox2"]);
        assert!(worse(&before, &[]).is_empty(), "what is over is not worse");
        let aged = [said(Code::GuestNoBackup, "hk1", Severity::Warning)];
        assert!(worse(&before, &aged).is_empty(), "what time brings is not worse");
    }
}
