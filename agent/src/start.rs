//! From a configuration file to a running agent, and to its end.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use quorate_clock::Clock;
use quorate_exec::{OsRunner, Tools, inside_a_service};
use quorate_identity::{
    Identity, Material, NodeStore, RevocationList, Role, Roots, ServerTls, TimeSource, check_custody,
    create_private_dir,
};
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::ids::NodeName;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::events::Recorders;
use crate::faults;
use crate::hold;
use crate::host::{Host, HostRoot, LinkMap, Listening};
use crate::ledger::Ledger;
use crate::liveness::Looks;
use crate::measure::Echo;
use crate::observe::hostname;
use crate::operations::{Operations, Parts, Place, Supervisor};
use crate::renewal::Renewal;
use crate::server::{self, Server};

/// On a simulated server, its packages say here of which version the agent is.
const LAB_VERSION: &str = "/usr/share/quorate-agent/version";

/// The machine that a configuration describes.
///
/// # Errors
/// A lab's folder can't be used.
pub fn host(config: &Config) -> Result<Host, Failure> {
    let Some(lab) = &config.lab else {
        let host = Host::real(Clock::system()).never_touching(config.policy.never_touch.clone());
        let host = if config
            .units
            .unwrap_or_else(|| geteuid().is_root() && inside_a_service())
        {
            host.beside_our_sandbox()
        } else {
            host
        };
        return Ok(knowing_itself(host).remembering_in(config.state_dir.clone()));
    };
    let clock = Clock::for_lab(lab.clock_offset_ms.saturating_mul(1000));
    let broken = |error: &(dyn std::error::Error + 'static)| {
        Failure::new(ExitCode::Usage, "the lab's folder can't be used").because(error)
    };
    let root = HostRoot::lab(&lab.root).map_err(|error| broken(&error))?;
    let version = root.read_text(LAB_VERSION).ok().map(|text| text.trim().to_owned());
    let tools = Tools::only_in(&lab.tools).map_err(|error| broken(&error))?;
    let runner = Arc::new(OsRunner::new(clock.clone()));
    let host = Host::new(root, tools, runner, clock).with_links(LinkMap::lab(lab.addresses.clone()));
    let host = host
        .never_touching(config.policy.never_touch.clone())
        .remembering_in(config.state_dir.clone());
    let host = match version {
        Some(version) => host.of_version(version),
        None => host,
    };
    Ok(knowing_itself(host).at_pace(config.pace()))
}

/// While the package is upgraded the program's file is gone for a moment: what needs it is then not known, and says so.
fn knowing_itself(host: Host) -> Host {
    match std::env::current_exe() {
        Ok(program) => host.with_program(program),
        Err(error) => {
            tracing::warn!(%error, "this program's own path can't be told");
            host
        }
    }
}

/// Time for certificates, from the host's clock.
#[must_use]
pub fn time_source(clock: &Clock) -> TimeSource {
    let clock = clock.clone();
    TimeSource::new(move || u64::try_from(clock.unix_micros() / 1_000_000).unwrap_or_default())
}

/// The state directory, held by one process at a time.
#[derive(Debug)]
pub struct StateLock(#[expect(dead_code, reason = "held until it is dropped")] Flock<File>);

impl StateLock {
    /// Takes it.
    ///
    /// # Errors
    /// The directory is exposed or can't be used, or another process holds it.
    pub fn take(state_dir: &Path) -> Result<Self, Failure> {
        create_private_dir(state_dir).map_err(|error| {
            Failure::new(ExitCode::Refused, "the agent's state directory can't be used").because(&error)
        })?;
        check_owner(state_dir)?;
        check_custody(state_dir).map_err(|error| {
            Failure::new(ExitCode::Refused, "the agent does not believe its own state")
                .because(&error)
                .hint("find out who has changed what; if nobody has, type what stands behind each file, and start it again")
        })?;
        let path = state_dir.join("lock");
        let unusable = |error: std::io::Error| {
            Failure::new(ExitCode::Failed, format!("can't lock {}", path.display())).because(&error)
        };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        match Flock::lock(file.map_err(unusable)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Err(Failure::new(
                ExitCode::Refused,
                format!("another quorate-agent uses {}", state_dir.display()),
            )
            .hint("stop it first: systemctl stop quorate-agent")),
            Err((_, error)) => Err(unusable(error.into())),
        }
    }
}

/// Whoever owns the directory can put other files in the place of ours.
fn check_owner(state_dir: &Path) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(ExitCode::Refused, format!("can't look at {}", state_dir.display())).because(&error)
    };
    let (owner, ours) = (
        std::fs::metadata(state_dir).map_err(unreadable)?.uid(),
        geteuid().as_raw(),
    );
    if owner == ours {
        return Ok(());
    }
    let message = format!(
        "{} belongs to user id {owner}, but the agent runs as user id {ours}",
        state_dir.display()
    );
    Err(Failure::new(ExitCode::Refused, message).hint(format!(
        "if nobody has changed anything in it, type: chown -R {ours} {}",
        state_dir.display()
    )))
}

