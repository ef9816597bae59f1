//! What servers that were lost have of a canary's disc for cloud-init is freed, before it is in the way of the canary's return.

use std::collections::BTreeSet;

use quorate_model::canary::is_tagged;
use quorate_model::canary_discs::{LeftDisc, LeftDiscs, left_discs};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{NodeName, StepId};
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestRun};
use quorate_model::operation::Action;
use quorate_model::plan::Condition;

use super::owner;
use super::scene::Scene;
use super::steps::{Row, called};
use crate::draft::Draft;
use crate::report::{Report, Weight, facet_unknown};

/// `zfs destroy` of one small volume, by PVE.
const FREE_SECONDS: u64 = 5;

/// `quorate guest clear-canary ID`, and what a drill does with its own canary.
pub(super) fn clear(scene: &Scene<'_>, id: u32, row: &mut Row<'_>, report: &mut Report) -> Option<()> {
    let subject = format!("guest {id}");
    let Some(guest) = scene.guest(id) else {
        let message = format!("{} has no guest {id}", scene.cluster);
        report.tell(Finding::new(Code::GuestAway, subject, message, "quorate guests"));
        return None;
    };
    let owner = owner(guest, report)?;
    match is_tagged(guest) {
        Some(true) => {}
        Some(false) => {
            let message = format!("guest {id} on {owner} is no canary of ours: nothing of it is touched");
            report.tell(Finding::new(Code::CanaryNotOurs, subject, message, "quorate guests"));
            return None;
        }
        None => {
            let message = format!("the configuration of guest {id} on {owner} can't be read");
            report.tell(Finding::new(Code::FacetUnknown, subject, message, "quorate guests"));
            return None;
        }
    }
    let LeftDiscs { left, unseen } = left_discs(scene.view, guest);
    for (node, why) in &unseen {
        // What is seen elsewhere is cleared up all the same.
        report.weigh(
            Weight::Told,
            facet_unknown(node, FacetName::Pools, "what lies in the pools", why),
        );
    }
    if left.is_empty() {
        if unseen.is_empty() {
            let message = format!(
                "no other server has anything of the disc for cloud-init of {}",
                called(guest)
            );
            report.tell(Finding::new(Code::PartDone, subject, message, ""));
        }
        return Some(());
    }
    if let Err(why) = runs(scene, guest) {
        let next = format!("start it; then again: quorate guest clear-canary {id}");
        report.tell(Finding::new(Code::CanaryUnfit, subject, why, next));
        return None;
    }
    for disc in &left {
        free(scene, guest, (&owner, true), disc, row)?;
    }
    Some(())
}

/// Before a canary goes to a server on which an older disc of it lies.
pub(super) fn on_its_way(
    scene: &Scene<'_>,
    guest: &ConfiguredGuest,
    (owner, target): (&NodeName, &NodeName),
    row: &mut Row<'_>,
    report: &mut Report,
) -> Option<()> {
    let LeftDiscs { left, .. } = left_discs(scene.view, guest);
    let there: Vec<&LeftDisc> = left.iter().filter(|disc| disc.node == *target).collect();
    if there.is_empty() {
        return Some(());
    }
    let id = guest.guest.vmid;
    if let Err(why) = runs(scene, guest) {
        let message = format!(
            "{target} has an older disc for cloud-init of it, and PVE would give its own another name there; {why}"
        );
        let next = format!("start it; then again: quorate migrate {id} {target}");
        report.tell(Finding::new(
            Code::MigrationTarget,
            format!("guest {id}"),
            message,
            next,
        ));
        return None;
    }
    for disc in there {
        free(scene, guest, (owner, true), disc, row)?;
    }
    Some(())
}

/// Before a canary is destroyed: what it does not own does not go with it.
pub(super) fn before_it_goes(scene: &Scene<'_>, guest: &ConfiguredGuest, owner: &NodeName, row: &mut Row<'_>) {
    let running = runs(scene, guest).is_ok();
    for disc in left_discs(scene.view, guest).left {
        free(scene, guest, (owner, running), &disc, row);
    }
}

/// It runs where it is: then what lies elsewhere is nothing of what it runs with.
fn runs(scene: &Scene<'_>, guest: &ConfiguredGuest) -> Result<(), String> {
    let id = guest.guest.vmid;
    match scene.status(guest) {
        Ok(status) if status.run == GuestRun::Running => Ok(()),
        Ok(status) => Err(format!(
            "guest {id} is {}, and only what runs elsewhere is cleared up after",
            status.run.as_str()
        )),
        Err(unknown) => Err(format!("whether guest {id} runs is not known: {}", unknown.reason)),
    }
}

fn free(
    scene: &Scene<'_>,
    guest: &ConfiguredGuest,
    (owner, running): (&NodeName, bool),
    disc: &LeftDisc,
    row: &mut Row<'_>,
) -> Option<StepId> {
    let (id, kind) = (guest.guest.vmid, guest.guest.kind);
    let LeftDisc { node, storage, volume } = disc;
    let gate = vec![
        row.quorate(node),
        Condition::GuestAt {
            cluster: scene.cluster.clone(),
            guest: id,
            kind,
            node: owner.clone(),
            seen_by: BTreeSet::from([node.clone()]),
            running,
            managed: false,
        },
    ];
    row.put(Draft {
        id: format!("guest.clear-canary/{id}/{node}"),
        node: node.clone(),
        action: Action::FreeCanaryDisc {
            cluster: scene.cluster.clone(),
            guest: id,
            owner: owner.clone(),
            storage: storage.clone(),
            volume: volume.clone(),
        },
        title: format!(
            "free what {node} still has of the disc for cloud-init of {}",
            called(guest)
        ),
        why: vec![
            format!("{owner} has the guest, and PVE made the disc anew there; {volume} is left from before"),
            "when the guest came back, PVE would give its disc another name and take it for one that no copy has"
                .to_owned(),
        ],
        gate,
        done_when: Condition::VolumeGone {
            node: node.clone(),
            volume: volume.clone(),
        },
        seconds: FREE_SECONDS,
        undo: "nothing is to be undone: PVE makes such a disc anew at every start".to_owned(),
        destroys: vec![format!(
            "{volume} on {node}, a disc of 4 MiB that PVE had made for cloud-init"
        )],
        restores: None,
    })
}
