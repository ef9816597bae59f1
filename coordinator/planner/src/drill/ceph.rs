//! Ceph: is it well, and does it keep its majority?

use std::collections::BTreeSet;

use quorate_model::fault::Fault;
use quorate_model::finding::{Code, Finding};

use super::scene::{Scene, unseen};
use super::{Around, Request};
use crate::report::{Report, in_a_row};

pub(super) fn rails(scene: &Scene<'_>, request: &Request, around: &Around, report: &mut Report) {
    daemons(scene, request, report);
    if !request.fault.concerns_ceph() {
        return;
    }
    let monitors = match scene.config.ceph_monitors.get() {
        // There is none of the cluster's own.
        Ok(None) => return elsewhere(scene, report),
        Ok(Some(monitors)) => monitors,
        Err(unknown) => return unseen(report, scene.speaker, "whether there is a Ceph", unknown),
    };
    let ceph = match around.ceph.get() {
        Ok(ceph) => ceph,
        Err(unknown) => return unseen(report, scene.speaker, "how Ceph is", unknown),
    };
    let complaints = if ceph.checks.is_empty() {
        String::new()
    } else {
        format!(": {}", ceph.checks.join("; "))
    };
    let told = match ceph.health.as_str() {
        "HEALTH_OK" => None,
        "HEALTH_WARN" => Some((
            Code::DrillCephWarns,
            format!(
                "ceph status; if that does not matter: --accept {}",
                Code::DrillCephWarns.as_str()
            ),
        )),
        _ => Some((Code::DrillCephUnhealthy, "ceph status".to_owned())),
    };
    if let Some((code, next)) = told {
        let message = format!("Ceph is in {}{complaints}", ceph.health);
        report.tell(Finding::new(code, scene.cluster, message, next));
    }
    let takes_monitor = request.fault.isolates() || request.fault == Fault::Mon;
    let victim = request.node.as_str();
    if takes_monitor && monitors.iter().any(|name| name == victim) {
        let left: BTreeSet<&String> = ceph.quorum.iter().filter(|name| *name != victim).collect();
        if left.len() <= monitors.len() / 2 {
            let message = format!(
                "without {victim}, {} of {} monitors of Ceph are left",
                left.len(),
                monitors.len()
            );
            report.tell(Finding::new(
                Code::DrillCephUnhealthy,
                scene.cluster,
                message,
                "ceph status",
            ));
        }
    }
}

/// A storage may lie on a Ceph of others, which no member of this cluster is a part of.
fn elsewhere(scene: &Scene<'_>, report: &mut Report) {
    let storages = match scene.config.storages.get() {
        Ok(storages) => storages,
        Err(unknown) => return unseen(report, scene.speaker, "whether a storage lies on Ceph", unknown),
    };
    let on_ceph = storages
        .iter()
        .filter(|storage| matches!(storage.kind.as_str(), "rbd" | "cephfs"));
    let names: Vec<&str> = on_ceph.map(|storage| storage.id.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let message = format!(
        "{} on a Ceph that is not this cluster's own: how that is can't be asked from here",
        in_a_row(&names)
    );
    let next = format!(
        "look there: ceph status; if it is well: --accept {}",
        Code::DrillCephWarns.as_str()
    );
    report.tell(Finding::new(Code::DrillCephWarns, scene.cluster, message, next));
}

/// What is to be stopped has to be there.
fn daemons(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let victim = &request.node;
    let prefix = match &request.fault {
        Fault::Osd { osd } => format!("osd.{osd}"),
        Fault::Mon => "mon.".to_owned(),
        _ => return,
    };
    let exact = matches!(request.fault, Fault::Osd { .. });
    let config = match scene.view.facet(victim, |o| &o.config) {
        Ok(config) => config,
        Err(unknown) => return unseen(report, victim, "Ceph's daemons", &unknown),
    };
    match config.ceph_daemons.get() {
        Ok(daemons)
            if daemons.iter().any(|name| {
                if exact {
                    *name == prefix
                } else {
                    name.starts_with(&prefix)
                }
            }) => {}
        Ok(_) => {
            let message = format!(
                "{victim} has no {}",
                if exact { prefix } else { "monitor of Ceph".to_owned() }
            );
            report.tell(Finding::new(
                Code::DrillSupport,
                victim.as_str(),
                message,
                "ceph osd tree; ceph mon stat",
            ));
        }
        Err(unknown) => unseen(report, victim, "Ceph's daemons", unknown),
    }
}
