//! What the HA manager knows: services, nodes, its own daemons, and the files it keeps in pmxcfs (facts C.2, C.3).

mod command;
mod exit;
mod files;
mod node;
mod service;
mod words;

pub use command::{CommandError, CrmCommand};
pub use exit::Exit;
pub use files::{
    Balancing, Datacenter, Disarm, DisarmMode, DisarmState, LrmResult, LrmStatus, ManagerStatus, NodeRequest, Services,
    ShutdownPolicy,
};
pub use node::{CrmState, LrmMode, LrmState, NodeState};
pub use service::{Motion, Order, Requested, ServiceConfig, ServiceState, ServiceStatus, Sid, SidError};

/// Seconds: of the virtual clock since its start, or a duration. The HA manager knows nothing finer.
pub type Seconds = u64;
