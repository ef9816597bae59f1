//! Rollouts in the daemon: begun, taken up again after a restart, watched, cancelled. One holds a cluster at a time.

mod around;
pub(crate) mod before;
mod drills;
mod history;
mod nonsense;
mod recovering;
mod rest;
mod told;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use quorate_clock::Clock;
use quorate_engine::ports::{AgentError, Journal, JournalError};
use quorate_engine::{Patience, Ports, RolloutState, RunError, run_rollout};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::maintenance::MaintenanceWindow;
use quorate_model::observation::config::KeptSpec;
use quorate_model::operation::Action;
use quorate_model::plan::Plan;
use quorate_model::rollout::{Progress, Record, RolloutResult, Summary};
use quorate_model::view::Rest;
use quorate_model::{ClusterName, Code, Finding, NodeName, NodeRef, RolloutId, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Act, Audit, By, What};
use crate::clusters::{Clusters, Wanted};
use crate::driver::Seat;
use crate::fleet::Fleet;
use crate::fleet::agents::ClusterAgents;
use crate::incoming::Who;
use crate::overview::Overview;
use crate::pace::Pace;
use crate::packages::Packages;
use crate::recovery::Recovery;
use crate::storage_secret::{Given, Secrets};
use crate::store::Store;
use crate::trust::{self, sentence};
use told::Told;

/// What the engine may be ahead of those whom it is told.
const PROGRESS: usize = 1024;

/// All rollouts.
#[derive(Debug)]
pub(crate) struct Rollouts {
    store: Store,
    audit: Audit,
    recovery: Recovery,
    clusters: Clusters,
    before_dir: PathBuf,
    fleet: Arc<Fleet>,
    overview: Arc<Overview>,
    seat: Arc<Seat>,
    secrets: Arc<Secrets>,
    packages: Packages,
    driven: Mutex<BTreeMap<ClusterName, Driven>>,
    /// Why rollouts that are not finished are not driven.
    dropped: Mutex<BTreeMap<RolloutId, String>>,
    /// Journals of rollouts that contradict themselves, and how.
    nonsense: Mutex<BTreeMap<RolloutId, nonsense::Nonsense>>,
    /// What the journal tells of HA at rest.
    rests: Mutex<Option<rest::Read>>,
    /// What is left at rest, as it was seen last.
    resting: Mutex<BTreeMap<(ClusterName, Rest), Finding>>,
    /// Drills that hold their clusters, by name.
    drills: Mutex<BTreeMap<ClusterName, String>>,
    /// One at a time decides whether a cluster is free.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    /// Ends all driving, as a crash would, and all watching.
    stop: CancellationToken,
}

/// A rollout that is under way here.
#[derive(Debug)]
struct Driven {
    id: RolloutId,
    told: Told,
    cancel: watch::Sender<Option<String>>,
    /// Stops it as a crash would.
    stop: CancellationToken,
}

/// Who wants a rollout, and what they allowed.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) by: Who,
    /// The findings of the plan that were accepted, by code and subject.
    pub(crate) accepted: Vec<String>,
    /// What may be destroyed or removed.
    pub(crate) consents: Vec<String>,
    /// The cluster file that the plan was made from.
    pub(crate) text: String,
    /// The maintenance windows that it names.
    pub(crate) windows: Vec<MaintenanceWindow>,
    /// Does the plan do all that the file asks for?
    pub(crate) whole: bool,
    /// Passwords for its steps.
    pub(crate) given: Given,
    /// It is a part of the drill that holds the cluster.
    pub(crate) of_drill: bool,
}

/// When a rollout that is driven was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Now,
    /// By an earlier process.
    Before,
}

impl Rollouts {
    pub(crate) fn new(
        (store, audit, recovery): (Store, Audit, Recovery),
        (clusters, before_dir): (Clusters, PathBuf),
        (fleet, overview): (Arc<Fleet>, Arc<Overview>),
        (seat, secrets, packages): (Arc<Seat>, Arc<Secrets>, Packages),
        (tasks, stop): (TaskTracker, CancellationToken),
    ) -> Arc<Self> {
        let (driven, dropped, turn) = (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self {
            store,
            audit,
            recovery,
            clusters,
            before_dir,
            fleet,
            overview,
            seat,
            secrets,
            packages,
            driven,
            dropped,
            nonsense: Mutex::default(),
            rests: Mutex::default(),
            resting: Mutex::default(),
            drills: Mutex::default(),
            turn,
            tasks,
            stop,
        })
    }

