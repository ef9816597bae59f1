//! What the whole cluster says against a disk.

use quorate_model::NodeName;
use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{ReasonKind, Role, judge};
use quorate_model::observation::guests::{GuestDevice, HostDevice};

use crate::disks::across;
use crate::testkit::{NOW, Servers, disk};

/// `prox1` to `prox3`, a cluster, each with `/dev/sdb` and `/dev/sdc` of its own.
pub(super) fn servers() -> Servers {
    let mut servers = Servers::bare(3).members("hk1", &["prox1", "prox2", "prox3"], &["192.168.1.0/24"]);
    for n in 1..=3 {
        let disks = vec![disk("/dev/sdb", &format!("{n}b")), disk("/dev/sdc", &format!("{n}c"))];
        servers = servers.with(&format!("prox{n}"), |seen| {
            seen.disks = Facet::known(Disks { disks: disks.clone() }, NOW);
        });
    }
    servers
}

/// What is said against a disk, for any role.
fn against(servers: &Servers, node: &str, path: &str) -> Vec<(ReasonKind, String)> {
    let node: NodeName = node.parse().unwrap();
    let disks = across(&servers.view).remove(&node).unwrap();
    let disk = disks.get().unwrap().disks.iter().find(|d| d.path == path).unwrap();
    let of = |index: usize| -> Vec<_> {
        let verdict = &disk.verdicts[index];
        verdict.against.iter().map(|r| (r.kind, r.text.clone())).collect()
    };
    assert_eq!(of(0), of(1), "it is so for every role");
    of(0)
}

fn kinds(servers: &Servers, node: &str, path: &str) -> Vec<ReasonKind> {
    against(servers, node, path).into_iter().map(|(kind, _)| kind).collect()
}

/// As every member reads it: the cluster's files are the same everywhere.
fn given(servers: Servers, on: &str, device: HostDevice) -> Servers {
    let given = GuestDevice {
        vmid: 104,
        key: "scsi1".into(),
        node: on.into(),
        device,
    };
    servers.with_each(|seen| {
        if let Facet::Known { value, .. } = &mut seen.config {
            value.guest_devices = Facet::known(vec![given.clone()], NOW);
        }
    })
}

#[test]
fn disks_that_nobody_else_has_a_claim_to_stay_as_their_server_judged_them() {
    let servers = servers();
    for node in ["prox1", "prox2", "prox3"] {
        assert_eq!(against(&servers, node, "/dev/sdb"), []);
    }
}

#[test]
fn a_lun_that_several_servers_see_is_no_server_s_own() {
    let shared = servers().with("prox3", |seen| {
        let mut lun = disk("/dev/sdc", "1B");
        lun.by_id.clear();
        seen.disks = Facet::known(Disks { disks: vec![lun] }, NOW);
    });
    let [(kind, text)] = &against(&shared, "prox1", "/dev/sdb")[..] else {
        panic!("one reason");
    };
    assert_eq!(*kind, ReasonKind::SharedLun);
    assert!(text.contains("/dev/sdc of prox3"), "{text}");
    assert_eq!(kinds(&shared, "prox3", "/dev/sdc"), [ReasonKind::SharedLun]);
    assert_eq!(kinds(&shared, "prox2", "/dev/sdb"), []);
}

#[test]
fn one_disk_by_two_paths_of_a_server_is_told() {
    let twice = servers().with("prox1", |seen| {
        let disks = vec![disk("/dev/sdb", "1b"), disk("/dev/sdd", "1b")];
        seen.disks = Facet::known(Disks { disks }, NOW);
    });
    assert_eq!(kinds(&twice, "prox1", "/dev/sdb"), [ReasonKind::SharedLun]);
    assert_eq!(kinds(&twice, "prox1", "/dev/sdd"), [ReasonKind::SharedLun]);
}

