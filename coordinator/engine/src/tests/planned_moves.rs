//! A server that restarts without its guests: by HA, by hand, and shut down by the operator's word; what is held after a recovery; canaries.

use std::net::IpAddr;

use quorate_model::canary::{NewCanary, TAG};
use quorate_model::facet::Facet;
use quorate_model::held::Held;
use quorate_model::lost::{Evidence, Fate, LostCopy, LostGuest, Search, Sign, Survivor, Trace, Way, Witness};
use quorate_model::moves::Moves;
use quorate_model::observation::pools::VdevState;
use quorate_model::observation::{GuestKind, Pool, ReplicationJob};
use quorate_model::{ByteSize, Timestamp};
use quorate_planner::testkit::{NOW, Servers, Vm, file, guest, job, known, name};

use super::{FAST, Scene, THREE, scene, wanting};

pub(super) fn scenes() -> Vec<Scene> {
    let managed = Vm::running(100, "prox1");
    let mut bound = Vm::running(102, "prox1");
    bound.config.bound_by = vec!["hostpci0".to_owned()];
    let guests = [managed.clone(), Vm::running(101, "prox1"), bound];
    let servers = Servers::bare(3)
        .members("hk1", THREE, FAST)
        .housing(&guests)
        .managed(&[&managed], "prox3");
    let roll = scene("a server restarts without its guests", file(3, FAST), servers);
    let roll = wanting(roll, |wish| {
        wish.moves = Some(Moves::Reboot {
            nodes: [name("prox1")].into(),
            stop: [102].into(),
        });
    });
    let mut all = vec![roll, what_is_held_is_kept(), a_lost_servers_guest_is_started()];
    all.extend(canaries());
    all
}

/// Guest 100 was recovered on prox2, and prox1, which was lost, is back with what it wrote last.
fn what_is_held_is_kept() -> Scene {
    let held = Held {
        node: "prox1".to_owned(),
        since: Timestamp(1_795_345_000_000_000),
    };
    let back = ReplicationJob {
        comment: Some(held.comment()),
        disabled: true,
        ..job("100-0", "prox2", "prox1")
    };
    let pool = |volumes: &[&str]| Pool {
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
    };
    let servers = Servers::bare(3)
        .members("hk1", THREE, FAST)
        .with_guests(&[guest(100, "prox2", "data_zfs")])
        .with_jobs(&[back])
        .with_each(|seen| {
            seen.pools = Facet::known(vec![pool(&["data_zfs/vm-100-disk-0"])], NOW);
            for zfs in &mut known(&mut seen.storages).defined {
                if zfs.id == "data_zfs" {
                    zfs.properties.insert("pool".to_owned(), "data_zfs".to_owned());
                }
            }
        });
    wanting(
        scene("what a lost server wrote is kept", file(3, FAST), servers),
        |wish| {
            wish.moves = Some(Moves::Resolve {
                guest: 100,
                node: Some(name("prox1")),
                keep: true,
            });
        },
    )
}

/// prox1 is off, and prox2 has a copy of its guest.
fn a_lost_servers_guest_is_started() -> Scene {
    let mut servers = Servers::bare(3)
        .members("hk1", THREE, FAST)
        .housing(&[Vm::running(100, "prox1")])
        .offline("prox1")
        .unreachable("prox1");
    let silent = Evidence {
        cluster: vec![Trace::new("/etc/pve/.members", Sign::Silent, "has it offline")],
        ways: vec![Way {
            name: "link 0".to_owned(),
            address: IpAddr::from([10, 10, 10, 11]),
            traces: vec![Trace::new("ping", Sign::Silent, "no answer")],
            witness: Witness::Heard("the gateway".to_owned()),
        }],
    };
    let copy = LostCopy::Of(Timestamp(NOW.0 - 60_000_000));
    let says = |fate: Fate| Survivor {
        evidence: silent.clone(),
        guests: Facet::known(
            vec![LostGuest {
                vmid: 100,
                kind: GuestKind::Vm,
                name: None,
                elsewhere: vec![],
                fate,
                copy: None,
            }],
            NOW,
        ),
        unfinished: vec![],
    };
    let recoverable = Fate::Recoverable {
        copy,
        jobs: vec!["100-0".parse().unwrap()],
        starts: true,
    };
    servers.view.lost = Some(Search {
        node: name("prox1"),
        survivors: [
            (name("prox2"), Ok(says(recoverable))),
            (name("prox3"), Ok(says(Fate::Not("no copy is here".to_owned())))),
        ]
        .into(),
        bmc: None,
    });
    wanting(
        scene("a lost server's guest is started from its copy", file(3, FAST), servers),
        |wish| {
            wish.moves = Some(Moves::Recover {
                lost: name("prox1"),
                guests: [].into(),
                expected_votes: None,
                seen_off: false,
                bmc: None,
                confirm: None,
            });
        },
    )
}

/// One is made, and one goes.
fn canaries() -> [Scene; 3] {
    let servers = |guests: &[Vm]| Servers::bare(3).members("hk1", THREE, FAST).housing(guests);
    let new = NewCanary {
        guest: Some(900),
        node: name("prox1"),
        source: "image:/srv/debian.qcow2".parse().unwrap(),
        storage: "data_zfs".parse().unwrap(),
        bridge: "vmbr0".parse().unwrap(),
        vlan: None,
        address: None,
        memory: 256,
        program: Some("ab".repeat(32).parse().unwrap()),
    };
    let mut ours = Vm::running(900, "prox1");
    ours.config.tags = vec![TAG.to_owned()];
    let made = wanting(scene("a canary is made", file(3, FAST), servers(&[])), |wish| {
        wish.moves = Some(Moves::CreateCanary(Box::new(new)));
    });
    let gone = wanting(scene("a canary goes", file(3, FAST), servers(&[ours])), |wish| {
        wish.moves = Some(Moves::RemoveCanary {
            guest: 900,
            destroy: true,
        });
    });
    let mut elsewhere = Vm::running(900, "prox2");
    elsewhere.config.tags = vec![TAG.to_owned()];
    let left = Facet::known(vec!["data_zfs/vm-900-cloudinit".to_owned()], NOW);
    let left = servers(&[elsewhere]).keeping("prox1", left);
    let cleared = wanting(scene("a canary's disc is cleared up", file(3, FAST), left), |wish| {
        wish.moves = Some(Moves::ClearCanary { guest: 900 });
    });
    [made, gone, cleared]
}
