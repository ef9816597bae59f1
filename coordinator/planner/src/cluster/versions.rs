//! Is it PVE, is it one PVE, and is it one that Quorate knows?

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::system::PveVersion;
use quorate_model::releases::{Knowledge, knowledge};
use quorate_model::spec::ClusterFile;
use quorate_model::{Severity, View};

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

pub(super) fn compare(file: &ClusterFile, view: &View, standing: &Standing<'_>, changes: Weight, report: &mut Report) {
    let mut versions: BTreeMap<&NodeName, &PveVersion> = BTreeMap::new();
    for node in standing.concerned(file) {
        let Some(system) = report.facet(view, node, FacetName::System, changes, |o| &o.system) else {
            continue;
        };
        match system.pve.get() {
            Err(unknown) => report.weigh(changes, facet_unknown(node, FacetName::System, "PVE version", unknown)),
            Ok(None) => report.tell(Finding::new(
                Code::NotPve,
                node.as_str(),
                format!("{node} is no Proxmox VE server: it runs {}", system.os),
                format!("install Proxmox VE on {node}, or take it out of the cluster file"),
            )),
            Ok(Some(version)) => {
                versions.insert(node, version);
            }
        }
    }
    majors(file, &versions, changes, report);
    minors(file, &versions, report);
    corosyncs(file, view, versions.keys().copied(), report);
    known(&versions, changes, report);
}

fn majors(file: &ClusterFile, versions: &BTreeMap<&NodeName, &PveVersion>, changes: Weight, report: &mut Report) {
    let mut by_major: BTreeMap<Option<u32>, Vec<String>> = BTreeMap::new();
    for (node, version) in versions {
        by_major
            .entry(version.major())
            .or_default()
            .push(format!("{node} ({})", version.manager));
    }
    if by_major.len() < 2 {
        return;
    }
    let groups: Vec<String> = by_major.values().map(|nodes| nodes.join(", ")).collect();
    report.weigh(
        changes,
        Finding::new(
            Code::VersionsDiffer,
            file.cluster.name.value.as_str(),
            format!("the servers run different PVE releases: {}", groups.join("; ")),
            format!(
                "upgrade the older ones first, or accept it with --accept {}",
                Code::VersionsDiffer.as_str()
            ),
        ),
    );
}

/// Of one release, but not of one state: it works, and is how a cluster looks in the middle of an upgrade.
fn minors(file: &ClusterFile, versions: &BTreeMap<&NodeName, &PveVersion>, report: &mut Report) {
    let majors: BTreeSet<Option<u32>> = versions.values().map(|version| version.major()).collect();
    let mut by_minor: BTreeMap<Option<u32>, Vec<String>> = BTreeMap::new();
    for (node, version) in versions {
        let told = format!("{node} ({})", version.manager);
        by_minor.entry(version.minor()).or_default().push(told);
    }
    if majors.len() == 1 && by_minor.len() > 1 {
        let groups: Vec<String> = by_minor.values().map(|nodes| nodes.join(", ")).collect();
        let message = format!("the servers run different minor versions of PVE: {}", groups.join("; "));
        let next = "bring the older ones up to date first: apt update; apt dist-upgrade".to_owned();
        let finding = Finding::new(Code::VersionsDiffer, file.cluster.name.value.as_str(), message, next);
        report.weigh(Weight::Told, finding);
    }
}

/// corosync takes an edited configuration over in the whole cluster at once (`corosync-cfgtool -R`), and its authors say that this is
/// not meant for mixed versions.
fn corosyncs<'n>(file: &ClusterFile, view: &View, nodes: impl Iterator<Item = &'n NodeName>, report: &mut Report) {
    let mut by_version: BTreeMap<String, Vec<&NodeName>> = BTreeMap::new();
    for node in nodes {
        // That it is not known is told where packages matter.
        let Ok(readiness) = view.facet(node, |o| &o.readiness) else {
            continue;
        };
        let Some(Some(installed)) = readiness
            .packages
            .get()
            .ok()
            .map(|all| all.get("corosync").and_then(|state| state.installed.as_deref()))
        else {
            continue;
        };
        // What stands behind the last hyphen is the packager's.
        let upstream = installed.rsplit_once('-').map_or(installed, |(upstream, _)| upstream);
        by_version.entry(upstream.to_owned()).or_default().push(node);
    }
    if by_version.len() > 1 {
        let groups: Vec<String> = by_version
            .iter()
            .map(|(version, nodes)| format!("{version} on {}", in_a_row(nodes)))
            .collect();
        let message = format!(
            "the servers have different versions of corosync: {}; that a running cluster takes over an edited corosync.conf is not \
             supported with that",
            groups.join("; ")
        );
        let next = "bring corosync up to date on the older ones first: apt update; apt install corosync".to_owned();
        let finding = Finding::new(Code::VersionsDiffer, file.cluster.name.value.as_str(), message, next);
        report.weigh(Weight::Told, finding);
    }
}

fn known(versions: &BTreeMap<&NodeName, &PveVersion>, changes: Weight, report: &mut Report) {
    let mut read_only_in_source: BTreeMap<Option<u32>, Vec<&NodeName>> = BTreeMap::new();
    for (node, version) in versions {
        match knowledge(version) {
            Knowledge::Captured => {}
            Knowledge::ReadFromSource => read_only_in_source.entry(version.major()).or_default().push(node),
            Knowledge::Unknown => report.weigh(
                changes,
                Finding::new(
                    Code::VersionUntested,
                    node.as_str(),
                    format!("{node} runs PVE {}, of which Quorate knows nothing", version.manager),
                    format!(
                        "if it shall be changed all the same: --accept {}",
                        Code::VersionUntested.as_str()
                    ),
                ),
            ),
        }
    }
    for (major, nodes) in read_only_in_source {
        let release = major.map_or_else(String::new, |m| format!(" {m}"));
        let mut finding = Finding::new(
            Code::VersionUntested,
            "",
            format!(
                "Quorate knows the tools of PVE{release} (on {}) from their source only",
                in_a_row(nodes)
            ),
            "",
        );
        finding.severity = Severity::Note;
        report.tell(finding);
    }
}
