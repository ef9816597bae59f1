//! Certificates out of date, and clocks that disagree.

use super::lab::{Fleet, NOW, at, meet, node};
use crate::tls::Refusal;
use crate::{ClientTls, PeerComplaint, Role, ServerTls};

#[tokio::test]
async fn expired_by_one_second_is_expired() {
    let fleet = Fleet::new();
    let coordinator = fleet.material(&Role::Coordinator);
    let end = coordinator.identity.as_ref().unwrap().certificate().not_after();
    let client = ClientTls::new(coordinator, at(NOW)).unwrap();

    let server = ServerTls::new(fleet.material(&node("prox1")), at(end)).unwrap();
    let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
    assert!(
        accepted.is_ok() && connected.is_ok(),
        "the last second still counts: {accepted:?} {connected:?}"
    );

    let server = ServerTls::new(fleet.material(&node("prox1")), at(end + 1)).unwrap();
    let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
    let refusal = accepted.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the peer's certificate expired 1 s ago, by this host's clock"
    );
    assert!(refusal.hint().contains("date -u"), "{}", refusal.hint());
    let told = connected.unwrap_err();
    assert!(
        matches!(
            told,
            Refusal::ByPeer(PeerComplaint::NotValidNow {
                valid_by_our_clock: true
            })
        ),
        "{told:?}"
    );
    assert!(told.hint().contains("clocks differ"), "{}", told.hint());
}

#[tokio::test]
async fn a_server_that_expired_is_refused_by_the_client() {
    let fleet = Fleet::new();
    let server = fleet.server(&node("prox1"));
    let end = server.material().identity.unwrap().certificate().not_after();
    for (now, accepted) in [(end, true), (end + 1, false)] {
        let client = ClientTls::new(fleet.material(&Role::Coordinator), at(now)).unwrap();
        let (told, connected) = meet(&server, &client, &node("prox1")).await;
        assert_eq!(connected.is_ok(), accepted, "{connected:?}");
        if !accepted {
            assert!(matches!(connected, Err(Refusal::Expired { not_after, now }) if now == not_after + 1));
            assert!(
                matches!(told, Err(Refusal::ByPeer(PeerComplaint::NotValidNow { .. }))),
                "{told:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_clock_minutes_behind_is_borne_and_one_more_than_an_hour_behind_is_named() {
    let fleet = Fleet::new();
    let client = fleet.client(&Role::Coordinator);
    for behind in [300, 301, 600, 3600] {
        let server = ServerTls::new(fleet.material(&node("prox1")), at(NOW - behind)).unwrap();
        let (accepted, _) = meet(&server, &client, &node("prox1")).await;
        assert!(
            accepted.is_ok(),
            "certificates are back-dated: {behind} s: {accepted:?}"
        );
    }

    let server = ServerTls::new(fleet.material(&node("prox1")), at(NOW - 3600 - 7200)).unwrap();
    let (accepted, connected) = meet(&server, &client, &node("prox1")).await;
    let refusal = accepted.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the peer's certificate is not valid before 2 h from now, by this host's clock"
    );
    assert!(refusal.hint().contains("clocks differ"), "{}", refusal.hint());
    let told = connected.unwrap_err();
    assert!(told.hint().contains("clocks differ"), "{}", told.hint());
}
