//! Material that changes while the program runs, and what must never be shown.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::lab::{DEADLINE, Fleet, NOW, at, meet, name, node, operator};
use crate::tls::Refusal;
use crate::{ClientTls, IdentityError, MaterialError, Passphrase, RevocationError, Role, RootCa, Roots, RootsError};
use crate::{Identity, ServerTls};

#[tokio::test]
async fn during_a_rotation_both_cas_are_accepted_and_afterwards_only_the_new_one() {
    let (old, new) = (Fleet::new(), Fleet::new());
    let both = Roots::new([new.roots().certificates(), old.roots().certificates()].concat()).unwrap();
    let with_both = |fleet: &Fleet, role: &Role| {
        let mut material = fleet.material(role);
        material.roots = both.clone();
        material
    };
    for server_of in [&old, &new] {
        let server = ServerTls::new(with_both(server_of, &node("prox1")), at(NOW)).unwrap();
        for client_of in [&old, &new] {
            let client = ClientTls::new(with_both(client_of, &Role::Coordinator), at(NOW)).unwrap();
            let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
            assert!(accepted.is_ok() && connected.is_ok(), "{accepted:?} {connected:?}");
        }
    }
    let client = ClientTls::new(with_both(&old, &Role::Coordinator), at(NOW)).unwrap();
    let (accepted, _) = meet(&new.server(&node("prox1")), &client, &node("prox1")).await;
    assert!(matches!(accepted, Err(Refusal::UnknownIssuer)), "{accepted:?}");
}

#[tokio::test]
async fn a_new_identity_serves_new_connections_and_leaves_the_old_ones_alone() {
    let fleet = Fleet::new();
    let (server, client) = (fleet.server(&node("prox1")), fleet.client(&Role::Coordinator));
    let (near, far) = duplex(64 * 1024);
    let accepting = async {
        let (mut stream, _) = server.accept(far, DEADLINE).await.unwrap();
        stream.write_all(b"!").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let prox1 = node("prox1");
    let (mut served, dialled) = tokio::join!(accepting, client.connect_over(near, &prox1, DEADLINE));
    let (mut stream, before) = dialled.unwrap();

    server.clone().replace(fleet.material(&node("prox1"))).unwrap();
    let (_, connected) = meet(&server, &client, &node("prox1")).await;
    let after = connected.unwrap();
    assert_ne!(after.serial, before.serial);
    assert_eq!(
        after.serial,
        *server.material().identity.unwrap().certificate().serial()
    );

    served.write_all(b"still here").await.unwrap();
    served.flush().await.unwrap();
    let mut text = [0; 11];
    stream.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"!still here", "nothing that was peeked at is lost");
}

#[test]
fn material_that_every_peer_would_refuse_is_not_taken_over() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let server = fleet.server(&node("prox1"));
    let mut foreign = other.material(&node("prox1"));
    foreign.roots = fleet.roots();
    assert!(matches!(server.replace(foreign), Err(MaterialError::Refused(_))));

    let mut nameless = fleet.material(&node("prox1"));
    nameless.identity = None;
    assert!(matches!(server.replace(nameless), Err(MaterialError::NoIdentity)));

    let away = RootCa::create(&name("away"), NOW)
        .unwrap()
        .issue(&Role::Coordinator, NOW)
        .unwrap();
    assert!(matches!(
        server.replace(fleet.material_of(away)),
        Err(MaterialError::WrongFleet { .. })
    ));

    let mut newer = server.material();
    newer.revocations.revoke_certificate(fleet.issuing.certificate(), NOW);
    let older = server.material();
    server.replace(newer).unwrap();
    assert!(matches!(
        server.replace(older),
        Err(MaterialError::Revocations(RevocationError::Older {
            offered: 0,
            current: 1
        }))
    ));
    assert_eq!(
        server.material().revocations.generation(),
        1,
        "what was in force stays in force"
    );
}

#[test]
fn roots_are_one_or_two_of_one_fleet() {
    let (one, two, three) = (Fleet::new(), Fleet::new(), Fleet::new());
    let all = [&one, &two, &three].map(|fleet| fleet.root.certificate().clone());
    assert!(Roots::new(all[..2].to_vec()).is_ok());
    assert_eq!(Roots::new(vec![]), Err(RootsError::Count { count: 0 }));
    assert_eq!(Roots::new(all.to_vec()), Err(RootsError::Count { count: 3 }));
    let away = RootCa::create(&name("away"), NOW).unwrap().certificate().clone();
    assert!(matches!(
        Roots::new(vec![all[0].clone(), away]),
        Err(RootsError::TwoFleets { .. })
    ));
    let issuing = one.issuing.certificate().clone();
    assert!(matches!(Roots::new(vec![issuing]), Err(RootsError::NotARoot { .. })));
    let back = Roots::from_pem(&one.roots().to_pem()).unwrap();
    assert_eq!(back, one.roots());
}

#[test]
fn an_identity_needs_its_own_key() {
    let fleet = Fleet::new();
    let (anna, other) = (fleet.identity(&operator()), fleet.identity(&operator()));
    let mixed = Identity::from_pem(&anna.chain_pem(), &other.key().to_pem());
    assert!(matches!(mixed, Err(IdentityError::KeyMismatch)), "{mixed:?}");
    let ca = Identity::new(vec![fleet.root.certificate().clone()], fleet.root.key().clone());
    assert!(matches!(ca, Err(IdentityError::Role(_))), "{ca:?}");
}

#[test]
fn debug_never_shows_a_key() {
    let fleet = Fleet::new();
    let server = fleet.server(&node("prox1"));
    let passphrase = Passphrase::new("correct horse".to_owned().into()).unwrap();
    let shown = format!(
        "{server:?} {:?} {:?} {:?} {passphrase:?} {:?}",
        fleet.root,
        fleet.issuing,
        server.material(),
        fleet.client(&Role::Coordinator)
    );
    assert!(!shown.contains("correct horse"));
    let keys = [
        fleet.root.key().clone(),
        fleet.issuing.key().clone(),
        server.material().identity.unwrap().key().clone(),
    ];
    for key in keys {
        let pem = key.to_pem();
        let body = pem.lines().nth(1).unwrap();
        assert!(!shown.contains(&body[40..]), "base64");
        let rustls_pki_types::PrivateKeyDer::Pkcs8(der) = key.to_tls() else {
            panic!("not PKCS#8")
        };
        let as_list = format!("{:?}", &der.secret_pkcs8_der()[40..50]);
        assert!(!shown.contains(as_list.trim_matches(['[', ']'])), "list of bytes");
    }
}
