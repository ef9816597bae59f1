//! A lab with a cluster in it, a canary that is copied and under HA, and all that drills need.

use std::net::Ipv4Addr;

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::{Lab, Plant, Script};

use super::happened::WorldLog;
use super::scenario::{Breaks, GUEST, Scenario, Shape};
use crate::hand::BOTH_LINKS;
use crate::life::newer;
use crate::{Fleet, told};

const POOL: &str = "\n[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }\n";

/// Where a lab's drills are run.
#[derive(Debug)]
pub struct Stage {
    /// The servers, with their coordinator.
    pub fleet: Fleet,
    /// What they are.
    pub shape: Shape,
    /// The world's log.
    pub log: WorldLog,
    /// Where the canary answers.
    pub address: Ipv4Addr,
}

impl Stage {
    /// Makes it.
    ///
    /// # Panics
    /// When it can't be made.
    pub async fn new(shape: Shape, speed: f64) -> Self {
        let names = shape.names();
        let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut builder = Lab::builder().nodes(nodes.len()).speed(speed);
        for (node, (skew, boot)) in nodes.iter().zip(shape.skews.iter().zip(&shape.boots)) {
            builder = builder
                .clock_offset(node, *skew)
                .server(node, |server| server.boot_seconds = *boot);
        }
        // Both ways in which PVE binds guests to servers: by rules and by groups.
        if shape.number % 2 == 1 {
            builder = newer(builder, &nodes);
        }
        let fleet = Fleet::enrolled(builder).await;
        fleet.made_by_hand(&nodes, BOTH_LINKS).await;
        let file = fleet.linked_file("hk1.toml", &nodes, BOTH_LINKS, "");
        let text = std::fs::read_to_string(&file).expect("the file was written") + POOL;
        let file = fleet.write_file("hk1.toml", &text);
        fleet.ok(&["apply", &file, "--yes"]).await;
        let address = fleet.lab.guest_address(0);
        canary(&fleet, address).await;
        let copies: Vec<String> = nodes.iter().map(|node| format!("\"{node}\"")).collect();
        let text = text
            + &format!(
                "\n[[replication]]\nguests = [\"tag:quorate-canary\"]\ncopies_on = [{}]\nevery = \"2m\"\n\
                 returning_node = \"discard\"\n\n[ha]\nguests = [\"tag:quorate-canary\"]\n",
                copies.join(", ")
            );
        let file = fleet.write_file("hk1.toml", &text);
        fleet.ok(&["apply", &file, "--yes"]).await;
        fleet.until("HA looks after it", async || fleet.armed("prox1")).await;
        let log = WorldLog::new(fleet.lab.layout().operations());
        Self {
            fleet,
            shape,
            log,
            address,
        }
    }

    /// HA's master.
    ///
    /// # Panics
    /// When there is none.
    pub async fn master(&self) -> String {
        let mut found = None;
        let words = async || {
            let shown = self.fleet.run(&["ha"]).await.stdout;
            let before = shown.lines().next()?.strip_suffix(" decides")?;
            let name = before.rsplit(' ').next()?;
            self.shape.names().into_iter().find(|node| node == name)
        };
        self.fleet
            .until("HA has a master", async || {
                found = words().await;
                found.is_some()
            })
            .await;
        found.expect("it was waited for")
    }

    /// The canary's owner.
    pub async fn owner(&self) -> String {
        let shown = self.fleet.json(&["guests", &GUEST.to_string()]).await;
        let node = &shown["guests"][0]["guest"]["node"];
        node.as_str().unwrap_or_default().to_owned()
    }

    /// Who is to be the victim, with the canary on it.
    pub async fn victim(&self, scenario: &Scenario) -> String {
        let master = self.master().await;
        let victim = if scenario.master {
            master
        } else {
            let mut others = self.shape.names();
            others.retain(|name| *name != master);
            others[scenario.place % others.len()].clone()
        };
        let owner = self.owner().await;
        if owner != victim {
            let to = format!("{}/{victim}", self.fleet.cluster);
            self.fleet.ok(&["migrate", &GUEST.to_string(), &to, "--yes"]).await;
            self.forget_the_future(&owner, &victim).await;
        }
        victim
    }

