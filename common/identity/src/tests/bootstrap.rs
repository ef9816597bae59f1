//! From a token to a trusted root, over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::lab::{DEADLINE, Fleet, NOW, at, node};
use crate::tls::Refusal;
use crate::{
    BootstrapError, ClientTls, EnrolmentTls, FirstContact, Material, RevocationList, Role, Roots, Token, fetch_root,
};

type Outcome = Result<FirstContact, Refusal>;

/// An enrolment listener that serves one connection and returns what came of it.
async fn listener(roots: Roots, fleet: &Fleet) -> (SocketAddr, tokio::task::JoinHandle<Outcome>) {
    let mut material = fleet.material(&Role::Coordinator);
    material.roots = roots;
    let enrolment = EnrolmentTls::new(&material, &at(NOW)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut outcome = enrolment.accept(stream, DEADLINE).await;
        if let Ok(FirstContact::Tls(stream)) = &mut outcome {
            stream.write_all(b"!").await.unwrap();
            stream.flush().await.unwrap();
        }
        outcome
    });
    (address, served)
}

/// A listener that answers with `bytes`, whatever comes.
async fn stranger(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 13];
        stream.read_exact(&mut request).await.unwrap();
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
    });
    address
}

#[tokio::test]
async fn a_token_leads_to_the_root_and_the_root_to_the_coordinator() {
    let fleet = Fleet::new();
    let token = Token::generate(fleet.root.certificate()).unwrap();
    let (address, served) = listener(fleet.roots(), &fleet).await;
    let roots = fetch_root(address, &token, DEADLINE).await.unwrap();
    assert_eq!(roots, fleet.roots());
    assert!(matches!(served.await.unwrap(), Ok(FirstContact::Roots)));

    let (address, served) = listener(fleet.roots(), &fleet).await;
    let material = Material {
        roots,
        identity: None,
        revocations: RevocationList::default(),
    };
    let client = ClientTls::new(material, at(NOW)).unwrap();
    let (_stream, peer) = client.connect(address, &Role::Coordinator, DEADLINE).await.unwrap();
    assert_eq!(peer.role, Role::Coordinator);
    assert!(matches!(served.await.unwrap(), Ok(FirstContact::Tls(_))));
}

#[tokio::test]
async fn during_a_rotation_the_token_picks_its_root() {
    let (old, new) = (Fleet::new(), Fleet::new());
    let both = Roots::new([new.roots().certificates(), old.roots().certificates()].concat()).unwrap();
    for fleet in [&old, &new] {
        let (address, _served) = listener(both.clone(), &new).await;
        let token = Token::generate(fleet.root.certificate()).unwrap();
        assert_eq!(fetch_root(address, &token, DEADLINE).await.unwrap(), fleet.roots());
    }
}

#[tokio::test]
async fn a_root_that_the_token_does_not_name_is_refused_with_both_fingerprints() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let token = Token::generate(other.root.certificate()).unwrap();
    let (address, _served) = listener(fleet.roots(), &fleet).await;
    let refused = fetch_root(address, &token, DEADLINE).await.unwrap_err();
    assert!(matches!(refused, BootstrapError::WrongRoot { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains(&token.root().to_string()), "{text}");
    assert!(
        text.contains(&fleet.root.certificate().fingerprint().to_string()),
        "{text}"
    );
}

#[tokio::test]
async fn a_certificate_that_is_no_root_is_refused_even_if_the_token_names_it() {
    let fleet = Fleet::new();
    let leaf = fleet.identity(&node("prox1"));
    let token = Token::generate(leaf.certificate()).unwrap();
    let address = stranger(leaf.certificate().to_pem().into_bytes()).await;
    let refused = fetch_root(address, &token, DEADLINE).await.unwrap_err();
    assert!(matches!(refused, BootstrapError::NotARoot(_)), "{refused:?}");
}

#[tokio::test]
async fn whatever_else_answers_is_named() {
    let token = Token::generate(Fleet::new().root.certificate()).unwrap();
    let ask = |bytes: Vec<u8>| async { fetch_root(stranger(bytes).await, &token, DEADLINE).await.unwrap_err() };
    let refused = ask(vec![]).await;
    assert!(matches!(refused, BootstrapError::NoAnswer { .. }), "{refused:?}");
    let refused = ask(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    assert!(matches!(refused, BootstrapError::NotCertificates { .. }), "{refused:?}");
    let refused = ask(b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n".to_vec()).await;
    assert!(matches!(refused, BootstrapError::NotCertificates { .. }), "{refused:?}");
    let refused = ask(vec![b'x'; 1024 * 1024]).await;
    assert!(matches!(refused, BootstrapError::TooLarge { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_silent_listener_costs_the_deadline_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let token = Token::generate(Fleet::new().root.certificate()).unwrap();
    let refused = fetch_root(listener.local_addr().unwrap(), &token, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert!(matches!(refused, BootstrapError::TimedOut { .. }), "{refused:?}");
}

#[tokio::test]
async fn the_listener_answers_nothing_but_its_two_requests() {
    let fleet = Fleet::new();
    for request in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"quorate-rooT\n",
        b"quorate",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ] {
        let (address, served) = listener(fleet.roots(), &fleet).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
        let outcome = served.await.unwrap();
        assert!(matches!(outcome, Err(Refusal::NotTls)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_caller_that_says_nothing_costs_the_deadline_and_no_more() {
    let fleet = Fleet::new();
    let enrolment = EnrolmentTls::new(&fleet.material(&Role::Coordinator), &at(NOW)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let short = Duration::from_millis(50);
    let outcome = enrolment.accept(stream, short).await.map(drop);
    assert!(matches!(outcome, Err(Refusal::TimedOut { .. })), "{outcome:?}");

    let mut caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    caller.write_all(b"quor").await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let outcome = enrolment.accept(stream, short).await.map(drop);
    assert!(matches!(outcome, Err(Refusal::TimedOut { .. })), "{outcome:?}");
}
