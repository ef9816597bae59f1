//! What PVE finds out half-way, or puts right behind one's back, is known before: discs, snapshots, HA's rules, Ceph, guests that start by themselves.

use quorate_model::facet::Facet;
use quorate_model::observation::guest_config::{Backing, GuestDisk, GuestSnapshot};
use quorate_model::observation::ha::{HaPlacement, ManagerStatus};
use quorate_model::observation::storages::DefinedStorage;
use quorate_model::plan::Condition;
use quorate_model::{ByteSize, Code, Timestamp};

use super::moved::{codes, drain, ids, migrate, plan, refused, replicated, roll, servers};
use super::told;
use crate::testkit::{NOW, Servers, Vm, known, name};

fn disk(key: &str, backing: Backing) -> GuestDisk {
    GuestDisk {
        key: key.to_owned(),
        backing,
        size: Some(ByteSize(1 << 30)),
        replicate: true,
        shared: false,
    }
}

fn volume(storage: &str, volume: &str) -> Backing {
    Backing::Volume {
        storage: storage.to_owned(),
        volume: volume.to_owned(),
    }
}

fn with_iso(storage: &str) -> Vm {
    let mut vm = Vm::running(100, "prox1");
    vm.config.discs = vec![disk("ide2", volume(storage, "iso/x.iso"))];
    vm
}

/// A storage of this type beside `data_zfs`, everywhere.
fn and_storage(servers: Servers, id: &str, kind: &str) -> Servers {
    servers.with_each(|seen| {
        known(&mut seen.storages).defined.push(DefinedStorage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            properties: [].into(),
        });
    })
}

fn change_manager(servers: Servers, change: fn(&mut ManagerStatus)) -> Servers {
    servers.with_each(|seen| change(known(&mut known(&mut seen.ha).manager).as_mut().unwrap()))
}

#[test]
fn a_disc_of_its_server_keeps_a_guest_there() {
    let vm = with_iso("local");
    for wish in [migrate(100, "prox2"), drain("prox1", &[]), roll(&["prox1"], &[])] {
        let plan = plan(&wish, &servers(std::slice::from_ref(&vm)));
        assert_eq!(refused(&plan), [(Code::GuestCantMove, "guest 100")]);
        let told = told(&plan);
        assert!(told.contains("ide2 has local:iso/x.iso of its server in it"), "{told}");
        assert!(told.contains("qm set 100 --ide2 none,media=cdrom"), "{told}");
    }
    let stopped = plan(&drain("prox1", &[100]), &servers(std::slice::from_ref(&vm)));
    assert_eq!(ids(&stopped), ["guest.stop/100"]);
    // Under HA it would be tried again and again, and --stop is no way out.
    let managed = servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3");
    let plan_of = plan(&drain("prox1", &[100]), &managed);
    assert_eq!(refused(&plan_of), [(Code::GuestCantMove, "guest 100")]);
    assert!(told(&plan_of).contains("qm set 100 --ide2 none,media=cdrom; or take it out of HA"));

    let mut drive = Vm::running(100, "prox1");
    drive.config.discs = vec![disk("ide2", Backing::Device("cdrom".to_owned()))];
    assert!(plan(&migrate(100, "prox2"), &servers(&[drive])).refused());
    let mut kept = Vm::running(100, "prox1");
    kept.config.snapshots = vec![GuestSnapshot {
        name: "old".to_owned(),
        disks: vec![],
        discs: vec![disk("ide2", volume("local", "iso/x.iso"))],
    }];
    let plan_of = plan(&migrate(100, "prox2"), &servers(&[kept]));
    assert!(plan_of.refused() && told(&plan_of).contains("qm delsnapshot 100 old"));

    let shared = and_storage(servers(&[with_iso("isos")]), "isos", "nfs");
    let plan_of = plan(&migrate(100, "prox2"), &shared);
    assert_eq!(ids(&plan_of), ["guest.migrate/100"], "{}", told(&plan_of));
}

