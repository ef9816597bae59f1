//! What can be out of the ordinary on a server: each thing a preflight ought to find, and where it shows.

use serde::{Deserialize, Serialize};

use crate::description::{DiskSpec, GuestKind, SmartSpec};
use crate::zfs::PoolPlant;

/// One thing that is planted on one server, from the start (in its description) or later (by a script).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "plant", deny_unknown_fields)]
pub enum Plant {
    /// Any file below the server's root. Below `/etc/pve` it is replicated as there.
    File {
        /// Absolute, for example `/etc/pve/datacenter.cfg`; a folder if it ends in `/`.
        path: String,
        /// Its text; the file is removed without.
        text: Option<String>,
    },
    /// A storage. Shows in `/etc/pve/storage.cfg`.
    Storage {
        /// Its id.
        id: String,
        /// For example `dir`, `nfs`, `pbs`.
        kind: String,
        /// The nodes it is limited to; all without.
        #[serde(default)]
        nodes: Vec<String>,
    },
    /// An API token. Shows in `/etc/pve/user.cfg`.
    Token {
        /// For example `root@pam!backup`.
        id: String,
    },
    /// A second factor (TOTP) of root@pam. Shows in `/etc/pve/priv/tfa.cfg`; the lab still takes the password.
    RootTotp,
    /// A certificate of its own. Shows in `/etc/pve/nodes/NODE/pveproxy-ssl.pem`.
    OwnCertificate,
    /// One more key that may log in as root. Shows in `/root/.ssh/authorized_keys`.
    AuthorizedKey {
        /// The key's comment.
        comment: String,
    },
    /// pve-firewall is on. Shows in `/etc/pve/firewall/cluster.fw` and in `pve-firewall status`.
    Firewall {
        /// `policy_in`; `DROP` without.
        #[serde(default)]
        policy_in: Option<String>,
        /// Lines below `[RULES]`.
        #[serde(default)]
        rules: Vec<String>,
    },
    /// A unit does not run, or runs again. Shows in `systemctl`.
    Service {
        /// Without `.service`, for example `pvedaemon`.
        unit: String,
        /// How it is.
        state: ServiceIs,
    },
    /// A storage is otherwise on this server than usual. Shows in `pvesm`.
    StorageOn {
        /// Its id.
        id: String,
        /// How it is.
        state: StorageIs,
    },
    /// So much is free on a file system. Shows in `df`.
    Free {
        /// A folder on it, for example `/var/lib/pve-cluster`.
        path: String,
        /// Bytes that root may still write.
        bytes: u64,
    },
    /// A name resolves elsewhere, or not at all. Shows in `/etc/hosts`, `getent`.
    Name {
        /// The server's own name, or another.
        name: String,
        /// Its only address; it does not resolve without.
        #[serde(default)]
        address: Option<String>,
    },
    /// A port runs slower. Shows in `/sys/class/net/PORT/{speed,duplex}`.
    Speed {
        /// `eno1` (public) or `eno2` (cluster network).
        port: String,
        /// Mbit/s.
        mbits: u32,
        /// Half duplex.
        #[serde(default)]
        half: bool,
    },
    /// An interface has another MTU. Shows in `/sys/class/net/NAME/mtu` and `ip -j link`.
    Mtu {
        /// `eno1`, `eno2` or `vmbr0`.
        interface: String,
        /// Bytes.
        bytes: u32,
    },
    /// A replication job. Shows in `/etc/pve/replication.cfg`.
    Replication {
        /// The guest.
        guest: u32,
        /// The node that gets the copy.
        target: String,
    },
    /// Ceph is set up. Shows in `/etc/pve/ceph.conf`.
    Ceph {
        /// Names of its monitors.
        monitors: Vec<String>,
    },
    /// The folder of a node that is no member. Shows in `/etc/pve/nodes`.
    LeftoverNode {
        /// The folder's name.
        name: String,
    },
    /// PVE's enterprise repository without a subscription. Shows in `/etc/apt/sources.list.d`; `apt-get update` gets 401.
    EnterpriseRepository,
    /// So many packages have updates. Shows in `apt-get -s dist-upgrade`.
    Updates {
        /// How many; the usual packages are not more than about twenty.
        count: u32,
    },
    /// A package is as it says. Shows in `dpkg-query`, `apt-cache policy`, `apt-get`.
    Package {
        /// Its name.
        name: String,
        /// The version that is installed; it is not without.
        #[serde(default)]
        installed: Option<String>,
        /// The version that apt would install; there is none without.
        #[serde(default)]
        candidate: Option<String>,
        /// It was removed, but its configuration is left.
        #[serde(default)]
        residual: bool,
    },
    /// Another process holds apt's and dpkg's locks, until it is planted again with `false`. Shows when `apt-get` runs.
    AptLocked {
        /// Does it?
        held: bool,
    },
    /// The package servers can't be reached. Shows when `apt-get` fetches.
    AptUnreachable {
        /// Is it so?
        away: bool,
    },
    /// A guest under HA on this server; made if it is not there. Shows in `/etc/pve/ha/resources.cfg`, and once its
    /// LRM took its lock, in `/run/watchdog-mux.active`.
    HaGuest {
        /// Its number.
        vmid: u32,
        /// The requested state; `started` without.
        #[serde(default)]
        state: Option<String>,
    },
    /// No guest is under HA any more. The LRM and the watchdog follow ten minutes later.
    NoHa,
    /// A disk is plugged in; one of its name is replaced by it, as when it was put to use or swapped. Shows in `/sys`, `/dev`, `lsblk`,
    /// `smartctl` and LVM's tools.
    Disk {
        /// What it is and what is on it.
        disk: Box<DiskSpec>,
    },
    /// A disk is pulled.
    NoDisk {
        /// Its kernel name.
        name: String,
    },
    /// What a disk says of its health. Shows in `smartctl`.
    Smart {
        /// Its kernel name.
        name: String,
        /// What it answers from now on.
        smart: SmartSpec,
    },
    /// corosync-qnetd runs or not, if it is installed. Shows in `systemctl` and `corosync-qnetd-tool`.
    Qnetd {
        /// Does it run?
        running: bool,
    },
    /// A ZFS pool that somebody else made. Shows in `zpool`, `lsblk`.
    Pool(PoolPlant),
    /// `/etc/zfs/zpool.cache` is lost: at the next boot only pools whose `zfs-import@` is enabled are imported.
    ZpoolCacheLost {
        /// Is it?
        lost: bool,
    },
    /// The import of a pool fails at each boot. Shows in `systemctl`, `zpool`.
    ImportFails {
        /// The pool.
        pool: String,
        /// Does it?
        fails: bool,
    },
    /// vzdump has made a backup of a guest on this server. Shows in `/var/log/vzdump/{qemu,lxc}-ID.log`; nothing else of it is there.
    Backup {
        /// The guest's number.
        vmid: u32,
        /// What it is.
        #[serde(default)]
        kind: GuestKind,
        /// So many seconds ago, by the server's clock, the log was written last.
        ago: u32,
        /// How it ended.
        end: BackupIs,
    },
    /// The watchdog resets nothing, although it is armed: what a fault that ends in two stages is for. Shows nowhere.
    WatchdogDead {
        /// Or it does again.
        dead: bool,
    },
}

/// How a backup ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupIs {
    /// It was made.
    Made,
    /// It failed, for this reason.
    Failed(String),
    /// It runs, or was broken off without a word.
    Open,
}

/// How a storage is on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageIs {
    /// As usual.
    Usual,
    /// Where it lies is not there, or does not answer at all.
    Away,
    /// Whoever asks waits.
    Hangs,
    /// So many percent of it are taken.
    Filled(u8),
}

/// How a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceIs {
    /// As usual.
    Usual,
    /// Stopped.
    Stopped,
    /// Failed.
    Failed,
    /// Masked, and stopped.
    Masked,
}
