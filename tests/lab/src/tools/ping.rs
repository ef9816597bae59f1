//! `ping -n -c N -i S -W S ADDRESS`: what the world's networks carry. Source: captured (iputils 20221126).

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use super::Reply;
use crate::world::server::{Network, Server};
use crate::world::state::State;

/// Everybody's way out of the public network.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// Each packet is answered at once.
const ANSWERED: u64 = 1_014;
/// Nobody has the address: the kernel gives up after three seconds.
const NOBODY: u64 = 3_060;

pub(super) fn reply(server: &Server, state: &State, args: &[&str]) -> Option<(u64, Reply)> {
    let ["-n", "-c", count, "-i", _, "-W", _, address] = args else {
        return None;
    };
    let count: u32 = count.parse().ok()?;
    let address: Ipv4Addr = address.parse().ok()?;
    let network = Network::of(address)?;
    let mut text = format!("PING {address} ({address}) 56(84) bytes of data.\n");
    if !answers(server, state, address, network) {
        let own = network.address_of(server.index);
        for number in 1..=count {
            writeln!(text, "From {own} icmp_seq={number} Destination Host Unreachable").ok();
        }
        write!(
            text,
            "\n--- {address} ping statistics ---\n{count} packets transmitted, 0 received, +{count} errors, 100% packet loss, time \
             {NOBODY}ms\npipe {count}\n"
        )
        .ok();
        let reply = Reply {
            stdout: text,
            code: 1,
            ..Reply::default()
        };
        return Some((NOBODY, reply));
    }
    for number in 1..=count {
        writeln!(text, "64 bytes from {address}: icmp_seq={number} ttl=64 time=0.227 ms").ok();
    }
    write!(
        text,
        "\n--- {address} ping statistics ---\n{count} packets transmitted, {count} received, 0% packet loss, time {ANSWERED}ms\n\
         rtt min/avg/max/mdev = 0.188/0.228/0.269/0.033 ms\n"
    )
    .ok();
    Some((ANSWERED, Reply::ok(text)))
}

fn answers(server: &Server, state: &State, address: Ipv4Addr, network: Network) -> bool {
    if address == GATEWAY {
        return server.carries(Network::Public);
    }
    let target = network.index_of(address).and_then(|index| state.get(index));
    let there = target.is_some_and(|target| target.index == server.index || target.carries(network));
    there && server.carries(network)
}
