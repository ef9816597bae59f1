//! Plans as an operator would read them, and what must hold of every plan.

mod checked;
mod compared;
mod golden;
mod properties;

use std::fmt::Write as _;

use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;

use crate::checker::check;
use crate::testkit::Servers;

/// The plan, which the checker must have nothing against.
fn sound(file: &ClusterFile, servers: &Servers) -> Plan {
    let plan = crate::plan(file, &servers.view);
    assert_eq!(
        check(file, &servers.view, &plan),
        [],
        "the checker complains about {plan:#?}"
    );
    plan
}

/// Steps and findings, a paragraph each.
fn told(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        let needs: Vec<_> = step.needs.iter().map(ToString::to_string).collect();
        writeln!(
            text,
            "{} on {} after [{}]: {}",
            step.id,
            step.node,
            needs.join(", "),
            step.title
        )
        .unwrap();
        for gate in &step.gate {
            writeln!(text, "    gate: {gate}").unwrap();
        }
        writeln!(text, "    done: {}", step.done_when).unwrap();
    }
    if plan.steps.is_empty() {
        text.push_str("no steps\n");
    }
    text.push_str(&findings(plan));
    text
}

fn findings(plan: &Plan) -> String {
    let mut text = String::new();
    for finding in &plan.findings {
        writeln!(
            text,
            "{}: {finding}\n    -> {}",
            finding.severity.as_str(),
            finding.next
        )
        .unwrap();
    }
    text
}
