//! Guests that are where they should be, and servers that the cluster can do without.

use std::collections::{BTreeMap, BTreeSet};

use super::membership::{self, member_of};
use super::{Condition, Needs, Not, Verdict, on_each};
use crate::canary;
use crate::copies::{self, CopyState};
use crate::finding::{self, Finding, KnownFinding};
use crate::ids::{ClusterName, NodeName};
use crate::moves::service_id;
use crate::observation::ha::{HaPlace, ManagerStatus};
use crate::observation::{FacetName, GuestKind, GuestRun, Ha};
use crate::view::View;

/// So many findings are named where some got worse.
const NAMED: usize = 4;

impl Condition {
    /// What must be looked at where it is about guests that are moved and servers that restart.
    pub(super) fn about_moves(&self) -> Option<Needs> {
        let of =
            |node: &NodeName, facets: &[FacetName]| (node.clone(), facets.iter().copied().collect::<BTreeSet<_>>());
        match self {
            Self::GuestAt {
                node, seen_by, managed, ..
            } => {
                let mut needs: Needs = seen_by.iter().map(|other| of(other, &[FacetName::Guests])).collect();
                let own = needs.entry(node.clone()).or_default();
                own.extend([FacetName::Guests, FacetName::Running]);
                own.extend(managed.then_some(FacetName::Ha));
                Some(needs)
            }
            Self::Spare { node, others, .. } => {
                let facets = [
                    FacetName::System,
                    FacetName::Cluster,
                    FacetName::Guests,
                    FacetName::Running,
                    FacetName::Replication,
                    FacetName::Ha,
                    FacetName::Config,
                ];
                Some(others.iter().chain([node]).map(|node| of(node, &facets)).collect())
            }
            Self::Canary { node, .. } => Some(Needs::from([of(
                node,
                &[FacetName::Guests, FacetName::Running, FacetName::Config],
            )])),
            Self::Maintenance { seen_by, .. } => Some(Needs::from([of(seen_by, &[FacetName::Ha, FacetName::Cluster])])),
            Self::Rebooted { node, .. } => Some(Needs::from([of(node, &[FacetName::System, FacetName::Cluster])])),
            // What a restart may change, and what the streams tell of only after a while. Disks are left to them: a look takes seconds.
            Self::NothingWorse { nodes, .. } => {
                let facets = [
                    FacetName::System,
                    FacetName::Cluster,
                    FacetName::Guests,
                    FacetName::Ha,
                    FacetName::Pools,
                    FacetName::Storages,
                    FacetName::Replication,
                ];
                Some(nodes.iter().map(|node| of(node, &facets)).collect())
            }
            _ => None,
        }
    }
}

/// Judges those of this file.
pub(super) fn judge(condition: &Condition, view: &View) -> Verdict {
    match condition {
        Condition::GuestAt {
            guest,
            kind,
            node,
            seen_by,
            running,
            managed,
            ..
        } => {
            let wanted = Wanted {
                guest: *guest,
                kind: *kind,
                node,
                running: *running,
                managed: *managed,
            };
            guest_at(view, wanted, seen_by)
        }
        Condition::Maintenance { node, on, seen_by, .. } => maintenance(view, node, *on, seen_by),
        Condition::Drained { node } => drained(view, node),
        Condition::Spare { cluster, node, others } => spare(view, cluster, node, others),
        Condition::Rebooted { cluster, node, boot } => rebooted(view, cluster, node, boot),
        Condition::NothingWorse { cluster, known, .. } => nothing_worse(view, cluster, known),
        Condition::Canary {
            guest,
            kind,
            node,
            there,
            ..
        } => canary_is(view, (*guest, *kind), node, *there),
        _ => Verdict::Unknown("this is no condition about moves".to_owned()),
    }
}

/// Where a guest should be, and how.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    guest: u32,
    kind: GuestKind,
    node: &'a NodeName,
    running: bool,
    managed: bool,
}

