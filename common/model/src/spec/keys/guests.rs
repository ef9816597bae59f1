//! The keys of `[[replication]]` and `[ha]`.

use super::{Key, KeyTable, Kind};

/// Which guests.
const GUESTS: Key = Key {
    name: "guests",
    kind: Kind::Guests,
    needed: true,
    default: "",
    meaning: "Which guests: by id, all that have a tag (`tag:NAME`), all of a pool of PVE (`pool:NAME`), or `all`. Templates and guests whose \
              disks are all on shared storages need no copies and get none.",
    example: "guests = [100, 101]",
};

/// Which of them not.
const EXCEPT: Key = Key {
    name: "except",
    kind: Kind::Guests,
    needed: false,
    default: "none",
    meaning: "Guests that are not meant though `guests` means them, written in the same way.",
    example: "except = \"tag:scratch\"",
};

/// `[[replication]]`
pub const REPLICATION: KeyTable = KeyTable {
    path: "replication[]",
    keys: &[
        GUESTS,
        EXCEPT,
        Key {
            name: "copies_on",
            kind: Kind::List(&Kind::NodeName, None),
            needed: true,
            default: "",
            meaning: "The servers that are to have the guest or a copy of it: two members or more. Whichever of them owns it copies it to the \
                      others, so that this stays true after a failover and a migration. A new copy is made before another one goes; taking a \
                      server out destroys the copy there, which needs a word of its own (`--destroy replica:100@prox3`).",
            example: "copies_on = [\"prox1\", \"prox2\", \"prox3\"]",
        },
        Key {
            name: "every",
            kind: Kind::Text,
            needed: false,
            default: "`\"15m\"`",
            meaning: "How often: from `1m` to `1w`, in minutes that fit evenly into an hour or hours into a day; or a calendar event of PVE, such \
                      as `mon..fri 22:30`. What was written since the last copy is lost when a server fails.",
            example: "every = \"5m\"",
        },
        Key {
            name: "rate",
            kind: Kind::Number,
            needed: false,
            default: "three quarters of what the ports of the migration network are known to bear, for a job that is made; one that is there keeps its own",
            meaning: "The most that a job sends, in MB/s.",
            example: "rate = 100",
        },
        Key {
            name: "returning_node",
            kind: Kind::Returning,
            needed: false,
            default: "`\"hold\"`",
            meaning: "What becomes of what a server wrote after its last copy, when it returns after its guests were recovered elsewhere. `hold`: \
                      the agent of the new owner switches the job off that would overwrite it, within seconds and without the coordinator, \
                      and it is kept until somebody decides (`quorate replication resolve`); until then the guest has no copy there. \
                      `discard`: PVE overwrites it with the first run after the server is back.",
            example: "returning_node = \"discard\"",
        },
    ],
    later: &[],
    secrets: &[],
};

/// `[ha]`
pub const HA: KeyTable = KeyTable {
    path: "ha",
    keys: &[
        GUESTS,
        EXCEPT,
        Key {
            name: "max_restart",
            kind: Kind::Byte,
            needed: false,
            default: "PVE's own: 1",
            meaning: "How often a start that fails is tried again on the same server, 0 to 10.",
            example: "max_restart = 2",
        },
        Key {
            name: "max_relocate",
            kind: Kind::Byte,
            needed: false,
            default: "PVE's own: 1",
            meaning: "On how many other servers it is tried after that, 0 to 10.",
            example: "max_relocate = 1",
        },
    ],
    later: &[],
    secrets: &[],
};
