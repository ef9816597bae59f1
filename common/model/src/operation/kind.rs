//! The kinds of actions, without what each of them is about.

use serde::{Deserialize, Serialize};

use super::Action;

/// One row for each kind of action: its name in code and as shown.
macro_rules! kinds {
    ($($kind:ident $shown:literal;)*) => {
        /// The kinds of actions: every table about actions has a row for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ActionKind {
            $(
                #[doc = concat!("See [`Action::", stringify!($kind), "`].")]
                $kind,
            )*
        }

        impl ActionKind {
            /// All of them.
            pub const ALL: [ActionKind; [$($shown),*].len()] = [$(Self::$kind),*];

            /// As shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $shown,)*
                }
            }
        }

        impl Action {
            /// Its kind, for tables and logs.
            #[must_use]
            pub fn kind(&self) -> ActionKind {
                match self {
                    $(Self::$kind { .. } => ActionKind::$kind,)*
                }
            }
        }
    };
}

kinds! {
    CreateCluster "create cluster";
    JoinCluster "join cluster";
    FinishJoin "finish join";
    AbandonJoin "abandon join";
    AddLink "add link";
    ExpectVotes "expect votes";
    RemoveMember "remove member";
    CleanUpAfter "clean up after";
    PowerOff "power off";
    InstallPackages "install packages";
    AdmitKeys "admit keys";
    WithdrawKeys "withdraw keys";
    SetUpQdevice "set up qdevice";
    RemoveQdevice "remove qdevice";
    DisarmHa "disarm ha";
    ArmHa "arm ha";
    StopHa "stop ha";
    StartHa "start ha";
    AllowAgents "allow agents";
    CreatePool "create pool";
    WipeDisk "wipe disk";
    GrowPool "grow pool";
    ReplaceDisk "replace disk";
    AddStorage "add storage";
    ExtendStorage "extend storage";
    UpgradeAgent "upgrade agent";
    CreateReplication "create replication";
    ChangeReplication "change replication";
    RemoveReplication "remove replication";
    SetMigrationNetwork "set migration network";
    AddHaResource "add ha resource";
    ChangeHaResource "change ha resource";
    SetHaRule "set ha rule";
    SetHaGroup "set ha group";
    MigrateGuest "migrate guest";
    RunGuest "run guest";
    SetMaintenance "set maintenance";
    RebootNode "reboot node";
    KeepVolumes "keep volumes";
    InjectFault "inject fault";
    CreateCanary "create canary";
    DestroyCanary "destroy canary";
    SyncReplication "sync replication";
    TakeGuest "take guest";
    FreeCanaryDisc "free canary disc";
}
