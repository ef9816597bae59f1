//! How a fault begins. The order is the module's.

use std::path::Path;
use std::time::Duration;

use quorate_exec::{Invocation, systemd_runs};
use quorate_model::fault::{Fault, Length, PowerCut};
use quorate_model::ids::OperationId;
use quorate_model::observation::FacetName;
use quorate_model::observation::pools::VdevState;
use quorate_model::time::Timestamp;
use quorate_tools::nft::{self, Family, Table};
use quorate_tools::{CallError, systemctl, systemd_run, zpool_disks};

use super::heal::{tables, take_back};
use super::records::{self, Held, Undo};
use super::{STAGE, boot, guests, is_watched, places, unit};
use crate::errors::chain;
use crate::host::{Host, complaint};
use crate::observe::observe;

/// The kernel's switch for what is done at once.
const SYSRQ: &str = "/proc/sysrq-trigger";

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// It is noted.
    Note,
    /// systemd's timer is set.
    Timer,
    /// It begins.
    Break,
    /// It is seen to hold.
    Look,
}

impl Step {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Note, Self::Timer, Self::Break, Self::Look];
}

/// A fault that is about to begin.
#[derive(Debug)]
pub(crate) struct Injection {
    held: Held,
    /// Until systemd's timer fires; `None`: no timer ends it, or systemd does not run here.
    timer: Option<Duration>,
    breaks: Breaks,
}

/// What is done.
#[derive(Debug)]
enum Breaks {
    /// An nft table, by this text, whose sets hold so many elements.
    Table { script: String, elements: usize },
    /// A tool is run.
    Run(Invocation),
    /// A machine's process is killed.
    Guest(u32),
    /// A letter for [`SYSRQ`].
    Sysrq(&'static str),
}

/// Looks at all that is needed, and gives what is to be done. Nothing is changed.
///
/// # Errors
/// Why it can't begin.
pub(crate) async fn prepare(
    host: &Host,
    state_dir: &Path,
    id: &OperationId,
    fault: &Fault,
    seconds: u32,
) -> Result<Injection, String> {
    let length = fault.for_seconds(seconds).map_err(|error| error.to_string())?;
    let boot = boot(host)?;
    nothing_holds(host, state_dir, &boot).await?;
    let pace = host.pace();
    let time = pace.of(Duration::from_secs(u64::from(seconds)));
    // Two stages only where a reset and a recovery may have come in between.
    let opens = match (fault, length) {
        (Fault::Network, Length::Failover) => Some(time.saturating_sub(pace.of(STAGE))),
        _ => None,
    };
    let (breaks, undo) = breaks(host, id, fault, time, opens).await?;
    let timer = if time.is_zero() {
        None
    } else {
        second(host, &undo)?.then_some(time)
    };
    let now = host.now();
    let at = |after: Duration| {
        Timestamp(
            now.0
                .saturating_add(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)),
        )
    };
    Ok(Injection {
        held: Held {
            id: id.clone(),
            fault: fault.clone(),
            boot,
            noted_at: now,
            opens_at: opens.map(at),
            ends_at: (!time.is_zero()).then(|| at(time)),
            undo,
            watched: is_watched(host),
            ended: None,
        },
        timer,
        breaks,
    })
}

/// One fault at a time, and none beside what one has left.
async fn nothing_holds(host: &Host, state_dir: &Path, boot: &str) -> Result<(), String> {
    let (open, broken) = records::open(state_dir);
    if let Some(broken) = broken.first() {
        return Err(format!("whether another fault holds can't be told: {broken}"));
    }
    if let Some(other) = open.iter().find(|other| other.boot == boot) {
        return Err(format!(
            "a fault of {} ({}) holds here; quorate-agent heal ends it",
            other.fault, other.id
        ));
    }
    match tables(host).await {
        Ok(found) => match found.first() {
            Some(table) => Err(format!(
                "an earlier fault has left the nft table {table}; quorate-agent heal takes it away"
            )),
            None => Ok(()),
        },
        Err(why) => Err(why),
    }
}

