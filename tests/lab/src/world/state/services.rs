//! Starts and stops pmxcfs and corosync.

use super::State;
use super::quorum::sync;
use crate::roots::{self, DATABASE};
use crate::world::complain;
use crate::world::corosync::Corosync;
use crate::world::oplog::What;
use crate::world::pmxcfs::Replica;
use crate::world::units::{self, Active};

/// What pmxcfs says when something lies below its mount point.
const NOT_EMPTY: [&str; 4] = [
    "fuse: mountpoint is not empty",
    "fuse: if you are sure this is safe, use the 'nonempty' mount option",
    "[main] crit: fuse_mount error: File exists",
    "[main] notice: exit proxmox configuration filesystem (-1)",
];

impl State {
    /// Starts pmxcfs; refuses, as the real one does, when the own name does not resolve.
    pub(crate) fn start_pmxcfs(&mut self, index: usize) -> Result<(), String> {
        self.start_pmxcfs_in(index, false)
    }

    /// Starts pmxcfs, in local mode if told so: then `/etc/pve` may be written whatever corosync does.
    pub(crate) fn start_pmxcfs_in(&mut self, index: usize, local: bool) -> Result<(), String> {
        let now = self.now;
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let pid = server.pid();
        let Some(ip) = server.own_address() else {
            let text = format!(
                "[main] crit: Unable to resolve node name '{}' to a non-loopback IP address - missing entry in \
                 '/etc/hosts' or DNS?",
                server.name()
            );
            server.log("pmxcfs", pid, text.clone());
            return Err(text);
        };
        // Without a database it begins with an empty one, and takes over what lies in /etc/corosync, before it mounts anything.
        let database = server.root.join(DATABASE);
        if !database.exists() {
            server.pmxcfs.replica = Replica::default();
            if let Err(error) = roots::put(&database, "") {
                complain(&format!("{}: {error}", server.spec.name));
            }
        }
        let replica = &mut server.pmxcfs.replica;
        if replica.conf.is_none() && replica.certificates.is_empty() {
            replica.conf.clone_from(&server.etc_conf);
        }
        let text = format!(
            "[main] notice: resolved node name '{}' to '{ip}' for default node IP address",
            server.spec.name
        );
        server.log("pmxcfs", pid, text);
        if server.mount.is_blocked() {
            // It says all of it on stderr; the service's journal holds that, too.
            for line in NOT_EMPTY {
                server.log("pmxcfs", pid, line);
            }
            return Err(NOT_EMPTY.join("\n"));
        }
        let pmxcfs = &mut server.pmxcfs;
        pmxcfs.running = true;
        pmxcfs.by_hand = false;
        pmxcfs.pid = pid;
        pmxcfs.ip = Some(ip);
        pmxcfs.clustered = !local && pmxcfs.replica.conf.is_some();
        pmxcfs.view = None;
        pmxcfs.clinfo = 0;
        pmxcfs.next_attempt = now;
        pmxcfs.reload_at = None;
        let name = server.spec.name.clone();
        server.pmxcfs.replica.ips.insert(name, ip);
        self.copy_conf_to_etc(index);
        self.note(Some(index), What::PmxcfsMounted, "");
        Ok(())
    }

    pub(crate) fn stop_pmxcfs(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        if !server.pmxcfs.running {
            return;
        }
        server.pmxcfs.running = false;
        server.pmxcfs.view = None;
        server.pmxcfs.reload_at = None;
        let pid = server.pmxcfs.pid;
        server.log("pmxcfs", pid, "[main] notice: teardown filesystem");
        server.log(
            "pmxcfs",
            pid,
            "[main] notice: exit proxmox configuration filesystem (0)",
        );
        self.note(Some(index), What::PmxcfsUnmounted, "");
    }

    /// The unit `pve-cluster`.
    pub(crate) fn start_pmxcfs_unit(&mut self, index: usize) -> Result<(), String> {
        let started = self.start_pmxcfs(index);
        self.mark(index, "pve-cluster", started.is_ok());
        started
    }

    /// The unit `corosync`, whose condition is that there is a configuration: without one it stays off, and that is no
    /// failure.
    pub(crate) fn start_corosync_unit(&mut self, index: usize) -> Result<(), String> {
        if self.get(index).is_some_and(|server| server.etc_conf.is_none()) {
            self.mark(index, "corosync", true);
            return Ok(());
        }
        let started = self.start_corosync(index);
        self.mark(index, "corosync", started.is_ok());
        started
    }

    fn mark(&mut self, index: usize, unit: &str, started: bool) {
        if let Some(server) = self.servers.get_mut(index) {
            units::set(server, unit, if started { Active::Running } else { Active::Failed });
        }
    }

    /// Ends corosync so that the others notice by its silence only.
    pub(crate) fn silence_corosync(&mut self, index: usize, what: What, why: &str) {
        if let Some(server) = self.servers.get_mut(index)
            && server.corosync.is_some()
        {
            server.power.vanished = true;
        }
        self.stop_corosync(index, what, why);
    }

    /// Starts corosync with `/etc/corosync/corosync.conf`.
    pub(crate) fn start_corosync(&mut self, index: usize) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(index) else {
            return Err("no such server".to_owned());
        };
        let (Some(conf), Some(key)) = (server.etc_conf.clone(), server.authkey) else {
            return Err("condition failed: /etc/corosync/corosync.conf does not exist".to_owned());
        };
        let pid = server.pid();
        server.log("corosync", pid, "  [MAIN  ] Corosync Cluster Engine 3.1.7 starting up");
        if let Some(text) = conf.refuses_start() {
            server.log("corosync", pid, format!("  [MAIN  ] {text}"));
            server.log(
                "corosync",
                pid,
                "  [MAIN  ] Corosync Cluster Engine exiting with status 8 at main.c:1445.",
            );
            self.note(Some(index), What::CorosyncExited, text);
            return Err("control process exited with error code".to_owned());
        }
        let Some(node) = conf.named(server.name()) else {
            return Err("control process exited with error code".to_owned());
        };
        let (id, name) = (node.id, conf.cluster_name.clone());
        let corosync = Corosync::new(pid, id, conf, key);
        let quorate = corosync.quorate;
        server.corosync = Some(corosync);
        server.power.vanished = false;
        self.pairs.forget(index);
        let mut lines = vec![sync("members", &[id]), sync("joined", &[id])];
        lines.push(format!(
            "  [TOTEM ] A new membership ({id}.5) was formed. Members joined: {id}"
        ));
        lines.push(format!("  [QUORUM] Members[1]: {id}"));
        lines.push("  [MAIN  ] Completed service synchronization, ready to provide service.".to_owned());
        self.corosync_log(index, lines);
        self.note(
            Some(index),
            What::CorosyncStarted,
            format!("node id {id} of cluster {name}"),
        );
        if quorate {
            self.note(Some(index), What::QuorumGained, "alone");
        }
        Ok(())
    }

    pub(crate) fn stop_corosync(&mut self, index: usize, what: What, why: &str) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let Some(corosync) = server.corosync.take() else { return };
        server.log(
            "corosync",
            corosync.pid,
            "  [MAIN  ] Corosync Cluster Engine exiting normally",
        );
        self.note(Some(index), what, why);
        if corosync.quorate {
            self.note(Some(index), What::QuorumLost, "corosync ended");
        }
    }
}
