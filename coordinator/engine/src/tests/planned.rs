//! What the planner really makes, for a world that is nothing but a view: each step that is carried out leaves what it promises.

#[path = "planned_disks.rs"]
mod planned_disks;
#[path = "planned_moves.rs"]
mod planned_moves;
#[path = "planned_protection.rs"]
mod planned_protection;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_model::facet::UnknownKind;
use quorate_model::finding::Code;
use quorate_model::ids::{Generation, NodeName, OperationId, StepId};
use quorate_model::moves::Moves;
use quorate_model::operation::{
    Action, ActionKind, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome, rules,
};
use quorate_model::plan::{Needs, Plan, Step};
use quorate_model::rollout::RolloutResult;
use quorate_model::spec::ClusterFile;
use quorate_model::{Timestamp, View, Wish};
use quorate_planner::checker::check;
use quorate_planner::testkit::{Servers, VOTE, apply, file, file_with_vote, known, name, parse};
use tokio::sync::{broadcast, mpsc, watch};

use super::rollout;
use crate::memory::{CrashPoint, Fault, FaultyJournal, MemJournal, World};
use crate::ports::{AgentError, Agents, AlwaysPermitted, Events, Recorded};
use crate::{Patience, Ports, RunError, run_rollout, summary};

const FAST: &[&str] = &["10.10.10.0/24"];
const BOTH: &[&str] = &["10.10.10.0/24", "192.168.1.0/24"];
const TWO: &[&str] = &["prox1", "prox2"];
const THREE: &[&str] = &["prox1", "prox2", "prox3"];
const FOUR: &[&str] = &["prox1", "prox2", "prox3", "prox4"];
/// How long every operation takes.
const TAKES: Duration = Duration::from_secs(14);

/// Servers whose agents do what they are asked, at once in each other's eyes.
#[derive(Debug, Clone)]
struct Played {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    view: View,
    ledger: BTreeMap<OperationId, (NodeName, LedgerEntry, Vec<OperationEvent>)>,
    running: BTreeMap<OperationId, (NodeName, ActionKind)>,
    /// What was begun, and what must never happen and did.
    begun: Vec<StepId>,
    wrong: Vec<String>,
}

impl Inner {
    fn answers(&self, node: &NodeName) -> bool {
        self.view
            .nodes
            .get(node)
            .is_some_and(|seen| !matches!(&seen.observation, Err(unknown) if unknown.kind == UnknownKind::Unreachable))
    }

    fn begin(&mut self, step: &Step, operation: &Operation) {
        let (kind, node) = (operation.action.kind(), step.node.clone());
        let disturbs = |kind: ActionKind| rules(kind).disruptive;
        for (other, (busy, running)) in &self.running {
            if *busy == node || (disturbs(kind) && disturbs(*running)) {
                self.wrong.push(format!("{} beside {other}", operation.id));
            }
        }
        for condition in &step.gate {
            let verdict = condition.judge(&self.view);
            if !verdict.holds() {
                self.wrong
                    .push(format!("{} against its gate: {verdict:?}", operation.id));
            }
        }
        self.running.insert(operation.id.clone(), (node, kind));
        self.begun.push(step.id.clone());
    }
}

impl Played {
    fn of(view: View) -> Self {
        let inner = Inner {
            view,
            ledger: BTreeMap::new(),
            running: BTreeMap::new(),
            begun: Vec::new(),
            wrong: Vec::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            changes: watch::Sender::new(0),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().unwrap());
        self.changes.send_modify(|n| *n += 1);
        result
    }

    fn say(&self, id: &OperationId, kind: OperationEventKind) {
        self.with(|inner| {
            let (_, entry, events) = inner.ledger.get_mut(id).unwrap();
            if let OperationEventKind::Ended(outcome) = &kind {
                entry.outcome = Some(outcome.clone());
            }
            let sequence = events.len() as u64;
            let at = Timestamp(0);
            events.push(OperationEvent { sequence, at, kind });
        });
    }

