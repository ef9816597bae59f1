//! PVE's choice of a node, as its basic scheduler makes it: the highest class of the rule that has a node online; together with its friends, apart
//! from its foes; then the node with the fewest services, then the first by name. Source: pve-ha-manager Manager.pm (`select_service_node`,
//! `recompute_online_node_usage`), Usage/Basic.pm.

use std::collections::{BTreeMap, BTreeSet};

use crate::clocks::NotNow;
use crate::ids::NodeName;
use crate::moves::service_id;
use crate::observation::config::PveConfig;
use crate::observation::ha::{HaPlacement, HaResource, ManagerStatus};
use crate::observation::{ConfiguredGuest, Guest, GuestRun, Ha};
use crate::view::View;

use super::Fate;

/// From this version on a node's other running guests count, too.
const COUNTS_OTHERS: (u32, u32, u32) = (5, 1, 2);

/// States in which a service takes no room on its node. Source: pve-ha-manager PVE/HA/Usage.pm (`get_used_service_nodes`).
const OFF: [&str; 2] = ["stopped", "request_start"];
/// States in which a service takes room where it is going to, as well.
const MOVES: [&str; 3] = ["migrate", "relocate", "request_start_balance"];

/// As HA names a guest.
pub(super) fn sid(guest: &Guest) -> String {
    service_id(guest.kind, guest.vmid)
}

/// Why HA recovers nothing at all, or that this can't be told.
enum Halt {
    So(String),
    Untold(String),
}

/// What the choice looks at. Each choice changes it for the next one.
pub(super) struct Stage<'a> {
    resources: Result<&'a BTreeMap<String, HaResource>, String>,
    placements: Result<&'a [HaPlacement], String>,
    /// Why the choice can't be followed: another scheduler weighs load.
    weighs: Option<String>,
    /// Nodes that are left, with the number of guests that count.
    load: BTreeMap<NodeName, usize>,
    /// Where each service is.
    places: BTreeMap<String, NodeName>,
    /// Why HA recovers nothing at all.
    halted: Option<Halt>,
    /// Services that it would not recover as they are now, and why.
    stuck: BTreeMap<String, String>,
}

impl<'a> Stage<'a> {
    pub(super) fn of(
        (view, speaker): (&View, &NodeName),
        ha: &'a Ha,
        config: &'a PveConfig,
        guests: &[Guest],
        online: BTreeSet<NodeName>,
    ) -> Self {
        let mut load: BTreeMap<NodeName, usize> = online.into_iter().map(|node| (node, 0)).collect();
        let mut places = BTreeMap::new();
        let resources = ha.resources.get().map_err(|unknown| unknown.reason.clone());
        let manager = ha.manager.get().ok().and_then(Option::as_ref);
        // HA puts nothing on a node that its master does not see online, whatever corosync says of it.
        load.retain(|node, _| !manager.is_some_and(|manager| manager.spares(node.as_str())));
        let others_count = ha.is_at_least(COUNTS_OTHERS);
        for guest in guests {
            let sid = sid(guest);
            let managed = resources.as_ref().is_ok_and(|all| all.contains_key(&sid));
            let place = manager
                .and_then(|manager| manager.services.get(&sid))
                .filter(|_| managed);
            let going = place.filter(|place| MOVES.contains(&place.state.as_str()));
            let to = going.and_then(|place| place.target.as_deref());
            if let Some((_, load)) = load.iter_mut().find(|(node, _)| Some(node.as_str()) == to) {
                *load += 1;
            }
            let Some((node, load)) = load.iter_mut().find(|(node, _)| node.as_str() == guest.node) else {
                continue;
            };
            places.insert(sid.clone(), node.clone());
            let state = place.map(|place| place.state.as_str());
            let counts = match (managed, state) {
                (true, Some("request_start_balance")) => false,
                (true, Some(state)) => !OFF.contains(&state),
                (true, None) => false,
                (false, _) => others_count && runs(view, node, guest.vmid),
            };
            *load += usize::from(counts);
        }
        Self {
            resources,
            placements: ha
                .placements
                .get()
                .map(Vec::as_slice)
                .map_err(|unknown| unknown.reason.clone()),
            weighs: untold(view, ha, config, load.keys()),
            halted: halted(view, speaker, ha),
            stuck: manager.map(stuck).unwrap_or_default(),
            load,
            places,
        }
    }

    /// Is a node one of those that HA may use?
    pub(super) fn has(&self, node: &NodeName) -> bool {
        self.load.contains_key(node)
    }

