//! The server itself.

use quorate_model::observation::system::{
    AgentState, ClockState, ClockSync, Cpu, Memory, PortRange, PveVersion, RunningTask, System,
};

use super::{ConvertError, Wire, field};
use crate::v1;

facet!(System = v1::SystemFacet: v1::system_facet::State);
message!(
    System = v1::System {
        pve,
        os,
        kernel,
        boot_id,
        uptime_seconds,
        cpu,
        memory,
        clock,
        reboot_needed,
        agent,
        tasks,
    }
);
facet!(Vec<RunningTask> = v1::TasksFacet: v1::tasks_facet::State);
list!(RunningTask = v1::RunningTasks { tasks });
message!(
    RunningTask = v1::RunningTask {
        kind,
        about,
        user,
        started_at
    }
);
message!(Cpu = v1::Cpu { model, threads, load });
message!(
    Memory = v1::Memory {
        total,
        available,
        swap_total,
        swap_free
    }
);
message!(
    AgentState = v1::AgentState {
        version,
        memory,
        uptime_seconds,
        port,
        measure_ports,
    }
);
message!(PortRange = v1::PortRange { first, last });
message!(ClockState = v1::ClockState { now, synchronised });
facet!(ClockSync = v1::ClockSyncFacet: v1::clock_sync_facet::State);
message!(
    ClockSync = v1::ClockSync {
        synchronised,
        source,
        offset_seconds
    }
);

facet!(Option<PveVersion> = v1::PveFacet: v1::pve_facet::State);
message!(
    PveVersion = v1::PveVersion {
        manager,
        repoid,
        running_kernel
    }
);

/// That a server is no PVE server is said, not left out.
impl Wire<v1::Pve> for Option<PveVersion> {
    fn into_wire(self) -> v1::Pve {
        v1::Pve {
            pve: Some(match self {
                Some(version) => v1::pve::Pve::Version(version.into_wire()),
                None => v1::pve::Pve::NotPve(v1::NotPve {}),
            }),
        }
    }
    fn from_wire(wire: v1::Pve) -> Result<Self, ConvertError> {
        match wire.pve {
            Some(v1::pve::Pve::Version(version)) => field("version", version).map(Some),
            Some(v1::pve::Pve::NotPve(v1::NotPve {})) => Ok(None),
            None => Err(ConvertError::new("is none of those known here: version, not_pve")),
        }
    }
}
