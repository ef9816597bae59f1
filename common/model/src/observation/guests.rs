//! The list of guests that a node knows of.

use serde::{Deserialize, Serialize};

/// A virtual machine or container. Source: /etc/pve/.vmlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its id, unique in the cluster.
    pub vmid: u32,
    /// The node that owns it.
    pub node: String,
    /// What it is.
    pub kind: GuestKind,
}

/// Virtual machine or container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestKind {
    /// A virtual machine (`qemu`).
    Vm,
    /// A container (`lxc`).
    Container,
}
