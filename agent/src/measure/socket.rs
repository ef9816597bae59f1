//! UDP with don't-fragment, and with the kernel's word about when a packet arrived: a busy agent looks at it later.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use quorate_clock::Clock;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Bytes that the kernel may hold for us: some series at once, each with large packets among them.
const RECEIVE_BUFFER: usize = 1 << 20;

/// One link's socket.
#[derive(Debug)]
pub(super) struct Socket {
    inner: UdpSocket,
    /// The machine's own time without a lab's offset, which the kernel knows nothing of. Only differences count.
    clock: Clock,
}

/// A packet that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) length: usize,
    pub(super) from: SocketAddr,
    /// In microseconds, as [`Socket::now`].
    pub(super) at: i64,
}

impl Socket {
    /// Binds an address, at the first free port of the range.
    pub(super) fn bind(address: IpAddr, ports: &RangeInclusive<u16>) -> io::Result<Self> {
        let mut ports = ports.clone();
        let socket = loop {
            let Some(port) = ports.next() else {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "every port of measure_ports is in use",
                ));
            };
            match std::net::UdpSocket::bind((address, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && !ports.is_empty() => {}
                bound => break bound?,
            }
        };
        socket.set_nonblocking(true)?;
        // Probing ignores what the kernel learnt about the path: the way is measured as it is now.
        match address {
            IpAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
            IpAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            // Without the right to more, the usual size suffices for all but jumbo frames.
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        Ok(Self {
            inner: UdpSocket::from_std(socket)?,
            clock: Clock::system(),
        })
    }

    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.inner.local_addr()?.port())
    }

    /// Microseconds on the machine's clock.
    pub(super) fn now(&self) -> i64 {
        self.clock.unix_micros()
    }

    /// Sends at once; what the kernel can't take now is lost.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        self.inner.try_send_to(bytes, to).map(drop)
    }

    /// Waits until it can be sent to without being turned away.
    pub(super) async fn ready_to_send(&self) -> io::Result<()> {
        self.inner.writable().await
    }

    /// The next packet.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        self.inner
            .async_io(Interest::READABLE, || self.try_receive(&mut *buffer))
            .await
    }

    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(buffer)];
        let fd = self.inner.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let from = message.address.as_ref().and_then(address);
        let from = from.ok_or_else(|| io::Error::other("a packet without a sender"))?;
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(at) => Some(at),
            _ => None,
        });
        let at = stamp.map_or_else(|| self.now(), micros);
        Ok(Arrival {
            length: message.bytes,
            from,
            at,
        })
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|sin| SocketAddr::V4(SocketAddrV4::from(*sin)));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|sin6| SocketAddr::V6(SocketAddrV6::from(*sin6)))
    })
}

fn micros(stamp: TimeSpec) -> i64 {
    stamp
        .tv_sec()
        .saturating_mul(1_000_000)
        .saturating_add(stamp.tv_nsec() / 1000)
}
