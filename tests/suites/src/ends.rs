//! Rollouts of four kinds, how each of them ends when nothing disturbs it, and what happens on the way: what tests that disturb one
//! compare with.

use std::collections::BTreeMap;

use quorate_lab::{Entry, Lab, What};
use tokio::sync::OnceCell;

use crate::Fleet;
use crate::hand::ONE_LINK;
use crate::life::{WITNESS, newer};

/// Simulated time goes so fast, in all of them.
const SPEED: f64 = 20.0;

const FOUR: [&str; 4] = ["prox1", "prox2", "prox3", "prox4"];

/// What a rollout is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Three servers become a cluster.
    Creation,
    /// Two servers and a host outside become a cluster of three votes.
    ThirdVote,
    /// A member of three is taken out.
    Removal,
    /// A fourth server joins a cluster whose HA looks after a guest.
    UnderHa,
}

/// How a lab is when its rollout has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Each server: what it sees as its cluster, or that it is off.
    servers: BTreeMap<String, String>,
    /// corosync.conf of each, in /etc/pve and in /etc/corosync, without its version.
    configurations: BTreeMap<String, [String; 2]>,
    /// Folders in /etc/pve/nodes.
    folders: Vec<String>,
    /// HA's guests, and whether the watchdog of each one's server is armed.
    guarded: Vec<(String, bool)>,
    /// Who is let in at the host outside.
    let_in: Vec<String>,
}

/// Something that happens in a rollout and can be told again in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    what: What,
    node: Option<String>,
    /// The tool and what it is to do; empty: no tool.
    call: String,
}

/// Tools that change something, with the word that says so.
const CHANGING: [(&str, &str); 9] = [
    // Not what only fetches.
    ("apt-get", "Dpkg::Options::=--force-confold"),
    ("pvecm", "create"),
    ("pvecm", "add"),
    ("pvecm", "delnode"),
    ("pvecm", "setup"),
    ("pvecm", "remove"),
    ("systemctl", "poweroff"),
    ("ha-manager", "disarm-ha"),
    ("ha-manager", "arm-ha"),
];

impl Moment {
    fn of(entry: &Entry) -> Option<Self> {
        let call = match entry.what {
            What::ToolCalled | What::ToolEnded => {
                let does = |(tool, word): &&(&str, &str)| {
                    entry.argv.first().is_some_and(|t| t == tool) && entry.argv.iter().any(|a| a == word)
                };
                let (tool, word) = CHANGING.iter().find(does)?;
                format!("{tool} {word}")
            }
            What::PackageInstalled
            | What::ClusterCreated
            | What::CorosyncStarted
            | What::QuorumGained
            | What::TicketMade
            | What::LoginAccepted
            | What::AddnodeCommitted
            | What::JoinCompleted
            | What::QdeviceStarted
            | What::QdeviceAdded
            | What::WatchdogClosed
            | What::PoweredOff
            | What::NodeRemoved => String::new(),
            _ => return None,
        };
        Some(Self {
            what: entry.what,
            node: entry.node.clone(),
            call,
        })
    }

    /// Has it come?
    #[must_use]
    pub fn is_in(&self, log: &[Entry]) -> bool {
        log.iter().any(|entry| Self::of(entry).as_ref() == Some(self))
    }
}

/// A lab that is ready for its rollout.
#[derive(Debug)]
pub struct Stage {
    /// The lab.
    pub fleet: Fleet,
    /// What begins the rollout.
    pub apply: Vec<String>,
    /// Where in the world's log the rollout begins.
    pub from: usize,
    scenario: Scenario,
}

impl Stage {
    /// What happened since the rollout began.
    #[must_use]
    pub fn since(&self) -> Vec<Entry> {
        self.fleet.world().split_off(self.from)
    }

    /// Starts the rollout in the background and gives back its id.
    pub async fn begins(&self) -> String {
        let args: Vec<&str> = self.apply.iter().map(String::as_str).collect();
        self.fleet.begins(&args).await
    }

