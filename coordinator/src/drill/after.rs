//! After the fault: what has not returned to normal yet, each with what to do about it. Pure.

use std::collections::BTreeSet;

use quorate_model::View;
use quorate_model::finding::{Code, Finding, KnownFinding, worse};
use quorate_model::ids::{ClusterName, NodeName, NodeRef};
use quorate_model::observation::guest_status::GuestRun;
use quorate_model::observation::ha::ManagerStatus;

use super::copies;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Normal<'a> {
    pub(super) cluster: &'a ClusterName,
    pub(super) victim: &'a NodeName,
    /// The watched guest, and those that were to be started elsewhere.
    pub(super) guests: &'a BTreeSet<u32>,
    /// The fault was seen to be gone.
    pub(super) gone: bool,
    /// The victim is under HA's watch: its watchdog was armed.
    pub(super) armed: bool,
    /// What was said of the cluster before.
    pub(super) known: &'a BTreeSet<KnownFinding>,
}

/// What is not as it should be.
pub(super) fn amiss(view: &View, of: &Normal<'_>) -> Vec<Finding> {
    let mut found = Found { of, all: Vec::new() };
    if !of.gone {
        let message = format!("the fault on {} was not seen to be gone", of.victim);
        let next = format!(
            "on its console, as root: quorate-agent heal; or quorate drill abort --cluster {}",
            of.cluster
        );
        found.tell(Code::DrillRunning, of.victim, message, next);
    }
    members(view, of, &mut found);
    watchdog(view, of, &mut found);
    for guest in of.guests {
        once(view, *guest, &mut found);
        copies::amiss(view, *guest, &mut |code, message, next| {
            found.of_guest(code, *guest, message, next)
        });
    }
    match view.findings.get() {
        Ok(now) => {
            for finding in worse(of.known, now) {
                found.all.push(finding.clone());
            }
        }
        Err(unknown) => {
            let message = format!("what is to be said of the cluster is not known: {}", unknown.reason);
            found.tell(Code::DrillUnseen, of.victim, message, "quorate status");
        }
    }
    found.in_order()
}

/// Does all of it wait for somebody's word? Then time changes nothing about it.
pub(super) fn waits_for_a_word(amiss: &[Finding]) -> bool {
    let waits = [Code::CopyHeld, Code::CanaryDiscLeft];
    !amiss.is_empty() && amiss.iter().all(|finding| waits.contains(&finding.code))
}

struct Found<'a> {
    of: &'a Normal<'a>,
    all: Vec<Finding>,
}

impl Found<'_> {
    fn tell(&mut self, code: Code, node: &NodeName, message: impl Into<String>, next: impl Into<String>) {
        let subject = NodeRef::new(self.of.cluster.clone(), node.clone()).to_string();
        self.all.push(Finding::new(code, subject, message, next));
    }

    fn of_guest(&mut self, code: Code, guest: u32, message: String, next: String) {
        let subject = format!("{}/guest {guest}", self.of.cluster);
        self.all.push(Finding::new(code, subject, message, next));
    }

    /// Each thing once.
    fn in_order(self) -> Vec<Finding> {
        let mut seen = BTreeSet::new();
        let mut all = self.all;
        all.retain(|finding| seen.insert((finding.code, finding.subject.clone())));
        quorate_planner::in_order(all)
    }
}

/// Each server answers, is quorate, and sees the victim as a member.
fn members(view: &View, of: &Normal<'_>, found: &mut Found<'_>) {
    for node in view.nodes.keys() {
        let member = match view.cluster_of(node) {
            Ok(cluster) => cluster.member(),
            Err(unknown) => {
                let message = format!("{node} could not be seen: {}", unknown.reason);
                let next = format!(
                    "see whether {node} is on and its agent runs: systemctl status quorate-agent; quorate status"
                );
                found.tell(Code::DrillMemberOff, node, message, next);
                continue;
            }
        };
        let Some(member) = member else { continue };
        if !member.quorate {
            let message = format!("{node} has no quorum");
            found.tell(
                Code::ClusterNotQuorate,
                node,
                message,
                format!("on {node}: pvecm status"),
            );
        }
        for other in member.nodes.iter().filter(|other| !other.online) {
            let message = format!("{} is not in the membership, as {node} sees it", other.name);
            let next = format!("on {}: systemctl status corosync pve-cluster", other.name);
            found.tell(Code::DrillMemberOff, of.victim, message, next);
        }
    }
}

