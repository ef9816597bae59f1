//! pmxcfs: what lies in `/etc/pve`, when it may be written, and how it follows corosync.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::clock::SimTime;
use super::corosync::conf::Conf;
use super::guests::Guest;
use super::ha::HaFiles;
use super::identity::{AuthKeys, Certificate};
use crate::description::GuestKind;
use crate::roots::ssh;

/// pmxcfs tries again this often to reach corosync: the reason why it lags behind at create and join.
pub(crate) const RETRY: Duration = Duration::from_secs(6);

/// One server's pmxcfs.
#[derive(Debug)]
pub(crate) struct Pmxcfs {
    pub(crate) running: bool,
    pub(crate) pid: u32,
    /// What it holds: its own copy of the cluster's files.
    pub(crate) replica: Replica,
    /// The address its name resolved to when it started.
    pub(crate) ip: Option<Ipv4Addr>,
    /// Started by hand and not as the unit `pve-cluster`, which then neither stops it nor can start another.
    pub(crate) by_hand: bool,
    /// Began in cluster mode: corosync.conf was there. Local mode is always writable.
    pub(crate) clustered: bool,
    /// What corosync told it; nothing until it reached corosync.
    pub(crate) view: Option<View>,
    /// Changes of cluster information so far: `.members`' version.
    pub(crate) clinfo: u32,
    pub(crate) next_attempt: SimTime,
    /// When this node, having written a new corosync.conf, makes corosync take it over.
    pub(crate) reload_at: Option<SimTime>,
}

/// The cluster as pmxcfs last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) cluster_name: String,
    /// The version corosync runs with.
    pub(crate) version: u64,
    pub(crate) quorate: bool,
    pub(crate) nodes: Vec<ViewNode>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewNode {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) online: bool,
}

/// The replicated content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Replica {
    /// Counts writes: the copy with more of them is newer.
    pub(crate) sequence: u64,
    pub(crate) conf: Option<Conf>,
    pub(crate) keys: AuthKeys,
    pub(crate) certificates: BTreeMap<String, Certificate>,
    pub(crate) guests: BTreeMap<u32, Guest>,
    /// Node folders without a certificate yet.
    pub(crate) nodes: Vec<String>,
    /// Addresses the nodes reported.
    pub(crate) ips: BTreeMap<String, Ipv4Addr>,
    /// Files that were planted or written, by path below `/etc/pve`; they hide what would lie there otherwise.
    pub(crate) files: BTreeMap<String, String>,
    /// HA as its daemons publish it.
    pub(crate) ha: HaFiles,
    /// What would lie there, but was removed; folders end in `/`.
    pub(crate) gone: BTreeSet<String>,
    /// Locks below `priv/lock`: held until then at the longest.
    pub(crate) locks: BTreeMap<String, SimTime>,
}

/// What `/etc/pve` looks like depends on these alone: every write raises the sequence, every start changes the pid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) running: bool,
    pub(crate) writable: bool,
    pid: u32,
    clinfo: u32,
    sequence: u64,
    ips: BTreeMap<String, Ipv4Addr>,
    locks: Vec<String>,
}

impl Pmxcfs {
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            running: self.running,
            writable: self.writable(),
            pid: self.pid,
            clinfo: self.clinfo,
            sequence: self.replica.sequence,
            ips: self.replica.ips.clone(),
            locks: self.replica.locks.keys().cloned().collect(),
        }
    }

    /// May `/etc/pve` be written?
    pub(crate) fn writable(&self) -> bool {
        self.running && (!self.clustered || self.view.as_ref().is_some_and(|view| view.quorate))
    }

    /// `.members`.
    pub(crate) fn members(&self, nodename: &str) -> String {
        let mut text = format!("{{\n\"nodename\": \"{nodename}\",\n\"version\": {}", self.clinfo);
        let Some(view) = self.view.as_ref().filter(|_| self.clustered) else {
            text.push_str("\n}\n");
            return text;
        };
        write!(
            text,
            ",\n\"cluster\": {{ \"name\": \"{}\", \"version\": {}, \"nodes\": {}, \"quorate\": {} }},\n\"nodelist\": {{\n",
            view.cluster_name,
            view.version,
            view.nodes.len(),
            u8::from(view.quorate)
        ).ok();
        for (index, node) in view.nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { ",\n" };
            write!(
                text,
                "{comma}  \"{}\": {{ \"id\": {}, \"online\": {}",
                node.name,
                node.id,
                u8::from(node.online)
            )
            .ok();
            match self.replica.ips.get(&node.name) {
                Some(ip) => {
                    write!(text, ", \"ip\": \"{ip}\"}}").ok();
                }
                None => text.push('}'),
            }
        }
        text.push_str("\n  }\n}\n");
        text
    }

    /// `.vmlist`.
    pub(crate) fn vmlist(&self) -> String {
        let newest = self
            .replica
            .guests
            .values()
            .map(|guest| guest.version)
            .max()
            .unwrap_or(0);
        let mut text = format!("{{\n\"version\": {newest}");
        if self.replica.guests.is_empty() {
            text.push('\n');
        } else {
            text.push_str(",\n\"ids\": {\n");
            let lines: Vec<String> = self
                .replica
                .guests
                .iter()
                .map(|(vmid, guest)| {
                    format!(
                        "\"{vmid}\": {{ \"node\": \"{}\", \"type\": \"{}\", \"version\": {} }}",
                        guest.node,
                        guest.kind.word(),
                        guest.version
                    )
                })
                .collect();
            text.push_str(&lines.join(",\n"));
            text.push_str("}\n");
        }
        text.push_str("\n}\n");
        text
    }

    /// `.version`, shortened to what has a meaning in the lab.
    pub(crate) fn version(&self, nodename: &str, started: i64) -> String {
        let newest = self
            .replica
            .guests
            .values()
            .map(|guest| guest.version)
            .max()
            .unwrap_or(0);
        let conf = self.replica.conf.as_ref().map_or(1, |conf| conf.version + 1);
        let mut text = format!(
            "{{\n\"starttime\": {started},\n\"clinfo\": {},\n\"vmlist\": {newest},\n\"corosync.conf\": {conf},\n\
             \"corosync.conf.new\": {conf},\n\"storage.cfg\": 1,\n\"user.cfg\": 1,\n\"datacenter.cfg\": 1,\n\
             \"replication.cfg\": 1,\n\"ceph.conf\": 1,\n\"kvstore\": {{\n",
            self.clinfo
        );
        let mut names: Vec<&str> = self.replica.ips.keys().map(String::as_str).collect();
        if names.is_empty() {
            names.push(nodename);
        }
        let entries: Vec<String> = names.iter().map(|name| format!("\"{name}\": {{\n}}\n")).collect();
        text.push_str(&entries.join(","));
        text.push_str("}\n}\n");
        text
    }
}

