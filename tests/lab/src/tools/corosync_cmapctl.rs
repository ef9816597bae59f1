//! `corosync-cmapctl`: the runtime keys and the link statistics.

use super::Reply;
use crate::world::corosync::{Corosync, Link};
use crate::world::server::Server;

const COST: u64 = 19;

pub(super) fn reply(server: &Server, args: &[&str]) -> Option<(u64, Reply)> {
    let statistics = matches!(args, ["-m", "stats", ..]);
    let rest = if statistics { args.get(2..)? } else { args };
    let (get, prefixes) = match rest {
        ["-g", key] => (true, vec![*key]),
        ["-b", keys @ ..] => (false, keys.to_vec()),
        keys if keys.iter().all(|key| !key.starts_with('-')) => (false, keys.to_vec()),
        _ => return None,
    };
    let Some(corosync) = &server.corosync else {
        return Some((
            COST,
            Reply::fail(1, "Failed to initialize the cmap API. Error CS_ERR_LIBRARY\n"),
        ));
    };
    let mut keys = if statistics { knet(corosync) } else { runtime(corosync) };
    keys.sort();
    let wanted = |key: &str| {
        prefixes.is_empty()
            || prefixes
                .iter()
                .any(|prefix| if get { key == *prefix } else { key.starts_with(prefix) })
    };
    let lines: String = keys
        .iter()
        .filter(|(key, _)| wanted(key))
        .map(|(key, value)| format!("{key} {value}\n"))
        .collect();
    // Nothing found: nothing printed, and 1.
    let code = i32::from(lines.is_empty());
    let stderr = match (get, code, prefixes.first()) {
        (true, 1, Some(key)) => format!("Can't get key {key}. Error CS_ERR_NOT_EXIST\n"),
        _ => String::new(),
    };
    Some((
        COST,
        Reply {
            stdout: lines,
            stderr,
            code,
        },
    ))
}

type Keys = Vec<(String, String)>;

fn u32_key(key: impl Into<String>, value: impl ToString) -> (String, String) {
    (key.into(), format!("(u32) = {}", value.to_string()))
}

fn text_key(key: impl Into<String>, value: &str) -> (String, String) {
    (key.into(), format!("(str) = {value}"))
}

fn runtime(corosync: &Corosync) -> Keys {
    let mut keys = Keys::new();
    members(corosync, &mut keys);
    totem(corosync, &mut keys);
    for (position, node) in corosync.conf.nodes.iter().enumerate() {
        let at = format!("nodelist.node.{position}");
        keys.push(text_key(format!("{at}.name"), &node.name));
        keys.push(u32_key(format!("{at}.nodeid"), node.id));
        keys.push(u32_key(format!("{at}.quorum_votes"), node.votes));
        for (ring, address) in &node.rings {
            keys.push(text_key(format!("{at}.ring{ring}_addr"), address));
        }
    }
    let own = corosync
        .conf
        .nodes
        .iter()
        .position(|node| node.id == corosync.node_id)
        .unwrap_or(0);
    keys.push(u32_key("nodelist.local_node_pos", own));
    if let Some(device) = &corosync.conf.device {
        keys.push(text_key("quorum.device.model", "net"));
        keys.push(text_key("quorum.device.net.algorithm", &device.algorithm));
        keys.push(text_key("quorum.device.net.host", &device.host));
        keys.push(text_key("quorum.device.net.tls", "on"));
        if let Some(votes) = device.votes {
            keys.push(u32_key("quorum.device.votes", votes));
        }
        for (key, value) in [("can_operate", 1), ("master_wins", 0)] {
            keys.push((format!("runtime.votequorum.qdevice_{key}"), format!("(u8) = {value}")));
        }
    }
    keys.push(text_key("quorum.provider", "corosync_votequorum"));
    keys.push(text_key("totem.cluster_name", &corosync.conf.cluster_name));
    keys.push((
        "totem.config_version".to_owned(),
        format!("(u64) = {}", corosync.conf.version),
    ));
    for link in &corosync.conf.links {
        keys.push(text_key(
            format!("totem.interface.{link}.linknumber"),
            &link.to_string(),
        ));
    }
    keys.push(text_key("totem.ip_version", "ipv4-6"));
    keys.push(text_key("totem.link_mode", "passive"));
    keys.push(text_key("totem.secauth", "on"));
    keys.push(u32_key("totem.version", 2));
    let ids = || corosync.members.iter();
    keys.push(u32_key("runtime.votequorum.atb_type", 0));
    keys.push(u32_key("runtime.votequorum.ev_barrier", corosync.expected_votes));
    keys.push(u32_key(
        "runtime.votequorum.highest_node_id",
        ids().next_back().copied().unwrap_or(0),
    ));
    keys.push(u32_key(
        "runtime.votequorum.lowest_node_id",
        ids().next().copied().unwrap_or(0),
    ));
    keys.push(u32_key("runtime.votequorum.this_node_id", corosync.node_id));
    keys.push(("runtime.votequorum.two_node".to_owned(), "(u8) = 0".to_owned()));
    keys
}

