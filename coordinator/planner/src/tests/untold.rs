//! What can't be told is refused, and never looks like nothing to do.

use quorate_model::plan::Plan;
use quorate_model::{Code, Wish};

use super::{sound, told, wished};
use crate::checker::check;
use crate::testkit::{Servers, VOTE, file, file_with_vote, known, name, parse, unseen};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];
const THREE: &[&str] = &["prox1", "prox2", "prox3"];

fn refusals(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().filter(|f| f.refuses()).map(|f| f.code).collect()
}

fn remove(nodes: &[&str]) -> Wish {
    Wish {
        remove: nodes.iter().map(|n| name(n)).collect(),
        ..Wish::default()
    }
}

/// Takes a server's agent away: it is a member all the same.
fn not_enrolled(mut servers: Servers, node: &str) -> Servers {
    servers.view.nodes.remove(&name(node));
    servers
}

/// Gives a member another name in what everybody sees.
fn renamed(servers: Servers, old: &str, new: &str) -> Servers {
    not_enrolled(servers, old).with_each(|seen| {
        let cluster = known(&mut seen.cluster);
        if let quorate_model::observation::Membership::Member(member) = &mut cluster.membership {
            for node in member.nodes.iter_mut().filter(|n| n.name == old) {
                node.name = new.to_owned();
            }
            for node in member.configured.iter_mut().filter(|n| n.name == old) {
                node.name = new.to_owned();
            }
        }
    })
}

#[test]
fn a_member_that_nobody_can_ask_keeps_every_change_from_happening() {
    let servers = |links| Servers::bare(4).members("hk1", &["prox1", "prox2", "prox3", "prox4"], links);
    // A link, a removal, a third vote: the file names prox1 and prox2, prox4 has no agent.
    let cases = [
        (file(2, BOTH), Wish::default(), servers(FAST)),
        (file(2, FAST), remove(&["prox3"]), servers(FAST)),
        (
            file_with_vote(2, FAST),
            Wish::default(),
            servers(FAST).outside("vote", VOTE),
        ),
    ];
    for (file, wish, servers) in cases {
        for (servers, code) in [
            (not_enrolled(servers.clone(), "prox4"), Code::NodeNotEnrolled),
            (servers.clone().unreachable("prox4"), Code::NodeUnreachable),
            (
                servers.clone().with("prox4", |o| o.cluster = unseen()),
                Code::FacetUnknown,
            ),
            (renamed(servers.clone(), "prox4", "Prox4"), Code::NodeNotEnrolled),
        ] {
            let plan = wished(&file, &wish, &servers);
            assert!(plan.is_empty() && refusals(&plan).contains(&code), "{}", told(&plan));
        }
    }
    // Where nothing is to be done, it is only told.
    let plan = sound(&file(2, FAST), &not_enrolled(servers(FAST), "prox4"));
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
}

#[test]
fn the_checker_wants_nobody_asked_who_can_t_answer() {
    let servers = Servers::bare(4).members("hk1", THREE, FAST);
    let plan = sound(&file(4, FAST), &servers);
    for (servers, rule) in [
        (
            not_enrolled(servers.clone(), "prox3"),
            "it asks a server that is not enrolled",
        ),
        (
            renamed(servers, "prox3", "Prox3"),
            "a member has a name that no server can be asked by",
        ),
    ] {
        let complaints = check(&file(4, FAST), &Wish::default(), &servers.view, &plan);
        assert!(complaints.iter().any(|c| c.rule == rule), "{complaints:?}");
    }
}

#[test]
fn a_member_is_not_named_as_an_outsider() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \
                \"192.168.1.12\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\nrole = \"qnetd\"\n";
    let plan = sound(&parse(text), &Servers::bare(3).members("hk1", THREE, FAST));
    assert_eq!(refusals(&plan), [Code::QnetdOnMember], "{}", told(&plan));
}

#[test]
fn a_host_name_in_corosync_conf_is_no_reason_to_do_nothing() {
    let named = |servers: Servers| {
        servers.with_each(|seen| {
            let cluster = known(&mut seen.cluster);
            if let quorate_model::observation::Membership::Member(member) = &mut cluster.membership {
                member.configured[0].addresses.insert(0, "prox1.example".to_owned());
            }
        })
    };
    let four = named(Servers::bare(4).members("hk1", &["prox1", "prox2", "prox3", "prox4"], FAST));
    let plan = wished(&file(3, FAST), &remove(&["prox4"]), &four);
    assert!(!plan.is_empty() && !plan.refused(), "{}", told(&plan));
    assert!(
        plan.findings
            .iter()
            .any(|f| f.code == Code::FacetUnknown && f.subject == "prox1")
    );

    let three = named(Servers::bare(4).members("hk1", THREE, FAST));
    for file in [file(4, FAST), file(3, BOTH)] {
        let plan = sound(&file, &three);
        assert_eq!(refusals(&plan), [Code::FacetUnknown], "{}", told(&plan));
    }
}

