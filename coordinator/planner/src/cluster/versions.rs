//! Is it PVE, is it one PVE, and is it one that Quorate knows?

use std::collections::BTreeMap;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::system::PveVersion;
use quorate_model::spec::ClusterFile;
use quorate_model::{Severity, View};

use super::members::Standing;
use crate::report::{Report, Weight, facet_unknown, in_a_row};
use crate::versions::{Knowledge, knowledge};

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
