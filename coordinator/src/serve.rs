//! The story of the daemon: state, identity, generation, fleet, rollouts, listeners; then it waits to be told to stop.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use quorate_clock::Clock;
use quorate_identity::create_private_dir;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::time::spoken;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, Api};
use crate::audit::{Act, Audit, By, What};
use crate::ca::{self, Ca, Exchange};
use crate::clusters::Clusters;
use crate::config::Config;
use crate::drill::{Drills, Looker, Seal};
use crate::driver::{Asked, Seat};
use crate::enrol::{self, Desk, Door};
use crate::fleet::known_disks::KnownDisks;
use crate::fleet::known_guests::KnownGuests;
use crate::fleet::registry::Registry;
use crate::fleet::revoked::Revoked;
use crate::fleet::{Fleet, renewal};
use crate::host::Host;
use crate::init::FleetDocument;
use crate::measure::Measurements;
use crate::overview::Overview;
use crate::pace::Pace;
use crate::packages::Packages;
use crate::reach::Reaches;
use crate::recovery::Recovery;
use crate::rollouts::Rollouts;
use crate::state_dir::{StateDir, StateLock};
use crate::storage_secret::Secrets;
use crate::store::{Opened, Store};
use crate::{documents, drill, liveness, trust};

/// How long calls that are under way may take to end once the daemon is told to stop. Watchers of rollouts are cut off.
const DRAIN: Duration = Duration::from_secs(3);

/// Runs the daemon until it is told to stop. `take_over`: drive again although another coordinator has taken over.
///
/// # Errors
/// It can't start; with what to do.
pub async fn serve(config: Config, take_over: bool) -> Result<(), Failure> {
    log_to_stderr();
    // Whatever the shell that starts it has: what it keeps is for nobody else.
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let daemon = Daemon::start(&config, take_over).await?;
    // systemd may not be there, or not listening; that is no reason not to run.
    drop(sd_notify::notify(&[sd_notify::NotifyState::Ready]));
    if let Some(watchdog) = sd_notify::watchdog_enabled() {
        daemon.spawn(liveness::keep_telling(config.clone(), watchdog));
    }
    told_to_stop().await?;
    drop(sd_notify::notify(&[sd_notify::NotifyState::Stopping]));
    daemon.stop().await;
    Ok(())
}

/// The running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    stop: CancellationToken,
    tasks: TaskTracker,
    pub(crate) fleet: Arc<Fleet>,
    /// Where the API is answered over TLS.
    pub(crate) api_address: SocketAddr,
    socket: PathBuf,
    journal: JoinHandle<()>,
    _lock: StateLock,
}

