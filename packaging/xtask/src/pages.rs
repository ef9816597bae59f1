//! The pages of docs/ that are made from the model's tables.

use std::fmt::Write;

use quorate_model::failure::ExitCode;
use quorate_model::finding::CATALOGUE;
use quorate_model::operation::{ACTION_RULES, OnDeadline};
use quorate_model::time::spoken;

pub(crate) const MADE: &str = "<!-- Made by `cargo xtask docs` from the code; don't edit. -->\n\n";

/// docs/findings.md
pub(crate) fn findings() -> String {
    let mut page = format!(
        "# Findings\n\n{MADE}Everything that Quorate tells carries one of these codes. `quorate explain CODE` says the same in a terminal.\n\
         A *refused* finding holds up every change; those that an operator may accept say so, and `--accept CODE` is kept with the rollout.\n\n\
         | code | usually | can be accepted | what it means |\n|---|---|---|---|\n"
    );
    for entry in CATALOGUE {
        let accept = if entry.overridable { "yes" } else { "no" };
        row(
            &mut page,
            &[
                &format!("`{}`", entry.text),
                entry.severity.as_str(),
                accept,
                entry.meaning,
            ],
        );
    }
    page
}

/// docs/exit-codes.md
pub(crate) fn exit_codes() -> String {
    let mut page = format!(
        "# Exit codes\n\n{MADE}`quorate` and `quorate-agent` end with one of these. They are part of the interface: scripts may rely on them.\n\n\
         | code | meaning |\n|---|---|\n"
    );
    for (code, meaning) in ExitCode::ALL {
        row(&mut page, &[&(code as u8).to_string(), meaning]);
    }
    page
}

/// docs/actions.md
pub(crate) fn actions() -> String {
    let mut page = format!(
        "# Actions\n\n{MADE}What an agent can change, how long each should take, and what happens when it takes longer or is cancelled meanwhile.\n\n\
         | action | deadline | then | on cancel | may be tried again | why |\n|---|---|---|---|---|---|\n"
    );
    let word = |what| match what {
        OnDeadline::Stop => "stopped",
        OnDeadline::Follow => "diagnosed and followed",
        OnDeadline::LetGo => "diagnosed and followed; let go of when long overdue",
    };
    for rules in ACTION_RULES {
        let again = if rules.repeatable { "if it left no trace" } else { "no" };
        let (kind, deadline) = (rules.kind.as_str(), spoken(rules.deadline));
        row(
            &mut page,
            &[
                kind,
                &deadline,
                word(rules.on_deadline),
                word(rules.on_cancel),
                again,
                rules.why,
            ],
        );
    }
    page
}

pub(crate) fn row(page: &mut String, cells: &[&str]) {
    // Writing to a String can't fail.
    let _infallible = writeln!(page, "| {} |", cells.join(" | "));
}
