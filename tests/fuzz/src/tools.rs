//! Readers of what tools print and of the host's files: all of agent/tools.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use quorate_model::Passage;
use quorate_model::observation::GuestKind;
use quorate_model::passage::Direction;
use quorate_tools::pve_config::{
    ceph, certificate, datacenter, guest, guest_config, ha, pci, replication, storage, tfa, user,
};
use quorate_tools::{
    apt, apt_cache, apt_sources, authorized_keys, blkid, chronyc, corosync_cfgtool, corosync_cmapctl, corosync_conf,
    corosync_log, corosync_quorumtool, df, dpkg, dpkg_query, getent, guest as tool_guest, guest_exec, ip, journalctl,
    kept_spec, known_hosts, lsblk, lvs, mountinfo, nft, os_release, perl, ping, pmxcfs, proc, pve_firewall, pve_ha_log,
    pve_replication_state, pve_tasks, pvecm, pvesh, pvesm, pveversion, pvs, qemu_process, smartctl, ssh_key, systemctl,
    timedatectl, vzdump_log, zfs_get, zfs_list, zpool, zpool_disks, zpool_get, zpool_status,
};

use crate::{Target, Told, streams, text};

/// One target that reads text with one function.
macro_rules! plain {
    ($name:literal, $read:path) => {
        Target::new($name, |bytes| told($read(&text(bytes))))
    };
    (json $name:literal, $read:path) => {
        Target::json($name, |bytes| told($read(&text(bytes))))
    };
}

fn told(value: impl std::fmt::Debug + 'static) -> Told {
    Box::new(value)
}

