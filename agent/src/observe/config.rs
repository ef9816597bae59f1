//! What the files of /etc/pve say, and root's authorized_keys. Each is read apart: one that can't be understood is unknown alone.

mod files;
mod guests;

use std::collections::BTreeMap;

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::observation::PveConfig;
use quorate_model::observation::config::{Firewall, KeptSpec, NodeFolder, RootKey};
use quorate_tools::pve_config::{ceph, datacenter, ha, replication, storage, tfa, user};
use quorate_tools::{ParseError, authorized_keys as keys, kept_spec, pve_firewall};

use super::cluster::{MEMBERS, mounted, pmxcfs_is_gone, published, published_for_sure};
use super::{finished, hostname};
use crate::host::{Host, HostRoot, ReadError, unparsable, unreadable};

/// Root's keys; on a PVE server a link to the cluster's.
pub(super) const AUTHORIZED_KEYS: &str = "/root/.ssh/authorized_keys";
const NODES: &str = "/etc/pve/nodes";
/// `pvecm qdevice setup` puts it there for the other nodes to fetch, and takes it away at its end.
const QDEVICE_KEY: &str = "/etc/pve/qdevice-net-node.p12";
/// A folder of each kind of daemon, with one `ceph-NAME` for each of them.
const CEPH: &str = "/var/lib/ceph";
const CEPH_KINDS: [&str; 4] = ["mon", "mgr", "mds", "osd"];

/// Observes the configuration.
///
/// # Errors
/// /etc/pve is not mounted, though the host has PVE, or does not answer.
pub(super) async fn observe(host: &Host) -> Result<PveConfig, Unknown> {
    mounted(host, "/etc/pve/.members").await?;
    let node = hostname(host);
    let users = parsed(host, "/etc/pve/user.cfg", user::read).await;
    let certificate = format!("{NODES}/{node}/pveproxy-ssl.pem");
    let guests = guests::read(host).await;
    Ok(PveConfig {
        storages: finished(host, parsed(host, "/etc/pve/storage.cfg", storage::read).await),
        users: finished(host, users.clone().map(|users| users.users)),
        tokens: finished(host, users.map(|users| users.tokens)),
        root_tfa: finished(host, root_tfa(host).await),
        own_certificate: host.mode(&certificate).await.map_err(unreadable)?.is_some(),
        authorized_keys: root_keys(host).await,
        firewall: finished(host, firewall(host, &node).await),
        replication: finished(host, parsed(host, "/etc/pve/replication.cfg", replication::read).await),
        ha_placements: finished(host, ha_placements(host).await),
        ceph_monitors: finished(host, if_there(host, "/etc/pve/ceph.conf", ceph::read_monitors).await),
        ceph_daemons: finished(host, ceph_daemons(host)),
        guest_macs: finished(host, guests::macs(&guests)),
        guest_devices: finished(host, guests::devices(host, &guests).await),
        guests: finished(host, guests::configured(host, &guests)),
        datacenter: finished(host, parsed(host, "/etc/pve/datacenter.cfg", datacenter::read).await),
        guest_pools: finished(host, parsed(host, "/etc/pve/user.cfg", user::pools).await),
        qdevice_key: host.mode(QDEVICE_KEY).await.map_err(unreadable)?.is_some(),
        node_folders: finished(host, node_folders(host).await),
        spec: finished(host, spec(host).await),
        files: finished(host, files::observe(host, &node).await),
    })
}

/// A file that says nothing where it is missing.
async fn parsed<T>(host: &Host, path: &str, read: fn(&str) -> Result<T, ParseError>) -> Result<T, Unknown> {
    let text = published_for_sure(host, path).await?;
    read(&text.unwrap_or_default()).map_err(unparsable)
}

async fn if_there<T>(host: &Host, path: &str, read: fn(&str) -> Result<T, ParseError>) -> Result<Option<T>, Unknown> {
    let text = published_for_sure(host, path).await?;
    text.map(|text| read(&text)).transpose().map_err(unparsable)
}