fn guest_at(view: &View, wanted: Wanted<'_>, seen_by: &BTreeSet<NodeName>) -> Verdict {
    let Wanted {
        guest,
        kind,
        node,
        running,
        managed,
    } = wanted;
    let owned = on_each(seen_by.iter().chain([node]), String::new, |speaker| {
        let guests = view.facet(speaker, |o| &o.guests)?;
        match guests.iter().find(|g| g.vmid == guest) {
            None => Err(Not::Yet(format!("has no guest {guest} in its list"))),
            Some(seen) if seen.kind != kind => Err(Not::Yet(format!("has another kind of guest as {guest}"))),
            Some(seen) if seen.node != node.as_str() => Err(Not::Yet(format!(
                "sees guest {guest} with {}, not with {node}",
                seen.node
            ))),
            Some(_) => Ok(()),
        }
    });
    if !owned.holds() {
        return owned;
    }
    let word = if running { "runs" } else { "is stopped" };
    let by_ha = if managed { ", as HA has it too" } else { "" };
    on_each(
        [node],
        || format!("guest {guest} {word} on {node}{by_ha}"),
        |node| {
            let all = view.facet(node, |o| &o.running)?;
            let Some(seen) = all.iter().find(|g| g.vmid == guest) else {
                return Err(Not::Known(format!("it does not say how guest {guest} runs")));
            };
            if let Some(lock) = &seen.lock {
                return Err(Not::Yet(format!("has guest {guest} locked ({lock})")));
            }
            let state = seen.run.as_str();
            match (&seen.run, running) {
                (GuestRun::Running, true) | (GuestRun::Stopped, false) => {}
                _ => return Err(Not::Yet(format!("has guest {guest} {state}"))),
            }
            if !managed {
                return Ok(());
            }
            let sid = service_id(kind, guest);
            let manager = manager(view, node)?;
            let place = manager
                .and_then(|m| m.services.get(&sid))
                .ok_or_else(|| Not::Yet(format!("does not see {sid} under HA")))?;
            at_rest(&sid, place, node, running)
        },
    )
}

fn canary_is(view: &View, (guest, kind): (u32, GuestKind), node: &NodeName, there: bool) -> Verdict {
    if !there {
        return on_each(
            [node],
            || format!("there is no guest {guest} any more"),
            |node| {
                let guests = view.facet(node, |o| &o.guests)?;
                match guests.iter().find(|seen| seen.vmid == guest) {
                    None => Ok(()),
                    Some(seen) => Err(Not::Yet(format!("sees guest {guest} with {}", seen.node))),
                }
            },
        );
    }
    let wanted = Wanted {
        guest,
        kind,
        node,
        running: true,
        managed: false,
    };
    let runs = guest_at(view, wanted, &BTreeSet::new());
    if !runs.holds() {
        return runs;
    }
    on_each(
        [node],
        || format!("guest {guest} runs on {node} as a canary of ours"),
        |node| {
            let config = view.facet(node, |o| &o.config)?;
            let guests = config.guests.get()?;
            let own = guests.iter().find(|one| one.guest.vmid == guest);
            match own.map(canary::is_tagged) {
                Some(Some(true)) => Ok(()),
                Some(Some(false)) => Err(Not::Yet(format!("sees guest {guest} without the tag {}", canary::TAG))),
                Some(None) => Err(Not::Known(format!("can't read the configuration of guest {guest}"))),
                None => Err(Not::Yet(format!("has no configuration of guest {guest}"))),
            }
        },
    )
}

/// C.6 of HA: a move is over when the service is started on its target and neither a command nor a target is left.
fn at_rest(sid: &str, place: &HaPlace, node: &NodeName, running: bool) -> Result<(), Not> {
    let wanted = if running { "started" } else { "stopped" };
    if let Some(target) = &place.target {
        return Err(Not::Yet(format!("sees HA move {sid} from {} to {target}", place.node)));
    }
    if let Some(command) = &place.command {
        return Err(Not::Yet(format!("sees HA about to {command} {sid}")));
    }
    if place.node != node.as_str() || place.state != wanted {
        return Err(Not::Yet(format!("sees {sid} {} on {} by HA", place.state, place.node)));
    }
    Ok(())
}