pub(crate) const TARGETS: &[Target] = &[
    plain!("apt-cache", apt_cache::read),
    Target::both("apt-install", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told(apt::read_install(&stdout, &stderr).map(|trouble| (trouble.finding("prox1"), trouble)))
    }),
    Target::new("apt-sources", |bytes| {
        told(apt_sources::read("/etc/apt/sources.list", &text(bytes)))
    }),
    Target::new("apt-sources-822", |bytes| {
        told(apt_sources::read("pve.sources", &text(bytes)))
    }),
    plain!("apt-upgrade", apt::read_upgrade),
    Target::new("authorized-keys", authorized),
    Target::new("blkid", |bytes| {
        const ZFS: &str = "6a898cc3-1dd2-11b2-99a6-080020736631";
        let text = text(bytes);
        told((
            blkid::signature(&text).map(str::to_owned),
            blkid::is_empty_partition(&text, ZFS),
        ))
    }),
    plain!("ceph-conf", ceph::read_monitors),
    plain!("certificate-of-pve", certificate::fingerprint),
    plain!("chronyc", chronyc::read),
    plain!("corosync-cfgtool", corosync_cfgtool::read),
    plain!("corosync-cmapctl", corosync_cmapctl::read),
    plain!("corosync-latencies", corosync_cmapctl::read_latencies),
    plain!("corosync-timers", corosync_cmapctl::read_timers),
    plain!("corosync-conf", corosync_conf::read),
    Target::new("corosync-conf-edit", corosync_edit),
    Target::new("corosync-log", |bytes| {
        told(text(bytes).lines().map(corosync_log::read).collect::<Vec<_>>())
    }),
    plain!("corosync-quorumtool", corosync_quorumtool::read),
    plain!("datacenter-cfg", datacenter::read),
    plain!("df", df::read),
    plain!("domains-cfg", tfa::realm_wants_factor),
    plain!("dpkg-fields", dpkg::read_fields),
    Target::both("dpkg-install", |bytes| {
        let (_, stderr) = streams(bytes);
        told(dpkg::complaints(&stderr))
    }),
    plain!("dpkg-query", dpkg_query::read),
    plain!("getent-ahosts", getent::read),
    plain!("getent-hosts", getent::read_names),
    Target::new("guest-config", |bytes| {
        let text = text(bytes);
        let configured = [GuestKind::Vm, GuestKind::Container].map(|kind| guest_config::read(kind, &text));
        told((guest::macs(&text), guest::devices(&text), configured))
    }),
    plain!(json "guest-exec", guest_exec::read),
    Target::both("guest-task", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told(tool_guest::trouble(&format!("{stdout}{stderr}")))
    }),
    Target::new("ha-groups", |bytes| {
        let text = text(bytes);
        told(ha::read_placements(&text, "").map(|all| (ha::named_nodes(&all), all)))
    }),
    plain!(json "ha-lrm", ha::read_lrm_status),
    plain!(json "ha-manager-status", ha::read_manager_status),
    plain!("ha-resources", ha::read_resources),
    Target::new("ha-rules", |bytes| {
        let text = text(bytes);
        told(ha::read_placements("", &text).map(|all| (ha::named_nodes(&all), all)))
    }),
    plain!(json "ip", ip::read),
    plain!(json "nft-table", nft::read),
    plain!(json "nft-tables", nft::read_tables),
    Target::new("kept-spec", |bytes| {
        let read = kept_spec::read(&text(bytes));
        if let Ok(kept) = &read {
            assert_eq!(kept_spec::read(&kept_spec::write(kept)).as_ref(), Ok(kept));
        }
        told(read)
    }),
    plain!("journalctl", journalctl::read),
    Target::new("known-hosts", |bytes| {
        let text = text(bytes);
        let left = known_hosts::without_host(&text, "prox2");
        assert_eq!(known_hosts::without_host(&left, "prox2"), left, "twice is as once");
        told(left)
    }),
    Target::json("lsblk", |bytes| {
        let text = text(bytes);
        let read = lsblk::Columns::default().read(&text);
        if let Ok(devices) = &read {
            let mut all = devices.iter().flat_map(lsblk::Device::tree);
            assert!(all.all(|device| !device.sysfs_name().contains('/')));
        }
        told(read)
    }),
    Target::new("lsblk-refused", |bytes| {
        told(lsblk::Columns::default().without_refused(&text(bytes)))
    }),
    plain!(json "lvs", lvs_read),
    plain!("mountinfo", mountinfo::read),
    plain!("os-release", os_release::read),
    plain!("pci-mapping", pci::read_mappings),
    Target::both("perl-ticket", |bytes| {
        let (stdout, stderr) = streams(bytes);
        // A ticket is never shown; how long it is may be.
        let ticket = perl::read_ticket(stdout.as_bytes()).map(|ticket| ticket.expose().len());
        told((ticket, perl::rotated_key(&stderr)))
    }),
    plain!("ping", ping::read),
    plain!(json "pmxcfs-members", pmxcfs::members::read),
    plain!(json "pmxcfs-vmlist", pmxcfs::vmlist::read),
    plain!("proc-cpuinfo", proc::processors),
    plain!("proc-loadavg", proc::load_averages),
    plain!("proc-meminfo", proc::memory),
    plain!("proc-route", proc::default_gateways),
    plain!("proc-stat", proc::start_ticks),
    plain!("proc-unix", proc::containers),
    plain!("proc-uptime", proc::uptime_seconds),
    Target::new("pve-ha-log", |bytes| {
        told(text(bytes).lines().map(pve_ha_log::read).collect::<Vec<_>>())
    }),
    plain!(json "pve-replication-state", pve_replication_state::read),
    Target::new("pve-tasks-active", |bytes| {
        told(pve_tasks::read_active(&text(bytes)).map(|tasks| format!("{tasks:?}")))
    }),
    Target::new("pve-task", |bytes| {
        let text = text(bytes);
        let name = pve_tasks::read(text.lines().next().unwrap_or_default());
        told((format!("{name:?}"), pve_tasks::read_end(&text)))
    }),
    Target::both("pve-firewall", |bytes| {
        let (cluster, host) = streams(bytes);
        told(pve_firewall::read(Some(&cluster), Some(&host)))
    }),
    Target::new("pve-firewall-edit", firewall_edit),
    Target::both("pvecm-add", |bytes| {
        let (stdout, stderr) = streams(bytes);
        let read = pvecm::read_join(&stdout, &stderr);
        let findings: Vec<_> = read.troubles.iter().map(|trouble| trouble.finding("prox1")).collect();
        told((read.peer_change(), read, findings))
    }),
    Target::both("pvecm-create", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told(pvecm::read_create(&stdout, &stderr))
    }),
    Target::both("pvecm-delnode", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told(pvecm::read_delnode(&stdout, &stderr))
    }),
    Target::json("pvesh-lxc", |bytes| {
        told(pvesh::guests::read(GuestKind::Container, &text(bytes)))
    }),
    Target::json("pvesh-migrate", |bytes| {
        told(pvesh::migrate::read("prox2", &text(bytes)))
    }),
    Target::json("pvesh-qemu", |bytes| {
        told(pvesh::guests::read(GuestKind::Vm, &text(bytes)))
    }),
    Target::both("pvesm-status", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told(pvesm::read_status(&stdout, &stderr))
    }),
    Target::both("pvesm-trouble", |bytes| {
        let (_, stderr) = streams(bytes);
        let read = pvesm::read_troubles(&stderr);
        let findings: Vec<_> = read
            .iter()
            .map(|trouble| (trouble.took_nothing(), trouble.finding("prox1", "tank")))
            .collect();
        told((read, findings))
    }),
    plain!("pveversion", pveversion::read),
    plain!(json "pvs", pvs_read),
    Target::new("qemu-process", |bytes| {
        let text = text(bytes);
        told((
            qemu_process::pid(&text),
            qemu_process::is_guest(&text, 100),
            qemu_process::guest_of(&text),
        ))
    }),
    plain!("replication-cfg", replication::read),
    plain!(json "smartctl", smartctl::read),
    plain!("ssh-key", ssh_key::read),
    Target::new("storage-cfg", |bytes| {
        let text = text(bytes);
        told((storage::read(&text), storage::read_whole(&text)))
    }),
    plain!("systemctl-show", systemctl::read),
    Target::new("systemctl-show-each", |bytes| {
        told(systemctl::read_each(
            &text(bytes),
            &["corosync", "pve-ha-lrm", "nothing"],
        ))
    }),
    plain!(json "tfa-cfg", tfa::root_has_factor),
    plain!("timedatectl", timedatectl::read),
    Target::new("user-cfg", |bytes| {
        let text = text(bytes);
        told((user::read(&text), user::others(&text), user::pools(&text)))
    }),
    Target::new("vzdump-log", |bytes| {
        let text = text(bytes);
        let name = text.lines().next().unwrap_or_default();
        told((vzdump_log::read(104, &text), vzdump_log::guest_of(name)))
    }),
    plain!("zfs-get", zfs_get::read),
    Target::new("zfs-list", |bytes| {
        let text = text(bytes);
        let names = zfs_list::read(&text);
        let replicated: Vec<_> = names
            .iter()
            .flatten()
            .filter_map(|name| zfs_list::replicated(name))
            .collect();
        told((names, zfs_list::volumes(&text), replicated))
    }),
    Target::both("zpool-changed", |bytes| {
        let (_, stderr) = streams(bytes);
        told(zpool_disks::was_too_early(&stderr))
    }),
    Target::new("zpool-get", |bytes| {
        let read = zpool_get::read(&text(bytes));
        let asked = read.as_ref().ok().map(|pools| {
            let each = pools
                .values()
                .map(|pool| (pool.number("ashift"), pool.needed("size").ok(), pool.switch("autotrim")));
            each.collect::<Vec<_>>()
        });
        told((read, asked))
    }),
    plain!("zpool-health", zpool::read_health),
    Target::both("zpool-list", |bytes| {
        let (stdout, stderr) = streams(bytes);
        told((zpool::read_devices(&stdout), zpool::says_no_module(&stderr)))
    }),
    plain!("zpool-status", zpool_status::read),
];

