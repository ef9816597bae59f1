//! What a drill left behind when it was over, or when nobody carries it on: told by `quorate status` until it is seen to be gone.
//!
//! What is told elsewhere is left to that: copies that are held, discs for cloud-init, servers that do not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::PoisonError;

use quorate_model::View;
use quorate_model::facet::Facet;
use quorate_model::fault::HealPhase;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, NodeName, OperationId};
use quorate_model::operation::Action;
use serde::{Deserialize, Serialize};

use super::after::{self, Normal};
use super::course::Course;
use super::state::{Folder, Running};
use super::{Drills, moves};
use crate::documents;
use crate::trust::sentence;

/// What is looked for again, of what had not returned to normal when the drill was over.
const LASTS: [Code; 2] = [Code::DrillWatchdogOff, Code::DrillGuestElsewhere];

/// What one drill left, as it is kept in its folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    /// `drill 7 (cut-prox1)`.
    name: String,
    cluster: ClusterName,
    victim: NodeName,
    /// The fault, where it was not seen to be gone.
    fault: Option<OperationId>,
    /// Guests that were moved off and not seen to be moved back.
    away: BTreeMap<u32, Away>,
    /// The watched guest, and those that were to be started elsewhere.
    guests: BTreeSet<u32>,
    /// The victim's watchdog was armed before.
    armed: bool,
    /// As it was told then.
    findings: Vec<Finding>,
}

/// A guest that was moved off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Away {
    /// Where it was taken.
    at: NodeName,
    /// Where it belongs.
    home: NodeName,
}

impl Left {
    /// Of a drill that is about to be over; `None`: nothing.
    fn of(running: &Running) -> Option<Self> {
        let moved = running.findings_of_moves();
        let away = running.after.iter().filter_map(|step| match &step.action {
            Action::MigrateGuest { guest, target, .. } => Some((
                *guest,
                Away {
                    at: step.node.clone(),
                    home: target.clone(),
                },
            )),
            _ => None,
        });
        let away: BTreeMap<u32, Away> = away.filter(|(guest, _)| moved.contains(guest)).collect();
        let told = |code| running.left.iter().any(|finding| finding.code == code);
        let fault = told(Code::DrillRunning) && running.fault.gone.is_none();
        if away.is_empty() && !fault && !LASTS.into_iter().any(told) {
            return None;
        }
        Some(Self {
            name: running.name(),
            cluster: running.cluster.clone(),
            victim: running.order.node.clone(),
            fault: fault.then(|| running.operation.clone()),
            away,
            guests: running.recovered.iter().copied().chain([running.order.guest]).collect(),
            armed: running.circumstances.armed == Some(true),
            findings: running.left.clone(),
        })
    }

    fn tell(&self, subject: &str, message: &str, next: String) -> Finding {
        Finding::new(
            Code::DrillLeft,
            subject,
            format!("{} left this: {message}", self.name),
            next,
        )
    }

    /// As it was told when the drill was over: nobody has looked since.
    fn told(&self) -> Vec<Finding> {
        let told = self.findings.iter();
        told.map(|finding| self.tell(&finding.subject, &finding.message, finding.next.clone()))
            .collect()
    }

    /// What of it is still so. `holds`: the fault was not seen to be gone by a look just now.
    fn still(&self, view: &View, holds: bool) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.fault.is_some() && holds {
            let message = format!("its fault on {} was not seen to be gone", self.victim);
            let next = format!(
                "quorate drill abort --cluster {}; or on its console, as root: quorate-agent heal",
                self.cluster
            );
            found.push(self.tell(&format!("{}/{}", self.cluster, self.victim), &message, next));
        }
        for (guest, Away { at, home }) in &self.away {
            // Somewhere else somebody else has put it, and one that is gone can't come back.
            if !is_listed(view, *guest) || moves::owner(view, *guest).is_some_and(|owner| owner != *at) {
                continue;
            }
            let message = format!("guest {guest} was moved from {home} to {at} for it, and is not back");
            let next = format!("quorate migrate {guest} {}/{home}", self.cluster);
            found.push(self.tell(&format!("{}/guest {guest}", self.cluster), &message, next));
        }
        let view = View {
            findings: Facet::known(vec![], quorate_model::Timestamp(0)),
            ..view.clone()
        };
        let guests: BTreeSet<u32> = self
            .guests
            .iter()
            .copied()
            .filter(|guest| is_listed(&view, *guest))
            .collect();
        let normal = Normal {
            cluster: &self.cluster,
            victim: &self.victim,
            guests: &guests,
            gone: true,
            armed: self.armed,
            known: &BTreeSet::new(),
        };
        let told: BTreeSet<Code> = self.findings.iter().map(|finding| finding.code).collect();
        let amiss = after::amiss(&view, &normal).into_iter();
        let lasts = amiss.filter(|finding| LASTS.contains(&finding.code) && told.contains(&finding.code));
        found.extend(lasts.map(|finding| self.tell(&finding.subject, &finding.message, finding.next.clone())));
        found
    }
}

