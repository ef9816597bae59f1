//! Is the server ready to be changed: services, packages, free space, keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::ids::{ClusterName, SshPublicKey};
use crate::size::ByteSize;
use crate::time::Timestamp;

/// What a change leans on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    /// Units by name (without `.service`). Source: `systemctl show`.
    pub services: BTreeMap<String, Facet<ServiceState>>,
    /// Packages that matter, by name. Source: `dpkg-query -W`, `apt-cache policy`.
    pub packages: Facet<BTreeMap<String, PackageState>>,
    /// Packages that apt would upgrade now, as of its last update. Source: `apt-get -s dist-upgrade`.
    pub updates: Facet<u32>,
    /// Enabled apt repositories. Source: /etc/apt/sources.list, /etc/apt/sources.list.d.
    pub repositories: Facet<Vec<Repository>>,
    /// Path → bytes that are still free there, without what only root may use. Source: `df`.
    pub free: BTreeMap<String, Facet<ByteSize>>,
    /// Root's public key, with which cluster tools log in elsewhere; `None`: there is none. Source: /root/.ssh/id_rsa.pub.
    pub root_key: Facet<Option<SshPublicKey>>,
    /// sshd's public keys. Source: /etc/ssh/ssh_host_*_key.pub.
    pub host_keys: Facet<BTreeSet<SshPublicKey>>,
    /// Keys of clusters that we let in, by our mark in root's authorized_keys.
    pub admitted: Facet<Vec<AdmittedKey>>,
    /// What apt complained of when it was asked to fetch the packages that the request named, without installing them; empty: it has
    /// them. Source: `apt-get install --download-only`, which fills apt's cache and changes nothing else.
    #[serde(default)]
    pub fetch: Facet<Vec<String>>,
}

/// A unit's state. Source: `systemctl show` (`LoadState`, `ActiveState`, `SubState`, `UnitFileState`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// `loaded`, `not-found`, `masked` …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating` …
    pub active: String,
    /// `running`, `dead`, `exited` …
    pub sub: String,
    /// `enabled`, `disabled` …; empty: it has none.
    pub enabled: String,
}

impl ServiceState {
    /// Does it run?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.active == "active"
    }

    /// Is there such a unit?
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.load != "not-found"
    }
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageState {
    /// The version that is installed; `None`: it is not (or only its configuration is left).
    pub installed: Option<String>,
    /// The version that apt would install; `None`: no repository has it.
    pub candidate: Option<String>,
}

/// An apt repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The file that names it.
    pub file: String,
    /// Its address.
    pub uri: String,
    /// Its suite, such as `bookworm`.
    pub suite: String,
    /// Its components, such as `pve-enterprise`.
    pub components: Vec<String>,
}

/// A key that may log in as root because we let it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmittedKey {
    /// Whose key.
    pub cluster: ClusterName,
    /// The key.
    pub key: SshPublicKey,
    /// When sshd stops honouring it.
    pub until: Timestamp,
}
