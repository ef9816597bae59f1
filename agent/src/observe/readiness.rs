//! What a change leans on: services, packages, free space, keys. Asked for before a change, not all the time: apt alone computes
//! for a second.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::facet::{Facet, Unknown, UnknownKind};
use quorate_model::ids::SshPublicKey;
use quorate_model::observation::Readiness;
use quorate_model::observation::readiness::{AdmittedKey, PackageState, Repository, ServiceState};
use quorate_model::operation::Package;
use quorate_model::size::ByteSize;
use quorate_tools::{apt, apt_cache, apt_sources, authorized_keys, df, dpkg_query, ssh_key, systemctl};

use super::config::{AUTHORIZED_KEYS, authorized_keys as authorized_keys_text};
use super::finished;
use crate::host::{Host, ReadError, complaint, text, unparsable, unreadable};

/// Units that changes of a cluster need running, or must know of.
const SERVICES: [&str; 16] = [
    "chrony",
    "corosync",
    "corosync-qdevice",
    "corosync-qnetd",
    "proxmox-firewall",
    "pve-cluster",
    "pve-firewall",
    "pve-ha-crm",
    "pve-ha-lrm",
    "pvedaemon",
    "pveproxy",
    "pvescheduler",
    "pvestatd",
    "ssh",
    // Where sshd is started by its socket, `ssh` itself does not run.
    "ssh.socket",
    "watchdog-mux",
];

/// Packages whose versions decide how a cluster is driven, and those that Quorate may install.
const PACKAGES: [&str; 9] = [
    "corosync",
    "corosync-qdevice",
    "corosync-qnetd",
    "libpve-cluster-perl",
    "openssh-server",
    "proxmox-ve",
    "pve-cluster",
    "pve-ha-manager",
    "pve-manager",
];

/// A join writes a copy of pmxcfs's database beside it; apt and the journal need the root.
const SPACE: [&str; 2] = ["/", "/var/lib/pve-cluster"];

const SOURCES: &str = "/etc/apt/sources.list";
const SOURCES_FOLDER: &str = "/etc/apt/sources.list.d";
const ROOT_KEY: &str = "/root/.ssh/id_rsa.pub";
const SSH_FOLDER: &str = "/etc/ssh";

/// Observes all of it, and tries to fetch these packages. Nothing in it can fail as a whole.
pub(super) async fn observe(host: &Host, wanted: &BTreeSet<Package>) -> Result<Readiness, Unknown> {
    let (services, packages, updates, root_free, pmxcfs_free, admitted, fetch) = tokio::join!(
        services(host, &SERVICES),
        packages(host),
        updates(host),
        free(host, SPACE[0]),
        free(host, SPACE[1]),
        admitted(host),
        fetch(host, wanted),
    );
    let free = SPACE
        .map(str::to_owned)
        .into_iter()
        .zip([finished(host, root_free), finished(host, pmxcfs_free)]);
    Ok(Readiness {
        services,
        packages: finished(host, packages),
        updates: finished(host, updates),
        repositories: finished(host, repositories(host)),
        free: free.collect(),
        root_key: finished(host, root_key(host)),
        host_keys: finished(host, host_keys(host)),
        admitted: finished(host, admitted),
        fetch: finished(host, fetch),
    })
}

/// The states of some units, asked for in one call.
pub(super) async fn services(host: &Host, units: &[&str]) -> BTreeMap<String, Facet<ServiceState>> {
    let states = async {
        let stdout = host.ask(systemctl::show_each(host.tools(), units)).await?;
        systemctl::read_each(&stdout, units).map_err(unparsable)
    };
    match states.await {
        Ok(states) => states
            .into_iter()
            .map(|(unit, state)| (unit, finished(host, Ok(state))))
            .collect(),
        Err(unknown) => units
            .iter()
            .map(|unit| ((*unit).to_owned(), Facet::Unknown(unknown.clone())))
            .collect(),
    }
}

/// The versions of those of the packages that are installed.
pub(super) async fn installed(host: &Host, packages: &[&str]) -> Result<BTreeMap<String, String>, Unknown> {
    let finished = host.run(dpkg_query::versions(host.tools(), packages)).await?;
    if !dpkg_query::answered(finished.exit, &finished.stderr_text()) {
        return Err(complaint(dpkg_query::NAME, &finished));
    }
    dpkg_query::read(&text(dpkg_query::NAME, &finished)?).map_err(unparsable)
}

