//! Requests that arrive at the same moment, over connections of their own: one of them is carried out, and its tool is started once.

use std::sync::Arc;

use quorate_model::Code;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::operation::{Action, Operation, OperationEvent, Outcome};
use quorate_proto::status::to_failure;
use quorate_proto::v1;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::agent::{Client, RunningAgent, create, outcome};
use crate::fleet::Fleet;
use crate::server::{TestServer, cat};

/// So many at once, on so many connections.
const REQUESTS: usize = 48;
const CONNECTIONS: usize = 4;

/// What became of a request: the operation's events to the end, or why it was refused.
type Answer = Result<Vec<OperationEvent>, Failure>;

async fn server(fleet: &Fleet) -> (TestServer, RunningAgent, Vec<Client>) {
    let server = TestServer::new(fleet, "prox1");
    // What the tool does not bring about is not waited for long.
    server.configure("", 100.0);
    server.pvecm(&format!(
        "wait_for go; {}; {}",
        cat("pvecm/pve-8.4/create-success.out"),
        server.be_sole_member()
    ));
    let agent = RunningAgent::start(&server).await;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(agent.dial(fleet, &server).await);
    }
    (server, agent, clients)
}

/// Sends all at the same moment. The tool may end once every request has its first answer.
async fn at_once(
    server: &TestServer,
    clients: &[Client],
    wanted: impl Fn(usize) -> Operation,
) -> Vec<(Operation, Answer)> {
    let (together, answered) = (Arc::new(Barrier::new(REQUESTS)), Arc::new(Barrier::new(REQUESTS + 1)));
    let mut tasks = JoinSet::new();
    for number in 0..REQUESTS {
        let mut client = Client(clients[number % clients.len()].0.clone());
        let (operation, together, answered) = (wanted(number), Arc::clone(&together), Arc::clone(&answered));
        tasks.spawn(async move {
            together.wait().await;
            let started = client.execute(&operation).await;
            answered.wait().await;
            let answer = match started {
                Ok(events) => Ok(events.all().await),
                Err(status) => Err(to_failure(&status)),
            };
            (operation, answer)
        });
    }
    answered.wait().await;
    server.touch("go");
    tasks.join_all().await
}

/// What the agent has noted.
async fn noted(client: &mut Client) -> Vec<String> {
    let reply = client
        .0
        .ledger(v1::LedgerRequest::default())
        .await
        .unwrap()
        .into_inner();
    reply
        .entries
        .iter()
        .map(|e| e.operation.as_ref().unwrap().id.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_that_arrives_many_times_at_once_is_carried_out_once_and_told_to_all() {
    let fleet = Fleet::new();
    let (server, _agent, mut clients) = server(&fleet).await;
    let answers = at_once(&server, &clients, |_| create("op-1")).await;
    let first = answers[0].1.clone().unwrap();
    assert!(matches!(outcome(&first), Outcome::Done { .. }), "{first:?}");
    for (_, answer) in answers {
        assert_eq!(answer.unwrap(), first, "all are told the same");
    }
    assert_eq!(server.calls().len(), 1);
    assert_eq!(noted(&mut clients[0]).await, ["op-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_that_exclude_each_other_one_is_carried_out_and_the_others_are_told_why_not() {
    let fleet = Fleet::new();
    let (server, _agent, mut clients) = server(&fleet).await;
    // The same id with another action, and other ids.
    let other_action = || {
        let mut operation = create("op-1");
        if let Action::CreateCluster { cluster, .. } = &mut operation.action {
            *cluster = "lab2".parse().unwrap();
        }
        operation
    };
    let wanted = |number: usize| match number % 4 {
        0 | 1 => create("op-1"),
        2 => other_action(),
        _ => create(&format!("op-{number}")),
    };
    let answers = at_once(&server, &clients, wanted).await;
    assert_eq!(server.calls().len(), 1, "{:?}", server.calls());
    let winner = {
        let mut taken = answers.iter().filter(|(_, answer)| answer.is_ok());
        taken.next().unwrap().0.clone()
    };
    assert_eq!(noted(&mut clients[0]).await, [winner.id.to_string()]);
    for (operation, answer) in answers {
        match answer {
            Ok(events) => {
                assert_eq!(operation, winner, "only the one that was taken is told of");
                assert!(
                    matches!(outcome(&events), Outcome::Done { .. } | Outcome::Unknown { .. }),
                    "{events:?}"
                );
            }
            Err(refused) if operation.id == winner.id => {
                assert_ne!(operation.action, winner.action, "{refused:?}");
                assert_eq!(refused.exit, ExitCode::Usage, "{refused:?}");
            }
            Err(refused) => {
                assert_eq!(refused.findings[0].code, Code::NodeBusy, "{refused:?}");
                assert!(refused.findings[0].message.contains(winner.id.as_str()), "{refused:?}");
            }
        }
    }
}
