//! What becomes of the guests if a server is lost: by PVE's own choice, and whether they could run there.

use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::ConfiguredGuest;
use quorate_model::observation::guest_config::{Backing, GuestDisk};
use quorate_model::observation::ha::{Disarm, HaPlace, HaPlacement, HaResource, ManagerStatus};
use quorate_model::observation::storages::{StorageState, StorageStatus};
use quorate_model::outlook::{Answer, Asks, Fate, Outlook, outlook};
use quorate_model::size::ByteSize;

use super::protection::{jobs, members};
use crate::testkit::{NOW, Servers, guest, known, name};

fn vm(vmid: u32) -> ConfiguredGuest {
    guest(vmid, "prox1", "data_zfs")
}

/// Guests of prox1 under HA, and 200 on prox2, which makes that one the fuller.
fn guests() -> Vec<ConfiguredGuest> {
    vec![vm(100), vm(101), guest(200, "prox2", "data_zfs")]
}

fn placement(kind: &str, services: &[&str], nodes: &[&str]) -> HaPlacement {
    HaPlacement {
        name: "theirs".to_owned(),
        kind: kind.to_owned(),
        services: services.iter().map(|sid| (*sid).to_owned()).collect(),
        nodes: nodes.iter().map(|node| ((*node).to_owned(), None)).collect(),
        strict: true,
        no_failback: true,
        disabled: false,
        apart: false,
    }
}

/// Three servers with these guests, of which 100 has fresh copies on the two others, and all storages active.
fn servers(under_ha: &[u32], placements: &[HaPlacement]) -> Servers {
    members(&guests())
        .with_jobs(&jobs())
        .of_pve("9.2.11")
        .with_shared_ha(|ha| {
            for vmid in under_ha {
                known(&mut ha.resources).insert(format!("vm:{vmid}"), HaResource::of("started"));
            }
            ha.placements = Facet::known(placements.to_vec(), NOW);
            ha.version = Facet::known("5.2.0".to_owned(), NOW);
        })
        .with_each(|seen| {
            let status = StorageStatus {
                id: "data_zfs".to_owned(),
                kind: "zfspool".to_owned(),
                state: StorageState::Active,
                total: None,
                used: None,
                complaint: None,
            };
            known(&mut seen.storages).status = Facet::known(vec![status], NOW);
            seen.guests = Facet::known(guests().into_iter().map(|one| one.guest).collect(), NOW);
        })
}

fn lost(servers: &Servers) -> Outlook {
    outlook(&servers.view, &name("prox2"), &name("prox1")).unwrap()
}

fn fate(outlook: &Outlook, vmid: u32) -> &Fate {
    let mut guests = outlook.guests.iter();
    &guests
        .find(|guest| guest.vmid == vmid)
        .expect("it is on that server")
        .fate
}

fn answer(outlook: &Outlook, vmid: u32, asks: Asks) -> Answer {
    let guest = outlook
        .guests
        .iter()
        .find(|guest| guest.vmid == vmid)
        .expect("it is there");
    let check = guest.checks.iter().find(|check| check.asks == asks);
    check.expect("it was asked").answer.clone()
}

#[test]
fn the_emptier_server_gets_the_first_one_and_a_guest_that_nobody_looks_after_stays_down() {
    let seen = lost(&servers(&[100], &[]));
    assert!(matches!(seen.quorum, Answer::Yes(_)), "{:?}", seen.quorum);
    assert_eq!(*fate(&seen, 100), Fate::Recovered { on: name("prox3") });
    assert!(matches!(fate(&seen, 101), Fate::StaysDown { .. }));
    let disks = answer(&seen, 100, Asks::Disks);
    assert!(
        matches!(&disks, Answer::Yes(reason) if reason.contains("1 min")),
        "{disks:?}"
    );
    assert!(matches!(answer(&seen, 100, Asks::Storage), Answer::Yes(_)));
}

