//! What the two daemons need of the world they live in. Two worlds give it to them: the regression simulator ([`crate::sim`]), and
//! the lab with its own clock.

use std::collections::BTreeMap;

use crate::load::Load;
use crate::log::Level;
use crate::model::{Datacenter, LrmStatus, ManagerStatus, Seconds, Services, Sid};
use crate::usage::OtherGuest;
use crate::watchdog::WatchdogId;

/// Why a file of pmxcfs could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CfsError {
    /// pmxcfs is not there, or does not answer.
    #[error("cfs connection refused - not mounted?")]
    NotMounted,
    /// Something else, in the words of who tried.
    #[error("{0}")]
    Refused(String),
}

/// When a daemon wants to be called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// After so many seconds, to go on with the round it is in.
    Within(Seconds),
    /// After so many seconds, for its next round.
    Round(Seconds),
    /// Never: its process ends.
    Exit,
}

/// What both daemons need.
pub trait Env {
    /// The time, in seconds. It does not go back.
    fn now(&self) -> Seconds;
    /// The node the daemon runs on.
    fn node(&self) -> &str;
    /// Says something.
    fn log(&mut self, level: Level, text: &str);

    /// Does this node belong to the partition that has quorum?
    fn quorate(&self) -> bool;
    /// The members of the cluster, and whether each is in the quorate partition; nobody is, where there is none.
    fn members(&self) -> BTreeMap<String, bool>;
    /// Takes over pmxcfs's newest state. False when that failed: what is read may be old, and nothing may be decided by it.
    fn update_cluster_state(&mut self) -> bool;

    /// Reads `manager_status`; an empty one where there is none.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be read.
    fn manager_status(&self) -> Result<ManagerStatus, CfsError>;
    /// Reads the services' configuration.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be read.
    fn services(&self) -> Result<Services, CfsError>;
    /// What `datacenter.cfg` says.
    fn datacenter(&self) -> Datacenter;

    /// Connects to the watchdog of this node.
    fn watchdog_open(&mut self) -> WatchdogId;
    /// Reports to it.
    fn watchdog_update(&mut self, id: WatchdogId);
    /// Takes leave of it.
    fn watchdog_close(&mut self, id: WatchdogId);
}

/// What a CRM needs besides.
pub trait CrmEnv: Env {
    /// Takes or refreshes the manager's lock; never without quorum.
    fn take_manager_lock(&mut self) -> bool;
    /// Gives it back. False when that did not work.
    fn release_manager_lock(&mut self) -> bool;
    /// Takes the lock of another node's LRM: that node is fenced then.
    fn take_agent_lock_of(&mut self, node: &str) -> bool;

    /// Writes `manager_status`.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be written.
    fn write_manager_status(&mut self, status: &ManagerStatus) -> Result<(), CfsError>;
    /// Reads a node's `lrm_status`; an empty one where there is none.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be read.
    fn lrm_status(&self, node: &str) -> Result<LrmStatus, CfsError>;
    /// Takes the lines of `crm_commands` away.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be used.
    fn take_commands(&mut self) -> Result<Vec<String>, CfsError>;
    /// Are there any?
    fn commands_wait(&self) -> bool;

    /// The text of `rules.cfg`.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be read.
    fn rules(&self) -> Result<String, CfsError>;
    /// Writes it.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be written.
    fn write_rules(&mut self, text: &str) -> Result<(), CfsError>;
    /// The text of `groups.cfg`.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be read.
    fn groups(&self) -> Result<String, CfsError>;
    /// Removes `groups.cfg`.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be written.
    fn remove_groups(&mut self) -> Result<(), CfsError>;
    /// Changes the configuration of services.
    ///
    /// # Errors
    ///
    /// There is no such service, or pmxcfs cannot be written.
    fn change_services(&mut self, changes: &[ServiceChange]) -> Result<(), CfsError>;

    /// Moves a guest's configuration from a node that was fenced.
    ///
    /// # Errors
    ///
    /// It does not lie there, or pmxcfs cannot be written.
    fn steal_service(&mut self, sid: &Sid, from: &str, to: &str) -> Result<(), CfsError>;
    /// Removes the first of these locks that the guest has, and says which.
    fn remove_guest_lock(&mut self, sid: &Sid, locks: &[&str]) -> Option<String>;

    /// The guests that run, or may run, without being in the manager's view; they count in the choice of a node.
    fn other_guests(&self) -> Vec<OtherGuest>;
    /// What nodes have and guests use, for the scheduler that is asked for; nothing for the basic one.
    ///
    /// # Errors
    ///
    /// The figures are not there.
    fn load(&mut self, scheduler: &str) -> Result<Load, CfsError>;
    /// The version of pve-manager on a node.
    fn node_version(&self, node: &str) -> Option<String>;
    /// A name for a request that no other one has, ever.
    fn fresh_uid(&mut self) -> String;
    /// Tells the administrator.
    fn notify(&mut self, subject: &str);
}

/// A change of a service's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceChange {
    /// What is wanted of it: stopped.
    Stop(Sid),
    /// The group goes; whether it fails back stays as the group had it.
    LeaveGroup {
        /// Which service.
        sid: Sid,
        /// Whether it fails back.
        failback: bool,
    },
}

/// Why a node's LRM was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeShutdown {
    /// Only the daemon ends.
    No,
    /// The node goes off.
    Poweroff,
    /// The node comes back.
    Reboot,
}

/// What is done to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Start it.
    Start,
    /// Stop it, hard after the timeout.
    Stop {
        /// In seconds; the guest's own without.
        timeout: Option<Seconds>,
    },
    /// To another node.
    Move {
        /// Where to.
        target: String,
        /// Without a stop.
        online: bool,
    },
}

/// How far that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Under way.
    Going,
    /// At its end. For a move: has the guest left? For the others, whether it runs is asked of the guest.
    Ended {
        /// It was done.
        done: bool,
    },
    /// It could not even be tried.
    Failed,
}

/// What an LRM needs besides.
pub trait LrmEnv: Env {
    /// Takes or refreshes the lock of this node; never without quorum.
    fn take_agent_lock(&mut self) -> bool;
    /// Gives it back.
    fn release_agent_lock(&mut self);
    /// Writes this node's `lrm_status`.
    ///
    /// # Errors
    ///
    /// pmxcfs cannot be written.
    fn write_lrm_status(&mut self, status: &LrmStatus) -> Result<(), CfsError>;
    /// Is the node going down?
    fn node_shutdown(&self) -> NodeShutdown;
    /// So many guests are worked on at once.
    fn max_workers(&self) -> usize;

    /// Is there a resource agent for this type of service?
    fn knows_type(&self, kind: &str) -> bool;
    /// Does the guest run here?
    fn runs(&self, sid: &Sid) -> bool;
    /// Begins to do something to a guest. In a world where that takes no time, it is at its end at once.
    fn begin(&mut self, sid: &Sid, act: &Act) -> Progress;
    /// How far that is.
    fn progress(&mut self, sid: &Sid) -> Progress;
}
