//! Operations, their events, how they end.

use quorate_model::fault::{Fault, HealPhase, MetFault, PowerCut};
use quorate_model::moves::MoveKind;
use quorate_model::operation::{
    Action, HaService, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome, Package,
};
use quorate_model::schedule::{BadSchedule, Schedule};
use quorate_model::spec::ReturningNode;

use super::{ConvertError, Wire, field};
use crate::v1;

message!(Operation = v1::Operation { id, action });
oneof!(Action = v1::Action [action: v1::action::Action] {
    create_cluster: CreateCluster { cluster, links, priorities } = v1::CreateCluster,
    join_cluster: JoinCluster { cluster, member, member_address, links } = v1::JoinCluster,
    finish_join: FinishJoin { cluster, member } = v1::FinishJoin,
    abandon_join: AbandonJoin { cluster } = v1::AbandonJoin,
    add_link: AddLink { cluster, link, addresses, priority } = v1::AddLink,
    expect_votes: ExpectVotes { cluster, votes } = v1::ExpectVotes,
    remove_member: RemoveMember { cluster, removed, id } = v1::RemoveMember,
    clean_up_after: CleanUpAfter { cluster, removed, keep_folder } = v1::CleanUpAfter,
    power_off: PowerOff { cluster } = v1::PowerOff,
    install_packages: InstallPackages { packages } = v1::InstallPackages,
    admit_keys: AdmitKeys { cluster, keys, from, minutes } = v1::AdmitKeys,
    withdraw_keys: WithdrawKeys { cluster } = v1::WithdrawKeys,
    set_up_qdevice: SetUpQdevice { cluster, host, address, host_keys } = v1::SetUpQdevice,
    remove_qdevice: RemoveQdevice { cluster } = v1::RemoveQdevice,
    disarm_ha: DisarmHa { cluster } = v1::DisarmHa,
    arm_ha: ArmHa { cluster } = v1::ArmHa,
    stop_ha: StopHa { cluster, service } = v1::StopHa,
    start_ha: StartHa { cluster, service } = v1::StartHa,
    allow_agents: AllowAgents { cluster, passages, from } = v1::AllowAgents,
    create_pool: CreatePool { layout } = v1::CreatePool,
    wipe_disk: WipeDisk { disk, carries } = v1::WipeDisk,
    grow_pool: GrowPool { layout } = v1::GrowPool,
    replace_disk: ReplaceDisk { pool, old, with, accepted } = v1::ReplaceDisk,
    add_storage: AddStorage { cluster, storage, password_file } = v1::AddStorage,
    extend_storage: ExtendStorage { cluster, storage } = v1::ExtendStorage,
    upgrade_agent: UpgradeAgent { version, package, size } = v1::UpgradeAgent,
    create_replication: CreateReplication { cluster, job, target, schedule, rate, returning_node } = v1::CreateReplication,
    change_replication: ChangeReplication { cluster, job, other, schedule, rate, returning_node, enable } = v1::ChangeReplication,
    remove_replication: RemoveReplication { cluster, job, target } = v1::RemoveReplication,
    set_migration_network: SetMigrationNetwork { cluster, migration, before } = v1::SetMigrationNetwork,
    add_ha_resource: AddHaResource { cluster, service, started, max_restart, max_relocate, group, no_failback } = v1::AddHaResource,
    change_ha_resource: ChangeHaResource { cluster, service, max_restart, max_relocate, group, no_failback } = v1::ChangeHaResource,
    set_ha_rule: SetHaRule { cluster, rule, service, nodes, exists } = v1::SetHaRule,
    set_ha_group: SetHaGroup { cluster, group, nodes, exists } = v1::SetHaGroup,
    migrate_guest: MigrateGuest { cluster, guest, kind, target, how, managed } = v1::MigrateGuest,
    run_guest: RunGuest { cluster, guest, kind, run } = v1::RunGuest,
    set_maintenance: SetMaintenance { cluster, node, on } = v1::SetMaintenance,
    reboot_node: RebootNode { cluster, boot } = v1::RebootNode,
    keep_volumes: KeepVolumes { cluster, guest, volumes, since } = v1::KeepVolumes,
    inject_fault: InjectFault { cluster, fault, seconds, boot } = v1::InjectFault,
    create_canary: CreateCanary { cluster, guest, source, storage, bridge, vlan, address, memory, program } = v1::CreateCanary,
    destroy_canary: DestroyCanary { cluster, guest, kind } = v1::DestroyCanary,
    sync_replication: SyncReplication { cluster, job, other, since } = v1::SyncReplication,
    take_guest: TakeGuest { cluster, guest, kind, lost, jobs, copy, starts, seen_off } = v1::TakeGuest,
    free_canary_disc: FreeCanaryDisc { cluster, guest, owner, storage, volume } = v1::FreeCanaryDisc,
});
oneof!(Fault = v1::Fault [fault: v1::fault::Fault] {
    network: Network {} = v1::FaultNetwork,
    cluster_network: ClusterNetwork {} = v1::FaultClusterNetwork,
    link: Link { link } = v1::FaultLink,
    power: Power { how, attended } = v1::FaultPower,
    corosync: Corosync {} = v1::FaultCorosync,
    pmxcfs: Pmxcfs {} = v1::FaultPmxcfs,
    lrm: Lrm {} = v1::FaultLrm,
    guest: Guest { guest } = v1::FaultGuest,
    disk: Disk { pool, disk } = v1::FaultDisk,
    osd: Osd { osd } = v1::FaultOsd,
    mon: Mon {} = v1::FaultMon,
    storage_network: StorageNetwork {} = v1::FaultStorageNetwork,
});
choice!(PowerCut = v1::fault_power::How { Reset, Off, Shutdown });
message!(
    MetFault = v1::MetFault {
        id,
        fault,
        begun_at,
        ends_at,
        phase,
        said
    }
);
choice!(
    HealPhase = v1::HealPhase {
        Holds,
        Undone,
        MayReset,
        ResetComing,
        NothingThere,
        Person,
        Failed
    }
);
choice!(MoveKind = v1::migrate_guest::How { Live, Restart, Offline });
choice!(
    Package = v1::Package {
        CorosyncQdevice,
        CorosyncQnetd
    }
);
choice!(ReturningNode = v1::ReturningNode { Hold, Discard });

impl Wire<String> for Schedule {
    fn into_wire(self) -> String {
        self.into()
    }
    fn from_wire(wire: String) -> Result<Self, ConvertError> {
        wire.parse()
            .map_err(|error: BadSchedule| ConvertError::new(error.to_string()))
    }
}
choice!(HaService = v1::HaService { Lrm, Crm });

message!(OperationEvent = v1::OperationEvent { sequence, at, kind });
oneof!(OperationEventKind = v1::OperationEventKind [kind: v1::operation_event_kind::Kind] {
    accepted: Accepted {} = v1::Accepted,
    tool_started: ToolStarted { command, pid } = v1::ToolStarted,
    line: Line { stderr, text } = v1::Line,
    tool_ended: ToolEnded { exit, milliseconds } = v1::ToolEnded,
    verifying: Verifying { waiting_for } = v1::Verifying,
    overdue: Overdue { diagnosis } = v1::Overdue,
} holding { ended: Ended });

oneof!(Outcome = v1::Outcome [outcome: v1::outcome::Outcome] {
    done: Done { evidence } = v1::Done,
    failed: Failed { findings, unchanged } = v1::Failed,
    unknown: Unknown { reason, over } = v1::OutcomeUnknown,
});

message!(
    LedgerEntry = v1::LedgerEntry {
        operation,
        accepted_at,
        outcome,
        ended_at
    }
);
