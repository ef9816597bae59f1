//! The keys of `[drills.NAME]`.

use super::{Key, KeyTable, Kind};

/// `[drills.NAME]`
pub const DRILL: KeyTable = KeyTable {
    path: "drills.NAME",
    keys: &[
        Key {
            name: "fault",
            kind: Kind::Fault,
            needed: true,
            default: "",
            meaning: "What is broken on the node. `network`: all its physical ports. `cluster-network`: only corosync's traffic. `link:N`: one \
                      corosync link. `power`: it is restarted at once (`power:off` and `power:shutdown` need somebody who switches it on). \
                      `corosync`, `pmxcfs`, `lrm`: that service is stopped. `guest`: the guest's process is killed. `disk:POOL/DISK`: that disk is \
                      taken offline. `osd:N`, `mon`: that daemon of Ceph is stopped. `storage-network`: the network of the storages is cut.",
            example: "fault = \"network\"",
        },
        Key {
            name: "node",
            kind: Kind::NodeName,
            needed: true,
            default: "",
            meaning: "The server that it is done to.",
            example: "node = \"prox1\"",
        },
        Key {
            name: "guest",
            kind: Kind::Guest,
            needed: true,
            default: "",
            meaning: "The guest whose failing is measured: a canary of ours (`quorate guest create-canary`). Every other guest is moved off the \
                      server first. Any other one fails only if it is named by --risk-guest when the drill is run.",
            example: "guest = 100",
        },
        Key {
            name: "probe",
            kind: Kind::Probes,
            needed: false,
            default: "only the servers' own word is heard, and no outage is measured",
            meaning: "Who is asked ten times a second whether the guest is there: `tcp:ADDRESS:PORT`, `tally:ADDRESS` (which also counts what is \
                      lost), `icmp:ADDRESS`, `http://…`, `https://…` or `postgres://USER@HOST/DATABASE` (which writes rows, and counts those \
                      that are lost). Those that write no rows are also called by every other node.",
            example: "probe = \"tcp:192.168.1.100:22\"",
        },
        Key {
            name: "password_file",
            kind: Kind::Text,
            needed: false,
            default: "the database lets the user in without one",
            meaning: "`postgres://`: a file in /etc/quorate/secrets (`secrets_dir` of the coordinator) on the coordinator's host, with the \
                      password as its only line, which nobody but its owner may read. It goes to no other file, and to no node.",
            example: "password_file = \"/etc/quorate/secrets/drill.password\"",
        },
        Key {
            name: "kind",
            kind: Kind::DrillKind,
            needed: false,
            default: "told by `for`; without that `\"failover\"`",
            meaning: "`failover`: the fault lasts until the guest runs elsewhere. `blip`: it is over before anything is decided, and must cause \
                      nothing.",
            example: "kind = \"failover\"",
        },
        Key {
            name: "for",
            kind: Kind::Lasting,
            needed: false,
            default: "`\"5m\"`, of a blip `\"10s\"`",
            meaning: "How long the fault lasts: a blip at most 20 s, a failover 3 to 30 min. In between a server would be healed while its watchdog \
                      resets it and its guests are started elsewhere.",
            example: "for = \"5m\"",
        },
        Key {
            name: "expect",
            kind: Kind::Table(&EXPECT),
            needed: false,
            default: "it is measured, and judged by nothing",
            meaning: "What the drill is judged by.",
            example: "expect = { rto = \"4m\", rpo = \"6m\" }",
        },
        Key {
            name: "every",
            kind: Kind::Lasting,
            needed: false,
            default: "it is run only by an operator's word",
            meaning: "How long after the last one it is run again by itself: from `1d`. The first one is run by hand. Only with a canary, only in a \
                      window, and only while nothing speaks against it.",
            example: "every = \"90d\"",
        },
        Key {
            name: "windows",
            kind: Kind::List(&Kind::Window, None),
            needed: false,
            default: "in the cluster's maintenance windows; without any it does not begin",
            meaning: "When one that runs by itself may begin, in UTC, as `maintenance` of the cluster is written, and within that.",
            example: "windows = [\"sat 22:00-sun 04:00\"]",
        },
    ],
    later: &[],
    secrets: &["password"],
};

/// `expect` of a drill.
pub const EXPECT: KeyTable = KeyTable {
    path: "drills.NAME.expect",
    keys: &[
        Key {
            name: "rto",
            kind: Kind::Lasting,
            needed: false,
            default: "not judged",
            meaning: "The longest that clients may be without the guest, by the probe that sees the longest gap.",
            example: "rto = \"4m\"",
        },
        Key {
            name: "rpo",
            kind: Kind::Lasting,
            needed: false,
            default: "not judged",
            meaning: "The oldest that the copy which the guest is recovered from may be in the moment of the fault.",
            example: "rpo = \"6m\"",
        },
    ],
    later: &[],
    secrets: &[],
};
