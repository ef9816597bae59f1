//! `pvesh` of PVE: its API, called by root on the node itself.

pub mod guests;
pub mod migrate;
pub mod options;

/// Its name.
pub const NAME: &str = "pvesh";
