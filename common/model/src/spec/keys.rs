//! Every key of the cluster file, once: the reader knows keys from here, and the JSON Schema and the reference page are made from it.

mod drills;
mod guests;
mod storages;

use super::{MOST_LINKS, NodeRole};
use crate::compression::Compression;
use crate::drill::DrillKind;
use crate::fault::FORMS;
use crate::observation::disks::DiskKind;
use crate::raid::Raid;
use crate::spec::replication::ReturningNode;
use crate::storage::{Content, StorageKind};

pub use self::drills::{DRILL, EXPECT};
pub use self::guests::{HA, REPLICATION};
pub use self::storages::STORAGE;

/// A table of the cluster file.
#[derive(Debug, Clone, Copy)]
pub struct KeyTable {
    /// Its path, such as `cluster` or `nodes.NAME`; empty: the top of the file.
    pub path: &'static str,
    /// Its keys, in the order in which they are best written.
    pub keys: &'static [Key],
    /// Words that other versions know there; refused as such and not as misspelt.
    pub later: &'static [&'static str],
    /// Words under which people write secrets; refused with the reason.
    pub secrets: &'static [&'static str],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// Must it be there?
    pub needed: bool,
    /// What holds without it, in words; empty where it is needed.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// As it is written: lines of TOML.
    pub example: &'static str,
}

