//! What guests' tools and the HA manager have to do with one another; nothing else here looks into HA's files.

use quorate_lab_ha::model::{Requested, Sid};

use super::ha::Resource;
use super::pmxcfs::Replica;
use crate::description::GuestKind;

/// `vm:100`.
pub(crate) fn sid(kind: GuestKind, vmid: u32) -> String {
    format!("{}:{vmid}", kind.sid_type())
}

/// Does it stand in resources.cfg at all?
pub(crate) fn is_listed(replica: &Replica, kind: GuestKind, vmid: u32) -> bool {
    replica.ha.resources.contains_key(&sid(kind, vmid))
}

/// Does HA look after it? Not where it is told to ignore it.
pub(crate) fn is_managed(replica: &Replica, kind: GuestKind, vmid: u32) -> bool {
    let resource = replica.ha.resources.get(&sid(kind, vmid));
    resource.is_some_and(|resource| resource.requested() != Requested::Ignored)
}

/// What HA makes of it: the state of the service, or what is wanted of it while no master has seen it.
pub(crate) fn state(replica: &Replica, kind: GuestKind, vmid: u32) -> Option<String> {
    let sid = sid(kind, vmid);
    let resource = replica.ha.resources.get(&sid)?;
    let manager = replica.ha.manager.as_ref();
    let service = manager.and_then(|manager| manager.content.service_status.get(&Sid::parse(&sid).ok()?));
    Some(match service {
        Some(service) => service.state.to_string(),
        None => resource.requested().to_string(),
    })
}

/// `ha-manager set SID --state STATE`.
pub(crate) fn request_state(replica: &mut Replica, kind: GuestKind, vmid: u32, state: &str) {
    if let Some(resource) = replica.ha.resources.get_mut(&sid(kind, vmid)) {
        resource.state = Requested::from_word(state);
    }
}

/// `ha-manager add SID --state STATE`.
pub(crate) fn add(replica: &mut Replica, kind: GuestKind, vmid: u32, state: &str) {
    let resource = Resource {
        state: Requested::from_word(state),
        ..Resource::default()
    };
    replica.ha.resources.insert(sid(kind, vmid), resource);
}

/// It is taken out of HA's configuration.
pub(crate) fn forget(replica: &mut Replica, kind: GuestKind, vmid: u32) {
    replica.ha.resources.remove(&sid(kind, vmid));
}

/// A line for the master, as in ha/crm_commands: `stop vm:100 60`, `migrate vm:100 prox2`.
pub(crate) fn command(replica: &mut Replica, line: &str) {
    replica.ha.commands.push(line.to_owned());
}
