//! `cargo lab script NODE …`.

use clap::{Subcommand, ValueEnum};

use crate::control::{Misbehaviour, PoolHappens, Script, ToolScript};
use crate::description::{DiskSpec, GuestSpec, OwnName};
use crate::plants::Plant;

#[derive(Debug, Subcommand)]
pub(super) enum ScriptCommand {
    /// A tool hangs before its usual work
    Hang {
        /// The tool
        tool: String,
        /// Simulated milliseconds; for ever without
        #[arg(long)]
        ms: Option<u64>,
        /// Only calls whose arguments hold this, for example replace
        #[arg(long)]
        matching: Option<String>,
    },
    /// A tool prints garbage
    Garbage {
        /// The tool
        tool: String,
        /// The garbage
        #[arg(default_value = "\u{fffd}%$garbage\n")]
        text: String,
    },
    /// A tool dies after some lines of output
    Die {
        /// The tool
        tool: String,
        /// How many lines
        after_lines: u32,
        /// Of which signal
        #[arg(long, default_value_t = 9)]
        signal: i32,
    },
    /// A tool fails
    Fail {
        /// The tool
        tool: String,
        /// Its exit code
        #[arg(default_value_t = 1)]
        code: i32,
        /// What it prints on stderr
        #[arg(long, default_value = "")]
        stderr: String,
        /// Only calls whose arguments hold this, for example replace
        #[arg(long)]
        matching: Option<String>,
    },
    /// All tools work again
    Clear,
    /// A disk vanishes
    RemoveDisk {
        /// For example sda
        name: String,
    },
    /// A disk that vanished is back, with all that was on it
    ReturnDisk {
        /// Its name when it vanished
        name: String,
        /// Its name now, if it is another
        #[arg(long)]
        now: Option<String>,
    },
    /// Something happens to a ZFS pool, for example {"does":"errors","disk":"sda","checksum":3}
    Pool {
        /// The pool
        name: String,
        /// What, as JSON; the kinds stand in the lab's `zfs.rs`
        #[arg(value_parser = happens)]
        happens: PoolHappens,
    },
    /// An empty SATA SSD appears
    AddDisk {
        /// For example sde
        name: String,
    },
    /// The own name resolves otherwise
    OwnName {
        /// How
        how: Resolves,
    },
    /// A guest appears
    AddGuest {
        /// Its number
        vmid: u32,
    },
    /// A guest vanishes
    RemoveGuest {
        /// Its number
        vmid: u32,
    },
    /// The server is the only member of another cluster
    MemberOf {
        /// The cluster
        cluster: String,
    },
    /// pveproxy stops or starts
    Pveproxy {
        /// Which
        state: OnOff,
    },
    /// Corosync's packets pass or not
    Udp {
        /// Which
        state: OnOff,
    },
    /// The coordinator reaches the server's agent or not
    AgentRoad {
        /// Which
        state: OnOff,
    },
    /// The clock runs ahead (negative: behind)
    Clock {
        /// By milliseconds
        #[arg(allow_negative_numbers = true)]
        ms: i64,
    },
    /// Corosync stops in an orderly way
    StopCorosync,
    /// Corosync and pmxcfs restart
    RestartCluster,
    /// Something is out of the ordinary, for example {"plant":"token","id":"root@pam!backup"}
    Plant {
        /// What, as JSON; the kinds stand in the lab's `plants.rs`
        #[arg(value_parser = plant)]
        what: Plant,
    },
    /// A guest's process is killed
    KillGuest {
        /// Its number
        vmid: u32,
    },
}

fn plant(text: &str) -> Result<Plant, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn happens(text: &str) -> Result<PoolHappens, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Resolves {
    Address,
    Loopback,
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOff {
    On,
    Off,
}

impl ScriptCommand {
    pub(super) fn into_script(self) -> Script {
        let some = |tool, matching, script| {
            Script::Tool(Misbehaviour {
                tool,
                matching,
                times: None,
                script,
            })
        };
        let tool = |name, script| some(name, None, script);
        match self {
            Self::Hang {
                tool: name,
                ms,
                matching,
            } => some(name, matching, ToolScript::Hang { ms }),
            Self::Garbage { tool: name, text } => tool(name, ToolScript::Garbage { text }),
            Self::Die {
                tool: name,
                after_lines,
                signal,
            } => tool(name, ToolScript::Die { after_lines, signal }),
            Self::Fail {
                tool: name,
                code,
                stderr,
                matching,
            } => some(name, matching, ToolScript::Fail { code, stderr }),
            Self::Clear => Script::ClearTools,
            Self::RemoveDisk { name } => Script::RemoveDisk(name),
            Self::ReturnDisk { name, now } => Script::ReturnDisk { name, now },
            Self::Pool { name, happens } => Script::Pool { name, happens },
            Self::AddDisk { name } => {
                let serial = Some(format!("S45NNA0NADDED{name}"));
                let model = Some("SAMSUNG MZ7LH960HAJR-00005".to_owned());
                Script::AddDisk(Box::new(DiskSpec {
                    hctl: Some("5:0:0:0".to_owned()),
                    name,
                    serial,
                    model,
                    ..DiskSpec::default()
                }))
            }
            Self::OwnName { how } => Script::OwnName(match how {
                Resolves::Address => OwnName::Address,
                Resolves::Loopback => OwnName::Loopback,
                Resolves::Missing => OwnName::Missing,
            }),
            Self::AddGuest { vmid } => Script::AddGuest(GuestSpec {
                vmid,
                name: format!("guest{vmid}"),
                running: true,
                ..GuestSpec::default()
            }),
            Self::RemoveGuest { vmid } => Script::RemoveGuest(vmid),
            Self::MemberOf { cluster } => Script::MemberOf(cluster),
            Self::Pveproxy { state } => Script::PveproxyDown(state == OnOff::Off),
            Self::Udp { state } => Script::UdpBlocked(state == OnOff::Off),
            Self::AgentRoad { state } => Script::AgentCut(state == OnOff::Off),
            Self::Clock { ms } => Script::ClockOffset(ms),
            Self::StopCorosync => Script::StopCorosync,
            Self::RestartCluster => Script::RestartCluster,
            Self::Plant { what } => Script::Plant(what),
            Self::KillGuest { vmid } => Script::KillGuest(vmid),
        }
    }
}
