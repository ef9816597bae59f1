//! Who may be what: roles, the CAs that give them, revocation.

use rcgen::{ExtendedKeyUsagePurpose, SanType};

use super::lab::{DEADLINE, Fleet, Forged, NOW, Signer, at, meet, name, node, operator};
use crate::chain::LeafError;
use crate::tls::Refusal;
use crate::{ClientTls, IssuedBy, MaterialError, PeerComplaint, RevocationList, Role, Scope, ServerTls};

#[tokio::test]
async fn coordinator_and_node_see_each_other() {
    let fleet = Fleet::new();
    let (server, client) = (fleet.server(&node("prox1")), fleet.client(&Role::Coordinator));
    let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
    let (coordinator, agent) = (accepted.unwrap(), connected.unwrap());
    assert_eq!(
        (coordinator.role, coordinator.issued_by),
        (Role::Coordinator, IssuedBy::Root)
    );
    assert_eq!((agent.role, agent.issued_by), (node("prox1"), IssuedBy::Issuing));
    let certificate = server.material().identity.unwrap().certificate().clone();
    assert_eq!(
        (agent.fingerprint, &agent.serial, agent.not_after),
        (certificate.fingerprint(), certificate.serial(), certificate.not_after())
    );
}

#[tokio::test]
async fn operator_and_viewer_reach_the_coordinator() {
    let fleet = Fleet::new();
    let server = fleet.server(&Role::Coordinator);
    for role in [
        operator(),
        Role::Viewer {
            name: name("tv"),
            scope: Scope::Fleet,
        },
    ] {
        let (accepted, connected) = meet(&server, &fleet.client(&role), &Role::Coordinator).await;
        assert_eq!(accepted.unwrap().role, role);
        assert_eq!(connected.unwrap().role, Role::Coordinator);
    }
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let fleet = Fleet::new();
    let mut material = fleet.material(&Role::Coordinator);
    material.identity = None;
    let client = ClientTls::new(material, at(NOW)).unwrap();
    let (accepted, connected) = meet(&fleet.server(&node("prox1")), &client, &node("prox1")).await;
    assert!(matches!(accepted, Err(Refusal::NoCertificate)), "{accepted:?}");
    assert!(
        matches!(connected, Err(Refusal::ByPeer(PeerComplaint::NoCertificate))),
        "{connected:?}"
    );
}

#[tokio::test]
async fn a_nodes_certificate_commands_nobody() {
    let fleet = Fleet::new();
    let stolen = fleet.identity(&node("prox1"));
    assert!(matches!(
        ClientTls::new(fleet.material_of(stolen.clone()), at(NOW)),
        Err(MaterialError::WrongSide { .. })
    ));
    let refused = Forged::of(&stolen, fleet.roots())
        .dials(&fleet.server(&node("prox2")), &node("prox2"))
        .await;
    assert!(matches!(refused, Err(Refusal::WrongPurpose)), "{refused:?}");
    let refused = Forged::of(&stolen, fleet.roots())
        .dials(&fleet.server(&Role::Coordinator), &Role::Coordinator)
        .await;
    assert!(matches!(refused, Err(Refusal::WrongPurpose)), "{refused:?}");
}

