//! A ping, without any privilege: the kernel has a kind of socket for it, whose use `net.ipv4.ping_group_range` allows.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket as Unasked};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use tokio::net::UdpSocket;

use crate::miss::Miss;

/// Types of ICMP messages: the question and its answer.
const ECHO: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// Where the kernel says who may ping; it counts for IPv6, too.
const RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// A socket of its own for each call: the kernel gives it a number, and only answers with that number come to it.
fn open(address: IpAddr) -> io::Result<Unasked> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = Unasked::from(socket(family, SockType::Datagram, flags, protocol)?);
    socket.connect(SocketAddr::new(address, 0))?;
    Ok(socket)
}

/// May this process ping? If not, whom the kernel lets, as it says it.
pub(crate) fn refused(address: IpAddr) -> Option<String> {
    let error = open(address).err()?;
    let refused = matches!(error.kind(), ErrorKind::PermissionDenied);
    refused.then(|| {
        let range = std::fs::read_to_string(RANGE).unwrap_or_default();
        let words: Vec<&str> = range.split_whitespace().collect();
        if words.is_empty() {
            "not known".to_owned()
        } else {
            words.join(" ")
        }
    })
}

/// Asks, and waits for the answer to just this question; how long, is the caller's.
pub(crate) async fn ask(address: IpAddr, question: u64) -> Result<(), Miss> {
    let failed = |error: io::Error| Miss::of(&error);
    let socket = UdpSocket::from_std(open(address).map_err(failed)?).map_err(failed)?;
    let (ask, answer) = if address.is_ipv4() { ECHO } else { ECHO_V6 };
    let body = question.to_be_bytes();
    let [.., high, low] = body;
    // Type, code, checksum and identifier (the kernel writes both), sequence, and the whole question again.
    let mut message = vec![ask, 0, 0, 0, 0, 0, high, low];
    message.extend(body);
    socket.send(&message).await.map_err(failed)?;
    let mut buffer = [0; 64];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        if is_answer(buffer.get(..length).unwrap_or_default(), answer, &body) {
            return Ok(());
        }
    }
}

fn is_answer(message: &[u8], kind: u8, body: &[u8]) -> bool {
    message.first() == Some(&kind) && message.get(8..) == Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_the_question_counts() {
        let body = 7_u64.to_be_bytes();
        let answer = [&[0, 0, 9, 9, 1, 2, 0, 7][..], &body].concat();
        assert!(is_answer(&answer, 0, &body));
        assert!(!is_answer(&answer, 129, &body));
        assert!(!is_answer(&answer, 0, &8_u64.to_be_bytes()));
        assert!(!is_answer(&answer[..7], 0, &body) && !is_answer(&[], 0, &body));
    }

    #[tokio::test]
    async fn this_host_answers_itself_or_the_kernel_says_who_may_ask() {
        for address in ["127.0.0.1", "::1"] {
            let address: IpAddr = address.parse().unwrap();
            match refused(address) {
                Some(range) => println!("skipped: net.ipv4.ping_group_range is {range}"),
                None if open(address).is_err() => println!("skipped: there is no {address} here"),
                None => assert_eq!(ask(address, 4711).await, Ok(())),
            }
        }
    }
}
