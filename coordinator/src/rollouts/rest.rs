//! HA that rollouts put to rest and did not wake: the next plan wakes it, and until then it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_model::view::Rest;
use quorate_model::{ClusterName, Code, Facet, Finding, JournalAnchor, NodeRef, RolloutId, Timestamp};

use super::Rollouts;
use crate::trust::{self, sentence};

/// How much older than the rollout's end, by another clock, a look must not be to count.
const MARGIN: i64 = 60_000_000;

/// When a rollout put something to rest, or woke it (`true`).
pub(super) type Event = (Timestamp, RolloutId, Rest, bool);

/// What the journal tells of all clusters, and up to which record it was read.
pub(super) type Read = (Option<JournalAnchor>, Arc<Vec<(ClusterName, Event)>>);

/// What is left at rest of one cluster, by which rollout, and since when.
pub(super) type Left = BTreeMap<Rest, (RolloutId, Timestamp)>;

impl Rollouts {
    /// What rollouts that have ended, or were lost, left at rest, as far as nobody has seen it awake since.
    pub(crate) async fn at_rest(&self, cluster: &ClusterName) -> BTreeSet<Rest> {
        self.left(cluster).await.into_keys().collect()
    }

    async fn left(&self, cluster: &ClusterName) -> Left {
        let mut all = self.recovery.rests(cluster);
        let journal = self.journal_rests().await;
        all.extend(
            journal
                .iter()
                .filter(|(of, _)| of == cluster)
                .map(|(_, event)| event.clone()),
        );
        let awake = match self.clusters.decided(cluster) {
            Ok(decided) => decided.awake,
            Err(_) => None,
        };
        left_of(all, awake)
    }

    /// What rollouts of the journal that have ended put to rest and did not wake, or woke (`true`). The journal is read for it only when
    /// there is more in it than the last time.
    async fn journal_rests(&self) -> Arc<Vec<(ClusterName, Event)>> {
        let newest = self.store.newest();
        if let Some((read, rests)) = &*self.rests()
            && *read == newest
        {
            return Arc::clone(rests);
        }
        let states = match self.states().await {
            Ok(states) => states,
            Err(error) => {
                tracing::error!(%error, "what rollouts left at rest can't be told");
                return Arc::default();
            }
        };
        let mut all = Vec::new();
        for (id, state) in states {
            let (Some(created), Some((_, ended))) = (state.created(), state.finished()) else {
                continue;
            };
            let cluster = &created.plan.cluster;
            let not_restored: BTreeSet<_> = state.not_restored().collect();
            for step in &created.plan.steps {
                if let Some((rest, true)) = Rest::by(&step.node, &step.action) {
                    let verified = state
                        .log_of(&step.id)
                        .is_some_and(|log| log.state == quorate_model::rollout::StepState::Verified);
                    if verified || not_restored.contains(&step.id) {
                        all.push((cluster.clone(), (ended, id.clone(), rest, verified)));
                    }
                }
            }
        }
        let all = Arc::new(all);
        *self.rests() = Some((newest, Arc::clone(&all)));
        all
    }

    /// Looks at what the servers said last, and keeps what of it is to be told. What was seen awake is not woken later: if it rests
    /// then, somebody wanted it so.
    pub(super) async fn look_at_rest(&self) {
        let enrolled = self.fleet.registry.enrolled();
        let clusters: BTreeSet<ClusterName> = enrolled.iter().map(|node| node.cluster.clone()).collect();
        let mut told = BTreeMap::new();
        for cluster in clusters {
            let left = self.left(&cluster).await;
            let mut awake = !left.is_empty();
            for (rest, (rollout, since)) in &left {
                let so = self.is_so(&enrolled, &cluster, rest, *since);
                awake &= so == Some(false);
                if so != Some(false) {
                    told.insert((cluster.clone(), rest.clone()), finding(&cluster, rest, rollout, so));
                }
            }
            if awake {
                let now = trust::now(&self.fleet.clock);
                let noted = self.clusters.change(&cluster, |decided| decided.awake = Some(now));
                if let Err(error) = noted {
                    tracing::error!(%cluster, error = sentence(&error), "that HA is awake again can't be noted");
                }
            }
        }
        *self.resting() = told;
    }

