//! Starts and stops pmxcfs and corosync.

use super::State;
use crate::world::corosync::Corosync;
use crate::world::oplog::What;

impl State {
    /// Starts pmxcfs; refuses, as the real one does, when the own name does not resolve.
    pub(crate) fn start_pmxcfs(&mut self, index: usize) -> Result<(), String> {
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
        server.log(
            "pmxcfs",
            pid,
            format!(
                "[main] notice: resolved node name '{}' to '{ip}' for default node IP address",
                server.spec.name
            ),
        );
        let pmxcfs = &mut server.pmxcfs;
        // Without a database it takes over what lies in /etc/corosync.
        if pmxcfs.replica.conf.is_none() && pmxcfs.replica.certificates.is_empty() {
            pmxcfs.replica.conf.clone_from(&server.etc_conf);
        }
        pmxcfs.running = true;
        pmxcfs.pid = pid;
        pmxcfs.ip = Some(ip);
        pmxcfs.clustered = pmxcfs.replica.conf.is_some();
        pmxcfs.view = None;
        pmxcfs.clinfo = 0;
        pmxcfs.next_attempt = now;
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
        let pid = server.pmxcfs.pid;
        server.log("pmxcfs", pid, "[main] notice: teardown filesystem");
        server.log(
            "pmxcfs",
            pid,
            "[main] notice: exit proxmox configuration filesystem (0)",
        );
        self.note(Some(index), What::PmxcfsUnmounted, "");
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
        if let Some(id) = conf.duplicate_id() {
            server.log(
                "corosync",
                pid,
                format!("  [MAIN  ] Nodeid {id} appears twice in corosync.conf"),
            );
            server.log(
                "corosync",
                pid,
                "  [MAIN  ] Corosync Cluster Engine exiting with status 8 at main.c:1445.",
            );
            self.note(Some(index), What::CorosyncExited, format!("node id {id} appears twice"));
            return Err("control process exited with error code".to_owned());
        }
        let Some(node) = conf.named(server.name()) else {
            return Err("control process exited with error code".to_owned());
        };
        let (id, name) = (node.id, conf.cluster_name.clone());
        let corosync = Corosync::new(pid, id, conf, key);
        let quorate = corosync.quorate;
        server.corosync = Some(corosync);
        self.pairs.forget(index);
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
