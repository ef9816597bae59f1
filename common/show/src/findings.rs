//! Findings, worst first, each with what to do next.

use quorate_model::{Finding, Severity};

use crate::table::indent;

/// One finding: a line that says what is the case, and one that says what to do.
#[must_use]
pub fn finding_line(finding: &Finding) -> String {
    let about = match (&finding.place, finding.subject.as_str()) {
        (Some(place), _) => format!("{place}: "),
        (None, "") => String::new(),
        (None, subject) => format!("{subject}: "),
    };
    let mut text = format!("{}{}  [{}]\n", about, finding.message, finding.code.as_str());
    if !finding.next.is_empty() {
        text.push_str(&indent(&format!("-> {}", finding.next), 4));
    }
    text
}

/// All findings of a plan or of a refused command, under one heading for each severity; empty text for none.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    grouped(findings, "Refused: nothing is changed until this is mended")
}

/// The same where nothing is about to be changed: what would hold up a plan is a problem now.
#[must_use]
pub fn problems(findings: &[Finding]) -> String {
    grouped(findings, "Problems")
}

fn grouped(findings: &[Finding], refusals: &str) -> String {
    let groups = [
        (Severity::Critical, "Critical"),
        (Severity::Refusal, refusals),
        (Severity::Warning, "Warnings"),
        (Severity::Note, "Notes"),
    ];
    let mut text = String::new();
    for (severity, heading) in groups {
        let of_this: Vec<_> = findings.iter().filter(|f| f.severity == severity).collect();
        if of_this.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(heading);
        text.push('\n');
        for finding in of_this {
            text.push_str(&indent(&finding_line(finding), 2));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Code;

    #[test]
    fn worst_first_with_what_to_do() {
        let text = findings(&[
            Finding::new(Code::OneLink, "hk1", "one link only", "add a second network"),
            Finding::new(
                Code::NodeHasGuests,
                "prox2",
                "has 2 guests (100, 101)",
                "move or remove them",
            ),
        ]);
        insta::assert_snapshot!(text, @r"
        Refused: nothing is changed until this is mended
          prox2: has 2 guests (100, 101)  [QRT-NODE-HAS-GUESTS]
              -> move or remove them

        Warnings
          hk1: one link only  [QRT-ONE-LINK]
              -> add a second network
        ");
        assert_eq!(findings(&[]), "");
    }
}
