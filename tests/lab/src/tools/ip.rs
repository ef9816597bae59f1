//! `ip -j addr` and `ip -j link`.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::Reply;
use crate::roots::sys;
use crate::world::server::{Network, Server};

const COST: u64 = 4;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let (flags, rest): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| arg.starts_with('-'));
    let flag = |names: &[&str]| flags.iter().any(|flag| names.contains(flag));
    let known = ["-j", "-json", "-d", "-details", "-s", "-stats", "-statistics"];
    if !flag(&["-j", "-json"]) || flags.iter().any(|flag| !known.contains(flag)) {
        return None;
    }
    let details = flag(&["-d", "-details"]);
    let statistics = flag(&["-s", "-stats", "-statistics"]);
    let addresses = match rest.as_slice() {
        ["addr" | "address" | "a"] | ["addr" | "address", "show"] => true,
        ["link" | "l"] | ["link", "show"] => false,
        _ => return None,
    };
    let list: Vec<Value> = ["lo", "eno1", "eno2", "vmbr0"]
        .iter()
        .map(|name| interface(server, name, addresses, details, statistics))
        .collect();
    Some((COST, Reply::ok(format!("{}\n", Value::Array(list)))))
}

fn interface(server: &Server, name: &str, addresses: bool, details: bool, statistics: bool) -> Value {
    let index = match name {
        "lo" => 1,
        "eno1" => 2,
        "eno2" => 3,
        _ => 4,
    };
    let carrier = server.interfaces().get(name).is_none_or(|(carrier, _)| *carrier);
    let loopback = name == "lo";
    let flags = match (loopback, carrier) {
        (true, _) => json!(["LOOPBACK", "UP", "LOWER_UP"]),
        (false, true) => json!(["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]),
        (false, false) => json!(["NO-CARRIER", "BROADCAST", "MULTICAST", "UP"]),
    };
    let state = match (loopback, carrier) {
        (true, _) => "UNKNOWN",
        (false, true) => "UP",
        (false, false) => "DOWN",
    };
    let mut value = json!({
        "ifindex": index, "ifname": name, "flags": flags, "mtu": if loopback { 65_536 } else { server.hardware.mtu(name) },
        "qdisc": if loopback || name == "vmbr0" { "noqueue" } else { "mq" }, "operstate": state, "group": "default",
        "txqlen": 1000, "link_type": if loopback { "loopback" } else { "ether" },
        "address": if loopback { "00:00:00:00:00:00".to_owned() } else { sys::mac(server, name) },
        "broadcast": if loopback { "00:00:00:00:00:00" } else { "ff:ff:ff:ff:ff:ff" },
    });
    let Some(map) = value.as_object_mut() else { return value };
    if name == "eno1" {
        map.insert("master".to_owned(), json!("vmbr0"));
    }
    if name.starts_with("eno") {
        map.insert("altnames".to_owned(), json!([format!("enp{}s0f{}", 24, index - 2)]));
    }
    if !addresses {
        map.insert("linkmode".to_owned(), json!("DEFAULT"));
    }
    if details {
        map.insert("promiscuity".to_owned(), json!(u8::from(name == "eno1")));
        map.insert("min_mtu".to_owned(), json!(68));
        map.insert("max_mtu".to_owned(), json!(9216));
        match name {
            "vmbr0" => {
                let data = json!({"forward_delay": 0, "hello_time": 200, "max_age": 2000, "ageing_time": 30000,
                    "stp_state": 0, "priority": 32768, "vlan_filtering": 0, "vlan_protocol": "802.1Q"});
                map.insert("linkinfo".to_owned(), json!({"info_kind": "bridge", "info_data": data}));
            }
            "eno1" => {
                let data = json!({"state": "forwarding", "priority": 32, "cost": 4});
                map.insert(
                    "linkinfo".to_owned(),
                    json!({"info_slave_kind": "bridge", "info_slave_data": data}),
                );
            }
            _ => {}
        }
    }
    if statistics {
        let counters = json!({"bytes": 91_234_001, "packets": 81_234, "errors": 0, "dropped": 0});
        map.insert("stats64".to_owned(), json!({"rx": counters, "tx": counters}));
    }
    if addresses {
        map.insert("addr_info".to_owned(), addr_info(server, name));
    }
    value
}

fn addr_info(server: &Server, name: &str) -> Value {
    let forever = u32::MAX;
    let global = |ip: Ipv4Addr, broadcast: &str| {
        json!([{"family": "inet", "local": ip.to_string(), "prefixlen": 24, "broadcast": broadcast, "scope": "global",
            "label": name, "valid_life_time": forever, "preferred_life_time": forever}])
    };
    match name {
        "lo" => json!([
            {"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host", "label": "lo",
                "valid_life_time": forever, "preferred_life_time": forever},
            {"family": "inet6", "local": "::1", "prefixlen": 128, "scope": "host", "noprefixroute": true,
                "valid_life_time": forever, "preferred_life_time": forever},
        ]),
        "vmbr0" => global(server.public(), "192.168.1.255"),
        _ if name == Network::Cluster.port() => global(server.cluster(), "10.10.10.255"),
        _ => json!([]),
    }
}
