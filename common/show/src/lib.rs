//! How the model is shown in a terminal: tables, checklists, findings. Pure: everything returns text.

mod disks;
mod drill;
mod faults;
mod findings;
mod guests;
mod ha;
mod membership;
mod network;
mod observation;
mod plan;
mod replication;
mod rollout;
mod spec;
mod status;
mod storages;
mod table;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use disks::{DiskDetail, DiskRow, disks};
pub use drill::{DrillPreview, drill, drill_page, drill_preview, drills, drills_due};
pub use faults::faults;
pub use findings::{finding_line, findings, problems};
pub use guests::{GuestList, GuestRow, Run, guests};
pub use ha::{HaReport, ServiceRow, ha, if_lost};
pub use network::network;
pub use observation::observation;
pub use observation::pools::{PoolRow, of_nodes as pools};
pub use plan::plan;
pub use replication::{Copy, CopyRow, replication};
pub use rollout::{Teller, rollout, rollouts};
pub use spec::cluster_file;
pub use status::{ClusterStatus, NodeStatus, status};
pub use storages::{StorageRow, storages};
pub use table::table;