    fn stream(&self, node: &NodeName, id: &OperationId, from: u64) -> Events {
        let (sender, events) = mpsc::channel(16);
        let (world, node, id) = (self.clone(), node.clone(), id.clone());
        tokio::spawn(async move {
            let (mut changes, mut next) = (world.changes.subscribe(), from as usize);
            loop {
                changes.mark_unchanged();
                let ready = {
                    let inner = world.inner.lock().unwrap();
                    match inner.ledger.get(&id) {
                        Some((_, _, events)) if inner.answers(&node) => events.get(next..).unwrap_or_default().to_vec(),
                        _ => return,
                    }
                };
                for event in ready {
                    next += 1;
                    let last = matches!(event.kind, OperationEventKind::Ended(_));
                    if sender.send(event).await.is_err() || last {
                        return;
                    }
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        events
    }

    async fn execute(self, step: Step, id: OperationId) {
        self.say(&id, OperationEventKind::Accepted);
        tokio::time::sleep(TAKES).await;
        let goes_off = matches!(step.action, Action::PowerOff { .. });
        self.with(|inner| {
            apply(&mut inner.view, &step);
            inner.running.remove(&id);
        });
        if !goes_off {
            let evidence = "seen".to_owned();
            self.say(&id, OperationEventKind::Ended(Outcome::Done { evidence }));
        }
    }
}

impl Agents for Played {
    async fn view(&self, needs: &Needs) -> View {
        let mut view = self.inner.lock().unwrap().view.clone();
        let clocks = view.nodes.iter();
        view.clocks = clocks
            .filter_map(|(node, seen)| Some((node.clone(), seen.clock_offset?)))
            .collect();
        view.nodes.retain(|node, _| needs.contains_key(node));
        view
    }

    async fn start(&self, _: &Recorded, step: &Step, operation: &Operation) -> Result<Events, AgentError> {
        tokio::task::yield_now().await;
        let (step, id) = (step.clone(), operation.id.clone());
        let new = self.with(|inner| {
            if !inner.answers(&step.node) {
                return Err(AgentError::NotReached("no route to host".to_owned()));
            }
            if inner.ledger.contains_key(&id) {
                return Ok(false);
            }
            let entry = LedgerEntry {
                operation: operation.clone(),
                accepted_at: Timestamp(0),
                outcome: None,
                ended_at: None,
            };
            inner.ledger.insert(id.clone(), (step.node.clone(), entry, vec![]));
            inner.begin(&step, operation);
            Ok(true)
        })?;
        let node = step.node.clone();
        if new {
            tokio::spawn(self.clone().execute(step, id.clone()));
        }
        Ok(self.stream(&node, &id, 0))
    }

    async fn attach(&self, node: &NodeName, operation: &OperationId, from: u64) -> Result<Events, AgentError> {
        tokio::task::yield_now().await;
        match self.with(|inner| (inner.answers(node), inner.ledger.contains_key(operation))) {
            (false, _) => Err(AgentError::NotReached("no route to host".to_owned())),
            (true, false) => Err(AgentError::NotKnown),
            (true, true) => Ok(self.stream(node, operation, from)),
        }
    }

    async fn ledger(&self, node: &NodeName, operation: &OperationId) -> Result<Option<LedgerEntry>, AgentError> {
        tokio::task::yield_now().await;
        self.with(|inner| match inner.answers(node) {
            false => Err(AgentError::NoAnswer("timed out".to_owned())),
            true => Ok(inner.ledger.get(operation).map(|(_, entry, _)| entry.clone())),
        })
    }
}

/// What somebody wants of servers.
struct Scene {
    name: &'static str,
    file: ClusterFile,
    wish: Wish,
    servers: Servers,
}

impl Scene {
    fn plan(&self) -> Plan {
        let mut plan = quorate_planner::plan(&self.file, &self.wish, &self.servers.view);
        let complaints = check(&self.file, &self.wish, &self.servers.view, &plan);
        assert_eq!(complaints, [], "{}", self.name);
        // Whoever wants this has accepted that the firewall is changed for it.
        drop(quorate_model::finding::accept(
            &mut plan.findings,
            &[Code::FirewallKeepsOut],
        ));
        assert!(
            !plan.refused() && !plan.is_empty(),
            "{}: {:#?}",
            self.name,
            plan.findings
        );
        plan
    }
}

fn scene(name: &'static str, file: ClusterFile, servers: Servers) -> Scene {
    let wish = Wish::default();
    Scene {
        name,
        file,
        wish,
        servers,
    }
}

fn wanting(mut scene: Scene, wish: impl FnOnce(&mut Wish)) -> Scene {
    wish(&mut scene.wish);
    scene
}

fn gone(scene: Scene, node: &str, is_off: bool) -> Scene {
    wanting(scene, |wish| {
        wish.remove.insert(name(node));
        if is_off {
            wish.is_off.insert(name(node));
        }
    })
}

fn members(all: usize, inside: &[&str]) -> Servers {
    Servers::bare(all).members("hk1", inside, FAST)
}

fn dead(servers: Servers, node: &str) -> Servers {
    servers.offline(node).unreachable(node)
}

/// The joiner has the cluster's corosync.conf, and corosync does not run with it.
fn begun(inside: &[&str], joiner: &str) -> Servers {
    let servers = members(inside.len() + 1, inside).counted(joiner, FAST);
    let local = servers.view.cluster_of(&name("prox1")).unwrap().local_config.clone();
    servers.with_cluster(joiner, |c| {
        c.authkey_present = true;
        c.local_config_present = true;
        c.local_config = local;
    })
}

fn scenes() -> Vec<Scene> {
    let undo = |scene, node: &str| wanting(scene, |wish| wish.undo_join.extend([name(node)]));
    let mut all = vec![
        scene("one bare server", file(1, FAST), Servers::bare(1)),
        scene("three bare servers", file(3, FAST), Servers::bare(3)),
        scene("two links", file(2, BOTH), Servers::bare(2)),
        scene(
            "four with a third vote",
            file_with_vote(4, FAST),
            Servers::bare(4).outside("vote", VOTE),
        ),
        scene("one of three is in", file(3, FAST), members(3, &["prox2"])),
        scene(
            "a join under HA",
            file(4, FAST),
            members(4, THREE).under_ha("vm:100", "prox1", "5.1.3"),
        ),
        scene(
            "a join with HA of PVE 8",
            file(3, FAST),
            members(3, TWO).under_ha("vm:100", "prox1", "4.0.7"),
        ),
        scene("a link", file(3, BOTH), members(3, THREE)),
        scene(
            "a link under HA",
            file(3, BOTH),
            members(3, THREE).under_ha("vm:100", "prox2", "5.1.3"),
        ),
        scene("a join, then a link", file(3, BOTH), members(3, TWO)),
        scene(
            "a third vote",
            file_with_vote(2, BOTH),
            Servers::bare(2).members("hk1", TWO, BOTH).outside("vote", VOTE),
        ),
        scene(
            "a third vote off and on around joins under HA",
            file_with_vote(4, FAST),
            members(4, TWO)
                .under_ha("vm:100", "prox1", "5.1.3")
                .qdevice(VOTE)
                .outside("vote", VOTE),
        ),
        scene("a firewall that keeps agents out", file(2, FAST), {
            members(2, &["prox1"]).with_config("prox1", |c| known(&mut c.firewall).enabled = true)
        }),
        scene(
            "a join that never began, anew",
            file(3, FAST),
            members(3, TWO).counted("prox3", FAST),
        ),
        scene(
            "a lone member gets its quorum back",
            file(2, FAST),
            members(2, &["prox1"]).counted("prox2", FAST),
        ),
        scene("a join that was begun", file(3, FAST), begun(TWO, "prox3")),
        undo(
            scene("a join that was begun, undone", file(3, FAST), begun(TWO, "prox3")),
            "prox3",
        ),
        undo(
            scene("the only join, undone", file(2, FAST), begun(&["prox1"], "prox2")),
            "prox2",
        ),
    ];
    let vote_off = scene(
        "a third vote goes",
        file(2, FAST),
        members(2, TWO).qdevice(VOTE).outside("vote", VOTE),
    );
    all.push(gone(vote_off, "vote", false));
    all.push(gone(
        scene("a server goes", file(3, FAST), members(4, FOUR)),
        "prox4",
        false,
    ));
    let under_ha = members(4, FOUR).under_ha("vm:100", "prox1", "5.1.3");
    all.push(gone(
        scene("a server goes under HA", file(3, FAST), under_ha),
        "prox4",
        false,
    ));
    let half_dead = scene("the dead half of two", file(1, FAST), dead(members(2, TWO), "prox2"));
    all.push(gone(half_dead, "prox2", true));
    let text = "[cluster]\nname = \"hk1\"\nlinks = [\"10.10.10.0/24\"]\n[nodes.prox1]\naddress = \"192.168.1.11\"\n[nodes.prox2]\n\
                address = \"192.168.1.12\"\n[nodes.prox4]\naddress = \"192.168.1.14\"\n";
    let replaced = scene(
        "a dead server is replaced",
        parse(text),
        dead(members(4, THREE), "prox3"),
    );
    all.push(wanting(replaced, |wish| {
        wish.is_off.insert(name("prox3"));
        wish.replace.insert(name("prox3"), name("prox4"));
    }));
    let upgraded = scene(
        "agents get another version",
        file(2, FAST),
        Servers::bare(2).members("hk1", TWO, FAST),
    );
    all.push(wanting(upgraded, |wish| {
        wish.upgrade = Some(quorate_model::wish::AgentUpgrade {
            version: "0.2.0".parse().unwrap(),
            package: "ab".repeat(32).parse().unwrap(),
            size: 7,
            nodes: BTreeSet::new(),
        });
    }));
    all.extend(planned_disks::scenes());
    all.extend(planned_protection::scenes());
    all.extend(planned_moves::scenes());
    all
}

/// One coordinator's life; `None`: the fault ended it.
async fn go(
    journal: &MemJournal,
    world: &Played,
    generation: u64,
    fault: Option<(u64, Fault)>,
) -> Option<Result<RolloutResult, RunError>> {
    let time = journal.clock();
    // This world's operations end by themselves: nobody has to wait for them.
    let journal = FaultyJournal::new(journal.clone(), World::of(&[]), fault);
    let mut crashed = journal.crashed();
    let ports = Ports {
        journal: Arc::new(journal),
        agents: Arc::new(world.clone()),
        clock: Arc::new(time),
        permit: Arc::new(AlwaysPermitted),
        patience: Patience::default(),
    };
    let (id, cancel, progress) = (rollout(), watch::Sender::new(None), broadcast::Sender::new(64));
    tokio::select! {
        biased;
        _ = crashed.wait_for(|crashed| *crashed) => None,
        result = run_rollout(&ports, &id, Generation(generation), progress, cancel.subscribe()) => Some(result),
        () = tokio::time::sleep(Duration::from_secs(86_400)) => panic!("it waits for ever"),
    }
}

/// Whether the rollout was done; with the world checked in either case.
fn judged(scene: &Scene, plan: &Plan, journal: &MemJournal, world: &Played, what: &str) -> bool {
    let inner = world.inner.lock().unwrap();
    assert_eq!(inner.wrong, Vec::<String>::new(), "{}: {what}", scene.name);
    let once: BTreeSet<&StepId> = inner.begun.iter().collect();
    assert_eq!(
        once.len(),
        inner.begun.len(),
        "{}: {what}: {:?}",
        scene.name,
        inner.begun
    );
    let entries = journal.entries(&rollout());
    let result = summary(&rollout(), &entries).unwrap().unwrap().result;
    if result == Some(RolloutResult::Done) {
        assert_eq!(once.len(), plan.steps.len(), "{}: {what}", scene.name);
        let left = quorate_planner::plan(&scene.file, &scene.wish, &inner.view);
        // Who asks for a restart once more gets one.
        let again = matches!(scene.wish.moves, Some(Moves::Reboot { .. }));
        // Once it is decided, there is nothing held to decide about.
        let decided = matches!(scene.wish.moves, Some(Moves::Resolve { .. }));
        let over = left.is_empty() || again;
        assert!(
            over && (decided || !left.refused()),
            "{}: {what}: {left:#?}",
            scene.name
        );
        return true;
    }
    // Only that a server went off can have gone unheard: then it is not removed.
    let off = plan.steps.iter().any(|s| matches!(s.action, Action::PowerOff { .. }));
    let removed = inner.begun.iter().any(|id| id.as_str().starts_with("cluster.remove/"));
    assert!(off && !removed, "{}: {what}: {entries:#?}", scene.name);
    false
}

#[tokio::test(start_paused = true)]
async fn every_plan_of_the_planner_is_carried_out_once_wherever_the_coordinator_dies() {
    let (mut kinds, mut plans, mut points, mut unheard) = (BTreeSet::new(), 0, 0, 0);
    for scene in scenes() {
        let plan = scene.plan();
        kinds.extend(plan.steps.iter().map(|step| step.action.kind().as_str()));
        plans += 1;
        let (journal, world) = (
            MemJournal::with(&rollout(), plan.clone()),
            Played::of(scene.servers.view.clone()),
        );
        let result = go(&journal, &world, 1, None).await.unwrap().unwrap();
        let told = journal.entries(&rollout());
        assert_eq!(result, RolloutResult::Done, "{}: {told:#?}", scene.name);
        assert!(judged(&scene, &plan, &journal, &world, "undisturbed"));
        let faults = CrashPoint::ALL.map(Fault::Crash).into_iter();
        let faults: Vec<Fault> = faults.chain([Fault::ForgetLater { records: 2 }]).collect();
        for at in 1..told.len() as u64 {
            for fault in &faults {
                let (journal, world) = (
                    MemJournal::with(&rollout(), plan.clone()),
                    Played::of(scene.servers.view.clone()),
                );
                if go(&journal, &world, 1, Some((at, *fault))).await.is_none() {
                    go(&journal, &world, 2, None).await.unwrap().unwrap();
                }
                let what = format!("{fault:?} at record {at}");
                unheard += usize::from(!judged(&scene, &plan, &journal, &world, &what));
                points += 1;
            }
        }
    }
    println!("what the planner makes: {plans} plans, {points} faults, {unheard} servers that may be off");
    // No plan rehearses failures, and what a drill does for it.
    let of_drills = [ActionKind::InjectFault, ActionKind::SyncReplication];
    let planned = ActionKind::ALL.iter().filter(|kind| !of_drills.contains(kind));
    let all: BTreeSet<&str> = planned.map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, all, "each kind of action is tried");
    assert!(
        plans >= 20 && points > 1000 && unheard <= 8,
        "{plans} {points} {unheard}"
    );
}
