//! Simulated PVE servers to try Quorate on, and to test it against.
//!
//! One *world* process models the servers: their clocks, networks, disks, corosync membership and pmxcfs. A multi-call
//! program, linked into each server's `bin` folder under the names of the host tools, asks the world and prints what the
//! real tool would print. The product's own programs run unmodified, one agent per simulated server. The lab shares no
//! code with them: what it knows of the tools comes from their recorded output.

pub mod binaries;
pub mod cli;
pub mod control;
pub mod demo;
pub mod description;
pub mod lab;
pub mod labtool;
pub mod layout;
pub mod plants;
pub mod process;
mod roots;
mod tools;
pub mod truth;
pub mod ways;
mod wire;
pub mod world;
pub mod zfs;
mod zoo;

pub use control::Script;
pub use description::{
    ControllerSpec, DiskSpec, GuestSpec, LabSpec, PartitionSpec, Role, ServerSpec, SmartSpec, StackedSpec,
};
pub use lab::{Builder, Lab, LabError, Node};
pub use plants::Plant;
pub use process::Output;
pub use ways::Way;
pub use world::oplog::{Entry, What};
pub use zoo::zoo;
