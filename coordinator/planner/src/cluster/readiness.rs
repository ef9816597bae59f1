//! Services, space, repositories: what a change leans on, on each server that takes part.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::FacetName;
use quorate_model::observation::readiness::{Readiness, Repository, ServiceState};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::{ByteSize, Facet};

use super::Changes;
use super::links::joining;
use super::members::Standing;
use super::preflight::Founder;
use crate::report::{Report, Weight, facet_unknown};

/// Without these neither a join nor anything else of PVE works.
const SERVICES: [&str; 3] = ["pve-cluster", "pvedaemon", "pveproxy"];

/// sshd's unit has one of these names; by its socket it needs not run.
const SSHD: [&str; 3] = ["ssh", "sshd", "ssh.socket"];

/// The folder into which a join writes its copy of the configuration.
const BACKUP: &str = "/var/lib/pve-cluster";

/// pmxcfs holds 128 MiB at most. The copy is a dump in hexadecimal, so twice as much before it is compressed, and how well it
/// compresses is up to what is in it.
const BACKUP_TAKES: ByteSize = ByteSize(256 << 20);

pub(super) fn check(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'_>,
    changes: Changes,
    founder: Option<Founder<'_>>,
    report: &mut Report,
) {
    let joiners: BTreeSet<&NodeName> = joining(standing).into_iter().collect();
    let finished: BTreeSet<&NodeName> = standing.unfinished.keys().copied().collect();
    for node in standing
        .concerned(file)
        .into_iter()
        .filter(|n| !standing.leaving.contains(n.as_str()))
    {
        let Some(readiness) = report.facet(view, node, FacetName::Readiness, changes.weight(), |o| &o.readiness) else {
            continue;
        };
        // What a join that was not finished has stopped is what finishing it starts.
        if !finished.contains(node) {
            services(node, readiness, changes.weight(), report);
        }
        if joiners.contains(node) && !founder.is_some_and(|f| f.is(node)) {
            space(node, readiness, report);
        }
        if changes.corosync() {
            repositories(node, readiness, report);
            updates(node, readiness, report);
        }
    }
}

fn services(node: &NodeName, readiness: &Readiness, weight: Weight, report: &mut Report) {
    for unit in SERVICES {
        match readiness.services.get(unit).map(Facet::get) {
            Some(Ok(state)) if state.is_running() => {}
            Some(Ok(state)) => report.weigh(
                weight,
                Finding::new(
                    Code::ServiceDown,
                    node.as_str(),
                    format!("{unit} does not run on {node}: it is {} ({})", state.active, state.sub),
                    format!("on {node}: systemctl start {unit}; journalctl -u {unit} -n 50"),
                ),
            ),
            Some(Err(unknown)) => {
                report.weigh(
                    weight,
                    facet_unknown(node, FacetName::Readiness, &format!("state of {unit}"), unknown),
                );
            }
            None => report.weigh(weight, not_asked(node, unit)),
        }
    }
    let told: Vec<_> = SSHD
        .iter()
        .filter_map(|unit| Some(readiness.services.get(*unit)?.get()))
        .collect();
    let unknown = told.iter().find_map(|state| state.err());
    if told.iter().any(|state| state.is_ok_and(ServiceState::is_running)) {
        return;
    }
    if let Some(unknown) = unknown {
        // One that is not known may be the one that runs.
        report.weigh(
            weight,
            facet_unknown(node, FacetName::Readiness, "state of sshd", unknown),
        );
    } else if told.is_empty() {
        report.weigh(weight, not_asked(node, "sshd"));
    } else {
        report.weigh(
            weight,
            Finding::new(
                Code::ServiceDown,
                node.as_str(),
                format!("sshd does not run on {node}: members copy guests and keys to each other by it"),
                format!("on {node}: systemctl start ssh; journalctl -u ssh -n 50"),
            ),
        );
    }
}

fn not_asked(node: &NodeName, unit: &str) -> Finding {
    let unknown = quorate_model::Unknown::new(quorate_model::UnknownKind::NotAsked, "its agent does not tell of it");
    facet_unknown(node, FacetName::Readiness, &format!("state of {unit}"), &unknown)
}

/// The nearest folder above that was measured is on the same file system, unless somebody mounts deeper.
fn space(node: &NodeName, readiness: &Readiness, report: &mut Report) {
    let above = std::path::Path::new(BACKUP).ancestors();
    let free = above
        .filter_map(|path| path.to_str())
        .find_map(|path| readiness.free.get(path));
    match free.map(Facet::get) {
        Some(Ok(free)) if *free >= BACKUP_TAKES => {}
        Some(Ok(free)) => report.tell(Finding::new(
            Code::LittleSpace,
            node.as_str(),
            format!(
                "{node} has {free} left in {BACKUP}; its copy of /etc/pve takes up to {BACKUP_TAKES} when it joins (twice the 128 MiB that \
                 pmxcfs holds)"
            ),
            format!("on {node}: df -h {BACKUP}; journalctl --vacuum-size=200M; apt clean"),
        )),
        Some(Err(unknown)) => {
            let what = format!("free space in {BACKUP}");
            report.weigh(Weight::Needed, facet_unknown(node, FacetName::Readiness, &what, unknown));
        }
        None => {
            let unknown = quorate_model::Unknown::new(quorate_model::UnknownKind::NotAsked, "its agent does not tell of it");
            let what = format!("free space in {BACKUP}");
            report.weigh(Weight::Needed, facet_unknown(node, FacetName::Readiness, &what, &unknown));
        }
    }
}

fn repositories(node: &NodeName, readiness: &Readiness, report: &mut Report) {
    let all = match readiness.repositories.get() {
        Ok(all) => all,
        Err(unknown) => {
            let finding = facet_unknown(node, FacetName::Readiness, "apt's repositories", unknown);
            return report.weigh(Weight::Told, finding);
        }
    };
    let has = |wanted: &str| {
        all.iter()
            .any(|r: &Repository| r.components.iter().any(|c| c == wanted))
    };
    let fetched_freely = has("pve-no-subscription") || has("pve-test") || has("pvetest");
    let message = if has("pve-enterprise") && !fetched_freely {
        format!("{node} has the enterprise repository only: without a subscription apt fetches nothing of PVE")
    } else if !fetched_freely && !all.iter().any(|r| r.uri.contains("proxmox") || r.uri.contains("pve")) {
        format!("{node} has no repository of PVE: it gets no updates")
    } else {
        return;
    };
    report.tell(Finding::new(
        Code::RepositoriesNote,
        node.as_str(),
        message,
        format!("on {node}: pvesubscription get; apt update; or in the web interface: {node}, Updates, Repositories"),
    ));
}

fn updates(node: &NodeName, readiness: &Readiness, report: &mut Report) {
    let count = match readiness.updates.get() {
        Ok(count) => count,
        Err(unknown) => {
            let finding = facet_unknown(node, FacetName::Readiness, "pending updates", unknown);
            return report.weigh(Weight::Told, finding);
        }
    };
    if *count > 0 {
        let noun = if *count == 1 { "package" } else { "packages" };
        report.tell(Finding::new(
            Code::UpdatesPending,
            node.as_str(),
            format!("apt would upgrade {count} {noun} on {node}"),
            format!("on {node}, before the change or well after it: apt update; apt dist-upgrade"),
        ));
    }
}
