//! The life of a cluster, event by event: what is planned, and that nothing is left to do afterwards.

use quorate_model::observation::config::FirewallRule;
use quorate_model::observation::ha::Disarm;
use quorate_model::operation::{Action, HaService};
use quorate_model::plan::Plan;
use quorate_model::view::Rest;
use quorate_model::{Code, Facet, Wish};

use super::{afterwards, sound, told, wished};
use crate::testkit::{NOW, Servers, VOTE, file, file_with_vote, known, name, parse, service, unseen};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];

fn remove(nodes: &[&str], off: &[&str]) -> Wish {
    Wish {
        remove: nodes.iter().map(|n| name(n)).collect(),
        is_off: off.iter().map(|n| name(n)).collect(),
        ..Wish::default()
    }
}

/// The plan, which once carried out leaves nothing to do.
fn done(file: &quorate_model::spec::ClusterFile, wish: &Wish, servers: &Servers) -> Plan {
    let plan = wished(file, wish, servers);
    assert!(!plan.refused() && !plan.is_empty(), "{}", told(&plan));
    let after = afterwards(file, wish, servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
    plan
}

fn codes(plan: &Plan) -> Vec<Code> {
    plan.findings.iter().filter(|f| f.refuses()).map(|f| f.code).collect()
}

#[test]
fn a_server_is_taken_out() {
    let servers = Servers::bare(4).members("hk1", &["prox1", "prox2", "prox3", "prox4"], FAST);
    insta::assert_snapshot!(told(&done(&file(3, FAST), &remove(&["prox4"], &[]), &servers)));
    let without = sound(&file(3, FAST), &servers);
    assert!(
        without.is_empty() && !without.refused(),
        "absence deletes nothing: {}",
        told(&without)
    );
}

#[test]
fn a_dead_server_is_replaced() {
    let servers = Servers::bare(4)
        .members("hk1", &["prox1", "prox2", "prox3"], FAST)
        .offline("prox3")
        .unreachable("prox3");
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\naddress = \
                \"192.168.1.12\"\n[nodes.prox4]\naddress = \"192.168.1.14\"\n";
    let mut wish = Wish::default();
    wish.replace.insert(name("prox3"), name("prox4"));
    let plan = wished(&parse(text), &wish, &servers);
    assert_eq!(codes(&plan), [Code::RemoveNotOff], "{}", told(&plan));
    wish.is_off.insert(name("prox3"));
    insta::assert_snapshot!(told(&done(&parse(text), &wish, &servers)));
}

#[test]
fn the_dead_half_of_two_servers_leaves() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .offline("prox2")
        .unreachable("prox2");
    insta::assert_snapshot!(told(&done(&file(1, FAST), &remove(&["prox2"], &["prox2"]), &servers)));
}

#[test]
fn the_dead_half_of_two_servers_leaves_also_with_guests_under_ha() {
    // The one that is left was reset by its watchdog, and came back without quorum: its daemons run, and can arm nothing.
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "4.0.7")
        .offline("prox2")
        .unreachable("prox2")
        .with_ha("prox1", |ha| ha.watchdog_armed = false);
    let plan = done(&file(1, FAST), &remove(&["prox2"], &["prox2"]), &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "ha.stop-lrm/prox1",
            "ha.stop-crm/prox1",
            "cluster.expect/prox2",
            "cluster.remove/prox2",
            "cluster.clean-up/prox2",
            "ha.start-crm/prox1",
            "ha.start-lrm/prox1",
        ],
        "{}",
        told(&plan)
    );
}

