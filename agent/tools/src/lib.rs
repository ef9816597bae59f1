//! One file per host tool: how to call it (a typed argument vector) and how to read it (text → model).
//!
//! Nothing here touches a process, a file or a clock. A tool's module has functions that return an
//! [`Invocation`](quorate_exec::Invocation), and functions that take what was printed. What cannot be understood is a
//! [`ParseError`] with the offending line, never something skipped: a disk that was not understood must not become a
//! disk that is not there. Unknown JSON fields are ignored, numbers are taken as numbers, numeric strings or booleans,
//! because Perl and older versions print them so.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

/// The text of a file of tests/fixtures.
#[cfg(test)]
macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/", $path))
    };
}

mod error;
mod json;
mod lenient;

pub mod apt;
pub mod apt_cache;
pub mod apt_sources;
pub mod authorized_keys;
pub mod blkid;
pub mod canary;
pub mod chronyc;
pub mod corosync_cfgtool;
pub mod corosync_cmapctl;
pub mod corosync_conf;
pub mod corosync_log;
pub mod corosync_quorumtool;
pub mod df;
pub mod dpkg;
pub mod dpkg_query;
pub mod getent;
pub mod guest;
pub mod guest_exec;
pub mod ha_manager;
pub mod ip;
pub mod journalctl;
pub mod kept_spec;
pub mod kill;
pub mod known_hosts;
pub mod lsblk;
pub mod lvs;
pub mod mountinfo;
pub mod nft;
pub mod os_release;
pub mod perl;
pub mod ping;
pub mod pmxcfs;
pub mod pmxcfs_daemon;
pub mod proc;
pub mod pve_config;
pub mod pve_firewall;
pub mod pve_ha_log;
pub mod pve_replication_state;
pub mod pve_tasks;
pub mod pvecm;
pub mod pvesh;
pub mod pvesm;
pub mod pvesr;
pub mod pveversion;
pub mod pvs;
pub mod qemu_process;
pub mod smartctl;
pub mod ssh_key;
pub mod systemctl;
pub mod systemd_run;
pub mod timedatectl;
pub mod vzdump_log;
pub mod wiping;
pub mod zfs_get;
pub mod zfs_list;
pub mod zpool;
pub mod zpool_disks;
pub mod zpool_get;
pub mod zpool_status;

pub use error::{CallError, ParseError};

#[cfg(test)]
mod mutations;