/// Is there such a guest, as far as anybody says? Who can't be asked does not say that it is gone.
fn is_listed(view: &View, guest: u32) -> bool {
    let lists = view.nodes.keys().filter(|node| {
        let cluster = view.cluster_of(node).ok();
        let member = cluster.and_then(|cluster| cluster.member());
        member.is_some_and(|member| member.quorate)
    });
    let mut lists = lists.filter_map(|node| view.facet(node, |o| &o.guests).ok()).peekable();
    lists.peek().is_none() || lists.any(|guests| guests.iter().any(|one| one.vmid == guest))
}

fn path(folder: &Folder, number: u64) -> PathBuf {
    folder.one(number).join("left.json")
}

/// All that drills of a cluster left, by their numbers.
fn kept(folder: &Folder) -> Vec<(u64, Left)> {
    let read = |number: u64| match documents::load::<Left>(&path(folder, number)) {
        Ok(left) => Some((number, left?)),
        Err(error) => {
            tracing::warn!(number, error = sentence(&error), "what a drill left can't be read");
            None
        }
    };
    folder.numbers().into_iter().filter_map(read).collect()
}

impl Running {
    /// Guests of which it was told that they were not moved back.
    fn findings_of_moves(&self) -> BTreeSet<u32> {
        let prefix = format!("{}/guest ", self.cluster);
        let told = self.left.iter().filter(|finding| finding.code == Code::StepFailed);
        told.filter_map(|finding| finding.subject.strip_prefix(&prefix)?.parse().ok())
            .collect()
    }
}

impl Course {
    /// Before the record is written: what comes after that can be lost.
    pub(super) async fn keep_what_is_left(&self) {
        let Some(left) = Left::of(&self.running) else { return };
        if let Err(error) = documents::save(&path(&self.folder, self.running.number), &left) {
            tracing::error!(
                error = sentence(&error),
                "what a drill leaves can't be kept; it stands in its record"
            );
            self.say("what it leaves can't be kept, and quorate status will not tell it");
        }
    }
}

impl Drills {
    /// What there is to say of drills that are over, or that nobody carries on.
    pub(crate) fn left(&self, cluster: &ClusterName) -> Vec<Finding> {
        let folder = Folder::of(&self.looker.dir, cluster);
        let mut found: Vec<Finding> = self.stuck(cluster, &folder).into_iter().collect();
        let looked = self
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(cluster)
            .cloned();
        // Nobody has looked since this process was started.
        found.extend(looked.unwrap_or_else(|| kept(&folder).iter().flat_map(|(_, left)| left.told()).collect()));
        found
    }

    /// A drill that is not over, and goes on nowhere.
    fn stuck(&self, cluster: &ClusterName, folder: &Folder) -> Option<Finding> {
        if self.running().contains_key(cluster) {
            return None;
        }
        let (what, next) = match folder.unfinished() {
            Ok(None) => return None,
            Ok(Some(running)) => (
                format!(
                    "{} is not over, and nobody carries it on: it was {}",
                    running.name(),
                    running.stage.as_str()
                ),
                "systemctl restart quorate, which takes it up".to_owned(),
            ),
            Err(error) => (
                format!(
                    "a drill is not over, and how far it is can't be read: {}",
                    sentence(&error)
                ),
                format!(
                    "when all of it is mended, move its folder below {} away, and systemctl restart quorate",
                    folder.dir().display()
                ),
            ),
        };
        // It may have come to its end just now.
        if self.running().contains_key(cluster) {
            return None;
        }
        let next = format!("what is broken ends by: quorate drill abort --cluster {cluster}; then {next}");
        Some(Finding::new(Code::DrillLeft, cluster.as_str(), what, next))
    }

    /// Looks whether what drills left is gone; what is gone is told no more.
    pub(super) async fn look_at_what_is_left(&self) {
        let enrolled = self.looker.fleet.registry.enrolled().into_iter();
        let clusters: BTreeSet<ClusterName> = enrolled.map(|node| node.cluster).collect();
        for cluster in clusters {
            // What a drill that goes on has changed is not left.
            if self.running().contains_key(&cluster) {
                continue;
            }
            let folder = Folder::of(&self.looker.dir, &cluster);
            let kept = kept(&folder);
            let found = if kept.is_empty() {
                vec![]
            } else {
                self.still_left(&cluster, &folder, kept).await
            };
            self.left
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(cluster, found);
        }
    }

