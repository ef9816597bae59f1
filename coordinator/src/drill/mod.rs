//! Drills in the daemon: looked at beforehand, begun, taken up again after a restart, watched, ended, and kept.
//!
//! [`order`] is what is asked for, [`look`] and [`preview`] what is shown before, [`stage`] the course, and [`course`] carries it out with [`before`], [`syncs`], [`copies`],
//! [`fault`], [`during`], [`resolve`] and [`end`]. What agents and probes tell meanwhile is written down by [`watches`], [`distant`] and the probes themselves; [`answers`],
//! [`rows`] and [`record`] make of it what is kept in [`state`], signed and checked by [`seal`]. What it leaves is told by [`left`] until it is gone. [`schedule`] begins those that are run by themselves.

mod after;
mod answers;
mod asked;
mod before;
mod copies;
mod course;
mod distant;
mod during;
mod end;
mod fault;
mod left;
mod look;
mod moves;
mod order;
mod preview;
mod record;
mod resolve;
mod rows;
mod schedule;
mod seal;
mod speed;
mod stage;
mod state;
#[cfg(test)]
mod state_tests;
mod syncs;
mod told;
mod watches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::finding::Finding;
use quorate_model::ids::{ClusterName, NodeName, OperationId};
use quorate_model::spec::ClusterFile;
use quorate_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Act, Audit, By, What};
use crate::incoming::Who;
use crate::trust::sentence;
use course::Course;
use look::unreadable;
use order::Order;
use stage::Stage;
use state::{Folder, KeptError, Moves, Running, Spec, Syncs};
use told::Told;

pub(crate) use asked::Watching;
pub(crate) use look::Looker;
pub(crate) use preview::Document;
pub(crate) use schedule::keep as keep_schedule;
pub(crate) use seal::Seal;
pub(crate) use told::Said;

/// All drills.
#[derive(Debug)]
pub(crate) struct Drills {
    looker: Looker,
    audit: Audit,
    running: Mutex<BTreeMap<ClusterName, Driven>>,
    /// Those that are run by themselves, as they were looked at last.
    due: Mutex<schedule::Rows>,
    /// What drills that are over left, as it was looked at last.
    left: Mutex<BTreeMap<ClusterName, Vec<Finding>>>,
    /// One at a time is begun.
    turn: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
    /// Ends all of them, as a crash would.
    stop: CancellationToken,
}

/// A drill that is under way here.
#[derive(Debug)]
struct Driven {
    number: u64,
    victim: NodeName,
    fault: OperationId,
    told: Told,
    abort: watch::Sender<course::Word>,
}

impl Drills {
    pub(crate) fn new((looker, audit): (Looker, Audit), (tasks, stop): (TaskTracker, CancellationToken)) -> Arc<Self> {
        Arc::new(Self {
            looker,
            audit,
            running: Mutex::default(),
            due: Mutex::default(),
            left: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tasks,
            stop,
        })
    }

    /// Drills that an earlier process left hold their clusters. Where one can't be read, too: a fault may be there.
    pub(crate) fn hold(&self) {
        for (cluster, _, unfinished) in self.unfinished() {
            match unfinished {
                Ok(running) => self.looker.rollouts.still_held_by_drill(&cluster, &running.name()),
                Err(error) => {
                    tracing::error!(%cluster, error = sentence(&error), "a drill is not over, and how far it is can't be read");
                    let name = "a drill whose state can't be read";
                    self.looker.rollouts.still_held_by_drill(&cluster, name);
                }
            }
        }
    }

    /// Takes them up.
    pub(crate) fn resume(self: &Arc<Self>) {
        for (cluster, folder, unfinished) in self.unfinished() {
            let Ok(running) = unfinished else { continue };
            tracing::info!(%cluster, drill = running.name(), stage = running.stage.as_str(), "drill taken up again");
            self.drive(folder, running, true);
        }
    }