#[test]
fn a_running_machine_with_snapshots_goes_only_where_it_is_replicated() {
    let with_snapshot = |mut vm: Vm| {
        vm.config.snapshots = vec![GuestSnapshot {
            name: "old".to_owned(),
            disks: vm.config.disks.clone(),
            discs: vec![],
        }];
        vm
    };
    let vm = with_snapshot(Vm::running(100, "prox1"));
    let alone = plan(&migrate(100, "prox2"), &servers(std::slice::from_ref(&vm)));
    assert_eq!(refused(&alone), [(Code::MigrationTarget, "guest 100")]);
    assert!(told(&alone).contains("qm delsnapshot 100 old"), "{}", told(&alone));
    assert!(plan(&drain("prox1", &[]), &servers(std::slice::from_ref(&vm))).refused());
    let copied = replicated(servers(&[vm]), 100, "prox1", &["prox2"]);
    assert!(!plan(&migrate(100, "prox2"), &copied).refused());
    // What does not run is copied with its snapshots, where the storage can do that.
    for vm in [
        with_snapshot(Vm::running(100, "prox1").stopped()),
        with_snapshot(Vm::container(100, "prox1")),
    ] {
        let zfs = plan(&migrate(100, "prox2"), &servers(std::slice::from_ref(&vm)));
        assert!(!zfs.refused(), "{}", told(&zfs));
        let thin = servers(&[vm]).with_each(|seen| known(&mut seen.storages).defined[0].kind = "lvmthin".to_owned());
        assert!(plan(&migrate(100, "prox2"), &thin).refused());
    }
}

#[test]
fn what_every_server_has_binds_to_none_and_what_is_not_used_is_copied_too() {
    let mut container = Vm::container(100, "prox1");
    container.config.disks.push(GuestDisk {
        shared: true,
        ..disk("mp0", Backing::Folder("/mnt/pve/nfs".to_owned()))
    });
    assert!(!plan(&migrate(100, "prox2"), &servers(&[container])).refused());
    let mut vm = Vm::running(100, "prox1");
    vm.config.disks.push(disk("unused0", volume("slow", "vm-100-disk-9")));
    let nowhere = plan(&migrate(100, "prox2"), &servers(std::slice::from_ref(&vm)));
    assert_eq!(refused(&nowhere), [(Code::MigrationTarget, "guest 100")]);
    let copied = plan(&migrate(100, "prox2"), &and_storage(servers(&[vm]), "slow", "dir"));
    let both = format!("{} of its disks are on prox1 alone", ByteSize(11 << 30));
    assert!(told(&copied).contains(&both), "{}", told(&copied));
    // ZFS over iSCSI is there from every server.
    let mut vm = Vm::running(100, "prox1");
    vm.config.disks[0].backing = volume("san", "vm-100-disk-0");
    let shared = plan(&migrate(100, "prox2"), &and_storage(servers(&[vm]), "san", "zfs"));
    assert!(!codes(&shared).contains(&Code::GuestDisksCopied), "{}", told(&shared));
}

#[test]
fn ha_would_move_a_guest_back_to_where_its_rules_want_it() {
    let vm = Vm::container(100, "prox1");
    let bound = |nodes: &[(&str, u32)], strict: bool| {
        let placement = HaPlacement {
            name: "near".to_owned(),
            kind: HaPlacement::NODES.to_owned(),
            services: vec!["ct:100".to_owned()],
            nodes: nodes
                .iter()
                .map(|(node, class)| ((*node).to_owned(), Some(*class)))
                .collect(),
            strict,
            no_failback: false,
            disabled: false,
            apart: false,
        };
        servers(std::slice::from_ref(&vm))
            .managed(&[&vm], "prox3")
            .with_each(|seen| known(&mut seen.ha).placements = Facet::known(vec![placement.clone()], NOW))
    };
    let strict = bound(&[("prox1", 1), ("prox3", 1)], true);
    let out = plan(&migrate(100, "prox2"), &strict);
    assert_eq!(refused(&out), [(Code::MigrationTarget, "guest 100")]);
    assert!(
        told(&out).contains("the rule near lets ct:100 run on prox1, prox3 alone"),
        "{}",
        told(&out)
    );
    assert!(!plan(&migrate(100, "prox3"), &strict).refused());
    // Drained, it goes to what the rule leaves, and to nothing else.
    assert!(!plan(&drain("prox1", &[]), &strict).refused());
    assert!(plan(&drain("prox1", &[]), &bound(&[("prox1", 1)], true)).refused());
    let preferred = bound(&[("prox1", 2), ("prox2", 1)], true);
    let out = plan(&migrate(100, "prox2"), &preferred);
    assert!(out.refused() && told(&out).contains("prefers prox1"), "{}", told(&out));
    assert!(
        !plan(&drain("prox1", &[]), &preferred).refused(),
        "then prox1 is not there"
    );
    let stays = preferred.with_each(|seen| {
        let resources = known(&mut known(&mut seen.ha).resources);
        resources.get_mut("ct:100").unwrap().failback = Some(false);
    });
    assert!(!plan(&migrate(100, "prox2"), &stays).refused());
}

