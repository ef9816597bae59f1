//! What the files of /etc/pve (and root's ssh files) say: what a join would overwrite, and what still leans on a node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facet::Facet;
use crate::ids::SshPublicKey;
use crate::observation::guest_config::ConfiguredGuest;
use crate::observation::guests::GuestDevice;
use crate::time::Timestamp;

pub use super::firewall::{Firewall, FirewallRule};
pub use super::replication::ReplicationJob;

/// The node's configuration, as far as changes of the cluster touch it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PveConfig {
    /// Storages. Source: /etc/pve/storage.cfg; without the file PVE has its built-in `local`, which is not listed.
    pub storages: Facet<Vec<Storage>>,
    /// Users but root@pam. Source: `user:` lines of /etc/pve/user.cfg.
    pub users: Facet<Vec<String>>,
    /// API tokens, as `USER!NAME`. Source: `token:` lines of /etc/pve/user.cfg.
    pub tokens: Facet<Vec<String>>,
    /// Has root@pam a second factor? `pvecm add` then can't log in with a password. Source: /etc/pve/priv/tfa.cfg.
    pub root_tfa: Facet<bool>,
    /// The node has a certificate of its own for its web interface. Source: /etc/pve/nodes/NODE/pveproxy-ssl.pem exists.
    pub own_certificate: bool,
    /// The keys in root's authorized_keys.
    pub authorized_keys: Facet<Vec<RootKey>>,
    /// pve-firewall. Source: /etc/pve/firewall/cluster.fw, /etc/pve/nodes/NODE/host.fw.
    pub firewall: Facet<Firewall>,
    /// Replication jobs. Source: /etc/pve/replication.cfg.
    pub replication: Facet<Vec<ReplicationJob>>,
    /// HA groups and rules that name nodes: `group NAME` or `rule NAME` → the nodes. Source: /etc/pve/ha/{groups,rules}.cfg.
    pub ha_placements: Facet<BTreeMap<String, Vec<String>>>,
    /// Ceph's monitors, by name; `None`: there is no ceph.conf. Source: `[mon.NAME]` of /etc/pve/ceph.conf.
    pub ceph_monitors: Facet<Option<Vec<String>>>,
    /// Ceph's daemons on this node, such as `osd.3` or `mgr.prox1`. Source: the folders of /var/lib/ceph/{mon,mgr,mds,osd}.
    #[serde(default)]
    pub ceph_daemons: Facet<Vec<String>>,
    /// MAC addresses of all guests of the cluster, in lower case: by them a host is seen to be one of them, wherever it runs. Source:
    /// `netN` of /etc/pve/nodes/*/{qemu-server,lxc}/*.conf.
    #[serde(default)]
    pub guest_macs: Facet<Vec<String>>,
    /// Devices of their hosts that guests of the cluster are given directly: a disk among them is in use, whatever it carries. Source: the
    /// same files, and /etc/pve/mapping/pci.cfg.
    #[serde(default)]
    pub guest_devices: Facet<Vec<GuestDevice>>,
    /// All guests of the cluster with their configuration, by id. Source: /etc/pve/nodes/*/{qemu-server,lxc}/*.conf.
    #[serde(default)]
    pub guests: Facet<Vec<ConfiguredGuest>>,
    /// The QDevice's certificate with its private key lies in /etc/pve, where a set-up that broke off left it. Source:
    /// /etc/pve/qdevice-net-node.p12 exists.
    #[serde(default)]
    pub qdevice_key: bool,
    /// Folders of nodes, by name. Source: /etc/pve/nodes.
    pub node_folders: Facet<BTreeMap<String, NodeFolder>>,
    /// The cluster file that was last applied; `None`: none was kept. Source: /etc/pve/quorate/spec.toml.
    pub spec: Facet<Option<KeptSpec>>,
    /// Files below /etc/pve that PVE does not make anew by itself, and that the parts above don't tell of. Source: the folder.
    #[serde(default)]
    pub files: Facet<Vec<PveFile>>,
    /// What holds for the whole cluster, by key, as written: `migration`, `ha`, `crs` … Source: /etc/pve/datacenter.cfg.
    #[serde(default)]
    pub datacenter: Facet<BTreeMap<String, String>>,
    /// PVE's pools of guests, by name, with the guests in them. Source: `pool:` lines of /etc/pve/user.cfg.
    #[serde(default)]
    pub guest_pools: Facet<BTreeMap<String, Vec<u32>>>,
}

/// A key that may log in as root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootKey {
    /// What people know it by: its comment, or its end if it has none.
    pub name: String,
    /// SHA-256 of the key itself, in hex: two may have one comment.
    pub digest: String,
}

impl RootKey {
    /// Is it this key? Its comment is no proof: anybody may write one.
    #[must_use]
    pub fn is(&self, key: &SshPublicKey) -> bool {
        self.digest == Self::digest_of(key)
    }

    /// The digest by which a key is known.
    #[must_use]
    pub fn digest_of(key: &SshPublicKey) -> String {
        let key = key.as_str();
        crate::spec::digest_of(key.split_whitespace().nth(1).unwrap_or(key))
    }
}

/// A file below /etc/pve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PveFile {
    /// Its path below /etc/pve.
    pub path: String,
    /// SHA-256 of its text, in hex; `None` below `priv`, of which nothing leaves the server.
    pub digest: Option<String>,
}

/// A storage definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Its id.
    pub id: String,
    /// `dir`, `zfspool`, `pbs` …
    pub kind: String,
    /// Nodes that it is limited to; empty: all.
    pub nodes: Vec<String>,
    /// SHA-256 of all that is written about it, in hex: two of one name and kind may lie elsewhere.
    #[serde(default)]
    pub digest: String,
}

/// A folder under /etc/pve/nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFolder {
    /// Guests whose configuration lies in it.
    pub guests: Vec<u32>,
}

/// The cluster file in /etc/pve: a hint, never an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSpec {
    /// SHA-256 of its text, in hex; checked against the text when it was read.
    pub digest: String,
    /// When it was applied, on the coordinator's clock.
    pub applied_at: Timestamp,
    /// The rollout that applied it; empty: nothing was to be done.
    pub rollout: String,
    /// Its text.
    pub text: String,
}