#[test]
fn pve_does_not_look_where_a_copy_is_and_we_do() {
    let seen = lost(&servers(&[100, 101], &[]));
    // Each takes room for the next one.
    assert_eq!(*fate(&seen, 100), Fate::Recovered { on: name("prox3") });
    assert_eq!(*fate(&seen, 101), Fate::Recovered { on: name("prox2") });
    assert!(
        matches!(answer(&seen, 101, Asks::Disks), Answer::No(_)),
        "nobody copies it"
    );
}

#[test]
fn a_strict_rule_and_those_who_must_keep_apart_are_followed() {
    let strict = placement(HaPlacement::NODES, &["vm:100"], &["prox1", "prox2"]);
    assert_eq!(
        *fate(&lost(&servers(&[100], &[strict])), 100),
        Fate::Recovered { on: name("prox2") }
    );
    let nowhere = placement(HaPlacement::NODES, &["vm:100"], &["prox1"]);
    assert!(matches!(
        fate(&lost(&servers(&[100], &[nowhere])), 100),
        Fate::Waits { .. }
    ));
    let apart = HaPlacement {
        apart: true,
        ..placement(HaPlacement::TOGETHER_OR_APART, &["vm:100", "vm:101"], &[])
    };
    let seen = lost(&servers(&[100, 101], &[apart]));
    assert_ne!(fate(&seen, 100).nodes(), fate(&seen, 101).nodes());
}

#[test]
fn what_is_not_known_is_unproven_and_what_does_not_fit_is_no() {
    let unseen = servers(&[100], &[]).with("prox1", |seen| {
        seen.replication = Facet::unknown(UnknownKind::TimedOut, "no answer");
    });
    assert!(matches!(answer(&lost(&unseen), 100, Asks::Disks), Answer::Unproven(_)));
    let small = servers(&[100], &[]).with("prox3", |seen| known(&mut seen.system).memory.total = ByteSize(1 << 30));
    assert!(matches!(answer(&lost(&small), 100, Asks::Memory), Answer::No(_)));
    let inactive = servers(&[100], &[]).with("prox3", |seen| {
        known(&mut known(&mut seen.storages).status)[0].state = StorageState::Inactive;
    });
    assert!(matches!(answer(&lost(&inactive), 100, Asks::Storage), Answer::No(_)));
    let blind = servers(&[100], &[]).with_shared_ha(|ha| {
        ha.placements = Facet::unknown(UnknownKind::Unparsable, "rules.cfg: line 3");
    });
    assert!(matches!(fate(&lost(&blind), 100), Fate::Unknown { .. }));
    // What the choice counts is not known: it is one of them, and the reason is told.
    let uncounted = servers(&[100], &[]).with("prox3", |seen| {
        seen.running = Facet::unknown(UnknownKind::TimedOut, "no answer");
    });
    let seen = lost(&uncounted);
    assert!(
        matches!(fate(&seen, 100), Fate::OneOf { nodes, .. } if nodes.len() == 2),
        "{:?}",
        fate(&seen, 100)
    );
}

#[test]
fn while_ha_is_disarmed_or_has_given_a_guest_up_nothing_is_started() {
    let with = |state: &str, disarm: Option<Disarm>| {
        let state = state.to_owned();
        servers(&[100], &[]).with_shared_ha(move |ha| {
            let place = HaPlace {
                node: "prox1".to_owned(),
                state: state.clone(),
                target: None,
                command: None,
                uid: None,
            };
            let manager = ManagerStatus {
                master: "prox2".to_owned(),
                at: NOW,
                nodes: [].into(),
                services: [("vm:100".to_owned(), place)].into(),
                disarm: disarm.clone(),
                maintenance: [].into(),
            };
            ha.manager = Facet::known(Some(manager), NOW);
        })
    };
    let disarmed = Disarm {
        mode: "freeze".to_owned(),
        state: "disarmed".to_owned(),
    };
    for servers in [
        with("started", Some(disarmed)),
        with("freeze", None),
        with("error", None),
    ] {
        assert!(matches!(fate(&lost(&servers), 100), Fate::Waits { .. }));
    }
    assert!(matches!(
        fate(&lost(&with("started", None)), 100),
        Fate::Recovered { .. }
    ));
}

