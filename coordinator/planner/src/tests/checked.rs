//! The checker finds what is wrong with a plan, one mistake at a time.

use std::time::Duration;

use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Undo};

use crate::checker::check;
use crate::testkit::{Servers, file, name};

const LINK: &[&str] = &["10.10.10.0/24"];

/// What the checker says of a good plan for three bare servers after something was done to it.
fn complaints(spoil: impl FnOnce(&mut Plan)) -> Vec<String> {
    let (file, servers) = (file(3, LINK), Servers::bare(3));
    let mut plan = crate::plan(&file, &servers.view);
    spoil(&mut plan);
    check(&file, &servers.view, &plan)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn each_mistake_is_found() {
    type Spoil = fn(&mut Plan);
    let mistakes: &[(Spoil, &str)] = &[
        (
            |p| p.steps[2].needs.clear(),
            "it may run beside another change of the membership",
        ),
        (
            |p| p.steps[2].needs = vec![p.steps[2].id.clone()],
            "it needs a step that does not come before it",
        ),
        (|p| p.steps[2].id = p.steps[1].id.clone(), "its id is not unique"),
        (
            |p| p.steps[1].node = name("prox9"),
            "its node is not in the cluster file",
        ),
        (|p| p.steps[1].gate.clear(), "it has no gate"),
        (
            |p| p.steps[1].gate.truncate(1),
            "its gate does not see the node standalone",
        ),
        (
            |p| drop(p.steps[1].gate.remove(0)),
            "its gate does not see exactly the members so far",
        ),
        (|p| p.steps[1].estimate = Duration::ZERO, "it has no estimate"),
        (|p| p.steps[1].why.clear(), "it does not say what it does and why"),
        (
            |p| p.steps[1].undo = Undo::Operator { how: String::new() },
            "it does not say how it is undone",
        ),
        (
            |p| p.steps[1].done_when = Condition::Standalone { node: name("prox2") },
            "its done_when is not the membership with it",
        ),
        (
            |p| p.steps[1].done_when = p.steps[0].done_when.clone(),
            "its done_when does not ask the node itself",
        ),
        (|p| p.steps.swap(0, 1), "it needs a step that does not come before it"),
        (
            |p| p.steps[1].action = p.steps[0].action.clone(),
            "it creates a cluster where there is one",
        ),
        (
            |p| drop(p.steps.remove(0)),
            "it joins through a server that is no member by then",
        ),
        (
            |p| {
                if let Action::JoinCluster { member_address, .. } = &mut p.steps[1].action {
                    *member_address = "192.0.2.1".parse().unwrap();
                }
            },
            "the member does not have that address",
        ),
        (
            |p| {
                if let Action::JoinCluster { links, .. } = &mut p.steps[1].action {
                    links.insert(0, "192.0.2.1".parse().unwrap());
                }
            },
            "its node does not have the address of a link",
        ),
        (
            |p| {
                if let Action::JoinCluster { links, .. } = &mut p.steps[1].action {
                    links.insert(1, "192.168.1.12".parse().unwrap());
                }
            },
            "it has other links",
        ),
        (
            |p| {
                if let (Action::CreateCluster { links: first, .. }, rest) =
                    (p.steps[0].action.clone(), &mut p.steps[1].action)
                    && let Action::JoinCluster { links, .. } = rest
                {
                    *links = first;
                }
            },
            "one of its addresses is used twice",
        ),
        (|p| p.cluster = "other".parse().unwrap(), "it is about another cluster"),
    ];
    for (spoil, rule) in mistakes {
        let told = complaints(spoil);
        assert!(
            told.iter().any(|t| t.ends_with(rule)),
            "`{rule}` is not among {told:#?}"
        );
    }
    assert_eq!(complaints(|_| {}), Vec::<String>::new());
}

#[test]
fn a_plan_must_fit_what_is_seen() {
    let (file, servers) = (file(3, LINK), Servers::bare(3));
    let plan = crate::plan(&file, &servers.view);
    for later in [
        servers.clone().guests("prox3", &[100]),
        servers.clone().unreachable("prox3"),
        servers.clone().with_cluster("prox3", |c| c.authkey_present = true),
        servers.clone().members("lab7", &["prox3"], LINK),
    ] {
        assert_ne!(
            check(&file, &later.view, &plan),
            [],
            "{:?}",
            later.view.nodes[&name("prox3")]
        );
    }
}

#[test]
fn quorum_is_never_given_away() {
    let file = file(5, LINK);
    let servers = Servers::bare(5).members("hk1", &["prox1", "prox2", "prox3"], LINK);
    let plan = crate::plan(&file, &servers.view);
    assert_eq!(check(&file, &servers.view, &plan), []);
    // Two of the three members count for nothing: the one vote would be outvoted by the joiner that isn't there yet.
    let weak = servers.with_member("prox1", |m| {
        m.configured[1].votes = 0;
        m.configured[2].votes = 0;
    });
    let weak = weak
        .with_member("prox2", |m| m.configured.clear())
        .with_member("prox3", |m| m.configured.clear());
    let told = check(&file, &weak.view, &plan);
    assert!(
        told.iter()
            .any(|c| c.rule == "it takes the quorum from the members that are in"),
        "{told:?}"
    );
}