async fn breaks(
    host: &Host,
    id: &OperationId,
    fault: &Fault,
    time: Duration,
    opens: Option<Duration>,
) -> Result<(Breaks, Undo), String> {
    let tools = host.tools();
    let run = |call: Result<Invocation, CallError>| call.map(Breaks::Run).map_err(|error| chain(&error));
    let stop = |unit: &str| {
        Ok((
            run(systemctl::stop(tools, unit))?,
            Undo::Start { unit: unit.to_owned() },
        ))
    };
    match fault {
        Fault::Network => {
            let ports = places::ports(host).await?;
            // Without corosync's ports the first stage would open nothing: then there is only one.
            let corosync: Vec<u16> = match opens {
                Some(_) => places::links(host)?.into_iter().map(|(_, _, port)| port).collect(),
                None => vec![],
            };
            let table = Table::of(Family::Netdev, id.as_str());
            let script = nft::ports(&table, &ports, &corosync, opens.unwrap_or(time), time);
            let elements = 2 * ports.len();
            Ok((Breaks::Table { script, elements }, Undo::Ports { table: table.name }))
        }
        Fault::ClusterNetwork => addresses(host, id, time, None),
        Fault::Link { link } => addresses(host, id, time, Some(*link)),
        Fault::Power { how, .. } => {
            let breaks = match how {
                PowerCut::Reset => Breaks::Sysrq("b"),
                PowerCut::Off => Breaks::Sysrq("o"),
                PowerCut::Shutdown => run(systemctl::poweroff(tools))?,
            };
            Ok((breaks, Undo::Nothing))
        }
        Fault::Corosync => stop("corosync"),
        Fault::Pmxcfs => stop("pve-cluster"),
        Fault::Lrm => stop("pve-ha-lrm"),
        Fault::Guest { guest } => match guests::process(host, *guest)? {
            Some(pid) => {
                let undo = Undo::StartGuest {
                    guest: *guest,
                    killed: Some(pid),
                };
                Ok((Breaks::Guest(*guest), undo))
            }
            None => Err(format!("no machine {guest} runs here")),
        },
        Fault::Disk { pool, disk } => {
            let undo = Undo::Online {
                pool: pool.clone(),
                disk: disk.clone(),
            };
            Ok((run(zpool_disks::offline(tools, pool, disk))?, undo))
        }
        Fault::Osd { .. } | Fault::Mon | Fault::StorageNetwork => {
            Err(format!("a fault of {fault} is not in this version"))
        }
    }
}

/// corosync's packets on all links, or on one.
fn addresses(host: &Host, id: &OperationId, time: Duration, only: Option<u8>) -> Result<(Breaks, Undo), String> {
    let links = places::links(host)?;
    let own: Vec<_> = links
        .into_iter()
        .filter(|(link, ..)| only.is_none_or(|only| *link == only))
        .map(|(_, address, port)| (address, port))
        .collect();
    if own.is_empty() {
        return Err(format!("the server has no link {}", only.unwrap_or_default()));
    }
    let table = Table::of(Family::Inet, id.as_str());
    let breaks = Breaks::Table {
        script: nft::addresses(&table, &own, time),
        elements: own.len(),
    };
    Ok((breaks, Undo::Addresses { table: table.name }))
}

/// Is there systemd for the timer? What the kernel ends by itself may begin without; the rest would only have the agent.
fn second(host: &Host, undo: &Undo) -> Result<bool, String> {
    let there = if host.root().is_lab() {
        host.tools().find(systemd_run::NAME).is_ok()
    } else {
        systemd_runs()
    };
    if !there && undo.table().is_none() {
        return Err("systemd does not run here, and nobody but the agent would end it".to_owned());
    }
    Ok(there)
}

impl Injection {
    /// Does it, step by step. What failed half-way is taken back.
    ///
    /// # Errors
    /// It does not hold; and why.
    pub(crate) async fn run(&self, host: &Host, state_dir: &Path, mut before: impl FnMut(Step)) -> Result<(), String> {
        for step in Step::ALL {
            before(step);
            if let Err(why) = self.step(host, state_dir, step).await {
                if step == Step::Note {
                    return Err(why);
                }
                return match take_back(host, state_dir, &self.held, &format!("it did not begin: {why}")).await {
                    Ok(()) => Err(format!("{why}; what was done of it was taken back")),
                    Err(also) => Err(format!(
                        "{why}; and what was done of it could not be taken back: {also}"
                    )),
                };
            }
        }
        Ok(())
    }

