//! Nodes and the two daemons on each.

use super::words::words;

words! {
    /// A node as the master sees it (facts C.3).
    NodeState {
        /// In the quorate partition.
        Online = "online",
        /// In the quorate partition, but not to be given work.
        Maintenance = "maintenance",
        /// Not in the quorate partition, and perhaps still running.
        Unknown = "unknown",
        /// To be fenced before its services may start elsewhere.
        Fence = "fence",
        /// Not a member of the cluster any more.
        Gone = "gone",
    }
}

words! {
    /// What an LRM does.
    LrmState {
        /// It has nothing to keep, and no watchdog.
        WaitForAgentLock = "wait_for_agent_lock",
        /// It holds its lock and keeps its services.
        Active = "active",
        /// It holds its lock until its services have moved away.
        Maintenance = "maintenance",
        /// It lost its lock; the watchdog is running out.
        LostAgentLock = "lost_agent_lock",
    }
}

words! {
    /// What an LRM tells the master to expect of it.
    LrmMode {
        /// Its ordinary work.
        Active = "active",
        /// It will be back soon: freeze its services.
        Restart = "restart",
        /// It goes: its services are stopped.
        Shutdown = "shutdown",
        /// Its services are to move away.
        Maintenance = "maintenance",
        /// It gives up lock and watchdog, as was asked of all.
        Disarm = "disarm",
    }
}

words! {
    /// What a CRM does.
    CrmState {
        /// No quorum, or nothing to do.
        WaitForQuorum = "wait_for_quorum",
        /// It decides.
        Master = "master",
        /// It just lost the manager's lock.
        LostManagerLock = "lost_manager_lock",
        /// Another one decides.
        Slave = "slave",
    }
}
