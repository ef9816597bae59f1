//! What can be said of a disk only by looking at the whole cluster: LUNs that several servers see, and disks that guests are given.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::facet::UnknownKind;
use quorate_model::observation::disks::{Disk, Disks};
use quorate_model::observation::eligibility::{Reason, ReasonKind};
use quorate_model::observation::guests::GuestDevice;
use quorate_model::view::NodeView;
use quorate_model::{Facet, NodeName, View};

use crate::report::in_a_row;

/// The disks of each node of a cluster, each verdict with what the whole cluster says against the disk.
#[must_use]
pub fn across(view: &View) -> BTreeMap<NodeName, Facet<Disks>> {
    let (shown, given) = (shown(view), given(view));
    let unseen = unseen(view);
    let of_node = |name: &NodeName, disks: &Disks| {
        let names: Vec<Option<String>> = disks.disks.iter().map(|disk| naming(disk, disks)).collect();
        let mut disks = disks.clone();
        for (disk, note) in disks.disks.iter_mut().zip(names) {
            let mut against = against(view, name, disk, &shown, &given);
            against.extend(maybe_shared(name, disk, &unseen).filter(|_| against.is_empty()));
            let unread = unread(disk);
            for verdict in &mut disk.verdicts {
                verdict.notes.extend(note.iter().cloned());
                verdict.against.extend(against.iter().cloned());
                if verdict.against.iter().all(|reason| reason.kind.may_be_accepted()) {
                    verdict.against.extend(unread.iter().cloned());
                }
            }
        }
        disks
    };
    let facet = |(name, node): (&NodeName, &NodeView)| {
        let facet = match &node.observation {
            Ok(observation) => match &observation.disks {
                Facet::Known { value, collected_at } => Facet::known(of_node(name, value), *collected_at),
                Facet::Unknown(unknown) => Facet::Unknown(unknown.clone()),
            },
            Err(unknown) => Facet::Unknown(unknown.clone()),
        };
        (name.clone(), facet)
    };
    view.nodes.iter().map(facet).collect()
}

/// That nobody has read a disk, if so. Who watches in passing does not: what was seen so is not enough to take a disk for empty.
fn unread(disk: &Disk) -> Option<Reason> {
    let unread = disk
        .edges
        .get()
        .is_err_and(|unknown| unknown.kind == UnknownKind::NotAsked);
    // Of one that is eligible and carries something, its agent knows that it is the rest of a try of its own: its edges are not empty.
    (unread && disk.holders.is_empty()).then(|| Reason {
        kind: ReasonKind::EdgesUnseen,
        text: "whether its first and last MiB are empty was not looked at".to_owned(),
    })
}

/// By what alone a disk can be named whose serial number names none, or several.
fn naming(disk: &Disk, disks: &Disks) -> Option<String> {
    if disk.is_made_by_software() || disk.stable_name().is_none() {
        return None;
    }
    let flaw = match &disk.serial {
        None => "has no serial number".to_owned(),
        Some(serial) => {
            let twins = disks.disks.iter().filter(|other| other.path != disk.path);
            let twins: Vec<&str> = twins
                .filter(|other| other.serial.as_ref() == Some(serial))
                .map(|other| other.path.as_str())
                .collect();
            if twins.is_empty() {
                return None;
            }
            format!("shares its serial number {serial} with {}", twins.join(", "))
        }
    };
    let unique = |wwn: &&String| {
        let bearers = disks.disks.iter().filter(|other| other.wwn.as_ref() == Some(wwn));
        bearers.count() == 1
    };
    let wwn = disk.wwn.as_ref().filter(unique).map(|wwn| format!("WWN {wwn}"));
    let names: Vec<String> = wwn.into_iter().chain(disk.by_id.first().cloned()).collect();
    Some(if names.is_empty() {
        format!("{flaw}, and nothing else names it alone")
    } else {
        format!("{flaw}: it can be named only by {}", names.join(" or "))
    })
}

/// By WWN: where it shows, as node and kernel path.
type Shown = BTreeMap<String, BTreeSet<(NodeName, String)>>;

fn shown(view: &View) -> Shown {
    let mut shown = Shown::new();
    for name in view.nodes.keys() {
        let Ok(disks) = view.facet(name, |o| &o.disks) else {
            continue;
        };
        for disk in &disks.disks {
            if let Some(wwn) = &disk.wwn {
                let places = shown.entry(wwn.to_ascii_lowercase()).or_default();
                places.insert((name.clone(), disk.path.clone()));
            }
        }
    }
    shown
}

/// The servers whose disks could not be seen.
fn unseen(view: &View) -> Vec<&NodeName> {
    let unseen = |name: &&NodeName| view.facet(name, |o| &o.disks).is_err();
    view.nodes.keys().filter(unseen).collect()
}

/// That a server whose disks could not be seen may see this one as well. What hangs on a server's own board or cable is its own.
fn maybe_shared(node: &NodeName, disk: &Disk, unseen: &[&NodeName]) -> Option<Reason> {
    let of_others: Vec<&NodeName> = unseen.iter().copied().filter(|name| *name != node).collect();
    if of_others.is_empty() || disk.is_made_by_software() || is_own(disk) {
        return None;
    }
    Some(Reason {
        kind: ReasonKind::MaybeShared,
        text: format!(
            "may be a LUN that {} sees as well: what disks are there could not be seen",
            in_a_row(of_others)
        ),
    })
}

/// Can no other server be attached to it? NVMe over a network has no PCI function.
fn is_own(disk: &Disk) -> bool {
    match disk.transport.as_deref() {
        Some("sata" | "ata" | "usb" | "mmc") => true,
        Some("nvme") => disk.controller.is_some(),
        _ => false,
    }
}

/// What all servers of the cluster know of devices that guests are given.
fn given(view: &View) -> BTreeSet<&GuestDevice> {
    let configs = view
        .nodes
        .keys()
        .filter_map(|name| view.facet(name, |o| &o.config).ok());
    configs
        .filter_map(|config| config.guest_devices.get().ok())
        .flatten()
        .collect()
}

fn against(view: &View, node: &NodeName, disk: &Disk, shown: &Shown, given: &BTreeSet<&GuestDevice>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut say = |kind, text: String| reasons.push(Reason { kind, text });
    let wwn = disk.wwn.as_ref().map(|wwn| wwn.to_ascii_lowercase());
    let places = wwn.and_then(|wwn| shown.get(&wwn));
    let elsewhere: Vec<String> = places
        .into_iter()
        .flatten()
        .filter(|(name, path)| (name, path) != (node, &disk.path))
        .map(|(name, path)| format!("{path} of {name}"))
        .collect();
    if !elsewhere.is_empty() {
        let text = format!(
            "has the same WWN as {}: a LUN of shared storage, or one disk by several paths",
            elsewhere.join(", ")
        );
        say(ReasonKind::SharedLun, text);
    }
    for device in given {
        if let Some(text) = device.names(node.as_str(), disk) {
            say(ReasonKind::GivenToGuest, text);
        }
    }
    let own = view.facet(node, |o| &o.config);
    if let Err(unknown) = own.and_then(|config| config.guest_devices.get().map_err(Clone::clone)) {
        let text = format!("which disks guests are given is not known: {}", unknown.reason);
        say(ReasonKind::GuestsUnseen, text);
    }
    reasons
}