#[test]
fn daemons_of_ha_are_stopped_also_on_the_one_that_leaves_and_the_third_vote_goes_first() {
    let servers = Servers::bare(4)
        .members("hk1", &["prox1", "prox2", "prox3", "prox4"], FAST)
        .under_ha("vm:100", "prox1", "4.0.7")
        .qdevice(VOTE)
        .outside("vote", VOTE);
    let plan = done(&file(3, FAST), &remove(&["prox4", "vote"], &[]), &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    let place = |id: &str| {
        ids.iter()
            .position(|i| *i == id)
            .unwrap_or_else(|| panic!("no {id} in {ids:?}"))
    };
    assert!(place("ha.stop-crm/prox4") < place("qdevice.remove"), "{ids:?}");
    assert!(place("qdevice.remove") < place("cluster.power-off/prox4"), "{ids:?}");
    assert!(place("cluster.remove/prox4") < place("ha.start-crm/prox4"), "{ids:?}");
}

#[test]
fn a_dead_server_beside_a_third_vote() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .qdevice(VOTE)
        .outside("vote", VOTE)
        .offline("prox2")
        .unreachable("prox2");
    let text = format!(
        "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[cluster.third_vote]\nqdevice = \"vote\"\n[nodes.prox1]\naddress = \
         \"192.168.1.11\"\n[nodes.prox3]\naddress = \"192.168.1.13\"\n[nodes.vote]\naddress = \"{VOTE}\"\nrole = \"qnetd\"\n"
    );
    insta::assert_snapshot!(told(&done(&parse(&text), &remove(&["prox2"], &["prox2"]), &servers)));
}

#[test]
fn quorum_is_not_thrown_away() {
    let two = Servers::bare(2).members("hk1", &["prox1", "prox2"], FAST);
    let plan = wished(&file(1, FAST), &remove(&["prox2"], &[]), &two);
    assert_eq!(codes(&plan), [Code::RemoveLosesQuorum], "{}", told(&plan));
    assert!(plan.is_empty());
    let five = ["prox1", "prox2", "prox3", "prox4", "prox5"];
    let mut most = Servers::bare(5).members("hk1", &five, FAST);
    for gone in &five[2..] {
        most = most.offline(gone).unreachable(gone);
    }
    let plan = wished(&file(2, FAST), &remove(&five[2..], &five[2..]), &most);
    assert_eq!(codes(&plan), [Code::QuorumGone], "{}", told(&plan));
}

#[test]
fn a_third_vote_is_set_up() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], BOTH)
        .outside("vote", VOTE);
    let plan = done(&file_with_vote(2, BOTH), &Wish::default(), &servers);
    insta::assert_json_snapshot!(plan);
}

#[test]
fn a_third_vote_is_taken_off_for_the_time_of_a_join() {
    let servers = Servers::bare(4)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "5.1.3")
        .qdevice(VOTE)
        .outside("vote", VOTE);
    insta::assert_snapshot!(told(&done(&file_with_vote(4, FAST), &Wish::default(), &servers)));
}

#[test]
fn a_third_vote_goes_only_by_consent() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .qdevice(VOTE)
        .outside("vote", VOTE);
    let plan = sound(&file(2, FAST), &servers);
    assert!(plan.is_empty() && !plan.refused(), "{}", told(&plan));
    assert!(plan.findings.iter().any(|f| f.code == Code::QdeviceUnmanaged));
    let plan = done(&file(2, FAST), &remove(&["vote"], &[]), &servers);
    assert_eq!(
        plan.steps.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
        ["qdevice.remove"]
    );
}

#[test]
fn ha_of_pve_8_is_stopped_daemon_by_daemon() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "4.0.7");
    insta::assert_snapshot!(told(&done(&file(3, FAST), &Wish::default(), &servers)));
}

#[test]
fn ha_that_somebody_else_disarmed_stays_so() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "4.0.7");
    let mut servers = servers;
    for node in ["prox1", "prox2"] {
        servers = servers.with_ha(node, |ha| {
            ha.watchdog_armed = false;
            ha.lrm = Facet::known(service(false), NOW);
            ha.crm = Facet::known(service(false), NOW);
        });
    }
    let plan = done(&file(3, FAST), &Wish::default(), &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "ha.stop-lrm/prox3",
            "ha.stop-crm/prox3",
            "cluster.join/prox3",
            "ha.start-crm/prox3",
            "ha.start-lrm/prox3"
        ],
        "only those of the joiner, which would take the services up"
    );
    assert!(plan.findings.iter().any(|f| f.code == Code::HaAlreadyDisarmed));
}

