//! Pools and disks as they are after they were made, grown, replaced or wiped.

use quorate_model::ByteSize;
use quorate_model::facet::Facet;
use quorate_model::ids::{NodeName, PoolName};
use quorate_model::observation::Observation;
use quorate_model::observation::disks::{Controller, Disk, Edges, Holder, HolderKind, Partition, Smart};
use quorate_model::observation::eligibility::{Role, judge};
use quorate_model::observation::pools::{Leaf, Pool, Vdev, VdevHealth, VdevState};
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};
use quorate_model::raid::Raid;
use quorate_model::view::View;

use super::{NOW, Servers, known};

/// The pool is there with each of its disks, and they are held by it.
pub(super) fn made(view: &mut View, node: &NodeName, layout: &PoolLayout) {
    let Some(seen) = seen(view, node) else { return };
    layout
        .all_disks()
        .for_each(|disk| hold(seen, disk, layout.name.as_str()));
    let pool = pool(layout);
    match &mut seen.pools {
        Facet::Known { value, .. } => value.push(pool),
        unknown => *unknown = Facet::known(vec![pool], NOW),
    }
}

/// The pool has these disks as well.
pub(super) fn grown(view: &mut View, node: &NodeName, layout: &PoolLayout) {
    let Some(seen) = seen(view, node) else { return };
    layout
        .all_disks()
        .for_each(|disk| hold(seen, disk, layout.name.as_str()));
    let Facet::Known { value, .. } = &mut seen.pools else {
        return;
    };
    for pool in value.iter_mut().filter(|pool| pool.name == layout.name.as_str()) {
        let first = pool.vdevs.len();
        pool.vdevs.extend(vdevs(layout, first));
    }
}

/// The new disk stands where the old one did.
pub(super) fn replaced(view: &mut View, node: &NodeName, (name, old): (&PoolName, &str), with: &DiskIdentity) {
    let Some(seen) = seen(view, node) else { return };
    hold(seen, with, name.as_str());
    let Facet::Known { value, .. } = &mut seen.pools else {
        return;
    };
    let leaves = value
        .iter_mut()
        .filter(|pool| pool.name == name.as_str())
        .flat_map(|pool| &mut pool.vdevs)
        .flat_map(|vdev| &mut vdev.leaves);
    for leaf in leaves.filter(|leaf| leaf.name == old) {
        *leaf = of_pool(with);
    }
}

/// Nothing is left on the disk.
pub(super) fn wiped(view: &mut View, node: &NodeName, disk: &DiskIdentity) {
    let Some(seen) = seen(view, node) else { return };
    of_name(seen, disk, |disk| {
        disk.holders.clear();
        disk.partitions.clear();
        (disk.partition_table, disk.fstype) = (None, None);
    });
}

fn seen<'v>(view: &'v mut View, node: &NodeName) -> Option<&'v mut Observation> {
    view.nodes.get_mut(node)?.observation.as_mut().ok()
}

fn hold(seen: &mut Observation, planned: &DiskIdentity, pool: &str) {
    of_name(seen, planned, |disk| {
        disk.holders.push(Holder {
            device: disk.path.clone(),
            kind: HolderKind::Zfs,
            name: pool.to_owned(),
            uuid: None,
        });
    });
}

fn of_name(seen: &mut Observation, planned: &DiskIdentity, change: impl Fn(&mut Disk)) {
    if let Facet::Known { value, .. } = &mut seen.disks {
        let named = |disk: &&mut Disk| disk.by_id.contains(&planned.link);
        for disk in value.disks.iter_mut().filter(named) {
            change(disk);
            disk.verdicts = Role::ALL.iter().map(|role| judge(disk, *role)).collect();
        }
    }
}

fn well() -> VdevHealth {
    VdevHealth {
        state: VdevState::Online,
        errors: None,
        note: None,
    }
}

fn of_pool(disk: &DiskIdentity) -> Leaf {
    Leaf {
        name: format!("/dev/disk/by-id/{}-part1", disk.link),
        health: well(),
        group: None,
    }
}

