//! Observations with every facet, known and unknown.

use proptest::prelude::*;
use quorate_model::Observation;
use quorate_model::observation::cluster::{
    Cluster, ConfiguredNode, Link, LinkLatency, LinkPings, LocalConfig, Member, MemberNode, Membership,
    MembershipChange, Pmxcfs, QdeviceConfig, QuorumChange, RunningVersion, Totem, VoteRow, Votes,
};
use quorate_model::observation::disks::{Controller, Disk, Disks, Edges, Holder, HolderKind, Partition, Smart};
use quorate_model::observation::eligibility::{Reason, ReasonKind, Role, Verdict};
use quorate_model::observation::network::{
    AddressState, Interface, InterfaceAddress, InterfaceKind, NameResolution, Network,
};
use quorate_model::observation::system::{
    AgentState, ClockState, ClockSync, Cpu, Memory, PortRange, PveVersion, RunningTask, System,
};

use super::config::config;
use super::guests::{backup, guest, status, stray};
use super::ha::ha;
use super::pools::pool;
use super::readiness::readiness;
use super::replication::state;
use super::storages::storages;
use super::types::{address, facet, size, time};
use super::{maybe, one_of, some, text};

// Boxed, because as one value on a test's stack it is too large.
prop_compose! {
    pub(crate) fn observation()(
        hostname in text(),
        observed_at in time(),
        system in facet(system()).boxed(),
        disks in facet(some(disk()).prop_map(|disks| Disks { disks })).boxed(),
        network in facet(network()).boxed(),
        cluster in facet(cluster()).boxed(),
        guests in facet(some(guest())).boxed(),
        ha in facet(ha()).boxed(),
        config in facet(config()).boxed(),
        readiness in facet(readiness()).boxed(),
        pools in facet(some(pool())).boxed(),
        storages in facet(storages()).boxed(),
        running in facet(some(status())).boxed(),
        (replication, strays, backups) in (
            facet(some(state())).boxed(),
            facet(some(stray())).boxed(),
            facet(some(backup())).boxed(),
        ),
    ) -> Observation {
        Observation {
            hostname, observed_at, system, disks, network, cluster, guests, ha, config, readiness, pools, storages, running,
            replication, strays, backups,
        }
    }
}

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO
}

prop_compose! {
    fn pve_version()(manager in text(), repoid in text(), running_kernel in text()) -> PveVersion {
        PveVersion { manager, repoid, running_kernel }
    }
}

prop_compose! {
    fn clock_sync()(synchronised: bool, source in text(), offset_seconds in maybe(finite())) -> ClockSync {
        ClockSync { synchronised, source, offset_seconds }
    }
}

prop_compose! {
    fn memory()(sizes in [size(), size(), size(), size()]) -> Memory {
        let [total, available, swap_total, swap_free] = sizes;
        Memory { total, available, swap_total, swap_free }
    }
}

prop_compose! {
    fn system()(
        pve in facet(maybe(pve_version())),
        (os, kernel, boot_id) in (text(), text(), text()),
        uptime_seconds: u64,
        cpu in (text(), any::<u32>(), [finite(), finite(), finite()])
            .prop_map(|(model, threads, load)| Cpu { model, threads, load }),
        memory in memory(),
        clock in (time(), facet(clock_sync())).prop_map(|(now, synchronised)| ClockState { now, synchronised }),
        reboot_needed in maybe(text()),
        agent in (text(), size(), any::<u64>(), any::<Option<u16>>(), any::<Option<(u16, u16)>>()).prop_map(
            |(version, memory, uptime_seconds, port, ports)| AgentState {
                version, memory, uptime_seconds, port,
                measure_ports: ports.map(|(first, last)| PortRange { first, last }),
            },
        ),
        tasks in facet(some(running_task())),
    ) -> System {
        System { pve, os, kernel, boot_id, uptime_seconds, cpu, memory, clock, reboot_needed, agent, tasks }
    }
}

prop_compose! {
    fn running_task()((kind, about, user) in (text(), text(), text()), started_at in time()) -> RunningTask {
        RunningTask { kind, about, user, started_at }
    }
}

prop_compose! {
    fn controller()(pci_address in text(), driver in maybe(text()), class in maybe(text())) -> Controller {
        Controller { pci_address, driver, class }
    }
}

prop_compose! {
    fn partition()(
        path in text(),
        size in size(),
        parttype in maybe(text()),
        fstype in maybe(text()),
        mountpoints in some(text()),
        by_id in some(text()),
    ) -> Partition {
        Partition { path, size, parttype, fstype, mountpoints, by_id }
    }
}

