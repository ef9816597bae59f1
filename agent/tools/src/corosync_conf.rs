//! corosync.conf, by the grammar of PVE's own parser: `#` begins a comment, everything else is words parted by white
//! space; `name {` opens a section, `}` closes it, `key: value` sets a value that has no blanks.

mod edit;

use std::collections::BTreeMap;

use quorate_model::observation::cluster::{ConfiguredNode, QdeviceConfig};

use crate::ParseError;

pub use edit::with_link;

const NAME: &str = "corosync.conf";

/// Deeper than corosync ever nests (quorum → device → net).
const DEEPEST: usize = 8;

/// What is needed of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorosyncConf {
    /// totem.cluster_name.
    pub cluster: String,
    /// totem.config_version.
    pub config_version: u64,
    /// The nodes in the file's order.
    pub nodes: Vec<ConfiguredNode>,
    /// totem.interface: link number → knet_link_priority where the file gives it.
    pub interfaces: BTreeMap<u8, Option<u8>>,
    /// quorum.device.
    pub qdevice: Option<QdeviceConfig>,
}

/// A section: values by key, and sub-sections in their order.
#[derive(Debug, Default)]
struct Section {
    values: BTreeMap<String, String>,
    sections: Vec<(String, Section)>,
}

impl Section {
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Section> {
        self.sections
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, section)| section)
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, ParseError> {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|_| ParseError::at(NAME, &format!("{key}: {value}"), "expected a number"))
        };
        self.value(key).map(parse).transpose()
    }

    fn needed<T: std::str::FromStr>(&self, key: &str) -> Result<T, ParseError> {
        self.number(key)?
            .ok_or_else(|| ParseError::missing(NAME, format!("{key} is missing")))
    }
}

/// Reads the file.
///
/// # Errors
/// When it breaks the grammar, or has no cluster name, version or node names and ids.
pub fn read(text: &str) -> Result<CorosyncConf, ParseError> {
    let file = parse(text)?;
    let one = |name| {
        file.named(name)
            .next()
            .ok_or_else(|| ParseError::missing(NAME, format!("section {name} is missing")))
    };
    let (totem, nodelist) = (one("totem")?, one("nodelist")?);
    let device = file.named("quorum").find_map(|quorum| quorum.named("device").next());
    Ok(CorosyncConf {
        cluster: totem.needed("cluster_name")?,
        config_version: totem.needed("config_version")?,
        nodes: nodelist.named("node").map(node).collect::<Result<_, _>>()?,
        interfaces: totem.named("interface").map(interface).collect::<Result<_, _>>()?,
        qdevice: device.map(qdevice).transpose()?,
    })
}

/// corosync's first UDP port: link N uses the Nth after it, unless the file says otherwise. Seen: `Configured link number 1: … port=5406`.
const FIRST_PORT: u16 = 5405;

/// The UDP port of each link that has an address: at it corosync sends and receives.
///
/// # Errors
/// As [`read`], and when a port is no number.
pub fn ports(text: &str) -> Result<BTreeMap<u8, u16>, ParseError> {
    let file = parse(text)?;
    let links = read(text)?
        .nodes
        .into_iter()
        .flat_map(|node| node.addresses.into_keys());
    let mut ports: BTreeMap<u8, u16> = links.map(|link| (link, FIRST_PORT + u16::from(link))).collect();
    for interface in file.named("totem").flat_map(|totem| totem.named("interface")) {
        if let (Some(port), Some(used)) = (interface.number("mcastport")?, ports.get_mut(&link_number(interface)?)) {
            *used = port;
        }
    }
    Ok(ports)
}

fn interface(section: &Section) -> Result<(u8, Option<u8>), ParseError> {
    Ok((link_number(section)?, section.number("knet_link_priority")?))
}

/// A device of another model than `net` is none that Quorate could drive, but it is one: it counts votes.
fn qdevice(section: &Section) -> Result<QdeviceConfig, ParseError> {
    let net = section.named("net").next();
    let value = |key: &str| net.and_then(|net| net.value(key)).unwrap_or_default().to_owned();
    Ok(QdeviceConfig {
        host: value("host"),
        algorithm: value("algorithm"),
        votes: section.number("votes")?,
    })
}

