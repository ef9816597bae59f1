//! The real agent and coordinator beside three real corosync daemons, or two and a real third vote.
//!
//! Of corosync nothing is simulated: Debian's daemons talk over network interfaces whose cables are pulled and put in again. Of PVE there
//! is nothing: no pmxcfs, so what the agent tells of the cluster is corosync's own word, as on a member whose pmxcfs is down.
//!
//! `.ci/corosync`, which `.ci/reality` calls, runs this; see README.md beside it.

#![expect(
    clippy::disallowed_methods,
    reason = "what corosync says has the time of this host, and is compared with it"
)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests; a panic is the report"
)]

mod calls;
mod device;
mod events;
mod faults;
mod fleet;
mod links;
mod membership;
mod seen;
mod timeline;
mod times;
