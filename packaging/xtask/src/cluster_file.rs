//! docs/cluster-file.md: from the one table of keys that the reader of cluster files and the JSON Schema come from, too.

use quorate_model::spec::keys::{KeyTable, TABLES};

use crate::pages::{MADE, row};

const THREE_NODES: &str = include_str!("../../../docs/examples/three-full-nodes.toml");
const QDEVICE: &str = include_str!("../../../docs/examples/two-nodes-and-a-qdevice.toml");
const POOLS: &str = include_str!("../../../docs/examples/pools-and-storages.toml");
const COPIES: &str = include_str!("../../../docs/examples/copies-and-ha.toml");
const DRILLS: &str = include_str!("../../../docs/examples/drills.toml");

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = format!(
        "# The cluster file\n\n{MADE}\
         TOML. Unknown keys are errors, with the key that was most likely meant; every problem is told at once, with line and column.\n\n\
         ```\n\
         quorate spec init             # shows the enrolled servers, asks, and writes a file to begin with\n\
         quorate spec check hk1.toml   # says what is wrong in it; asks no daemon and no server\n\
         quorate spec schema           # this page as a JSON Schema, for editors\n\
         quorate plan hk1.toml         # what would be done\n\
         ```\n"
    );
    for table in TABLES {
        page.push_str(&section(table));
    }
    page.push_str(&format!(
        "\n## What is good to know\n\n\
         * Two links over two switches are what keeps a cluster quorate when one cable is pulled: with one link you are warned.\n\
         * A link is a network in which every node has an address, or an address that every node names for itself. Both can stand \
         beside one another: the addresses must then lie in the network. No address may occur twice, but a link may run over the nodes' \
         own `address`.\n\
         * IPv4 and IPv6 may be mixed; each link has one of them.\n\
         * Of an even number of votes one half is not a majority: name a third vote, or add a witness.\n\
         * A server that the file does not name is left alone. Taking a server out of the file does not remove it from its cluster: \
         absence never deletes.\n\n\
         ## Three full nodes\n\n```toml\n{THREE_NODES}```\n\n\
         ## Two nodes and a QDevice\n\n```toml\n{QDEVICE}```\n\n\
         ## Pools and storages\n\n```toml\n{POOLS}```\n\n\
         ## Copies and HA\n\n```toml\n{COPIES}```\n\n\
         ## Drills\n\n```toml\n{DRILLS}```\n"
    ));
    page
}

fn section(table: &KeyTable) -> String {
    let (title, text) = match table.path {
        "" => ("The file".to_owned(), ""),
        "cluster.links[]" => (
            "An item of `links` in `[cluster]`".to_owned(),
            "A text is short for a table with only `network`.\n\n",
        ),
        "replication[]" => ("`[[replication]]`".to_owned(), ""),
        path => (format!("`[{path}]`"), ""),
    };
    let mut section = format!(
        "\n## {title}\n\n{text}| key | needed | value | without it | what it is | for example |\n|---|---|---|---|---|---|\n"
    );
    for key in table.keys {
        let example: Vec<String> = key.example.lines().map(|line| format!("`{line}`")).collect();
        let needed = if key.needed { "yes" } else { "no" };
        let default = if key.default.is_empty() { "–" } else { key.default };
        row(
            &mut section,
            &[
                &format!("`{}`", key.name),
                needed,
                &key.kind.in_words(),
                default,
                key.meaning,
                &example.join("<br>"),
            ],
        );
    }
    section
}
