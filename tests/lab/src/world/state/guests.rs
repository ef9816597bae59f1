//! Guests that start, stop and move.

use std::time::Duration;

use super::State;
use crate::description::GuestKind;
use crate::world::guests::Guest;

/// How long things take.
pub(crate) const STARTS: Duration = Duration::from_secs(2);
pub(crate) const STOPS: Duration = Duration::from_secs(3);

/// How long a guest takes to another node.
pub(crate) fn moves_in(_guest: &Guest, online: bool) -> Duration {
    if online {
        Duration::from_secs(8)
    } else {
        Duration::from_secs(2)
    }
}

impl State {
    pub(crate) fn find_guest(&self, index: usize, vmid: u32) -> Option<&Guest> {
        self.get(index)?.pmxcfs.replica.guests.get(&vmid)
    }

    pub(crate) fn guest_runs(&self, index: usize, vmid: u32) -> bool {
        self.get(index).is_some_and(|server| server.running.contains_key(&vmid))
    }

    pub(crate) fn guest_lock(&self, index: usize, vmid: u32) -> Option<String> {
        self.find_guest(index, vmid)?.value("lock").map(str::to_owned)
    }

    /// Why a guest does not start on a server.
    pub(crate) fn start_guest_refusal(&self, index: usize, vmid: u32) -> Option<String> {
        let name = self.get(index)?.name();
        let guest = self.find_guest(index, vmid).filter(|guest| guest.node == name);
        let Some(guest) = guest else {
            return Some(format!(
                "Configuration file 'nodes/{name}/qemu-server/{vmid}.conf' does not exist"
            ));
        };
        if guest.is_template() {
            return Some("you can't start a vm if it's a template".to_owned());
        }
        let what = if guest.kind == GuestKind::Qemu { "VM" } else { "CT" };
        guest.value("lock").map(|lock| format!("{what} is locked ({lock})"))
    }

    pub(crate) fn start_guest_now(&mut self, index: usize, vmid: u32) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(index) {
            server.start_guest(vmid, now);
        }
    }

    pub(crate) fn stop_guest_now(&mut self, index: usize, vmid: u32) {
        if let Some(server) = self.servers.get_mut(index) {
            server.running.remove(&vmid);
        }
    }

    /// What a migration that succeeds does.
    pub(crate) fn move_guest(&mut self, vmid: u32, from: usize, to: usize, online: bool) -> Result<(), String> {
        let name = |index: usize| {
            self.get(index)
                .map(|server| server.name().to_owned())
                .unwrap_or_default()
        };
        let (old, new) = (name(from), name(to));
        self.steal_guest(from, vmid, &old, &new)?;
        if self.guest_runs(from, vmid) {
            self.stop_guest_now(from, vmid);
            if online {
                self.start_guest_now(to, vmid);
            }
        }
        Ok(())
    }

    /// Moves the configuration alone.
    pub(crate) fn steal_guest(&mut self, writer: usize, vmid: u32, from: &str, to: &str) -> Result<(), String> {
        if self.find_guest(writer, vmid).is_none_or(|guest| guest.node != from) {
            return Err(format!("guest {vmid} is not on node '{from}'"));
        }
        self.write(writer, |replica| {
            let version = crate::world::guests::next_version(&replica.guests);
            if let Some(guest) = replica.guests.get_mut(&vmid) {
                to.clone_into(&mut guest.node);
                guest.version = version;
            }
        })
        .map_err(|_| "Permission denied".to_owned())
    }
}