    /// A migration sends along when the former owner last made a copy, by that one's clock. A server whose clock is behind makes none until its own
    /// has got there (`start time before last sync`), which takes real minutes in a lab of any speed: what was sent along is taken away instead, as
    /// somebody would by hand who can't wait. The next run goes on from the snapshot that both have.
    async fn forget_the_future(&self, from: &str, to: &str) {
        let names = self.shape.names();
        let clock = |name: &str| {
            let place = names.iter().position(|node| node == name);
            place
                .and_then(|place| self.shape.skews.get(place))
                .copied()
                .unwrap_or(0)
        };
        if clock(from) > clock(to) {
            let state = Plant::File {
                path: "/var/lib/pve-manager/pve-replication-state.json".to_owned(),
                text: None,
            };
            self.fleet.plant(to, state).await;
        }
    }

    /// The options that say a drill.
    pub async fn options(&self, scenario: &Scenario, victim: &str) -> Vec<String> {
        let fault = match scenario.breaks {
            Breaks::Disk => format!("disk:data_zfs/{}", self.disk(victim).await),
            other => other.to_string(),
        };
        let probe = format!("tally:{}", self.address);
        let mut line: Vec<String> = [
            "--fault",
            &fault,
            "--node",
            victim,
            "--guest",
            &GUEST.to_string(),
            "--probe",
            &probe,
            "--kind",
            if scenario.blip { "blip" } else { "failover" },
            "--accept",
            "QRT-DRILL-RECENT",
        ]
        .map(str::to_owned)
        .into();
        if scenario.breaks.needs_a_person() {
            line.extend(["--accept", "QRT-DRILL-NEEDS-PERSON"].map(str::to_owned));
        }
        if let Some(seconds) = scenario.lasts {
            line.extend(["--for".to_owned(), format!("{seconds}s")]);
        }
        line
    }

    /// A disk of the victim's pool.
    async fn disk(&self, victim: &str) -> String {
        let shown = self.fleet.tool(victim, "zpool status -P data_zfs").await;
        let mut words = shown.stdout.split_whitespace();
        let path = words.find_map(|word| word.strip_prefix("/dev/disk/by-id/"));
        path.unwrap_or_else(|| panic!("no disk\n{}", told(&shown))).to_owned()
    }

    /// Makes tools slow, as the scenario says.
    ///
    /// # Panics
    /// When the world refuses.
    pub async fn slow_down(&self, scenario: &Scenario, victim: &str) {
        for slow in &scenario.slow {
            for node in self.shape.names() {
                if (node == victim) == slow.on_victim {
                    let hangs = Misbehaviour {
                        tool: slow.tool.to_owned(),
                        matching: None,
                        times: None,
                        script: ToolScript::Hang { ms: Some(slow.ms) },
                    };
                    let done = self.fleet.lab.script(&node, Script::Tool(hangs)).await;
                    done.expect("the world does so");
                }
            }
        }
    }

    /// All tools are as quick as usual again.
    pub async fn let_all_go(&self) {
        for node in self.shape.names() {
            self.fleet.let_go(&node).await;
        }
    }

    /// What is not as it should be, by the world's own word.
    ///
    /// # Panics
    /// When the world does not answer.
    pub async fn amiss(&self) -> Vec<String> {
        let names = self.shape.names();
        let mut found = Vec::new();
        let mut runs = Vec::new();
        for server in self.fleet.lab.status().await.expect("the world answers") {
            let name = &server.name;
            let mut members = server.members.clone();
            members.sort();
            if server.off {
                found.push(format!("{name} is off"));
            } else if !server.quorate || !server.writable || members != names {
                found.push(format!(
                    "{name} has the members {members:?}, quorate: {}",
                    server.quorate
                ));
            }
            if !server.cut.is_empty() {
                found.push(format!("{name} is cut off at {:?}", server.cut));
            }
            for guest in server
                .guests
                .iter()
                .filter(|guest| guest.vmid == GUEST && guest.running)
            {
                runs.push(name.clone());
                if !guest.owned {
                    found.push(format!("the guest runs on {name}, which does not own it"));
                }
            }
        }
        if runs.len() != 1 {
            found.push(format!("the guest runs on {runs:?}"));
        }
        found
    }
}

async fn canary(fleet: &Fleet, address: Ipv4Addr) {
    let image = Plant::File {
        path: "/srv/debian-12.qcow2".to_owned(),
        text: Some(String::new()),
    };
    fleet.plant("prox1", image).await;
    let (id, ip) = (GUEST.to_string(), format!("{address}/24"));
    let line = [
        "guest",
        "create-canary",
        "--id",
        &id,
        "--node",
        "hk1/prox1",
        "--image",
        "/srv/debian-12.qcow2",
        "--storage",
        "data_zfs",
        "--bridge",
        "vmbr0",
        "--ip",
        &ip,
        "--yes",
    ];
    fleet.ok(&line).await;
}