/// As a rollout leaves it that was cut off after its first step.
fn left_at_rest(servers: Servers, rest: &[Rest]) -> Servers {
    let mut servers = servers.with_each(|seen| {
        let ha = known(&mut seen.ha);
        ha.watchdog_armed = false;
        for rest in rest {
            match rest {
                Rest::Whole => {
                    let disarm = Disarm {
                        mode: "freeze".to_owned(),
                        state: "disarmed".to_owned(),
                    };
                    // Whoever is in no cluster has none.
                    if let Some(manager) = known(&mut ha.manager) {
                        manager.disarm = Some(disarm);
                    }
                }
                Rest::Daemon {
                    service: HaService::Lrm,
                    ..
                } => ha.lrm = Facet::known(service(false), NOW),
                Rest::Daemon {
                    service: HaService::Crm,
                    ..
                } => ha.crm = Facet::known(service(false), NOW),
                Rest::Maintenance { node } => {
                    if let Some(manager) = known(&mut ha.manager) {
                        manager.maintenance.insert(node.to_string());
                    }
                }
            }
        }
    });
    servers.view.at_rest = rest.iter().cloned().collect();
    servers
}

#[test]
fn ha_that_a_rollout_of_ours_left_disarmed_is_armed() {
    let all = ["prox1", "prox2", "prox3"];
    let servers = Servers::bare(3)
        .members("hk1", &all, FAST)
        .under_ha("vm:100", "prox1", "5.1.3");
    let left = left_at_rest(servers.clone(), &[Rest::Whole]);
    let plan = done(&file(3, FAST), &Wish::default(), &left);
    let ids = |plan: &Plan| plan.steps.iter().map(|s| s.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&plan), ["ha.arm"], "and nothing afterwards");
    assert!(
        !plan.findings.iter().any(|f| f.code == Code::HaAlreadyDisarmed),
        "{plan:#?}"
    );
    assert!(plan.steps[0].restores.is_none());

    // Somebody else's rest stays, and so does what is awake by now.
    let mut others = left;
    others.view.at_rest.clear();
    assert!(sound(&file(3, FAST), &others).is_empty());
    let mut awake = servers;
    awake.view.at_rest = [Rest::Whole].into();
    assert!(sound(&file(3, FAST), &awake).is_empty());
}

#[test]
fn what_was_left_at_rest_is_woken_after_what_the_plan_does() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "5.1.3");
    let plan = done(&file(3, FAST), &Wish::default(), &left_at_rest(servers, &[Rest::Whole]));
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["cluster.join/prox3", "ha.arm"]);
}

#[test]
fn daemons_that_were_left_stopped_are_started() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], FAST)
        .under_ha("vm:100", "prox1", "4.0.7");
    let daemon = |node: &str, service| Rest::Daemon {
        node: node.parse().unwrap(),
        service,
    };
    let rest = [
        daemon("prox1", HaService::Lrm),
        daemon("prox2", HaService::Crm),
        daemon("prox9", HaService::Crm),
    ];
    let plan = done(&file(2, FAST), &Wish::default(), &left_at_rest(servers, &rest));
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        ["ha.start-crm/prox2", "ha.start-lrm/prox1"],
        "the others were stopped by somebody else"
    );
}

#[test]
fn a_link_is_added() {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], FAST);
    insta::assert_snapshot!(told(&done(&file(3, BOTH), &Wish::default(), &servers)));
}

#[test]
fn a_link_is_added_after_a_join_over_those_that_are_there() {
    let servers = Servers::bare(3).members("hk1", &["prox1", "prox2"], FAST);
    let plan = done(&file(3, BOTH), &Wish::default(), &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["cluster.join/prox3", "link.add/1"]);
    assert_eq!(
        serde_json::to_value(&plan.steps[0].action).unwrap()["links"],
        serde_json::json!({"0": "10.10.10.13"})
    );
}

#[test]
fn addresses_and_priorities_are_taken_from_the_file() {
    let text = "[cluster]\nname = \"hk1\"\nlinks = [{ priority = 20 }, { network = \"192.168.1.0/24\", priority = 5 }]\n[nodes.prox1]\naddress = \
                \"192.168.1.11\"\nlinks = [\"10.10.10.11\", \"192.168.1.11\"]\n[nodes.prox2]\naddress = \"192.168.1.12\"\nlinks = \
                [\"10.10.10.12\", \"192.168.1.12\"]\n";
    let plan = done(&parse(text), &Wish::default(), &Servers::bare(2));
    insta::assert_json_snapshot!(plan.steps.iter().map(|s| &s.action).collect::<Vec<_>>());
}