#[test]
fn nothing_is_left_with_a_master_that_is_silent() {
    let vm = Vm::running(100, "prox1");
    let silent = change_manager(servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3"), |manager| {
        manager.at = Timestamp(NOW.0 - 60_000_000);
    });
    for wish in [migrate(100, "prox2"), drain("prox1", &[])] {
        let plan = plan(&wish, &silent);
        assert_eq!(refused(&plan), [(Code::GuestCantMove, "guest 100")]);
        assert!(told(&plan).contains("has written nothing for 1 min"), "{}", told(&plan));
    }
}

#[test]
fn no_server_restarts_where_there_is_ceph() {
    let ceph = servers(&[]).with("prox2", |seen| {
        known(&mut seen.config).ceph_daemons = Facet::known(vec!["osd.3".to_owned()], NOW);
    });
    let monitors = servers(&[]).with_each(|seen| {
        known(&mut seen.config).ceph_monitors = Facet::known(Some(vec!["prox1".to_owned()]), NOW);
    });
    for servers in [ceph, monitors] {
        let plan = plan(&roll(&["prox3"], &[]), &servers);
        assert_eq!(refused(&plan), [(Code::NodeNotSpare, "prox3")]);
        assert!(told(&plan).contains("whether Ceph can do without"), "{}", told(&plan));
    }
    // A ceph.conf of clients alone names no monitor of this cluster.
    let client = servers(&[]).with_each(|seen| {
        known(&mut seen.config).ceph_monitors = Facet::known(Some(vec![]), NOW);
    });
    assert!(!plan(&roll(&["prox3"], &[]), &client).refused());
}

#[test]
fn what_starts_by_itself_and_what_is_down_twice_is_said_before() {
    let off = Vm::running(104, "prox1").stopped();
    let moved = Vm::container(105, "prox1");
    let servers = servers(&[off.clone(), moved]);
    let rolled = plan(&roll(&["prox1"], &[]), &servers);
    assert!(
        codes(&rolled).contains(&Code::GuestStartsAtBoot) && !rolled.refused(),
        "{}",
        told(&rolled)
    );
    assert!(told(&rolled).contains("PVE starts it when prox1 is back (onboot)"));
    assert!(
        told(&rolled).contains("s down, and again when it comes back"),
        "{}",
        told(&rolled)
    );
    let drained = plan(&drain("prox1", &[]), &servers);
    assert!(!codes(&drained).contains(&Code::GuestStartsAtBoot) && !told(&drained).contains("and again"));
    let mut stays = off.clone();
    stays.config.starts_at_boot = false;
    let quiet = plan(&roll(&["prox1"], &[]), &super::moved::servers(&[stays]));
    assert!(!codes(&quiet).contains(&Code::GuestStartsAtBoot));
    let managed = super::moved::servers(std::slice::from_ref(&off)).managed(&[&off], "prox3");
    assert!(
        !codes(&plan(&roll(&["prox1"], &[]), &managed)).contains(&Code::GuestStartsAtBoot),
        "HA keeps it"
    );
}

#[test]
fn the_end_of_a_maintenance_does_not_wait_for_a_server_that_is_lost() {
    let vm = Vm::running(100, "prox2");
    let servers = change_manager(servers(std::slice::from_ref(&vm)).managed(&[&vm], "prox3"), |manager| {
        manager.nodes.insert("prox1".to_owned(), "maintenance".to_owned());
    });
    let over = Condition::Maintenance {
        cluster: "hk1".parse().unwrap(),
        node: name("prox1"),
        on: false,
        seen_by: name("prox2"),
    };
    assert!(!over.judge(&servers.view).holds(), "its LRM is still to leave it");
    let lost = servers.with_each(|seen| {
        let quorate_model::observation::Membership::Member(member) = &mut known(&mut seen.cluster).membership else {
            panic!("a member")
        };
        for node in member.nodes.iter_mut().filter(|node| node.name == "prox1") {
            node.online = false;
        }
    });
    let verdict = over.judge(&lost.view);
    assert!(verdict.holds(), "{verdict:?}");
    let asked = change_manager(lost, |manager| {
        manager.maintenance.insert("prox1".to_owned());
    });
    assert!(!over.judge(&asked.view).holds());
}
