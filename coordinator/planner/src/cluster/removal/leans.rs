//! What still leans on a server that is to be taken out: guests, replication, HA, Ceph. Each with the command that moves it away.

use std::collections::BTreeSet;

use quorate_model::Severity;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::disks::HolderKind;
use quorate_model::observation::{FacetName, Guest, GuestKind, Ha, PveConfig};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use crate::cluster::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// `dead`: nothing can be migrated away from it any more.
pub(super) fn on(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    node: &NodeName,
    dead: bool,
    report: &mut Report,
) {
    // A member that stays tells of the whole cluster.
    let Some(speaker) = standing.staying().map(|(speaker, _)| speaker).next() else {
        return;
    };
    let target = file
        .members()
        .map(|(name, _)| name)
        .find(|name| *name != node)
        .unwrap_or(speaker);
    let mut on_it: BTreeSet<u32> = BTreeSet::new();
    if let Some(all) = report.facet(view, speaker, FacetName::Guests, Weight::Needed, |o| &o.guests) {
        let own = view.facet(node, |o| &o.guests).into_iter().flatten();
        let mut guests: Vec<&Guest> = all.iter().chain(own).filter(|g| g.node == node.as_str()).collect();
        guests.sort_by_key(|g| g.vmid);
        guests.dedup_by_key(|g| g.vmid);
        on_it = guests.iter().map(|g| g.vmid).collect();
        if !guests.is_empty() {
            report.tell(has_guests(node, &guests, dead, target));
        }
    }
    if let Some(config) = report.facet(view, speaker, FacetName::Config, Weight::Needed, |o| &o.config) {
        replication(node, speaker, config, &on_it, dead, report);
        ceph(view, node, speaker, config, dead, report);
        placements(node, speaker, config, report);
        storages(node, speaker, config, report);
    }
    if let Some(ha) = report.facet(view, speaker, FacetName::Ha, Weight::Needed, |o| &o.ha) {
        services(node, speaker, ha, target, report);
    }
}

fn has_guests(node: &NodeName, guests: &[&Guest], dead: bool, target: &NodeName) -> Finding {
    let command = |guest: &Guest| {
        let (tool, folder) = match guest.kind {
            GuestKind::Vm => ("qm", "qemu-server"),
            GuestKind::Container => ("pct", "lxc"),
        };
        if dead {
            format!(
                "mv /etc/pve/nodes/{node}/{folder}/{0}.conf /etc/pve/nodes/{target}/{folder}/",
                guest.vmid
            )
        } else if guest.kind == GuestKind::Container {
            format!("{tool} migrate {} {target} --restart", guest.vmid)
        } else {
            format!("{tool} migrate {} {target} --online", guest.vmid)
        }
    };
    let next = match guests {
        [] => String::new(),
        [one] => command(one),
        [first, ..] => format!("for each, such as: {}", command(first)),
    };
    let next = if dead {
        format!(
            "where a copy of its disks is on {target}, {next}; else restore it from a backup and remove the old entry"
        )
    } else {
        next
    };
    Finding::new(
        Code::RemoveHasGuests,
        node.as_str(),
        format!("{node} still has {}", in_a_row(guests.iter().map(|g| g.vmid))),
        next,
    )
}

fn replication(
    node: &NodeName,
    speaker: &NodeName,
    config: &PveConfig,
    on_it: &BTreeSet<u32>,
    dead: bool,
    report: &mut Report,
) {
    let jobs = match config.replication.get() {
        Ok(jobs) => jobs,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Config, "replication jobs", unknown);
            return report.weigh(Weight::Needed, finding);
        }
    };
    let mut ids: Vec<&str> = jobs
        .iter()
        .filter(|job| job.target == node.as_str() || on_it.contains(&job.guest))
        .map(|job| job.id.as_str())
        .collect();
    ids.sort_unstable();
    let Some(first) = ids.first() else { return };
    // Without `--force` the job would wait for the dead server for ever.
    let force = if dead { " --force" } else { "" };
    report.tell(Finding::new(
        Code::RemoveHasReplication,
        node.as_str(),
        format!("{node} is an end of the replication jobs {}", in_a_row(&ids)),
        format!("on {speaker}, for each: pvesr delete {first}{force}"),
    ));
}

/// Monitors stand in ceph.conf, which every member has; of the others only the server itself knows.
fn ceph(view: &View, node: &NodeName, speaker: &NodeName, config: &PveConfig, dead: bool, report: &mut Report) {
    let monitors = match config.ceph_monitors.get() {
        Ok(monitors) => monitors,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Config, "Ceph monitors", unknown);
            return report.weigh(Weight::Needed, finding);
        }
    };
    let mut has: BTreeSet<String> = BTreeSet::new();
    if monitors.iter().flatten().any(|m| m == node.as_str()) {
        has.insert(format!("mon.{node}"));
    }
    if let Ok(disks) = view.facet(node, |o| &o.disks) {
        let holders = disks.disks.iter().flat_map(|disk| &disk.holders);
        let osds = holders.filter(|holder| holder.kind == HolderKind::CephOsd);
        has.extend(osds.map(|osd| match osd.name.as_str() {
            "" => format!("an OSD on {}", osd.device),
            number => format!("osd.{number}"),
        }));
    }
    let own = view.facet(node, |o| &o.config);
    match own.as_ref().map(|own| own.ceph_daemons.get()) {
        Ok(Ok(daemons)) => has.extend(daemons.iter().cloned()),
        // Of one that is off for good nobody can be asked.
        _ if dead => {}
        Ok(Err(unknown)) | Err(unknown) => {
            let finding = facet_unknown(node, FacetName::Config, "Ceph's daemons", unknown);
            return report.weigh(Weight::Needed, finding);
        }
    }
    if dead && (monitors.is_some() || !has.is_empty()) {
        report.tell(left_in_ceph(node, speaker, &has));
    } else if !has.is_empty() {
        report.tell(Finding::new(
            Code::RemoveHasCeph,
            node.as_str(),
            format!("{node} has a part in Ceph: {}", in_a_row(&has)),
            format!(
                "take its OSDs, managers and monitor out of Ceph first (PVE's manual, \"Ceph Maintenance\"); on {node}: pveceph osd \
                 destroy ID; pveceph mgr destroy {node}; pveceph mon destroy {node}"
            ),
        ));
    }
}

