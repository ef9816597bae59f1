//! Guests of customers that may fail are copied anew first: PVE's scheduler is asked for it, and what counts is a copy that was begun since.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_engine::ports::AgentError;
use quorate_model::ids::{ClusterName, NodeName, OperationId};
use quorate_model::observation::ReplicationJob;
use quorate_model::operation::{Action, Operation, OperationEventKind, Outcome};
use quorate_model::time::spoken;
use quorate_model::view::ClockOffset;
use quorate_model::{Timestamp, View};

use super::copies;
use super::course::Course;
use super::moves;
use super::stage::Ended;
use super::state::Syncs;

/// Between two looks at copies.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So much longer than its schedule promises a copy may take.
const LONGER: Duration = Duration::from_secs(300);
/// So long a server may take for its tool.
const ASKED_WITHIN: Duration = Duration::from_secs(60);

impl Course {
    /// Guests of customers that may fail have copies that were begun after they were asked for.
    pub(super) async fn sync(&mut self) -> Ended {
        let risked = self.running.order.risked.clone();
        if risked.is_empty() {
            return Ended::Done;
        }
        let cluster = self.running.cluster.clone();
        let since = match self.running.syncs.since {
            Some(since) => since,
            None => {
                let view = self.looker.view(&cluster).await;
                let since = self.now();
                self.running.syncs = Syncs {
                    since: Some(since),
                    asked: asked(&view, &self.running.order.risked, since)
                        .into_iter()
                        .filter_map(|(node, action)| Some((node, operation(&self.running.operation, action)?)))
                        .collect(),
                };
                self.durable().await;
                since
            }
        };
        for (node, operation) in self.running.syncs.asked.clone() {
            // The schedule runs it all the same, only later.
            if let Err(why) = self.hurry(&node, &operation).await {
                self.say(format!("{node} was not seen to put a copy forward: {why}"));
            }
        }
        let (mut waited, mut most) = (Duration::ZERO, None);
        loop {
            let view = self.looker.view(&cluster).await;
            let (old, promised) = copies::older(&view, &risked, since);
            if old.is_empty() {
                self.say("all copies of the guests that may fail were made since");
                return Ended::Done;
            }
            let limit = *most.get_or_insert_with(|| promised.saturating_add(LONGER));
            if waited.is_zero() {
                self.say(format!(
                    "waiting up to {} for the next run of {}",
                    spoken(limit),
                    old.join(", ")
                ));
            }
            if waited >= limit {
                return self.ends_early(&format!("not made within {}: {}", spoken(limit), old.join(", ")));
            }
            self.wait(LOOK_EVERY).await;
            waited = waited.saturating_add(LOOK_EVERY);
        }
    }

    /// Has a server put a job forward. Asked once more, it tells what came of it.
    async fn hurry(&self, node: &NodeName, operation: &Operation) -> Result<(), String> {
        let mut events = match self.agents.inject(node, operation).await {
            Ok(events) => events,
            Err(AgentError::Refused(finding)) => return Err(finding.to_string()),
            Err(error) => return Err(error.to_string()),
        };
        let limit = self.looker.fleet.pace.deadline(ASKED_WITHIN);
        let ended = async {
            while let Some(event) = events.recv().await {
                match event.kind {
                    OperationEventKind::Ended(Outcome::Done { .. }) => return Ok(()),
                    OperationEventKind::Ended(Outcome::Failed { findings, .. }) => {
                        let why: Vec<String> = findings.iter().map(ToString::to_string).collect();
                        return Err(why.join("; "));
                    }
                    OperationEventKind::Ended(Outcome::Unknown { reason, .. }) => return Err(reason),
                    _ => {}
                }
            }
            Err("the connection broke".to_owned())
        };
        match tokio::time::timeout(limit, ended).await {
            Ok(ended) => ended,
            Err(_) => Err("it did not say so in time".to_owned()),
        }
    }
}

