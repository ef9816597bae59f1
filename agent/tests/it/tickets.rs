//! Tickets for others to join through this node.

use quorate_model::Code;
use quorate_model::failure::ExitCode;
use quorate_proto::status::to_failure;
use quorate_proto::v1;

use crate::agent::{Client, RunningAgent, SECRET, driver};
use crate::fleet::Fleet;
use crate::server::{FINGERPRINT, TestServer, cat, fixture};

const PVE_SSL: &str = "etc/pve/nodes/prox1/pve-ssl.pem";

fn request() -> v1::JoinTicketRequest {
    v1::JoinTicketRequest {
        driver: Some(driver(1, "a").into()),
        joiner: "prox2".into(),
    }
}

fn member(fleet: &Fleet) -> TestServer {
    let server = TestServer::new(fleet, "prox1");
    let text = |path: &str| std::fs::read_to_string(fixture(path)).unwrap();
    server.put("etc/pve/.members", &text("pmxcfs/pve-8.4/members-one-node.json"));
    server.put("etc/pve/corosync.conf", &text("corosync.conf/pve-8.4/one-node.conf"));
    server.put("etc/pve/authkey.pub", "key");
    server.put(PVE_SSL, &text("openssl/3.0/node.pem"));
    server.tool("perl", &format!("echo $# > \"$D/perl.args\"; printf '%s' '{SECRET}'"));
    server
}

async fn refused(client: &mut Client) -> Code {
    let failure = to_failure(&client.0.join_ticket(request()).await.unwrap_err());
    assert_eq!(failure.exit, ExitCode::Refused, "{failure:?}");
    failure.findings[0].code
}

#[tokio::test]
async fn a_member_makes_a_ticket_with_all_that_a_joiner_needs() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let ticket = client.0.join_ticket(request()).await.unwrap().into_inner();
    let secret = ticket.secret.unwrap();
    assert_eq!(
        (secret.password.as_str(), secret.fingerprint.as_str()),
        (SECRET, FINGERPRINT)
    );
    assert_eq!(
        (ticket.member_address.as_str(), ticket.cluster.as_str()),
        ("10.77.0.1", "lab1")
    );
    assert_eq!(ticket.links, [0]);

    // Only who drives gets one.
    let mut old = request();
    old.driver = Some(driver(0, "old").into());
    let failure = to_failure(&client.0.join_ticket(old).await.unwrap_err());
    assert_eq!(failure.findings[0].code, Code::DriverSuperseded);

    // It is nowhere in the agent's log.
    agent.terminate().await;
    for entry in std::fs::read_dir(server.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert!(
                !std::fs::read_to_string(&path).unwrap().contains(SECRET),
                "{}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn where_nothing_may_be_changed_nobody_gets_one() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    server.configure("allow_changes = false", 1.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert_eq!(refused(&mut client).await, Code::PolicyForbids);
    assert!(!server.dir.path().join("perl.args").exists(), "a ticket was made");
}

#[tokio::test]
async fn nobody_joins_through_a_node_that_is_in_no_quorate_cluster() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    let members = std::fs::read_to_string(fixture("pmxcfs/pve-8.4/members-not-quorate.json")).unwrap();
    server.put("etc/pve/.members", &members);
    assert_eq!(refused(&mut client).await, Code::ClusterNotQuorate);
    server.put("etc/pve/.members", "{\"nodename\": \"prox1\", \"version\": 0}");
    std::fs::remove_file(server.root().join("etc/pve/corosync.conf")).unwrap();
    assert_eq!(refused(&mut client).await, Code::ClusterNotQuorate);
    assert!(!server.path("perl.args").exists(), "no ticket is made");
}

#[tokio::test]
async fn a_clock_that_is_behind_the_clusters_key_makes_no_ticket() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    server.configure_clock("", 20.0, -3 * 3_600_000);
    let agent = RunningAgent::start(&server).await;
    // The coordinator's certificate starts five minutes back: to the agent it is not valid yet, which is told apart.
    let refusal = fleet
        .dial(Some(fleet.coordinator.clone()), agent.address, "prox1")
        .await
        .err()
        .unwrap();
    assert!(
        refusal.to_string().contains("valid") || refusal.hint().contains("clock"),
        "{refusal} {}",
        refusal.hint()
    );
    drop(agent);

    // Within what certificates bear, the key's age still tells.
    server.configure_clock("", 20.0, -200_000);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert_eq!(refused(&mut client).await, Code::ClockSkew);
    assert!(!server.path("perl.args").exists(), "no ticket is made");
}

#[tokio::test]
async fn garbage_is_no_ticket() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    server.tool("perl", "echo Warning: something; exit 0");
    assert_eq!(refused(&mut client).await, Code::StepFailed);
    server.tool(
        "perl",
        &format!("{} >&2; printf '%s' '{SECRET}'", cat("perl/pve-8.4/key-rotated.err")),
    );
    assert_eq!(refused(&mut client).await, Code::ClockSkew);
}

#[tokio::test]
async fn the_certificate_is_the_one_that_the_api_shows() {
    let fleet = Fleet::new();
    let server = member(&fleet);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    // The administrator's own one is shown, if there is one; and none is invented.
    let own = "etc/pve/nodes/prox1/pveproxy-ssl.pem";
    server.put(own, "no certificate");
    assert_eq!(refused(&mut client).await, Code::StepFailed);
    let pve_ssl = std::fs::read_to_string(server.root().join(PVE_SSL)).unwrap();
    server.put(own, &pve_ssl);
    std::fs::remove_file(server.root().join(PVE_SSL)).unwrap();
    let ticket = client.0.join_ticket(request()).await.unwrap().into_inner();
    assert_eq!(ticket.secret.unwrap().fingerprint, FINGERPRINT);
    std::fs::remove_file(server.root().join(own)).unwrap();
    std::fs::remove_file(server.path("perl.args")).unwrap();
    assert_eq!(refused(&mut client).await, Code::StepFailed);
    assert!(!server.path("perl.args").exists(), "no ticket is made");
}