/// The master's word, as this node has it. What an old master wrote is not how it is.
fn manager<'v>(view: &'v View, node: &NodeName) -> Result<Option<&'v ManagerStatus>, Not> {
    view.manager_now(node)
        .map_err(|not| Not::Known(not.reason().to_owned()))
}

fn maintenance(view: &View, node: &NodeName, on: bool, seen_by: &NodeName) -> Verdict {
    let evidence = || match on {
        true => format!("HA has {node} in maintenance and nothing on it, says {seen_by}"),
        false => format!("HA may use {node} again, says {seen_by}"),
    };
    on_each([seen_by], evidence, |speaker| {
        let Some(manager) = manager(view, speaker)? else {
            let missing = "has never seen an HA master".to_owned();
            return if on { Err(Not::Yet(missing)) } else { Ok(()) };
        };
        let asked = manager.maintenance.contains(node.as_str());
        let state = manager.nodes.get(node.as_str()).map_or("unknown", String::as_str);
        if !on {
            return match (asked, state) {
                (true, _) => Err(Not::Yet(format!("sees maintenance of {node} still asked for"))),
                // The state of a node that is off stays as its LRM left it; the request is all that can be taken back.
                (false, "maintenance") if is_offline(view, speaker, node) => Ok(()),
                (false, "maintenance") => Err(Not::Yet(format!("sees {node} still in maintenance by HA"))),
                (false, _) => Ok(()),
            };
        }
        if !asked || state != "maintenance" {
            let asked = if asked { "asked for" } else { "not asked for (yet)" };
            return Err(Not::Yet(format!(
                "sees {node} {state} by HA, and its maintenance {asked}"
            )));
        }
        let rest = |(_, place): &(&String, &HaPlace)| {
            place.node == node.as_str() && !matches!(place.state.as_str(), "stopped" | "request_stop" | "ignored")
        };
        match manager.services.iter().find(rest) {
            None => Ok(()),
            Some((sid, place)) => Err(Not::Yet(format!("sees {sid} still on {node} by HA ({})", place.state))),
        }
    })
}

/// Does a quorate member see that a node is off?
fn is_offline(view: &View, speaker: &NodeName, node: &NodeName) -> bool {
    let member = view.cluster_of(speaker).ok().and_then(|seen| seen.member());
    member.is_some_and(|member| member.quorate && !member.online().any(|name| name == node.as_str()))
}

fn drained(view: &View, node: &NodeName) -> Verdict {
    on_each(
        [node],
        || format!("no guest runs on {node}"),
        |node| {
            let all = view.facet(node, |o| &o.running)?;
            match all.iter().find(|guest| guest.run != GuestRun::Stopped) {
                None => Ok(()),
                Some(guest) => Err(Not::Yet(format!(
                    "still has guest {} {}",
                    guest.vmid,
                    guest.run.as_str()
                ))),
            }
        },
    )
}

fn rebooted(view: &View, cluster: &ClusterName, node: &NodeName, boot: &str) -> Verdict {
    let afresh = on_each(
        [node],
        || format!("{node} has started anew"),
        |node| {
            let system = view.facet(node, |o| &o.system)?;
            if system.boot_id == boot {
                Err(Not::Yet("has not started anew yet".to_owned()))
            } else {
                Ok(())
            }
        },
    );
    match (afresh, membership::quorate(view, cluster, node)) {
        (Verdict::Holds(afresh), Verdict::Holds(quorate)) => Verdict::Holds(format!("{afresh}; {quorate}")),
        (Verdict::Holds(_), other) | (other, _) => other,
    }
}

