//! A host made of a folder and of expected calls.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use quorate_clock::Clock;
use quorate_exec::Tools;
use quorate_exec::scripted::{Call, Scripted};

use crate::host::{Host, HostRoot};

/// The text of a file of tests/fixtures.
macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/", $path))
    };
}
pub(crate) use fixture;

/// A folder that becomes a host.
pub(crate) struct Fake {
    folder: tempfile::TempDir,
}

impl Fake {
    /// A host with a name and nothing else.
    pub(crate) fn new() -> Self {
        let fake = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fake.put("/proc/sys/kernel/hostname", "prox1.lab\n");
        fake
    }

    /// Writes a file and its folders.
    pub(crate) fn put(&self, path: &str, text: &str) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, text).unwrap();
    }

    pub(crate) fn link(&self, target: &str, path: &str) {
        let place = self.place(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, place).unwrap();
    }

    pub(crate) fn place(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// The host, on which every tool is installed and just these calls are made.
    pub(crate) fn host(&self, calls: impl IntoIterator<Item = Call>) -> Host {
        self.host_with(Tools::imagined(), calls, Clock::system())
    }

    /// The host, on which no tool is installed.
    pub(crate) fn bare(&self) -> Host {
        self.host_with(
            Tools::only_in(self.folder.path().join("no-tools")).unwrap(),
            [],
            Clock::system(),
        )
    }

    pub(crate) fn host_with(&self, tools: Tools, calls: impl IntoIterator<Item = Call>, clock: Clock) -> Host {
        let root = HostRoot::lab(Path::new(self.folder.path())).unwrap();
        Host::new(root, tools, Arc::new(Scripted::new(calls)), clock)
    }
}

/// A member of a three-node cluster, with all that pmxcfs shows.
pub(crate) fn member(fake: &Fake) {
    fake.put("/etc/pve/.members", fixture!("pmxcfs/pve-8.4/members-three-nodes.json"));
    fake.put("/etc/pve/.vmlist", fixture!("pmxcfs/pve-8.4/vmlist-both-kinds.json"));
    fake.put(
        "/etc/pve/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    fake.put(
        "/etc/corosync/corosync.conf",
        fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
    );
    fake.put("/etc/corosync/authkey", "key");
    fake.put("/var/lib/pve-cluster/config.db", "");
}

pub(crate) fn quorumtool() -> Call {
    Call::of(["/usr/bin/corosync-quorumtool", "-siH"]).prints(fixture!("corosync-quorumtool/3.1.7/three-nodes.out"))
}

pub(crate) fn cfgtool() -> Call {
    Call::of(["/usr/bin/corosync-cfgtool", "-n"]).prints(fixture!("corosync-cfgtool/3.1.7/three-nodes.out"))
}

pub(crate) fn cmapctl() -> Call {
    Call::of(["/usr/bin/corosync-cmapctl", "-b", "runtime.members."])
        .prints(fixture!("corosync-cmapctl/3.1.7/members.out"))
}

pub(crate) fn knet() -> Call {
    Call::of(["/usr/bin/corosync-cmapctl", "-m", "stats", "stats.knet.node"])
        .prints(fixture!("corosync-cmapctl/3.1.7/knet-two-links.out"))
}

pub(crate) fn timers() -> Call {
    Call::of(["/usr/bin/corosync-cmapctl", "-b", "runtime.config.totem."])
        .prints(fixture!("corosync-cmapctl/3.1.7/timers.out"))
}
