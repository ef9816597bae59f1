//! Plans as an operator would read them, and what must hold of every plan.

mod canary;
mod checked;
mod choice;
mod compared;
mod disks;
mod documented;
mod drill_ceph;
mod drill_clocks;
mod drill_fates;
mod drill_rails;
mod golden;
mod latency;
mod life;
mod moved;
mod moved_or_not;
mod outlook;
mod planted;
mod pools;
mod pools_as_they_are;
mod pools_checked;
mod pools_fit;
mod pools_later;
mod pools_of_any_disks;
mod pools_replaced;
mod properties;
mod protection;
mod protection_ha;
mod recovered;
mod releases;
mod resolved;
mod selected;
mod storages;
mod untold;
mod upgrade;

use std::fmt::Write as _;

use quorate_model::Wish;
use quorate_model::plan::Plan;
use quorate_model::spec::ClusterFile;

use crate::checker::check;
use crate::testkit::{Servers, apply};

/// The plan, which the checker must have nothing against.
fn sound(file: &ClusterFile, servers: &Servers) -> Plan {
    wished(file, &Wish::default(), servers)
}

/// The plan with consents, which the checker must have nothing against.
fn wished(file: &ClusterFile, wish: &Wish, servers: &Servers) -> Plan {
    let plan = crate::plan(file, wish, &servers.view);
    assert_eq!(
        check(file, wish, &servers.view, &plan),
        [],
        "the checker complains about {}",
        told(&plan)
    );
    plan
}

/// What is planned once everything that a plan promises has come about.
fn afterwards(file: &ClusterFile, wish: &Wish, servers: &Servers, plan: &Plan) -> Plan {
    let mut servers = servers.clone();
    for step in &plan.steps {
        apply(&mut servers.view, step);
        let verdict = step.done_when.judge(&servers.view);
        assert!(verdict.holds(), "{}: {verdict:?}", step.id);
    }
    crate::plan(file, wish, &servers.view)
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