/// Its id is the drill's with the job's: asked once more, it is the same one.
fn operation(drill: &OperationId, action: Action) -> Option<Operation> {
    let Action::SyncReplication { job, .. } = &action else {
        return None;
    };
    let id = OperationId::new(format!("{drill}-sync-{job}")).ok()?;
    Some(Operation { id, action })
}

/// What each owner is asked for: all jobs of these guests that run. What can't be seen is left to the wait, which names it.
fn asked(view: &View, risked: &BTreeSet<u32>, since: Timestamp) -> Vec<(NodeName, Action)> {
    let mut asked = Vec::new();
    for guest in risked {
        let Some(owner) = moves::owner(view, *guest) else {
            continue;
        };
        let cluster = view.cluster_of(&owner).ok().and_then(|cluster| cluster.member());
        let Some(Ok(cluster)) = cluster.map(|member| member.cluster.parse()) else {
            continue;
        };
        let config = view.facet(&owner, |o| &o.config).ok();
        let Some(jobs) = config.and_then(|config| config.replication.get().ok()) else {
            continue;
        };
        let Ok(ClockOffset { micros: ahead, .. }) = view.clock_of(owner.as_str()) else {
            continue;
        };
        // PVE counts in seconds.
        let by_owner = Timestamp::from_seconds(Timestamp(since.0.saturating_add(ahead)).seconds());
        let runs = |job: &&ReplicationJob| job.guest == *guest && !job.disabled && job.removal.is_none();
        for job in jobs.iter().filter(runs) {
            let other = job.other_end(owner.as_str()).and_then(|other| other.parse().ok());
            let (Some(other), Ok(name)) = (other, job.id.parse()) else {
                continue;
            };
            let action = Action::SyncReplication {
                cluster: ClusterName::clone(&cluster),
                job: name,
                other,
                since: by_owner,
            };
            asked.push((owner.clone(), action));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use quorate_model::facet::Facet;
    use quorate_planner::testkit::{NOW, Servers, guest, job, name};

    use super::*;

    #[test]
    fn each_job_that_runs_is_put_forward_on_its_guest_s_owner_by_that_one_s_clock() {
        let guests = [
            guest(100, "prox1", "data_zfs"),
            guest(101, "prox2", "data_zfs"),
            guest(102, "prox1", "data_zfs"),
        ];
        let off = ReplicationJob {
            disabled: true,
            ..job("100-1", "prox1", "prox3")
        };
        let jobs = [
            job("100-0", "prox1", "prox2"),
            off,
            job("101-0", "prox2", "prox3"),
            job("102-0", "prox1", "prox2"),
        ];
        let mut servers = Servers::bare(3)
            .members("hk1", &["prox1", "prox2", "prox3"], &["10.10.10.0/24"])
            .with_guests(&guests)
            .with_each(|seen| seen.guests = Facet::known(guests.iter().map(|one| one.guest.clone()).collect(), NOW))
            .with_jobs(&jobs);
        let ahead = ClockOffset {
            micros: 5_400_000,
            error_micros: 0,
        };
        servers.view.nodes.get_mut(&name("prox1")).unwrap().clock_offset = Some(ahead);
        let since = Timestamp(1_795_345_772_900_000);
        let asked = asked(&servers.view, &BTreeSet::from([100, 101, 999]), since);
        let shown: Vec<(String, String, String, i64)> = asked
            .iter()
            .map(|(node, action)| match action {
                Action::SyncReplication { job, other, since, .. } => {
                    (node.to_string(), job.to_string(), other.to_string(), since.0)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        let row = |node: &str, job: &str, other: &str, second: i64| {
            (node.to_owned(), job.to_owned(), other.to_owned(), second * 1_000_000)
        };
        assert_eq!(
            shown,
            [
                row("prox1", "100-0", "prox2", 1_795_345_778),
                row("prox2", "101-0", "prox3", 1_795_345_772)
            ]
        );
        let drill: OperationId = "drill-hk1-2-0000abcd".parse().unwrap();
        let (_, action) = asked.into_iter().next().unwrap();
        let named = operation(&drill, action).unwrap();
        assert_eq!(named.id.as_str(), "drill-hk1-2-0000abcd-sync-100-0");
    }
}
