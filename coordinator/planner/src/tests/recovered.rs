//! A server is lost, and its guests are started from their copies: which, where, and what refuses.

use std::collections::BTreeMap;

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::lost::{Evidence, Fate, LostCopy, LostGuest, Search, Sign, Survivor, Trace, Way, Witness};
use quorate_model::moves::Moves;
use quorate_model::observation::GuestKind;
use quorate_model::observation::cluster::Pmxcfs;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{Code, Timestamp, Unknown, Wish};

use super::moved::{codes, ids, refused};
use super::{told, wished};
use crate::testkit::{self, NOW, Servers, Vm, known, name};

const LINKS: &[&str] = &["10.10.10.0/24"];

fn recover(guests: &[u32], expected_votes: Option<u32>, seen_off: bool) -> Wish {
    Wish {
        moves: Some(Moves::Recover {
            lost: name("prox1"),
            guests: guests.iter().copied().collect(),
            expected_votes,
            seen_off,
            bmc: None,
            confirm: None,
        }),
        ..Wish::default()
    }
}

fn ago(minutes: i64) -> Timestamp {
    Timestamp(NOW.0 - minutes * 60_000_000)
}

/// Nothing is heard of it; on its network somebody else answers, or nobody does.
fn evidence(sign: Sign, witness: Witness) -> Evidence {
    Evidence {
        cluster: vec![Trace::new("/etc/pve/.members", Sign::Silent, "has it offline")],
        ways: vec![Way {
            name: "link 0".to_owned(),
            address: "10.10.10.11".parse().unwrap(),
            traces: vec![Trace::new("ping", sign, "what came of it")],
            witness,
        }],
    }
}

fn gateway() -> Witness {
    Witness::Heard("the gateway (192.168.1.1)".to_owned())
}

fn guest(vmid: u32, fate: Fate) -> LostGuest {
    let copy = match &fate {
        Fate::Recoverable { copy, .. } => Some(*copy),
        _ => None,
    };
    LostGuest {
        vmid,
        kind: GuestKind::Vm,
        name: Some(format!("g{vmid}")),
        elsewhere: vec![],
        fate,
        copy,
    }
}

fn copied(vmid: u32, number: u32, minutes: i64) -> LostGuest {
    let jobs = vec![format!("{vmid}-{number}").parse().unwrap()];
    guest(
        vmid,
        Fate::Recoverable {
            copy: LostCopy::Of(ago(minutes)),
            jobs,
            starts: true,
        },
    )
}

fn survivor(guests: Vec<LostGuest>) -> Survivor {
    Survivor {
        evidence: evidence(Sign::Silent, gateway()),
        guests: Facet::known(guests, NOW),
        unfinished: vec![],
    }
}

/// Three members, of which prox1 is off; these say so.
fn three(says: &[(&str, Survivor)]) -> Servers {
    let all = ["prox1", "prox2", "prox3"];
    let servers = Servers::bare(3)
        .members("hk1", &all, LINKS)
        .housing(&[Vm::running(100, "prox1"), Vm::running(101, "prox1")])
        .offline("prox1")
        .unreachable("prox1");
    asked(servers, says)
}

/// Two members without a third vote, of which prox1 is off.
fn two(says: &[(&str, Survivor)]) -> Servers {
    let servers = Servers::bare(2)
        .members("hk1", &["prox1", "prox2"], LINKS)
        .housing(&[Vm::running(100, "prox1")])
        .offline("prox1")
        .unreachable("prox1")
        .with_cluster("prox2", |cluster| cluster.pmxcfs = Pmxcfs::ReadOnly);
    asked(servers, says)
}

fn asked(mut servers: Servers, says: &[(&str, Survivor)]) -> Servers {
    let survivors: BTreeMap<_, _> = says.iter().map(|(node, one)| (name(node), Ok(one.clone()))).collect();
    servers.view.lost = Some(Search {
        node: name("prox1"),
        survivors,
        bmc: None,
    });
    servers
}

fn plan(wish: &Wish, servers: &Servers) -> Plan {
    wished(&testkit::file(3, LINKS), wish, servers)
}