prop_compose! {
    fn holder()(
        device in text(),
        kind in one_of([
            HolderKind::PartitionTable, HolderKind::FileSystem, HolderKind::Mounted, HolderKind::Lvm, HolderKind::Md,
            HolderKind::Zfs, HolderKind::CephOsd, HolderKind::Swap, HolderKind::Luks, HolderKind::Multipath,
            HolderKind::Bcache, HolderKind::DeviceMapper, HolderKind::OtherSignature, HolderKind::ZfsLabel,
            HolderKind::Drbd, HolderKind::Ldm, HolderKind::Boot,
        ]),
        name in text(),
        uuid in maybe(text()),
    ) -> Holder {
        Holder { device, kind, name, uuid }
    }
}

prop_compose! {
    fn smart()(
        passed: Option<bool>,
        wear_percent: Option<u32>,
        temperature: Option<i32>,
        power_on_hours: Option<u64>,
        bad_sectors: Option<u64>,
    ) -> Smart {
        Smart { passed, wear_percent, temperature, power_on_hours, bad_sectors }
    }
}

prop_compose! {
    fn edges()(first: Option<u64>, last: Option<u64>, claimed: bool) -> Edges {
        Edges { first, last, claimed }
    }
}

prop_compose! {
    fn reason()(
        kind in one_of([
            ReasonKind::InUse, ReasonKind::Leftover, ReasonKind::RaidVolume, ReasonKind::MaybeRaid,
            ReasonKind::Removable, ReasonKind::ReadOnly, ReasonKind::TooSmall, ReasonKind::Failing,
            ReasonKind::NoIdentity, ReasonKind::SignaturesUnseen, ReasonKind::SharedLun,
            ReasonKind::NeverTouch,
            ReasonKind::GivenToGuest, ReasonKind::GuestsUnseen, ReasonKind::NotEmpty, ReasonKind::EdgesUnseen,
            ReasonKind::Virtual,
            ReasonKind::MaybeShared,
        ]),
        text in text(),
    ) -> Reason {
        Reason { kind, text }
    }
}

prop_compose! {
    fn verdict()(role in one_of(Role::ALL), against in some(reason()), notes in some(text())) -> Verdict {
        Verdict { role, against, notes }
    }
}

prop_compose! {
    fn disk()(
        (path, by_id, size) in (text(), some(text()), size()),
        (wwn, serial, model, vendor) in (maybe(text()), maybe(text()), maybe(text()), maybe(text())),
        (transport, hctl, partition_table, fstype) in (maybe(text()), maybe(text()), maybe(text()), maybe(text())),
        (rotational, read_only, removable) in any::<(bool, bool, bool)>(),
        (controller, raid_level) in (maybe(controller()), maybe(text())),
        (partitions, holders) in (some(partition()), some(holder())),
        smart in facet(smart()),
        edges in facet(edges()),
        verdicts in some(verdict()),
    ) -> Disk {
        Disk {
            path, by_id, wwn, serial, model, vendor, size, rotational, transport, hctl, read_only, removable,
            partition_table, fstype, controller, raid_level, partitions, holders, smart, edges, verdicts,
        }
    }
}

prop_compose! {
    fn interface_address()(
        address in address(),
        prefix: u8,
        state in one_of([
            AddressState::Usable, AddressState::Temporary, AddressState::Deprecated, AddressState::Tentative,
            AddressState::Duplicate,
        ]),
    ) -> InterfaceAddress {
        InterfaceAddress { address, prefix, state }
    }
}

prop_compose! {
    fn interface()(
        (name, mac) in (text(), text()),
        kind in one_of([
            InterfaceKind::Physical, InterfaceKind::Bridge, InterfaceKind::Bond, InterfaceKind::Vlan,
            InterfaceKind::Other,
        ]),
        (mtu, up, carrier, speed_mbps) in any::<(u32, bool, Option<bool>, Option<u32>)>(),
        (duplex, master, parent) in (maybe(text()), maybe(text()), maybe(text())),
        addresses in some(interface_address()),
    ) -> Interface {
        Interface { name, kind, mac, mtu, up, carrier, speed_mbps, duplex, master, parent, addresses }
    }
}

prop_compose! {
    fn resolution()(name in text(), addresses in some(address()), back in facet(some(text()))) -> NameResolution {
        NameResolution { name, addresses, back }
    }
}