    fn unfinished(&self) -> Vec<(ClusterName, Folder, Result<Running, KeptError>)> {
        let entries = std::fs::read_dir(&self.looker.dir).into_iter().flatten().flatten();
        let clusters = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<ClusterName>().ok());
        let left = clusters.filter_map(|cluster| {
            let folder = Folder::of(&self.looker.dir, &cluster);
            let unfinished = folder.unfinished().transpose()?;
            Some((cluster, folder, unfinished))
        });
        left.collect()
    }

    /// What a drill would do.
    pub(crate) async fn preview(&self, cluster: &ClusterName, wire: v1::DrillOrder) -> Result<Document, Failure> {
        let (file, _) = self.applied(cluster)?;
        let order = Order::read(wire, &file)?;
        Ok(self.look(cluster, &file, &order).await?.0)
    }

    async fn look(
        &self,
        cluster: &ClusterName,
        file: &ClusterFile,
        order: &Order,
    ) -> Result<(Document, quorate_planner::drill::Preview), Failure> {
        let view = self.looker.view(cluster).await;
        let around = self.looker.around(file, &view, order.guest, false).await?;
        let preview = quorate_planner::drill::preview(file, &view, &order.request(), &around);
        Ok((Document::of(cluster, order, &preview, &self.looker.secrets), preview))
    }

    /// Begins a drill: it is on the disk when this returns, and goes on without whoever asked.
    pub(crate) async fn start(
        self: &Arc<Self>,
        cluster: &ClusterName,
        wire: v1::DrillOrder,
        shown: &str,
        by: &Who,
    ) -> Result<u64, Failure> {
        let _turn = self.turn.lock().await;
        let (file, spec) = self.applied(cluster)?;
        let order = Order::read(wire, &file)?;
        let looked = self.look(cluster, &file, &order).await?;
        if !looked.0.refused() && looked.0.key != shown {
            let message = "a fresh look comes to another drill than the one that was shown; nothing was changed";
            return Err(Failure::new(ExitCode::Refused, message).hint("look at it again: quorate drill preview"));
        }
        self.begin((cluster, spec), order, looked, by).await
    }

    /// Begins what was looked at just now. Whoever calls holds the turn.
    async fn begin(
        self: &Arc<Self>,
        (cluster, spec): (&ClusterName, Spec),
        order: Order,
        (document, preview): (Document, quorate_planner::drill::Preview),
        by: &Who,
    ) -> Result<u64, Failure> {
        if document.refused() {
            let failure = Failure::new(ExitCode::Refused, "the drill is refused; nothing was changed");
            return Err(failure.with(document.findings));
        }
        if let Some(unusable) = rows::unusable(&order, &self.looker.secrets) {
            let failure = Failure::new(ExitCode::Refused, "the drill is refused; nothing was changed");
            return Err(failure.with(vec![unusable]));
        }
        let folder = Folder::of(&self.looker.dir, cluster);
        let (number, _) = folder.next().map_err(|error| unreadable(&error))?;
        // Never given twice, also not after the folder was lost: agents know the fault by it.
        let operation = OperationId::new(format!("drill-{cluster}-{number}-{:08x}", rand::random::<u32>()));
        let operation =
            operation.map_err(|error| Failure::new(ExitCode::Internal, "can't name the fault").because(&error))?;
        let running = Running {
            number,
            cluster: cluster.clone(),
            operator: by.name.clone(),
            began: self.looker.now(),
            stage: Stage::MovingOff,
            findings: document.findings.clone(),
            fates: document.fates.clone(),
            before: document.before.clone(),
            after: document.after.clone(),
            circumstances: document.circumstances.clone(),
            predicted: document.predicted.clone(),
            recovered: preview.recovered,
            discards: document.discards,
            leaves: document.leaves.clone(),
            syncs: Syncs::default(),
            moves: Moves::default(),
            operation,
            clocks: BTreeMap::new(),
            copies: Vec::new(),
            known: std::collections::BTreeSet::new(),
            fault: state::FaultSeen::default(),
            events: Vec::new(),
            aborted: None,
            left: Vec::new(),
            spec,
            order,
        };
        self.looker.rollouts.hold_for_drill(cluster, &running.name()).await?;
        let begun = self.begun(&folder, &running, &document, by).await;
        if let Err(failure) = begun {
            folder.tidy(number);
            self.looker.rollouts.let_go_of_drill(cluster);
            return Err(failure);
        }
        tracing::info!(%cluster, drill = running.name(), by = by.name, what = document.what, "drill begun");
        self.drive(folder, running, false);
        Ok(number)
    }

    async fn begun(&self, folder: &Folder, running: &Running, document: &Document, by: &Who) -> Result<(), Failure> {
        let order = &running.order;
        let what = What::StartDrill {
            number: running.number,
            fault: order.fault.to_string(),
            node: order.node.to_string(),
            guest: order.guest,
            spec: running.spec.digest.clone(),
        };
        let mut consents: Vec<String> = order
            .risked
            .iter()
            .map(|guest| format!("--risk-guest {guest}"))
            .collect();
        consents.extend(
            document
                .discards
                .iter()
                .map(|guest| format!("replication resolve {guest} --discard, afterwards")),
        );
        let leaves = document.leaves.iter();
        consents.extend(leaves.map(|volume| format!("guest clear-canary {}, afterwards", volume.guest())));
        consents.extend(order.confirmed.iter().map(|typed| format!("--confirm {typed}")));
        let who = if order.scheduled {
            consents.push("by schedule".to_owned());
            By::daemon()
        } else {
            By::caller(by)
        };
        let act = Act {
            accepted: document.accepted(order),
            consents,
            ..Act::new(who, what).in_cluster(&running.cluster)
        };
        self.audit.note(act).await?;
        folder.keep(running).map_err(|error| {
            Failure::new(ExitCode::Failed, "the drill can't be kept, and so it is not begun").because(&error)
        })
    }

    fn drive(self: &Arc<Self>, folder: Folder, running: Running, resumed: bool) {
        let (cluster, number) = (running.cluster.clone(), running.number);
        let told = Told::open(folder.one(number).join("told.jsonl"));
        let (abort, asked) = watch::channel(course::Word::default());
        let driven = Driven {
            number,
            victim: running.order.node.clone(),
            fault: running.operation.clone(),
            told: told.clone(),
            abort,
        };
        self.running().insert(cluster.clone(), driven);
        let looker = self.looker.clone();
        let nodes = looker.nodes(&cluster).into_iter().map(|name| name.node).collect();
        let agents = looker.rollouts.agents_of(&cluster, nodes);
        let course = Course::new(
            (looker, self.audit.clone(), folder),
            agents,
            (told, asked),
            running,
            resumed,
        );
        let (this, stop) = (Arc::clone(self), self.stop.clone());
        self.tasks.spawn(async move {
            // A task of its own: should it break, the cluster is held until somebody looks.
            let ran = tokio::spawn(async move { stop.run_until_cancelled(course.run()).await });
            match ran.await {
                Ok(Some(())) => {
                    // What it left is told as it was, until somebody looks.
                    this.left.lock().unwrap_or_else(PoisonError::into_inner).remove(&cluster);
                    this.running().remove(&cluster);
                    this.looker.rollouts.let_go_of_drill(&cluster);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%cluster, number, %error, "a drill broke off; a restart of the coordinator takes it up");
                    this.running().remove(&cluster);
                }
            }
        });
    }

    /// The cluster file that drills are taken from.
    fn applied(&self, cluster: &ClusterName) -> Result<(ClusterFile, Spec), Failure> {
        let decided = self
            .looker
            .clusters
            .decided(cluster)
            .map_err(|error| Failure::new(ExitCode::Failed, "what was applied can't be read").because(&error))?;
        let Some(kept) = decided.newest() else {
            let message = format!("no cluster file of {cluster} was applied from here");
            return Err(Failure::new(ExitCode::NotFound, message)
                .hint("make one of the cluster as it is: quorate adopt CLUSTER; then apply it"));
        };
        let name = format!("{cluster}.toml (of {})", kept.applied_at);
        let file = ClusterFile::parse(&name, &kept.text).map_err(|findings| {
            Failure::new(ExitCode::Refused, format!("{name} is not a usable cluster file")).with(findings)
        })?;
        let spec = Spec {
            name,
            digest: kept.digest.clone(),
            text: kept.text.clone(),
        };
        Ok((file, spec))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ClusterName, Driven>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
