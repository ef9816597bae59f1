//! Who calls a guest from its own server: that server's bridge carries on when its ports are cut. All of a lab's servers are one host, so the caller
//! is known by whose socket it is.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::World;
use crate::process;

/// An agent that was looked for is not looked for again before this.
const AGAIN: Duration = Duration::from_secs(1);

/// The agent of a server, as it was found last: it is not looked for at each call.
#[derive(Debug, Default)]
pub(super) struct OwnAgent {
    pid: Option<u32>,
    looked: Option<Instant>,
}

impl OwnAgent {
    /// Is it the agent of this server that calls from `caller` to `here`?
    pub(super) fn calls(&mut self, world: &World, server: usize, caller: SocketAddrV4, here: SocketAddrV4) -> bool {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let Some(inode) = sockets.lines().find_map(|line| inode_of(line, caller, here)) else {
            return false;
        };
        if self.pid.is_some_and(|pid| has_open(pid, inode)) {
            return true;
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < AGAIN) {
            return false;
        }
        self.looked = Some(Instant::now());
        let name = world.with(|state| state.get(server).map(|server| server.name().to_owned()));
        let agent = name.and_then(|name| process::agent_of(&world.layout.node(&name)));
        self.pid = agent.map(|agent| agent.pid);
        self.pid.is_some_and(|pid| has_open(pid, inode))
    }
}

/// The inode of the socket of this line of /proc/net/tcp, if it is the one from `local` to `remote`.
fn inode_of(line: &str, local: SocketAddrV4, remote: SocketAddrV4) -> Option<u64> {
    let mut words = line.split_whitespace();
    let is_it = words.nth(1)? == written(local) && words.next()? == written(remote);
    // Behind the two stand state, queues, timer, retransmissions, user and timeouts.
    is_it.then(|| words.nth(6)?.parse().ok()).flatten()
}

/// An address as the kernel writes it there: its bytes as one number of this machine.
fn written(address: SocketAddrV4) -> String {
    let number = u32::from_ne_bytes(address.ip().octets());
    format!("{number:08X}:{:04X}", address.port())
}

fn has_open(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    targets.any(|target| target.to_str() == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_socket_is_known_by_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (SocketAddr::V4(caller), SocketAddr::V4(here)) =
            (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
        else {
            panic!()
        };
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let inode = sockets.lines().find_map(|line| inode_of(line, caller, here)).unwrap();
        assert!(has_open(std::process::id(), inode));
        assert!(!has_open(std::process::id(), inode.wrapping_add(1_000_000_000)));
        assert_eq!(sockets.lines().find_map(|line| inode_of(line, caller, caller)), None);
    }

    #[test]
    fn a_line_is_read_as_the_kernel_writes_it() {
        let line = "   0: 0100007F:1D24 0200007F:A1B2 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0";
        let [local, remote]: [SocketAddrV4; 2] =
            ["127.0.0.1:7460", "127.0.0.2:41394"].map(|text| text.parse().unwrap());
        assert_eq!(inode_of(line, local, remote), Some(4711));
        assert_eq!(inode_of(line, remote, local), None);
        assert_eq!(inode_of("  sl  local_address rem_address   st", local, remote), None);
    }
}