#[test]
fn a_disk_that_a_guest_is_given_is_in_use() {
    let path = |text: &str| HostDevice::Path(text.into());
    // A kernel name means the disk of the guest's own server, whole or in part.
    for named in ["/dev/sdb", "/dev/sdb1"] {
        let servers = given(servers(), "prox2", path(named));
        let told = against(&servers, "prox2", "/dev/sdb");
        assert_eq!(told.len(), 1, "{named}");
        assert!(
            told[0].0 == ReasonKind::GivenToGuest && told[0].1.contains("104"),
            "{told:?}"
        );
        assert_eq!(kinds(&servers, "prox2", "/dev/sdc"), []);
        assert_eq!(kinds(&servers, "prox1", "/dev/sdb"), []);
    }
    // A link by identity means the disk wherever it is: disks move, and guests do.
    for named in ["ata-SAMSUNG_1b", "wwn-0x5002538e1b-part3"] {
        let servers = given(servers(), "prox3", path(&format!("/dev/disk/by-id/{named}")));
        assert_eq!(
            kinds(&servers, "prox1", "/dev/sdb"),
            [ReasonKind::GivenToGuest],
            "{named}"
        );
        assert_eq!(kinds(&servers, "prox1", "/dev/sdc"), []);
    }
    // Which disk other links mean stands in no observation.
    let by_path = given(servers(), "prox1", path("/dev/disk/by-path/pci-0000:03:00.0-ata-2"));
    assert_eq!(kinds(&by_path, "prox1", "/dev/sdb"), [ReasonKind::GivenToGuest]);
    assert_eq!(kinds(&by_path, "prox1", "/dev/sdc"), [ReasonKind::GivenToGuest]);
    assert_eq!(kinds(&by_path, "prox2", "/dev/sdc"), []);
    // What is no disk concerns none.
    let serial = given(servers(), "prox1", path("/dev/ttyS0"));
    assert_eq!(kinds(&serial, "prox1", "/dev/sdb"), []);
}

#[test]
fn a_controller_that_a_guest_is_given_takes_its_disks_along() {
    let servers = given(servers(), "prox1", HostDevice::Pci("0000:03:00".into()));
    assert_eq!(kinds(&servers, "prox1", "/dev/sdb"), [ReasonKind::GivenToGuest]);
    assert_eq!(kinds(&servers, "prox2", "/dev/sdb"), [], "another server's slot");
}

#[test]
fn while_it_is_not_known_what_guests_are_given_no_disk_is_free() {
    let unseen = servers().with_config("prox2", |config| {
        config.guest_devices = Facet::unknown(UnknownKind::Failed, "/etc/pve does not answer");
    });
    let told = against(&unseen, "prox2", "/dev/sdb");
    assert_eq!(told[0].0, ReasonKind::GuestsUnseen);
    assert!(told[0].1.contains("/etc/pve does not answer"), "{told:?}");
    assert_eq!(kinds(&unseen, "prox1", "/dev/sdb"), []);
}

/// Changes the disks of prox1, and judges them anew.
fn on_prox1(servers: Servers, change: impl Fn(&mut Vec<Disk>)) -> Servers {
    servers.with("prox1", |seen| {
        if let Facet::Known { value, .. } = &mut seen.disks {
            change(&mut value.disks);
            for disk in &mut value.disks {
                disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
            }
        }
    })
}

fn notes(servers: &Servers, path: &str) -> Vec<String> {
    let node: NodeName = "prox1".parse().unwrap();
    let disks = across(&servers.view).remove(&node).unwrap();
    let disk = disks.get().unwrap().disks.iter().find(|d| d.path == path).unwrap();
    disk.verdicts[0].notes.clone()
}

#[test]
fn a_disk_that_nobody_has_read_is_not_taken_for_empty() {
    let servers = on_prox1(servers(), |disks| disks[0].edges = Facet::not_asked());
    assert_eq!(kinds(&servers, "prox1", "/dev/sdb"), [ReasonKind::EdgesUnseen]);
    assert_eq!(kinds(&servers, "prox1", "/dev/sdc"), []);
    // Nobody reads what is not free: nothing more is to be said of it.
    let servers = on_prox1(servers, |disks| disks[0].read_only = true);
    assert_eq!(kinds(&servers, "prox1", "/dev/sdb"), [ReasonKind::ReadOnly]);
}

#[test]
fn a_disk_whose_serial_names_none_or_several_says_by_what_it_is_named() {
    let twins = on_prox1(servers(), |disks| disks[1].serial = disks[0].serial.clone());
    let note = "shares its serial number 1b with /dev/sdc: it can be named only by WWN 0x5002538e1b or ata-SAMSUNG_1b";
    assert_eq!(notes(&twins, "/dev/sdb"), [note]);
    let bare = on_prox1(servers(), |disks| {
        disks[0].serial = None;
        disks[0].by_id.clear();
    });
    assert_eq!(
        notes(&bare, "/dev/sdb"),
        ["has no serial number: it can be named only by WWN 0x5002538e1b"]
    );
    assert_eq!(notes(&bare, "/dev/sdc"), [""; 0]);
    let alike = on_prox1(twins, |disks| {
        for disk in disks {
            disk.by_id.clear();
            disk.wwn = None;
        }
    });
    let note = "shares its serial number 1b with /dev/sdc, and nothing else names it alone";
    assert_eq!(notes(&alike, "/dev/sdb"), [note]);
}