/// The name that the identity gives this node.
///
/// # Errors
/// It is no node's identity.
pub fn node_name(identity: &Identity) -> Result<NodeName, Failure> {
    let not_a_node = || {
        Failure::new(
            ExitCode::Refused,
            format!("the agent's certificate is for {}", identity.role()),
        )
    };
    match identity.role() {
        Role::Node { node, .. } => NodeName::new(node.as_str()).map_err(|error| not_a_node().because(&error)),
        _ => Err(not_a_node()),
    }
}

/// An agent that knows who it is and listens; nobody is answered yet.
#[derive(Debug)]
pub struct Agent {
    server: Server,
    parts: server::Parts,
    _lock: StateLock,
}

impl Agent {
    /// Identity, ledger, address. `program` and `config_path` are for the supervisors of its operations.
    ///
    /// # Errors
    /// What is missing, exposed or damaged.
    pub async fn prepare(config: Config, program: PathBuf, config_path: PathBuf) -> Result<Self, Failure> {
        let listening = Listening {
            port: Some(config.listen.port()).filter(|port| *port != 0),
            measure: Some(config.measure_ports.clone()),
        };
        let host = Arc::new(host(&config)?.listening_at(listening));
        let lock = StateLock::take(&config.state_dir)?;
        let store = NodeStore::new(&config.state_dir);
        let (roots, identity) = identity(&store)?;
        let node = node_name(&identity)?;
        if hostname(&host) != node.as_str() {
            tracing::warn!(%node, hostname = hostname(&host), "the server calls itself by another name than it is enrolled under");
        }
        let ledger = Ledger::open(&config.state_dir)
            .map_err(|error| Failure::new(ExitCode::Refused, "the agent does not start").because(&error))?;

        let time = time_source(host.clock());
        let material = Material {
            roots,
            identity: Some(identity),
            revocations: RevocationList::default(),
        };
        let tls = ServerTls::new(material, time.clone()).map_err(|error| {
            Failure::new(ExitCode::Refused, "the agent's identity can't be used")
                .because(&error)
                .hint("enrol it again: quorate-agent enroll --replace HOST:7441")
        })?;
        let supervisor = Supervisor::new(program, config_path, Place::here(&config));
        let events = Arc::new(Recorders::new(Arc::clone(&host), config.state_dir.clone()));
        let operations = Operations::new(Parts {
            host: Arc::clone(&host),
            node: node.clone(),
            ledger: ledger.clone(),
            pace: config.pace(),
            supervisor: supervisor.clone(),
            state_dir: config.state_dir,
            policy: config.policy,
        });
        let server = Server::bind(config.listen)
            .await
            .map_err(|error| Failure::new(ExitCode::Failed, "the agent does not start").because(&error))?;
        let renewal = Arc::new(Renewal::new(store, tls.clone(), time));
        let parts = server::Parts {
            echo: Echo::new(Arc::clone(&host), config.measure_ports),
            host,
            node,
            ledger,
            looks: Looks::default(),
            events,
            operations,
            supervisor,
            renewal,
            tls,
            reception: server::reception(),
        };
        Ok(Self {
            server,
            parts,
            _lock: lock,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// The name under which it is enrolled.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.parts.node
    }

    /// The machine.
    #[must_use]
    pub fn host(&self) -> Arc<Host> {
        Arc::clone(&self.parts.host)
    }

    /// The looks at the machine that are going on.
    #[must_use]
    pub fn looks(&self) -> Looks {
        self.parts.looks.clone()
    }

    /// Takes up the operations that have not ended, and what is watched for drills. Returns how many operations there are.
    pub async fn resume(&self) -> usize {
        self.parts.events.resume();
        self.parts.operations.resume().await
    }

    /// Ends rehearsed failures in time, until `stop`: what is left of them, too.
    pub fn keep_faults(&self, stop: CancellationToken) {
        let (host, state_dir) = (
            Arc::clone(&self.parts.host),
            self.parts.operations.state_dir().to_owned(),
        );
        tokio::spawn(faults::keep(host, state_dir, stop));
    }

    /// Answers until `stop`. Operations go on by themselves and are taken up at the next start.
    ///
    /// # Errors
    /// The server broke.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Failure> {
        let holding = tokio::spawn(hold::watch(Arc::clone(&self.parts.host), stop.clone()));
        let served = self.server.serve(self.parts, stop).await;
        holding.abort();
        served.map_err(|error| Failure::new(ExitCode::Internal, "the agent broke").because(&error))
    }
}

fn identity(store: &NodeStore) -> Result<(Roots, Identity), Failure> {
    let loaded = store.load().map_err(|error| {
        Failure::new(ExitCode::Refused, "the agent's identity can't be used")
            .because(&error)
            .hint("enrol it again: quorate-agent enroll --replace HOST:7441")
    })?;
    loaded.ok_or_else(|| {
        Failure::new(ExitCode::Refused, "this server has not been enrolled")
            .hint("on the coordinator, type: quorate node invite NAME --address ADDRESS")
            .hint("then here: quorate-agent enroll HOST:7441")
    })
}