fn decided(servers: Servers, change: fn(&mut ManagerStatus)) -> Servers {
    servers.with_shared_ha(move |ha| {
        let mut manager = ManagerStatus {
            master: "prox2".to_owned(),
            at: NOW,
            nodes: ["prox1", "prox2", "prox3"]
                .map(|node| (node.to_owned(), "online".to_owned()))
                .into(),
            services: [].into(),
            disarm: None,
            maintenance: [].into(),
        };
        change(&mut manager);
        ha.manager = Facet::known(Some(manager), NOW);
    })
}

fn place(node: &str, state: &str, target: Option<&str>) -> HaPlace {
    HaPlace {
        node: node.to_owned(),
        state: state.to_owned(),
        target: target.map(str::to_owned),
        command: None,
        uid: None,
    }
}

#[test]
fn a_server_in_maintenance_gets_nothing() {
    let drained = |manager: &mut ManagerStatus| {
        manager.nodes.insert("prox3".to_owned(), "maintenance".to_owned());
    };
    let seen = lost(&decided(servers(&[100], &[]), drained));
    assert_eq!(*fate(&seen, 100), Fate::Recovered { on: name("prox2") });
    assert_eq!(seen.rooms.keys().collect::<Vec<_>>(), [&name("prox2")]);
    let strict = placement(HaPlacement::NODES, &["vm:100"], &["prox1", "prox3"]);
    let seen = lost(&decided(servers(&[100], &[strict]), drained));
    assert!(matches!(fate(&seen, 100), Fate::Waits { .. }));
}

#[test]
fn an_old_word_of_the_master_is_no_promise() {
    let silent = decided(servers(&[100], &[]), |manager| {
        manager.at = quorate_model::Timestamp(NOW.0 - 720_000_000);
    });
    let seen = lost(&silent);
    assert!(
        matches!(fate(&seen, 100), Fate::Waits { reason } if reason.contains("written nothing for 12 min")),
        "{:?}",
        fate(&seen, 100)
    );
}

#[test]
fn what_has_failed_and_what_is_on_its_way_takes_room() {
    // Without them prox3, which is the emptier one, would be chosen.
    let failed = |manager: &mut ManagerStatus| {
        manager
            .services
            .insert("vm:100".to_owned(), place("prox1", "started", None));
        manager
            .services
            .insert("vm:101".to_owned(), place("prox1", "migrate", Some("prox3")));
    };
    let seen = lost(&decided(servers(&[100, 101], &[]), failed));
    assert_eq!(
        *fate(&seen, 100),
        Fate::Recovered { on: name("prox2") },
        "one is coming to prox3"
    );
    let error = |manager: &mut ManagerStatus| {
        manager
            .services
            .insert("vm:200".to_owned(), place("prox2", "error", None));
    };
    let seen = lost(&decided(servers(&[100, 200], &[]), error));
    assert_eq!(
        *fate(&seen, 100),
        Fate::Recovered { on: name("prox3") },
        "the one in error counts on prox2"
    );
}

#[test]
fn a_disc_of_the_lost_server_keeps_a_guest_from_starting_elsewhere() {
    let with = |storage: &str| {
        let storage = storage.to_owned();
        let servers = servers(&[100], &[]).with_each(move |seen| {
            let guests = known(&mut known(&mut seen.config).guests);
            known(&mut guests[0].config).discs = vec![GuestDisk {
                key: "ide2".to_owned(),
                backing: Backing::Volume {
                    storage: storage.clone(),
                    volume: "iso/x.iso".to_owned(),
                },
                size: None,
                replicate: true,
                shared: false,
            }];
        });
        answer(&lost(&servers), 100, Asks::Disks)
    };
    let answer = with("local");
    assert!(
        matches!(&answer, Answer::No(reason) if reason == "ide2 has local:iso/x.iso of prox1 in it"),
        "{answer:?}"
    );
}
