//! Operations and what is said about them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proptest::prelude::*;
use quorate_model::canary::NewCanary;
use quorate_model::compression::Compression;
use quorate_model::disk_marks::Mark;
use quorate_model::fault::{Fault, HealPhase, MetFault, PowerCut};
use quorate_model::ids::{PackageDigest, PoolName};
use quorate_model::moves::MoveKind;
use quorate_model::observation::GuestKind;
use quorate_model::observation::disks::HolderKind;
use quorate_model::observation::eligibility::ReasonKind;
use quorate_model::observation::pools::VdevClass;
use quorate_model::operation::{
    Action, HaService, LedgerEntry, Operation, OperationEvent, OperationEventKind, Outcome, Package,
};
use quorate_model::pool_layout::{DiskIdentity, DisksBeside, PoolLayout};
use quorate_model::raid::Raid;
use quorate_model::{ClusterName, SshPublicKey};

use super::lost::{copy, job};
use super::storages::definition;
use super::types::{address, cluster, finding, node, operation_id, passage, size, time};
use super::{maybe, one_of, some, text};

fn links() -> impl Strategy<Value = BTreeMap<u8, IpAddr>> {
    prop::collection::btree_map(any::<u8>(), address(), 0..4)
}

pub(crate) fn key() -> impl Strategy<Value = SshPublicKey> {
    "ssh-(rsa|ed25519) [A-Za-z0-9+/]{32,64}"
        .prop_filter_map("breaks the type's rules", |text| SshPublicKey::new(text).ok())
}

fn digest() -> impl Strategy<Value = PackageDigest> {
    "[0-9a-f]{64}".prop_map(|text| PackageDigest::new(text).unwrap())
}

pub(crate) fn package() -> impl Strategy<Value = Package> {
    prop::sample::select(Package::ALL.to_vec())
}

pub(crate) fn ha_service() -> impl Strategy<Value = HaService> {
    prop_oneof![Just(HaService::Lrm), Just(HaService::Crm)]
}

fn membership() -> impl Strategy<Value = Action> {
    prop_oneof![
        (
            cluster(),
            links(),
            prop::collection::btree_map(any::<u8>(), any::<u8>(), 0..3)
        )
            .prop_map(|(cluster, links, priorities)| Action::CreateCluster {
                cluster,
                links,
                priorities
            }),
        (cluster(), node(), address(), links()).prop_map(|(cluster, member, member_address, links)| {
            Action::JoinCluster {
                cluster,
                member,
                member_address,
                links,
            }
        }),
        (cluster(), node()).prop_map(|(cluster, member)| Action::FinishJoin { cluster, member }),
        cluster().prop_map(|cluster| Action::AbandonJoin { cluster }),
        (
            cluster(),
            any::<u8>(),
            prop::collection::btree_map(node(), address(), 0..4),
            maybe(any::<u8>())
        )
            .prop_map(|(cluster, link, addresses, priority)| Action::AddLink {
                cluster,
                link,
                addresses,
                priority
            }),
        (cluster(), any::<u32>()).prop_map(|(cluster, votes)| Action::ExpectVotes { cluster, votes }),
        (cluster(), node(), any::<u32>()).prop_map(|(cluster, removed, id)| Action::RemoveMember {
            cluster,
            removed,
            id
        }),
        (cluster(), node(), any::<bool>()).prop_map(|(cluster, removed, keep_folder)| Action::CleanUpAfter {
            cluster,
            removed,
            keep_folder
        }),
        cluster().prop_map(|cluster| Action::PowerOff { cluster }),
    ]
}

fn around_it() -> impl Strategy<Value = Action> {
    use prop::collection::btree_set as set;
    prop_oneof![
        set(package(), 0..3).prop_map(|packages| Action::InstallPackages { packages }),
        (cluster(), set(key(), 0..3), set(address(), 0..3), any::<u32>()).prop_map(|(cluster, keys, from, minutes)| {
            Action::AdmitKeys {
                cluster,
                keys,
                from,
                minutes,
            }
        }),
        cluster().prop_map(|cluster| Action::WithdrawKeys { cluster }),
        (cluster(), node(), address(), set(key(), 0..3)).prop_map(|(cluster, host, address, host_keys)| {
            Action::SetUpQdevice {
                cluster,
                host,
                address,
                host_keys,
            }
        }),
        cluster().prop_map(|cluster| Action::RemoveQdevice { cluster }),
        cluster().prop_map(|cluster| Action::DisarmHa { cluster }),
        cluster().prop_map(|cluster| Action::ArmHa { cluster }),
        (cluster(), ha_service()).prop_map(|(cluster, service)| Action::StopHa { cluster, service }),
        (cluster(), ha_service()).prop_map(|(cluster, service)| Action::StartHa { cluster, service }),
        (cluster(), set(passage(), 0..3), set(address(), 0..3)).prop_map(|(cluster, passages, from)| {
            Action::AllowAgents {
                cluster,
                passages,
                from,
            }
        }),
        (cluster(), definition(), maybe(text())).prop_map(|(cluster, storage, password_file)| Action::AddStorage {
            cluster,
            storage,
            password_file
        }),
        (cluster(), definition()).prop_map(|(cluster, storage)| Action::ExtendStorage { cluster, storage }),
    ]
}

