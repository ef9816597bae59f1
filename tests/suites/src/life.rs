//! What the tests of a cluster's life have in common: rollouts that are watched while something else happens, the third vote, HA.

use std::path::Path;

use quorate_lab::control::{Misbehaviour, ToolScript};
use quorate_lab::plants::Plant;
use quorate_lab::{Builder, Entry, Output, Script, What};

use crate::{Fleet, told};

/// The host outside that may give the third vote.
pub const WITNESS: &str = "witness1";

/// Nobody may get anything done twice.
pub const ONCE: [(&str, &str); 4] = [
    ("pvecm", "create"),
    ("pvecm", "add"),
    ("pvecm", "delnode"),
    ("systemctl", "poweroff"),
];

/// These servers with a version of PVE's HA manager that can disarm it as a whole.
#[must_use]
pub fn newer(builder: Builder, nodes: &[&str]) -> Builder {
    let package = |version: &str| Plant::Package {
        name: "pve-ha-manager".to_owned(),
        installed: Some(version.to_owned()),
        candidate: Some(version.to_owned()),
        residual: false,
    };
    nodes.iter().fold(builder, |builder, node| {
        builder
            .server(node, |server| "9.1.1".clone_into(&mut server.pve_version))
            .plant(node, package("5.2.0"))
    })
}

impl Fleet {
    /// Writes the cluster file of these nodes with one link, and with the third vote of the witness, or of nobody.
    #[must_use]
    pub fn voted_file(&self, name: &str, nodes: &[&str], third: bool) -> String {
        let address = |node: &str| self.lab.node(node).expect("the node exists").public_address;
        let mut text = format!("[cluster]\nname = \"{}\"\nlinks = [\"10.10.10.0/24\"]\n", self.cluster);
        if third {
            text.push_str(&format!("\n[cluster.third_vote]\nqdevice = \"{WITNESS}\"\n"));
        }
        for node in nodes {
            text.push_str(&format!("\n[nodes.{node}]\naddress = \"{}\"\n", address(node)));
        }
        if third {
            text.push_str(&format!(
                "\n[nodes.{WITNESS}]\naddress = \"{}\"\nrole = \"qnetd\"\n",
                address(WITNESS)
            ));
        }
        self.write_file(name, &text)
    }

    /// Starts a rollout in the background and gives back its id.
    pub async fn begins(&self, args: &[&str]) -> String {
        let args: Vec<&str> = args.iter().copied().chain(["--yes", "--detach"]).collect();
        let started = self.json(&args).await;
        started["rollout"]
            .as_str()
            .unwrap_or_else(|| panic!("nothing was started: {started:#}"))
            .to_owned()
    }

    /// Watches a rollout to its end, which must be that all of its steps are verified.
    pub async fn ends_well(&self, rollout: &str) -> Output {
        let watched = self.ok(&["rollout", "watch", rollout]).await;
        let done = watched
            .stdout
            .lines()
            .rev()
            .find(|line| line.contains(" steps verified"))
            .unwrap_or_default();
        let counts = done
            .split_once(" steps verified")
            .and_then(|(before, _)| before.rsplit_once(" of "));
        let (verified, all) = counts.unwrap_or_else(|| panic!("no count of steps\n{}", told(&watched)));
        assert!(verified.ends_with(all), "{}", told(&watched));
        watched
    }

    /// Watches a rollout until these words are told of it.
    pub async fn until_told(&self, rollout: &str, words: &str) {
        let log = self.lab.layout().coordinator().join("watched.out");
        let mut watching = self
            .lab
            .quorate_in_background(&["rollout", "watch", rollout], &log)
            .expect("quorate starts");
        self.until(&format!("`{words}` is told"), async || {
            std::fs::read_to_string(&log).unwrap_or_default().contains(words)
        })
        .await;
        watching.kill();
    }

    /// Holds each call of a tool whose arguments hold this, on this server, until it is let go.
    pub async fn hold(&self, node: &str, tool: &str, matching: &str) {
        let held = Misbehaviour {
            tool: tool.to_owned(),
            matching: Some(matching.to_owned()),
            times: None,
            script: ToolScript::Hold,
        };
        self.lab
            .script(node, Script::Tool(held))
            .await
            .expect("the world holds it");
    }

    /// Lets a server's tools go.
    pub async fn let_go(&self, node: &str) {
        self.lab
            .script(node, Script::ClearTools)
            .await
            .expect("the world lets them go");
    }

    /// How many calls of a tool whose arguments hold this have begun on a server and not ended.
    #[must_use]
    pub fn under_way(&self, node: &str, tool: &str, matching: &str) -> usize {
        let calls = self.world().into_iter().filter(|e| {
            e.node.as_deref() == Some(node)
                && e.argv
                    .split_first()
                    .is_some_and(|(name, args)| name == tool && args.join(" ").contains(matching))
        });
        let (mut begun, mut over) = (0_usize, 0);
        for call in calls {
            begun += usize::from(call.what == What::ToolCalled);
            over += usize::from(matches!(call.what, What::ToolEnded | What::ToolDied));
        }
        begun - over
    }

    /// Calls of tools that change what may not be done twice: each of them once at the most, by their whole line.
    pub fn nothing_twice(&self) {
        for (tool, word) in ONCE {
            let mut lines: Vec<(Option<String>, Vec<String>)> = self
                .calls(tool, word)
                .into_iter()
                .map(|call| (call.node, call.argv))
                .collect();
            let all = lines.len();
            lines.sort();
            lines.dedup();
            assert_eq!(lines.len(), all, "{tool} {word} ran twice: {lines:?}");
        }
        self.nothing_unknown();
    }

