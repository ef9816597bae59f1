//! The ledger's form on disk. It is the ledger's own: a change of the model's JSON, which is made for people and
//! scripts, does not change what an older agent has written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::canary::{BridgeName, CanarySource, GuestAddress};
use quorate_model::disk_marks::Mark;
use quorate_model::fault::Fault;
use quorate_model::guest_ids::{HaName, JobId, Sid};
use quorate_model::held::GuestVolume;
use quorate_model::ids::{
    ClusterName, Driver, NodeName, OperationId, PackageDigest, PoolName, SshPublicKey, StorageName,
};
use quorate_model::lost::LostCopy;
use quorate_model::moves::MoveKind;
use quorate_model::observation::GuestKind;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::operation::{Action, HaService, LedgerEntry, Operation, Outcome, Package};
use quorate_model::pool_layout::{DiskIdentity, PoolLayout};
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;
use quorate_model::storage::StorageDefinition;
use quorate_model::{Hold, Passage, Release, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Anchored, Content, Revoked};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    driver: Option<Driver>,
    /// Missing in what an older agent has written.
    #[serde(default)]
    anchor: Option<Anchored>,
    revoked: Revoked,
    #[serde(default)]
    hold: Hold,
    operations: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry(#[serde(with = "EntryForm")] LedgerEntry);

#[derive(Serialize, Deserialize)]
#[serde(remote = "LedgerEntry", deny_unknown_fields)]
struct EntryForm {
    #[serde(with = "OperationForm")]
    operation: Operation,
    accepted_at: Timestamp,
    outcome: Option<Outcome>,
    ended_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Operation", deny_unknown_fields)]
struct OperationForm {
    id: OperationId,
    #[serde(with = "ActionForm")]
    action: Action,
}

/// Older ledgers have fewer actions and fewer fields: what was added later has a default.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Action", rename_all = "snake_case", deny_unknown_fields)]
enum ActionForm {
    CreateCluster {
        cluster: ClusterName,
        links: BTreeMap<u8, IpAddr>,
        #[serde(default)]
        priorities: BTreeMap<u8, u8>,
    },
    JoinCluster {
        cluster: ClusterName,
        member: NodeName,
        member_address: IpAddr,
        links: BTreeMap<u8, IpAddr>,
    },
    FinishJoin {
        cluster: ClusterName,
        member: NodeName,
    },
    AbandonJoin {
        cluster: ClusterName,
    },
    AddLink {
        cluster: ClusterName,
        link: u8,
        addresses: BTreeMap<NodeName, IpAddr>,
        priority: Option<u8>,
    },
    ExpectVotes {
        cluster: ClusterName,
        votes: u32,
    },
    RemoveMember {
        cluster: ClusterName,
        removed: NodeName,
        id: u32,
    },
    CleanUpAfter {
        cluster: ClusterName,
        removed: NodeName,
        #[serde(default)]
        keep_folder: bool,
    },
    PowerOff {
        cluster: ClusterName,
    },
    InstallPackages {
        packages: BTreeSet<Package>,
    },
    AdmitKeys {
        cluster: ClusterName,
        keys: BTreeSet<SshPublicKey>,
        from: BTreeSet<IpAddr>,
        minutes: u32,
    },
    WithdrawKeys {
        cluster: ClusterName,
    },
    SetUpQdevice {
        cluster: ClusterName,
        host: NodeName,
        address: IpAddr,
        host_keys: BTreeSet<SshPublicKey>,
    },
    RemoveQdevice {
        cluster: ClusterName,
    },
    DisarmHa {
        cluster: ClusterName,
    },
    ArmHa {
        cluster: ClusterName,
    },
    StopHa {
        cluster: ClusterName,
        service: HaService,
    },
    StartHa {
        cluster: ClusterName,
        service: HaService,
    },
    AllowAgents {
        cluster: ClusterName,
        #[serde(alias = "port", deserialize_with = "quorate_model::passage::or_port")]
        passages: BTreeSet<Passage>,
        from: BTreeSet<IpAddr>,
    },
    CreatePool {
        layout: PoolLayout,
    },
    WipeDisk {
        disk: DiskIdentity,
        carries: BTreeSet<Mark>,
    },
    GrowPool {
        layout: PoolLayout,
    },
    ReplaceDisk {
        pool: PoolName,
        old: String,
        with: DiskIdentity,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        accepted: BTreeSet<ReasonKind>,
    },
    AddStorage {
        cluster: ClusterName,
        storage: StorageDefinition,
        #[serde(default)]
        password_file: Option<String>,
    },
    ExtendStorage {
        cluster: ClusterName,
        storage: StorageDefinition,
    },
    UpgradeAgent {
        version: Release,
        package: PackageDigest,
        size: u64,
    },
    CreateReplication {
        cluster: ClusterName,
        job: JobId,
        target: NodeName,
        schedule: Schedule,
        rate: Option<u32>,
        returning_node: ReturningNode,
    },
    ChangeReplication {
        cluster: ClusterName,
        job: JobId,
        other: NodeName,
        schedule: Schedule,
        rate: Option<u32>,
        returning_node: ReturningNode,
        enable: bool,
    },
    RemoveReplication {
        cluster: ClusterName,
        job: JobId,
        target: NodeName,
    },
    SetMigrationNetwork {
        cluster: ClusterName,
        migration: String,
        before: Option<String>,
    },
    AddHaResource {
        cluster: ClusterName,
        service: Sid,
        started: bool,
        max_restart: Option<u32>,
        max_relocate: Option<u32>,
        group: Option<HaName>,
        no_failback: bool,
    },
    ChangeHaResource {
        cluster: ClusterName,
        service: Sid,
        max_restart: Option<u32>,
        max_relocate: Option<u32>,
        group: Option<HaName>,
        no_failback: bool,
    },
    SetHaRule {
        cluster: ClusterName,
        rule: HaName,
        service: Sid,
        nodes: BTreeSet<NodeName>,
        exists: bool,
    },
    SetHaGroup {
        cluster: ClusterName,
        group: HaName,
        nodes: BTreeSet<NodeName>,
        exists: bool,
    },
    MigrateGuest {
        cluster: ClusterName,
        guest: u32,
        kind: GuestKind,
        target: NodeName,
        how: MoveKind,
        managed: bool,
    },
    RunGuest {
        cluster: ClusterName,
        guest: u32,
        kind: GuestKind,
        run: bool,
    },
    SetMaintenance {
        cluster: ClusterName,
        node: NodeName,
        on: bool,
    },
    RebootNode {
        cluster: ClusterName,
        boot: String,
    },
    KeepVolumes {
        cluster: ClusterName,
        guest: u32,
        volumes: BTreeSet<GuestVolume>,
        since: Timestamp,
    },
    InjectFault {
        cluster: ClusterName,
        fault: Fault,
        seconds: u32,
        boot: String,
    },
    CreateCanary {
        cluster: ClusterName,
        guest: u32,
        source: CanarySource,
        storage: StorageName,
        bridge: BridgeName,
        vlan: Option<u16>,
        address: Option<GuestAddress>,
        memory: u32,
        program: PackageDigest,
    },
    DestroyCanary {
        cluster: ClusterName,
        guest: u32,
        kind: GuestKind,
    },
    SyncReplication {
        cluster: ClusterName,
        job: JobId,
        other: NodeName,
        since: Timestamp,
    },
    TakeGuest {
        cluster: ClusterName,
        guest: u32,
        kind: GuestKind,
        lost: NodeName,
        jobs: BTreeSet<JobId>,
        copy: LostCopy,
        starts: bool,
        seen_off: bool,
    },
    FreeCanaryDisc {
        cluster: ClusterName,
        guest: u32,
        owner: NodeName,
        storage: StorageName,
        volume: GuestVolume,
    },
}

impl From<&Content> for Stored {
    fn from(content: &Content) -> Self {
        let Content {
            driver,
            anchor,
            revoked,
            hold,
            operations,
        } = content.clone();
        Self {
            driver,
            anchor,
            revoked,
            hold,
            operations: operations.into_iter().map(Entry).collect(),
        }
    }
}

impl From<Stored> for Content {
    fn from(stored: Stored) -> Self {
        let Stored {
            driver,
            anchor,
            revoked,
            hold,
            operations,
        } = stored;
        Self {
            driver,
            anchor,
            revoked,
            hold,
            operations: operations.into_iter().map(|Entry(entry)| entry).collect(),
        }
    }
}
