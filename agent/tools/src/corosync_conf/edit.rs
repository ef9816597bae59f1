//! Edits of corosync.conf, written as PVE's own tools write it: keys sorted, two blanks of indent, nodes by name, interfaces by number.
//! Comments go, as with every change that PVE makes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use quorate_model::ids::NodeName;

use super::{NAME, Section, link_number, parse};
use crate::ParseError;

/// The file with one more link, its version raised by one: an address for every node, an interface of its own, and one for each link that
/// was there without (PVE refuses a join where only some links have theirs).
///
/// # Errors
/// It breaks the grammar, the link is there, or its nodes are others than those that have an address.
pub fn with_link(
    text: &str,
    link: u8,
    addresses: &BTreeMap<NodeName, IpAddr>,
    priority: Option<u8>,
) -> Result<String, ParseError> {
    let mut file = parse(text)?;
    let key = format!("ring{link}_addr");
    let mut links = vec![];
    let mut named = 0;
    for node in file.all_mut("nodelist").flat_map(|list| list.all_mut("node")) {
        let name = node.value("name").unwrap_or_default().to_owned();
        let address = addresses.iter().find(|(n, _)| n.as_str() == name).map(|(_, a)| a);
        let address =
            address.ok_or_else(|| ParseError::missing(NAME, format!("no address for {name} on the new link")))?;
        let numbers = node
            .values
            .keys()
            .filter_map(|k| k.strip_prefix("ring")?.strip_suffix("_addr")?.parse().ok());
        links.extend::<Vec<u8>>(numbers.collect());
        if node.values.insert(key.clone(), address.to_string()).is_some() {
            return Err(ParseError::missing(
                NAME,
                format!("{name} has an address on link {link} already"),
            ));
        }
        named += 1;
    }
    if named != addresses.len() {
        return Err(ParseError::missing(
            NAME,
            "its nodes are not those that were given an address",
        ));
    }
    let totem = file.all_mut("totem").next();
    let totem = totem.ok_or_else(|| ParseError::missing(NAME, "section totem is missing"))?;
    let version: u64 = totem.needed("config_version")?;
    totem
        .values
        .insert("config_version".to_owned(), (version + 1).to_string());
    links.push(link);
    links.sort_unstable();
    links.dedup();
    for number in links {
        let there = totem
            .named("interface")
            .map(link_number)
            .collect::<Result<Vec<_>, _>>()?;
        if there.contains(&number) {
            continue;
        }
        let mut interface = Section::default();
        interface.values.insert("linknumber".to_owned(), number.to_string());
        if let (true, Some(priority)) = (number == link, priority) {
            interface
                .values
                .insert("knet_link_priority".to_owned(), priority.to_string());
        }
        totem.sections.push(("interface".to_owned(), interface));
    }
    let mut written = String::new();
    write(&mut written, &file, 0);
    Ok(written)
}

impl Section {
    fn all_mut<'a>(&'a mut self, name: &'a str) -> impl Iterator<Item = &'a mut Section> {
        self.sections
            .iter_mut()
            .filter(move |(found, _)| found == name)
            .map(|(_, section)| section)
    }
}

/// Values and sections stand in one order, by name.
fn write(to: &mut String, section: &Section, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut values = section.values.iter().peekable();
    let mut sections: Vec<&(String, Section)> = section.sections.iter().collect();
    sections.sort_by_key(|(name, section)| (name.clone(), order_within(section)));
    for (name, section) in sections {
        while let Some((key, value)) = values.next_if(|(key, _)| *key < name) {
            to.push_str(&format!("{indent}{key}: {value}\n"));
        }
        to.push_str(&format!("{indent}{name} {{\n"));
        write(to, section, depth + 1);
        to.push_str(&format!("{indent}}}\n"));
        if depth == 0 {
            to.push('\n');
        }
    }
    for (key, value) in values {
        to.push_str(&format!("{indent}{key}: {value}\n"));
    }
}

fn order_within(section: &Section) -> (u8, String) {
    let number = link_number(section).unwrap_or_default();
    (number, section.value("name").unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corosync_conf::read;

    fn addresses() -> BTreeMap<NodeName, IpAddr> {
        (1..=3)
            .map(|n| {
                (
                    format!("prox{n}").parse().unwrap(),
                    format!("10.78.0.{n}").parse().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn a_link_is_added_for_every_node_and_nothing_else_changes() {
        let old = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
        let new = with_link(old, 1, &addresses(), Some(20)).unwrap();
        let (before, after) = (read(old).unwrap(), read(&new).unwrap());
        assert_eq!(after.config_version, before.config_version + 1);
        assert_eq!(after.interfaces, BTreeMap::from([(0, None), (1, Some(20))]));
        for (old, new) in before.nodes.iter().zip(&after.nodes) {
            assert_eq!((old.id, old.votes, &old.name), (new.id, new.votes, &new.name));
            assert_eq!(old.addresses[&0], new.addresses[&0]);
            assert_eq!(new.addresses[&1], format!("10.78.0.{}", new.id));
        }
        let lines = |text: &str| {
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let gone: Vec<String> = lines(old)
            .into_iter()
            .filter(|line| !lines(&new).contains(line))
            .collect();
        assert_eq!(gone, [format!("config_version: {}", before.config_version)]);
    }

    #[test]
    fn what_pve_wrote_is_written_the_same_way() {
        for old in [
            fixture!("corosync.conf/pve-8.4/three-nodes.conf"),
            fixture!("corosync.conf/pve-8.4/qdevice-two-links.conf"),
        ] {
            let mut written = String::new();
            write(&mut written, &parse(old).unwrap(), 0);
            assert_eq!(written.trim_end(), old.trim_end());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let old = fixture!("corosync.conf/pve-8.4/three-nodes.conf");
        assert!(with_link(old, 0, &addresses(), None).is_err(), "the link is there");
        let mut fewer = addresses();
        fewer.pop_last();
        assert!(
            with_link(old, 1, &fewer, None).is_err(),
            "corosync refuses unequal numbers of links"
        );
        let mut more = addresses();
        more.insert("prox9".parse().unwrap(), "10.78.0.9".parse().unwrap());
        assert!(with_link(old, 1, &more, None).is_err());
    }
}