    /// Begins a rollout: its first record is durable when this returns, and it goes on without whoever asked.
    pub(crate) async fn begin(self: &Arc<Self>, plan: Plan, mut order: Order) -> Result<RolloutId, Failure> {
        self.seat.check().map_err(|finding| refused(*finding))?;
        // What an agent remembers is compared before anything is built on the journal, and not only after its next link.
        let names = touched(&plan);
        let nodes = names
            .iter()
            .map(|node| NodeRef::new(plan.cluster.clone(), node.clone()));
        let nodes: BTreeSet<NodeRef> = nodes.collect();
        self.examine_all(&nodes).await;
        self.examine_unsettled(&plan.cluster).await;
        if self.recovery.check(&plan.cluster, &names).is_err() {
            // The loss may have been noticed at one of them after another had told.
            self.examine_all(&nodes).await;
        }
        let _turn = self.turn.lock().await;
        self.seat.check().map_err(|finding| refused(*finding))?;
        if !order.of_drill {
            self.must_be_free_of_drills(&plan.cluster)?;
        }
        self.must_be_free(&plan.cluster).await?;
        self.recovery
            .check(&plan.cluster, &names)
            .map_err(|finding| refused(*finding))?;
        // Driving begins when every agent that will be touched has recorded who drives; if one refuses, nothing was begun.
        let agents = self.agents(&plan);
        if let Err(error) = agents.claim(&self.seat.driver()).await {
            // If that was because another coordinator drives, the seat knows by now, and says what to do.
            self.seat.check().map_err(|finding| refused(*finding))?;
            return Err(not_driving(error));
        }
        let now = trust::now(&self.fleet.clock);
        let id = new_id(&plan.cluster, now)?;
        let by = order.by.name.clone();
        self.keep_before(&id, &plan).await?;
        let wanted = Wanted {
            spec: KeptSpec {
                digest: plan.spec_digest.clone(),
                applied_at: now,
                rollout: id.to_string(),
                text: order.text.clone(),
            },
            whole: order.whole,
            windows: order.windows.clone(),
        };
        let given = std::mem::take(&mut order.given);
        self.audit.note(act(&id, &plan, order)).await?;
        self.clusters
            .want(&plan.cluster, wanted)
            .map_err(|error| around::unkept(&error))?;
        let record = Record::Created {
            plan: Box::new(plan.clone()),
            by: by.clone(),
        };
        self.store.append(&id, record).await.map_err(|error| unusable(&error))?;
        tracing::info!(rollout = %id, by, steps = plan.steps.len(), "rollout begun");
        // Nothing is waited for in between: whoever asked may go away, and what was created must be driven.
        self.secrets.keep(&plan.cluster, given);
        self.drive(id.clone(), &plan, agents, Begun::Now);
        Ok(id)
    }