/// `first`: the number of the first of them.
fn vdevs(layout: &PoolLayout, first: usize) -> Vec<Vdev> {
    let planned = layout.vdevs();
    let vdev = |(number, vdev): (usize, &quorate_model::pool_layout::PlannedVdev<'_>)| {
        let leaves: Vec<Leaf> = vdev.disks.iter().map(|disk| of_pool(disk)).collect();
        let number = first + number;
        let name = match vdev.raid {
            Raid::Single => leaves.first().map(|leaf| leaf.name.clone()).unwrap_or_default(),
            Raid::Raidz => format!("raidz1-{number}"),
            Raid::Draid => format!("draid1:{}c-{number}", leaves.len()),
            raid @ (Raid::Draid2 | Raid::Draid3) => format!("{raid}:{}c-{number}", leaves.len()),
            raid => format!("{raid}-{number}"),
        };
        Vdev {
            class: vdev.class,
            name,
            health: well(),
            leaves,
        }
    };
    planned.iter().enumerate().map(vdev).collect()
}

fn pool(layout: &PoolLayout) -> Pool {
    let sizes: Vec<_> = layout.disks.iter().map(|disk| disk.size).collect();
    Pool {
        name: layout.name.to_string(),
        state: VdevState::Online,
        complaint: None,
        data_errors: Some(0),
        scan: None,
        vdevs: vdevs(layout, 0),
        size: layout.raid.usable(&sizes, usize::from(layout.data_vdevs)),
        allocated: ByteSize(0),
        fragmentation: Some(0),
        ashift: Some(u32::from(layout.ashift)),
        autotrim: Some(layout.autotrim),
        compression: Some(layout.compression.as_str().to_owned()),
        scrub_scheduled: Some(true),
        import_enabled: None,
        volumes: Facet::not_asked(),
        created: None,
    }
}

impl Servers {
    /// A server has a pool `data_zfs` with these volumes in it, and the storage of that name lies there.
    #[must_use]
    pub fn keeping(self, node: &str, volumes: Facet<Vec<String>>) -> Self {
        let pool = Pool {
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
            volumes,
        };
        self.with(node, |seen| {
            seen.pools = Facet::known(vec![pool], NOW);
            for storage in &mut known(&mut seen.storages).defined {
                if storage.id == "data_zfs" {
                    storage.properties.insert("pool".to_owned(), "data_zfs".to_owned());
                }
            }
        })
    }
}

/// A free SSD of 960 GB with a link, a WWN and a serial number of its own.
#[must_use]
pub fn disk(path: &str, serial: &str) -> Disk {
    let mut disk = Disk {
        path: path.into(),
        by_id: vec![format!("ata-SAMSUNG_{serial}"), format!("wwn-0x5002538e{serial}")],
        wwn: Some(format!("0x5002538e{serial}")),
        serial: Some(serial.into()),
        model: Some("SAMSUNG".into()),
        vendor: Some("ATA".into()),
        size: ByteSize(960_197_124_096),
        rotational: false,
        transport: Some("sata".into()),
        hctl: None,
        read_only: false,
        removable: false,
        partition_table: None,
        fstype: None,
        controller: Some(Controller {
            pci_address: "0000:03:00.0".into(),
            driver: Some("ahci".into()),
            class: None,
        }),
        raid_level: None,
        partitions: vec![Partition {
            path: format!("{path}1"),
            size: ByteSize(1 << 30),
            parttype: None,
            fstype: None,
            mountpoints: vec![],
            by_id: vec![],
        }],
        holders: vec![],
        smart: Facet::known(
            Smart {
                passed: Some(true),
                wear_percent: None,
                temperature: None,
                power_on_hours: None,
                bad_sectors: None,
            },
            NOW,
        ),
        edges: Facet::known(Edges::default(), NOW),
        verdicts: vec![],
    };
    disk.verdicts = Role::ALL.iter().map(|role| judge(&disk, *role)).collect();
    disk
}