type Read<T> = Result<T, quorate_tools::ParseError>;

/// A volume, the OSD that is on it, the devices below it.
type Shown = (lvs::LogicalVolume, Option<String>, Vec<String>);

fn lvs_read(text: &str) -> Read<Vec<Shown>> {
    let shown = |volume: lvs::LogicalVolume| {
        let osd = volume.osd().map(str::to_owned);
        let devices = volume.devices().map(str::to_owned).collect();
        (volume, osd, devices)
    };
    Ok(lvs::read(text)?.into_iter().map(shown).collect())
}

fn pvs_read(text: &str) -> Read<Vec<pvs::PhysicalVolume>> {
    pvs::read(text)
}

/// Our lines are found again, and taken out without touching another.
fn authorized(bytes: &[u8]) -> Told {
    let text = text(bytes);
    let (Ok(cluster), Ok(key)) = (
        "hk1".parse(),
        quorate_model::SshPublicKey::new(format!("ssh-ed25519 {}", "AAAAC3NzaC1lZDI1NTE5AAAAIJ".repeat(3))),
    ) else {
        return told("no names to try it with");
    };
    let from = BTreeSet::from([IpAddr::V4(Ipv4Addr::new(192, 168, 1, 11))]);
    let bare = authorized_keys::without_cluster(&text, &cluster);
    let with = authorized_keys::with_admitted(
        &bare,
        &cluster,
        &key,
        &from,
        quorate_model::Timestamp(1_795_345_772_000_000),
    );
    if let Ok(found) = authorized_keys::admitted(&with) {
        assert!(found.iter().any(|found| found.cluster == cluster && found.key == key));
    }
    let without = authorized_keys::without_cluster(&with, &cluster);
    assert_eq!(
        without.trim_end_matches('\n'),
        bare.trim_end_matches('\n'),
        "others' lines stay"
    );
    told((authorized_keys::admitted(&text), authorized_keys::keys(&text), bare))
}

/// A file that is understood is understood after a link was added, and has it.
fn corosync_edit(bytes: &[u8]) -> Told {
    let text = text(bytes);
    let Ok(before) = corosync_conf::read(&text) else {
        return told("not understood");
    };
    let addresses: BTreeMap<_, _> = before
        .nodes
        .iter()
        .zip(1..=254_u8)
        .filter_map(|(node, last)| Some((node.name.parse().ok()?, IpAddr::V4(Ipv4Addr::new(10, 88, 0, last)))))
        .collect();
    told(corosync_conf::with_link(&text, 7, &addresses, Some(3)).map(|edited| corosync_conf::read(&edited)))
}

/// What lets the agents in is there afterwards, once, and the rest is as it was.
fn firewall_edit(bytes: &[u8]) -> Told {
    let text = text(bytes);
    let passages = BTreeSet::from([Passage::tcp_in(7443), Passage::udp(Direction::In, &(7450..=7459))]);
    let from = BTreeSet::from([IpAddr::V4(Ipv4Addr::new(192, 168, 1, 11))]);
    let edited = pve_firewall::with_agents(&text, &passages, &from);
    if pve_firewall::read(Some(&text), None).is_ok() {
        let again = pve_firewall::read(Some(&edited), None);
        assert!(again.is_ok(), "{again:?} of {edited:?}");
    }
    told(edited)
}
