//! From an invitation to a linked node, and everything that is turned away on the way.

use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_proto::v1;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_node_enrols_is_linked_and_seen() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 1).await;

    let listed = nodes(&mut client).await.remove(0);
    assert_eq!(
        (listed.state(), listed.agent_version.as_str()),
        (v1::node::State::Enrolled, "0.1.0")
    );
    assert!(!listed.certificate_fingerprint.is_empty() && listed.certificate_not_after.is_some());
    let request = v1::GetViewRequest {
        facets: vec![v1::FacetName::Cluster.into()],
        ..Default::default()
    };
    // A link is up with the first word of the health stream; the first look at everything, clocks included, goes on beside it.
    until("the first look is over", || {
        let (mut client, request) = (client.clone(), request.clone());
        async move {
            let view = of(client.get_view(request).await).unwrap();
            view.nodes.first().is_some_and(|node| node.clock_offset.is_some())
        }
    })
    .await;
    for fresh in [false, true] {
        let view = of(client
            .get_view(v1::GetViewRequest {
                fresh,
                ..request.clone()
            })
            .await)
        .unwrap();
        let seen = quorate_proto::Sighting::try_from(view.nodes[0].clone()).unwrap();
        let observation = seen.view.observation.unwrap();
        assert_eq!(observation.hostname, all[0].name.as_str());
        assert!(observation.cluster.is_known());
        assert!(!observation.network.is_known(), "only what was asked for is sent");
        let offset = seen.view.clock_offset.unwrap();
        assert!(
            offset.micros.unsigned_abs() <= offset.error_micros + 1000,
            "one clock, compared with itself: {offset:?}"
        );
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_claim_on_a_token_freezes_the_node_and_is_told() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let mut node = FakeNode::new("prox1", &world(1)).await;
    let invited = invite(&mut client, &node).await.unwrap();
    node.enrol(&invited.enrol_at, &invited.token, "prox1").await.unwrap();
    linked(&mut client, 1).await;

    let refused = node
        .enrol(&invited.enrol_at, &invited.token, "prox1")
        .await
        .unwrap_err();
    assert_eq!(
        (refused.exit, refused.findings[0].code),
        (ExitCode::Denied, Code::TokenUsed)
    );
    let listed = nodes(&mut client).await.remove(0);
    assert_eq!(listed.state(), v1::node::State::Frozen);
    assert_eq!(listed.connection, None, "nothing is done with it any more");
    let info = of(client.info(v1::InfoRequest {}).await).unwrap();
    assert!(
        info.findings
            .iter()
            .any(|finding| finding.code == Code::TokenUsed.as_str()),
        "{:?}",
        info.findings
    );

    assert!(
        invite(&mut client, &node)
            .await
            .unwrap_err()
            .to_string()
            .contains("frozen")
    );
    let request = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox1".to_owned(),
        even_if_member: false,
    };
    of(client.remove_node(request).await).unwrap();
    invite(&mut client, &node).await.unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_its_name_and_dies_with_its_invitation() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let mut node = FakeNode::new("prox1", &world(1)).await;
    let first = invite(&mut client, &node).await.unwrap();
    let code = |failure: Failure| failure.findings[0].code;

    let wrong_name = node
        .enrol(&first.enrol_at, &first.token, "prox9")
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(code(wrong_name), Code::TokenWrongName);
    let second = invite(&mut client, &node).await.unwrap();
    let withdrawn = node
        .enrol(&second.enrol_at, &first.token, "prox1")
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(code(withdrawn), Code::TokenUnknown);
    node.enrol(&second.enrol_at, &second.token, "prox1").await.unwrap();

    let elsewhere = v1::InviteNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox2".to_owned(),
        address: "192.0.2.2".to_owned(),
        valid_seconds: 60,
    };
    let invited = of(client.invite_node(elsewhere).await).unwrap();
    let failure = fake_node::enrol(&invited.enrol_at, &invited.token, "prox2")
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(code(failure), Code::TokenWrongAddress);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_is_open_only_while_somebody_is_expected() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let node = FakeNode::new("prox1", &world(1)).await;
    let invited = invite(&mut client, &node).await.unwrap();
    let at: std::net::SocketAddr = invited.enrol_at.parse().unwrap();
    drop(tokio::net::TcpStream::connect(at).await.unwrap());
    let request = v1::RemoveNodeRequest {
        cluster: "hk1".to_owned(),
        node: "prox1".to_owned(),
        even_if_member: false,
    };
    of(client.remove_node(request).await).unwrap();
    until("the door closes", || async {
        tokio::net::TcpStream::connect(at).await.is_err()
    })
    .await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_goes_away_is_lost_not_forgotten_and_found_again() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let mut all = enrolled(&mut client, 1).await;
    all[0].fall();
    let view = || {
        let mut client = client.clone();
        async move { of(client.get_view(v1::GetViewRequest::default()).await).unwrap() }
    };
    let lost = Code::NodeUnreachable.as_str();
    until("the loss is noticed", || async {
        view().await.findings.iter().any(|finding| finding.code == lost)
    })
    .await;
    let seen = quorate_proto::Sighting::try_from(view().await.nodes.remove(0)).unwrap();
    assert!(seen.view.observation.is_ok(), "what was seen stays, and its age shows");
    let connection = seen.connection.unwrap();
    assert_eq!(connection.state, quorate_proto::ConnectionState::Lost);
    assert!(!connection.reason.is_empty());
    let fresh = of(client
        .get_view(v1::GetViewRequest {
            fresh: true,
            ..Default::default()
        })
        .await)
    .unwrap();
    let seen = quorate_proto::Sighting::try_from(fresh.nodes[0].clone()).unwrap();
    let unknown = seen.view.observation.unwrap_err();
    assert_eq!(unknown.kind, quorate_model::UnknownKind::Unreachable, "{unknown}");

    all[0].rise().await;
    linked(&mut client, 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_enrolled_is_there_after_a_restart() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let _all = enrolled(&mut client, 2).await;
    let before = of(client.info(v1::InfoRequest {}).await).unwrap();
    daemon.stop().await;

    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    linked(&mut client, 2).await;
    let after = of(client.info(v1::InfoRequest {}).await).unwrap();
    assert_eq!((after.generation, after.fleet), (before.generation + 1, before.fleet));
    assert_ne!(after.instance, before.instance);
    daemon.stop().await;
}