/// Everything that there is to say of the cluster, held against what was said before. What the coordinator learns to say of more (Ceph's
/// health, for one) counts here by itself.
fn nothing_worse(view: &View, cluster: &ClusterName, known: &BTreeSet<KnownFinding>) -> Verdict {
    let findings = match view.findings.get() {
        Ok(findings) => findings,
        Err(unknown) => return Verdict::Unknown(format!("what there is to say of {cluster}: {}", unknown.reason)),
    };
    let worse = finding::worse(known, findings);
    if worse.is_empty() {
        return Verdict::Holds(format!("nothing of {cluster} is worse than when this was planned"));
    }
    // Without their words: figures in them change with each look, and what is waited for is told whenever it changes.
    let each = |finding: &&Finding| format!("{} of {}", finding.code.as_str(), finding.subject);
    let named: Vec<String> = worse.iter().take(NAMED).map(each).collect();
    let others = match worse.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Verdict::NotYet(format!(
        "something got worse since this was planned: {}{others}; see: quorate status {cluster}",
        named.join(", ")
    ))
}

/// Can the cluster do without this node now? Its votes, its copies, HA that is at rest, no Ceph, and room for what runs on it.
fn spare(view: &View, cluster: &ClusterName, node: &NodeName, others: &BTreeSet<NodeName>) -> Verdict {
    let evidence = || format!("{cluster} can do without {node}: votes, copies, HA and memory of the others suffice");
    let members = on_each(others.iter().chain([node]), evidence, |member| {
        let Verdict::NotYet(why) = membership::quorate(view, cluster, member) else {
            return enough_votes(view, cluster, node, member);
        };
        // It begins with the node's name, which comes by itself.
        let bare = why.strip_prefix(&format!("{member} ")).unwrap_or(&why);
        Err(Not::Yet(bare.to_owned()))
    });
    if !members.holds() {
        return members;
    }
    let told = on_each(others, evidence, |speaker| ha_at_rest(view, speaker, others));
    if !told.holds() {
        return told;
    }
    let copies = on_each(others.iter().chain([node]), evidence, |owner| copies_fresh(view, owner));
    if !copies.holds() {
        return copies;
    }
    let ceph = on_each(others.iter().chain([node]), evidence, |member| no_ceph(view, member));
    if !ceph.holds() {
        return ceph;
    }
    match room(view, node, others) {
        Ok(()) => Verdict::Holds(evidence()),
        Err(Not::Yet(why)) => Verdict::NotYet(format!("{node} {why}")),
        Err(Not::Known(why)) => Verdict::Unknown(why),
    }
}

/// Whether Ceph can do without a node (its monitors' quorum, and that no object of a pool is short of copies) can't be judged yet: a restart while the
/// last one's objects are still being copied stops the disks of all guests.
fn no_ceph(view: &View, member: &NodeName) -> Result<(), Not> {
    let config = view.facet(member, |o| &o.config)?;
    let daemons = config.ceph_daemons.get()?;
    let what = match config.ceph_monitors.get()? {
        _ if !daemons.is_empty() => daemons.join(", "),
        Some(monitors) if !monitors.is_empty() => format!("monitors on {}", monitors.join(", ")),
        _ => return Ok(()),
    };
    Err(Not::Yet(format!(
        "has Ceph ({what}), and whether Ceph can do without a server can't be judged yet: restart them by hand, each when `ceph -s` says HEALTH_OK"
    )))
}

fn enough_votes(view: &View, cluster: &ClusterName, node: &NodeName, speaker: &NodeName) -> Result<(), Not> {
    let seen = view.cluster_of(speaker)?;
    let member = member_of(seen, cluster)?;
    if let Some(off) = member.nodes.iter().find(|n| !n.online && n.name != node.as_str()) {
        return Err(Not::Yet(format!("sees {} offline", off.name)));
    }
    let votes = member.votes.get()?;
    let configured = member.configured.iter().find(|n| n.name == node.as_str());
    let own = configured
        .map(|n| n.votes)
        .ok_or_else(|| Not::Known(format!("does not say how many votes {node} has")))?;
    if votes.total.saturating_sub(own) < votes.quorum {
        return Err(Not::Yet(format!(
            "counts {} votes, and without the {own} of {node} they are fewer than the {} that quorum takes",
            votes.total, votes.quorum
        )));
    }
    Ok(())
}