    /// How it is at the end; nothing was done twice on the way there.
    pub async fn end(&self) -> End {
        let fleet = &self.fleet;
        if self.scenario == Scenario::UnderHa {
            fleet.guarded("prox3", 100).await;
            fleet.unarmed_while_it_changed(self.from);
        }
        fleet.nothing_twice();
        assert!(fleet.calls("pvecm", "setup").len() <= 1, "a QDevice is set up once");
        fleet.end().await
    }
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Creation, Self::ThirdVote, Self::Removal, Self::UnderHa];

    /// A lab where it can begin.
    pub async fn stage(self) -> Stage {
        let builder = match self {
            Self::Creation | Self::Removal => Lab::builder().nodes(3),
            Self::ThirdVote => Lab::builder().nodes(2).qnetd(WITNESS),
            Self::UnderHa => newer(Lab::builder().nodes(4), &FOUR),
        };
        let fleet = Fleet::enrolled(builder.speed(SPEED)).await;
        let (nodes, more): (&[&str], &[&str]) = match self {
            Self::Creation => (&FOUR[..3], &[]),
            Self::ThirdVote => (&FOUR[..2], &[]),
            Self::Removal => (&FOUR[..2], &["--remove", "prox3"]),
            Self::UnderHa => (&FOUR, &[]),
        };
        if matches!(self, Self::Removal | Self::UnderHa) {
            fleet.made_by_hand(&FOUR[..3], ONE_LINK).await;
        }
        if self == Self::UnderHa {
            fleet.protected("prox3", 100).await;
        }
        let file = fleet.voted_file("hk1.toml", nodes, self == Self::ThirdVote);
        let from = fleet.world().len();
        let apply = ["apply", &file]
            .iter()
            .chain(more)
            .map(|arg| (*arg).to_owned())
            .collect();
        Stage {
            fleet,
            apply,
            from,
            scenario: self,
        }
    }

    /// How it ends when nothing disturbs it, and what happens on the way, each thing once; found out once in a process.
    pub async fn undisturbed(self) -> &'static (End, Vec<Moment>) {
        static KNOWN: [OnceCell<(End, Vec<Moment>)>; 4] = [const { OnceCell::const_new() }; 4];
        let place = Self::ALL.iter().position(|one| *one == self).unwrap_or_default();
        let find_out = async || {
            let stage = self.stage().await;
            let rollout = stage.begins().await;
            stage.fleet.ends_well(&rollout).await;
            let mut moments: Vec<Moment> = Vec::new();
            for moment in stage.since().iter().filter_map(Moment::of) {
                if !moments.contains(&moment) {
                    moments.push(moment);
                }
            }
            assert!(moments.len() > 5, "{self:?}: {moments:?}");
            (stage.end().await, moments)
        };
        KNOWN[place].get_or_init(find_out).await
    }
}

impl Fleet {
    /// How the lab is now.
    async fn end(&self) -> End {
        let mut end = End {
            servers: BTreeMap::new(),
            configurations: BTreeMap::new(),
            folders: Vec::new(),
            guarded: Vec::new(),
            let_in: Vec::new(),
        };
        for server in self.lab.status().await.expect("the world answers") {
            if server.off {
                end.servers.insert(server.name, "off".to_owned());
                continue;
            }
            if server.name == WITNESS {
                end.let_in = self.let_in();
                continue;
            }
            let mut members = server.members.clone();
            members.sort();
            let cluster = server.cluster.as_deref().unwrap_or("no cluster");
            let sees = format!(
                "{cluster}: {}; quorate: {}; writable: {}",
                members.join(", "),
                server.quorate,
                server.writable
            );
            let files = ["/etc/pve/corosync.conf", "/etc/corosync/corosync.conf"];
            end.configurations.insert(
                server.name.clone(),
                files.map(|path| without_version(&self.read(&server.name, path))),
            );
            end.servers.insert(server.name, sees);
        }
        let folders = std::fs::read_dir(self.rooted("prox1", "/etc/pve/nodes"))
            .into_iter()
            .flatten();
        end.folders = folders
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        end.folders.sort();
        for line in self.tool("prox1", "ha-manager status").await.stdout.lines() {
            if let Some(service) = line.strip_prefix("service ") {
                let on = service.split(['(', ',']).nth(1).unwrap_or_default();
                end.guarded.push((service.to_owned(), self.armed(on)));
            }
        }
        end
    }
}

fn without_version(conf: &str) -> String {
    let lines = conf.lines().filter(|line| !line.trim().starts_with("config_version"));
    lines.collect::<Vec<_>>().join("\n")
}
