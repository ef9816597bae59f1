//! Stand-ins for the host tools, one file each: what they print, where, how they end, and how long they take.
//!
//! They know of the real tools what was recorded or read in their source, and share no code with the product's readers.

mod apt;
mod block;
mod chronyc;
mod corosync_cfgtool;
mod corosync_cmapctl;
mod corosync_quorumtool;
mod df;
mod dpkg;
mod dpkg_query;
mod getent;
mod guests;
mod ha_manager;
mod ha_orders;
mod ha_sections;
mod hostname;
mod io;
mod ip;
mod journalctl;
mod kill;
mod lsblk;
mod lvm;
mod nft;
mod options;
mod perl;
mod ping;
mod pmxcfs;
mod pve_firewall;
mod pvecm;
mod pvesh;
pub(crate) mod pvesm;
mod pvesr;
mod pveversion;
mod qdevice_tools;
mod smartctl;
mod systemctl;
pub(crate) mod systemd_run;
mod timedatectl;
mod wipefs;
mod worker;
mod zpool;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::watch;

use self::io::{Io, Stop};
use crate::world::World;
use crate::world::oplog::What;
use crate::world::script::{self, ToolScript};
use crate::world::server::Server;
use crate::world::state::State;

/// The tools that are installed on every server.
pub(crate) const NAMES: &[&str] = &[
    "apt-cache",
    "apt-get",
    "blkid",
    "blockdev",
    "chronyc",
    "corosync-cfgtool",
    "corosync-cmapctl",
    "corosync-quorumtool",
    "dd",
    "df",
    "dpkg",
    "dpkg-deb",
    "dpkg-query",
    "getent",
    "ha-manager",
    "hostname",
    "ip",
    "journalctl",
    "kill",
    "killall",
    "lsblk",
    "lvs",
    "nft",
    "pct",
    "perl",
    "ping",
    "pmxcfs",
    "pve-firewall",
    "pvecm",
    "pvesh",
    "pvesm",
    "pvesr",
    "pveversion",
    "pvs",
    "qm",
    "sgdisk",
    "smartctl",
    "systemctl",
    "systemd-run",
    "timedatectl",
    "udevadm",
    "vgs",
    "wipefs",
    "zfs",
    "zpool",
];

/// Those of them that only a PVE node has.
pub(crate) const OF_PVE: &[&str] = &[
    "corosync-cfgtool",
    "corosync-cmapctl",
    "corosync-quorumtool",
    "ha-manager",
    "pct",
    "pmxcfs",
    "pve-firewall",
    "pvecm",
    "pvesh",
    "pvesm",
    "pvesr",
    "pveversion",
    "qm",
    "sgdisk",
    "zfs",
    "zpool",
];

/// The exit code of a call that the world does not know.
pub(crate) const UNKNOWN: i32 = 90;

/// One call of a tool.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    /// The server's index.
    pub(crate) node: usize,
    pub(crate) tool: String,
    pub(crate) argv: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) io: Io,
}

impl Call {
    pub(crate) fn args(&self) -> Vec<&str> {
        self.argv.iter().map(String::as_str).collect()
    }

    /// Looks at the calling server.
    pub(crate) fn server<T>(&self, look: impl FnOnce(&Server, &State) -> T) -> Option<T> {
        self.world
            .with(|state| state.get(self.node).map(|server| look(server, state)))
    }

    /// Prints a reply after the time that it costs.
    pub(crate) async fn reply(&self, cost_ms: u64, reply: Reply) -> Result<i32, Stop> {
        self.io.pause(Duration::from_millis(cost_ms)).await?;
        self.io.out(&reply.stdout).await?;
        self.io.err(&reply.stderr).await?;
        Ok(reply.code)
    }
}

/// All that a simple tool says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reply {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Reply {
    pub(crate) fn ok(stdout: impl Into<String>) -> Self {
        Self {
            stdout: stdout.into(),
            ..Self::default()
        }
    }

    pub(crate) fn fail(code: i32, stderr: impl Into<String>) -> Self {
        Self {
            stderr: stderr.into(),
            code,
            ..Self::default()
        }
    }
}

/// How often a held tool looks whether it may go on, in simulated time.
const LOOKS_AGAIN: Duration = Duration::from_millis(100);

/// Runs one call to its end.
pub(crate) async fn run(
    world: &Arc<World>,
    stream: UnixStream,
    node: String,
    tool: String,
    argv: Vec<String>,
    cwd: String,
) {
    let (place, off) = world.with(|state| {
        let place = state.find(&node);
        let off = place
            .and_then(|index| state.get(index))
            .is_some_and(|server| server.power.off);
        (place, off)
    });
    // Nobody ever sends for a server that is not there.
    let losses = place
        .and_then(|index| world.losses.get(index))
        .map_or_else(|| watch::channel(0).1, watch::Sender::subscribe);
    let io = Io::open(stream, world.pace, losses);
    if off {
        io.err(&format!("quorate-lab: {node} is off\n")).await.ok();
        io.exit(UNKNOWN).await;
        return;
    }
    let mut words = vec![tool.clone()];
    words.extend(argv.iter().cloned());
    let found = world.with(|state| {
        let index = state.find(&node)?;
        state.note_tool(index, What::ToolCalled, words.clone(), None, "");
        Some((
            index,
            state
                .servers
                .get_mut(index)
                .and_then(|s| script::take(&mut s.misbehaviour, &tool, &argv)),
        ))
    });
    let Some((index, script)) = found else {
        io.err(&format!("quorate-lab: there is no server {node}\n")).await.ok();
        io.exit(UNKNOWN).await;
        return;
    };
    let call = Call {
        world: Arc::clone(world),
        node: index,
        tool,
        argv,
        cwd,
        io,
    };
    let ended = match script {
        Some(script) => misbehave(&call, script).await,
        None => dispatch(&call).await,
    };
    let (what, code, detail) = match &ended {
        Ok(code) => (What::ToolEnded, Some(*code), String::new()),
        Err(stop) => (What::ToolDied, None, stop.to_string()),
    };
    world.with(|state| state.note_tool(index, what, words, code, &detail));
    match ended {
        Ok(code) => call.io.exit(code).await,
        Err(Stop::Gone) => {}
        Err(Stop::Terminated) => call.io.die(15).await,
        Err(Stop::Killed(signal)) => call.io.die(signal).await,
    }
}

