//! Follows what ordinary programs write into `/etc/pve` and `/etc/corosync` of a server.
//!
//! A real pmxcfs sees each system call before it ends; here the write has happened when the world hears of it. So a write
//! that a real server would refuse is undone, and one that would be held up until a membership is decided counts then.

use super::State;
use crate::world::complain;
use crate::world::mount::{Changes, Etc};
use crate::world::oplog::What;
use crate::world::watch::Changed;

/// pmxcfs waits so long before it makes corosync take over a new configuration.
const BEFORE_RELOAD: std::time::Duration = std::time::Duration::from_secs(1);

impl State {
    /// Takes note of everything that was written since the last time.
    pub(super) fn absorb(&mut self) {
        let servers = &self.servers;
        let has = |index: usize, path: &str| servers.get(index).is_some_and(|server| server.mount.has(path));
        let Changed { servers, brief } = self.watcher.changed(servers.len(), has);
        for (index, path) in brief {
            self.note(Some(index), What::PveWritten, format!("{path} -{path}"));
        }
        self.touched.extend(servers);
        for index in std::mem::take(&mut self.touched) {
            self.absorb_corosync(index);
            if self.is_undecided(index) {
                self.touched.insert(index);
            } else {
                self.absorb_pve(index);
            }
        }
    }

    /// Does corosync count members that it no longer hears, or does it send to them on a link that lost its other end? Then
    /// writes block until that is decided.
    pub(crate) fn is_undecided(&self, index: usize) -> bool {
        if self
            .get(index)
            .is_none_or(|server| server.corosync.is_none() || !server.pmxcfs.clustered)
        {
            return false;
        }
        self.waiting.iter().any(|(component, _)| component.contains(&index))
            || (0..self.servers.len()).any(|other| other != index && self.pairs.lost(index, other))
            || self
                .get(index)
                .and_then(|server| server.corosync.as_ref())
                .is_some_and(|corosync| corosync.loses_packets(self.now))
    }

    fn absorb_corosync(&mut self, index: usize) {
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        match server.mount.scan_corosync() {
            Ok(Some(Etc { conf, key })) => {
                server.etc_conf = conf;
                server.authkey = key;
            }
            Ok(None) => {}
            Err(error) => complain(&format!("{}: can't read /etc/corosync: {error}", server.name())),
        }
    }

    fn absorb_pve(&mut self, index: usize) {
        let watcher = &mut self.watcher;
        let Some(server) = self.servers.get_mut(index) else {
            return;
        };
        let changes = match server.mount.scan(watcher) {
            Ok(changes) => changes,
            Err(error) => {
                complain(&format!("{}: can't read /etc/pve: {error}", server.name()));
                return;
            }
        };
        if changes.is_empty() {
            return;
        }
        let paths = paths(&changes);
        let now = self.now;
        let written = self.commit(index, |replica| {
            for path in changes.removed.iter().rev() {
                replica.remove(path);
            }
            for (path, text) in &changes.put {
                if path.ends_with('/') {
                    replica.make_folder(path, now);
                } else {
                    replica.write_file(path, text);
                }
            }
        });
        let (what, undo) = match written {
            Ok(_) => (What::PveWritten, changes.odd),
            Err(_) => (What::PveWriteUndone, true),
        };
        if undo && let Some(server) = self.servers.get_mut(index) {
            server.mount.undo();
        }
        if !paths.is_empty() {
            self.note(Some(index), what, paths);
        }
        if written == Ok(true)
            && let Some(server) = self.servers.get_mut(index)
        {
            server.pmxcfs.reload_at = Some(now + BEFORE_RELOAD);
        }
    }

    /// The node that wrote a new corosync.conf makes corosync take it over, a second later.
    pub(super) fn reload_when_due(&mut self) {
        for index in 0..self.servers.len() {
            let now = self.now;
            let due = self
                .servers
                .get_mut(index)
                .and_then(|server| server.pmxcfs.reload_at.take_if(|at| *at <= now));
            if due.is_some() {
                // A failure is only logged.
                self.reload(index).ok();
            }
        }
    }
}

fn paths(changes: &Changes) -> String {
    let removed = changes.removed.iter().map(|path| format!("-{path}"));
    let put = changes.put.iter().map(|(path, _)| path.clone());
    removed.chain(put).collect::<Vec<_>>().join(" ")
}