#[test]
fn each_guest_is_started_from_its_newest_copy() {
    let servers = three(&[
        ("prox2", survivor(vec![copied(100, 0, 9), copied(101, 0, 2)])),
        ("prox3", survivor(vec![copied(100, 1, 4), copied(101, 1, 5)])),
    ]);
    let plan = plan(&recover(&[], None, false), &servers);
    assert_eq!(refused(&plan), [], "{}", told(&plan));
    assert_eq!(
        ids(&plan),
        [
            "recover.take/100",
            "recover.start/100",
            "recover.take/101",
            "recover.start/101"
        ]
    );
    let on: Vec<&str> = plan.steps.iter().map(|step| step.node.as_str()).collect();
    assert_eq!(on, ["prox3", "prox3", "prox2", "prox2"]);
    let Action::TakeGuest { jobs, copy, .. } = &plan.steps[0].action else {
        panic!("{:?}", plan.steps[0].action);
    };
    assert_eq!(*copy, LostCopy::Of(ago(4)));
    assert_eq!(jobs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["100-1"]);
    let copies = plan
        .findings
        .iter()
        .find(|finding| finding.subject == "guest 100")
        .unwrap();
    assert_eq!(copies.code, Code::RecoveryCopy);
    for said in [
        "VM 100 (g100) is taken over on prox3",
        "on prox2 a copy",
        "on prox3 a copy",
    ] {
        assert!(copies.message.contains(said), "{said}: {copies}");
    }
    let after = super::afterwards(&testkit::file(3, LINKS), &recover(&[], None, false), &servers, &plan);
    assert!(after.is_empty() && !after.refused(), "{}", told(&after));
    // One by name, and it alone.
    let one = super::wished(&testkit::file(3, LINKS), &recover(&[101], None, false), &servers);
    assert_eq!(ids(&one), ["recover.take/101", "recover.start/101"]);
    let strange = super::wished(&testkit::file(3, LINKS), &recover(&[999], None, false), &servers);
    assert_eq!(refused(&strange), [(Code::GuestAway, "guest 999")]);
}

#[test]
fn any_sign_of_life_refuses_whoever_heard_it_and_whatever_is_said() {
    let silent = survivor(vec![copied(100, 0, 9)]);
    let mut hears = silent.clone();
    hears.evidence = evidence(Sign::Alive, gateway());
    for wish in [recover(&[], None, false), recover(&[], None, true)] {
        let servers = three(&[("prox2", silent.clone()), ("prox3", hears.clone())]);
        let plan = plan(&wish, &servers);
        assert_eq!(refused(&plan), [(Code::LostNodeAlive, "prox1")], "{}", told(&plan));
        let finding = &plan.findings[0];
        assert!(finding.message.contains("prox3: ping at 10.10.10.11"), "{finding}");
    }
    // Its agent is heard by the coordinator alone.
    let mut servers = three(&[("prox2", silent.clone()), ("prox3", silent.clone())]);
    let alive = Servers::bare(1).view.nodes.remove(&name("prox1")).unwrap();
    servers.view.nodes.insert(name("prox1"), alive);
    let plan = crate::plan(&testkit::file(3, LINKS), &recover(&[], None, true), &servers.view);
    assert!(codes(&plan).contains(&Code::LostNodeAlive), "{}", told(&plan));
}

#[test]
fn silence_proves_something_only_where_somebody_is_heard_and_everybody_was_asked() {
    let silent = survivor(vec![copied(100, 0, 9)]);
    let mut deaf = silent.clone();
    deaf.evidence = evidence(Sign::Silent, Witness::Nobody);
    let unproven = [
        three(&[("prox2", deaf.clone()), ("prox3", deaf.clone())]),
        three(&[("prox2", silent.clone())]),
    ];
    for servers in unproven {
        let plan = plan(&recover(&[], None, false), &servers);
        assert_eq!(refused(&plan), [(Code::LostNodeUnproven, "prox1")], "{}", told(&plan));
        let seen = super::wished(&testkit::file(3, LINKS), &recover(&[], None, true), &servers);
        assert_eq!(refused(&seen), [], "{}", told(&seen));
    }
    let mut servers = three(&[("prox2", silent.clone()), ("prox3", silent)]);
    let search = servers.view.lost.as_mut().unwrap();
    let unknown = Unknown::new(UnknownKind::TimedOut, "no answer within 60 s");
    search.survivors.insert(name("prox3"), Err(unknown));
    let plan = plan(&recover(&[], None, false), &servers);
    assert_eq!(refused(&plan), [(Code::LostNodeUnproven, "prox1")]);
}