    /// Takes up every rollout that an earlier process left unfinished.
    pub(crate) async fn resume(self: &Arc<Self>) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let driven: BTreeSet<RolloutId> = self.driven().values().map(|driven| driven.id.clone()).collect();
        for (id, state) in self.states().await? {
            if driven.contains(&id) {
                continue;
            }
            if let (Some(created), None) = (state.created(), state.finished()) {
                tracing::info!(rollout = %id, "rollout taken up again");
                let plan = Arc::clone(&created.plan);
                self.drive(id, &plan, self.agents(&plan), Begun::Before);
            }
        }
        Ok(())
    }

    /// The rollout that holds a cluster, if any.
    pub(crate) async fn holding(&self, cluster: &ClusterName) -> Result<Option<RolloutId>, Failure> {
        if let Some(driven) = self.driven().get(cluster) {
            return Ok(Some(driven.id.clone()));
        }
        let unfinished = |(_, state): &(RolloutId, RolloutState)| {
            state.finished().is_none() && state.created().is_some_and(|created| created.plan.cluster == *cluster)
        };
        let holder = self.states().await?.into_iter().find(unfinished).map(|(id, _)| id);
        Ok(holder.or_else(|| self.nonsensical_holder(cluster)))
    }

    /// Refuses what would come between the steps of another rollout.
    async fn must_be_free(&self, cluster: &ClusterName) -> Result<(), Failure> {
        let Some(holder) = self.holding(cluster).await? else {
            return Ok(());
        };
        Err(refused(Finding::new(
            Code::RolloutRunning,
            cluster.as_str(),
            format!("rollout {holder} holds cluster {cluster}"),
            self.next_about(&holder),
        )))
    }

    /// All rollouts, oldest first.
    pub(crate) async fn summaries(&self) -> Result<Vec<Summary>, Failure> {
        let mut all = self.recovery.summaries();
        for id in self.store.rollouts().await.map_err(|error| unusable(&error))? {
            let entries = self.store.load(&id).await.map_err(|error| unusable(&error))?;
            match quorate_engine::summary(&id, &entries) {
                Ok(summary) => all.extend(summary),
                Err(error) => all.extend(nonsense::summary(&id, &entries, &error)),
            }
        }
        let state = self.before_dir.parent().map(PathBuf::from).unwrap_or_default();
        let restored = tokio::task::spawn_blocking(move || history::restored(&state)).await;
        let known: BTreeSet<RolloutId> = all.iter().map(|one| one.id.clone()).collect();
        let old = restored.unwrap_or_default().into_iter();
        let mut whole: Vec<Summary> = old.filter(|one| !known.contains(&one.id)).collect();
        whole.extend(all);
        Ok(whole)
    }

    /// Every record of every rollout, and what is known of lost ones, one JSON document each.
    pub(crate) async fn export(&self) -> Result<Vec<String>, Failure> {
        let mut lines: Vec<String> = self.recovery.export().iter().map(ToString::to_string).collect();
        for id in self.store.rollouts().await.map_err(|error| unusable(&error))? {
            for entry in self.store.load(&id).await.map_err(|error| unusable(&error))? {
                lines.push(serde_json::json!({ "rollout": id, "entry": entry }).to_string());
            }
        }
        Ok(lines)
    }

    /// Asks a rollout to stop between steps, or lets go of one whose journal makes no sense (`true`). When this returns, the wish is
    /// durable: another coordinator would follow it, too.
    pub(crate) async fn cancel(&self, id: &RolloutId, who: &Who) -> Result<bool, Failure> {
        self.seat.check().map_err(|finding| refused(*finding))?;
        let running = self
            .driven()
            .iter()
            .find(|(_, driven)| driven.id == *id)
            .map(|(cluster, driven)| (cluster.clone(), driven.cancel.clone(), driven.told.subscribe()));
        if let Some((cluster, cancel, progress)) = running {
            let rollout = id.to_string();
            let act = Act::new(By::caller(who), What::Cancel { rollout }).in_cluster(cluster);
            self.audit.note(act).await?;
            cancel.send_replace(Some(who.name.clone()));
            drop(cancel);
            return self.cancel_recorded(id, progress).await.map(|()| false);
        }
        let known = self
            .store
            .rollouts()
            .await
            .map_err(|error| unusable(&error))?
            .contains(id);
        if !known {
            return Err(no_such(id));
        }
        if self.let_go_of(id, who).await? {
            return Ok(true);
        }
        let why = self.dropped().get(id).cloned();
        Err(match why {
            None => has_ended(id),
            Some(why) => {
                let mut failure = Failure::new(ExitCode::Failed, format!("rollout {id} is not under way"));
                failure.causes.push(why);
                failure.hint("restart the coordinator: it takes up what is not finished")
            }
        })
    }

    /// Waits until the journal has the cancel: the engine writes it, as all of a rollout's records.
    async fn cancel_recorded(
        &self,
        id: &RolloutId,
        mut progress: broadcast::Receiver<Progress>,
    ) -> Result<(), Failure> {
        let mut driven = true;
        loop {
            for entry in self.store.load(id).await.map_err(|error| unusable(&error))? {
                match entry.record {
                    Record::CancelRequested { .. } => return Ok(()),
                    Record::Finished { .. } => return Err(has_ended(id)),
                    _ => {}
                }
            }
            if !driven {
                let failure = Failure::new(
                    ExitCode::Failed,
                    format!("whether rollout {id} was cancelled can't be told"),
                );
                return Err(failure.hint(format!("quorate rollout show {id}")));
            }
            // The journal is read again for each record, and once more when nobody drives the rollout any longer.
            driven = loop {
                match progress.recv().await {
                    Ok(Progress::Entry(_)) | Err(broadcast::error::RecvError::Lagged(_)) => break true,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Closed) => break false,
                }
            };
        }
    }

    fn agents(&self, plan: &Plan) -> ClusterAgents {
        self.agents_of(&plan.cluster, touched(plan))
    }

    /// The agents of a cluster, of which these nodes are touched.
    pub(crate) fn agents_of(&self, cluster: &ClusterName, touched: BTreeSet<NodeName>) -> ClusterAgents {
        ClusterAgents::new(
            (
                Arc::clone(&self.fleet),
                Arc::clone(&self.seat),
                self.store.clone(),
                Arc::clone(&self.secrets),
            ),
            self.packages.clone(),
            (self.clusters.clone(), Arc::clone(&self.overview)),
            cluster.clone(),
            touched,
        )
    }

    fn drive(self: &Arc<Self>, id: RolloutId, plan: &Plan, agents: ClusterAgents, begun: Begun) {
        let (progress, (cancel, cancelled)) = (broadcast::Sender::new(PROGRESS), watch::channel(None));
        let stop = self.stop.child_token();
        let driven = Driven {
            id: id.clone(),
            told: Told::new(),
            cancel,
            stop: stop.clone(),
        };
        let cluster = plan.cluster.clone();
        self.dropped().remove(&id);
        self.tasks.spawn(driven.told.clone().relay(progress.subscribe()));
        self.driven().insert(cluster.clone(), driven);
        let ports = Ports {
            journal: Arc::new(self.store.clone()),
            agents: Arc::new(agents),
            clock: Arc::new(EngineClock {
                clock: self.fleet.clock.clone(),
                pace: self.fleet.pace,
            }),
            permit: self.clusters.permit(&plan.cluster),
            patience: Patience::default(),
        };
        let (this, generation, ended_id) = (Arc::clone(self), self.seat.driver().generation, id.clone());
        self.tasks.spawn(async move {
            let ended = match this.let_windows_count(&cluster, &id, begun).await {
                Err(why) => Err(why),
                Ok(()) => {
                    // A task of its own: should it break, the cluster is not held by a rollout that nobody drives.
                    let engine_id = id.clone();
                    let engine = tokio::spawn(async move {
                        stop.run_until_cancelled(run_rollout(&ports, &engine_id, generation, progress, cancelled))
                            .await
                    });
                    let ended = engine
                        .await
                        .unwrap_or_else(|error| Some(Err(RunError::Internal(error.to_string()))));
                    ended.transpose().map_err(|error| sentence(&error))
                }
            };
            match ended {
                Ok(None) => return,
                Ok(Some(result)) => {
                    tracing::info!(rollout = %id, ?result, "rollout ended");
                    if result == RolloutResult::Done {
                        this.keep_applied(&cluster, &id).await;
                    }
                }
                Err(why) => {
                    tracing::error!(rollout = %id, error = why, "rollout is no longer driven");
                    this.dropped().insert(id, why);
                }
            }
            this.secrets.forget(&cluster);
            let mut driven = this.driven();
            if driven.get(&cluster).is_some_and(|driven| driven.id == ended_id) {
                driven.remove(&cluster);
            }
        });
    }

    /// The windows of a rollout's file count before its first step. Agents that don't hear of it here do before their next operation.
    async fn let_windows_count(&self, cluster: &ClusterName, id: &RolloutId, begun: Begun) -> Result<(), String> {
        let hold = self.clusters.begin(cluster, id).map_err(|error| sentence(&error))?;
        if begun == Begun::Now {
            self.tell_hold(cluster, &hold).await;
        }
        Ok(())
    }

    async fn states(&self) -> Result<Vec<(RolloutId, RolloutState)>, Failure> {
        let mut all = Vec::new();
        for id in self.store.rollouts().await.map_err(|error| unusable(&error))? {
            let entries = self.store.load(&id).await.map_err(|error| unusable(&error))?;
            match RolloutState::replay(&entries) {
                Ok(state) => all.push((id, state)),
                Err(error) => self.note_nonsense(&id, &entries, &error),
            }
        }
        Ok(all)
    }

    fn driven(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Driven>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rests(&self) -> MutexGuard<'_, Option<rest::Read>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resting(&self) -> MutexGuard<'_, BTreeMap<(ClusterName, Rest), Finding>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self) -> MutexGuard<'_, BTreeMap<RolloutId, String>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every node that a plan does something on, or gets something from.
