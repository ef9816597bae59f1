//! What a cluster file comes to, in a line.

use quorate_model::spec::{ClusterFile, NodeRole};

use crate::table::count;

/// `3 nodes (2 members, 1 qnetd), 2 links, third vote on box1`
#[must_use]
pub fn cluster_file(file: &ClusterFile) -> String {
    let of = |role: NodeRole| file.nodes.values().filter(|node| node.role == role).count();
    let roles: Vec<String> = [
        (of(NodeRole::Member), "member"),
        (of(NodeRole::Witness), "witness"),
        (of(NodeRole::Qnetd), "qnetd host"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, role)| match (number, role) {
        (2.., "witness") => format!("{number} witnesses"),
        _ => count(number, role),
    })
    .collect();
    let mut parts = vec![count(file.nodes.len(), "node")];
    if let (Some(nodes), [_, _, ..]) = (parts.first_mut(), roles.as_slice()) {
        *nodes = format!("{nodes} ({})", roles.join(", "));
    }
    parts.push(if file.links_by_address() {
        "1 link over the nodes' addresses".to_owned()
    } else {
        count(file.cluster.links.len(), "link")
    });
    if let Some((name, _)) = file.qnetd() {
        parts.push(format!("third vote on {name}"));
    }
    if let Some(network) = &file.cluster.migration_network {
        parts.push(format!("migration over {}", network.value));
    }
    match file.replication.len() {
        0 => {}
        tables => parts.push(count(tables, "table") + " of replication"),
    }
    if file.ha.is_some() {
        parts.push("HA".to_owned());
    }
    match file.cluster.maintenance.len() {
        0 => {}
        windows => parts.push(count(windows, "maintenance window")),
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        cluster_file(&ClusterFile::parse("x.toml", text).unwrap())
    }

    #[test]
    fn the_guides_examples() {
        assert_eq!(
            line(include_str!("../../../docs/examples/three-full-nodes.toml")),
            "3 nodes, 2 links, migration over 10.10.10.0/24, 1 maintenance window"
        );
        assert_eq!(
            line(include_str!("../../../docs/examples/two-nodes-and-a-qdevice.toml")),
            "3 nodes (2 members, 1 qnetd host), 2 links, third vote on box1"
        );
    }

    #[test]
    fn the_shortest_file() {
        let text = "[cluster]\nname = \"hk1\"\n[nodes.prox1]\naddress = \"192.168.1.11\"\n";
        assert_eq!(line(text), "1 node, 1 link over the nodes' addresses");
    }
}
