//! HA while the membership changes: with an armed watchdog, a moment without quorum would reset servers. So it is disarmed before
//! and armed after, or is found to be so already, or the change is refused.

use std::collections::BTreeSet;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::observation::{FacetName, Ha as Seen};
use quorate_model::plan::Condition;
use quorate_model::view::{Rest, View};

use super::members::Standing;
use super::preflight::Founder;
use super::{Changes, links};
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// How HA is put to rest.
#[derive(Debug)]
pub(super) enum Ha {
    /// There is nothing to put to rest.
    Idle,
    /// As a whole, by `disarm-ha`.
    Disarm,
    /// By stopping its daemons, on the nodes where they run.
    Stop {
        /// Where pve-ha-lrm runs.
        lrm: BTreeSet<NodeName>,
        /// Where pve-ha-crm runs.
        crm: BTreeSet<NodeName>,
    },
}

impl Ha {
    pub(super) fn daemons_are_stopped(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }
}

/// Services in these states are under way.
const UNDER_WAY: [&str; 5] = ["fence", "recovery", "migrate", "relocate", "request_start_balance"];

pub(super) fn decide(
    view: &View,
    standing: &Standing<'_>,
    changes: Changes,
    founder: Option<Founder<'_>>,
    report: &mut Report,
) -> Ha {
    if !changes.corosync() {
        tell_of_rest(view, standing, report);
        return Ha::Idle;
    }
    // Whose HA it is: that of the members, or of the one server that founds the cluster.
    let own: BTreeSet<&NodeName> = match founder {
        Some(Founder::Creates { node, .. }) => BTreeSet::from([node]),
        _ => standing.inside.keys().copied().collect(),
    };
    let others = links::joining(standing)
        .into_iter()
        .chain(standing.unfinished.keys().copied());
    let others: BTreeSet<&NodeName> = others.filter(|node| !own.contains(node)).collect();
    let mut complete = true;
    let mut seen: Vec<(&NodeName, &Seen)> = Vec::new();
    for node in own.iter().chain(&others) {
        // Of those that have begun to join, nothing but their daemons matters, and those only where HA has to be stopped.
        match report.facet(view, node, FacetName::Ha, Weight::Needed, |o| &o.ha) {
            Some(ha) => seen.push((node, ha)),
            None => complete = false,
        }
    }
    if !complete || own.is_empty() {
        return Ha::Idle;
    }
    let armed_alone = |(node, ha): &&(&NodeName, &Seen)| others.contains(node) && ha.watchdog_armed;
    for (node, _) in seen.iter().filter(armed_alone) {
        report.tell(Finding::new(
            Code::HaCannotDisarm,
            node.as_str(),
            format!("{node} is in no cluster and has an armed watchdog"),
            format!("on {node}: systemctl stop pve-ha-lrm; systemctl stop pve-ha-crm; start them again after the join"),
        ));
    }
    let ours: Vec<(&NodeName, &Seen)> = seen.iter().filter(|(node, _)| own.contains(node)).copied().collect();
    let Some(under_ha) = resources(&ours, report) else {
        return Ha::Idle;
    };
    let stands_still = judged_at_rest(view, &ours);
    if under_ha.is_empty() && stands_still {
        return Ha::Idle;
    }
    if busy(&ours, report) {
        return Ha::Idle;
    }
    if stands_still {
        tell_of_rest(view, standing, report);
        let as_a_whole = |ha: &Seen| {
            ha.manager
                .get()
                .is_ok_and(|m| m.as_ref().is_some_and(|m| m.disarm.is_some()))
        };
        if ours.iter().any(|(_, ha)| as_a_whole(ha)) {
            return Ha::Idle;
        }
        // Where only the daemons rest, those of a joiner would see the services, and take them up.
        return stop_running(&seen, &others, report).unwrap_or(Ha::Idle);
    }
    let armed_now = seen.iter().any(|(_, ha)| ha.watchdog_armed);
    if !standing.quorate() && !armed_now {
        // Without quorum no daemon gets the lock that it would arm the watchdog for, and none is armed: they can be stopped.
        report.tell(paused(&under_ha, &ours));
        let all: BTreeSet<&NodeName> = own.iter().chain(&others).copied().collect();
        return stop_running(&seen, &all, report).unwrap_or(Ha::Idle);
    }
    if !standing.quorate() {
        report.tell(Finding::new(
            Code::HaCannotDisarm,
            in_a_row(ours.iter().map(|(node, _)| node)),
            "a watchdog is armed, and nothing disarms it without quorum: that server will reset itself within a minute",
            "bring quorum back (pvecm status, on each), or wait for the reset; then plan again",
        ));
        return Ha::Idle;
    }
    report.tell(paused(&under_ha, &ours));
    match can_disarm(&seen) {
        Ok(true) => Ha::Disarm,
        Ok(false) => {
            // Those of a server that is taken out as well: they are not started again once it is off.
            let all: BTreeSet<&NodeName> = own.iter().chain(&others).copied().collect();
            stop_running(&seen, &all, report).unwrap_or(Ha::Idle)
        }
        Err((node, unknown)) => {
            let finding = facet_unknown(node, FacetName::Ha, "version of pve-ha-manager", unknown);
            report.weigh(Weight::Needed, finding);
            Ha::Idle
        }
    }
}

/// Guests under HA; `None` if somebody can't tell.
fn resources<'v>(ours: &[(&'v NodeName, &'v Seen)], report: &mut Report) -> Option<BTreeSet<&'v str>> {
    let mut under_ha = BTreeSet::new();
    let mut complete = true;
    for (node, ha) in ours {
        match ha.resources.get() {
            Ok(resources) => under_ha.extend(resources.keys().map(String::as_str)),
            Err(unknown) => {
                complete = false;
                let finding = facet_unknown(node, FacetName::Ha, "guests under HA", unknown);
                report.weigh(Weight::Needed, finding);
            }
        }
    }
    complete.then_some(under_ha)
}

