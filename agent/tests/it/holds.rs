//! A cluster that is frozen: its agents keep to it by themselves, whatever a coordinator asks for.

use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_model::operation::Outcome;
use quorate_proto::status::to_failure;
use quorate_proto::v1;

use crate::agent::{Client, RunningAgent, create, driver, outcome};
use crate::fleet::Fleet;
use crate::server::{TestServer, cat};

async fn hold(client: &mut Client, generation: u64, frozen: bool) -> Result<(), tonic::Status> {
    let frozen = frozen.then(|| v1::Frozen {
        by: "anna".to_owned(),
        since: Some(v1::Time::default()),
        reason: "audit".to_owned(),
    });
    let request = v1::HoldRequest {
        driver: Some(driver(generation, "a").into()),
        hold: Some(v1::Hold {
            frozen,
            windows: vec![],
        }),
    };
    client.0.hold(request).await.map(drop)
}

#[tokio::test]
async fn a_frozen_agent_begins_nothing_that_disturbs_also_after_a_restart() {
    let fleet = Fleet::new();
    let server = TestServer::new(&fleet, "prox1");
    server.pvecm(&format!(
        "{}; {}",
        cat("pvecm/pve-8.4/create-success.out"),
        server.be_sole_member()
    ));
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    hold(&mut client, 1, true).await.unwrap();
    agent.kill().await;

    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let failure = to_failure(&client.execute(&create("op-1")).await.err().unwrap());
    assert_eq!(
        (failure.exit, failure.findings[0].code),
        (ExitCode::Refused, Code::ClusterFrozen)
    );
    let request = v1::LedgerRequest::default();
    let ledger = client.0.ledger(request).await.unwrap().into_inner();
    assert!(ledger.entries.is_empty() && server.calls().is_empty());
    let told = ledger.hold.and_then(|hold| hold.frozen).unwrap();
    assert_eq!((told.by.as_str(), told.reason.as_str()), ("anna", "audit"));

    // Nobody but the driver lets it go.
    assert!(hold(&mut client, 0, false).await.is_err());
    assert!(client.execute(&create("op-1")).await.is_err());
    hold(&mut client, 1, false).await.unwrap();
    let events = client.execute(&create("op-1")).await.unwrap().all().await;
    assert!(matches!(outcome(&events), Outcome::Done { .. }), "{events:?}");
}