/// A file of `/etc/pve` and whether only root may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PveFile {
    pub(crate) text: String,
    pub(crate) private: bool,
}

impl PveFile {
    pub(crate) fn new(path: &str, text: String) -> Self {
        let private = path.starts_with("priv/") || path.contains("/priv/");
        Self { text, private }
    }
}

/// Everything that lies in `/etc/pve`, by path below it. Folders end in `/`.
pub(crate) fn tree(pmxcfs: &Pmxcfs, nodename: &str, started: i64) -> BTreeMap<String, PveFile> {
    let mut files = made(pmxcfs, nodename, started);
    pmxcfs.replica.lay_over(&mut files);
    files
}

/// What follows from the model, before what was written by hand.
fn made(pmxcfs: &Pmxcfs, nodename: &str, started: i64) -> BTreeMap<String, PveFile> {
    let mut files = BTreeMap::new();
    let mut put = |path: &str, text: String| {
        files.insert(path.to_owned(), PveFile::new(path, text));
    };
    let replica = &pmxcfs.replica;
    put(".members", pmxcfs.members(nodename));
    put(".vmlist", pmxcfs.vmlist());
    put(".version", pmxcfs.version(nodename, started));
    for dir in ["priv/", "priv/lock/", "ha/", "firewall/", "mapping/", "nodes/"] {
        put(dir, String::new());
    }
    if let Some(conf) = &replica.conf {
        put("corosync.conf", conf.render());
    }
    // A database that was just made holds nothing else.
    if replica.certificates.is_empty() {
        return files;
    }
    put("storage.cfg", STORAGE.to_owned());
    put("datacenter.cfg", "keyboard: en-us\n".to_owned());
    put("user.cfg", "user:root@pam:1:0:::root@lab.example::\n".to_owned());
    put("priv/authorized_keys", authorized_keys(replica));
    for (path, text) in replica.ha.files() {
        put(&path, text);
    }
    put("authkey.pub", replica.keys.public_text());
    put("priv/authkey.key", replica.keys.private_text());
    put(
        "pve-root-ca.pem",
        replica
            .certificates
            .values()
            .next()
            .map(|cert| cert.pem.clone())
            .unwrap_or_default(),
    );
    let names = replica.certificates.keys().chain(replica.nodes.iter());
    for name in names {
        for sub in ["", "lxc/", "openvz/", "priv/", "qemu-server/"] {
            put(&format!("nodes/{name}/{sub}"), String::new());
        }
    }
    for (name, certificate) in &replica.certificates {
        put(&format!("nodes/{name}/pve-ssl.pem"), certificate.pem.clone());
        put(
            &format!("nodes/{name}/pve-ssl.key"),
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n".to_owned(),
        );
    }
    for (vmid, guest) in &replica.guests {
        let folder = match guest.kind {
            GuestKind::Qemu => "qemu-server",
            GuestKind::Lxc => "lxc",
        };
        put(
            &format!("nodes/{}/{folder}/{vmid}.conf", guest.node),
            guest.conf.clone(),
        );
    }
    files
}

/// Root's keys of all nodes that were taken in. A join drops what the joining node had besides.
fn authorized_keys(replica: &Replica) -> String {
    let nodes = replica.certificates.keys();
    nodes.map(|node| format!("{}\n", ssh::root_key(node))).collect()
}

const STORAGE: &str = "dir: local\n\tpath /var/lib/vz\n\tcontent iso,vztmpl,backup\n\n\
                       lvmthin: local-lvm\n\tthinpool data\n\tvgname pve\n\tcontent rootdir,images\n";
