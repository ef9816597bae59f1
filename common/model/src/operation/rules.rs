//! The table that says for each action what its deadline and a cancel do, whether it may be tried again, and whether it
//! disturbs what runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ActionKind;

/// What happens when an action's deadline passes, and when the operator cancels while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// The tool is asked to stop (SIGTERM): it ends its own task and leaves nothing half-done.
    Stop,
    /// It is diagnosed and followed: stopping it half-way would leave a half-state.
    Follow,
    /// It is followed until it is long overdue. Then it is let go of: it may still run, and what was done for it is taken back.
    LetGo,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionRules {
    /// The action.
    pub kind: ActionKind,
    /// How long it should take at most.
    pub deadline: Duration,
    /// What happens then.
    pub on_deadline: OnDeadline,
    /// What a cancel does while it runs.
    pub on_cancel: OnDeadline,
    /// May it simply be sent again when the first try is known to have failed without a trace?
    pub repeatable: bool,
    /// Does it touch membership, corosync or running services? Then it begins only inside a maintenance window, never while
    /// frozen, and never beside another such one.
    pub disruptive: bool,
    /// Does it take something away that can't be had back by running it again? The node's own policy may forbid it
    /// (`allow_remove`).
    pub removes: bool,
    /// Does it destroy what is on a disk? The node's own policy has to allow it (`allow_destroy`).
    pub destroys: bool,
    /// Why so.
    pub why: &'static str,
}

/// One row: kind, seconds, repeatable, disruptive, whether it removes or destroys, reason. Every change is followed rather than stopped: a half-state is
/// worse than waiting. What waits for PVE's lock on corosync.conf (130 s, a lock that was left behind lives 120) has the time for it.
macro_rules! table {
    ($($kind:ident $seconds:literal $repeatable:ident $disruptive:ident $takes:ident $why:literal;)*) => {
        /// The rules of an action.
        #[must_use]
        pub const fn rules(kind: ActionKind) -> ActionRules {
            match kind {
                $(
                    ActionKind::$kind => ActionRules {
                        kind,
                        deadline: Duration::from_secs($seconds),
                        on_deadline: OnDeadline::Follow,
                        // The one tool that may wait for ever: `pvecm add`, for quorum.
                        on_cancel: match kind {
                            ActionKind::JoinCluster => OnDeadline::LetGo,
                            _ => OnDeadline::Follow,
                        },
                        repeatable: said!($repeatable),
                        disruptive: said!($disruptive),
                        removes: takes!($takes, removes),
                        destroys: takes!($takes, destroys),
                        why: $why,
                    },
                )*
            }
        }

        /// The table. Durations are PVE's own with ample room (create: 2.5 s + up to 6 s until /etc/pve is writable; join: 14–15 s;
        /// QDevice: 7 s; disarming: 20 s).
        pub const ACTION_RULES: [ActionRules; ActionKind::ALL.len()] = [$(rules(ActionKind::$kind)),*];
    };
}

macro_rules! said {
    (yes) => {
        true
    };
    (no) => {
        false
    };
}

macro_rules! takes {
    (removes, removes) => {
        true
    };
    (destroys, destroys) => {
        true
    };
    ($takes:ident, $what:ident) => {
        false
    };
}