pub(crate) fn guest_kind() -> impl Strategy<Value = GuestKind> {
    prop_oneof![Just(GuestKind::Vm), Just(GuestKind::Container)]
}

fn moving() -> impl Strategy<Value = Action> {
    let how = prop_oneof![Just(MoveKind::Live), Just(MoveKind::Restart), Just(MoveKind::Offline)];
    prop_oneof![
        (cluster(), any::<u32>(), guest_kind(), node(), how, any::<bool>()).prop_map(
            |(cluster, guest, kind, target, how, managed)| Action::MigrateGuest {
                cluster,
                guest,
                kind,
                target,
                how,
                managed
            }
        ),
        (cluster(), any::<u32>(), guest_kind(), any::<bool>()).prop_map(|(cluster, guest, kind, run)| {
            Action::RunGuest {
                cluster,
                guest,
                kind,
                run,
            }
        }),
        (cluster(), node(), any::<bool>()).prop_map(|(cluster, node, on)| Action::SetMaintenance { cluster, node, on }),
        (cluster(), text()).prop_map(|(cluster, boot)| Action::RebootNode { cluster, boot }),
        (cluster(), fault(), any::<u32>(), text()).prop_map(|(cluster, fault, seconds, boot)| Action::InjectFault {
            cluster,
            fault,
            seconds,
            boot
        }),
        canary().prop_map(|(cluster, canary, program)| Action::CreateCanary {
            cluster,
            guest: canary.guest.unwrap_or(100),
            source: canary.source,
            storage: canary.storage,
            bridge: canary.bridge,
            vlan: canary.vlan,
            address: canary.address,
            memory: canary.memory,
            program,
        }),
        (
            cluster(),
            any::<u32>(),
            guest_kind(),
            node(),
            prop::collection::btree_set(job(), 0..3),
            copy(),
            any::<(bool, bool)>()
        )
            .prop_map(
                |(cluster, guest, kind, lost, jobs, copy, (starts, seen_off))| Action::TakeGuest {
                    cluster,
                    guest,
                    kind,
                    lost,
                    jobs,
                    copy,
                    starts,
                    seen_off
                }
            ),
        (cluster(), any::<u32>(), guest_kind()).prop_map(|(cluster, guest, kind)| Action::DestroyCanary {
            cluster,
            guest,
            kind
        }),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        one_of([
            Fault::Network,
            Fault::ClusterNetwork,
            Fault::Corosync,
            Fault::Pmxcfs,
            Fault::Lrm,
            Fault::Mon,
            Fault::StorageNetwork
        ]),
        any::<u8>().prop_map(|link| Fault::Link { link }),
        (one_of(PowerCut::ALL), any::<bool>()).prop_map(|(how, attended)| Fault::Power { how, attended }),
        any::<u32>().prop_map(|guest| Fault::Guest { guest }),
        any::<u32>().prop_map(|osd| Fault::Osd { osd }),
        (pool_name(), text()).prop_map(|(pool, disk)| Fault::Disk { pool, disk }),
    ]
}

prop_compose! {
    pub(crate) fn met_fault()(
        id in maybe(operation_id()),
        fault in maybe(fault()),
        begun_at in maybe(time()),
        ends_at in maybe(time()),
        phase in one_of(HealPhase::ALL),
        said in some(text()),
    ) -> MetFault {
        MetFault { id, fault, begun_at, ends_at, phase, said }
    }
}

/// A canary that is to be made, in a cluster, and its program.
fn canary() -> impl Strategy<Value = (ClusterName, NewCanary, PackageDigest)> {
    let source = prop_oneof![Just("image:/srv/debian.qcow2"), Just("template:local:vztmpl/d.tar.zst")];
    let address = prop_oneof![Just("dhcp"), Just("192.0.2.7/24,gw=192.0.2.1"), Just("2001:db8::7/64")];
    let optional = (
        prop::option::of(any::<u32>()),
        prop::option::of(any::<u16>()),
        prop::option::of(address),
        prop::option::of(digest()),
    );
    (cluster(), node(), source, any::<u32>(), digest(), optional).prop_map(
        |(cluster, node, source, memory, digest, (guest, vlan, address, program))| {
            let canary = NewCanary {
                guest,
                node,
                source: source.parse().unwrap(),
                storage: "data_zfs".parse().unwrap(),
                bridge: "vmbr0".parse().unwrap(),
                vlan,
                address: address.map(|address| address.parse().unwrap()),
                memory,
                program,
            };
            (cluster, canary, digest)
        },
    )
}

