//! Commands of a scenario: what befalls servers and services (facts C.12).

use serde::{Deserialize, Deserializer};

use super::GuestStats;
use crate::model::{CrmCommand, Requested, Seconds, Sid};

/// One of the two daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// The one that decides.
    Crm,
    /// The one that keeps services.
    Lrm,
}

impl Daemon {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crm => "crm",
            Self::Lrm => "lrm",
        }
    }
}

/// What of pmxcfs works or fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CfsPart {
    /// Reading and writing.
    ReadWrite,
    /// Taking over the newest state.
    Update,
}

/// What is done to a CRM, or by way of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrmAction {
    /// Its process starts.
    Start,
    /// Its process is asked to end.
    Stop,
    /// A command is queued for the master.
    Queue(CrmCommand),
}

/// What a guest uses from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats(pub GuestStats);

/// What befalls a service.
#[derive(Debug, Clone, PartialEq)]
pub enum ServiceAction {
    /// Something else is wanted of it.
    Want(Requested),
    /// A command is queued for the master.
    Queue(CrmCommand),
    /// It comes under HA.
    Add {
        /// Where it is.
        node: String,
        /// What is wanted of it.
        state: Requested,
        /// It runs already.
        running: bool,
    },
    /// It is not under HA any more.
    Delete,
    /// Its guest is locked.
    Lock(String),
    /// Its guest's lock is removed, or only this one.
    Unlock(Option<String>),
    /// Its guest is moved by hand.
    MoveByHand(String),
    /// It uses more, or less.
    Stats(Stats),
}

/// What a command does.
#[derive(Debug, Clone, PartialEq)]
pub enum Do {
    /// A server gets power, or loses it.
    Power {
        /// Which.
        node: String,
        /// Power from now on.
        on: bool,
    },
    /// A server gets its network, or loses it.
    Network {
        /// Which.
        node: String,
        /// Network from now on.
        on: bool,
    },
    /// No further command before so many seconds have passed.
    Delay(Seconds),
    /// A daemon misses rounds, on all nodes.
    SkipRound {
        /// Which one.
        daemon: Daemon,
        /// So many.
        rounds: u32,
    },
    /// pmxcfs works or fails on a server.
    Cfs {
        /// Which.
        node: String,
        /// What of it.
        part: CfsPart,
        /// It works from now on.
        works: bool,
    },
    /// A server goes down, and comes back.
    Reboot(String),
    /// A server goes down.
    Shutdown(String),
    /// The LRM restarts.
    RestartLrm(String),
    /// A server gets another version of pve-manager.
    Version {
        /// Which.
        node: String,
        /// The version.
        version: String,
    },
    /// Something is done to a CRM, or by way of it.
    Crm(String, CrmAction),
    /// Something befalls a service.
    Service(Sid, ServiceAction),
}

/// A command as it is written, and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// As it is written, for the log.
    pub text: String,
    /// What it does.
    pub does: Do,
}

impl Command {
    /// The nodes it names.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        match &self.does {
            Do::Power { node, .. }
            | Do::Network { node, .. }
            | Do::Cfs { node, .. }
            | Do::Version { node, .. }
            | Do::Reboot(node)
            | Do::Shutdown(node)
            | Do::RestartLrm(node)
            | Do::Crm(node, _)
            | Do::Service(
                _,
                ServiceAction::Add { node, .. }
                | ServiceAction::MoveByHand(node)
                | ServiceAction::Queue(CrmCommand::Move { target: node, .. }),
            ) => vec![node],
            Do::Delay(_) | Do::SkipRound { .. } | Do::Service(..) => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
