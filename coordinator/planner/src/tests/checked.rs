//! The checker finds what is wrong with a plan, one mistake at a time.

use std::time::Duration;

use quorate_model::Wish;
use quorate_model::operation::Action;
use quorate_model::plan::{Condition, Plan, Undo};

use crate::checker::check;
use crate::testkit::{Servers, VOTE, file, file_with_vote, name, parse};

const LINK: &[&str] = &["10.10.10.0/24"];

/// What the checker says of a good plan for three bare servers after something was done to it.
fn complaints(spoil: impl FnOnce(&mut Plan)) -> Vec<String> {
    let (file, servers) = (file(3, LINK), Servers::bare(3));
    let mut plan = crate::plan(&file, &Wish::default(), &servers.view);
    spoil(&mut plan);
    check(&file, &Wish::default(), &servers.view, &plan)
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
            "it may run beside another disruptive step",
        ),
        (
            |p| p.steps[2].needs = vec![p.steps[2].id.clone()],
            "it needs a step that does not come before it",
        ),
        (|p| p.steps[2].id = p.steps[1].id.clone(), "its id is not unique"),
        (
            |p| p.steps[1].node = name("prox9"),
            "its node is neither in the cluster file nor enrolled",
        ),
        (|p| p.steps[1].gate.clear(), "it has no gate"),
        (
            |p| drop(p.steps[1].gate.remove(1)),
            "its gate does not see the node standalone",
        ),
        (
            |p| drop(p.steps[1].gate.remove(2)),
            "a watchdog may be armed while it changes the cluster",
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
            "its done_when is not the membership that it leaves",
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
        (
            |p| {
                if let Action::CreateCluster { priorities, .. } = &mut p.steps[0].action {
                    priorities.insert(0, 20);
                }
            },
            "it gives a link another priority than the file",
        ),
        (
            |p| {
                if let Action::JoinCluster { links, .. } = &mut p.steps[1].action {
                    links.insert(0, "192.168.1.12".parse().unwrap());
                }
            },
            "an end of a link is not where the file wants it",
        ),
        (
            |p| {
                if let Action::JoinCluster { links, .. } = &mut p.steps[1].action {
                    links.insert(0, "fd00::12".parse().unwrap());
                }
            },
            "a link is to run over IPv4 and IPv6",
        ),
        (
            |p| p.steps[1].disks = ["prox2:wwn-0x5000c500a1b2c3d4".parse().unwrap()].into(),
            "nobody consented to what it does to a disk",
        ),
        (
            |p| p.steps[1].disks = ["prox3:wwn-0x5000c500a1b2c3d4".parse().unwrap()].into(),
            "it overwrites a disk of another server",
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
fn links_are_not_mixed_up_in_an_edit() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\", { network = \"192.168.1.0/24\", priority = 5 }]\n[nodes.prox1]\naddress = \
                \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n";
    let (file, servers) = (parse(text), Servers::bare(2).members("hk1", &["prox1", "prox2"], LINK));
    let told = |spoil: fn(&mut Action)| {
        let mut plan = crate::plan(&file, &Wish::default(), &servers.view);
        spoil(&mut plan.steps[0].action);
        let complaints = check(&file, &Wish::default(), &servers.view, &plan);
        complaints.into_iter().map(|c| c.rule).collect::<Vec<_>>()
    };
    assert_eq!(told(|_| {}), Vec::<String>::new());
    let other_priority = told(|action| {
        if let Action::AddLink { priority, .. } = action {
            *priority = None;
        }
    });
    assert_eq!(other_priority, ["it gives the link another priority than the file"]);
    let other_place = told(|action| {
        if let Action::AddLink { addresses, .. } = action {
            addresses.insert(name("prox2"), "10.10.10.12".parse().unwrap());
        }
    });
    assert!(
        other_place
            .iter()
            .any(|r| r == "an end of a link is not where the file wants it"),
        "{other_place:?}"
    );
}

#[test]
fn a_plan_must_fit_what_is_seen() {
    let (file, servers) = (file(3, LINK), Servers::bare(3));
    let plan = crate::plan(&file, &Wish::default(), &servers.view);
    for later in [
        servers.clone().guests("prox3", &[100]),
        servers.clone().unreachable("prox3"),
        servers.clone().with_cluster("prox3", |c| c.authkey_present = true),
        servers.clone().members("lab7", &["prox3"], LINK),
    ] {
        assert_ne!(
            check(&file, &Wish::default(), &later.view, &plan),
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
    let plan = crate::plan(&file, &Wish::default(), &servers.view);
    assert_eq!(check(&file, &Wish::default(), &servers.view, &plan), []);
    // Two of the three are away by now: with another one that is counted before it votes, two of four would be left.
    let weak = servers.offline("prox3");
    let told = check(&file, &Wish::default(), &weak.view, &plan);
    let quorum = "it takes the quorum from the members that are in";
    assert!(told.iter().any(|c| c.rule == quorum), "{told:?}");
}

#[test]
fn quorum_is_not_switched_off_or_taken_out() {
    let four = ["prox1", "prox2", "prox3", "prox4"];
    let (file, mut wish) = (file(3, LINK), Wish::default());
    wish.remove.insert(name("prox4"));
    let servers = Servers::bare(4).members("hk1", &four, LINK);
    let plan = crate::plan(&file, &wish, &servers.view);
    let rules = |servers: &Servers, plan: &Plan, step: &str| {
        let complaints = check(&file, &wish, &servers.view, plan);
        let of_step = complaints.into_iter().filter(|c| c.step.as_str() == step);
        of_step.map(|c| c.rule).collect::<Vec<_>>()
    };
    assert_eq!(rules(&servers, &plan, "cluster.power-off/prox4"), Vec::<String>::new());
    // Without prox3, two of four votes would be left once prox4 is off.
    let weak = servers.clone().offline("prox3");
    let told = rules(&weak, &plan, "cluster.power-off/prox4");
    assert!(
        told.iter().any(|r| r == "it takes the quorum from the others"),
        "{told:?}"
    );

    // A dead one is taken out; with two others gone as well there is nobody left to do it.
    let dead = servers.offline("prox4").unreachable("prox4");
    wish.is_off.insert(name("prox4"));
    let plan = crate::plan(&file, &wish, &dead.view);
    let check_removal = |servers: &Servers| {
        let complaints = check(&file, &wish, &servers.view, &plan);
        let of_step = complaints
            .into_iter()
            .filter(|c| c.step.as_str() == "cluster.remove/prox4");
        of_step.map(|c| c.rule).collect::<Vec<_>>()
    };
    assert_eq!(check_removal(&dead), Vec::<String>::new());
    let told = check_removal(
        &dead
            .offline("prox3")
            .unreachable("prox3")
            .offline("prox2")
            .unreachable("prox2"),
    );
    for rule in ["there is no quorum for it", "it takes the quorum from the others"] {
        assert!(told.iter().any(|r| r == rule), "{told:?}");
    }
}

/// A plan that takes prox4 out of four, with HA and a QDevice, after something was done to it.
fn complaints_of_removal(wish: impl FnOnce(&mut Wish), spoil: impl FnOnce(&mut Plan)) -> Vec<String> {
    let file = file_with_vote(3, LINK);
    let mut wished = Wish::default();
    wished.remove.insert(name("prox4"));
    let servers = Servers::bare(4)
        .members("hk1", &["prox1", "prox2", "prox3", "prox4"], LINK)
        .under_ha("vm:100", "prox1", "5.1.3")
        .outside("vote", VOTE);
    // Another server comes for the one that goes, so that the third vote has an even number again.
    let mut servers = servers;
    servers.add(5);
    let text = "[nodes.prox5]\naddress = \"192.168.1.15\"\n";
    let file = parse(&format!("{}{text}", text_of(&file)));
    let mut plan = crate::plan(&file, &wished, &servers.view);
    assert_eq!(
        check(&file, &wished, &servers.view, &plan),
        [],
        "{}",
        super::told(&plan)
    );
    spoil(&mut plan);
    wish(&mut wished);
    let complaints = check(&file, &wished, &servers.view, &plan);
    complaints.iter().map(ToString::to_string).collect()
}

fn text_of(file: &quorate_model::spec::ClusterFile) -> String {
    let nodes = file.nodes.iter().map(|(node, spec)| {
        let role = if spec.role.votes() { "" } else { "role = \"qnetd\"\n" };
        format!("[nodes.{node}]\naddress = \"{}\"\n{role}", spec.address.value)
    });
    let nodes: String = nodes.collect();
    format!(
        "[cluster]\nname = \"hk1\"\nlinks = [\"{}\"]\n[cluster.third_vote]\nqdevice = \"vote\"\n{nodes}",
        LINK[0]
    )
}

fn at(plan: &Plan, id: &str) -> usize {
    plan.steps
        .iter()
        .position(|s| s.id.as_str() == id)
        .unwrap_or_else(|| panic!("no {id} in {}", super::told(plan)))
}

#[test]
fn each_mistake_in_a_removal_is_found() {
    type Spoil = fn(&mut Plan);
    let mistakes: &[(Spoil, &str)] = &[
        (
            |p| drop(p.steps.remove(at(p, "ha.arm"))),
            "ha.disarm: it is not taken back by exactly one step",
        ),
        (
            |p| {
                let arm = at(p, "ha.arm");
                p.steps[arm].restores = None;
            },
            "ha.arm: it wakes HA that the plan did not put to rest",
        ),
        (
            |p| {
                let (arm, disarm) = (at(p, "ha.arm"), at(p, "ha.disarm"));
                p.steps[arm].needs = vec![p.steps[disarm].id.clone()];
            },
            "ha.arm: it may run before all is done under what it takes back",
        ),
        (
            |p| {
                let join = at(p, "cluster.power-off/prox4");
                p.steps[join].needs.clear();
            },
            "cluster.power-off/prox4: it does not wait until HA is at rest",
        ),
        (
            |p| {
                let off = at(p, "cluster.power-off/prox4");
                p.steps[off].gate.retain(|c| !matches!(c, Condition::HaDisarmed { .. }));
            },
            "cluster.power-off/prox4: a watchdog may be armed while it changes the cluster",
        ),
        (
            |p| {
                let remove = at(p, "cluster.remove/prox4");
                if let Action::RemoveMember { id, .. } = &mut p.steps[remove].action {
                    *id = 1;
                }
            },
            "cluster.remove/prox4: its id is not that server's alone: it would kill another one",
        ),
        (
            |p| {
                let remove = at(p, "cluster.remove/prox4");
                p.steps[remove].gate.retain(|c| !matches!(c, Condition::Off { .. }));
            },
            "cluster.remove/prox4: its gate sees it neither off nor alone",
        ),
        (
            |p| drop(p.steps.remove(at(p, "cluster.power-off/prox4"))),
            "cluster.remove/prox4: it takes out a server that is in, or is no member",
        ),
        (
            |p| drop(p.steps.remove(at(p, "qdevice.withdraw/vote"))),
            "qdevice.admit/vote: it is not taken back by exactly one step",
        ),
        (
            |p| {
                let set_up = at(p, "qdevice.set-up");
                p.steps[set_up]
                    .gate
                    .retain(|c| !matches!(c, Condition::Installed { .. }));
            },
            "qdevice.set-up: its gate does not see corosync-qdevice on every member",
        ),
        (
            |p| {
                let set_up = at(p, "qdevice.set-up");
                p.steps[set_up]
                    .gate
                    .retain(|c| !matches!(c, Condition::KeysAdmitted { .. }));
            },
            "qdevice.set-up: its gate does not see its key admitted",
        ),
        (
            |p| {
                let admit = at(p, "qdevice.admit/vote");
                if let Action::AdmitKeys { minutes, .. } = &mut p.steps[admit].action {
                    *minutes = 600;
                }
            },
            "qdevice.admit/vote: it lets keys in for too long",
        ),
    ];
    for (spoil, complaint) in mistakes {
        let told = complaints_of_removal(|_| {}, spoil);
        assert!(
            told.iter().any(|t| t == complaint),
            "`{complaint}` is not among {told:#?}"
        );
    }
}

#[test]
fn consent_is_asked_for_again() {
    let told = complaints_of_removal(|wish| wish.remove.clear(), |_| {});
    for step in [
        "cluster.power-off/prox4",
        "cluster.remove/prox4",
        "cluster.clean-up/prox4",
    ] {
        assert!(told.contains(&format!("{step}: nobody consented to it")), "{told:#?}");
    }
}