/// The victim's watchdog is armed again, where it was before and there is a reason: a server on which HA runs nothing, and which is not its master, holds
/// no watchdog.
fn watchdog(view: &View, of: &Normal<'_>, found: &mut Found<'_>) {
    if !of.armed {
        return;
    }
    match view.facet(of.victim, |o| &o.ha) {
        Ok(ha) if ha.watchdog_armed => {}
        Ok(ha)
            if ha
                .manager
                .get()
                .is_ok_and(|manager| !needs_watchdog(manager.as_ref(), of.victim)) => {}
        Ok(_) => {
            let message = format!("the watchdog of {} is not armed again", of.victim);
            let next = format!("on {}: systemctl status pve-ha-lrm pve-ha-crm watchdog-mux", of.victim);
            found.tell(Code::DrillWatchdogOff, of.victim, message, next);
        }
        Err(unknown) => {
            let message = format!(
                "whether the watchdog of {} is armed is not known: {}",
                of.victim, unknown.reason
            );
            found.tell(Code::DrillUnseen, of.victim, message, "quorate ha");
        }
    }
}

/// A guest runs on one server, and on no other.
fn once(view: &View, guest: u32, found: &mut Found<'_>) {
    let mut runs = Vec::new();
    let mut unknown = Vec::new();
    for node in view.nodes.keys() {
        // A host that only votes has no guests to tell of. What a server does tell counts, whatever it belongs to.
        let only_votes =
            node != found.of.victim && view.cluster_of(node).is_ok_and(|cluster| cluster.member().is_none());
        let running = view.facet(node, |o| &o.running);
        match running {
            Ok(all) if all.iter().any(|one| one.vmid == guest && one.run == GuestRun::Running) => {
                runs.push(node.to_string())
            }
            Ok(_) => {}
            Err(_) if only_votes => {}
            Err(why) => unknown.push(format!("{node}: {}", why.reason)),
        }
        match view.facet(node, |o| &o.strays) {
            Ok(strays) => {
                for stray in strays.iter().filter(|stray| stray.vmid == guest) {
                    let subject = NodeRef::new(found.of.cluster.clone(), node.clone()).to_string();
                    found.all.push(stray.finding(&subject, node.as_str()));
                }
            }
            Err(_) if only_votes => {}
            Err(why) => unknown.push(format!("{node}: {}", why.reason)),
        }
    }
    let next = "quorate guests".to_owned();
    match (runs.as_slice(), unknown.is_empty()) {
        ([_], true) => {}
        ([_], false) => {
            let message = format!("whether it runs elsewhere, too, is not known: {}", unknown.join("; "));
            found.of_guest(Code::DrillUnseen, guest, message, next);
        }
        ([], _) => found.of_guest(
            Code::DrillGuestElsewhere,
            guest,
            "it is not seen to run anywhere".to_owned(),
            next,
        ),
        (all, _) => {
            let message = format!("it runs on {}", all.join(" and on "));
            found.of_guest(Code::GuestRunsElsewhere, guest, message, next);
        }
    }
}