impl Daemon {
    /// Starts everything; when it returns, the daemon answers.
    pub(crate) async fn start(config: &Config, take_over: bool) -> Result<Self, Failure> {
        let started = std::time::Instant::now();
        let (clock, pace) = (config.clock(), Pace::of(config));
        let state = StateDir::open(&config.state_dir)?;
        state.check()?;
        let lock = state.lock()?;
        let document = fleet_document(&state)?;
        let exchange = Arc::new(Exchange::open(&state)?);
        let revocations = Revoked::load(&state.revocations()).map_err(|error| cannot_start(&error))?;
        let ca = Ca::load(&state, &revocations, trust::time_source(&clock)).map_err(|error| cannot_start(&error))?;
        let (ca, reception) = (Arc::new(ca), api::reception());
        let revoked = ca::revoked(&ca, &state, revocations, reception.clone());
        warn_of_old_age(&ca, &clock);

        let registry = open_books(&state)?;
        let used_before = state.used_before() || !registry.nodes().is_empty();
        let seat = Arc::new(Seat::take(&state.driver(), Asked { take_over, used_before })?);
        let audit = Audit::of(&state, clock.clone());
        note_start(&audit, &seat, take_over)?;
        let opened = open_store(&state, used_before, &clock)?;
        let specs_lost = used_before && !state.specs().exists();
        create_private_dir(&state.specs()).map_err(|error| cannot_start(&error))?;
        create_private_dir(&state.before()).map_err(|error| cannot_start(&error))?;
        let clusters = Clusters::new(state.specs());
        clusters.mend();
        if specs_lost {
            clusters.lost(registry.enrolled());
        }
        let name = ca.now().roots.fleet().clone();
        let fleet = Fleet::new(name, registry, revoked, ca.client(), (clock.clone(), pace));
        fleet.sync();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let secrets = Arc::new(Secrets::new(config.secrets_dir.clone()));
        let packages = Packages::new(state.packages(), config.guest_program.clone());
        let known = (
            Arc::new(KnownDisks::open(state.disks())),
            Arc::new(KnownGuests::open(state.guests())),
        );
        let overview = Arc::new(Overview::new(Arc::clone(&fleet), known.clone(), clusters.clone()));
        let (disks, guests) = known;
        let rollouts = Rollouts::new(
            (opened.store, audit.clone(), Recovery::open(&state.recovery())),
            (clusters.clone(), state.before()),
            (Arc::clone(&fleet), Arc::clone(&overview)),
            (Arc::clone(&seat), Arc::clone(&secrets), packages.clone()),
            (tasks.clone(), stop.clone()),
        );
        if let Some(reason) = opened.damage {
            rollouts.note_loss(&reason, None).await;
        }
        let host = Host::this(config.lab.is_some());
        let looker = Looker::new(
            (Arc::clone(&fleet), Arc::clone(&overview)),
            (Arc::clone(&rollouts), clusters.clone()),
            (host.clone(), Arc::clone(&secrets), Seal::new(Arc::clone(&ca))),
            state.drills(),
        );
        let drills = Drills::new((looker, audit.clone()), (tasks.clone(), stop.clone()));
        drills.hold();
        if seat.unknown().is_none() {
            rollouts.resume().await?;
            drills.resume();
        }

        let socket = api::bind_socket(&config.socket).map_err(|error| {
            Failure::new(
                ExitCode::Failed,
                format!("can't make the socket {}", config.socket.display()),
            )
            .because(&error)
        })?;
        let remote = TcpListener::bind(config.api_listen)
            .await
            .map_err(|error| cannot_listen(config.api_listen, &error))?;
        let api_address = remote
            .local_addr()
            .map_err(|error| cannot_listen(config.api_listen, &error))?;
        let desk = Arc::new(Desk::new((Arc::clone(&fleet), audit.clone()), Arc::clone(&ca)));
        let reaches = Reaches::new(state.reach());
        let (door, door_seen) = watch::channel(Door::Closed);
        let service = api::Service(Arc::new(Api {
            fleet_name: document.name,
            advertise: document.advertise,
            ca: Arc::clone(&ca),
            exchange: Arc::clone(&exchange),
            started_at: trust::now(&clock),
            measurements: Measurements::new(&state, Arc::clone(&fleet)),
            network_as_given: config.lab.as_ref().is_some_and(|lab| lab.network_as_given),
            state,
            fleet: Arc::clone(&fleet),
            overview,
            seat: Arc::clone(&seat),
            audit: audit.clone(),
            audit_seen: std::sync::Mutex::default(),
            host,
            drills: Arc::clone(&drills),
            rollouts: Arc::clone(&rollouts),
            clusters,
            secrets,
            packages,
            reaches,
            door: door_seen,
        }));

        let daemon = Self {
            stop,
            tasks,
            fleet: Arc::clone(&fleet),
            api_address,
            socket: config.socket.clone(),
            journal: opened.thread,
            _lock: lock,
        };
        daemon.spawn(rollouts.watch_agents());
        daemon.spawn(drill::keep_schedule(Arc::clone(&drills)));
        if seat.unknown().is_some() {
            daemon.spawn(resume_drills(Arc::clone(&seat), drills));
        }
        daemon.spawn(Arc::clone(&fleet).follow_books());
        daemon.spawn(disks.follow(Arc::clone(&fleet)));
        daemon.spawn(guests.follow(Arc::clone(&fleet)));
        daemon.spawn(renewal::keep_renewed(Arc::clone(&fleet), Arc::clone(&ca)));
        daemon.spawn(ca::keep_exchanged(exchange, Arc::clone(&ca), Arc::clone(&fleet)));
        let server = ca.server();
        daemon.spawn(enrol::keep_door(fleet, desk, ca, config.enrol_listen, door));
        daemon
            .tasks
            .spawn(api::over_socket(socket, service.clone(), daemon.stop.clone()));
        daemon
            .tasks
            .spawn(api::over_tls(remote, (reception, server), service, daemon.stop.clone()));
        let driver = seat.driver();
        tracing::info!(
            generation = %driver.generation,
            instance = %driver.instance,
            socket = %config.socket.display(),
            api = %api_address,
            within = spoken(started.elapsed()),
            "ready"
        );
        Ok(daemon)
    }

