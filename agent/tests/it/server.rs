//! A server made of a folder: files as PVE leaves them, tools as scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use quorate_identity::NodeStore;
use tempfile::TempDir;

use crate::fleet::{AMPLE, Fleet};

/// Of the certificate in the fixture `openssl/3.0/node.pem`.
pub(crate) const FINGERPRINT: &str =
    "97:6F:A0:17:A9:EE:39:3A:28:4A:1B:96:F1:FA:99:8C:1F:B6:11:B8:32:D4:E9:72:61:94:88:F2:C4:3E:C3:F1";

pub(crate) struct TestServer {
    pub(crate) dir: TempDir,
    pub(crate) node: &'static str,
}

/// What the real tools print.
pub(crate) fn fixture(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures")
        .join(path)
        .canonicalize();
    file.unwrap().display().to_string()
}

impl TestServer {
    /// A PVE server in no cluster, enrolled.
    pub(crate) fn new(fleet: &Fleet, node: &'static str) -> Self {
        let server = Self::unenrolled(node);
        NodeStore::new(&server.state())
            .save(&fleet.roots(), &fleet.node(node))
            .unwrap();
        server
    }

    pub(crate) fn unenrolled(node: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Self { dir, node };
        for folder in ["etc/pve", "etc/corosync", "proc/sys/kernel/random", "var/lib"] {
            fs::create_dir_all(server.root().join(folder)).unwrap();
        }
        fs::create_dir(server.path("bin")).unwrap();
        server.put("proc/sys/kernel/hostname", &format!("{node}\n"));
        server.put(
            "proc/sys/kernel/random/boot_id",
            "5d1b2f0e-0000-4000-8000-000000000001\n",
        );
        server.put(
            "etc/pve/.members",
            &format!("{{\"nodename\": \"{node}\", \"version\": 0}}"),
        );
        server.put("etc/pve/.vmlist", "{\"version\": 1, \"ids\": {}}");
        let address = server.address();
        server.tool("getent", &format!("echo '{address} STREAM {node}'"));
        server.tool(
            "ip",
            &format!(
                "echo '[{{\"ifname\":\"eno1\",\"flags\":[\"BROADCAST\",\"UP\",\"LOWER_UP\"],\"mtu\":1500,\"link_type\":\"ether\",\
                 \"address\":\"52:54:00:00:00:01\",\"operstate\":\"UP\",\
                 \"addr_info\":[{{\"family\":\"inet\",\"local\":\"{address}\",\"prefixlen\":24}}]}}]'"
            ),
        );
        server.tool("corosync-quorumtool", &cat("corosync-quorumtool/3.1.7/one-node.out"));
        server.tool("corosync-cfgtool", &cat("corosync-cfgtool/3.1.7/one-node.out"));
        server.tool(
            "systemctl",
            "echo LoadState=loaded; echo ActiveState=activating; echo SubState=start-pre",
        );
        server.configure("", 20.0);
        server
    }

    pub(crate) fn address(&self) -> String {
        self.node.replace("prox", "10.77.0.")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root().join("var/lib/quorate-agent")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("agent.toml")
    }

    pub(crate) fn configure(&self, policy: &str, speed: f64) {
        self.configure_clock(policy, speed, 0);
    }

    pub(crate) fn configure_clock(&self, policy: &str, speed: f64, clock_offset_ms: i64) {
        let text = format!(
            "listen = \"127.0.0.1:0\"\n[policy]\n{policy}\n[lab]\nroot = {:?}\ntools = {:?}\nspeed = {speed:?}\n\
             clock_offset_ms = {clock_offset_ms}\n",
            self.root(),
            self.path("bin")
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn put(&self, file: &str, text: &str) {
        let path = self.root().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A tool that is this script. `$D` is the server's folder; `wait_for FILE` waits until it exists there.
    pub(crate) fn tool(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let head =
            "wait_for() { n=0; until [ -e \"$D/$1\" ]; do n=$((n+1)); [ $n -gt 3000 ] && exit 99; sleep 0.02; done; }";
        let text = format!("#!/bin/sh\nD={:?}\n{head}\n{script}\n", self.dir.path());
        // Never the file that runs: a script that is being written can't be executed.
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(draft, path).unwrap();
    }

    /// `pvecm`, which notes how it was called and then does this.
    pub(crate) fn pvecm(&self, script: &str) {
        self.tool("pvecm", &format!("echo \"$@\" >> \"$D/calls\"\n{script}"));
    }

    /// What a script does to make this server a member of lab1.
    pub(crate) fn become_member(&self, members: &str, config: &str) -> String {
        format!(
            "cp {} \"$D/root/etc/pve/corosync.conf\"; sed 's/\"nodename\": \"prox1\"/\"nodename\": \"{}\"/' {} > \"$D/m\"; \
             mv \"$D/m\" \"$D/root/etc/pve/.members\"",
            fixture(config),
            self.node,
            fixture(members)
        )
    }

    pub(crate) fn be_sole_member(&self) -> String {
        self.become_member(
            "pmxcfs/pve-8.4/members-one-node.json",
            "corosync.conf/pve-8.4/one-node.conf",
        )
    }

    pub(crate) fn be_one_of_three(&self) -> String {
        self.become_member(
            "pmxcfs/pve-8.4/members-three-nodes.json",
            "corosync.conf/pve-8.4/three-nodes.conf",
        )
    }

    /// How pvecm was called so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }
}

/// A script that prints what the real tool printed.
pub(crate) fn cat(path: &str) -> String {
    format!("cat {}", fixture(path))
}

/// Waits until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + AMPLE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