fn members(corosync: &Corosync, keys: &mut Keys) {
    for (id, count) in &corosync.join_counts {
        let at = format!("runtime.members.{id}");
        let version = corosync.versions.get(id).copied().unwrap_or(0);
        let ip = corosync
            .addresses
            .get(id)
            .map(|(_, text)| text.as_str())
            .unwrap_or_default();
        keys.push((format!("{at}.config_version"), format!("(u64) = {version}")));
        keys.push(text_key(format!("{at}.ip"), ip));
        keys.push(u32_key(format!("{at}.join_count"), count));
        let here = corosync.members.contains(id);
        keys.push(text_key(format!("{at}.status"), if here { "joined" } else { "left" }));
    }
}

fn totem(corosync: &Corosync, keys: &mut Keys) {
    let at = "runtime.config.totem";
    let token = corosync.conf.token().as_millis();
    // corosync derives these from the token: four retransmits, and a hold a little shorter than one.
    let retransmit = token * 10 / 42;
    for (key, value) in [
        ("block_unlisted_ips", 1),
        ("cancel_token_hold_on_retransmit", 0),
        ("consensus", corosync.conf.consensus().as_millis()),
        ("downcheck", 1000),
        ("fail_recv_const", 2500),
        ("heartbeat_failures_allowed", 0),
        ("hold", retransmit * 8 / 10 - 10),
        ("join", 50),
        ("knet_compression_threshold", 0),
        ("knet_mtu", 0),
        ("knet_pmtud_interval", 30),
        ("max_messages", 17),
        ("max_network_delay", 50),
        ("merge", 200),
        ("miss_count_const", 5),
        ("send_join", 0),
        ("seqno_unchanged_const", 30),
        ("token", token),
        ("token_retransmit", retransmit),
        ("token_retransmits_before_loss_const", 4),
        ("token_warning", 75),
        ("window_size", 50),
    ] {
        keys.push(u32_key(format!("{at}.{key}"), value));
    }
    keys.push((format!("{at}.knet_compression_level"), "(i32) = 0".to_owned()));
    keys.push(text_key(format!("{at}.knet_compression_model"), "none"));
    for link in &corosync.conf.links {
        keys.push(u32_key(format!("{at}.interface.{link}.knet_ping_interval"), token / 4));
        keys.push(u32_key(format!("{at}.interface.{link}.knet_ping_timeout"), token / 2));
    }
}

fn knet(corosync: &Corosync) -> Keys {
    let mut keys = Keys::new();
    // Its way to itself is the first link only, and is never pinged.
    let own = corosync.conf.links.first().copied().unwrap_or_default();
    let itself = Link {
        connected: true,
        down_count: 0,
        up_count: 1,
        ..Link::new()
    };
    link(&mut keys, (corosync.node_id, own), &itself, 65_535);
    for (place, state) in &corosync.links {
        link(&mut keys, *place, state, 1397);
    }
    keys
}

/// Of what passed over a link, the world knows knet's pings; the rest is counted as nothing.
fn link(keys: &mut Keys, (id, number): (u32, u8), link: &Link, mtu: u32) {
    const TRAFFIC: [&str; 5] = ["data", "ping", "pmtu", "pong", "total"];
    let at = format!("stats.knet.node{id}.link{number}");
    let pings = &link.pings;
    for (key, value) in [("connected", link.connected), ("enabled", true)] {
        keys.push((format!("{at}.{key}"), format!("(u8) = {}", u8::from(value))));
    }
    for (key, value) in [
        ("down_count", link.down_count),
        ("latency_ave", pings.average),
        ("latency_max", pings.longest),
        ("latency_min", pings.shortest.unwrap_or(u32::MAX)),
        ("latency_samples", pings.count),
        ("mtu", mtu),
        ("up_count", link.up_count),
    ] {
        keys.push(u32_key(format!("{at}.{key}"), value));
    }
    for kind in TRAFFIC {
        let packets = match kind {
            "ping" | "pong" => pings.count,
            "total" => pings.count.saturating_mul(2),
            _ => 0,
        };
        for (way, size) in [("rx", 26_u64), ("tx", 80)] {
            let bytes = u64::from(packets) * size;
            keys.push((format!("{at}.{way}_{kind}_bytes"), format!("(u64) = {bytes}")));
            keys.push((format!("{at}.{way}_{kind}_packets"), format!("(u64) = {packets}")));
        }
        if kind == "total" {
            for key in ["rx_total_retries", "tx_total_errors"] {
                keys.push((format!("{at}.{key}"), "(u64) = 0".to_owned()));
            }
        } else {
            for key in ["errors", "retries"] {
                keys.push(u32_key(format!("{at}.tx_{kind}_{key}"), 0));
            }
        }
    }
}
