//! Who gets in, and how the agent's own certificate is exchanged.

use quorate_identity::{Identity, NodeStore, Role, Scope, make_key_and_csr};
use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_proto::authz::METHODS;
use quorate_proto::status::to_failure;
use quorate_proto::v1;
use tonic::Status;

use crate::agent::RunningAgent;
use crate::fleet::{Fleet, key_of, name, node_role, now};
use crate::server::TestServer;

/// Calls a method by its path, with an empty request.
async fn call(channel: &tonic::transport::Channel, path: &'static str) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<v1::RenewalRequestRequest, v1::RevokeReply>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    grpc.unary(tonic::Request::new(v1::RenewalRequestRequest {}), path, codec)
        .await
        .map(drop)
}

#[tokio::test]
async fn what_is_not_allowed_is_denied() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    let agent = RunningAgent::start(&server).await;

    for role in [
        Role::Operator {
            name: name("anna"),
            scope: Scope::Fleet,
        },
        Role::Viewer {
            name: name("tv"),
            scope: Scope::Fleet,
        },
    ] {
        let identity = fleet.root.issue(&role, now()).unwrap();
        let channel = fleet.channel(Some(identity), agent.address, "prox1").await.unwrap();
        for rule in METHODS {
            let failure = to_failure(&call(&channel, rule.path).await.unwrap_err());
            let codes: Vec<_> = failure.findings.iter().map(|finding| finding.code).collect();
            assert_eq!(
                (failure.exit, codes),
                (ExitCode::Denied, vec![Code::RoleNotAllowed]),
                "{} {failure:?}",
                rule.path
            );
        }
    }

    // Even the coordinator is denied what the agent does not serve, and what nobody knows.
    let channel = fleet
        .channel(Some(fleet.coordinator.clone()), agent.address, "prox1")
        .await
        .unwrap();
    for path in [
        "/quorate.v1.Coordinator/Apply",
        "/quorate.v1.Agent/Format",
        "/grpc.health.v1.Health/Check",
    ] {
        let failure = to_failure(&call(&channel, path).await.unwrap_err());
        let codes: Vec<_> = failure.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(
            (failure.exit, codes),
            (ExitCode::Denied, vec![Code::RoleNotAllowed]),
            "{path} {failure:?}"
        );
    }
    call(&channel, "/quorate.v1.Agent/Revoke").await.unwrap();

    // Without a certificate, or with one of another fleet, nobody gets as far as a call.
    assert!(fleet.dial(None, agent.address, "prox1").await.is_err());
    let stranger = Fleet::new();
    let imposter = Identity::new(
        stranger.coordinator.chain().cloned().collect(),
        stranger.coordinator.key().clone(),
    );
    let material = stranger.material(imposter.ok());
    let tls = quorate_identity::ClientTls::new(material, crate::fleet::time()).unwrap();
    assert!(
        tls.connect(agent.address, &node_role("prox1"), crate::fleet::AMPLE)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_revoked_coordinator_is_out_and_older_lists_do_not_let_it_in_again() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    let agent = RunningAgent::start(&server).await;
    let stolen = fleet.root.issue(&Role::Coordinator, now()).unwrap();
    let mut thief = fleet.dial(Some(stolen.clone()), agent.address, "prox1").await.unwrap();
    let mut client = agent.dial(&fleet, &server).await.0;
    thief.ledger(v1::LedgerRequest::default()).await.unwrap();

    let fingerprint = stolen.certificate().fingerprint().to_string();
    let list = |generation, fingerprints: &[&String]| v1::RevokeRequest {
        generation,
        fingerprints: fingerprints.iter().map(|f| (*f).clone()).collect(),
    };
    client.revoke(list(2, &[&fingerprint])).await.unwrap();
    client.revoke(list(2, &[&fingerprint])).await.unwrap();
    // Nobody says why: its connection has ended, with whatever went over it.
    let failure = to_failure(&thief.ledger(v1::LedgerRequest::default()).await.unwrap_err());
    assert_eq!(failure.exit, ExitCode::Unreachable, "{failure:?}");
    for older in [list(1, &[]), list(2, &[])] {
        assert_eq!(
            to_failure(&client.revoke(older).await.unwrap_err()).exit,
            ExitCode::Usage
        );
    }

    // Also after a restart, and then before the first call.
    drop(client);
    agent.kill().await;
    let agent = RunningAgent::start(&server).await;
    assert!(fleet.dial(Some(stolen), agent.address, "prox1").await.is_err());
    agent.dial(&fleet, &server).await;
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await.0;
    let install = |chain: Vec<quorate_identity::Certificate>| v1::InstallCertificateRequest {
        chain_der: chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        roots_der: vec![],
    };
    let load = || NodeStore::new(&server.state()).load().unwrap().unwrap().1;
    let old = load().certificate().fingerprint();

    // Not asked for; for another key; for another node.
    let (_, csr) = make_key_and_csr().unwrap();
    let foreign = fleet.issuing.sign(&node_role("prox1"), &key_of(&csr), now()).unwrap();
    assert!(client.install_certificate(install(foreign.clone())).await.is_err());
    let csr = client
        .renewal_request(v1::RenewalRequestRequest {})
        .await
        .unwrap()
        .into_inner()
        .csr_der;
    assert!(client.install_certificate(install(foreign)).await.is_err());
    let other = fleet.issuing.sign(&node_role("prox2"), &key_of(&csr), now()).unwrap();
    assert!(client.install_certificate(install(other)).await.is_err());
    assert_eq!(
        load().certificate().fingerprint(),
        old,
        "a refused certificate leaves no trace"
    );

    let chain = fleet.issuing.sign(&node_role("prox1"), &key_of(&csr), now()).unwrap();
    let new = chain[0].fingerprint();
    client.install_certificate(install(chain)).await.unwrap();
    let tls = quorate_identity::ClientTls::new(fleet.material(Some(fleet.coordinator.clone())), crate::fleet::time());
    let (_, peer) = tls
        .unwrap()
        .connect(agent.address, &node_role("prox1"), crate::fleet::AMPLE)
        .await
        .unwrap();
    assert_eq!(peer.fingerprint, new);
    assert_eq!(load().certificate().fingerprint(), new);
    client.ledger(v1::LedgerRequest::default()).await.unwrap();
}

#[tokio::test]
async fn health_comes_by_itself() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await.0;
    let mut health = client
        .watch_health(v1::WatchHealthRequest { interval_ms: 100 })
        .await
        .unwrap()
        .into_inner();
    for _ in 0..3 {
        let observation = health.message().await.unwrap().unwrap();
        assert_eq!(observation.hostname, "prox1");
    }
}