#[test]
fn a_join_that_was_accepted_and_never_began_is_made_anew() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .counted("prox3", FAST);
    insta::assert_snapshot!(told(&done(&file(3, FAST), &Wish::default(), &servers)));
}

#[test]
fn a_join_that_was_accepted_and_never_began_is_taken_back_by_wish() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .counted("prox3", FAST);
    let wish = Wish {
        undo_join: [name("prox3")].into(),
        ..Wish::default()
    };
    let plan = done(&file(3, FAST), &wish, &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["cluster.remove/prox3"], "{}", told(&plan));
}

/// The key alone says that the join began: what it left in the cluster goes by the same word.
#[test]
fn a_join_that_left_only_its_key_is_undone_with_all_that_it_left() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .counted("prox3", FAST)
        .with_cluster("prox3", |c| c.authkey_present = true);
    let wish = Wish {
        undo_join: [name("prox3")].into(),
        ..Wish::default()
    };
    let plan = done(&file(3, FAST), &wish, &servers);
    let ids: Vec<_> = plan.steps.iter().map(|s| s.id.as_str()).collect();
    let expected = [
        "cluster.abandon-join/prox3",
        "cluster.remove/prox3",
        "cluster.clean-up/prox3",
    ];
    assert_eq!(ids, expected, "{}", told(&plan));
}

#[test]
fn a_lone_member_that_lost_its_quorum_by_a_join_gets_it_back() {
    let servers = Servers::bare(2).members("hk1", &["prox1"], FAST).counted("prox2", FAST);
    insta::assert_snapshot!(told(&done(&file(2, FAST), &Wish::default(), &servers)));
}

/// The joiner has the cluster's corosync.conf, and corosync does not run with it.
fn begun(members: &[&str], joiner: &str) -> Servers {
    let servers = Servers::bare(members.len() + 1)
        .members("hk1", members, FAST)
        .counted(joiner, FAST);
    let local = servers.view.cluster_of(&name(members[0])).unwrap().local_config.clone();
    servers.with_cluster(joiner, |c| {
        c.authkey_present = true;
        c.local_config_present = true;
        c.local_config = local;
    })
}

#[test]
fn a_join_that_was_begun_is_finished() {
    insta::assert_snapshot!(told(&done(
        &file(3, FAST),
        &Wish::default(),
        &begun(&["prox1", "prox2"], "prox3")
    )));
    let lone = done(&file(2, FAST), &Wish::default(), &begun(&["prox1"], "prox2"));
    assert_eq!(lone.steps.len(), 1, "{}", told(&lone));
    // It broke off before pmxcfs was started anew: nothing is mounted there, and there are no guests.
    let down = begun(&["prox1", "prox2"], "prox3")
        .with_cluster("prox3", |c| {
            c.pmxcfs = quorate_model::observation::cluster::Pmxcfs::NotMounted
        })
        .with("prox3", |o| o.config = unseen());
    let plan = done(&file(3, FAST), &Wish::default(), &down);
    assert_eq!(plan.steps.len(), 1, "{}", told(&plan));
}

#[test]
fn a_join_that_was_begun_is_undone_by_wish() {
    let wish = |node: &str| Wish {
        undo_join: [name(node)].into(),
        ..Wish::default()
    };
    insta::assert_snapshot!(told(&done(
        &file(3, FAST),
        &wish("prox3"),
        &begun(&["prox1", "prox2"], "prox3")
    )));
    let lone = done(&file(2, FAST), &wish("prox2"), &begun(&["prox1"], "prox2"));
    let ids: Vec<_> = lone.steps.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "cluster.abandon-join/prox2",
            "cluster.expect/prox2",
            "cluster.remove/prox2",
            "cluster.clean-up/prox2"
        ]
    );
}