    /// Stops answering and driving. What agents execute goes on; the next start takes it up.
    pub(crate) async fn stop(self) {
        tracing::info!(api = %self.api_address, "stopping");
        self.stop.cancel();
        // Gone before it answers nobody: a command line is then told that no coordinator runs.
        drop(std::fs::remove_file(&self.socket));
        self.fleet.hang_up();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some calls were cut off");
            return;
        }
        // Nobody holds the journal any more: its thread closes the store.
        drop(tokio::task::spawn_blocking(move || self.journal.join()).await);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }
}

/// Drills go on as soon as it is known by which generation this coordinator drives.
async fn resume_drills(seat: Arc<Seat>, drills: Arc<Drills>) {
    while seat.unknown().is_some() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // Rollouts are taken up in the same moment, and drills follow theirs.
    tokio::time::sleep(Duration::from_secs(5)).await;
    drills.resume();
}

fn fleet_document(state: &StateDir) -> Result<FleetDocument, Failure> {
    let none = || {
        Failure::new(
            ExitCode::NotFound,
            format!("there is no fleet at {}", state.path().display()),
        )
        .hint("make one: quorate init --advertise ADDRESS")
    };
    if !state.identity().exists() {
        return Err(none());
    }
    let document = documents::load(&state.fleet()).map_err(|error| cannot_start(&error))?;
    document.ok_or_else(|| {
        let file = state.fleet();
        Failure::new(ExitCode::Failed, format!("{} is gone", file.display()))
            .hint("restore it: move the state directory away, then quorate init --restore FILE with the last backup")
    })
}

/// The books can't be made up for by asking: nobody knows whom. So their loss is not begun with as if there were no nodes.
fn open_books(state: &StateDir) -> Result<Registry, Failure> {
    let unusable = |what: &str| {
        Failure::new(
            ExitCode::Failed,
            format!("the fleet's books {} are {what}", state.nodes().display()),
        )
        .hint("restore them: move the state directory away, then quorate init --restore FILE with the last backup")
        .hint("without a backup every server has to be enrolled again: quorate-agent enroll --replace")
    };
    match Registry::open(&state.nodes()) {
        Ok(registry) if registry.is_new() && state.used_before() => Err(unusable("gone")),
        Ok(registry) if registry.is_new() => {
            registry.begin().map_err(|error| cannot_start(&error))?;
            Ok(registry)
        }
        Ok(registry) => Ok(registry),
        Err(error @ documents::DocumentError::Damaged { .. }) => Err(unusable("damaged").because(&error)),
        Err(error) => Err(cannot_start(&error)),
    }
}

fn open_store(state: &StateDir, expected: bool, clock: &Clock) -> Result<Opened, Failure> {
    Store::open(&state.journal(), expected, clock.clone()).map_err(|error| cannot_start(&error))
}

/// Without a line in the audit log nobody takes over. A plain start goes on: one must be able to look, whatever the disk
/// does, and everything that changes something will be refused anyway.
fn note_start(audit: &Audit, seat: &Seat, take_over: bool) -> Result<(), Failure> {
    let driver = seat.driver();
    let what = What::Start {
        generation: driver.generation.0,
        instance: driver.instance.to_string(),
        take_over,
    };
    match audit.record(Act::new(By::this_process(), what)) {
        Err(failure) if take_over => Err(failure),
        Err(failure) => {
            tracing::error!(error = %failure, "nothing can be changed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The coordinator's own certificate can't be renewed without the root key.
fn warn_of_old_age(ca: &Ca, clock: &Clock) {
    if let Some(identity) = ca.identity()
        && identity.certificate().renewal_due(trust::unix_seconds(clock))
    {
        let until = trust::timestamp(identity.certificate().not_after());
        tracing::warn!(%until, "the coordinator's own certificate is due for renewal, which needs the root key");
    }
}

fn cannot_start(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(ExitCode::Failed, "the coordinator can't start").because(error)
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(ExitCode::Failed, format!("can't listen on {address}"))
        .because(error)
        .hint("see which program has the port; or set another api_listen in the coordinator's configuration")
}

async fn told_to_stop() -> Result<(), Failure> {
    let unusable = |error: std::io::Error| Failure::new(ExitCode::Internal, "can't listen to signals").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// `RUST_LOG` says how much; without it, what an operator wants to read.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    // Somebody has begun to log already: then it is logged there.
    drop(logging);
}