#[test]
fn what_each_hears_is_told_and_a_bmc_s_word_changes_nothing() {
    let silent = survivor(vec![copied(100, 0, 9)]);
    let mut servers = three(&[("prox2", silent.clone()), ("prox3", silent)]);
    let without = plan(&recover(&[], None, false), &servers);
    for said in ["it answers", "nothing came in time"] {
        let search = servers.view.lost.as_mut().unwrap();
        search.bmc = Some(Trace::new("a ping to its BMC at 192.0.2.9", Sign::Unproven, said));
        let with = plan(&recover(&[], None, false), &servers);
        assert_eq!((ids(&with), refused(&with)), (ids(&without), vec![]), "{}", told(&with));
        let notes = with.findings.iter().filter(|one| one.code == Code::LostNodeSilent);
        let notes: Vec<&str> = notes.map(|one| one.message.as_str()).collect();
        for who in [
            "prox2 says of prox1: ",
            "prox3 says of prox1: ",
            "the coordinator says of prox1: ",
        ] {
            assert!(notes.iter().any(|note| note.starts_with(who)), "{who}: {notes:?}");
        }
        let of_bmc = format!("a ping to its BMC at 192.0.2.9: {said}.");
        assert!(notes.iter().any(|note| note.contains(&of_bmc)), "{notes:?}");
    }
}

#[test]
fn one_that_is_no_member_and_one_of_whom_nobody_is_left_to_tell_are_refused() {
    let silent = survivor(vec![copied(100, 0, 9)]);
    let servers = three(&[("prox2", silent.clone()), ("prox3", silent)]);
    let mut wish = recover(&[], None, true);
    if let Some(Moves::Recover { lost, .. }) = &mut wish.moves {
        *lost = name("prox9");
    }
    let strange = crate::plan(&testkit::file(3, LINKS), &wish, &servers.view);
    assert!(
        refused(&strange).contains(&(Code::LostNodeUnknown, "prox9")),
        "{}",
        told(&strange)
    );
    let nobody = servers.unreachable("prox2").unreachable("prox3");
    let alone = crate::plan(&testkit::file(3, LINKS), &recover(&[], None, true), &nobody.view);
    let told_so = alone.findings.iter().find(|one| one.code == Code::LostNodeUnknown);
    let told_so = told_so.unwrap_or_else(|| panic!("{}", told(&alone)));
    assert!(
        told_so.refuses() && told_so.next.contains("quorate-agent recover --lost prox1"),
        "{told_so}"
    );
    assert!(strange.steps.is_empty() && alone.steps.is_empty());
}