/// pmxcfs came up with nothing but corosync.conf, and its corosync found no other.
#[test]
fn a_member_by_its_own_word_that_never_got_the_database_is_half_in() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2", "prox3"], FAST)
        .offline("prox3");
    let half = servers
        .with_member("prox3", |m| {
            m.quorate = false;
            for node in &mut m.nodes {
                node.online = node.name == "prox3";
            }
        })
        .with_config("prox3", |c| {
            known(&mut c.node_folders).retain(|name, _| name == "prox3")
        });
    let plan = done(&file(3, FAST), &Wish::default(), &half);
    assert_eq!(plan.steps[0].id.as_str(), "cluster.finish-join/prox3");

    // One that has the others' folders was in: it is away, and nobody touches it.
    let away = half.with_config("prox3", |c| {
        let folder = quorate_model::observation::config::NodeFolder { guests: vec![] };
        known(&mut c.node_folders).insert("prox1".to_owned(), folder);
    });
    let plan = sound(&file(3, FAST), &away);
    assert!(plan.is_empty(), "{}", told(&plan));
}

#[test]
fn what_a_removed_server_left_is_cleared_up_later() {
    let servers = Servers::bare(3)
        .members("hk1", &["prox1", "prox2"], FAST)
        .with_config("prox1", |c| {
            let folder = quorate_model::observation::config::NodeFolder { guests: vec![] };
            known(&mut c.node_folders).insert("prox9".to_owned(), folder);
        });
    let plan = done(&file(2, FAST), &remove(&["prox9"], &[]), &servers);
    assert_eq!(
        plan.steps.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
        ["cluster.clean-up/prox9"]
    );
    let plan = sound(&file(2, FAST), &servers);
    assert!(plan.is_empty() && plan.findings.iter().any(|f| f.code == Code::NodeFolderLeft));
}

#[test]
fn the_server_with_the_coordinator_comes_last() {
    let mut servers = Servers::bare(3);
    servers.view.coordinator_on = Some(name("prox1"));
    let plan = done(&file(3, FAST), &Wish::default(), &servers);
    let nodes: Vec<_> = plan.steps.iter().map(|s| s.node.as_str()).collect();
    assert_eq!(nodes, ["prox2", "prox3", "prox1"]);
}

#[test]
fn a_firewall_that_may_keep_agents_out_is_opened_before_the_joins() {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1"], FAST)
        .with_config("prox1", |c| known(&mut c.firewall).enabled = true);
    let (file, wish) = (file(2, FAST), Wish::default());
    let mut plan = wished(&file, &wish, &servers);
    assert_eq!(codes(&plan), [Code::FirewallKeepsOut]);
    assert_eq!(
        quorate_model::finding::accept(&mut plan.findings, &[Code::FirewallKeepsOut]),
        []
    );
    assert!(!plan.refused());
    insta::assert_snapshot!(told(&plan));
    let after = afterwards(&file, &wish, &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
}

/// The new rules take the place of the earlier ones, so what only these let in has to be among them.
#[test]
fn rules_of_an_earlier_version_are_not_lost_when_the_measuring_is_opened() {
    let earlier = |address: &str| FirewallRule {
        text: format!("IN ACCEPT -source {address} -p tcp -dport 7443 -log nolog # quorate: agents"),
        disabled: false,
        direction: "IN".to_owned(),
        action: "ACCEPT".to_owned(),
        source: Some(address.to_owned()),
        dest: None,
        protocol: Some("tcp".to_owned()),
        ports: Some("7443".to_owned()),
        narrowed: false,
    };
    let servers = Servers::bare(2)
        .members("hk1", &["prox1"], FAST)
        .with_config("prox1", |c| {
            let firewall = known(&mut c.firewall);
            firewall.enabled = true;
            firewall.rules = ["192.168.1.11", "192.168.1.12", "10.10.10.11", "10.10.10.12"]
                .map(earlier)
                .to_vec();
        });
    let plan = wished(&file(2, FAST), &Wish::default(), &servers);
    let told = plan.findings.iter().find(|f| f.code == Code::FirewallKeepsOut).unwrap();
    assert!(
        !told.message.contains("7443/tcp") && told.message.contains("7450-7459/udp"),
        "{told}"
    );
    let opened = plan.steps.iter().find_map(|step| match &step.action {
        Action::AllowAgents { passages, .. } => Some(passages),
        _ => None,
    });
    let opened: Vec<String> = opened.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(opened, ["7443/tcp", "7450-7459/udp"]);
}
