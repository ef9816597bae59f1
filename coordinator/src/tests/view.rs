//! A fresh look: it asks for some parts, and silences nothing about the others.

use quorate_model::Facet;
use quorate_model::observation::disks::{Disks, Smart};
use quorate_planner::testkit::disk;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_look_tells_of_what_it_did_not_ask_for_as_it_was_seen_last() {
    let fixture = Fixture::new();
    let daemon = fixture.start().await;
    let mut client = fixture.client().await;
    let all = enrolled(&mut client, 1).await;
    let mut fails = disk("/dev/sdb", "1b");
    let smart = Smart {
        passed: Some(false),
        wear_percent: None,
        temperature: None,
        power_on_hours: None,
        bad_sectors: None,
    };
    fails.smart = Facet::known(smart, quorate_model::Timestamp(1));
    {
        let mut world = all[0].state.world.lock().unwrap();
        let disks = Disks { disks: vec![fails] };
        *world = world.clone().with("prox1", |seen| {
            seen.disks = Facet::known(disks, quorate_model::Timestamp(1));
        });
    }
    let system = v1::FacetName::System as i32;
    let look = |fresh| v1::GetViewRequest {
        facets: vec![system],
        fresh,
        ..v1::GetViewRequest::default()
    };
    let failing = |reply: &v1::GetViewReply| {
        let mut findings = reply.findings.iter();
        findings.any(|finding| finding.code == quorate_model::Code::DiskFailing.as_str())
    };
    until("it is known that the disk fails", || {
        let mut client = client.clone();
        async move { failing(&of(client.get_view(look(false)).await).unwrap()) }
    })
    .await;
    let fresh = of(client.get_view(look(true)).await).unwrap();
    assert!(failing(&fresh), "{:?}", fresh.findings);
    daemon.stop().await;
}
