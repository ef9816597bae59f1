//! The world process: the state, its clock, and who may ask it what.

pub(crate) mod answers;
mod backups;
pub(crate) mod clock;
pub(crate) mod corosync;
pub(crate) mod datacenter;
mod direct;
pub(crate) mod guest_times;
pub(crate) mod guests;
pub(crate) mod ha;
pub(crate) mod hardware;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod mount;
pub(crate) mod nft;
pub mod oplog;
pub(crate) mod packages;
mod plant;
pub(crate) mod pmxcfs;
pub(crate) mod power;
pub(crate) mod proxy;
pub(crate) mod pve_files;
pub(crate) mod qdevice;
pub(crate) mod relay;
pub(crate) mod replication;
pub(crate) mod script;
mod serve;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod tasks;
pub(crate) mod under_ha;
pub(crate) mod units;
pub(crate) mod volumes;
pub(crate) mod watch;
pub(crate) mod zfs;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch::Sender;

use self::clock::Pace;
use self::oplog::{OpLog, What};
use self::state::State;
use crate::description::{LabSpec, ServerSpec};
use crate::layout::Layout;
use crate::process::Daemon;
use crate::roots;

/// The world looks around this often, in simulated time, as far as the speed allows.
const STEP: Duration = Duration::from_millis(100);

/// How long it may take to make up for lost time, in real time: callers wait meanwhile.
const CATCHES_UP: Duration = Duration::from_millis(20);

/// For each moment that looking around took, the world of a crowded lab rests for so many, at most from one tick to the next: it takes
/// milliseconds there, and dozens of tools that ask at once would wait for one another. They see what was so a moment ago, unless
/// something has happened since.
const RESTS: u32 = 3;

/// With so many servers a lab is crowded.
const CROWDED: usize = 9;

/// What a lab's users need to know of a running world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// The world's process.
    pub pid: u32,
    /// The lab's own loopback network: the coordinator is `.1`, server number i (from 0) is `.(10 + i)`.
    pub network: Ipv4Addr,
}

/// The running world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) layout: Layout,
    pub(crate) pace: Pace,
    pub(crate) network: Ipv4Addr,
    held: Mutex<Held>,
    /// How packets between the servers fare.
    roads: Arc<RwLock<relay::Roads>>,
    /// Per server: do packets pass between its agent and the coordinator?
    pub(crate) public: Vec<Sender<bool>>,
    /// Per server: how often did it lose its power?
    pub(crate) losses: Vec<Sender<u32>>,
    /// Where guests answer now.
    pub(crate) answers: Sender<answers::Answers>,
    /// Agents that started with their servers.
    pub(crate) agents: Mutex<BTreeMap<usize, Daemon>>,
    pub(crate) stop: Sender<bool>,
}

#[derive(Debug)]
struct Held {
    state: State,
    oplog: OpLog,
    /// See [`RESTS`].
    rests_until: Instant,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at or changes the state as it is now; what follows from it is on the disk and in the log afterwards.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut guard = self.lock();
        let Held {
            state,
            oplog,
            rests_until,
        } = &mut *guard;
        if Instant::now() >= *rests_until {
            let took = self.catch_up(state);
            if state.servers.len() >= CROWDED {
                *rests_until = Instant::now() + (took * RESTS).min(self.pace.tick());
            }
        }
        let result = act(state);
        if let Err(error) = state.flush() {
            complain(&format!("can't write the servers' files: {error}"));
        }
        for order in state.take_orders() {
            self.carry_out(state, order);
        }
        let events = state.take_events();
        let of_tools = |entry: &oplog::Entry| matches!(entry.what, What::ToolCalled | What::ToolEnded);
        if !events.iter().all(of_tools) {
            *rests_until = Instant::now();
        }
        for entry in events {
            if let Err(error) = oplog.append(&entry) {
                complain(&format!("can't write the operation log: {error}"));
            }
        }
        for (server, sender) in state.servers.iter().zip(&self.public) {
            let passes = server.carries(server::Network::Public) && !server.agent_cut;
            sender.send_if_modified(|before| std::mem::replace(before, passes) != passes);
        }
        let answers = answers::Answers::of(state, self.network);
        self.answers.send_if_modified(|before| {
            let changed = *before != answers;
            *before = answers;
            changed
        });
        let roads = relay::Roads::of(&state.servers, &state.ways);
        *self.roads.write().unwrap_or_else(PoisonError::into_inner) = roads;
        result
    }

    /// Moves on to the present, in small steps: on a busy host the world may not have had its turn for a while, and what
    /// was due meanwhile happens when it was due, one thing after another. A big lab may not keep up; then it leaps.
    /// Returns what the last step took, in real time.
    fn catch_up(&self, state: &mut State) -> Duration {
        let began = Instant::now();
        let now = self.pace.now();
        let step = self.pace.simulated(self.pace.tick()).max(STEP);
        while now.saturating_sub(state.now) > step && began.elapsed() < CATCHES_UP {
            state.advance(state.now + step);
        }
        let last = Instant::now();
        state.advance(now);
        last.elapsed()
    }

    /// Moves on with time until the world ends.
    async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(self.pace.tick());
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.with(|_| ());
        }
    }
}