    /// What happened of a kind, in order.
    #[must_use]
    pub fn all(&self, what: What) -> Vec<Entry> {
        self.world().into_iter().filter(|entry| entry.what == what).collect()
    }

    /// The place in the world's log of the first such thing.
    #[must_use]
    pub fn first(&self, what: What) -> usize {
        let place = self.world().iter().position(|entry| entry.what == what);
        place.unwrap_or_else(|| panic!("{what:?} never happened"))
    }

    /// The place in the world's log of the last such thing.
    #[must_use]
    pub fn last(&self, what: What) -> usize {
        let place = self.world().iter().rposition(|entry| entry.what == what);
        place.unwrap_or_else(|| panic!("{what:?} never happened"))
    }

    /// The QDevice gives its vote to each of these, who are all that vote; by corosync's own word.
    pub async fn third_votes(&self, nodes: &[&str]) {
        for node in nodes {
            let shown = self.tool(node, "pvecm status").await.stdout;
            assert!(
                shown.contains(&format!("Total votes:      {}", nodes.len() + 1)),
                "{node}: {shown}"
            );
            assert_eq!(shown.matches("A,V,NMW").count(), nodes.len(), "{node}: {shown}");
            assert!(
                self.read(node, "/etc/corosync/corosync.conf").contains("device {"),
                "{node}"
            );
        }
    }

    /// Nobody has a QDevice.
    pub fn no_device(&self, nodes: &[&str]) {
        for node in nodes {
            assert!(
                !self.read(node, "/etc/corosync/corosync.conf").contains("device {"),
                "{node} has a QDevice"
            );
        }
    }

    /// The lines that let somebody in as root on the witness.
    #[must_use]
    pub fn let_in(&self) -> Vec<String> {
        let text = self.read(WITNESS, "/root/.ssh/authorized_keys");
        text.lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// Looks at who is let in on the witness until somebody is, or the other thing ends.
    pub async fn let_in_meanwhile<T>(&self, other: impl Future<Output = T>) -> (Vec<String>, T) {
        let mut seen: Vec<String> = Vec::new();
        tokio::pin!(other);
        loop {
            for line in self.let_in() {
                if !seen.contains(&line) {
                    seen.push(line);
                }
            }
            tokio::select! {
                ended = &mut other => return (seen, ended),
                () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
            }
        }
    }

    /// No key that opens a server of the cluster lies with the coordinator.
    pub fn no_key_with_the_coordinator(&self, member: &str) {
        let keys = [
            "/root/.ssh/id_rsa",
            "/etc/corosync/authkey",
            "/etc/pve/priv/authkey.key",
            "/etc/pve/priv/pve-root-ca.key",
        ];
        let keys: Vec<Vec<u8>> = keys
            .iter()
            .filter_map(|path| std::fs::read(self.rooted(member, path)).ok())
            .filter(|k| k.len() > 16)
            .collect();
        assert!(!keys.is_empty(), "{member} has keys");
        let mut found = Vec::new();
        files_with(&self.lab.layout().coordinator(), &keys, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    /// Plants something on a server.
    pub async fn plant(&self, node: &str, plant: Plant) {
        self.lab
            .script(node, Script::Plant(plant))
            .await
            .expect("the world plants it");
    }

    /// Puts a guest of this server under HA, and waits until its watchdog and that of the master are armed.
    pub async fn protected(&self, node: &str, vmid: u32) {
        self.plant(node, Plant::HaGuest { vmid, state: None }).await;
        self.until("the watchdog is armed, and the guest started", async || {
            let status = self.tool(node, "ha-manager status").await.stdout;
            self.armed(node) && status.contains(&format!("service vm:{vmid} ({node}, started)"))
        })
        .await;
    }

    /// Is a server's watchdog armed?
    #[must_use]
    pub fn armed(&self, node: &str) -> bool {
        self.rooted(node, "/run/watchdog-mux.active").is_dir()
    }

    /// HA looks after its guests again, and no server was reset on the way.
    pub async fn guarded(&self, node: &str, vmid: u32) {
        self.until("HA is armed again", async || {
            let status = self.tool(node, "ha-manager status").await.stdout;
            self.armed(node) && status.contains(&format!("service vm:{vmid} ({node}, started)"))
        })
        .await;
        assert_eq!(self.happened(What::WatchdogReset), 0);
    }

    /// While the membership or corosync.conf changed, no watchdog was armed. `from`: where in the log that begins to matter.
    pub fn unarmed_while_it_changed(&self, from: usize) {
        let mut armed: Vec<String> = Vec::new();
        for (place, entry) in self.world().into_iter().enumerate() {
            let node = entry.node.clone().unwrap_or_default();
            match entry.what {
                What::WatchdogArmed => armed.push(node),
                What::WatchdogClosed => armed.retain(|n| *n != node),
                What::AddnodeCommitted | What::NodeRemoved | What::QdeviceAdded | What::QdeviceRemoved
                    if place >= from =>
                {
                    assert!(armed.is_empty(), "{entry:?} while the watchdog was armed on {armed:?}");
                }
                _ => {}
            }
        }
    }
}

fn files_with(dir: &Path, needles: &[Vec<u8>], found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_with(&path, needles, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && needles
                .iter()
                .any(|needle| bytes.windows(needle.len()).any(|w| w == needle.as_slice()))
        {
            found.push(path.display().to_string());
        }
    }
}
