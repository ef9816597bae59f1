//! A plan as a colleague's careful checklist.

use std::time::Duration;

use quorate_model::finding::Code;
use quorate_model::plan::{Plan, Step};
use quorate_model::time::spoken;

use crate::findings::findings;
use crate::table::count;

/// The whole plan: findings first if it is refused, the steps, what is destroyed, what remains to be said.
#[must_use]
pub fn plan(plan: &Plan) -> String {
    let mut text = String::new();
    let told = findings(&plan.findings);
    if plan.refused() {
        text.push_str(&told);
        if !plan.steps.is_empty() {
            text.push_str("\nThis is what would be done if nothing spoke against it.\n");
        }
    }
    if plan.steps.is_empty() {
        if !plan.refused() {
            let part = plan.findings.iter().any(|f| f.code == Code::PartDone);
            text.push_str(&if part {
                format!(
                    "Nothing to do of that part in cluster {}. The rest of the file is not applied.\n",
                    plan.cluster
                )
            } else {
                format!("Cluster {} is as the file wants it. Nothing to do.\n", plan.cluster)
            });
        }
    } else {
        // A plan from a file may hold any number.
        let total = plan
            .steps
            .iter()
            .fold(Duration::ZERO, |sum, s| sum.saturating_add(s.estimate));
        let heading = format!(
            "Plan for cluster {}: {}, about {}",
            plan.cluster,
            count(plan.steps.len(), "step"),
            about(total)
        );
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("{heading}\n\n"));
        for (index, one) in plan.steps.iter().enumerate() {
            text.push_str(&step(index + 1, one));
        }
        let destroyed: Vec<_> = plan
            .steps
            .iter()
            .flat_map(|s| {
                let disks = s
                    .disks
                    .iter()
                    .map(|disk| format!("everything on the disk {}", disk.disk));
                s.destroys.iter().cloned().chain(disks).map(move |what| (s, what))
            })
            .collect();
        if destroyed.is_empty() {
            text.push_str("Nothing is destroyed.\n");
        } else {
            text.push_str("DESTROYED, for good:\n");
            for (step, what) in destroyed {
                text.push_str(&format!("  {}: {what}  ({})\n", step.node, step.id));
            }
        }
    }
    if !plan.refused() && !told.is_empty() {
        text.push_str(&format!("\n{told}"));
    }
    text
}

fn step(number: usize, step: &Step) -> String {
    let mut text = format!("  {number}. {}  (about {})\n", step.title, about(step.estimate));
    for why in &step.why {
        text.push_str(&format!("       {why}\n"));
    }
    let gate: Vec<_> = step.gate.iter().map(ToString::to_string).collect();
    if !gate.is_empty() {
        text.push_str(&format!("       starts when   {}\n", gate.join("; ")));
    }
    text.push_str(&format!("       done when     {}\n", step.done_when));
    text.push_str(&format!("       undone        {}\n", step.undo));
    text.push_str(&format!("       step id       {}\n\n", step.id));
    text
}

fn about(duration: Duration) -> String {
    if duration < Duration::from_secs(10) {
        format!("{} s", duration.as_secs())
    } else {
        spoken(duration)
    }
}