/// Nothing can be typed on it any more, and what it says, once it was installed anew, is not what it was: Ceph itself is to be asked.
fn left_in_ceph(node: &NodeName, speaker: &NodeName, has: &BTreeSet<String>) -> Finding {
    let unseen = format!("whether {node} has OSDs, managers or metadata servers can't be seen any more");
    let message = if has.is_empty() {
        format!("there is Ceph here, and {unseen}; what it has stays behind in Ceph")
    } else {
        format!(
            "{node} has a part in Ceph, which stays behind there: {}; {unseen}",
            in_a_row(has)
        )
    };
    let monitor = if has.contains(&format!("mon.{node}")) {
        format!("ceph mon remove {node}, then its address and [mon.{node}] out of /etc/pve/ceph.conf; ")
    } else {
        String::new()
    };
    let mut finding = Finding::new(
        Code::RemoveHasCeph,
        node.as_str(),
        message,
        format!(
            "on {speaker}: ceph -s; ceph osd tree; {monitor}for each OSD of {node}, once Ceph has made up for it: ceph osd purge ID \
             --yes-i-really-mean-it; then: ceph osd crush remove {node} (PVE's manual, \"Ceph Maintenance\")"
        ),
    );
    // What may be there and can't be seen can't be taken out first either.
    if has.is_empty() {
        finding.severity = Severity::Warning;
    }
    finding
}

/// Storages that are limited to servers, of which this is one: its name stays behind in storage.cfg.
fn storages(node: &NodeName, speaker: &NodeName, config: &PveConfig, report: &mut Report) {
    let Ok(storages) = config.storages.get() else { return };
    for storage in storages.iter().filter(|s| s.nodes.iter().any(|n| n == node.as_str())) {
        let others: Vec<&str> = storage
            .nodes
            .iter()
            .map(String::as_str)
            .filter(|n| *n != node.as_str())
            .collect();
        let next = if others.is_empty() {
            format!("when {node} is out, on {speaker}: pvesm remove {}", storage.id)
        } else {
            format!(
                "when {node} is out, on {speaker}: pvesm set {} --nodes {}",
                storage.id,
                others.join(",")
            )
        };
        report.tell(Finding::new(
            Code::RemoveHasStorage,
            node.as_str(),
            format!(
                "the storage {} is limited to servers of which {node} is one",
                storage.id
            ),
            next,
        ));
    }
}

fn placements(node: &NodeName, speaker: &NodeName, config: &PveConfig, report: &mut Report) {
    let placements = match config.ha_placements.get() {
        Ok(placements) => placements,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Config, "HA groups and rules", unknown);
            return report.weigh(Weight::Needed, finding);
        }
    };
    for (placement, nodes) in placements
        .iter()
        .filter(|(_, nodes)| nodes.iter().any(|n| n == node.as_str()))
    {
        let others: Vec<&str> = nodes
            .iter()
            .map(String::as_str)
            .filter(|n| *n != node.as_str())
            .collect();
        let others = if others.is_empty() {
            "NODES".to_owned()
        } else {
            others.join(",")
        };
        let next = match placement.split_once(' ') {
            Some(("group", name)) => format!("on {speaker}: ha-manager groupset {name} --nodes {others}"),
            Some((_, name)) => format!("on {speaker}: ha-manager rules set node-affinity {name} --nodes {others}"),
            None => format!("on {speaker}: ha-manager rules list"),
        };
        report.tell(Finding::new(
            Code::RemoveHasHa,
            node.as_str(),
            format!("the HA {placement} names {node}"),
            next,
        ));
    }
}

fn services(node: &NodeName, speaker: &NodeName, ha: &Ha, target: &NodeName, report: &mut Report) {
    let manager = match ha.manager.get() {
        Ok(manager) => manager,
        Err(unknown) => {
            let finding = facet_unknown(speaker, FacetName::Ha, "HA services", unknown);
            return report.weigh(Weight::Needed, finding);
        }
    };
    let on_it: Vec<&str> = manager
        .iter()
        .flat_map(|m| &m.services)
        .filter(|(_, place)| place.node == node.as_str())
        .map(|(sid, _)| sid.as_str())
        .collect();
    let Some(first) = on_it.first() else { return };
    report.tell(Finding::new(
        Code::RemoveHasHa,
        node.as_str(),
        format!("HA has {} on {node}", in_a_row(&on_it)),
        format!("on {speaker}, for each: ha-manager migrate {first} {target}; or out of HA: ha-manager remove {first}"),
    ));
}
