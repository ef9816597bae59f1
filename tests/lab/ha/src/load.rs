//! Processors and memory: the schedulers `static` and `dynamic` (facts C.8).

use std::collections::BTreeMap;

use crate::model::Sid;
use crate::usage::Occupied;

/// Where the figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduler {
    /// From configurations: what guests may use.
    Static,
    /// Measured: what they do use.
    Dynamic,
}

/// What a node has, and what is used of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct NodeLoad {
    /// Processors in use.
    pub cpu: f64,
    /// Processors.
    pub maxcpu: f64,
    /// Bytes in use.
    pub mem: f64,
    /// Bytes.
    pub maxmem: f64,
}

/// What a guest uses, and what it may.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GuestLoad {
    /// Processors in use.
    pub cpu: f64,
    /// Processors.
    pub maxcpu: f64,
    /// Bytes in use.
    pub mem: f64,
    /// Bytes.
    pub maxmem: f64,
}

/// The figures for a choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Where they come from.
    pub scheduler: Scheduler,
    /// The nodes.
    pub nodes: BTreeMap<String, NodeLoad>,
    /// The guests.
    pub guests: BTreeMap<Sid, GuestLoad>,
}

impl Load {
    pub(crate) fn keep_nodes<'a>(&mut self, online: impl Iterator<Item = &'a String>) -> Result<(), String> {
        let mut kept = BTreeMap::new();
        for node in online {
            let load = self.nodes.get(node).ok_or_else(|| node.clone())?;
            kept.insert(node.clone(), *load);
        }
        self.nodes = kept;
        Ok(())
    }

    pub(crate) fn add(&mut self, _sid: &Sid, _occupied: Occupied<'_>, _runs: bool) {}

    pub(crate) fn remove(&mut self, _sid: &Sid) {}

    pub(crate) fn scores(&self, _sid: &Sid) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }
}