#[test]
fn a_priority_counts_without_an_interface_section() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [{ network = \"10.10.10.0/24\", priority = 20 }]\n[nodes.prox1]\naddress = \
                \"192.168.1.11\"\n[nodes.prox2]\naddress = \"192.168.1.12\"\n";
    let mut servers = Servers::bare(2).members("hk1", &["prox1", "prox2"], FAST);
    for node in ["prox1", "prox2"] {
        servers = servers.with_member(node, |m| m.interfaces.clear());
    }
    let plan = sound(&parse(text), &servers);
    assert_eq!(refusals(&plan), [Code::LinkPriorityDiffers], "{}", told(&plan));
    let plan = sound(&parse(&text.replace("20", "1")), &servers);
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
}

#[test]
fn what_ha_does_must_be_known() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "5.1.3")
        .with_ha("prox1", |ha| ha.manager = unseen());
    let plan = sound(&file(3, FAST), &servers);
    assert_eq!(refusals(&plan), [Code::FacetUnknown], "{}", told(&plan));
}

#[test]
fn what_a_server_left_must_be_known() {
    let servers = Servers::bare(2).members("hk1", &["prox1", "prox2"], FAST);
    for unknown in [
        servers.clone().with_config("prox1", |c| c.node_folders = unseen()),
        servers.clone().with_config("prox1", |c| c.authorized_keys = unseen()),
        servers.clone().with("prox1", |o| o.config = unseen()),
    ] {
        let plan = wished(&file(2, FAST), &remove(&["prox9"]), &unknown);
        assert_eq!(refusals(&plan), [Code::FacetUnknown], "{}", told(&plan));
    }
    let plan = wished(&file(2, FAST), &remove(&["prox9"]), &servers);
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
}

#[test]
fn a_third_vote_in_a_guest_is_looked_for_on_every_server() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .outside("vote", VOTE);
    for unknown in [
        servers.clone().with_config("prox2", |c| c.guest_macs = unseen()),
        servers.clone().with("vote", |o| o.network = unseen()),
    ] {
        let plan = sound(&file_with_vote(2, FAST), &unknown);
        assert_eq!(refusals(&plan), [Code::FacetUnknown], "{}", told(&plan));
    }
}

#[test]
fn a_dead_host_of_the_third_vote_can_be_let_go() {
    let mut servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .qdevice(VOTE)
        .outside("vote", VOTE)
        .unreachable("vote");
    servers.view.addresses.insert(name("vote"), VOTE.parse().unwrap());
    let plan = wished(&file(2, FAST), &remove(&["vote"]), &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["qdevice.remove"], "{}", told(&plan));
    let no_member = |plan: &Plan| plan.findings.iter().any(|f| f.code == Code::RemoveNotMember);
    assert!(!plan.refused() && !no_member(&plan), "{}", told(&plan));
}

#[test]
fn an_entry_that_is_taken_out_may_have_any_address() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .counted("prox3", &["192.168.1.0/24"]);
    for wish in [
        Wish::default(),
        Wish {
            undo_join: [name("prox3")].into(),
            ..Wish::default()
        },
    ] {
        let plan = wished(&file(3, FAST), &wish, &servers);
        assert!(!plan.is_empty() && !plan.refused(), "{}", told(&plan));
    }
}