async fn root_tfa(host: &Host) -> Result<bool, Unknown> {
    let own = parsed(host, "/etc/pve/priv/tfa.cfg", tfa::root_has_factor).await?;
    let realm = parsed(host, "/etc/pve/domains.cfg", tfa::realm_wants_factor).await?;
    Ok(own || realm)
}

async fn firewall(host: &Host, node: &str) -> Result<Firewall, Unknown> {
    let cluster = published_for_sure(host, "/etc/pve/firewall/cluster.fw").await?;
    let own = published_for_sure(host, &format!("{NODES}/{node}/host.fw")).await?;
    pve_firewall::read(cluster.as_deref(), own.as_deref()).map_err(unparsable)
}

async fn ha_placements(host: &Host) -> Result<BTreeMap<String, Vec<String>>, Unknown> {
    Ok(ha::named_nodes(&super::ha::placements(host).await?))
}

async fn spec(host: &Host) -> Result<Option<KeptSpec>, Unknown> {
    if_there(host, "/etc/pve/quorate/spec.toml", kept_spec::read).await
}

async fn root_keys(host: &Host) -> Facet<Vec<RootKey>> {
    let text = authorized_keys(host, AUTHORIZED_KEYS).await;
    finished(host, text.map(|text| keys::keys(&text)))
}

/// The text of root's keys; empty where there is no file.
///
/// # Errors
/// When it can't be read, or is a link that leads nowhere: then pmxcfs is down.
pub(super) async fn authorized_keys(host: &Host, path: &'static str) -> Result<String, Unknown> {
    match host.patiently(path, |root| root.read_text(path)).await {
        Err(ReadError::NotFound { .. }) => {}
        Err(error) if pmxcfs_is_gone(&error) => {}
        read => return read.map_err(unreadable),
    }
    match host.root().read_link(path) {
        Ok(target) => {
            let why = match published(host, MEMBERS).await? {
                Some(_) => "pmxcfs runs without it, pvecm updatecerts makes it",
                None => "/etc/pve is not mounted",
            };
            Err(Unknown::new(
                UnknownKind::Failed,
                format!("{path} leads to {}, which is not there: {why}", target.display()),
            ))
        }
        Err(_) => Ok(String::new()),
    }
}

fn ceph_daemons(host: &Host) -> Result<Vec<String>, Unknown> {
    let mut found = Vec::new();
    for kind in CEPH_KINDS {
        let names = match host.root().read_dir(&format!("{CEPH}/{kind}")) {
            Err(ReadError::NotFound { .. }) => continue,
            names => names.map_err(unreadable)?,
        };
        let named = names.iter().filter_map(|name| name.split_once('-'));
        found.extend(named.map(|(_, name)| format!("{kind}.{name}")));
    }
    Ok(found)
}

/// The folders of nodes with the guests whose configuration lies in them, all in one go.
async fn node_folders(host: &Host) -> Result<BTreeMap<String, NodeFolder>, Unknown> {
    let folders = host.patiently(NODES, read_folders).await;
    folders.unwrap_or_else(|error| match error {
        ReadError::NotFound { .. } => Ok(BTreeMap::new()),
        error => Err(unreadable(error)),
    })
}

fn read_folders(root: &HostRoot) -> Result<Result<BTreeMap<String, NodeFolder>, Unknown>, ReadError> {
    let mut found = BTreeMap::new();
    for node in root.read_dir(NODES)? {
        let mut guests = Vec::new();
        for kind in ["qemu-server", "lxc"] {
            let path = format!("{NODES}/{node}/{kind}");
            let names = match root.read_dir(&path) {
                Err(ReadError::NotFound { .. }) => continue,
                names => names?,
            };
            for id in names.iter().filter_map(|name| name.strip_suffix(".conf")) {
                let Ok(id) = id.parse() else {
                    let reason = format!("{path}/{id}.conf has no guest's number for a name");
                    return Ok(Err(Unknown::new(UnknownKind::Unparsable, reason)));
                };
                guests.push(id);
            }
        }
        guests.sort_unstable();
        found.insert(node, NodeFolder { guests });
    }
    Ok(Ok(found))
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