/// Nothing is being recovered, moved or left in error, HA is not disarmed, and it may use all others.
fn ha_at_rest(view: &View, speaker: &NodeName, others: &BTreeSet<NodeName>) -> Result<(), Not> {
    let ha: &Ha = view.facet(speaker, |o| &o.ha)?;
    if ha.resources.get()?.is_empty() {
        return Ok(());
    }
    let Some(manager) = manager(view, speaker)? else {
        return Err(Not::Yet(
            "has guests under HA and has never seen an HA master".to_owned(),
        ));
    };
    if let Some(disarm) = &manager.disarm {
        return Err(Not::Yet(format!("says that HA is {}", disarm.state)));
    }
    for other in others {
        let state = manager.nodes.get(other.as_str()).map_or("unknown", String::as_str);
        if state != "online" {
            return Err(Not::Yet(format!(
                "sees {other} {state} by HA, which puts no guest there"
            )));
        }
    }
    let odd = manager.services.iter().find(|(_, place)| {
        let calm = matches!(place.state.as_str(), "started" | "stopped" | "ignored");
        !calm || place.target.is_some() || place.command.is_some()
    });
    match odd {
        None => Ok(()),
        Some((sid, place)) => Err(Not::Yet(format!("sees {sid} in state {} by HA", place.state))),
    }
}

/// Every copy of a guest that this node owns is as young as its schedule promises.
fn copies_fresh(view: &View, owner: &NodeName) -> Result<(), Not> {
    let config = view.facet(owner, |o| &o.config)?;
    let jobs = config.replication.get()?;
    let guests = view.facet(owner, |o| &o.guests)?;
    let own: BTreeSet<u32> = guests
        .iter()
        .filter(|guest| guest.node == owner.as_str())
        .map(|guest| guest.vmid)
        .collect();
    let ours: Vec<_> = jobs.iter().filter(|job| own.contains(&job.guest)).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let states = view.facet(owner, |o| &o.replication)?;
    let now = view
        .nodes
        .get(owner)
        .and_then(|seen| seen.observation.as_ref().ok()?.replication.collected_at())
        .unwrap_or_default();
    for job in ours {
        let state = states.iter().find(|s| s.guest == job.guest && s.target == job.target);
        let stands = copies::judge(job, owner.as_str(), state, now);
        // One that is switched off, or goes, somebody wanted so.
        if stands.is_fine() || matches!(stands, CopyState::Off | CopyState::Leaving) {
            continue;
        }
        let why = match stands {
            CopyState::Failing { error, .. } => format!("fails: {error}"),
            CopyState::Late => "is older than its schedule promises".to_owned(),
            CopyState::Turning => "is being turned round after a move".to_owned(),
            CopyState::Held(_) => "is held until somebody decides".to_owned(),
            _ => "was never made".to_owned(),
        };
        return Err(Not::Yet(format!(
            "has a copy that is not fresh: {} on {} {why}",
            job.id, job.target
        )));
    }
    Ok(())
}

/// Whatever runs on the node finds room in the others' memory, the largest first, each where most is left.
fn room(view: &View, node: &NodeName, others: &BTreeSet<NodeName>) -> Result<(), Not> {
    let mut runs: Vec<u64> = view
        .facet(node, |o| &o.running)?
        .iter()
        .filter(|guest| guest.run != GuestRun::Stopped)
        .map(|guest| guest.memory.0)
        .collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    let mut free: BTreeMap<&NodeName, u64> = BTreeMap::new();
    for other in others {
        let system = view.facet(other, |o| &o.system)?;
        free.insert(other, system.memory.available.0);
    }
    for wanted in runs {
        let most = free.iter_mut().max_by_key(|(_, left)| **left);
        match most {
            Some((_, left)) if *left >= wanted => *left -= wanted,
            _ => {
                return Err(Not::Yet(format!(
                    "runs a guest of {} for which no other node has memory",
                    crate::ByteSize(wanted)
                )));
            }
        }
    }
    Ok(())
}