/// What may stand as a value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A cluster's name.
    ClusterName,
    /// A node's name.
    NodeName,
    /// An IP address.
    Address,
    /// A network as ADDRESS/PREFIX.
    Network,
    /// A whole number from 0 to 255.
    Byte,
    /// A node's role.
    Role,
    /// A maintenance window.
    Window,
    /// A list of at least one and at most so many.
    List(&'static Kind, Option<usize>),
    /// A network, or a table with these keys.
    NetworkOr(&'static KeyTable),
    /// A table with these keys.
    Table(&'static KeyTable),
    /// Tables with these keys, each under a node's name; at least one.
    ByNode(&'static KeyTable),
    /// Tables with these keys, each under a pool's name.
    ByPool(&'static KeyTable),
    /// A pool's layout.
    Raid,
    /// A kind of disk.
    DiskKind,
    /// A size, such as 900GB.
    Size,
    /// Tables with these keys, each under a storage's name.
    ByStorage(&'static KeyTable),
    /// A kind of storage.
    StorageKind,
    /// What a storage may keep.
    Content,
    /// A TCP port.
    Port,
    /// Any text.
    Text,
    /// `true` or `false`.
    Switch,
    /// How a pool compresses.
    Compression,
    /// Guests: an id, `all`, `tag:NAME`, `pool:NAME`, or a list of these.
    Guests,
    /// A whole number from 1.
    Number,
    /// What is done when a server returns.
    Returning,
    /// Any number of tables with these keys.
    Tables(&'static KeyTable),
    /// A selector with these keys; or under each node's name a selector, or a list of disks' names.
    Disks(&'static KeyTable),
    /// Tables with these keys, each under a drill's name.
    ByDrill(&'static KeyTable),
    /// What is broken in a drill.
    Fault,
    /// A drill's kind.
    DrillKind,
    /// A guest's id.
    Guest,
    /// Probes: one, or a list.
    Probes,
    /// A span of time, such as 4m.
    Lasting,
}

impl Kind {
    /// In words, as the reference page has it.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::ClusterName | Self::NodeName => "name".to_owned(),
            Self::Address => "IP address".to_owned(),
            Self::Network => "network".to_owned(),
            Self::Byte => "0 to 255".to_owned(),
            Self::Role => NodeRole::ALL.map(|r| format!("`\"{}\"`", r.as_str())).join(", "),
            Self::Window => "window".to_owned(),
            Self::List(kind, most) => {
                let most = most.map(|m| format!(", 1 to {m}")).unwrap_or_default();
                format!("list{most}: {}", kind.in_words())
            }
            Self::NetworkOr(_) => "network, or table".to_owned(),
            Self::Table(_) => "table".to_owned(),
            Self::ByNode(_) => "a table for each node".to_owned(),
            Self::ByPool(_) => "a table for each pool".to_owned(),
            Self::ByStorage(_) => "a table for each storage".to_owned(),
            Self::StorageKind => StorageKind::ALL.map(|k| format!("`\"{k}\"`")).join(", "),
            Self::Content => Content::ALL.map(|c| format!("`\"{c}\"`")).join(", "),
            Self::Port => "1 to 65535".to_owned(),
            Self::Raid => Raid::ALL.map(|r| format!("`\"{r}\"`")).join(", "),
            Self::DiskKind => DiskKind::ALL.map(|k| format!("`\"{}\"`", k.as_str())).join(", "),
            Self::Size => "size".to_owned(),
            Self::Guests => "ids, `\"all\"`, `\"tag:NAME\"`, `\"pool:NAME\"`; one of these or a list".to_owned(),
            Self::Number => "whole number from 1".to_owned(),
            Self::Returning => ReturningNode::ALL.map(|r| format!("`\"{r}\"`")).join(", "),
            Self::Tables(_) => "any number of tables".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Switch => "`true`, `false`".to_owned(),
            Self::Compression => Compression::ALL.map(|c| format!("`\"{c}\"`")).join(", "),
            Self::Disks(_) => "selector; or for each node a selector, or a list of disks' names".to_owned(),
            Self::ByDrill(_) => "a table for each drill".to_owned(),
            Self::Fault => FORMS.map(|form| format!("`\"{form}\"`")).join(", "),
            Self::DrillKind => DrillKind::ALL.map(|k| format!("`\"{}\"`", k.as_str())).join(", "),
            Self::Guest => "id".to_owned(),
            Self::Probes => "probe, or a list of them".to_owned(),
            Self::Lasting => "span of time".to_owned(),
        }
    }
}

impl KeyTable {
    /// The names of its keys.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|k| k.name)
    }

    /// A key by its name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

/// All tables, in the order of the reference page.
pub const TABLES: [&KeyTable; 12] = [
    &FILE,
    &CLUSTER,
    &LINK,
    &THIRD_VOTE,
    &NODE,
    &POOL,
    &SELECTOR,
    &STORAGE,
    &REPLICATION,
    &HA,
    &DRILL,
    &EXPECT,
];

/// The top of the file.
pub const FILE: KeyTable = KeyTable {
    path: "",
    keys: &[
        Key {
            name: "cluster",
            kind: Kind::Table(&CLUSTER),
            needed: true,
            default: "",
            meaning: "What concerns the cluster as a whole.",
            example: "[cluster]\nname = \"hk1\"",
        },
        Key {
            name: "nodes",
            kind: Kind::ByNode(&NODE),
            needed: true,
            default: "",
            meaning: "The servers. NAME is what the server calls itself (its short host name); at least one has the role `member`. \
                      A server that the file does not name is left alone.",
            example: "[nodes.prox1]\naddress = \"192.168.1.11\"",
        },
        Key {
            name: "zfs",
            kind: Kind::ByPool(&POOL),
            needed: false,
            default: "no pool is made; pools that are there are left alone",
            meaning: "ZFS pools: one of this name on each member, and one storage of the same name over all of them.",
            example: "[zfs.data_zfs]\nraid = \"mirror\"\ndisks = { count = 2, kind = \"ssd\" }",
        },
        Key {
            name: "storage",
            kind: Kind::ByStorage(&STORAGE),
            needed: false,
            default: "none but those of the pools; storages that are there are left alone",
            meaning: "Storages of the cluster, beside those that `zfs` registers. One that is there is compared; it gets what is added to it \
                      here (nodes, content), and every other difference is told and left to people.",
            example: "[storage.backup]\ntype = \"pbs\"\nserver = \"192.168.1.5\"\ndatastore = \"store1\"\npassword_file = \
                      \"/etc/quorate/secrets/pbs.password\"",
        },
        Key {
            name: "replication",
            kind: Kind::Tables(&REPLICATION),
            needed: false,
            default: "no guest is copied; jobs that are there are left alone",
            meaning: "Guests that have copies on several servers, by PVE's storage replication. A guest that several tables mean is copied as the \
                      one says that names it most closely: by id, then by tag or pool, then by `all`.",
            example: "[[replication]]\nguests = [100]\ncopies_on = [\"prox1\", \"prox2\"]\nevery = \"5m\"",
        },
        Key {
            name: "ha",
            kind: Kind::Table(&HA),
            needed: false,
            default: "no guest is put under HA; what is there is left alone",
            meaning: "Guests that PVE restarts elsewhere when their server fails. One with copies is bound strictly to the servers that have them, \
                      and waits until they are there; one that is stopped stays so. A guest that is taken out here stays under HA until somebody \
                      takes it out by hand.",
            example: "[ha]\nguests = [100]",
        },
        Key {
            name: "drills",
            kind: Kind::ByDrill(&DRILL),
            needed: false,
            default: "no drill is named",
            meaning: "Failover drills: a real fault on one server, with what is expected of it. `quorate drill run NAME` \
                      makes one.",
            example: "[drills.cut-prox1]\nfault = \"network\"\nnode = \"prox1\"\nguest = 100",
        },
    ],
    later: &["ceph", "canary"],
    secrets: &[],
};

/// `[cluster]`
pub const CLUSTER: KeyTable = KeyTable {
    path: "cluster",
    keys: &[
        Key {
            name: "name",
            kind: Kind::ClusterName,
            needed: true,
            default: "",
            meaning: "The cluster's name, for ever: PVE can't change it. Up to 15 lower-case letters, digits and inner hyphens. It is \
                      also the name under which its nodes are enrolled.",
            example: "name = \"hk1\"",
        },
        Key {
            name: "links",
            kind: Kind::List(&Kind::NetworkOr(&LINK), Some(MOST_LINKS)),
            needed: false,
            default: "as many links as the nodes' own `links` have; without those one link, over the nodes' addresses",
            meaning: "The corosync links, link 0 first. Of a network, each node's own address in it is found; a node with several \
                      addresses there says which is meant by its own `links`.",
            example: "links = [\"10.10.10.0/24\", \"192.168.1.0/24\"]",
        },
        Key {
            name: "migration_network",
            kind: Kind::Network,
            needed: false,
            default: "PVE's own choice: the network of the nodes' addresses",
            meaning: "The network for migration and replication traffic (`migration` in PVE's datacenter.cfg; what else stands there is kept).",
            example: "migration_network = \"10.10.10.0/24\"",
        },
        Key {
            name: "third_vote",
            kind: Kind::Table(&THIRD_VOTE),
            needed: false,
            default: "no third vote",
            meaning: "A vote from outside of the cluster, for clusters of two servers, or of any even number.",
            example: "third_vote = { qdevice = \"box1\" }",
        },
        Key {
            name: "maintenance",
            kind: Kind::List(&Kind::Window, None),
            needed: false,
            default: "at any time",
            meaning: "When disruptive steps may begin, in UTC: `HH:MM-HH:MM` every day, `DAY HH:MM-DAY HH:MM` every week, with days \
                      `mon` to `sun`. A window that ends before it begins goes over midnight, or over the end of the week.",
            example: "maintenance = [\"sat 22:00-sun 04:00\", \"22:00-05:00\"]",
        },
    ],
    later: &[],
    secrets: &[],
};

/// An item of `links` in `[cluster]` that is written as a table.
pub const LINK: KeyTable = KeyTable {
    path: "cluster.links[]",
    keys: &[
        Key {
            name: "network",
            kind: Kind::Network,
            needed: false,
            default: "every node's own `links` name its address",
            meaning: "The link's network.",
            example: "network = \"10.10.10.0/24\"",
        },
        Key {
            name: "priority",
            kind: Kind::Byte,
            needed: false,
            default: "1 for a link that is made; a link that the cluster has keeps its own",
            meaning: "Which link corosync uses while several work: the one with the *highest* number; among equal ones that with the \
                      lowest link number. 0 counts as 1.",
            example: "priority = 20",
        },
    ],
    later: &[],
    secrets: &[],
};

/// `[cluster.third_vote]`
pub const THIRD_VOTE: KeyTable = KeyTable {
    path: "cluster.third_vote",
    keys: &[Key {
        name: "qdevice",
        kind: Kind::NodeName,
        needed: true,
        default: "",
        meaning: "The node that holds it: one with the role `qnetd`.",
        example: "qdevice = \"box1\"",
    }],
    later: &[],
    secrets: &[],
};

/// `[nodes.NAME]`
pub const NODE: KeyTable = KeyTable {
    path: "nodes.NAME",
    keys: &[
        Key {
            name: "address",
            kind: Kind::Address,
            needed: true,
            default: "",
            meaning: "Its management address: an address and not a name, to which its name resolves on the server itself.",
            example: "address = \"192.168.1.11\"",
        },
        Key {
            name: "role",
            kind: Kind::Role,
            needed: false,
            default: "`\"member\"`",
            meaning: "`member`: a full server. `witness`: a PVE server that votes but gets no guests, replicas or OSDs. `qnetd`: a \
                      host outside of the cluster, no PVE server, that can hold the third vote.",
            example: "role = \"witness\"",
        },
        Key {
            name: "links",
            kind: Kind::List(&Kind::Address, Some(MOST_LINKS)),
            needed: false,
            default: "found by the networks of the cluster's `links`",
            meaning: "Its address on each link, link 0 first. As many as the cluster has links; not for `qnetd`.",
            example: "links = [\"10.10.10.11\", \"192.168.1.11\"]",
        },
    ],
    later: &[],
    secrets: &[],
};

/// `[zfs.NAME]`
pub const POOL: KeyTable = KeyTable {
    path: "zfs.NAME",
    keys: &[
        Key {
            name: "raid",
            kind: Kind::Raid,
            needed: true,
            default: "",
            meaning: "How the disks are laid out. `mirror` is one mirror of all disks, `raid10` mirrors of two.",
            example: "raid = \"mirror\"",
        },
        Key {
            name: "disks",
            kind: Kind::Disks(&SELECTOR),
            needed: true,
            default: "",
            meaning: "Which disks: what they are like, on each member; or for each member apart, by what they are like or by name (a link \
                      below /dev/disk/by-id, a WWN or a serial number, as `quorate disks` shows them; never /dev/sdX, which means \
                      another disk after the next boot); an empty list where there is to be no pool. A disk that anything speaks against is never chosen.",
            example: "disks = { count = 2, kind = \"ssd\", min_size = \"900GB\" }",
        },
        Key {
            name: "vdevs",
            kind: Kind::Byte,
            needed: false,
            default: "1; `raid10` has as many as pairs",
            meaning: "Over how many vdevs of that layout the disks are spread, each with as many of them: 12 disks as `raidz2` in 2 vdevs are \
                      two groups of six. A pool that is there grows by whole vdevs: write a higher number here and as `count` of disks; what \
                      was added can't be taken out again.",
            example: "vdevs = 2",
        },
        Key {
            name: "ashift",
            kind: Kind::Byte,
            needed: false,
            default: "12, for sectors of 4 KiB",
            meaning: "The power of two that is the smallest block, 9 to 16. It can't be changed later; too small a one makes modern disks slow. Of a pool that is there it is compared only if it is written, as are the two below.",
            example: "ashift = 12",
        },
        Key {
            name: "compression",
            kind: Kind::Compression,
            needed: false,
            default: "`\"on\"`",
            meaning: "How what is written is compressed.",
            example: "compression = \"zstd\"",
        },
        Key {
            name: "autotrim",
            kind: Kind::Switch,
            needed: false,
            default: "`true`",
            meaning: "Whether disks are told at once what is free again. Disks that can't be told ignore it.",
            example: "autotrim = false",
        },
        Key {
            name: "storage",
            kind: Kind::Switch,
            needed: false,
            default: "`true`",
            meaning: "Whether the pool is registered as a storage of its name, once for the cluster, on the members that have it.",
            example: "storage = false",
        },
        Key {
            name: "content",
            kind: Kind::List(&Kind::Content, None),
            needed: false,
            default: "`images` and `rootdir` for a storage that is made; one that is there keeps its own",
            meaning: "What may be kept on that storage: `images` (disks of virtual machines), `rootdir` (disks of containers).",
            example: "content = [\"images\", \"rootdir\"]",
        },
        Key {
            name: "thin",
            kind: Kind::Switch,
            needed: false,
            default: "`true` for a storage that is made; one that is there keeps its own",
            meaning: "Whether disks on that storage take room when it is written to, and not as a whole when they are made. Snapshots and \
                      replication need a disk's whole size again where they do not.",
            example: "thin = false",
        },
        Key {
            name: "spares",
            kind: Kind::Disks(&SELECTOR),
            needed: false,
            default: "none",
            meaning: "Disks in waiting, as `disks`.",
            example: "spares = { count = 1, kind = \"ssd\" }",
        },
        Key {
            name: "log",
            kind: Kind::Disks(&SELECTOR),
            needed: false,
            default: "none",
            meaning: "Disks for synchronous writes, as `disks`: one, or two that are mirrored.",
            example: "log = { count = 2, kind = \"nvme\", max_size = \"100GB\" }",
        },
        Key {
            name: "cache",
            kind: Kind::Disks(&SELECTOR),
            needed: false,
            default: "none",
            meaning: "Disks that what is read often is kept on, as `disks`. What is on them may be lost at any time.",
            example: "cache = { count = 1, kind = \"nvme\" }",
        },
        Key {
            name: "special",
            kind: Kind::Disks(&SELECTOR),
            needed: false,
            default: "none",
            meaning: "Disks for metadata, as `disks`. With them the whole pool is lost, so they are one mirror that survives what the data does: 2 beside `raidz`, `raid10` and a mirror of two, 3 beside `raidz2`.",
            example: "special = { count = 2, kind = \"nvme\" }",
        },
    ],
    later: &["nodes"],
    secrets: &[],
};

/// `disks` of a pool, by what they are like.
pub const SELECTOR: KeyTable = KeyTable {
    path: "zfs.NAME.disks",
    keys: &[
        Key {
            name: "count",
            kind: Kind::Byte,
            needed: false,
            default: "all that fit",
            meaning: "How many on each server.",
            example: "count = 2",
        },
        Key {
            name: "kind",
            kind: Kind::DiskKind,
            needed: false,
            default: "any",
            meaning: "What kind of disk.",
            example: "kind = \"ssd\"",
        },
        Key {
            name: "min_size",
            kind: Kind::Size,
            needed: false,
            default: "any",
            meaning: "The smallest that fits.",
            example: "min_size = \"900GB\"",
        },
        Key {
            name: "max_size",
            kind: Kind::Size,
            needed: false,
            default: "any",
            meaning: "The largest that fits.",
            example: "max_size = \"1TB\"",
        },
        Key {
            name: "model",
            kind: Kind::Text,
            needed: false,
            default: "any",
            meaning: "A part of the model's name, in any case.",
            example: "model = \"PM883\"",
        },
        Key {
            name: "transport",
            kind: Kind::Text,
            needed: false,
            default: "any",
            meaning: "How it is attached, as `quorate disks` shows it.",
            example: "transport = \"sata\"",
        },
    ],
    later: &[],
    secrets: &[],
};
