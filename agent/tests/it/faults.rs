//! Rehearsed failures over the real protocol: who may cause one, who may end one, and that the agent ends it by itself. The kernel and systemd do nothing here:
//! `nft` is a script that forgets nothing, and there is no `systemd-run`.

use std::fs;

use quorate_model::Code;
use quorate_model::fault::{Fault, HealPhase, MetFault};
use quorate_model::operation::{Action, Operation, Outcome};
use quorate_proto::status::to_failure;
use quorate_proto::v1;

use crate::agent::{Client, RunningAgent, outcome};
use crate::fleet::Fleet;
use crate::server::{TestServer, fixture, until};

const NFT: &str = r#"
echo "$*" >> "$D/nft-calls"
table='{"table":{"family":"inet","name":"quorate_fault_op_1","handle":1}}'
case "$*" in
"-f -") cat > "$D/loaded" ;;
"-j list tables")
    if [ -e "$D/loaded" ]; then echo "{\"nftables\":[$table]}"; else echo '{"nftables":[]}'; fi ;;
"-j list table inet quorate_fault_op_1")
    echo "{\"nftables\":[$table,{\"set\":{\"name\":\"own4\",\"elem\":[1]}}]}" ;;
"delete table inet quorate_fault_op_1") rm "$D/loaded" ;;
*) echo "not known: $*" >&2; exit 1 ;;
esac
"#;

/// The only member of lab1, on which failures may be rehearsed.
fn member(fleet: &Fleet, policy: &str) -> TestServer {
    let server = TestServer::new(fleet, "prox1");
    server.configure(policy, 10.0);
    let copy = |from: &str, to: &str| server.put(to, &fs::read_to_string(fixture(from)).unwrap());
    copy("corosync.conf/pve-8.4/one-node.conf", "etc/pve/corosync.conf");
    copy("corosync.conf/pve-8.4/one-node.conf", "etc/corosync/corosync.conf");
    copy("pmxcfs/pve-8.4/members-one-node.json", "etc/pve/.members");
    for file in ["loadavg", "uptime", "meminfo", "cpuinfo"] {
        copy(&format!("proc/6.18/{file}.out"), &format!("proc/{file}"));
    }
    server.put("proc/sys/kernel/osrelease", "6.8.12-11-pve\n");
    server.put("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    server.tool("nft", NFT);
    server
}

fn cut(id: &str, seconds: u32) -> Operation {
    Operation {
        id: id.parse().unwrap(),
        action: Action::InjectFault {
            cluster: "lab1".parse().unwrap(),
            fault: Fault::ClusterNetwork,
            seconds,
            boot: "5d1b2f0e-0000-4000-8000-000000000001".into(),
        },
    }
}

async fn refusal(client: &mut Client, seconds: u32) -> Code {
    let status = client.execute(&cut("op-1", seconds)).await.err().unwrap();
    to_failure(&status).findings[0].code
}

async fn holds(client: &mut Client, server: &TestServer, seconds: u32) {
    let events = client.execute(&cut("op-1", seconds)).await.unwrap().all().await;
    assert!(matches!(outcome(&events), Outcome::Done { .. }), "{events:?}");
    let script = fs::read_to_string(server.path("loaded")).unwrap();
    assert!(script.contains("10.77.0.1 . 5405 timeout"), "{script}");
}

async fn heal(client: &mut Client, fault: &str, only_look: bool) -> Vec<MetFault> {
    let request = v1::HealRequest {
        fault: fault.to_owned(),
        only_look,
    };
    let reply = client.0.heal(request).await.unwrap().into_inner();
    reply.met.into_iter().map(|met| met.try_into().unwrap()).collect()
}

#[tokio::test]
async fn a_node_decides_whether_failures_are_rehearsed_on_it_and_for_how_long() {
    let fleet = Fleet::new();
    let server = member(&fleet, "");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert_eq!(refusal(&mut client, 20).await, Code::PolicyForbids);
    agent.kill().await;

    server.configure("allow_faults = true\nmax_fault = \"200s\"", 10.0);
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert_eq!(refusal(&mut client, 300).await, Code::PolicyForbids);
    assert_eq!(refusal(&mut client, 60).await, Code::FaultRefused);
    assert!(!server.path("loaded").exists());
}

#[tokio::test]
async fn whoever_drives_may_heal_and_is_told_what_was_met() {
    let fleet = Fleet::new();
    let server = member(&fleet, "allow_faults = true");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    assert!(heal(&mut client, "", false).await.is_empty());
    holds(&mut client, &server, 300).await;
    let looked = heal(&mut client, "", true).await;
    assert_eq!((looked.len(), looked[0].phase), (1, HealPhase::Holds), "{looked:?}");
    // No driver is asked for: a coordinator that lost its generation heals as well.
    let met = heal(&mut client, "op-1", false).await;
    assert_eq!(
        (met[0].phase, &met[0].fault),
        (HealPhase::Undone, &Some(Fault::ClusterNetwork)),
        "{met:?}"
    );
    assert!(!server.path("loaded").exists());
    assert_eq!(heal(&mut client, "op-1", false).await[0].phase, HealPhase::NothingThere);
    assert!(
        client
            .0
            .heal(v1::HealRequest {
                fault: "../x".into(),
                only_look: false
            })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_agent_ends_it_in_time_and_takes_away_what_nobody_noted() {
    let fleet = Fleet::new();
    let server = member(&fleet, "allow_faults = true");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    holds(&mut client, &server, 20).await;
    until("the agent to end it", || {
        (!server.path("loaded").exists()).then_some(())
    })
    .await;
    agent.kill().await;

    // Left by one that nobody noted.
    server.touch("loaded");
    let _agent = RunningAgent::start(&server).await;
    until("what was left to go", || {
        (!server.path("loaded").exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_was_killed_meanwhile_ends_it_after_its_restart() {
    let fleet = Fleet::new();
    let server = member(&fleet, "allow_faults = true");
    let agent = RunningAgent::start(&server).await;
    let mut client = agent.dial(&fleet, &server).await;
    holds(&mut client, &server, 20).await;
    agent.kill().await;
    assert!(server.path("loaded").exists());
    let _agent = RunningAgent::start(&server).await;
    until("the agent to end it", || {
        (!server.path("loaded").exists()).then_some(())
    })
    .await;
}
