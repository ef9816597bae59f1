//! A drill before it is made: what speaks against it, what becomes of every guest, and what is to be expected.

use quorate_model::drill::fate::{GuestFate, GuestFateKind};
use quorate_model::drill::predict::Prediction;
use quorate_model::finding::Finding;
use quorate_model::held::GuestVolume;
use quorate_model::plan::Step;
use quorate_model::time::spoken;

use super::line::wrapped;
use crate::findings;
use crate::table::{or_dash, table};

/// What is shown.
#[derive(Debug, Clone, Copy)]
pub struct DrillPreview<'a> {
    /// What would be done: `network on hk1/prox1 for 5m, failover, watching guest 100`.
    pub what: &'a str,
    /// What there is to say.
    pub findings: &'a [Finding],
    /// What becomes of every guest on the victim.
    pub fates: &'a [GuestFate],
    /// What is moved off first.
    pub before: &'a [Step],
    /// What is moved back afterwards.
    pub after: &'a [Step],
    /// The canary of ours whose copy on the victim is overwritten afterwards.
    pub discards: Option<u32>,
    /// What the victim keeps of that canary's disc for cloud-init and is freed afterwards.
    pub leaves: Option<&'a GuestVolume>,
    /// What is to be expected.
    pub predicted: &'a Prediction,
}

/// All of it.
#[must_use]
pub fn drill_preview(preview: &DrillPreview<'_>) -> String {
    let mut text = wrapped(preview.what, "");
    text.push('\n');
    if preview.fates.is_empty() {
        text.push_str("What becomes of the guests is not known, or there are none.\n");
    } else {
        let rows: Vec<Vec<String>> = preview
            .fates
            .iter()
            .map(|fate| {
                let canary = if fate.canary { "canary" } else { "-" };
                vec![
                    fate.guest.to_string(),
                    or_dash(fate.name.as_deref()),
                    canary.to_owned(),
                    short(&fate.fate).to_owned(),
                ]
            })
            .collect();
        text.push_str(&table(&["GUEST", "NAME", "", "WHAT BECOMES OF IT"], &rows));
        for fate in preview.fates {
            text.push_str(&wrapped(&format!("{}: {}", fate.guest, long(&fate.fate)), "  "));
        }
    }
    for (title, steps, clears) in [
        ("First", preview.before, vec![]),
        ("Afterwards", preview.after, cleared_up(preview)),
    ] {
        if !steps.is_empty() || !clears.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
        }
        for about in &clears {
            text.push_str(&wrapped(about, "  "));
        }
        for step in steps {
            let about = format!("{} (about {})", step.title, spoken(step.estimate));
            text.push_str(&wrapped(&about, "  "));
        }
    }
    text.push_str("\nExpected, from the fault on:\n\n");
    let rows: Vec<Vec<String>> = preview
        .predicted
        .phases
        .iter()
        .map(|expected| {
            let guess = if expected.guessed { "a guess" } else { "-" };
            vec![
                expected.phase.as_str().to_owned(),
                expected.at.between(),
                guess.to_owned(),
            ]
        })
        .collect();
    text.push_str(&table(&["PHASE", "AFTER", ""], &rows));
    for expected in &preview.predicted.phases {
        text.push_str(&wrapped(
            &format!("{}: {}", expected.phase.as_str(), expected.why),
            "  ",
        ));
    }
    text.push_str("\nWhat customers will notice:\n");
    text.push_str(&wrapped(&preview.predicted.notice, "  "));
    for note in &preview.predicted.notes {
        text.push_str(&wrapped(note, "  note: "));
    }
    if !preview.findings.is_empty() {
        text.push('\n');
        text.push_str(&findings(preview.findings));
    }
    text
}

/// What the drill clears up after its own canary.
fn cleared_up(preview: &DrillPreview<'_>) -> Vec<String> {
    let discards = preview.discards.map(|guest| {
        format!(
            "what the server wrote to our canary {guest} and never copied is overwritten, and the copying to it goes on (as quorate replication resolve {guest} --discard does it)"
        )
    });
    let leaves = preview.leaves.map(|volume| {
        format!(
            "{volume} is freed on the server, a disc that PVE had made for cloud-init and makes anew wherever our canary starts (as quorate guest clear-canary {} does it)",
            volume.guest()
        )
    });
    discards.into_iter().chain(leaves).collect()
}

fn short(fate: &GuestFateKind) -> &'static str {
    match fate {
        GuestFateKind::MovedOff { .. } => "moved off first, and back",
        GuestFateKind::Restarted { .. } => "FAILS, and is started again",
        GuestFateKind::StaysDown { .. } => "FAILS, AND STAYS DOWN",
        GuestFateKind::GoesOn { .. } => "goes on",
        GuestFateKind::Off { .. } => "is off, as now",
        GuestFateKind::Unknown { .. } => "?",
    }
}

fn long(fate: &GuestFateKind) -> String {
    match fate {
        GuestFateKind::MovedOff { to, seconds } => {
            let each = spoken(std::time::Duration::from_secs(*seconds));
            format!("to {to} meanwhile, about {each} each way")
        }
        GuestFateKind::Restarted {
            on,
            copy_age,
            loses_up_to,
            shared,
        } => {
            let nodes: Vec<String> = on.iter().map(ToString::to_string).collect();
            let age = copy_age
                .map(|age| format!("; the copy is {} old now", spoken(age)))
                .unwrap_or_default();
            let loses = match (loses_up_to, shared) {
                (Some(most), _) => format!("loses up to {} of writes{age}", spoken(*most)),
                (None, true) => "loses what it had not written".to_owned(),
                (None, false) => "how much it loses is not known".to_owned(),
            };
            format!("on {}; {loses}", nodes.join(" or "))
        }
        GuestFateKind::StaysDown { why } | GuestFateKind::Off { why } => why.clone(),
        GuestFateKind::GoesOn { what } => what.clone(),
        GuestFateKind::Unknown { reason } => reason.clone(),
    }
}