fn touched(plan: &Plan) -> BTreeSet<NodeName> {
    let member = |action: &Action| match action {
        Action::JoinCluster { member, .. } | Action::FinishJoin { member, .. } => Some(member.clone()),
        _ => None,
    };
    plan.steps
        .iter()
        .flat_map(|step| [Some(step.node.clone()), member(&step.action)])
        .flatten()
        .collect()
}

/// How the beginning of a rollout stands in the audit log.
fn act(id: &RolloutId, plan: &Plan, order: Order) -> Act {
    // A plan that can't be written as JSON can't be kept in the journal either, and is refused there.
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    let what = What::Apply {
        rollout: id.to_string(),
        plan: HEXLOWER.encode(&Sha256::digest(bytes)),
        spec: plan.spec_digest.clone(),
        steps: plan.steps.len(),
    };
    Act {
        accepted: order.accepted,
        consents: order.consents,
        ..Act::new(By::caller(&order.by), what).in_cluster(&plan.cluster)
    }
}

/// Never given twice, also not after the journal was lost: agents know operations by it. For people it tells when.
fn new_id(cluster: &ClusterName, now: Timestamp) -> Result<RolloutId, Failure> {
    let time: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    let (day, clock) = time.split_at_checked(8).unwrap_or((&time, ""));
    let random = rand::random::<u16>();
    RolloutId::new(format!("{cluster}-{day}-{clock}-{random:04x}"))
        .map_err(|error| Failure::new(ExitCode::Internal, "can't name the rollout").because(&error))
}

