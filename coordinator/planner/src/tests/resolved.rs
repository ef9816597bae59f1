//! What is held after a recovery: told, left alone by every plan of the file, and decided about by a word.

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::held::Held;
use quorate_model::moves::Moves;
use quorate_model::observation::Pool;
use quorate_model::observation::ha::HaPlacement;
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::replication::ReplicationJob;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::{ByteSize, Code, Timestamp, Wish};

use super::pools::ids;
use super::protection::{COPIES, applied, file, members, plan, plan_of, told};
use super::{afterwards, moved, wished};
use crate::testkit::{NOW, Servers, Vm, guest, job, known, name};

const SINCE: Timestamp = Timestamp(1_795_345_000_000_000);
const KEPT: &str = "data_zfs/quorate-kept-vm-100-disk-0-20261122T105640Z";

/// The job that leads back to prox1, which was lost, and the one to the third server.
fn jobs() -> [ReplicationJob; 2] {
    let held = Held {
        node: "prox1".to_owned(),
        since: SINCE,
    };
    let back = ReplicationJob {
        comment: Some(held.comment()),
        disabled: true,
        ..job("100-0", "prox2", "prox1")
    };
    [back, job("100-1", "prox2", "prox3")]
}

fn pool(volumes: &[&str]) -> Pool {
    Pool {
        name: "data_zfs".to_owned(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vec![],
        size: ByteSize(1 << 40),
        allocated: ByteSize(0),
        fragmentation: Some(0),
        ashift: Some(12),
        autotrim: Some(true),
        compression: Some("on".to_owned()),
        scrub_scheduled: Some(true),
        import_enabled: None,
        created: None,
        volumes: Facet::known(volumes.iter().map(|name| (*name).to_owned()).collect(), NOW),
    }
}

/// Guest 100 was recovered on prox2, and prox1 is back with these volumes.
fn recovered(volumes: &[&str]) -> Servers {
    let servers = members(&[guest(100, "prox2", "data_zfs")]).with_jobs(&jobs());
    servers
        .with_each(|seen| {
            let zfs = &mut known(&mut seen.storages).defined[0];
            zfs.properties.insert("pool".to_owned(), "data_zfs".to_owned());
        })
        .with_each(|seen| seen.pools = Facet::known(vec![pool(&["data_zfs/vm-100-disk-0"])], NOW))
        .with("prox1", |seen| seen.pools = Facet::known(vec![pool(volumes)], NOW))
}

fn resolve(keep: bool, node: Option<&str>) -> Wish {
    Wish {
        moves: Some(Moves::Resolve {
            guest: 100,
            node: node.map(name),
            keep,
        }),
        ..Wish::default()
    }
}

fn resolved(keep: bool, servers: &Servers) -> Plan {
    wished(&file(COPIES), &resolve(keep, None), servers)
}

#[test]
fn a_plan_of_the_file_leaves_it_alone_and_tells_what_to_type() {
    let servers = recovered(&["data_zfs/vm-100-disk-0"]);
    // Whatever else the file wants of the job: its comment is what says that it is held.
    for more in [
        COPIES,
        &COPIES.replace("5m", "1h"),
        &format!("{COPIES}returning_node = \"discard\"\n"),
    ] {
        let plan = plan(more, &servers);
        let of_held = |id: &&str| id.ends_with("/prox1");
        assert!(ids(&plan).iter().all(|id| !of_held(id)), "{more}: {:?}", ids(&plan));
        assert_eq!(
            told(&plan, Code::CopyHeld),
            [
                "guest 100 (web100) has no copy on prox1: what prox1 wrote before 2026-11-22T10:56:40Z, and never copied, is kept there until you decide"
            ]
        );
        let finding = plan
            .findings
            .iter()
            .find(|finding| finding.code == Code::CopyHeld)
            .unwrap();
        assert!(!finding.refuses() && finding.next.contains("quorate replication resolve 100 --keep"));
        assert_eq!(told(&plan, Code::CopyOff), Vec::<&str>::new());
    }
}

#[test]
fn a_copy_that_is_held_is_not_taken_away_though_the_file_wants_it_no_more() {
    let servers = recovered(&["data_zfs/vm-100-disk-0"]);
    let after = COPIES.replace("\"prox1\", ", "");
    let wish = Wish {
        destroy_replicas: ["replica:100@prox1".parse().unwrap()].into(),
        ..Wish::default()
    };
    // Whether a file of ours wanted it before, or none did.
    for servers in [servers.clone(), applied(servers, COPIES)] {
        let plan = plan_of(&file(&after), &wish, &servers);
        assert!(ids(&plan).iter().all(|id| !id.ends_with("/prox1")), "{:?}", ids(&plan));
        assert_eq!(told(&plan, Code::CopyHeld).len(), 1, "{:?}", plan.findings);
        assert_eq!(told(&plan, Code::CopyUnmanaged), Vec::<&str>::new());
    }
}

#[test]
fn a_guest_that_is_back_where_it_was_held_is_told_of_as_that() {
    let [back, _] = jobs();
    let turned = ReplicationJob {
        source: Some("prox1".to_owned()),
        target: "prox2".to_owned(),
        ..back
    };
    let servers = members(&[guest(100, "prox1", "data_zfs")]).with_jobs(&[turned, job("100-1", "prox1", "prox3")]);
    let told_of = plan(COPIES, &servers);
    let said = told(&told_of, Code::CopyHeld);
    assert!(said.len() == 1 && said[0].contains("it is on prox1 again"), "{said:?}");
    let plan = plan_of(&file(COPIES), &resolve(false, None), &servers);
    assert!(plan.refused() && plan.steps.is_empty(), "{plan:#?}");
    let finding = plan.findings.iter().find(|finding| finding.refuses()).unwrap();
    assert_eq!(finding.code, Code::CopyNotBack);
    assert!(
        finding.message.contains("on prox1 again") && finding.next.contains("pvesr enable 100-0"),
        "{finding}: {}",
        finding.next
    );
}

#[test]
fn discarding_is_one_step_that_says_what_it_destroys() {
    let servers = recovered(&["data_zfs/vm-100-disk-0"]);
    let plan = resolved(false, &servers);
    assert!(!plan.refused(), "{:?}", plan.findings);
    assert_eq!(ids(&plan), ["replication.resume/100/prox1"]);
    let step = &plan.steps[0];
    assert_eq!(step.node, name("prox2"));
    assert!(matches!(&step.action, Action::ChangeReplication { enable: true, .. }));
    assert_eq!(
        step.destroys,
        ["what prox1 wrote to VM 100 (web100) after its last copy, before 2026-11-22T10:56:40Z"]
    );
    let after = afterwards(&file(COPIES), &resolve(false, None), &servers, &plan);
    assert_eq!(
        told(&after, Code::CopyNotHeld),
        ["no copy of guest 100 is held: there is nothing to decide"]
    );
}

#[test]
fn keeping_renames_all_volumes_before_anything_is_copied() {
    let volumes = [
        "data_zfs/vm-100-disk-0",
        "data_zfs/vm-100-disk-1",
        "data_zfs/vm-101-disk-0",
        // Somebody else's backup of it.
        "data_zfs/backup/vm-100-disk-0",
    ];
    let servers = recovered(&volumes);
    let plan = resolved(true, &servers);
    assert!(!plan.refused(), "{:?}", plan.findings);
    assert_eq!(
        ids(&plan),
        ["replication.keep/100/prox1", "replication.resume/100/prox1"]
    );
    let [keep, resume] = plan.steps.as_slice() else {
        panic!("two steps");
    };
    assert_eq!((keep.node.as_str(), resume.node.as_str()), ("prox1", "prox2"));
    assert!(keep.why[1].contains(KEPT), "{:?}", keep.why);
    let Action::KeepVolumes { volumes, .. } = &keep.action else {
        panic!("{:?}", keep.action);
    };
    let volumes: Vec<&str> = volumes.iter().map(quorate_model::held::GuestVolume::as_str).collect();
    assert_eq!(volumes, ["data_zfs/vm-100-disk-0", "data_zfs/vm-100-disk-1"]);
    assert!(keep.destroys.is_empty() && resume.destroys.is_empty());
    assert_eq!(resume.needs, std::slice::from_ref(&keep.id));
    assert!(resume.gate.contains(&keep.done_when), "{:?}", resume.gate);
    afterwards(&file(COPIES), &resolve(true, None), &servers, &plan);
    // All of it was renamed before, and then somebody stopped: the rest is done.
    let half = recovered(&[KEPT, "data_zfs/vm-101-disk-0"]);
    assert_eq!(ids(&resolved(true, &half)), ["replication.resume/100/prox1"]);
}

#[test]
fn nothing_is_decided_where_something_is_not_known_or_not_back() {
    let refused = |servers: &Servers, wish: &Wish| {
        let plan = plan_of(&file(COPIES), wish, servers);
        assert!(plan.refused() && plan.steps.is_empty(), "{plan:#?}");
        let refusals = plan.findings.into_iter().filter(quorate_model::Finding::refuses);
        refusals.map(|finding| finding.code).collect::<Vec<_>>()
    };
    let keep = resolve(true, None);
    assert_eq!(refused(&recovered(&[]), &keep), [Code::CopyNotBack], "nothing is there");
    let elsewhere = recovered(&["data_zfs/backup/vm-100-disk-0"]);
    assert_eq!(
        refused(&elsewhere, &keep),
        [Code::CopyNotBack],
        "nothing of PVE's is there"
    );
    let hangs = recovered(&["data_zfs/vm-100-disk-0"]).with("prox1", |seen| {
        seen.storages = Facet::unknown(UnknownKind::TimedOut, "pvesm hangs");
    });
    assert!(refused(&hangs, &keep).contains(&Code::FacetUnknown));
    let hangs = recovered(&["data_zfs/vm-100-disk-0"]).with("prox1", |seen| {
        seen.pools = Facet::unknown(UnknownKind::TimedOut, "zpool hangs");
    });
    assert!(refused(&hangs, &keep).contains(&Code::FacetUnknown));
    let hangs = recovered(&["data_zfs/vm-100-disk-0"]).with("prox1", |seen| {
        known(&mut seen.pools)[0].volumes = Facet::unknown(UnknownKind::TimedOut, "zfs hangs");
    });
    assert_eq!(refused(&hangs, &keep), [Code::CopyNotBack]);
    let away = recovered(&["data_zfs/vm-100-disk-0"]).with_each(|seen| {
        let cluster = known(&mut seen.cluster);
        if let quorate_model::observation::Membership::Member(member) = &mut cluster.membership {
            for node in member.nodes.iter_mut().filter(|node| node.name == "prox1") {
                node.online = false;
            }
        }
    });
    for keep in [true, false] {
        assert!(refused(&away, &resolve(keep, None)).contains(&Code::CopyNotBack));
    }
    let there = recovered(&["data_zfs/vm-100-disk-0"]);
    assert_eq!(refused(&there, &resolve(false, Some("prox3"))), [Code::CopyNotHeld]);
    let other = Wish {
        moves: Some(Moves::Resolve {
            guest: 101,
            node: None,
            keep: false,
        }),
        ..Wish::default()
    };
    assert_eq!(refused(&there, &other), [Code::GuestAway]);
}

#[test]
fn a_guest_is_not_moved_to_where_something_of_it_is_held() {
    let servers = recovered(&["data_zfs/vm-100-disk-0"]);
    let wish = Wish {
        moves: Some(Moves::Migrate {
            guest: 100,
            target: name("prox1"),
        }),
        ..Wish::default()
    };
    let plan = plan_of(&file(COPIES), &wish, &servers);
    assert!(plan.refused(), "{plan:#?}");
    let said = told(&plan, Code::MigrationTarget);
    assert!(said.iter().any(|message| message.contains("is held")), "{said:?}");
}

/// Three servers with guests under HA on prox2; what guest 100 wrote on prox1 is held there, and prox3 has a copy of it.
fn under_ha(guests: &[Vm], placements: &[HaPlacement]) -> Servers {
    let all: Vec<&Vm> = guests.iter().collect();
    let servers = moved::servers(guests).managed(&all, "prox3").with_jobs(&jobs());
    servers.with_each(|seen| known(&mut seen.ha).placements = Facet::known(placements.to_vec(), NOW))
}

fn rule(kind: &str, services: &[&str], nodes: &[&str]) -> HaPlacement {
    HaPlacement {
        name: "rule".to_owned(),
        kind: kind.to_owned(),
        services: services.iter().map(|service| (*service).to_owned()).collect(),
        nodes: nodes.iter().map(|node| ((*node).to_owned(), None)).collect(),
        strict: true,
        no_failback: false,
        disabled: false,
        apart: false,
    }
}

#[test]
fn ha_is_not_left_to_choose_a_server_where_something_is_held() {
    let vm = [Vm::running(100, "prox2")];
    let drained = moved::plan(&moved::drain("prox2", &[]), &under_ha(&vm, &[]));
    assert_eq!(
        moved::refused(&drained),
        [(Code::CopyHeld, "guest 100")],
        "prox3 could take it, and HA may choose prox1"
    );
    let away = rule(HaPlacement::NODES, &["vm:100"], &["prox2", "prox3"]);
    let bound = moved::plan(&moved::drain("prox2", &[]), &under_ha(&vm, &[away]));
    assert!(!bound.refused(), "its rule keeps it from prox1: {:?}", bound.findings);
}

#[test]
fn a_guest_is_not_moved_where_something_is_held_of_one_that_ha_moves_along() {
    let both = [Vm::running(100, "prox2"), Vm::container(101, "prox2")];
    let wish = moved::migrate(101, "prox1");
    assert!(!moved::plan(&wish, &under_ha(&both, &[])).refused());
    let together = rule(HaPlacement::TOGETHER_OR_APART, &["vm:100", "ct:101"], &[]);
    let plan = moved::plan(&wish, &under_ha(&both, std::slice::from_ref(&together)));
    let said = told(&plan, Code::MigrationTarget);
    assert!(
        said.iter()
            .any(|message| message.contains("HA moves guest 100 along") && message.contains("resolve 100")),
        "{said:?}"
    );
    let off = HaPlacement {
        disabled: true,
        ..together
    };
    assert!(!moved::plan(&wish, &under_ha(&both, &[off])).refused());
}