/// Has HA something to do on it?
fn needs_watchdog(manager: Option<&ManagerStatus>, node: &NodeName) -> bool {
    manager.is_some_and(|manager| {
        let mut places = manager.services.values();
        manager.master == node.as_str() || places.any(|place| place.node == node.as_str())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quorate_model::Observation;
    use quorate_model::facet::Facet;
    use quorate_model::observation::guest_status::GuestStatus;
    use quorate_model::observation::ha::HaPlace;
    use quorate_model::observation::strays::Stray;
    use quorate_model::observation::{Guest, GuestKind};
    use quorate_model::size::ByteSize;
    use quorate_model::view::NodeView;
    use quorate_model::{Severity, Timestamp};
    use quorate_planner::testkit as kit;

    use super::*;

    fn running(vmid: u32, run: GuestRun) -> GuestStatus {
        GuestStatus {
            vmid,
            kind: GuestKind::Vm,
            run,
            uptime_seconds: None,
            memory_used: None,
            memory: ByteSize::default(),
            lock: None,
        }
    }

    /// Two servers; guest 100 belongs to prox2 and runs on these.
    fn view(on: &[&str], stray: bool) -> View {
        let mut view = View::default();
        for name in ["prox1", "prox2"] {
            let at = Timestamp(0);
            let mut seen = Observation::empty(name, at);
            let run = if on.contains(&name) {
                GuestRun::Running
            } else {
                GuestRun::Stopped
            };
            seen.running = Facet::known(vec![running(100, run)], at);
            let guest = Guest {
                vmid: 100,
                node: "prox2".to_owned(),
                kind: GuestKind::Vm,
            };
            seen.guests = Facet::known(vec![guest], at);
            let one = Stray {
                vmid: 100,
                kind: GuestKind::Vm,
                pid: Some(4711),
                owner: Some("prox2".to_owned()),
            };
            let strays = if stray && name == "prox1" { vec![one] } else { vec![] };
            seen.strays = Facet::known(strays, at);
            let node = NodeView {
                observation: Ok(seen),
                clock_offset: None,
            };
            view.nodes.insert(name.parse().unwrap(), node);
        }
        view.findings = Facet::known(vec![], Timestamp(0));
        view
    }

    fn of_guests(view: &View) -> Vec<Finding> {
        let (cluster, victim) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let (guests, known) = (BTreeSet::from([100]), BTreeSet::new());
        let normal = Normal {
            cluster: &cluster,
            victim: &victim,
            guests: &guests,
            gone: true,
            armed: false,
            known: &known,
        };
        let mut found = Found {
            of: &normal,
            all: Vec::new(),
        };
        once(view, 100, &mut found);
        found.in_order()
    }

    #[test]
    fn a_guest_runs_once() {
        assert!(of_guests(&view(&["prox2"], false)).is_empty());
        let nowhere = of_guests(&view(&[], false));
        assert_eq!(nowhere[0].code, Code::DrillGuestElsewhere);
        let twice = of_guests(&view(&["prox2"], true));
        assert_eq!(
            (twice[0].code, twice[0].severity),
            (Code::GuestRunsElsewhere, Severity::Critical)
        );
        let both = of_guests(&view(&["prox1", "prox2"], false));
        assert!(both[0].message.contains("prox1 and on prox2"), "{both:?}");
    }

    #[test]
    fn only_a_host_outside_may_say_nothing_of_guests_and_what_it_says_counts() {
        let outside = kit::Servers::bare(1)
            .view
            .cluster_of(&"prox1".parse().unwrap())
            .unwrap()
            .clone();
        assert!(outside.member().is_none());
        let name = |node: &str| node.parse::<NodeName>().unwrap();
        let look = |node: &str, silent: bool| {
            let mut view = view(&["prox1", "prox2"], false);
            if let Some(Ok(seen)) = view.nodes.get_mut(&name(node)).map(|node| node.observation.as_mut()) {
                seen.cluster = Facet::known(outside.clone(), Timestamp(0));
                if silent {
                    seen.running = Facet::not_asked();
                    seen.strays = Facet::not_asked();
                }
            }
            of_guests(&view).iter().map(|finding| finding.code).collect::<Vec<_>>()
        };
        assert_eq!(look("prox2", true), [], "it only votes");
        assert_eq!(look("prox2", false), [Code::GuestRunsElsewhere]);
        assert_eq!(look("prox1", true), [Code::DrillUnseen], "the victim is never excused");
    }

    #[test]
    fn a_watchdog_is_missed_only_where_ha_has_something_to_do() {
        let armed = |place: &str, master: &str| {
            let place = HaPlace {
                node: place.to_owned(),
                state: "started".to_owned(),
                target: None,
                command: None,
                uid: None,
            };
            let manager = ManagerStatus {
                master: master.to_owned(),
                at: Timestamp(0),
                nodes: BTreeMap::new(),
                services: BTreeMap::from([("vm:100".to_owned(), place)]),
                disarm: None,
                maintenance: BTreeSet::new(),
            };
            needs_watchdog(Some(&manager), &"prox1".parse().unwrap())
        };
        assert!(armed("prox1", "prox2") && armed("prox2", "prox1"));
        assert!(!armed("prox2", "prox3"), "an idle local manager holds none");
    }

    #[test]
    fn what_is_not_seen_is_not_normal() {
        let mut dark = view(&["prox2"], false);
        if let Some(Ok(seen)) = dark.nodes.values_mut().next().map(|node| node.observation.as_mut()) {
            seen.strays = Facet::not_asked();
        }
        let found = of_guests(&dark);
        assert_eq!(found[0].code, Code::DrillUnseen);
        let (cluster, victim) = ("hk1".parse().unwrap(), "prox1".parse().unwrap());
        let (guests, known) = (BTreeSet::new(), BTreeSet::new());
        let normal = Normal {
            cluster: &cluster,
            victim: &victim,
            guests: &guests,
            gone: false,
            armed: true,
            known: &known,
        };
        let codes: Vec<Code> = amiss(&dark, &normal).iter().map(|finding| finding.code).collect();
        for code in [Code::DrillRunning, Code::DrillMemberOff, Code::DrillUnseen] {
            assert!(codes.contains(&code), "{codes:?}");
        }
        assert!(amiss(&dark, &normal).iter().all(|finding| !finding.next.is_empty()));
    }
}
