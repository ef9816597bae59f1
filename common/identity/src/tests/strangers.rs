//! Peers that are not of this fleet, or not TLS 1.3, or nothing at all.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::net::TcpListener;

use super::lab::{DEADLINE, Fleet, at, meet, node, peer_that_sends};
use super::lab::{NOW, operator};
use crate::tls::Refusal;
use crate::{ClientTls, PeerComplaint, Role, Roots};

const SHORT: Duration = Duration::from_millis(50);

/// A ClientHello as TLS 1.2 clients send it: no supported_versions extension.
const TLS12_CLIENT_HELLO: &[u8] = &[
    0x16, 0x03, 0x01, 0x00, 0x45, // record: handshake, 69 bytes
    0x01, 0x00, 0x00, 0x41, // ClientHello, 65 bytes
    0x03, 0x03, // TLS 1.2
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    32, 0x00, // no session
    0x00, 0x02, 0xc0, 0x2b, // ECDHE-ECDSA with AES-128-GCM
    0x01, 0x00, // no compression
    0x00, 0x16, // extensions, 22 bytes
    0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17, // groups: secp256r1
    0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, // signatures: ECDSA with SHA-256
    0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // uncompressed points
];

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_by_the_server() {
    // Two fleets of one name: only the key tells them apart.
    let (ours, theirs) = (Fleet::new(), Fleet::new());
    let mut material = theirs.material(&Role::Coordinator);
    material.roots = Roots::new([ours.roots().certificates(), theirs.roots().certificates()].concat()).unwrap();
    let client = ClientTls::new(material, at(NOW)).unwrap();
    let (accepted, connected) = meet(&ours.server(&node("prox1")), &client, &node("prox1")).await;
    assert!(matches!(accepted, Err(Refusal::UnknownIssuer)), "{accepted:?}");
    assert!(
        matches!(connected, Err(Refusal::ByPeer(PeerComplaint::UnknownCa))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn a_server_of_another_ca_is_refused_by_the_client() {
    let (ours, theirs) = (Fleet::new(), Fleet::new());
    let (accepted, connected) = meet(
        &theirs.server(&node("prox1")),
        &ours.client(&Role::Coordinator),
        &node("prox1"),
    )
    .await;
    assert!(matches!(connected, Err(Refusal::UnknownIssuer)), "{connected:?}");
    assert!(
        matches!(accepted, Err(Refusal::ByPeer(PeerComplaint::UnknownCa))),
        "{accepted:?}"
    );
}

#[tokio::test]
async fn plain_text_is_called_so() {
    let fleet = Fleet::new();
    let server = fleet.server(&node("prox1"));
    let refused = server
        .accept(peer_that_sends(b"GET / HTTP/1.1\r\n\r\n"), DEADLINE)
        .await
        .map(drop);
    assert!(matches!(refused, Err(Refusal::NotTls)), "{refused:?}");

    let client = fleet.client(&operator());
    let refused = client
        .connect_over(
            peer_that_sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
            &Role::Coordinator,
            DEADLINE,
        )
        .await
        .map(drop);
    assert!(matches!(refused, Err(Refusal::NotTls)), "{refused:?}");
}

#[tokio::test]
async fn older_tls_is_refused() {
    let fleet = Fleet::new();
    let refused = fleet
        .server(&node("prox1"))
        .accept(peer_that_sends(TLS12_CLIENT_HELLO), DEADLINE)
        .await
        .map(drop);
    assert!(matches!(refused, Err(Refusal::TlsVersion)), "{refused:?}");

    // A server without TLS 1.3 answers with the alert protocol_version.
    let alert = peer_that_sends(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 70]);
    let refused = fleet
        .client(&operator())
        .connect_over(alert, &Role::Coordinator, DEADLINE)
        .await
        .map(drop);
    assert!(
        matches!(refused, Err(Refusal::ByPeer(PeerComplaint::TlsVersion))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_silent_peer_costs_the_deadline_and_no_more() {
    let fleet = Fleet::new();
    let (near, _far) = duplex(64 * 1024);
    let refused = fleet.server(&node("prox1")).accept(near, SHORT).await.map(drop);
    assert!(
        matches!(
            refused,
            Err(Refusal::TimedOut {
                what: "TLS handshake",
                ..
            })
        ),
        "{refused:?}"
    );
    let (near, _far) = duplex(64 * 1024);
    let refused = fleet
        .client(&operator())
        .connect_over(near, &Role::Coordinator, SHORT)
        .await
        .map(drop);
    assert!(matches!(refused, Err(Refusal::TimedOut { .. })), "{refused:?}");
    assert_eq!(refused.unwrap_err().to_string(), "no TLS handshake within 50 ms");
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_told_apart() {
    let fleet = Fleet::new();
    let (near, far) = duplex(64 * 1024);
    drop(far);
    let refused = fleet.server(&node("prox1")).accept(near, DEADLINE).await.map(drop);
    assert!(matches!(refused, Err(Refusal::Closed)), "{refused:?}");
    let (near, mut far) = duplex(64 * 1024);
    far.shutdown().await.unwrap();
    let refused = fleet
        .client(&operator())
        .connect_over(near, &Role::Coordinator, DEADLINE)
        .await
        .map(drop);
    assert!(matches!(refused, Err(Refusal::Closed)), "{refused:?}");
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let refused = Fleet::new()
        .client(&operator())
        .connect(address, &Role::Coordinator, DEADLINE)
        .await
        .map(drop);
    assert_eq!(
        refused.as_ref().unwrap_err().to_string(),
        format!("{address} cannot be reached")
    );
    assert!(matches!(refused, Err(Refusal::Unreachable { .. })), "{refused:?}");
}