async fn misbehave(call: &Call, script: ToolScript) -> Result<i32, Stop> {
    match script {
        ToolScript::Hang { ms } => {
            match script::hang(ms) {
                Some(time) => call.io.pause(time).await?,
                None => call.io.end().await?,
            }
            dispatch(call).await
        }
        ToolScript::Hold => {
            while call.server(|server, _| script::holds(&server.misbehaviour, &call.tool, &call.argv)) == Some(true) {
                call.io.pause(LOOKS_AGAIN).await?;
            }
            dispatch(call).await
        }
        ToolScript::Garbage { text } => {
            call.io.out(&text).await?;
            Ok(0)
        }
        ToolScript::Die { after_lines, signal } => {
            call.io.die_after(after_lines, signal);
            dispatch(call).await
        }
        ToolScript::Fail { code, stderr } => {
            call.io.err(&stderr).await?;
            Ok(code)
        }
    }
}

/// Those that are written in Perl.
const OF_PERL: &[&str] = &[
    "ha-manager",
    "pct",
    "perl",
    "pve-firewall",
    "pvecm",
    "pvesh",
    "pvesm",
    "pvesr",
    "pveversion",
    "qm",
];

const NO_LOCALE: &str = "perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n\
                         \tLANGUAGE = (unset),\n\tLC_ALL = (unset),\n\tLANG = \"de_DE.UTF-8\"\n    \
                         are supported and installed on your system.\n\
                         perl: warning: Falling back to the standard locale (\"C\").\n";

async fn dispatch(call: &Call) -> Result<i32, Stop> {
    if OF_PERL.contains(&call.tool.as_str()) && call.server(|server, _| server.locale_missing) == Some(true) {
        call.io.err(NO_LOCALE).await?;
    }
    match call.tool.as_str() {
        "pvecm" => return pvecm::run(call).await,
        "pmxcfs" => return pmxcfs::run(call).await,
        "kill" => return kill::run(call).await,
        "killall" => return pmxcfs::killall(call).await,
        "nft" => return nft::run(call).await,
        "pvesh" => return pvesh::run(call).await,
        "pvesm" => return pvesm::run(call).await,
        "pvesr" => return pvesr::run(call).await,
        "pct" | "qm" => return guests::run(call).await,
        "perl" => return perl::run(call).await,
        "apt-cache" | "apt-get" => return apt::run(call).await,
        "dpkg" | "dpkg-deb" => return dpkg::run(call).await,
        "ha-manager" => return ha_manager::run(call).await,
        "systemctl" => return systemctl::run(call).await,
        "systemd-run" => return systemd_run::run(call).await,
        "zfs" | "zpool" => return zpool::run(call).await,
        "wipefs" => return wipefs::run(call).await,
        "dd" => return block::dd(call).await,
        "sgdisk" => return block::sgdisk(call).await,
        _ => {}
    }
    let args = call.args();
    let reply = call.server(|server, state| match call.tool.as_str() {
        "blkid" => block::blkid(server, &args),
        "blockdev" => block::blockdev(server, &args),
        "chronyc" => chronyc::reply(server, &args),
        "corosync-cfgtool" => corosync_cfgtool::reply(server, &args),
        "corosync-cmapctl" => corosync_cmapctl::reply(server, &args),
        "corosync-quorumtool" => corosync_quorumtool::reply(server, &args),
        "corosync-qdevice-tool" => qdevice_tools::qdevice(server, &args),
        "corosync-qnetd-tool" => qdevice_tools::qnetd(server, state, &args),
        "df" => df::reply(server, &args),
        "dpkg-query" => dpkg_query::reply(server, &args),
        "getent" => getent::reply(server, &args),
        "hostname" => hostname::reply(server, &args),
        "ip" => ip::reply(server, &args),
        "journalctl" => journalctl::reply(server, &args),
        "lsblk" => lsblk::reply(server, &args),
        "lvs" | "pvs" | "vgs" => lvm::reply(server, &call.tool, &args),
        "ping" => ping::reply(server, state, &args),
        "pve-firewall" => pve_firewall::reply(server, &args),
        "pveversion" => pveversion::reply(server, &args),
        "smartctl" => smartctl::reply(server, &args),
        "timedatectl" => timedatectl::reply(server, &args),
        "udevadm" => block::udevadm(&args),
        _ => None,
    });
    match reply.flatten() {
        Some((cost, reply)) => call.reply(cost, reply).await,
        None => unknown(call).await,
    }
}

/// Fails loudly: either the lab lacks something, or the product called a tool in a way that nobody recorded.
pub(crate) async fn unknown(call: &Call) -> Result<i32, Stop> {
    let mut words = vec![call.tool.clone()];
    words.extend(call.argv.iter().cloned());
    let line = words.join(" ");
    call.world
        .with(|state| state.note_tool(call.node, What::UnknownInvocation, words, Some(UNKNOWN), ""));
    call.io
        .err(&format!(
            "quorate-lab: the world does not know this invocation: {line}\n"
        ))
        .await?;
    Ok(UNKNOWN)
}
