//! What servers send one another over the links, by UDP: agents measure the network with it. A thread of its own takes each packet
//! and delivers it when its time has come; timers that tick once a millisecond would be too coarse for a network.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::{Arc, PoisonError, RwLock};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use super::proxy::{self, MEASURE_PORT};
use super::server::{Network, Server};
use super::state::State;
use super::{complain, random};
use crate::description::LabSpec;
use crate::ways::Way;

/// Bytes of the IPv4 and UDP heads.
const HEADS: u32 = 28;

/// Longer than any wait.
const IDLE: i64 = 1_000_000_000;

/// The roads as they are now.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Roads {
    servers: Vec<Port>,
    /// The last one that concerns a pair counts.
    ways: Vec<Way>,
}

/// One server's ports.
#[derive(Debug, Clone, PartialEq)]
struct Port {
    name: String,
    /// By network, in the order of [`Network::ALL`].
    carries: Vec<bool>,
    mtu: Vec<u32>,
}

impl Roads {
    pub(crate) fn of(servers: &[Server], ways: &[Way]) -> Self {
        let port = |server: &Server| Port {
            name: server.name().to_owned(),
            carries: Network::ALL.iter().map(|network| server.carries(*network)).collect(),
            mtu: Network::ALL.iter().map(|network| mtu(server, *network)).collect(),
        };
        Self {
            servers: servers.iter().map(port).collect(),
            ways: ways.to_vec(),
        }
    }

    /// The way from one server to another, if packets of this size (IP) pass.
    fn way(&self, from: usize, to: usize, network: usize, size: u32) -> Option<Way> {
        let (a, b) = (self.servers.get(from)?, self.servers.get(to)?);
        let passes = |port: &Port| port.carries.get(network) == Some(&true) && port.mtu.get(network) >= Some(&size);
        if !passes(a) || !passes(b) {
            return None;
        }
        let link = Network::ALL.get(network)?.link();
        let described = self.ways.iter().rev().find(|way| way.concerns(&a.name, &b.name, link));
        let way = described.cloned().unwrap_or_default();
        way.mtu.is_none_or(|mtu| size <= mtu).then_some(way)
    }
}

fn mtu(server: &Server, network: Network) -> u32 {
    match network {
        Network::Public => server.hardware.mtu("eno1").min(server.hardware.mtu("vmbr0")),
        Network::Cluster => server.hardware.mtu(network.port()),
    }
}

/// One server's end of a network.
#[derive(Debug)]
struct End {
    server: usize,
    network: usize,
    socket: UdpSocket,
    /// Where the server's own socket is.
    real: SocketAddrV4,
}

/// A packet on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    /// When it arrives, in nanoseconds since 1970.
    due: i64,
    number: u64,
    /// Through which end it comes out.
    through: usize,
    to: SocketAddrV4,
    bytes: Vec<u8>,
}

/// The ways that a lab's description names.
pub(crate) fn describe(state: &mut State, spec: &LabSpec) -> Result<(), String> {
    for way in &spec.ways {
        way.check(&spec.servers)?;
    }
    state.ways.clone_from(&spec.ways);
    Ok(())
}

/// Begins to relay.
pub(crate) fn open(network: Ipv4Addr, servers: usize, roads: Arc<RwLock<Roads>>) -> io::Result<()> {
    let mut ends = Vec::new();
    for server in 0..servers {
        for (index, net) in Network::ALL.iter().enumerate() {
            let Some((real, relay)) = proxy::link(network, server, *net) else {
                continue;
            };
            let socket = UdpSocket::bind(SocketAddrV4::new(relay, MEASURE_PORT))?;
            socket.set_nonblocking(true)?;
            setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
            ends.push(End {
                server,
                network: index,
                socket,
                real: SocketAddrV4::new(real, MEASURE_PORT),
            });
        }
    }
    std::thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || Relay::new(ends, roads).run())
        .map(drop)
}

#[derive(Debug)]
struct Relay {
    ends: Vec<End>,
    roads: Arc<RwLock<Roads>>,
    under_way: BinaryHeap<Reverse<Packet>>,
    /// By direction and network: the share of a packet that is to be lost next.
    lost: HashMap<(usize, usize, usize), f64>,
    count: u64,
}

impl Relay {
    fn new(ends: Vec<End>, roads: Arc<RwLock<Roads>>) -> Self {
        Self {
            ends,
            roads,
            under_way: BinaryHeap::new(),
            lost: HashMap::new(),
            count: 0,
        }
    }

