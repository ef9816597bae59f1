//! Steering a running lab from outside: cuts, scripts, questions.

use std::io;
use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::description::{DiskSpec, GuestSpec, OwnName};
use crate::plants::Plant;
use crate::wire::{self, Frame, Hello};
pub use crate::world::script::{Misbehaviour, ToolScript};
pub use crate::zfs::PoolHappens;

/// What the world can be asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Is the world there?
    Ping,
    /// Cut a server off.
    Cut {
        /// The server.
        node: String,
        /// Only the network of this link (0: cluster network, 1: public network).
        link: Option<u8>,
        /// Pull the cable (the port loses its carrier), instead of dropping packets on the way.
        unplug: bool,
    },
    /// Undo cuts.
    Heal {
        /// The server.
        node: String,
        /// Only the network of this link.
        link: Option<u8>,
    },
    /// Press the power button, or pull the plug.
    Power {
        /// The server.
        node: String,
        /// What becomes of it.
        press: Press,
    },
    /// Misbehave.
    Script {
        /// The server.
        node: String,
        /// How.
        script: Script,
    },
    /// How packets between servers fare from now on.
    Way(crate::ways::Way),
    /// What each server is and does.
    Status,
    /// End the world.
    Stop,
}

/// What is done to a server's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Press {
    /// It shuts down in an orderly way, as by `systemctl poweroff`.
    Off,
    /// It boots.
    On,
    /// It shuts down in an orderly way and boots again, as by `systemctl reboot`.
    Reboot,
    /// The plug is pulled: nobody says goodbye.
    Pull,
    /// It is reset: nobody says goodbye, and it boots.
    Reset,
}

/// Misbehaviour of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// A host tool misbehaves.
    Tool(Misbehaviour),
    /// No tool misbehaves any more.
    ClearTools,
    /// A disk vanishes.
    RemoveDisk(String),
    /// A disk that vanished is back, with all that was on it.
    ReturnDisk {
        /// Its kernel name when it vanished.
        name: String,
        /// Another kernel name now.
        now: Option<String>,
    },
    /// A disk appears.
    AddDisk(Box<DiskSpec>),
    /// Something happens to an imported ZFS pool.
    Pool {
        /// Its name.
        name: String,
        /// What.
        happens: PoolHappens,
    },
    /// The server's own name resolves otherwise (pmxcfs keeps what it found when it started).
    OwnName(OwnName),
    /// A guest appears.
    AddGuest(GuestSpec),
    /// A guest vanishes.
    RemoveGuest(u32),
    /// The server becomes the only member of a cluster of this name.
    MemberOf(String),
    /// pveproxy answers or not.
    PveproxyDown(bool),
    /// Corosync's packets are dropped, all else passes.
    UdpBlocked(bool),
    /// Nothing passes between the coordinator and the server's agent; the servers reach one another as before.
    AgentCut(bool),
    /// The clock runs ahead by so many milliseconds; the agent's configuration changes too, for its next start.
    ClockOffset(i64),
    /// PVE's programs find no locale (LANG is one that is not installed), or do again.
    LocaleMissing(bool),
    /// Corosync and pmxcfs restart.
    RestartCluster,
    /// Corosync stops in an orderly way.
    StopCorosync,
    /// Something is out of the ordinary from now on.
    Plant(Plant),
    /// A guest's process is killed, as by SIGKILL.
    KillGuest(u32),
}

/// What the world answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Done.
    Done,
    /// Refused, with the reason.
    Refused(String),
    /// The servers.
    Status(Vec<ServerStatus>),
}

/// One server at a glance, as it really is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its name.
    pub name: String,
    /// Where its agent is reached.
    pub address: String,
    /// The cluster it is configured for.
    pub cluster: Option<String>,
    /// Corosync's members by name; none when corosync does not run.
    pub members: Vec<String>,
    /// Corosync is quorate.
    pub quorate: bool,
    /// `/etc/pve` is mounted.
    pub mounted: bool,
    /// `/etc/pve` may be written.
    pub writable: bool,
    /// It has no power.
    #[serde(default)]
    pub off: bool,
    /// Cut networks, by port.
    pub cut: Vec<String>,
    /// Tools that misbehave.
    pub misbehaviour: Vec<String>,
    /// Guests whose configuration, process or disks are on it.
    #[serde(default)]
    pub guests: Vec<GuestStatus>,
}

/// A guest on one server, as it really is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestStatus {
    /// Its number.
    pub vmid: u32,
    /// Its configuration lies on this server.
    pub owned: bool,
    /// Its process runs on this server.
    pub running: bool,
    /// The last of its numbered writes, ten a second while it runs: what its process has written, or what its disks here hold.
    pub number: u64,
    /// Its disks in this server's imported pools.
    pub volumes: Vec<VolumeStatus>,
}

/// A volume of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeStatus {
    /// For example `data_zfs/vm-100-disk-0`.
    pub dataset: String,
    /// The last numbered write on it when nothing ran on it; see [`GuestStatus::number`].
    pub number: u64,
    /// Names of its snapshots, oldest first.
    pub snapshots: Vec<String>,
}

/// Asks the world behind `socket`.
///
/// # Errors
/// When the world is not there or answers nothing sensible.
pub async fn ask(socket: &Path, request: Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket).await?;
    let hello = serde_json::to_vec(&Hello::Control(request))?;
    wire::send(&mut stream, &Frame::Hello(hello)).await?;
    match wire::receive(&mut stream).await? {
        Some(Frame::Answer(bytes)) => Ok(serde_json::from_slice(&bytes)?),
        _ => Err(io::Error::other("the world gave no answer")),
    }
}