#[rustfmt::skip]
table! {
    // kind       seconds repeatable disruptive takes away
    CreateCluster    60 yes yes nothing "it takes seconds, and stopping it between the key and corosync.conf leaves files that refuse the next try";
    JoinCluster     120 yes yes nothing "after the member has accepted the node, a killed join leaves a vote without a voter; before that it ends by itself; only its wait for quorum has no end";
    FinishJoin      120 yes yes nothing "it restarts corosync on a node that is not in yet; every part of it may be done twice";
    AbandonJoin      60 yes yes removes "between stopping pve-cluster and starting it in local mode the node has no /etc/pve";
    AddLink         180 yes yes nothing "the rename is the one moment that counts; before it nothing has happened, after it corosync takes it over or not";
    ExpectVotes      20 yes yes nothing "it is one call to corosync, and the next change of corosync.conf undoes it";
    RemoveMember     60 yes yes removes "it holds the cluster's lock on corosync.conf; killed, it leaves the lock for two minutes";
    CleanUpAfter     60 yes no  removes "what is already gone stays gone, and a copy was made first";
    PowerOff        180 yes yes removes "a shutdown can't be called back";
    InstallPackages 600 yes no  nothing "a killed dpkg leaves packages half-configured and its lock held";
    AdmitKeys        20 yes no  nothing "one line in a file; sshd stops honouring it by itself";
    WithdrawKeys     20 yes no  nothing "one line in a file";
    SetUpQdevice    120 no  yes nothing "a set-up that was stopped leaves certificate stores that refuse the next one, and the cluster's private key in /etc/pve";
    RemoveQdevice    60 yes yes nothing "it clears one node after another; half-way, some still vote by the device";
    DisarmHa        120 yes no  nothing "the master carries it out over some rounds; nothing is gained by stopping the command";
    ArmHa           120 yes no  nothing "as for disarming; and nothing may keep it from coming";
    StopHa          180 yes no  nothing "a killed LRM with an armed watchdog resets its node";
    StartHa          60 yes no  nothing "starting a unit that runs does nothing";
    AllowAgents      20 yes no  nothing "one file, put in place by a rename";
    CreatePool      120 no  no  nothing "a zpool that is killed leaves partitions and labels on some of the disks and not on others";
    WipeDisk        600 yes no  destroys "a disk that is wiped in part carries what nobody can read any more; wiping it again ends that";
    GrowPool        120 no  no  nothing "a zpool that is killed leaves partitions and labels on some of the disks and not on others";
    ReplaceDisk     120 no  no  nothing "as for growing; what is being made anew goes on by itself";
    AddStorage      120 yes no  nothing "PVE writes one file under its own lock, tries the storage, and takes it back itself if that fails";
    ExtendStorage    60 yes no  nothing "one file, written under PVE's own lock";
    UpgradeAgent    300 yes yes nothing "a killed dpkg leaves the package half-configured and its lock held; the agent itself is started anew half-way";
    CreateReplication 60 yes no nothing "one section of a file, written under PVE's own lock; the copying itself is PVE's";
    ChangeReplication 60 yes no nothing "one section of a file, written under PVE's own lock";
    RemoveReplication 600 yes no destroys "PVE's scheduler on the guest's owner carries it out, minute by minute until it succeeds";
    SetMigrationNetwork 60 yes no nothing "one line of a file, written under PVE's own lock";
    AddHaResource    60 no  no  nothing "one section of a file, written under PVE's own lock; done twice it is refused";
    ChangeHaResource 60 yes no  nothing "one section of a file, written under PVE's own lock";
    SetHaRule        60 no  no  nothing "one section of a file, written under PVE's own lock; added twice it is refused";
    SetHaGroup       60 no  no  nothing "one section of a file, written under PVE's own lock; added twice it is refused";
    MigrateGuest   3600 no  no  nothing "PVE ends its own task and clears up where it can; killed, it leaves the guest locked, or disks on both servers";
    RunGuest        420 yes no  nothing "a guest that takes long to shut down is not switched off; pct waits twice for one, and qm five minutes for a volume on ZFS that does not appear";
    SetMaintenance 3600 yes no  nothing "the master carries it out over some rounds, and moves guests for as long as they take; nothing is gained by stopping the command";
    RebootNode     1800 no  yes nothing "a shutdown can't be called back";
    KeepVolumes     120 yes no  nothing "each volume is renamed in one go; what has its new name already is left so";
    InjectFault     120 no  yes nothing "half-way it is noted and has its timers, and healing takes it back; done twice it would be another one";
    CreateCanary    900 yes no  nothing "a disk of some gigabytes is imported; what is there is known by its tag, and gone on with";
    DestroyCanary  1200 yes no  destroys "PVE's scheduler takes its copies away, minute by minute; what is gone stays gone";
    SyncReplication  60 yes no  nothing "one number in a file of the guest's owner, written under PVE's own lock";
    TakeGuest       120 yes no  nothing "one line in each job, then one rename in /etc/pve; what is done already is left so";
    FreeCanaryDisc   60 yes no  nothing "one volume of 4 MiB of our own canary, which PVE makes anew at every start; what is gone stays gone";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_own_row() {
        for kind in ActionKind::ALL {
            assert_eq!(rules(kind).kind, kind);
            assert!(rules(kind).deadline > Duration::ZERO && !rules(kind).why.is_empty());
        }
    }

    #[test]
    fn flags_are_what_they_say() {
        let remove = rules(ActionKind::RemoveMember);
        assert!(remove.disruptive && remove.removes && remove.repeatable);
        let arm = rules(ActionKind::ArmHa);
        assert!(!arm.disruptive && !arm.removes, "arming must never wait for a window");
        assert!(!rules(ActionKind::SetUpQdevice).repeatable);
        let destroying = ActionKind::ALL.into_iter().filter(|kind| rules(*kind).destroys);
        assert_eq!(
            destroying.collect::<Vec<_>>(),
            [
                ActionKind::WipeDisk,
                ActionKind::RemoveReplication,
                ActionKind::DestroyCanary
            ]
        );
        assert_eq!(rules(ActionKind::JoinCluster).on_cancel, OnDeadline::LetGo);
        assert_eq!(rules(ActionKind::RemoveMember).on_cancel, OnDeadline::Follow);
    }
}