/// Files of corosync 2 (PVE 5) say `ringnumber`, which corosync 3 and PVE still take; without either it is 0.
fn link_number(interface: &Section) -> Result<u8, ParseError> {
    let number = interface.number("linknumber")?;
    Ok(number.or(interface.number("ringnumber")?).unwrap_or(0))
}

fn node(section: &Section) -> Result<ConfiguredNode, ParseError> {
    let mut addresses = BTreeMap::new();
    for (key, value) in &section.values {
        let link = key.strip_prefix("ring").and_then(|rest| rest.strip_suffix("_addr"));
        if let Some(link) = link {
            let number = link
                .parse()
                .map_err(|_| ParseError::at(NAME, &format!("{key}: {value}"), "expected a link's number"))?;
            addresses.insert(number, value.clone());
        }
    }
    Ok(ConfiguredNode {
        name: section.needed("name")?,
        id: section.needed("nodeid")?,
        // corosync's own default.
        votes: section.number("quorum_votes")?.unwrap_or(1),
        addresses,
    })
}

fn parse(text: &str) -> Result<Section, ParseError> {
    let words = text.lines().flat_map(|line| {
        let code = line.split('#').next().unwrap_or_default();
        code.split_whitespace().map(move |word| (word, line))
    });
    let mut words = words.peekable();
    let mut open: Vec<(String, Section)> = Vec::new();
    let mut current = Section::default();
    while let Some((word, line)) = words.next() {
        let bad = |what| ParseError::at(NAME, line, what);
        if word == "}" {
            let (name, mut parent) = open.pop().ok_or_else(|| bad("a closing brace too many"))?;
            parent.sections.push((name, current));
            current = parent;
        } else if words.next_if(|(next, _)| *next == "{").is_some() {
            if !matches!(word, "node" | "interface") && current.named(word).next().is_some() {
                return Err(bad("this section stands twice"));
            }
            if open.len() == DEEPEST {
                return Err(bad("sections are nested too deep"));
            }
            open.push((word.to_owned(), std::mem::take(&mut current)));
        } else {
            let key = word
                .strip_suffix(':')
                .filter(|key| !key.is_empty())
                .ok_or_else(|| bad("missing `:` after the key"))?;
            let value = words.next_if(|(next, _)| *next != "}" && *next != "{");
            let (value, _) = value.ok_or_else(|| bad("a key without a value"))?;
            current.values.insert(key.to_owned(), value.to_owned());
        }
    }
    match open.pop() {
        None => Ok(current),
        Some((name, _)) => Err(ParseError::missing(NAME, format!("section {name} is not closed"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_link_has_a_port_of_its_own() {
        let text = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
        assert_eq!(ports(text).unwrap(), BTreeMap::from([(0, 5405)]));
        let two = text.replace("    ring0_addr", "    ring1_addr: 10.78.0.1\n    ring0_addr");
        assert_eq!(ports(&two).unwrap(), BTreeMap::from([(0, 5405), (1, 5406)]));
        let said = text.replace("linknumber: 0", "linknumber: 0\n    mcastport: 5555");
        assert_eq!(ports(&said).unwrap(), BTreeMap::from([(0, 5555)]));
        assert!(ports(&said.replace("5555", "many")).is_err());
    }

    #[test]
    fn three_nodes() {
        let conf = read(fixture!("corosync.conf/pve-8.4/three-nodes.conf")).unwrap();
        assert_eq!(
            (conf.cluster.as_str(), conf.config_version, &conf.interfaces),
            ("lab1", 5, &BTreeMap::from([(0, None)]))
        );
        let nodes: Vec<_> = conf
            .nodes
            .iter()
            .map(|node| (node.name.as_str(), node.id, node.votes))
            .collect();
        assert_eq!(nodes, [("prox1", 1, 1), ("prox2", 2, 1), ("prox3", 3, 1)]);
        assert_eq!(conf.nodes[2].addresses, BTreeMap::from([(0, "10.77.0.3".to_owned())]));
        assert_eq!(conf.qdevice, None);
        assert_eq!(
            read(fixture!("corosync.conf/pve-8.4/one-node.conf"))
                .unwrap()
                .nodes
                .len(),
            1
        );
    }

    #[test]
    fn two_links_and_a_qdevice() {
        let conf = read(fixture!("corosync.conf/pve-8.4/qdevice-two-links.conf")).unwrap();
        let device = QdeviceConfig {
            host: "10.77.0.100".to_owned(),
            algorithm: "ffsplit".to_owned(),
            votes: Some(1),
        };
        assert_eq!(conf.qdevice, Some(device));
        assert_eq!(conf.interfaces, BTreeMap::from([(0, None), (1, None)]));
        assert_eq!(conf.nodes[1].addresses[&1], "10.78.0.5");
    }

    #[test]
    fn links_may_be_numbered_as_pve_5_did() {
        let conf = read(fixture!("corosync.conf/pve-8.4/ringnumber.conf")).unwrap();
        assert_eq!(conf.interfaces.into_keys().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_link_has_the_priority_that_the_file_gives() {
        let text = fixture!("corosync.conf/pve-8.4/qdevice-two-links.conf");
        let prior = text.replacen("linknumber: 1", "knet_link_priority: 20\n    linknumber: 1", 1);
        let conf = read(&prior).unwrap();
        assert_eq!(conf.interfaces, BTreeMap::from([(0, None), (1, Some(20))]));
        assert!(read(&prior.replace("priority: 20", "priority: 256")).is_err());
    }

    #[test]
    fn the_lms_algorithm_has_no_votes_of_its_own() {
        let text = fixture!("corosync.conf/pve-8.4/qdevice-two-links.conf");
        let text = text.replace("algorithm: ffsplit", "algorithm: lms").replacen(
            "    votes: 1\n  }\n  provider",
            "  }\n  provider",
            1,
        );
        let device = read(&text).unwrap().qdevice.unwrap();
        assert_eq!((device.algorithm.as_str(), device.votes), ("lms", None));
    }

    #[test]
    fn a_broken_cluster_is_shown_as_it_is() {
        let conf = read(fixture!("corosync.conf/pve-8.4/duplicate-nodeid.conf")).unwrap();
        let nodes: Vec<_> = conf.nodes.iter().map(|node| (node.name.as_str(), node.id)).collect();
        assert_eq!(nodes, [("prox1", 1), ("prox2", 2), ("prox3", 2)]);
    }

    #[test]
    fn comments_order_and_layout_do_not_matter() {
        assert!(
            read("totem{}").is_err(),
            "PVE's grammar wants the brace as a word of its own"
        );
        let text = "totem { cluster_name: a # the name\n config_version: 7 }\nnodelist {\nnode { ring0_addr: 1.2.3.4 nodeid: 9 name: n }\n}";
        let conf = read(text).unwrap();
        assert_eq!((conf.nodes[0].id, conf.nodes[0].votes, conf.config_version), (9, 1, 7));
    }

    #[test]
    fn what_breaks_the_grammar_is_told_with_its_line() {
        let text = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
        let error = |from: &str, to: &str| read(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(
            error("name: prox1", "name prox1"),
            "corosync.conf: missing `:` after the key: `    name prox1`"
        );
        assert_eq!(
            error("  debug: off", "  debug:"),
            "corosync.conf: missing `:` after the key: `  to_syslog: yes`"
        );
        assert_eq!(
            error("logging {", "} logging {"),
            "corosync.conf: a closing brace too many: `} logging {`"
        );
        assert_eq!(
            error("logging {", "totem {"),
            "corosync.conf: this section stands twice: `totem {`"
        );
        assert_eq!(
            error("config_version: 5", "config_version: five"),
            "corosync.conf: expected a number: `config_version: five`"
        );
        assert_eq!(error("nodeid: 1", "id: 1"), "corosync.conf: nodeid is missing");
        assert_eq!(
            read("totem {").unwrap_err().to_string(),
            "corosync.conf: section totem is not closed"
        );
        assert!(read(&"a { ".repeat(100)).is_err());
    }
}
