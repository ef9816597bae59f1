//! What a lost server keeps of a canary's disc for cloud-init. PVE makes such a disc anew at every start of a machine, on whichever server; the one on
//! the server that was lost stays, and takes the name that the canary's own would have when it comes back: PVE then calls that one otherwise
//! (`vm-ID-disk-N`), and from then on it is an ordinary disc in a CD drive, which no copy has and which keeps the guest where it is. Source:
//! qemu-server PVE/QemuMigrate.pm (`allow_rename`), pve-storage PVE/Storage/ZFSPoolPlugin.pm (`volume_import`, `find_free_diskname`).

use std::collections::BTreeSet;

use crate::canary::is_tagged;
use crate::facet::Unknown;
use crate::finding::{Code, Finding};
use crate::held::GuestVolume;
use crate::ids::{ClusterName, NodeName, StorageName};
use crate::observation::guest_config::{Backing, ConfiguredGuest};
use crate::observation::storages::Storages;
use crate::observation::{GuestKind, Pool};
use crate::view::View;

/// What that disc is called. Source: qemu-server PVE/QemuServer/Cloudinit.pm.
#[must_use]
pub fn disc_name(guest: u32) -> String {
    format!("vm-{guest}-cloudinit")
}

/// Is it just that disc of this guest, and nothing else of it?
#[must_use]
pub fn is_disc_of(volume: &GuestVolume, guest: u32) -> bool {
    let name = volume.as_str().rsplit('/').next();
    name.is_some_and(|name| name == disc_name(guest))
}

/// A disc that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftDisc {
    /// Where it lies.
    pub node: NodeName,
    /// The storage by which PVE knows it.
    pub storage: StorageName,
    /// The volume.
    pub volume: GuestVolume,
}

