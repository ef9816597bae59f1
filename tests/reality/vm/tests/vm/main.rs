//! The real agent on a real kernel with real disks and the real ZFS, in a virtual machine; the real coordinator beside it.
//!
//! Of storage nothing is simulated but the hardware. Of PVE there is nothing in the machine: no pmxcfs, no guests, no cluster. So
//! `quorate` enrols the agent and shows its disks as everywhere, but `quorate apply` would refuse the machine, which is no member of a
//! cluster. What it would do after that is done here by its parts: the planner plans, from what the agent really sees and a cluster that
//! is imagined around it; and the step of the plan is given to the agent over its own protocol, under the coordinator's certificate.
//!
//! The unit `zfs-import@.service` is PVE's; Debian's ZFS lacks it, so the machine has a copy.
//!
//! `.ci/reality` runs this; see README.md beside it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests; a panic is the report"
)]

mod abort;
mod clients;
mod coordinator;
mod create;
mod degrade;
mod driving;
mod faults;
mod fleet;
mod hang;
mod life;
mod load;
mod observe;
mod packages;
mod planning;
mod rehearsed;
mod replace;
mod stages;