/// A number nobody can guess well enough to clash.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The world has no other voice than its log file.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "world: {text}").ok();
}

/// Runs the world of the lab in `dir` until it is told to stop. With `owned` it ends, too, when the other end of
/// standard input is closed: then its owner was killed, and what is left of the lab is removed here.
///
/// # Errors
/// When the lab can't be set up.
pub async fn run(dir: &Path, owned: bool) -> io::Result<()> {
    let layout = Layout::new(dir);
    let spec: LabSpec = serde_json::from_slice(&std::fs::read(layout.spec())?)?;
    let claim = proxy::claim_network().await?;
    let servers = roots::build(&layout, &spec, claim.network)?;
    let losses = servers.iter().map(|_| Sender::new(0)).collect();
    let public = servers.iter().map(|_| Sender::new(true)).collect();
    let world = Arc::new(World {
        pace: Pace::new(spec.speed),
        network: claim.network,
        held: Mutex::new(Held {
            state: State::new(servers),
            oplog: OpLog::open(&layout.operations())?,
            rests_until: Instant::now(),
        }),
        public,
        roads: Arc::default(),
        losses,
        answers: Sender::default(),
        agents: Mutex::default(),
        stop: Sender::new(false),
        layout,
    });
    world
        .with(|state| settle(&world.layout, state, &spec))
        .map_err(io::Error::other)?;
    world
        .with(|state| relay::describe(state, &spec))
        .map_err(io::Error::other)?;
    relay::open(world.network, spec.servers.len(), Arc::clone(&world.roads))?;
    proxy::open(&world).await?;
    answers::open(&world);
    let listener = serve::bind(&world.layout)?;
    let ready = Ready {
        pid: std::process::id(),
        network: claim.network,
    };
    let temporary = world.layout.ready().with_extension("tmp");
    std::fs::write(&temporary, serde_json::to_vec(&ready)?)?;
    std::fs::rename(&temporary, world.layout.ready())?;
    world.with(|state| state.note(None, What::WorldStarted, format!("{} servers", spec.servers.len())));

    let mut abandoned = false;
    let mut stop = world.stop.subscribe();
    tokio::select! {
        () = Arc::clone(&world).tick() => {}
        result = serve::accept(&world, &listener) => result?,
        _ = stop.wait_for(|stop| *stop) => {}
        () = serve::owner_gone(), if owned => abandoned = true,
    }
    drop(claim);
    if abandoned {
        // An owner that ends as it should kills the world first, and clears up itself.
        crate::lab::remove(dir);
    }
    Ok(())
}

/// What its description plants on a server; what can't be planted is told of and left out.
fn plant_all(layout: &Layout, state: &mut State, index: usize, server: &ServerSpec) {
    for what in &server.plants {
        if let Err(reason) = plant::plant(layout, state, index, what) {
            complain(&format!("{}: can't plant {what:?}: {reason}", server.name));
        }
    }
}

/// Brings the servers to where they are when nobody did anything yet: booted, standalone, or alone in a cluster.
fn settle(layout: &Layout, state: &mut State, spec: &LabSpec) -> Result<(), String> {
    for (index, server) in spec.servers.iter().enumerate() {
        // A server whose name does not resolve boots without /etc/pve, as a real one does.
        if !server.is_pve() {
            plant_all(layout, state, index, server);
            continue;
        }
        if let Err(reason) = state.start_pmxcfs(index) {
            complain(&format!("{}: {reason}", server.name));
            plant_all(layout, state, index, server);
            continue;
        }
        plant_all(layout, state, index, server);
        if let Some(cluster) = &server.member_of {
            state.make_lone_cluster(index, cluster, random())?;
        }
    }
    Ok(())
}