impl LeftDisc {
    /// What `quorate status` says of it.
    #[must_use]
    pub fn finding(&self, cluster: &ClusterName, guest: u32) -> Finding {
        let message = format!(
            "{} lies on {} and is no part of the canary any more: when that comes back there, PVE would call its disc otherwise, and it could not leave again",
            self.volume, self.node
        );
        let next = format!("quorate guest clear-canary {guest}");
        Finding::new(Code::CanaryDiscLeft, format!("{cluster}/guest {guest}"), message, next)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct LeftDiscs {
    /// What is left, by node.
    pub left: Vec<LeftDisc>,
    /// Where it could not be seen, and why.
    pub unseen: Vec<(NodeName, Unknown)>,
}

/// What servers of the view that do not own a guest have of its disc for cloud-init. Nothing of a guest that is not seen to be a canary of ours.
#[must_use]
pub fn left_discs(view: &View, guest: &ConfiguredGuest) -> LeftDiscs {
    let mut found = LeftDiscs::default();
    if is_tagged(guest) != Some(true) || guest.guest.kind != GuestKind::Vm {
        return found;
    }
    let others = view.nodes.keys().filter(|node| node.as_str() != guest.guest.node);
    for node in others {
        // A host that only votes has no guests.
        if view.cluster_of(node).is_ok_and(|cluster| cluster.member().is_none()) {
            continue;
        }
        let seen = view
            .facet(node, |o| &o.pools)
            .and_then(|pools| Ok((pools, view.facet(node, |o| &o.storages)?)));
        match seen.and_then(|(pools, storages)| of_node(node, pools, storages, guest.guest.vmid)) {
            Ok(left) => found.left.extend(left),
            Err(why) => found.unseen.push((node.clone(), why)),
        }
    }
    found
}

/// What one server has of it, whoever owns the guest.
///
/// # Errors
/// What lies in one of its pools is not known.
pub fn of_node(node: &NodeName, pools: &[Pool], storages: &Storages, guest: u32) -> Result<Vec<LeftDisc>, Unknown> {
    let mut found = BTreeSet::new();
    for pool in pools {
        let volumes = pool.volumes.get().map_err(Clone::clone)?;
        let discs = volumes
            .iter()
            .filter_map(|name| name.parse::<GuestVolume>().ok())
            .filter(|volume| is_disc_of(volume, guest));
        found.extend(discs.filter_map(|volume| {
            let storage = storages.local_of(node, &volume)?;
            Some(LeftDisc {
                node: node.clone(),
                storage: storage.id.parse().ok()?,
                volume,
            })
        }));
    }
    Ok(found.into_iter().collect())
}

/// A canary's own disc for cloud-init that came back beside one that was left, and got another name: `ide2: data_zfs:vm-900-disk-1,media=cdrom`. By its
/// volume's id; of other guests nobody can tell it from a disc that somebody put there.
#[must_use]
pub fn renamed_disc(guest: &ConfiguredGuest) -> Option<String> {
    let config = guest.config.get().ok().filter(|_| is_tagged(guest) == Some(true))?;
    let named = format!("vm-{}-disk-", guest.guest.vmid);
    config.discs.iter().find_map(|disc| match &disc.backing {
        Backing::Volume { storage, volume } if volume.starts_with(&named) => Some(format!("{storage}:{volume}")),
        _ => None,
    })
}

/// What `quorate status` says of such a disc, by its volume's id.
#[must_use]
pub fn renamed(cluster: &ClusterName, guest: &ConfiguredGuest) -> Option<Finding> {
    let (id, node) = (guest.guest.vmid, &guest.guest.node);
    let volume = renamed_disc(guest)?;
    let message = format!(
        "the disc for cloud-init of the canary {id} is called {volume} since it came to {node}: no copy has it, and the canary could not start elsewhere"
    );
    Some(Finding::new(
        Code::CanaryDiscRenamed,
        format!("{cluster}/guest {id}"),
        message,
        mend_renamed(guest, &volume),
    ))
}

/// What to type about it. The disc with the usual name is one that PVE knows; what the old one is called, it can't tell from an ordinary disc.
#[must_use]
pub fn mend_renamed(guest: &ConfiguredGuest, volume: &str) -> String {
    let (id, node) = (guest.guest.vmid, &guest.guest.node);
    let config = guest.config.get().ok();
    let key = config
        .and_then(|config| config.discs.iter().find(|disc| disc.written() == volume))
        .map_or("ide2", |disc| disc.key.as_str());
    let storage = volume.split(':').next().unwrap_or_default();
    format!("on {node}: qm set {id} --{key} {storage}:cloudinit, then pvesm free {volume}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::TAG;
    use crate::facet::{Facet, UnknownKind};
    use crate::observation::guest_config::{GuestConfig, GuestDisk};
    use crate::observation::pools::VdevState;
    use crate::observation::storages::DefinedStorage;
    use crate::observation::{Guest, Observation};
    use crate::size::ByteSize;
    use crate::time::Timestamp;
    use crate::view::NodeView;

    const AT: Timestamp = Timestamp(0);

    fn canary(tags: &[&str], discs: Vec<GuestDisk>) -> ConfiguredGuest {
        let config = GuestConfig {
            name: None,
            memory: ByteSize(256 << 20),
            cpus: Some(1),
            cpu_type: None,
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            template: false,
            lock: None,
            starts_at_boot: false,
            agent: true,
            disks: vec![],
            discs,
            snapshots: vec![],
            nics: vec![],
            bound_by: vec![],
            created: None,
        };
        ConfiguredGuest {
            guest: Guest {
                vmid: 900,
                node: "prox2".to_owned(),
                kind: GuestKind::Vm,
            },
            config: Facet::known(config, AT),
        }
    }

    fn pool(volumes: Facet<Vec<String>>) -> Pool {
        Pool {
            name: "tank".to_owned(),
            state: VdevState::Online,
            complaint: None,
            data_errors: Some(0),
            scan: None,
            vdevs: vec![],
            size: ByteSize(1 << 40),
            allocated: ByteSize(0),
            fragmentation: None,
            ashift: Some(12),
            autotrim: None,
            compression: None,
            scrub_scheduled: None,
            import_enabled: None,
            created: None,
            volumes,
        }
    }

    fn storages(properties: &[(&str, &str)]) -> Storages {
        let words = properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Storages {
            defined: vec![DefinedStorage {
                id: "fast".to_owned(),
                kind: "zfspool".to_owned(),
                properties: words.collect(),
            }],
            status: Facet::not_asked(),
        }
    }

    /// prox1 was lost and is back; the guest is prox2's.
    fn view(volumes: Facet<Vec<String>>) -> View {
        let mut view = View::default();
        for name in ["prox1", "prox2"] {
            let mut seen = Observation::empty(name, AT);
            seen.pools = Facet::known(vec![pool(volumes.clone())], AT);
            seen.storages = Facet::known(storages(&[("pool", "tank")]), AT);
            let seen = NodeView {
                observation: Ok(seen),
                clock_offset: None,
            };
            view.nodes.insert(name.parse().unwrap(), seen);
        }
        view
    }

    fn names(all: &[&str]) -> Facet<Vec<String>> {
        Facet::known(all.iter().map(|name| (*name).to_owned()).collect(), AT)
    }

    #[test]
    fn only_the_disc_of_a_canary_of_ours_on_a_server_that_does_not_own_it_is_left() {
        let all = names(&[
            "tank/vm-900-cloudinit",
            "tank/vm-900-disk-0",
            "tank/vm-901-cloudinit",
            "tank/backup/vm-900-cloudinit",
            "tank/vm-900-cloudinit-old",
        ]);
        let found = left_discs(&view(all.clone()), &canary(&[TAG], vec![]));
        let [disc] = found.left.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (disc.node.as_str(), disc.storage.as_str(), disc.volume.as_str()),
            ("prox1", "fast", "tank/vm-900-cloudinit")
        );
        assert!(found.unseen.is_empty());
        let told = disc.finding(&"hk1".parse().unwrap(), 900);
        assert_eq!(told.next, "quorate guest clear-canary 900");
        let theirs = left_discs(&view(all), &canary(&["web"], vec![]));
        assert!(theirs.left.is_empty(), "nothing of anybody else's guest");
    }

    #[test]
    fn what_can_not_be_seen_is_not_taken_for_nothing() {
        let hangs = Facet::unknown(UnknownKind::TimedOut, "it hangs");
        let found = left_discs(&view(hangs), &canary(&[TAG], vec![]));
        assert!(found.left.is_empty());
        assert_eq!(found.unseen.len(), 1, "the owner is not asked: {found:?}");
        let node = "prox1".parse().unwrap();
        let shared = storages(&[("pool", "tank"), ("shared", "1")]);
        let elsewhere = storages(&[("pool", "tank"), ("nodes", "prox2")]);
        for other in [shared, elsewhere] {
            let pools = [pool(names(&["tank/vm-900-cloudinit"]))];
            assert_eq!(of_node(&node, &pools, &other, 900).unwrap(), []);
        }
    }

    #[test]
    fn a_disc_that_got_another_name_is_known_by_it() {
        let disc = |volume: &str| GuestDisk {
            key: "ide2".to_owned(),
            backing: Backing::Volume {
                storage: "fast".to_owned(),
                volume: volume.to_owned(),
            },
            size: None,
            replicate: true,
            shared: false,
        };
        let cluster = "hk1".parse().unwrap();
        let found = renamed(&cluster, &canary(&[TAG], vec![disc("vm-900-disk-1")])).unwrap();
        assert_eq!(
            found.next,
            "on prox2: qm set 900 --ide2 fast:cloudinit, then pvesm free fast:vm-900-disk-1"
        );
        assert!(renamed(&cluster, &canary(&[TAG], vec![disc("iso/x.iso")])).is_none());
        assert!(renamed(&cluster, &canary(&["web"], vec![disc("vm-900-disk-1")])).is_none());
    }
}
