//! Plans, steps, conditions.

use quorate_model::plan::{Condition, Plan, Step, Undo};

use super::{ConvertError, Wire, field};
use crate::v1;

message!(
    Plan = v1::Plan {
        cluster,
        spec_digest,
        steps,
        findings
    }
);
message!(
    Step = v1::Step {
        id,
        node,
        action,
        title,
        why,
        needs,
        gate,
        done_when,
        destroys,
        disks,
        estimate,
        undo,
        restores,
    }
);
oneof!(Undo = v1::Undo [undo: v1::undo::Undo] {
    operator: Operator { how } = v1::undo::Operator,
});
oneof!(Condition = v1::Condition [condition: v1::condition::Condition] {
    standalone: Standalone { node } = v1::condition::Standalone,
    members: Members { cluster, nodes, offline } = v1::condition::Members,
    quorate: Quorate { cluster, node } = v1::condition::Quorate,
    links_up: LinksUp { cluster, nodes } = v1::condition::LinksUp,
    link_up: LinkUp { cluster, link, addresses, priority } = v1::condition::LinkUp,
    off: Off { cluster, node, seen_by } = v1::condition::Off,
    cleaned_up: CleanedUp { cluster, removed, on, keep_folder } = v1::condition::CleanedUp,
    qdevice: Qdevice { cluster, nodes, host } = v1::condition::Qdevice,
    installed: Installed { node, packages } = v1::condition::Installed,
    keys_admitted: KeysAdmitted { node, cluster, keys } = v1::condition::KeysAdmitted,
    ha_disarmed: HaDisarmed { cluster, nodes } = v1::condition::HaDisarmed,
    ha_armed: HaArmed { cluster, nodes } = v1::condition::HaArmed,
    ha_service: HaService { node, service, running } = v1::condition::HaRuns,
    ha_service_or_out: HaServiceOrOut { cluster, node, service, seen_by } = v1::condition::HaServiceOrOut,
    qdevice_due: QdeviceDue { cluster, via, nodes } = v1::condition::QdeviceDue,
    qdevice_back: QdeviceBack { cluster, via, nodes, host } = v1::condition::QdeviceBack,
    not_two_votes: NotTwoVotes { cluster, node } = v1::condition::NotTwoVotes,
    agents_allowed: AgentsAllowed { node, passages, from } = v1::condition::AgentsAllowed,
    disks_free: DisksFree { node, layout } = v1::condition::DisksFree,
    pool_made: PoolMade { node, layout } = v1::condition::PoolMade,
    disk_carries: DiskCarries { node, disk, carries } = v1::condition::DiskCarries,
    disk_empty: DiskEmpty { node, disk } = v1::condition::DiskEmpty,
    pool_can_grow: PoolCanGrow { node, layout } = v1::condition::PoolCanGrow,
    pool_has: PoolHas { node, layout } = v1::condition::PoolHas,
    disk_can_replace: DiskCanReplace { node, pool, old, with, accepted } = v1::condition::DiskCanReplace,
    disk_replaced: DiskReplaced { node, pool, old, with } = v1::condition::DiskReplaced,
    storage_ready: StorageReady { storage, nodes } = v1::condition::StorageReady,
    agent_runs: AgentRuns { node, version, cluster } = v1::condition::AgentRuns,
    copy_made: CopyMade { node, guest, target } = v1::condition::CopyMade,
    replication_set: ReplicationSet { node, job, other, schedule, rate, returning_node, enabled } = v1::condition::ReplicationSet,
    copy_gone: CopyGone { node, guest, target } = v1::condition::CopyGone,
    migration_set: MigrationSet { node, migration } = v1::condition::MigrationSet,
    ha_resource_set: HaResourceSet { node, service, max_restart, max_relocate, group, no_failback } = v1::condition::HaResourceSet,
    ha_bound: HaBound { node, name, service, nodes } = v1::condition::HaBound,
    guest_at: GuestAt { cluster, guest, kind, node, seen_by, running, managed } = v1::condition::GuestAt,
    maintenance: Maintenance { cluster, node, on, seen_by } = v1::condition::Maintenance,
    drained: Drained { node } = v1::condition::Drained,
    spare: Spare { cluster, node, others } = v1::condition::Spare,
    rebooted: Rebooted { cluster, node, boot } = v1::condition::Rebooted,
    volumes_kept: VolumesKept { node, volumes, since } = v1::condition::VolumesKept,
    nothing_worse: NothingWorse { cluster, nodes, known } = v1::condition::NothingWorse,
    canary: Canary { cluster, guest, kind, node, there } = v1::condition::Canary,
    volume_gone: VolumeGone { node, volume } = v1::condition::VolumeGone,
});
