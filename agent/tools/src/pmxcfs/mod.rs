//! The status files that pmxcfs shows in /etc/pve: JSON text, 0.3 ms a read, readable without quorum.

pub mod members;
pub mod vmlist;

pub use members::Members;