/// Why nothing was begun.
fn not_driving(error: AgentError) -> Failure {
    match error {
        AgentError::Refused(finding) => refused(*finding),
        other => Failure::new(
            ExitCode::Unreachable,
            "not every server could be told who drives; nothing was begun",
        )
        .because(&other)
        .hint("quorate status"),
    }
}

fn refused(finding: Finding) -> Failure {
    Failure::new(ExitCode::Refused, finding.message.clone()).with(vec![finding])
}

fn has_ended(id: &RolloutId) -> Failure {
    Failure::new(ExitCode::Refused, format!("rollout {id} has ended already"))
}

fn no_such(id: &RolloutId) -> Failure {
    Failure::new(ExitCode::NotFound, format!("there is no rollout {id}")).hint("quorate rollout list")
}

fn unusable(error: &JournalError) -> Failure {
    Failure::new(ExitCode::Failed, "the rollout journal can't be used").because(error)
}

/// The daemon's clock as the engine wants it.
#[derive(Debug)]
struct EngineClock {
    clock: Clock,
    pace: Pace,
}

impl quorate_engine::ports::Clock for EngineClock {
    fn now(&self) -> Timestamp {
        trust::now(&self.clock)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.pace.wait(duration)).await;
    }
}

/// Reads a restored history, for tests/fuzz.
#[cfg(feature = "fuzz")]
pub(crate) fn fuzz(text: &str) -> Box<dyn std::fmt::Debug> {
    Box::new(history::fuzz(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_when_and_are_never_the_same() {
        let cluster = "hk1".parse().unwrap();
        let at = Timestamp::from_seconds(1_795_345_772);
        let ids: BTreeSet<_> = (0..20).map(|_| new_id(&cluster, at).unwrap()).collect();
        assert!(ids.len() > 15);
        assert!(
            ids.iter().all(|id| id.as_str().starts_with("hk1-20261122-110932-")),
            "{ids:?}"
        );
    }
}
