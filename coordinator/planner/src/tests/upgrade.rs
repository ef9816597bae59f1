//! Agents that are upgraded: one after another, never backwards, and nothing else with it.

use std::collections::BTreeSet;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::plan::Plan;
use quorate_model::wish::AgentUpgrade;
use quorate_model::{Code, Wish};

use crate::checker::check;
use crate::testkit::{self, Servers, apply, name};

fn upgrade(nodes: &[&str]) -> Wish {
    Wish {
        upgrade: Some(AgentUpgrade {
            version: "0.2.0".parse().unwrap(),
            package: "ab".repeat(32).parse().unwrap(),
            size: 7,
            nodes: nodes.iter().map(|node| name(node)).collect::<BTreeSet<_>>(),
        }),
        ..Wish::default()
    }
}

fn servers(version: &str) -> Servers {
    Servers::bare(3)
        .members("hk1", &["prox1", "prox2", "prox3"], &["10.10.10.0/24"])
        .with_each(|seen| testkit::known(&mut seen.system).agent.version = version.to_owned())
}

fn plan(wish: &Wish, servers: &Servers) -> Plan {
    let file = testkit::file(3, &["10.10.10.0/24"]);
    let plan = crate::plan(&file, wish, &servers.view);
    let complaints = check(&file, wish, &servers.view, &plan);
    assert!(complaints.is_empty(), "{complaints:?}");
    plan
}

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn codes(plan: &Plan) -> Vec<Code> {
    let refusing = plan.findings.iter().filter(|finding| finding.refuses());
    refusing.map(|finding| finding.code).collect()
}

#[test]
fn one_after_another_and_the_coordinators_own_server_last() {
    let mut servers = servers("0.1.0");
    servers.view.coordinator_on = Some(name("prox1"));
    let plan = plan(&upgrade(&[]), &servers);
    let all = ["agent.upgrade/prox2", "agent.upgrade/prox3", "agent.upgrade/prox1"];
    assert_eq!((ids(&plan), codes(&plan)), (all.to_vec(), vec![]));
    for pair in plan.steps.windows(2) {
        assert_eq!(pair[1].needs, [pair[0].id.clone()]);
    }
    for step in &plan.steps {
        apply(&mut servers.view, step);
    }
    assert!(
        super::upgrade::plan(&upgrade(&[]), &servers).is_empty(),
        "all of it is done"
    );
}

#[test]
fn who_is_named_alone_and_who_has_it_not_again() {
    let servers = servers("0.1.0").with_system("prox2", |system| system.agent.version = "0.2.0".to_owned());
    let plan = plan(&upgrade(&["prox2", "prox3"]), &servers);
    assert_eq!(ids(&plan), ["agent.upgrade/prox3"]);
}

#[test]
fn never_backwards_and_never_blindly() {
    let newer = plan(&upgrade(&[]), &servers("0.2.1"));
    assert_eq!((codes(&newer), newer.steps.len()), (vec![Code::DowngradeRefused; 3], 0));
    assert!(newer.findings.iter().any(|finding| finding.message.contains("0.2.1")));
    assert_eq!(
        codes(&plan(&upgrade(&["prox1"]), &servers("?"))),
        [Code::AgentVersionUnknown]
    );
    let away = servers("0.1.0").unreachable("prox3");
    assert!(plan(&upgrade(&[]), &away).refused());
    assert_eq!(
        codes(&plan(&upgrade(&["prox9"]), &servers("0.1.0"))),
        [Code::NodeNotEnrolled]
    );
}

#[test]
fn no_version_is_left_out() {
    let far = plan(&upgrade(&["prox1"]), &servers("0.1.9"));
    assert_eq!(ids(&far), ["agent.upgrade/prox1"]);
    let mut wish = upgrade(&["prox1"]);
    wish.upgrade.as_mut().unwrap().version = "0.3.0".parse().unwrap();
    let far = plan(&wish, &servers("0.1.0"));
    assert_eq!((codes(&far), far.steps.len()), (vec![Code::AgentVersionApart], 0));
}

#[test]
fn where_the_membership_is_unknown_it_says_so_and_does_nothing() {
    let servers = servers("0.1.0").with("prox2", |seen| {
        seen.cluster = Facet::unknown(UnknownKind::TimedOut, "pmxcfs hangs");
    });
    let plan = plan(&upgrade(&["prox2"]), &servers);
    assert!(plan.refused() && plan.steps.is_empty(), "{:#?}", plan.findings);
    assert!(
        plan.findings
            .iter()
            .any(|finding| finding.refuses() && finding.message.contains("pmxcfs hangs"))
    );
}

#[test]
fn not_without_quorum() {
    let servers = servers("0.1.0").with_member("prox2", |member| member.quorate = false);
    let plan = plan(&upgrade(&["prox2"]), &servers);
    assert_eq!((codes(&plan), plan.steps.len()), (vec![Code::ClusterNotQuorate], 0));
}