    async fn still_left(&self, cluster: &ClusterName, folder: &Folder, kept: Vec<(u64, Left)>) -> Vec<Finding> {
        let view = self.looker.view(cluster).await;
        let mut all = Vec::new();
        for (number, left) in kept {
            let holds = match &left.fault {
                Some(fault) => self.holds(cluster, &left.victim, fault).await,
                None => false,
            };
            let found = left.still(&view, holds);
            if found.is_empty()
                && let Err(error) = std::fs::remove_file(path(folder, number))
            {
                tracing::warn!(number, %error, "what a drill left is gone, and its note is not");
            }
            all.extend(found);
        }
        all
    }

    /// Does a fault hold? A server that does not say so may be as it was left.
    async fn holds(&self, cluster: &ClusterName, node: &NodeName, fault: &OperationId) -> bool {
        // A server that was taken out of the fleet can't be asked any more.
        if !self.looker.nodes(cluster).iter().any(|name| name.node == *node) {
            return false;
        }
        let agents = self.looker.rollouts.agents_of(cluster, [node.clone()].into());
        match agents.heal(node, Some(fault), true).await {
            Ok(met) => met
                .iter()
                .any(|met| matches!(met.phase, HealPhase::Holds | HealPhase::Failed | HealPhase::Person)),
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_planner::testkit::{self as kit, Servers, Vm, name};

    use super::*;

    fn left() -> Left {
        let finding = |code, subject: &str| Finding::new(code, subject, "as it was told", "what to type");
        Left {
            name: "drill 7 (cut-prox1)".to_owned(),
            cluster: "hk1".parse().unwrap(),
            victim: name("prox1"),
            fault: Some("drill-hk1-7-0000abcd".parse().unwrap()),
            away: BTreeMap::from([(
                101,
                Away {
                    at: name("prox2"),
                    home: name("prox1"),
                },
            )]),
            guests: BTreeSet::from([100]),
            armed: false,
            findings: vec![
                finding(Code::StepFailed, "hk1/guest 101"),
                finding(Code::DrillGuestElsewhere, "hk1/guest 100"),
            ],
        }
    }

    fn servers(guests: &[Vm]) -> View {
        let all = ["prox1", "prox2", "prox3"];
        let servers = Servers::bare(3)
            .members("hk1", &all, &["10.10.10.0/24"])
            .housing(guests);
        servers
            .with_each(|seen| seen.strays = Facet::known(vec![], kit::NOW))
            .view
    }

    fn subjects(found: &[Finding]) -> Vec<&str> {
        assert!(
            found
                .iter()
                .all(|one| one.code == Code::DrillLeft && !one.next.is_empty()),
            "{found:?}"
        );
        found.iter().map(|finding| finding.subject.as_str()).collect()
    }

    #[test]
    fn what_was_left_is_told_until_it_is_seen_to_be_gone() {
        let (home, away) = (Vm::running(100, "prox3"), Vm::running(101, "prox2"));
        let view = servers(&[home.clone().stopped(), away.clone()]);
        let found = left().still(&view, true);
        assert_eq!(subjects(&found), ["hk1/prox1", "hk1/guest 101", "hk1/guest 100"]);
        assert_eq!(found[1].next, "quorate migrate 101 hk1/prox1");
        assert!(found[1].message.starts_with("drill 7 (cut-prox1) left this: guest 101"));
        let back = servers(&[home.clone(), Vm::running(101, "prox1")]);
        assert!(
            left().still(&back, false).is_empty(),
            "{:?}",
            left().still(&back, false)
        );
        let elsewhere = servers(&[home, Vm::running(101, "prox3")]);
        assert!(
            left().still(&elsewhere, false).is_empty(),
            "somebody has decided otherwise since"
        );
        assert!(left().still(&servers(&[]), false).is_empty(), "they were removed since");
    }

    #[test]
    fn what_can_not_be_seen_is_left_still() {
        let blind = Servers::bare(3)
            .unreachable("prox1")
            .unreachable("prox2")
            .unreachable("prox3")
            .view;
        let found = left().still(&blind, true);
        assert_eq!(subjects(&found), ["hk1/prox1", "hk1/guest 101", "hk1/guest 100"]);
    }

    #[test]
    fn before_anybody_has_looked_it_is_told_as_it_was() {
        let told = left().told();
        assert_eq!(subjects(&told), ["hk1/guest 101", "hk1/guest 100"]);
        let json = serde_json::to_string(&left()).unwrap();
        assert_eq!(serde_json::from_str::<Left>(&json).unwrap(), left());
    }
}