fn on_disks() -> impl Strategy<Value = Action> {
    use prop::collection::btree_set as set;
    prop_oneof![
        ((0..9_u32, 0..99_u32), digest(), any::<u64>()).prop_map(|((major, minor), package, size)| {
            Action::UpgradeAgent {
                version: format!("{major}.{minor}.7").parse().unwrap(),
                package,
                size,
            }
        }),
        moving(),
        pool_layout().prop_map(|layout| Action::CreatePool { layout }),
        (disk_identity(), set(disk_mark(), 0..3)).prop_map(|(disk, carries)| Action::WipeDisk { disk, carries }),
        pool_layout().prop_map(|layout| Action::GrowPool { layout }),
        (pool_name(), text(), disk_identity(), accepted()).prop_map(|(pool, old, with, accepted)| {
            Action::ReplaceDisk {
                pool,
                old,
                with,
                accepted,
            }
        }),
    ]
}

pub(crate) fn accepted() -> impl Strategy<Value = BTreeSet<ReasonKind>> {
    prop::collection::btree_set(one_of([ReasonKind::MaybeRaid, ReasonKind::InUse]), 0..2)
}

pub(crate) fn pool_name() -> impl Strategy<Value = PoolName> {
    "[a-l][a-z0-9]{2,8}".prop_filter_map("reserved", |name| name.parse().ok())
}

pub(crate) fn disk_mark() -> impl Strategy<Value = Mark> {
    let kinds = [HolderKind::PartitionTable, HolderKind::FileSystem, HolderKind::Zfs];
    (text(), one_of(kinds), text(), maybe(text())).prop_map(|(part, kind, name, uuid)| Mark { part, kind, name, uuid })
}

prop_compose! {
    pub(crate) fn disk_identity()(
        link in text(),
        serial in maybe(text()),
        wwn in maybe(text()),
        model in maybe(text()),
        size in size(),
    ) -> DiskIdentity {
        DiskIdentity { link, serial, wwn, model, size }
    }
}

prop_compose! {
    pub(crate) fn pool_layout()(
        name in pool_name(),
        data_vdevs: u8,
        raid in one_of(Raid::ALL),
        disks in some(disk_identity()),
        beside in some((one_of(VdevClass::ALL), some(disk_identity())).prop_map(|(class, disks)| DisksBeside { class, disks })),
        ashift: u8,
        compression in one_of(Compression::ALL),
        autotrim: bool,
        accepted in accepted(),
    ) -> PoolLayout {
        PoolLayout { name, raid, disks, beside, ashift, compression, autotrim, accepted, data_vdevs }
    }
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    // Boxed, each: as one type they would be too large for a test's stack.
    prop_oneof![
        membership().boxed(),
        around_it().boxed(),
        on_disks().boxed(),
        super::protection::action().boxed()
    ]
}

prop_compose! {
    pub(crate) fn operation()(id in operation_id(), action in action()) -> Operation {
        Operation { id, action }
    }
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        text().prop_map(|evidence| Outcome::Done { evidence }),
        (some(finding()), any::<bool>()).prop_map(|(findings, unchanged)| Outcome::Failed { findings, unchanged }),
        (text(), any::<bool>()).prop_map(|(reason, over)| Outcome::Unknown { reason, over }),
    ]
}

pub(crate) fn event_kind() -> impl Strategy<Value = OperationEventKind> {
    use OperationEventKind as Kind;
    prop_oneof![
        Just(Kind::Accepted),
        (text(), any::<u32>()).prop_map(|(command, pid)| Kind::ToolStarted { command, pid }),
        (any::<bool>(), text()).prop_map(|(stderr, text)| Kind::Line { stderr, text }),
        (text(), any::<u64>()).prop_map(|(exit, milliseconds)| Kind::ToolEnded { exit, milliseconds }),
        text().prop_map(|waiting_for| Kind::Verifying { waiting_for }),
        some(text()).prop_map(|diagnosis| Kind::Overdue { diagnosis }),
        outcome().prop_map(Kind::Ended),
    ]
}

prop_compose! {
    pub(crate) fn event()(sequence: u64, at in time(), kind in event_kind()) -> OperationEvent {
        OperationEvent { sequence, at, kind }
    }
}

prop_compose! {
    pub(crate) fn ledger_entry()(
        operation in operation(),
        accepted_at in time(),
        outcome in maybe(outcome()),
        ended_at in maybe(time()),
    ) -> LedgerEntry {
        LedgerEntry { operation, accepted_at, outcome, ended_at }
    }
}