prop_compose! {
    fn network()(
        interfaces in some(interface()),
        own_name in facet(resolution()),
        names in prop::collection::btree_map(text(), facet(resolution()), 0..4),
    ) -> Network {
        Network { interfaces, own_name, names }
    }
}

prop_compose! {
    fn member_node()(name in text(), id: u32, online: bool, address in maybe(address())) -> MemberNode {
        MemberNode { name, id, online, address }
    }
}

prop_compose! {
    fn configured_node()(
        name in text(),
        (id, votes) in any::<(u32, u32)>(),
        addresses in prop::collection::btree_map(any::<u8>(), text(), 0..4),
    ) -> ConfiguredNode {
        ConfiguredNode { name, id, votes, addresses }
    }
}

prop_compose! {
    fn vote_row()((id, votes) in any::<(u32, u32)>(), qdevice in maybe(text())) -> VoteRow {
        VoteRow { id, votes, qdevice }
    }
}

prop_compose! {
    fn votes()(
        numbers in any::<[u32; 4]>(),
        (quorate, device) in any::<(bool, Option<u32>)>(),
        flags in some(text()),
        rows in some(vote_row()),
    ) -> Votes {
        let [expected, highest_expected, total, quorum] = numbers;
        Votes { expected, highest_expected, total, quorum, quorate, flags, rows, device }
    }
}

prop_compose! {
    fn link()(
        (peer, number, enabled, connected, mtu) in any::<(u32, u8, bool, bool, Option<u32>)>(),
        (local, remote) in (text(), text()),
    ) -> Link {
        Link { peer, number, local, remote, enabled, connected, mtu }
    }
}

prop_compose! {
    fn link_latency()(
        (peer, number) in any::<(u32, u8)>(),
        (average, longest, shortest, samples) in any::<(u32, u32, u32, u32)>(),
    ) -> LinkLatency {
        LinkLatency { peer, number, average, longest, shortest, samples }
    }
}

prop_compose! {
    fn membership_change()(
        at in time(),
        (joined, left) in (some(text()), some(text())),
        quorum in maybe(one_of([QuorumChange::Gained, QuorumChange::Lost])),
    ) -> MembershipChange {
        MembershipChange { at, joined, left, quorum }
    }
}

prop_compose! {
    fn qdevice()((host, algorithm) in (text(), text()), votes: Option<u32>) -> QdeviceConfig {
        QdeviceConfig { host, algorithm, votes }
    }
}

prop_compose! {
    fn running_version()((id, version) in any::<(u32, u64)>()) -> RunningVersion {
        RunningVersion { id, version }
    }
}

prop_compose! {
    fn link_pings()(link: u8, interval: u32, timeout: u32) -> LinkPings {
        LinkPings { link, interval, timeout }
    }
}

prop_compose! {
    fn totem()((token, consensus) in any::<(u32, u32)>(), pings in some(link_pings())) -> Totem {
        Totem { token, consensus, pings }
    }
}

prop_compose! {
    fn member()(
        cluster in text(),
        (running_version, file_version, quorate) in any::<(u64, u64, bool)>(),
        nodes in some(member_node()),
        configured in some(configured_node()),
        interfaces in prop::collection::btree_map(any::<u8>(), any::<Option<u8>>(), 0..4),
        qdevice in maybe(qdevice()),
        running_versions in facet(some(running_version())),
        votes in facet(votes()),
        (links, latencies, totem) in (facet(some(link())), facet(some(link_latency())), facet(totem())),
    ) -> Member {
        Member {
            cluster, running_version, file_version, quorate, nodes, configured, interfaces, qdevice, running_versions,
            votes, links, latencies, totem,
        }
    }
}

prop_compose! {
    fn local_config()(cluster in text(), version: u64, nodes in some(configured_node())) -> LocalConfig {
        LocalConfig { cluster, version, nodes }
    }
}

prop_compose! {
    fn cluster()(
        membership in prop_oneof![
            1 => Just(Membership::Standalone),
            3 => member().prop_map(|member| Membership::Member(Box::new(member))),
        ],
        pmxcfs in one_of([Pmxcfs::Writable, Pmxcfs::ReadOnly, Pmxcfs::NotMounted]),
        authkey_present: bool,
        local_config_present: bool,
        local_config in facet(maybe(local_config())),
        config_lock_age: Option<u64>,
        changes in some(membership_change()),
    ) -> Cluster {
        Cluster { membership, pmxcfs, authkey_present, local_config_present, local_config, config_lock_age, changes }
    }
}
