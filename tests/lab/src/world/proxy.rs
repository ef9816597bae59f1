//! The lab's loopback network: every connection between an agent and the coordinator passes through the world, so that
//! cutting a server off cuts its agent off too.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::World;
use super::server::Network;

/// Where agents are reached.
pub(crate) const AGENT_PORT: u16 = 7443;
/// The coordinator's own ports.
pub(crate) const API_PORT: u16 = 7440;
/// Where enrolment is offered.
pub(crate) const ENROL_PORT: u16 = 7441;

/// Where agents measure the network, by UDP.
pub(crate) const MEASURE_PORT: u16 = 7442;

/// As many servers have link addresses of their own.
const MOST_LINKED: usize = 32;

/// A /24 of 127.0.0.0/8 that no other lab uses while this is held.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) network: Ipv4Addr,
    _held: TcpListener,
}

pub(crate) async fn claim_network() -> io::Result<Claim> {
    let mut last = None;
    for _ in 0..64 {
        let [.., a, b] = super::random().to_be_bytes();
        let network = Ipv4Addr::new(127, 16 + a % 224, b.max(1), 0);
        match TcpListener::bind(SocketAddrV4::new(host(network, 254), API_PORT)).await {
            Ok(held) => return Ok(Claim { network, _held: held }),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no free loopback network")))
}

fn host(network: Ipv4Addr, last: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, last)
}

fn numbered(network: Ipv4Addr, first: u8, index: usize) -> Ipv4Addr {
    host(network, first.saturating_add(u8::try_from(index).unwrap_or(100)))
}

/// The address that stands for a server's public one.
pub(crate) fn address(network: Ipv4Addr, index: usize) -> Ipv4Addr {
    numbered(network, 10, index)
}

/// Where the server's agent really listens.
pub(crate) fn behind(network: Ipv4Addr, index: usize) -> Ipv4Addr {
    numbered(network, 110, index)
}

/// What stands for a server's address in a network: for itself, and for all others (that one is the world's).
pub(crate) fn link(network: Ipv4Addr, index: usize, net: Network) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (real, relay) = match net {
        Network::Cluster => (42, 142),
        Network::Public => (74, 174),
    };
    (index < MOST_LINKED).then(|| (numbered(network, real, index), numbered(network, relay, index)))
}

/// The last numbers of guests' addresses.
const GUESTS: std::ops::Range<u8> = 210..250;

/// The address of guest number `number`, from 0.
pub(crate) fn guest(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    host(network, GUESTS.start + number % (GUESTS.end - GUESTS.start))
}

/// Is it one that a guest may have?
pub(crate) fn is_guest(network: Ipv4Addr, address: Ipv4Addr) -> bool {
    let [.., last] = address.octets();
    GUESTS.contains(&last) && host(network, last) == address
}

/// Guests that have addresses of their own on the bridges of small labs' servers, and servers that have such a bridge.
const BRIDGED: u8 = 16;
const MOST_BRIDGED: usize = 8;

/// First numbers of what servers behind the eighth would have; [`BRIDGE`] of each are free in a small lab.
const BRIDGES: [u8; 6] = [18, 50, 82, 118, 150, 182];
const BRIDGE: usize = 24;

/// What stands for a guest's address on a server's own bridge: there it is heard by that server, also when nothing passes the ports.
/// `None`: the guest has none, or the lab is too big.
pub(crate) fn bridged(network: Ipv4Addr, server: usize, servers: usize, guest: Ipv4Addr) -> Option<Ipv4Addr> {
    let [.., last] = guest.octets();
    let number = last.checked_sub(GUESTS.start).filter(|number| *number < BRIDGED)?;
    if !is_guest(network, guest) || servers > MOST_BRIDGED || server >= servers {
        return None;
    }
    let place = server * usize::from(BRIDGED) + usize::from(number);
    let first = BRIDGES.get(place / BRIDGE)?;
    Some(numbered(network, *first, place % BRIDGE))
}

/// The guests that have such addresses on this server, with these.
pub(crate) fn bridge(network: Ipv4Addr, server: usize, servers: usize) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    (0..BRIDGED)
        .map(|number| guest(network, number))
        .filter_map(|guest| Some((guest, bridged(network, server, servers, guest)?)))
        .collect()
}

/// The coordinator's host.
pub(crate) fn coordinator(network: Ipv4Addr) -> Ipv4Addr {
    host(network, 1)
}

/// Opens every server's two doors.
pub(crate) async fn open(world: &Arc<World>) -> io::Result<()> {
    for (index, passes) in world.public.iter().enumerate() {
        let own = address(world.network, index);
        let agent = SocketAddrV4::new(behind(world.network, index), AGENT_PORT);
        let enrolment = SocketAddrV4::new(coordinator(world.network), ENROL_PORT);
        let inward = TcpListener::bind(SocketAddrV4::new(own, AGENT_PORT)).await?;
        let outward = TcpListener::bind(SocketAddrV4::new(own, ENROL_PORT)).await?;
        tokio::spawn(forward(inward, agent, None, passes.subscribe()));
        tokio::spawn(forward(outward, enrolment, Some(own), passes.subscribe()));
    }
    Ok(())
}

async fn forward(listener: TcpListener, to: SocketAddrV4, source: Option<Ipv4Addr>, passes: watch::Receiver<bool>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: wait for some to come back.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let passes = passes.clone();
        tokio::spawn(async move {
            // An error on either side ends both, as a closed connection does.
            carry(stream, to, source, passes).await.ok();
        });
    }
}

async fn carry(
    near: TcpStream,
    to: SocketAddrV4,
    source: Option<Ipv4Addr>,
    mut passes: watch::Receiver<bool>,
) -> io::Result<()> {
    open_road(&mut passes).await?;
    let socket = TcpSocket::new_v4()?;
    if let Some(source) = source {
        socket.bind(SocketAddrV4::new(source, 0).into())?;
    }
    let far = socket.connect(to.into()).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::try_join!(
        copy(near_read, far_write, passes.clone()),
        copy(far_read, near_write, passes)
    )?;
    Ok(())
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut passes: watch::Receiver<bool>) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        // What is under way when the cable goes is not delivered before it is back; nor is the end of a connection.
        open_road(&mut passes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
    }
}

async fn open_road(passes: &mut watch::Receiver<bool>) -> io::Result<()> {
    passes
        .wait_for(|passes| *passes)
        .await
        .map(|_| ())
        .map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_else_has_an_address_of_a_bridge() {
        let network = Ipv4Addr::new(127, 20, 30, 0);
        for servers in [1, 3, 8] {
            let mut all: BTreeSet<Ipv4Addr> = [coordinator(network), host(network, 254)].into();
            let mut count = all.len();
            for index in 0..servers {
                let links = Network::ALL.map(|net| link(network, index, net).unwrap());
                let mut own = vec![address(network, index), behind(network, index)];
                own.extend(links.into_iter().flat_map(|(real, relay)| [real, relay]));
                own.extend(bridge(network, index, servers).into_iter().map(|(_, own)| own));
                assert_eq!(own.len(), 6 + usize::from(BRIDGED));
                assert!(own.iter().all(|address| !is_guest(network, *address)));
                count += own.len();
                all.extend(own);
            }
            assert_eq!(all.len(), count);
        }
        assert!(bridge(network, 0, 9).is_empty(), "too big");
        assert_eq!(
            bridged(network, 0, 3, Ipv4Addr::new(127, 20, 31, 210)),
            None,
            "another lab's"
        );
    }
}
