//! Who may do what over which way in; and what becomes of certificates.

use quorate_identity::{ClientTls, Identity, IssuingCa, Material, Name, PrivateKey, RevocationList, Role, Scope};
use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_proto::v1;

use super::*;
use crate::client;
use crate::state_dir::StateDir;

#[tokio::test(flavor = "multi_thread")]
async fn viewers_look_operators_change() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let node = FakeNode::new("prox1", &world(1)).await;
    let mut viewer = client::connect(&fixture.remote(&daemon, "tv", true)).await.unwrap();
    of(viewer.get_view(v1::GetViewRequest::default()).await).unwrap();
    let refused = invite(&mut viewer, &node).await.unwrap_err();
    assert_eq!(
        (refused.exit, refused.findings[0].code),
        (ExitCode::Denied, Code::RoleNotAllowed)
    );
    assert!(
        refused.findings[0].message.contains("viewer"),
        "{}",
        refused.findings[0].message
    );

    let mut operator = client::connect(&fixture.remote(&daemon, "anna", false)).await.unwrap();
    invite(&mut operator, &node).await.unwrap();
    daemon.stop().await;
}

/// Dials the API with an identity and makes a call that every admitted caller may make.
async fn call_with(fixture: &Fixture, at: std::net::SocketAddr, identity: Option<Identity>) -> Result<(), String> {
    let (_, roots) = fixture.identity(&Role::Coordinator);
    let material = Material {
        roots,
        identity,
        revocations: RevocationList::default(),
    };
    let time = quorate_identity::TimeSource::new(daemon::now);
    let tls = ClientTls::new(material, time).map_err(|error| error.to_string())?;
    let deadline = std::time::Duration::from_secs(20);
    tls.connect(at, &Role::Coordinator, deadline)
        .await
        .map(drop)
        .map_err(|refusal| refusal.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_or_with_a_nodes_there_is_no_way_in() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let at = daemon.api_address;
    let none = call_with(&fixture, at, None).await.unwrap_err();
    assert!(none.contains("demands a certificate"), "{none}");

    let issuing: IssuingCa = StateDir::open(&fixture.config.state_dir)
        .unwrap()
        .identity()
        .issuing_ca()
        .unwrap();
    let key = PrivateKey::generate().unwrap();
    let name = |text| Name::parse(text).unwrap();
    let role = Role::Node {
        cluster: name("hk1"),
        node: name("prox1"),
    };
    let chain = issuing.sign(&role, &key.public_key().unwrap(), daemon::now()).unwrap();
    let node = call_with(&fixture, at, Some(Identity::new(chain, key).unwrap()))
        .await
        .unwrap_err();
    assert!(node.contains("does not open connections"), "{node}");
    let (operator, _) = fixture.identity(&Role::Operator {
        name: name("anna"),
        scope: Scope::Fleet,
    });
    call_with(&fixture, at, Some(operator)).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_revoked_here_and_everywhere() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 2).await;
    let fingerprint = nodes(&mut client).await[0].certificate_fingerprint.clone();
    let request = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox1".to_owned(),
        even_if_member: false,
    };
    of(client.remove_node(request.clone()).await).unwrap();
    assert_eq!(nodes(&mut client).await.len(), 1);
    until("the other node is told", || async {
        *all[1].state.revoked.lock().unwrap() == [fingerprint.clone()]
    })
    .await;

    let again = of(client.remove_node(request).await).unwrap_err();
    assert_eq!(again.exit, ExitCode::NotFound);
    daemon.stop().await;

    // A node that was away hears of it with its next connection.
    all[1].state.revoked.lock().unwrap().clear();
    let daemon = fixture.start().await;
    until("it is told again", || async {
        *all[1].state.revoked.lock().unwrap() == [fingerprint.clone()]
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_over_its_own_channel_and_booked_first() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 1).await;
    let issuing = StateDir::open(&fixture.config.state_dir)
        .unwrap()
        .identity()
        .issuing_ca()
        .unwrap();
    let peer = daemon.fleet.peers().remove(0);
    let roots = StateDir::open(&fixture.config.state_dir)
        .unwrap()
        .identity()
        .roots()
        .unwrap();
    crate::fleet::renewal::renew(&daemon.fleet, &peer, &issuing, roots.certificates())
        .await
        .unwrap();
    let installed = all[0].state.installed.lock().unwrap().clone();
    let leaf = quorate_identity::Certificate::from_der(&installed[0]).unwrap();
    assert_eq!(installed.len(), 2, "the leaf and the issuing CA");
    let booked = daemon.fleet.registry.node(&peer.name).unwrap().certificates;
    assert_eq!(booked.last().unwrap().fingerprint, leaf.fingerprint());
    assert_eq!(booked.len(), 2, "the old one still counts, and would be revoked too");
    daemon.stop().await;
}