async fn packages(host: &Host) -> Result<BTreeMap<String, PackageState>, Unknown> {
    let (installed, candidates) = tokio::join!(
        installed(host, &PACKAGES),
        host.ask(apt_cache::policy(host.tools(), &PACKAGES))
    );
    let mut installed = installed?;
    let mut candidates = apt_cache::read(&candidates?).map_err(unparsable)?;
    let state = |name: &str| PackageState {
        installed: installed.remove(name),
        candidate: candidates.remove(name).flatten(),
    };
    Ok(PACKAGES
        .iter()
        .map(|name| (*name).to_owned())
        .zip(PACKAGES.map(state))
        .collect())
}

/// Only what is not installed is fetched; nothing at all is not asked for.
async fn fetch(host: &Host, wanted: &BTreeSet<Package>) -> Result<Vec<String>, Unknown> {
    if wanted.is_empty() {
        return Err(Unknown::new(UnknownKind::NotAsked, "not asked for"));
    }
    let names: Vec<&str> = wanted.iter().map(|package| package.as_str()).collect();
    let there = installed(host, &names).await?;
    let missing: BTreeSet<Package> = wanted
        .iter()
        .copied()
        .filter(|package| !there.contains_key(package.as_str()))
        .collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let finished = host.run(apt::fetch(host.tools(), &missing)).await?;
    let stdout = String::from_utf8_lossy(&finished.stdout);
    match apt::read_install(&stdout, &finished.stderr_text()) {
        Some(trouble) if trouble.locked => Err(Unknown::new(UnknownKind::Failed, trouble.text)),
        Some(trouble) => Ok(vec![trouble.text]),
        None if finished.exit.is_success() => Ok(Vec::new()),
        None => Err(complaint(apt::NAME, &finished)),
    }
}

async fn updates(host: &Host) -> Result<u32, Unknown> {
    let stdout = host.ask(apt::simulate_upgrade(host.tools())).await?;
    apt::read_upgrade(&stdout).map_err(unparsable)
}

fn repositories(host: &Host) -> Result<Vec<Repository>, Unknown> {
    let mut files = vec![SOURCES.to_owned()];
    let names = absent_is_empty(host.root().read_dir(SOURCES_FOLDER))?;
    let names = names.into_iter().filter(|name| apt_sources::is_read(name));
    files.extend(names.map(|name| format!("{SOURCES_FOLDER}/{name}")));
    let mut found = Vec::new();
    for path in files {
        let text = absent_is_empty(host.root().read_text(&path))?;
        let read = apt_sources::read(&path, &text).map_err(|error| {
            let unknown = unparsable(error);
            Unknown::new(unknown.kind, format!("{path}: {}", unknown.reason))
        });
        found.extend(read?);
    }
    Ok(found)
}

async fn free(host: &Host, path: &str) -> Result<ByteSize, Unknown> {
    if !host.root().exists(path).map_err(unreadable)? {
        return Err(Unknown::new(UnknownKind::Failed, format!("{path} does not exist")));
    }
    let stdout = host.ask(df::space(host.tools(), path)).await?;
    df::read(&stdout).map_err(unparsable)
}

fn root_key(host: &Host) -> Result<Option<SshPublicKey>, Unknown> {
    match host.root().read_text(ROOT_KEY) {
        Err(ReadError::NotFound { .. }) => Ok(None),
        read => ssh_key::read(&read.map_err(unreadable)?).map_err(unparsable),
    }
}

fn host_keys(host: &Host) -> Result<BTreeSet<SshPublicKey>, Unknown> {
    let names = absent_is_empty(host.root().read_dir(SSH_FOLDER))?;
    let mut found = BTreeSet::new();
    for name in names {
        if name.starts_with("ssh_host_") && name.ends_with("_key.pub") {
            let text = host
                .root()
                .read_text(&format!("{SSH_FOLDER}/{name}"))
                .map_err(unreadable)?;
            found.extend(ssh_key::read(&text).map_err(unparsable)?);
        }
    }
    Ok(found)
}

async fn admitted(host: &Host) -> Result<Vec<AdmittedKey>, Unknown> {
    let text = authorized_keys_text(host, AUTHORIZED_KEYS).await?;
    authorized_keys::admitted(&text).map_err(unparsable)
}

fn absent_is_empty<T: Default>(read: Result<T, ReadError>) -> Result<T, Unknown> {
    match read {
        Err(ReadError::NotFound { .. }) => Ok(T::default()),
        read => read.map_err(unreadable),
    }
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