#[test]
fn two_servers_take_over_by_a_word_for_the_votes() {
    let servers = two(&[("prox2", survivor(vec![copied(100, 0, 9)]))]);
    let without = wished(&testkit::file(2, LINKS), &recover(&[], None, false), &servers);
    assert_eq!(
        refused(&without),
        [(Code::RecoveryNeedsVotes, "prox2")],
        "{}",
        told(&without)
    );
    let quorum = without
        .findings
        .iter()
        .find(|finding| finding.code == Code::RecoveryQuorum)
        .unwrap();
    assert!(quorum.next.contains("third-vote.md"), "{quorum:?}");

    let plan = wished(&testkit::file(2, LINKS), &recover(&[], Some(1), false), &servers);
    assert_eq!(refused(&plan), [], "{}", told(&plan));
    assert_eq!(
        ids(&plan),
        ["recover.expect/prox1", "recover.take/100", "recover.start/100"]
    );
    // Each step says how it is undone, or that it can't be.
    let undone: Vec<String> = plan.steps.iter().map(|step| step.undo.to_string()).collect();
    assert!(undone[0].contains("systemctl restart corosync"), "{undone:?}");
    let back =
        "mv /etc/pve/nodes/prox2/qemu-server/100.conf /etc/pve/nodes/prox1/qemu-server/100.conf; pvesr enable 100-0";
    assert!(
        undone[1].contains("as long as it has not been started") && undone[1].ends_with(back),
        "{undone:?}"
    );
    assert!(undone[2].contains("NOT reversible"), "{undone:?}");

    // With guests under HA it is for whoever sits at the console.
    let managed = servers.with_ha("prox2", |ha| {
        let one = quorate_model::observation::ha::HaResource::of("started");
        known(&mut ha.resources).insert("vm:100".to_owned(), one);
    });
    let plan = wished(&testkit::file(2, LINKS), &recover(&[], Some(1), false), &managed);
    assert_eq!(refused(&plan), [(Code::RecoveryWatchdog, "prox2")], "{}", told(&plan));
}

#[test]
fn votes_are_not_forced_where_nothing_can_be_taken_over() {
    let none = survivor(vec![guest(100, Fate::Not("scsi0: no copy is here".to_owned()))]);
    let plan = wished(
        &testkit::file(2, LINKS),
        &recover(&[], Some(1), false),
        &two(&[("prox2", none)]),
    );
    assert!(plan.is_empty(), "{}", told(&plan));
    assert!(codes(&plan).contains(&Code::GuestNotRecoverable), "{}", told(&plan));
}

#[test]
fn what_ha_looks_after_is_left_to_it() {
    let managed = guest(
        100,
        Fate::Ha("HA looks after it, and takes it over by itself once there is quorum".to_owned()),
    );
    let servers = three(&[
        ("prox2", survivor(vec![managed.clone(), copied(101, 0, 2)])),
        (
            "prox3",
            survivor(vec![managed, guest(101, Fate::Not("no copy".to_owned()))]),
        ),
    ]);
    let plan = plan(&recover(&[], None, false), &servers);
    assert_eq!(ids(&plan), ["recover.take/101", "recover.start/101"]);
    let finding = plan
        .findings
        .iter()
        .find(|finding| finding.code == Code::RecoveryByHa)
        .unwrap();
    assert!(
        finding.next.contains("two minutes") && finding.next.contains("vm:100"),
        "{finding:?}"
    );
}

#[test]
fn a_newer_copy_that_would_be_overwritten_takes_a_word() {
    let mut newer = guest(100, Fate::Not("there is no vmbr1 here".to_owned()));
    newer.copy = Some(LostCopy::Of(ago(1)));
    let servers = three(&[
        ("prox2", survivor(vec![copied(100, 0, 9)])),
        ("prox3", survivor(vec![newer])),
    ]);
    let plan = plan(&recover(&[], None, false), &servers);
    assert_eq!(
        refused(&plan),
        [(Code::RecoveryNewerCopy, "guest 100")],
        "{}",
        told(&plan)
    );
    assert!(Code::RecoveryNewerCopy.entry().overridable);
    assert!(
        plan.findings[0].message.contains("prox3 has a newer copy"),
        "{}",
        plan.findings[0]
    );
}

#[test]
fn what_was_taken_and_not_started_is_gone_on_with() {
    let mut here = survivor(vec![]);
    here.unfinished = vec![100];
    let mut servers = three(&[("prox2", here), ("prox3", survivor(vec![]))]);
    servers = servers.housing(&[Vm::running(100, "prox2").stopped()]);
    let plan = plan(&recover(&[], None, false), &servers);
    assert_eq!(ids(&plan), ["recover.start/100"], "{}", told(&plan));
    let running = servers.housing(&[Vm::running(100, "prox2")]);
    let plan = super::wished(&testkit::file(3, LINKS), &recover(&[], None, false), &running);
    assert!(
        plan.is_empty() && codes(&plan).contains(&Code::PartDone),
        "{}",
        told(&plan)
    );
}
