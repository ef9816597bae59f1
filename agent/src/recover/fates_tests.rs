use quorate_model::facet::{Facet, UnknownKind};
use quorate_model::observation::ha::{Disarm, HaPlace, HaResource, ManagerStatus};
use quorate_model::observation::storages::StorageStatus;
use quorate_model::observation::{GuestKind, ReplicationJob};

use super::*;
use crate::operations::testing::config;

pub(crate) const NOW: Timestamp = Timestamp(2_000_000_000);

fn known<T>(value: T) -> Facet<T> {
    Facet::known(value, NOW)
}

/// A machine with one disk on data_zfs.
fn settings() -> GuestConfig {
    GuestConfig {
        name: Some("web1".to_owned()),
        memory: quorate_model::ByteSize(1 << 30),
        cpus: Some(1),
        cpu_type: None,
        tags: vec![],
        template: false,
        lock: None,
        starts_at_boot: true,
        agent: false,
        disks: vec![disk("scsi0", "data_zfs", "vm-100-disk-0")],
        discs: vec![],
        snapshots: vec![],
        nics: vec![],
        bound_by: vec![],
        created: None,
    }
}

fn disk(key: &str, storage: &str, volume: &str) -> GuestDisk {
    GuestDisk {
        key: key.to_owned(),
        backing: Backing::Volume {
            storage: storage.to_owned(),
            volume: volume.to_owned(),
        },
        size: None,
        replicate: true,
        shared: false,
    }
}

