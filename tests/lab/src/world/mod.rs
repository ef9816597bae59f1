//! The world process: the state, its clock, and who may ask it what.

pub(crate) mod clock;
pub(crate) mod corosync;
mod direct;
pub(crate) mod identity;
pub(crate) mod mount;
pub mod oplog;
pub(crate) mod pmxcfs;
pub(crate) mod proxy;
pub(crate) mod script;
mod serve;
pub(crate) mod server;
pub(crate) mod state;
pub(crate) mod tasks;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::clock::Pace;
use self::oplog::{OpLog, What};
use self::state::State;
use crate::description::LabSpec;
use crate::layout::Layout;
use crate::roots;

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
    state: Mutex<(State, OpLog)>,
    /// Per server: do packets pass on its public network?
    pub(crate) public: Vec<watch::Sender<bool>>,
    pub(crate) stop: watch::Sender<bool>,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, (State, OpLog)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at or changes the state as it is now; what follows from it is on the disk and in the log afterwards.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut guard = self.lock();
        let (state, oplog) = &mut *guard;
        state.advance(self.pace.now());
        let result = act(state);
        if let Err(error) = state.flush() {
            complain(&format!("can't write the servers' files: {error}"));
        }
        for entry in state.take_events() {
            if let Err(error) = oplog.append(&entry) {
                complain(&format!("can't write the operation log: {error}"));
            }
        }
        for (server, sender) in state.servers.iter().zip(&self.public) {
            let passes = server.carries(server::Network::Public);
            sender.send_if_modified(|before| std::mem::replace(before, passes) != passes);
        }
        result
    }

    /// Moves on with time until the world ends.
    async fn tick(self: Arc<Self>) {
        let real = self
            .pace
            .real(Duration::from_millis(100))
            .clamp(Duration::from_millis(2), Duration::from_millis(100));
        let mut interval = tokio::time::interval(real);
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
    let public = servers.iter().map(|_| watch::Sender::new(true)).collect();
    let world = Arc::new(World {
        pace: Pace::new(spec.speed),
        network: claim.network,
        state: Mutex::new((State::new(servers), OpLog::open(&layout.operations())?)),
        public,
        stop: watch::Sender::new(false),
        layout,
    });
    world.with(|state| settle(state, &spec)).map_err(io::Error::other)?;
    proxy::open(&world).await?;
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

/// Brings the servers to where they are when nobody did anything yet: booted, standalone, or alone in a cluster.
fn settle(state: &mut State, spec: &LabSpec) -> Result<(), String> {
    for (index, server) in spec.servers.iter().enumerate() {
        // A server whose name does not resolve boots without /etc/pve, as a real one does.
        if let Err(reason) = state.start_pmxcfs(index) {
            complain(&format!("{}: {reason}", server.name));
            continue;
        }
        if let Some(cluster) = &server.member_of {
            state.make_lone_cluster(index, cluster, random())?;
        }
    }
    Ok(())
}