    /// What becomes of a guest of the node that is lost.
    pub(super) fn fate(&mut self, guest: &Guest, configured: Option<&ConfiguredGuest>) -> Fate {
        let sid = sid(guest);
        let resource = match &self.resources {
            Ok(all) => all.get(&sid),
            Err(reason) => return Fate::Unknown { reason: reason.clone() },
        };
        let stays = |reason: &str| Fate::StaysDown {
            reason: reason.to_owned(),
        };
        let Some(resource) = resource else {
            let template = configured.is_some_and(|one| one.config.get().is_ok_and(|config| config.template));
            return stays(if template { "a template" } else { "not under HA" });
        };
        let off = match resource.state.as_str() {
            "started" | "enabled" => false,
            "stopped" => true,
            "disabled" => return stays("under HA as disabled: nobody moves it"),
            "ignored" => return stays("under HA as ignored: nobody looks after it"),
            other => {
                let reason = format!("its requested state is {other}");
                return Fate::Unknown { reason };
            }
        };
        match &self.halted {
            Some(Halt::So(reason)) => return Fate::Waits { reason: reason.clone() },
            Some(Halt::Untold(reason)) => return Fate::Unknown { reason: reason.clone() },
            None => {}
        }
        if let Some(reason) = self.stuck.get(&sid).cloned() {
            return Fate::Waits { reason };
        }
        let candidates = match self.candidates(&sid, resource) {
            Ok(candidates) if candidates.is_empty() => {
                let reason = "no node that its rules allow is left".to_owned();
                return Fate::Waits { reason };
            }
            Ok(candidates) => candidates,
            Err(reason) => return Fate::Unknown { reason },
        };
        if let Some(reason) = self.weighs.clone().filter(|_| candidates.len() > 1) {
            return Fate::OneOf {
                nodes: candidates,
                reason,
            };
        }
        let least = candidates
            .iter()
            .min_by_key(|node| (self.load.get(*node).copied().unwrap_or(0), (*node).clone()));
        let Some(on) = least.cloned() else {
            let reason = "no node is left".to_owned();
            return Fate::Waits { reason };
        };
        self.places.insert(sid, on.clone());
        if off {
            return Fate::MovedOff { on };
        }
        if let Some(load) = self.load.get_mut(&on) {
            *load += 1;
        }
        Fate::Recovered { on }
    }

    /// The nodes that its rules leave.
    fn candidates(&self, sid: &str, resource: &HaResource) -> Result<BTreeSet<NodeName>, String> {
        let placements = self.placements.clone()?;
        let mut left: BTreeSet<NodeName> = self.load.keys().cloned().collect();
        let mine: Vec<&HaPlacement> = placements.iter().filter(|one| one.is_about(sid, resource)).collect();
        for one in mine.iter().filter(|one| one.kind != HaPlacement::TOGETHER_OR_APART) {
            let mut classes: BTreeMap<i64, BTreeSet<NodeName>> = BTreeMap::new();
            for node in &left {
                let Some(class) = one.class(node.as_str()) else {
                    continue;
                };
                classes.entry(class).or_default().insert(node.clone());
            }
            left = classes.pop_last().map(|(_, nodes)| nodes).unwrap_or_default();
        }
        for one in mine.iter().filter(|one| one.kind == HaPlacement::TOGETHER_OR_APART) {
            let others = one.services.iter().filter(|other| *other != sid);
            let partners: Vec<&NodeName> = others.filter_map(|other| self.places.get(other)).collect();
            if one.apart {
                left.retain(|node| !partners.contains(&node));
            } else {
                let count = |node: &NodeName| partners.iter().filter(|partner| **partner == node).count();
                let most = left.iter().map(count).max().unwrap_or(0);
                if most > 0 {
                    // Of several with as many, the first by name.
                    let first = left.iter().find(|node| count(node) == most).cloned();
                    left = first.into_iter().collect();
                }
            }
        }
        Ok(left)
    }
}

/// Why HA would do nothing at all, as far as that is known.
fn halted(view: &View, speaker: &NodeName, ha: &Ha) -> Option<Halt> {
    let manager = ha.manager.get().ok()?.as_ref()?;
    if let Some(disarm) = &manager.disarm {
        let reason = format!("HA is {}: the loss of a node is not dealt with", disarm.state);
        return Some(Halt::So(reason));
    }
    match view.manager_now(speaker).err()? {
        NotNow::Silent(silent) => Some(Halt::So(format!("{silent}: HA does nothing now"))),
        NotNow::Untold(unknown) => Some(Halt::Untold(unknown.reason)),
    }
}

/// What is frozen, or was given up, is not touched.
fn stuck(manager: &ManagerStatus) -> BTreeMap<String, String> {
    let odd = manager
        .services
        .iter()
        .filter(|(_, place)| matches!(place.state.as_str(), "freeze" | "error"));
    let why = |state: &str| format!("HA has it in state {state} now, in which it is not touched");
    odd.map(|(sid, place)| (sid.clone(), why(&place.state))).collect()
}

/// Why the choice between several nodes can't be followed: another scheduler weighs load, or what the basic one counts is not known.
fn untold<'n>(view: &View, ha: &Ha, config: &PveConfig, nodes: impl Iterator<Item = &'n NodeName>) -> Option<String> {
    let crs = match config.datacenter.get() {
        Ok(settings) => settings.get("crs"),
        Err(unknown) => return Some(format!("datacenter.cfg: {}", unknown.reason)),
    };
    let scheduler = crs.and_then(|crs| crs.split(',').find_map(|part| part.trim().strip_prefix("ha=")));
    if let Some(scheduler) = scheduler.filter(|scheduler| *scheduler != "basic") {
        return Some(format!(
            "datacenter.cfg has crs: ha={scheduler}, which weighs processors and memory"
        ));
    }
    if let Err(unknown) = ha.manager.get() {
        return Some(format!("what HA's master last said: {}", unknown.reason));
    }
    if let Err(unknown) = ha.version.get() {
        return Some(format!("pve-ha-manager's version: {}", unknown.reason));
    }
    let mut nodes = nodes.filter(|_| ha.is_at_least(COUNTS_OTHERS));
    nodes.find_map(|node| {
        let unknown = view.facet(node, |o| &o.running).err()?;
        Some(format!("what runs on {node}: {}", unknown.reason))
    })
}

/// Does a guest run on a node, as far as that is known?
fn runs(view: &View, node: &NodeName, vmid: u32) -> bool {
    let running = view.facet(node, |o| &o.running);
    running.is_ok_and(|all| all.iter().any(|one| one.vmid == vmid && one.run != GuestRun::Stopped))
}