/// No watchdog is armed, and nothing can arm one: judged as the gate of every step does.
fn judged_at_rest(view: &View, ours: &[(&NodeName, &Seen)]) -> bool {
    let Ok(any) = ClusterName::new("any") else { return false };
    let rest = Condition::HaDisarmed {
        cluster: any,
        nodes: ours.iter().map(|(node, _)| (*node).clone()).collect(),
    };
    rest.judge(view).holds()
}

/// Is HA in the middle of something, or can that not be told?
fn busy(ours: &[(&NodeName, &Seen)], report: &mut Report) -> bool {
    for (node, ha) in ours {
        let manager = match ha.manager.get() {
            Ok(Some(manager)) => manager,
            Ok(None) => continue,
            Err(unknown) => {
                let finding = facet_unknown(node, FacetName::Ha, "what HA's manager does", unknown);
                report.weigh(Weight::Needed, finding);
                return true;
            }
        };
        let moving: Vec<String> = manager
            .services
            .iter()
            .filter(|(_, place)| UNDER_WAY.contains(&place.state.as_str()))
            .map(|(sid, place)| format!("{sid} ({} on {})", place.state, place.node))
            .collect();
        let disarming = manager.disarm.as_ref().filter(|d| d.state != "disarmed");
        let message = if !moving.is_empty() {
            format!("HA is busy with {}, says {node}", in_a_row(moving))
        } else if let Some(disarm) = disarming {
            format!("HA is {}, says {node}", disarm.state)
        } else {
            continue;
        };
        report.tell(Finding::new(
            Code::HaBusy,
            node.as_str(),
            message,
            format!("wait until that is over, and plan again; on {node}: ha-manager status"),
        ));
        return true;
    }
    false
}

fn can_disarm<'v>(seen: &[(&'v NodeName, &'v Seen)]) -> Result<bool, (&'v NodeName, &'v quorate_model::Unknown)> {
    let mut all = true;
    for (node, ha) in seen {
        all &= ha.can_disarm().map_err(|unknown| (*node, unknown))?;
    }
    Ok(all)
}

/// The daemons that run on these nodes; `None` if somebody can't tell.
fn stop_running(seen: &[(&NodeName, &Seen)], of: &BTreeSet<&NodeName>, report: &mut Report) -> Option<Ha> {
    let (mut lrm, mut crm) = (BTreeSet::new(), BTreeSet::new());
    for (node, ha) in seen.iter().filter(|(node, _)| of.contains(node)) {
        for (state, running, unit) in [(&ha.lrm, &mut lrm, "pve-ha-lrm"), (&ha.crm, &mut crm, "pve-ha-crm")] {
            match state.get() {
                Ok(state) if state.is_running() => {
                    running.insert((*node).clone());
                }
                Ok(_) => {}
                Err(unknown) => {
                    let finding = facet_unknown(node, FacetName::Ha, &format!("state of {unit}"), unknown);
                    report.weigh(Weight::Needed, finding);
                    return None;
                }
            }
        }
    }
    (!lrm.is_empty() || !crm.is_empty()).then_some(Ha::Stop { lrm, crm })
}

fn paused(under_ha: &BTreeSet<&str>, ours: &[(&NodeName, &Seen)]) -> Finding {
    let armed: Vec<&&NodeName> = ours
        .iter()
        .filter(|(_, ha)| ha.watchdog_armed)
        .map(|(node, _)| node)
        .collect();
    let subject = ours.first().map_or("", |(node, _)| node.as_str());
    let what = if under_ha.is_empty() {
        format!("a watchdog is armed on {}", in_a_row(armed))
    } else {
        format!("{} under HA", in_a_row(under_ha))
    };
    Finding::new(
        Code::HaPaused,
        subject,
        format!("{what}: HA is disarmed before the change and armed again after it; in between it restarts nothing"),
        "choose a quiet hour; the guests go on running",
    )
}

/// HA that somebody else put to rest stays so. What a rollout of ours left at rest is woken by the plan, which says so by its steps.
fn tell_of_rest(view: &View, standing: &Standing<'_>, report: &mut Report) {
    for (node, _) in standing.staying() {
        let Ok(ha) = view.facet(node, |o| &o.ha) else { continue };
        if ha.resources.get().map_or(true, |resources| resources.is_empty()) {
            continue;
        }
        let disarmed = ha
            .manager
            .get()
            .is_ok_and(|m| m.as_ref().is_some_and(|m| m.disarm.is_some()));
        let stopped = |state: &quorate_model::Facet<quorate_model::observation::readiness::ServiceState>| {
            state.get().is_ok_and(|s| !s.is_running())
        };
        let asleep = |rest: &&Rest| !matches!(rest, Rest::Maintenance { .. });
        let mut rests = view.at_rest.iter().filter(asleep);
        let ours = rests.any(|rest| rest.is_so(node, ha) == Some(true));
        if ours && standing.quorate() {
            continue;
        }
        let (message, next) = if disarmed {
            (
                "HA is disarmed: nobody restarts the guests of a server that fails".to_owned(),
                format!("if nobody works on it any more, on {node}: ha-manager crm-command arm-ha"),
            )
        } else if stopped(&ha.lrm) || stopped(&ha.crm) {
            (
                format!("HA's daemons are stopped on {node}: its guests are not looked after"),
                format!("if nobody works on it any more, on {node}: systemctl start pve-ha-crm pve-ha-lrm"),
            )
        } else {
            continue;
        };
        report.tell(Finding::new(Code::HaAlreadyDisarmed, node.as_str(), message, next));
    }
}