    fn run(mut self) {
        let mut buffer = vec![0; 65_535];
        loop {
            let wait = self.deliver();
            let ready: Vec<usize> = {
                let mut sockets: Vec<PollFd<'_>> = self
                    .ends
                    .iter()
                    .map(|end| PollFd::new(end.socket.as_fd(), PollFlags::POLLIN))
                    .collect();
                let timeout = TimeSpec::new(wait / 1_000_000_000, wait % 1_000_000_000);
                match ppoll(&mut sockets, Some(timeout), None) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return complain(&format!("the relay broke: {error}")),
                }
                let is_ready = |fd: &PollFd<'_>| fd.any() == Some(true);
                sockets
                    .iter()
                    .enumerate()
                    .filter(|(_, fd)| is_ready(fd))
                    .map(|(i, _)| i)
                    .collect()
            };
            for index in ready {
                self.take(index, &mut buffer);
            }
        }
    }

    /// Delivers what is due; returns the nanoseconds until the next is.
    fn deliver(&mut self) -> i64 {
        while let Some(Reverse(next)) = self.under_way.peek() {
            let wait = next.due.saturating_sub(now());
            if wait > 0 {
                return wait.min(IDLE);
            }
            if let Some(Reverse(packet)) = self.under_way.pop()
                && let Some(end) = self.ends.get(packet.through)
            {
                // Nobody listens: the packet is lost, as on any network.
                end.socket.send_to(&packet.bytes, packet.to).ok();
            }
        }
        IDLE
    }

    /// Takes all that was sent to a server's end.
    fn take(&mut self, index: usize, buffer: &mut [u8]) {
        while let Some(end) = self.ends.get(index)
            && let Ok((length, from, at)) = receive(&end.socket, buffer)
        {
            let (to, network, real) = (end.server, end.network, end.real);
            let sender = self
                .ends
                .iter()
                .position(|e| e.network == network && *e.real.ip() == from);
            let (Some(through), Some(bytes)) = (sender, buffer.get(..length)) else {
                continue;
            };
            let from = self.ends.get(through).map_or(to, |e| e.server);
            let size = u32::try_from(length).unwrap_or(u32::MAX).saturating_add(HEADS);
            let way = {
                let roads = self.roads.read().unwrap_or_else(PoisonError::into_inner);
                roads.way(from, to, network, size)
            };
            let Some(way) = way else { continue };
            if self.is_lost((from, to, network), way.loss_percent) {
                continue;
            }
            self.count += 1;
            let jitter = random().checked_rem(way.jitter_us.saturating_add(1)).unwrap_or(0);
            // Each direction has half of it.
            let delay = way.rtt_us.saturating_add(jitter).saturating_mul(500);
            self.under_way.push(Reverse(Packet {
                due: at.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX)),
                number: self.count,
                through,
                to: real,
                bytes: bytes.to_vec(),
            }));
        }
    }

    /// Losses add up until one is whole. There and back together make what was described.
    fn is_lost(&mut self, direction: (usize, usize, usize), percent: f64) -> bool {
        let share = self.lost.entry(direction).or_insert(0.5);
        *share += 1.0 - (1.0 - percent / 100.0).max(0.0).sqrt();
        let lost = *share >= 1.0;
        if lost {
            *share -= 1.0;
        }
        lost
    }
}

/// A packet's length, sender and time of arrival by the kernel's word.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, Ipv4Addr, i64)> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let from = message.address.map_or(Ipv4Addr::UNSPECIFIED, |a| a.ip());
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => Some(at),
        _ => None,
    });
    let at = stamp.map_or_else(now, |at| {
        at.tv_sec().saturating_mul(1_000_000_000).saturating_add(at.tv_nsec())
    });
    Ok((message.bytes, from, at))
}

fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// Which addresses of this machine stand for the links' addresses, on this server: its own ones lead to its own sockets, all others
/// into the world.
pub(crate) fn addresses(network: Ipv4Addr, own: usize, servers: usize) -> Vec<(IpAddr, IpAddr)> {
    let bridge = proxy::bridge(network, own, servers);
    let mut addresses: Vec<(IpAddr, IpAddr)> = bridge
        .into_iter()
        .map(|(guest, own)| (guest.into(), own.into()))
        .collect();
    for server in 0..servers {
        for net in Network::ALL {
            if let Some((real, relay)) = proxy::link(network, server, net) {
                let stands = if server == own { real } else { relay };
                addresses.push((net.address_of(server).into(), stands.into()));
            }
        }
    }
    addresses
}