fn storage(id: &str, kind: &str, more: &[(&str, &str)]) -> DefinedStorage {
    DefinedStorage {
        id: id.to_owned(),
        kind: kind.to_owned(),
        properties: more
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn storages() -> Storages {
    let defined = vec![
        storage("data_zfs", "zfspool", &[("pool", "data_zfs")]),
        storage("nas", "nfs", &[]),
        storage("local-lvm", "lvmthin", &[]),
        storage("other", "zfspool", &[("pool", "other"), ("nodes", "prox1")]),
    ];
    let status = defined.iter().map(|one| StorageStatus {
        id: one.id.clone(),
        kind: one.kind.clone(),
        state: StorageState::Active,
        total: None,
        used: None,
        complaint: None,
    });
    Storages {
        status: known(status.collect()),
        defined,
    }
}

fn held(snapshots: &[&str]) -> Held {
    let replicated: Vec<_> = snapshots.iter().filter_map(|name| zfs_list::replicated(name)).collect();
    let datasets = snapshots
        .iter()
        .filter_map(|name| Some(name.split_once('@')?.0.to_owned()));
    let names = Names {
        datasets: datasets.collect(),
        snapshots: replicated,
    };
    Held {
        below: BTreeMap::from([("data_zfs".to_owned(), Ok(names))]),
    }
}

const SNAPSHOT: &str = "data_zfs/vm-100-disk-0@__replicate_100-0_1400__";

fn ha(state: Option<&str>) -> Ha {
    let resources = state.map(|state| ("vm:100".to_owned(), HaResource::of(state)));
    Ha {
        version: Facet::not_asked(),
        watchdog_armed: false,
        lrm: Facet::not_asked(),
        crm: Facet::not_asked(),
        lrm_status: Facet::not_asked(),
        manager: known(None),
        resources: known(resources.into_iter().collect()),
        placements: Facet::not_asked(),
    }
}

struct World {
    config: PveConfig,
    ha: Ha,
    storages: Storages,
    held: Held,
}

impl World {
    fn with(change: impl FnOnce(&mut GuestConfig)) -> Self {
        let mut guest = settings();
        change(&mut guest);
        let mut config = config();
        config.guests = known(vec![
            ConfiguredGuest {
                guest: quorate_model::observation::Guest {
                    vmid: 100,
                    node: "prox1".to_owned(),
                    kind: GuestKind::Vm,
                },
                config: known(guest),
            },
            ConfiguredGuest {
                guest: quorate_model::observation::Guest {
                    vmid: 200,
                    node: "prox2".to_owned(),
                    kind: GuestKind::Vm,
                },
                config: known(settings()),
            },
        ]);
        config.replication = known(vec![
            ReplicationJob::of("100-0", 100, "prox2"),
            ReplicationJob::of("100-1", 100, "prox3"),
        ]);
        Self {
            config,
            ha: ha(None),
            storages: storages(),
            held: held(&["data_zfs/vm-100-disk-0@__replicate_100-0_900__", SNAPSHOT]),
        }
    }

    fn guest(&self) -> Guest {
        let own = "prox2".parse().unwrap();
        let seen = Seen {
            own: &own,
            lost: "prox1",
            config: &self.config,
            ha: Ok(&self.ha),
            storages: Ok(&self.storages),
            network: Err(&Unknown::not_asked()),
            held: &self.held,
        };
        let guests = seen.guests().unwrap();
        assert_eq!(guests.len(), 1, "those of others are none of the lost server's");
        guests.into_iter().next().unwrap()
    }

    fn fate(&self) -> Fate {
        self.guest().fate
    }

    fn why(&self) -> String {
        match self.fate() {
            Fate::Not(why) => why,
            fate => panic!("{fate:?}"),
        }
    }
}

#[test]
fn a_guest_whose_disks_replication_has_brought_can_be_started() {
    let fate = World::with(|_| {}).fate();
    let wanted = Fate::Recoverable {
        copy: Copy::Of(Timestamp::from_seconds(1400)),
        jobs: vec!["100-0".parse().unwrap()],
        starts: true,
    };
    assert_eq!(fate, wanted, "the newest snapshot counts, and the job to prox3 stays");
    assert_eq!(World::with(|_| {}).guest().elsewhere, ["prox3"]);
    let shared = World::with(|guest| guest.disks = vec![disk("scsi0", "nas", "vm-100-disk-0")]);
    assert!(matches!(shared.fate(), Fate::Recoverable { copy: Copy::Whole, .. }));
    let mut two = World::with(|guest| guest.disks.push(disk("scsi1", "data_zfs", "vm-100-disk-1")));
    two.held = held(&[SNAPSHOT, "data_zfs/vm-100-disk-1@__replicate_100-0_900__"]);
    let oldest = Copy::Uneven(Timestamp::from_seconds(900));
    assert!(matches!(two.fate(), Fate::Recoverable { copy, .. } if copy == oldest));
}

#[test]
fn ha_and_templates_are_left_alone() {
    let mut world = World::with(|_| {});
    world.ha = ha(Some("started"));
    assert!(matches!(world.fate(), Fate::Ha(why) if why.contains("takes it over by itself")));
    world.ha = ha(Some("ignored"));
    assert!(matches!(world.fate(), Fate::Recoverable { .. }));
    world.ha.resources = Facet::unknown(UnknownKind::Unparsable, "odd");
    assert!(world.why().contains("whether HA looks after it is not known"));
    assert_eq!(World::with(|guest| guest.template = true).fate(), Fate::Template);
}

#[test]
fn without_a_copy_here_it_says_why() {
    let mut missing = World::with(|_| {});
    missing.held = held(&[]);
    assert_eq!(
        missing.why(),
        "scsi0: no copy is here: there is no data_zfs/vm-100-disk-0 here"
    );
    let mut foreign = World::with(|_| {});
    foreign.held = held(&["data_zfs/vm-100-disk-0@before-upgrade"]);
    assert!(foreign.why().contains("replication has not brought it"));
    let mut blind = World::with(|_| {});
    let unknown = Err(Unknown::new(UnknownKind::TimedOut, "zfs hangs"));
    blind.held.below.insert("data_zfs".to_owned(), unknown);
    assert!(blind.why().contains("zfs hangs"));
    let on = |storage: &str| World::with(|guest| guest.disks = vec![disk("scsi0", storage, "vm-100-disk-0")]).why();
    assert!(on("local-lvm").contains("lvmthin"), "{}", on("local-lvm"));
    assert!(on("other").contains("is not for prox2"));
    assert!(on("nothing").contains("there is no storage nothing"));
    let device = World::with(|guest| {
        guest.disks = vec![GuestDisk {
            backing: Backing::Device("/dev/sdb".to_owned()),
            ..disk("scsi1", "x", "x")
        }];
    });
    assert!(device.why().contains("scsi1 is /dev/sdb of prox1"));
}

#[test]
fn what_would_not_start_is_left_alone() {
    let locked = World::with(|guest| guest.lock = Some("migrate".to_owned()));
    assert!(locked.why().contains("locked (migrate)") && locked.why().contains("qm unlock 100"));
    let bound = World::with(|guest| guest.bound_by = vec!["hostpci0".to_owned()]);
    assert!(bound.why().contains("bound to devices of prox1 by hostpci0"));
    let mut unknown = World::with(|_| {});
    unknown.config.replication = Facet::unknown(UnknownKind::Unparsable, "odd");
    assert!(unknown.why().contains("replication jobs are not known"));
    let mut storages = World::with(|_| {});
    storages.storages.status = Facet::unknown(UnknownKind::TimedOut, "pvesm hangs");
    assert!(storages.why().contains("pvesm hangs"));
}

#[test]
fn what_ha_does_not_do_is_not_promised() {
    let said = |asked: &str, state: Option<&str>, disarm: Option<&str>| {
        let mut world = World::with(|_| {});
        world.ha = ha(Some(asked));
        let place = |state: &str| HaPlace {
            node: "prox1".to_owned(),
            state: state.to_owned(),
            target: None,
            command: None,
            uid: None,
        };
        world.ha.manager = known(Some(ManagerStatus {
            master: "prox2".to_owned(),
            at: NOW,
            nodes: [].into(),
            services: state
                .map(|state| ("vm:100".to_owned(), place(state)))
                .into_iter()
                .collect(),
            disarm: disarm.map(|state| Disarm {
                mode: "freeze".to_owned(),
                state: state.to_owned(),
            }),
            maintenance: [].into(),
        }));
        match world.fate() {
            Fate::Ha(why) => why,
            fate => panic!("{fate:?}"),
        }
    };
    assert!(said("started", Some("started"), None).contains("takes it over by itself"));
    assert!(said("disabled", None, None).contains("asked to be disabled"));
    assert!(said("stopped", Some("stopped"), None).contains("does not start it"));
    assert!(said("started", Some("error"), None).contains("ha-manager set vm:100 --state disabled"));
    assert!(said("started", Some("started"), Some("disarmed")).contains("is disarmed"));
    let mut unseen = World::with(|_| {});
    unseen.ha = ha(Some("started"));
    unseen.ha.manager = Facet::unknown(UnknownKind::Unparsable, "odd");
    assert!(matches!(unseen.fate(), Fate::Ha(why) if why.contains("can't be told: odd")));
}

#[test]
fn disks_that_hold_what_this_server_wrote_are_no_copy() {
    let mut world = World::with(|_| {});
    let held = quorate_model::held::Held::now("prox2", Timestamp::from_seconds(1300));
    world.config.replication = known(vec![ReplicationJob {
        disabled: true,
        comment: Some(held.comment()),
        ..ReplicationJob::of("100-0", 100, "prox2")
    }]);
    let why = world.why();
    assert!(
        why.contains("what prox2 itself wrote") && why.contains("by hand"),
        "{why}"
    );
    let elsewhere = quorate_model::held::Held::now("prox3", Timestamp::from_seconds(1300));
    world.config.replication = known(vec![ReplicationJob {
        disabled: true,
        comment: Some(elsewhere.comment()),
        ..ReplicationJob::of("100-1", 100, "prox3")
    }]);
    assert!(matches!(world.fate(), Fate::Recoverable { .. }));
}

#[test]
fn a_disc_that_is_not_here_keeps_a_guest_down_and_what_is_shared_does_not() {
    let disc = |storage: &str| World::with(|guest| guest.discs = vec![disk("ide2", storage, "iso/debian.iso")]);
    let why = disc("local").why();
    assert!(
        why.contains("ide2 has local:iso/debian.iso of prox1 in it") && why.contains("`ide2: none,media=cdrom`"),
        "{why}"
    );
    assert!(matches!(disc("nas").fate(), Fate::Recoverable { .. }));
    let mounted = |shared| {
        World::with(move |guest| {
            guest.disks.push(GuestDisk {
                backing: Backing::Folder("/mnt/pve/nfs".to_owned()),
                shared,
                ..disk("mp0", "x", "x")
            });
        })
    };
    assert!(matches!(mounted(true).fate(), Fate::Recoverable { .. }));
    assert!(mounted(false).why().contains("mp0 is /mnt/pve/nfs of prox1"));
}
