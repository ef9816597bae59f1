//! The pages of docs/ that are made from the model's tables.

use std::fmt::Write;

use quorate_model::failure::ExitCode;
use quorate_model::fault::{BLIP_AT_MOST, FAILOVER_AT_LEAST, FAULT_RULES};
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

/// docs/faults.md
pub(crate) fn faults() -> String {
    let mut page = format!(
        "# Faults\n\n{MADE}Failures that can be rehearsed on one server, where its own policy file says `allow_faults = true`; `max_fault` says for how long at most. \
         Before one begins, it is on the server's disk when it ends, and systemd has a timer that undoes it; packets are let fall by a table of nft \
         that the kernel itself empties when the time is over. So it ends in time without coordinator, agent and network.\n\n\
         On the server's console, `quorate-agent heal` ends what holds there now and says in which phase it was; `quorate-agent heal --look` only looks.\n\n\
         A fault that takes a server out of its cluster is a *blip* of at most {BLIP_AT_MOST} s, which is to cause nothing, or lasts for a *failover* of at least {FAILOVER_AT_LEAST} s. \
         In between is the worst of both: the server resets itself although all is well again.\n\n\
         | fault | ended by | how long | how the cluster sees it | what it may cost | how it is undone |\n|---|---|---|---|---|---|\n"
    );
    for rules in FAULT_RULES {
        let lengths = if rules.there {
            rules.lengths.text()
        } else {
            "not in this version".to_owned()
        };
        let (kind, end) = (format!("`{}`", rules.kind.as_str()), rules.end.as_str());
        row(&mut page, &[&kind, end, &lengths, rules.seen, rules.cost, rules.undo]);
    }
    page.push_str(
        "\n`network` cuts every network card of the server, also in bonds and below bridges. A card that was given to a guest is the guest's, and is not cut. \
         A failover of the whole network ends in two stages: 30 s before its time is over corosync's packets pass again. If the server was not reset meanwhile, \
         the agent then stops each machine that runs here and belongs to another server by now, and only then opens the ports for all. Containers are told and not stopped.\n",
    );
    page
}

pub(crate) fn row(page: &mut String, cells: &[&str]) {
    // Writing to a String can't fail.
    let _infallible = writeln!(page, "| {} |", cells.join(" | "));
}
