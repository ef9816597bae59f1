//! Lists of links: the cluster's networks, a node's addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::de::DeValue;

use super::keys;
use super::reader::{Reader, Value};
use super::{LinkSpec, Located, MOST_LINKS};
use crate::finding::{Code, Place};

/// An item of the cluster's `links`: `None` if it can't be read. It counts all the same.
pub(super) type ReadLink = Option<LinkSpec>;

/// `links` of a node as far as they could be read.
pub(super) struct ReadAddresses {
    pub(super) place: Place,
    pub(super) addresses: Vec<Option<Located<IpAddr>>>,
}

/// `links` in `[cluster]`.
pub(super) fn of_cluster<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<Vec<ReadLink>> {
    let items = reader.array("`links`", value, "name at least one network, or leave `links` out")?;
    not_too_many(reader, value, items.len());
    let mut found: Vec<ReadLink> = Vec::new();
    for item in items {
        let link = link(reader, item).filter(|link| apart(reader, link, &found));
        found.push(link);
    }
    Some(found)
}

fn link<'t>(reader: &mut Reader<'t>, item: &Value<'t>) -> Option<LinkSpec> {
    let place = reader.place(item.span());
    match item.get_ref() {
        DeValue::String(_) => {
            return Some(LinkSpec {
                place,
                network: Some(network(reader, "each link", item)?),
                priority: None,
            });
        }
        DeValue::Table(_) => {}
        other => {
            reader.wrong_type(place, "each link", "a network in quotes or a table", other);
            return None;
        }
    }
    let table = reader.table("this link", item, &keys::LINK)?;
    let (network, priority) = (table.get("network"), table.get("priority"));
    let spec = LinkSpec {
        place,
        network: network.and_then(|value| self::network(reader, "`network`", value)),
        priority: priority.and_then(|value| reader.byte("`priority`", value)),
    };
    // What was written but can't be read is not the same as left out.
    (spec.network.is_some() == network.is_some() && spec.priority.is_some() == priority.is_some()).then_some(spec)
}

/// A network, and not an address within one.
pub(super) fn network<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Located<IpNet>> {
    let network = reader.parsed::<IpNet>(what, value, Code::SpecBadAddress, |_| {
        (
            "not a network".to_owned(),
            "write it as ADDRESS/PREFIX, such as \"10.10.10.0/24\"".to_owned(),
        )
    })?;
    if network.value.addr() != network.value.network() {
        let message = format!("{} is an address within a network, not a network", network.value);
        let next = format!("write \"{}\"", network.value.trunc());
        reader.problem(Code::SpecBadAddress, network.place, message, next);
        return None;
    }
    if network.value.prefix_len() == 0 || local(network.value.network()).is_some() {
        let message = format!("{} is no network that servers could share a link in", network.value);
        let next = "name the network of the servers' own addresses, such as \"10.10.10.0/24\"";
        reader.problem(Code::SpecBadAddress, network.place, message, next);
        return None;
    }
    Some(network)
}

/// Why an address can't be that of a server for others: it means the server itself, everybody, nobody, or something else on each wire.
fn local(address: IpAddr) -> Option<&'static str> {
    let kinds = match address {
        IpAddr::V4(v4) => [
            (v4.is_loopback(), "a loopback address"),
            (v4.is_unspecified(), "no address of anybody"),
            (v4.is_multicast() || v4.is_broadcast(), "an address of many"),
            (v4.is_link_local(), "a link-local address, which a server gives itself"),
            (false, ""),
        ],
        IpAddr::V6(v6) => [
            (v6.is_loopback(), "a loopback address"),
            (v6.is_unspecified(), "no address of anybody"),
            (v6.is_multicast(), "an address of many"),
            (
                v6.is_unicast_link_local(),
                "a link-local address, which means another server on each wire",
            ),
            (
                v6.to_ipv4_mapped().is_some(),
                "an IPv4 address in IPv6's clothes: write it as IPv4",
            ),
        ],
    };
    kinds.into_iter().find(|(is, _)| *is).map(|(_, kind)| kind)
}

/// Is the link's network apart from those before it?
fn apart(reader: &mut Reader<'_>, link: &LinkSpec, before: &[ReadLink]) -> bool {
    let Some(network) = &link.network else { return true };
    let mut others = before.iter().flatten().filter_map(|l| l.network.as_ref());
    let Some(other) = others.find(|o| o.value.contains(&network.value) || network.value.contains(&o.value)) else {
        return true;
    };
    let message = format!(
        "{} overlaps {}: two links over one network fail together",
        network.value, other.value
    );
    reader.problem(
        Code::SpecDuplicateAddress,
        network.place.clone(),
        message,
        "give each link a network of its own",
    );
    false
}

/// `links` of a node.
pub(super) fn of_node<'t>(reader: &mut Reader<'t>, value: &Value<'t>) -> Option<ReadAddresses> {
    let next = "name its address on each link, or leave `links` out";
    let items = reader.array("`links`", value, next)?;
    not_too_many(reader, value, items.len());
    let addresses = items.iter().map(|item| address(reader, "each address", item));
    Some(ReadAddresses {
        addresses: addresses.collect(),
        place: reader.place(value.span()),
    })
}

/// An address that other servers could reach.
pub(super) fn address<'t>(reader: &mut Reader<'t>, what: &str, value: &Value<'t>) -> Option<Located<IpAddr>> {
    let address = reader.parsed::<IpAddr>(what, value, Code::SpecBadAddress, |_| {
        (
            "not an IP address".to_owned(),
            "write an address, not a name, such as \"192.168.1.11\"".to_owned(),
        )
    })?;
    if let Some(kind) = local(address.value) {
        let message = format!(
            "{} is no address that other servers could reach, but {kind}",
            address.value
        );
        reader.problem(
            Code::SpecBadAddress,
            address.place.clone(),
            message,
            "write the server's own address",
        );
    }
    Some(address)
}

fn not_too_many<'t>(reader: &mut Reader<'t>, value: &Value<'t>, count: usize) {
    if count > MOST_LINKS {
        let place = reader.place(value.span());
        let message = format!("{count} links, but corosync has at most {MOST_LINKS}");
        reader.problem(Code::SpecBadValue, place, message, "keep the best of them");
    }
}
