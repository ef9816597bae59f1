//! Which cluster an action is about.

use super::Action;
use crate::ids::ClusterName;

impl Action {
    /// The cluster that it is about, or whose keys they are; `None`: it is about its host alone.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::InstallPackages { .. }
            | Self::CreatePool { .. }
            | Self::GrowPool { .. }
            | Self::WipeDisk { .. }
            | Self::ReplaceDisk { .. }
            | Self::UpgradeAgent { .. } => None,
            Self::CreateCluster { cluster, .. }
            | Self::JoinCluster { cluster, .. }
            | Self::FinishJoin { cluster, .. }
            | Self::AbandonJoin { cluster }
            | Self::AddLink { cluster, .. }
            | Self::ExpectVotes { cluster, .. }
            | Self::RemoveMember { cluster, .. }
            | Self::CleanUpAfter { cluster, .. }
            | Self::PowerOff { cluster }
            | Self::AdmitKeys { cluster, .. }
            | Self::WithdrawKeys { cluster }
            | Self::SetUpQdevice { cluster, .. }
            | Self::RemoveQdevice { cluster }
            | Self::DisarmHa { cluster }
            | Self::ArmHa { cluster }
            | Self::StopHa { cluster, .. }
            | Self::StartHa { cluster, .. }
            | Self::AllowAgents { cluster, .. }
            | Self::AddStorage { cluster, .. }
            | Self::ExtendStorage { cluster, .. }
            | Self::CreateReplication { cluster, .. }
            | Self::ChangeReplication { cluster, .. }
            | Self::RemoveReplication { cluster, .. }
            | Self::SetMigrationNetwork { cluster, .. }
            | Self::AddHaResource { cluster, .. }
            | Self::ChangeHaResource { cluster, .. }
            | Self::SetHaRule { cluster, .. }
            | Self::SetHaGroup { cluster, .. }
            | Self::MigrateGuest { cluster, .. }
            | Self::RunGuest { cluster, .. }
            | Self::SetMaintenance { cluster, .. }
            | Self::RebootNode { cluster, .. }
            | Self::KeepVolumes { cluster, .. }
            | Self::InjectFault { cluster, .. }
            | Self::CreateCanary { cluster, .. }
            | Self::DestroyCanary { cluster, .. }
            | Self::SyncReplication { cluster, .. }
            | Self::TakeGuest { cluster, .. }
            | Self::FreeCanaryDisc { cluster, .. } => Some(cluster),
        }
    }
}
