//! What guests' tools and the HA manager have to do with one another; nothing else here looks into HA's files.

use super::pmxcfs::Replica;
use crate::description::GuestKind;

/// `vm:100`.
pub(crate) fn sid(kind: GuestKind, vmid: u32) -> String {
    match kind {
        GuestKind::Qemu => format!("vm:{vmid}"),
        GuestKind::Lxc => format!("ct:{vmid}"),
    }
}

/// Does it stand in resources.cfg at all?
pub(crate) fn is_listed(replica: &Replica, kind: GuestKind, vmid: u32) -> bool {
    replica.ha.resources.contains_key(&sid(kind, vmid))
}

/// Does HA look after it? Not where it is told to ignore it.
pub(crate) fn is_managed(replica: &Replica, kind: GuestKind, vmid: u32) -> bool {
    let wanted = replica.ha.resources.get(&sid(kind, vmid));
    wanted.is_some_and(|wanted| wanted != "ignored")
}

/// What HA makes of it: the state of the service, or what is wanted of it while no master has seen it.
pub(crate) fn state(replica: &Replica, kind: GuestKind, vmid: u32) -> Option<String> {
    let sid = sid(kind, vmid);
    let wanted = replica.ha.resources.get(&sid)?;
    let service = replica
        .ha
        .manager
        .as_ref()
        .and_then(|manager| manager.services.get(&sid));
    Some(service.map_or_else(|| wanted.clone(), |service| service.state.to_owned()))
}

/// `ha-manager set SID --state STATE`.
pub(crate) fn request_state(replica: &mut Replica, kind: GuestKind, vmid: u32, state: &str) {
    if let Some(wanted) = replica.ha.resources.get_mut(&sid(kind, vmid)) {
        state.clone_into(wanted);
    }
}

/// `ha-manager add SID --state STATE`.
pub(crate) fn add(replica: &mut Replica, kind: GuestKind, vmid: u32, state: &str) {
    replica.ha.resources.insert(sid(kind, vmid), state.to_owned());
}

/// It is taken out of HA's configuration.
pub(crate) fn forget(replica: &mut Replica, kind: GuestKind, vmid: u32) {
    replica.ha.resources.remove(&sid(kind, vmid));
}

/// A line for the master, as in ha/crm_commands: `stop vm:100 60`, `migrate vm:100 prox2`.
///
/// This manager knows no other orders but to disarm: what a stop comes to in the end is done, a migration is left.
pub(crate) fn command(replica: &mut Replica, line: &str) {
    let mut words = line.split(' ');
    if let (Some("stop"), Some(sid)) = (words.next(), words.next())
        && let Some(wanted) = replica.ha.resources.get_mut(sid)
    {
        "stopped".clone_into(wanted);
    }
}