#[test]
fn one_of_the_file_does_what_one_does_for_all_and_not_the_one_with_the_coordinator() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox2]\naddress = \"192.168.1.12\"\n[nodes.prox3]\naddress = \
                \"192.168.1.13\"\n[nodes.prox4]\naddress = \"192.168.1.14\"\n";
    let mut servers = Servers::bare(4)
        .members("hk1", THREE, FAST)
        .under_ha("vm:100", "prox3", "4.0.7");
    servers.view.coordinator_on = Some(name("prox2"));
    let plan = sound(&parse(text), &servers);
    let join = plan
        .steps
        .iter()
        .find(|s| s.id.as_str() == "cluster.join/prox4")
        .unwrap();
    assert!(join.title.ends_with("through prox3"), "{}", told(&plan));
    let order = |action: &str| {
        let begins = format!("ha.{action}-lrm/");
        let nodes = plan.steps.iter().filter(|s| s.id.as_str().starts_with(&begins));
        nodes.map(|s| s.node.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(order("stop").last(), Some(&"prox2"), "{}", told(&plan));
    assert_eq!(order("start").last(), Some(&"prox2"), "{}", told(&plan));
}

#[test]
fn what_corosync_conf_has_twice_is_told_and_holds_up_a_change() {
    let twice = |change: fn(&mut quorate_model::observation::cluster::ConfiguredNode)| {
        Servers::bare(4).members("hk1", THREE, FAST).with_each(|seen| {
            let cluster = known(&mut seen.cluster);
            if let quorate_model::observation::Membership::Member(member) = &mut cluster.membership {
                member
                    .configured
                    .iter_mut()
                    .filter(|n| n.name == "prox3")
                    .for_each(change);
            }
        })
    };
    let address = twice(|node| drop(node.addresses.insert(0, "10.10.10.12".to_owned())));
    let id = twice(|node| node.id = 2);
    for (servers, code) in [(address, Code::AddressTaken), (id, Code::NodeIdTwice)] {
        let plan = sound(&file(3, FAST), &servers);
        let finding = plan.findings.iter().find(|f| f.code == code).unwrap();
        assert!(
            finding.message.contains("prox2 and prox3") && !plan.refused(),
            "{}",
            told(&plan)
        );
        let plan = sound(&file(4, FAST), &servers);
        assert!(refusals(&plan).contains(&code), "{}", told(&plan));
    }
}

#[test]
fn a_server_may_take_the_address_of_the_one_that_it_replaces() {
    let mut servers = Servers::bare(4)
        .members("hk1", THREE, FAST)
        .offline("prox3")
        .unreachable("prox3");
    servers = servers.with_network("prox4", |network| {
        for address in network.interfaces.iter_mut().flat_map(|i| &mut i.addresses) {
            let theirs = address.address.to_string().replace(".14", ".13");
            address.address = theirs.parse().unwrap();
        }
        known(&mut network.own_name).addresses = vec!["192.168.1.13".parse().unwrap()];
    });
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \
                \"192.168.1.12\"\n[nodes.prox4]\naddress = \"192.168.1.13\"\n";
    let mut wish = Wish::default();
    wish.replace.insert(name("prox3"), name("prox4"));
    wish.is_off.insert(name("prox3"));
    let plan = wished(&parse(text), &wish, &servers);
    assert!(!plan.refused() && !plan.is_empty(), "{}", told(&plan));
}

#[test]
fn links_that_fail_together_are_told() {
    let shares = |servers: &Servers| {
        let plan = sound(&file(3, BOTH), servers);
        let share = plan.findings.iter().filter(|f| f.code == Code::LinksShare);
        share.map(|f| f.message.clone()).collect::<Vec<_>>()
    };
    let servers = Servers::bare(3);
    assert_eq!(shares(&servers), Vec::<String>::new());
    // The fast network on a VLAN of the port that the bridge has.
    let vlan = servers.clone().with_network("prox2", |network| {
        let fast = network.interfaces.iter_mut().find(|i| i.name == "ens1").unwrap();
        fast.name = "eno1.10".to_owned();
        fast.kind = quorate_model::observation::network::InterfaceKind::Vlan;
    });
    assert_eq!(shares(&vlan), ["links 0 and 1 of prox2 both run over eno1"]);
    let wide = servers.with_network("prox2", |network| {
        let addresses = network.interfaces.iter_mut().flat_map(|i| &mut i.addresses);
        addresses.for_each(|a| a.prefix = 0);
    });
    assert_eq!(shares(&wide), ["links 0 and 1 of prox2 both run in 0.0.0.0/0"]);
}

#[test]
fn a_disk_is_destroyed_by_its_name_or_not_at_all() {
    let servers = Servers::bare(2);
    let mut plan = sound(&file(2, FAST), &servers);
    let disk: quorate_model::ids::DiskRef = "prox2:wwn-0x5000c500a1b2c3d4".parse().unwrap();
    plan.steps[1].disks.insert(disk.clone());
    let said = |destroy: &[&str]| {
        let wish = Wish {
            destroy: destroy.iter().map(|d| d.parse().unwrap()).collect(),
            ..Wish::default()
        };
        let mut report = crate::report::Report::default();
        crate::destruction::consented(&plan.steps, &wish, &mut report);
        let refusing: Vec<Code> = report
            .into_findings()
            .into_iter()
            .filter(|f| f.refuses())
            .map(|f| f.code)
            .collect();
        let complaints = check(&file(2, FAST), &wish, &servers.view, &plan);
        (refusing, complaints.is_empty())
    };
    assert_eq!(said(&[]), (vec![Code::DestroyNotConsented], false));
    assert_eq!(said(&["prox2:wwn-0x5000c500a1b2c3d4"]), (vec![], true));
    // Another disk, or that disk in another server.
    for other in ["prox2:wwn-0x5000c500a1b2c3d5", "prox1:wwn-0x5000c500a1b2c3d4"] {
        let (codes, fine) = said(&[other]);
        assert!(codes.contains(&Code::DestroyNotConsented) && codes.contains(&Code::DestroyNotPlanned) && !fine);
    }
    // And the planner itself asks.
    let wish = Wish {
        destroy: [disk].into(),
        ..Wish::default()
    };
    let plan = wished(&file(2, FAST), &wish, &servers);
    assert_eq!(refusals(&plan), [Code::DestroyNotPlanned], "{}", told(&plan));
    let done = wished(
        &file(2, FAST),
        &wish,
        &servers.members("hk1", &["prox1", "prox2"], FAST),
    );
    assert!(done.is_empty() && !done.refused(), "{}", told(&done));
}