    /// Does one of the steps.
    pub(super) async fn step(&self, host: &Host, state_dir: &Path, step: Step) -> Result<(), String> {
        match step {
            Step::Note => records::note(state_dir, &self.held).map_err(|error| chain(&error)),
            Step::Timer => self.set_timer(host).await,
            Step::Break => self.begin(host).await,
            Step::Look => self.look(host).await,
        }
    }

    async fn set_timer(&self, host: &Host) -> Result<(), String> {
        let (Some(after), Some(undo)) = (self.timer, self.held.undo.call(host.tools())) else {
            return Ok(());
        };
        let undo = undo.map_err(|error| chain(&error))?;
        succeed(
            host,
            systemd_run::timer(host.tools(), &unit(&self.held.id), after, &undo),
        )
        .await
    }

    async fn begin(&self, host: &Host) -> Result<(), String> {
        match &self.breaks {
            Breaks::Table { script, .. } => succeed(host, nft::load(host.tools(), script)).await,
            Breaks::Run(call) => succeed(host, Ok(call.clone())).await,
            Breaks::Guest(guest) if guests::stop(host, *guest).await? => Ok(()),
            Breaks::Guest(guest) => Err(format!("machine {guest} does not run here any more")),
            Breaks::Sysrq(letter) => host.root().poke(SYSRQ, letter).map_err(|error| chain(&error)),
        }
    }

    async fn look(&self, host: &Host) -> Result<(), String> {
        match (&self.breaks, &self.held.undo) {
            (Breaks::Table { elements, .. }, undo) => {
                let Some(table) = undo.table() else { return Ok(()) };
                let stdout = host
                    .ask(nft::list(host.tools(), &table))
                    .await
                    .map_err(|unknown| unknown.reason)?;
                let content = nft::read(&stdout).map_err(|error| error.to_string())?;
                let found: usize = content.sets.values().sum();
                if found == *elements {
                    Ok(())
                } else {
                    Err(format!("the nft table {table} holds {found} of {elements} elements"))
                }
            }
            (_, Undo::Start { unit }) if is_active(host, unit).await? => Err(format!("{unit} runs still")),
            (_, Undo::Start { .. }) => Ok(()),
            (_, Undo::Online { pool, disk }) => match disk_state(host, pool.as_str(), disk).await? {
                VdevState::Offline => Ok(()),
                state => Err(format!("{disk} is {} in pool {pool}", state.as_str())),
            },
            // Seen when it was killed, or nobody is there any more to look.
            _ => Ok(()),
        }
    }
}

/// Runs a tool that has to succeed.
async fn succeed(host: &Host, call: Result<Invocation, CallError>) -> Result<(), String> {
    let name = call
        .as_ref()
        .map_or_else(|_| String::new(), |call| call.command().to_string());
    let finished = host.run(call).await.map_err(|unknown| unknown.reason)?;
    if finished.exit.is_success() {
        Ok(())
    } else {
        Err(complaint(&name, &finished).reason)
    }
}

/// Does a unit run?
pub(super) async fn is_active(host: &Host, unit: &str) -> Result<bool, String> {
    let stdout = host
        .ask(systemctl::show(host.tools(), unit))
        .await
        .map_err(|unknown| unknown.reason)?;
    Ok(systemctl::read(&stdout).map_err(|error| error.to_string())?.is_active())
}

/// How a disk is in its pool.
pub(super) async fn disk_state(host: &Host, pool: &str, disk: &str) -> Result<VdevState, String> {
    let seen = Box::pin(observe(host, &[FacetName::Pools])).await;
    let pools = seen.pools.get().map_err(|unknown| unknown.reason.clone())?;
    let found = pools.iter().find(|found| found.name == pool);
    let leaf = found.and_then(|pool| {
        pool.leaves()
            .find(|leaf| leaf.name == disk || leaf.whole_disk() == Some(disk))
    });
    leaf.map(|leaf| leaf.health.state)
        .ok_or_else(|| format!("pool {pool} has no {disk}"))
}