    /// As the cluster's servers said last; what they said before it was put to rest does not count.
    fn is_so(
        &self,
        enrolled: &BTreeSet<NodeRef>,
        cluster: &ClusterName,
        rest: &Rest,
        since: Timestamp,
    ) -> Option<bool> {
        let own: BTreeSet<NodeRef> = enrolled
            .iter()
            .filter(|node| node.cluster == *cluster)
            .cloned()
            .collect();
        let mut answer = None;
        for sighting in self.fleet.last_seen(&own) {
            let Ok(observation) = &sighting.view.observation else {
                continue;
            };
            let member = observation
                .cluster
                .get()
                .is_ok_and(|cluster| cluster.member().is_some());
            if let Facet::Known { value, collected_at } = &observation.ha
                && member
                && collected_at.0 > since.0.saturating_add(MARGIN)
                && let Some(so) = rest.is_so(&sighting.node.node, value)
            {
                answer = Some(answer.unwrap_or(false) || so);
            }
        }
        answer
    }

    /// What is to be said of rollouts: those that nobody drives, those that make no sense, and what they left at rest.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (id, why) in self.dropped().iter() {
            findings.push(Finding::new(
                Code::RolloutNotDriven,
                id.as_str(),
                format!("rollout {id} is not finished, and not under way: {why}"),
                "mend what it says, then: systemctl restart quorate; it takes up what is not finished",
            ));
        }
        findings.extend(self.nonsense_findings());
        findings.extend(self.resting().values().cloned());
        findings
    }
}

/// What is left of all that was put to rest and woken (`true`).
fn left_of(mut all: Vec<Event>, awake: Option<Timestamp>) -> Left {
    // Within one rollout what was woken comes last, and what could not be is told by itself.
    all.sort_by(|a, b| (a.0, &a.1, a.3).cmp(&(b.0, &b.1, b.3)));
    let mut left = Left::new();
    for (at, rollout, rest, wakes) in all {
        if wakes {
            left.remove(&rest);
        } else if awake.is_none_or(|awake| at > awake) {
            left.insert(rest, (rollout, at));
        }
    }
    left
}

fn finding(cluster: &ClusterName, rest: &Rest, rollout: &RolloutId, so: Option<bool>) -> Finding {
    let seen = match so {
        Some(_) => "",
        None => ", if nobody woke it since: no server says how it is now",
    };
    let by_hand = match rest {
        Rest::Whole => "on a member: ha-manager crm-command arm-ha".to_owned(),
        Rest::Daemon { node, service } => format!("on {node}: systemctl start {}", service.unit()),
        Rest::Maintenance { node } => format!("on a member: ha-manager crm-command node-maintenance disable {node}"),
    };
    Finding::new(
        Code::NotRestored,
        cluster.as_str(),
        format!("{rest} in {cluster}: rollout {rollout} did that and did not take it back{seen}"),
        format!("the next quorate apply does it; or {by_hand}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_woken_or_seen_awake_is_left_no_longer() {
        let rollout = |number: u32| format!("hk1-{number}").parse::<RolloutId>().unwrap();
        let rests = Timestamp(10);
        let one = || vec![(rests, rollout(1), Rest::Whole, false)];
        assert_eq!(left_of(one(), None)[&Rest::Whole], (rollout(1), rests));
        assert_eq!(left_of(one(), Some(Timestamp(9))).len(), 1);
        assert!(left_of(one(), Some(Timestamp(10))).is_empty());
        let later = (Timestamp(20), rollout(2), Rest::Whole, true);
        assert!(left_of([vec![later], one()].concat(), None).is_empty());
        let again = (Timestamp(30), rollout(3), Rest::Whole, false);
        assert_eq!(
            left_of([one(), vec![again]].concat(), Some(Timestamp(20)))[&Rest::Whole].0,
            rollout(3)
        );
    }

    #[test]
    fn it_is_told_with_what_to_type() {
        let told = finding(
            &"hk1".parse().unwrap(),
            &Rest::Whole,
            &"hk1-7".parse().unwrap(),
            Some(true),
        );
        assert_eq!(told.code, Code::NotRestored);
        assert!(
            told.message.contains("rollout hk1-7") && told.next.contains("arm-ha"),
            "{told}"
        );
    }
}