#[tokio::test]
async fn an_operators_certificate_serves_nobody() {
    let fleet = Fleet::new();
    let stolen = fleet.identity(&operator());
    assert!(matches!(
        ServerTls::new(fleet.material_of(stolen.clone()), at(NOW)),
        Err(MaterialError::WrongSide { .. })
    ));
    let refused = Forged::of(&stolen, fleet.roots())
        .answers(&fleet.client(&Role::Coordinator), &node("prox1"))
        .await;
    assert!(
        matches!(refused, Err(Refusal::WrongPurpose | Refusal::WrongName { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_command_certificate_from_the_issuing_ca_counts_for_nothing() {
    let fleet = Fleet::new();
    let server = fleet.server(&node("prox1"));
    for role in [
        operator(),
        Role::Viewer {
            name: name("tv"),
            scope: Scope::Fleet,
        },
    ] {
        let refused = fleet
            .forge(&role, Signer::Issuing, |_| ())
            .dials(&server, &node("prox1"))
            .await;
        assert!(
            matches!(&refused, Err(Refusal::RoleFromWrongCa { role: claimed, issued_by: IssuedBy::Issuing }) if *claimed == role),
            "{refused:?}"
        );
    }
    // With the coordinator's DNS name, the issuing CA's name constraint stops it inside TLS …
    let forged = fleet.forge(&Role::Coordinator, Signer::Issuing, |_| ());
    let refused = forged.dials(&server, &node("prox1")).await;
    assert!(matches!(refused, Err(Refusal::BadCertificate { .. })), "{refused:?}");
    let refused = forged.answers(&fleet.client(&operator()), &Role::Coordinator).await;
    assert!(matches!(refused, Err(Refusal::BadCertificate { .. })), "{refused:?}");
    // … and without it, or with a node's, the role's origin does.
    let nameless = fleet.forge(&Role::Coordinator, Signer::Issuing, |params| {
        params.subject_alt_names.retain(|name| matches!(name, SanType::URI(_)));
    });
    let refused = nameless.dials(&server, &node("prox1")).await;
    assert!(
        matches!(
            refused,
            Err(Refusal::RoleFromWrongCa {
                role: Role::Coordinator,
                ..
            })
        ),
        "{refused:?}"
    );
    let disguised = fleet.forge(&Role::Coordinator, Signer::Issuing, |params| {
        let dns = node("prox1").dns_name(fleet.root.fleet()).unwrap();
        params.subject_alt_names.retain(|name| matches!(name, SanType::URI(_)));
        params.subject_alt_names.push(SanType::DnsName(dns.try_into().unwrap()));
    });
    let refused = disguised
        .answers(&fleet.client(&Role::Coordinator), &node("prox1"))
        .await;
    assert!(
        matches!(
            refused,
            Err(Refusal::RoleFromWrongCa {
                role: Role::Coordinator,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_chain_cannot_be_dressed_up_with_the_root() {
    // The issuing CA's signature stays its signature, whatever is sent along.
    let fleet = Fleet::new();
    let mut forged = fleet.forge(&operator(), Signer::Issuing, |_| ());
    forged.chain.push(fleet.root.certificate().clone());
    let refused = forged.dials(&fleet.server(&node("prox1")), &node("prox1")).await;
    assert!(matches!(refused, Err(Refusal::RoleFromWrongCa { .. })), "{refused:?}");

    let mut honest = Forged::of(&fleet.identity(&operator()), fleet.roots());
    honest.chain.push(fleet.issuing.certificate().clone());
    let accepted = honest.dials(&fleet.server(&node("prox1")), &node("prox1")).await;
    assert_eq!(accepted.unwrap().issued_by, IssuedBy::Root);
}

#[tokio::test]
async fn the_root_does_not_make_nodes() {
    let fleet = Fleet::new();
    let forged = fleet.forge(&node("prox1"), Signer::Root, |_| ());
    let refused = forged.answers(&fleet.client(&Role::Coordinator), &node("prox1")).await;
    assert!(
        matches!(
            refused,
            Err(Refusal::RoleFromWrongCa {
                issued_by: IssuedBy::Root,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_issuing_ca_makes_no_further_ca() {
    let fleet = Fleet::new();
    let forged = fleet.forge(&node("prox1"), Signer::Issuing, |params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.subject_alt_names = vec![SanType::URI("quorate://home/issuing".try_into().unwrap())];
    });
    let below = Fleet {
        root: fleet.root.clone(),
        issuing: crate::IssuingCa::from_parts(forged.chain[0].clone(), forged.key.clone()).unwrap(),
    };
    let mut chain = below.forge(&node("prox1"), Signer::Issuing, |_| ());
    chain.chain.push(fleet.issuing.certificate().clone());
    let refused = chain.answers(&fleet.client(&Role::Coordinator), &node("prox1")).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("PathLen"), "{reason}");
    // If TLS ever let it through, it would still come from no CA of ours.
    let ders: Vec<_> = chain.chain.iter().map(crate::Certificate::to_tls).collect();
    let refused = crate::chain::examine(&ders, &fleet.roots(), &RevocationList::default());
    assert!(matches!(refused, Err(Refusal::UnknownIssuer)), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_needs_exactly_one_known_role_of_this_fleet() {
    let fleet = Fleet::new();
    let server = fleet.server(&node("prox1"));
    let with_uris = |uris: &[&'static str]| {
        let names = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()))
            .collect();
        let forged = fleet.forge(&operator(), Signer::Root, |params| params.subject_alt_names = names);
        let server = server.clone();
        async move { forged.dials(&server, &node("prox1")).await.unwrap_err() }
    };
    let refused = with_uris(&["https://example.org/"]).await;
    assert!(matches!(refused, Refusal::NoRole(LeafError::NoRole)), "{refused:?}");
    let refused = with_uris(&["quorate://home/emperor"]).await;
    assert!(
        matches!(refused, Refusal::NoRole(LeafError::UnknownRole(_))),
        "{refused:?}"
    );
    let refused = with_uris(&["quorate://home/viewer/tv", "quorate://home/operator/anna"]).await;
    assert!(
        matches!(refused, Refusal::NoRole(LeafError::SeveralRoles { .. })),
        "{refused:?}"
    );
    let refused = with_uris(&["quorate://home/viewer/tv", "QUORATE://home/operator/anna"]).await;
    assert!(
        matches!(refused, Refusal::NoRole(LeafError::SeveralRoles { .. })),
        "{refused:?}"
    );
    let refused = with_uris(&["quorate://home/root"]).await;
    assert!(matches!(refused, Refusal::NoRole(LeafError::Ca { .. })), "{refused:?}");
    let refused = with_uris(&["quorate://away/operator/anna"]).await;
    assert!(
        matches!(&refused, Refusal::WrongFleet { found, .. } if *found == name("away")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn another_server_than_the_one_dialled_is_refused() {
    let fleet = Fleet::new();
    let client = fleet.client(&Role::Coordinator);
    let (_, connected) = meet(&fleet.server(&node("prox1")), &client, &node("prox2")).await;
    let refusal = connected.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "expected prox2.hk1.node.home.quorate.internal, but the peer is prox1.hk1.node.home.quorate.internal"
    );
    assert!(refusal.hint().contains("set-address"));

    // The right DNS name does not help if the role is another one.
    let forged = fleet.forge(&node("prox1"), Signer::Issuing, |params| {
        let dns = node("prox2").dns_name(fleet.root.fleet()).unwrap();
        params.subject_alt_names.push(SanType::DnsName(dns.try_into().unwrap()));
    });
    let refused = forged.answers(&client, &node("prox2")).await;
    assert!(matches!(refused, Err(Refusal::WrongRole { .. })), "{refused:?}");
    // Nobody dials an operator.
    let (near, _far) = tokio::io::duplex(64);
    let refused = client.connect_over(near, &operator(), DEADLINE).await.map(drop);
    assert!(matches!(refused, Err(Refusal::NotAServer { .. })), "{refused:?}");
}

#[tokio::test]
async fn revoked_certificates_are_refused_on_both_sides() {
    let fleet = Fleet::new();
    let (server, client) = (fleet.server(&node("prox1")), fleet.client(&operator()));
    let (accepted, _) = meet(&server, &client, &node("prox1")).await;
    let anna = accepted.unwrap();
    assert!(!server.is_revoked(&anna));

    let mut material = server.material();
    material.revocations.revoke(anna.serial.clone(), anna.fingerprint, NOW);
    server.replace(material).unwrap();
    assert!(server.is_revoked(&anna), "running connections can be found");
    let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
    assert!(
        matches!(accepted, Err(Refusal::Revoked { since: NOW, .. })),
        "{accepted:?}"
    );
    assert!(matches!(connected, Err(Refusal::ClosedAfterHandshake)), "{connected:?}");

    let client = fleet.client(&Role::Coordinator);
    for revoked in [
        server.material().identity.unwrap().certificate(),
        fleet.issuing.certificate(),
    ] {
        let mut material = fleet.material(&Role::Coordinator);
        material.revocations = RevocationList::default();
        material.revocations.revoke_certificate(revoked, NOW);
        let client = ClientTls::new(material, at(NOW)).unwrap();
        let (_, connected) = meet(&server, &client, &node("prox1")).await;
        assert!(matches!(connected, Err(Refusal::Revoked { .. })), "{connected:?}");
    }
    let (_, connected) = meet(&server, &client, &node("prox1")).await;
    assert!(connected.is_ok(), "another certificate still counts: {connected:?}");
}

#[test]
fn purposes_are_as_narrow_as_the_role() {
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    for (role, purposes) in [
        (node("prox1"), vec![ServerAuth]),
        (operator(), vec![ClientAuth]),
        (Role::Coordinator, vec![ServerAuth, ClientAuth]),
    ] {
        let params = crate::issue::leaf(&name("home"), &role, NOW, NOW + 1).unwrap();
        assert_eq!(params.extended_key_usages, purposes, "{role}");
    }
}
