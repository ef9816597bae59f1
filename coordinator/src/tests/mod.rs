//! The daemon as a whole, with nodes that have real certificates and a world in memory.

mod applied;
mod claims;
mod contradictions;
mod daemon;
mod enrolment;
mod fake_node;
mod formats;
mod liveness;
mod losses;
mod passwords;
mod rollouts;
mod trust;
mod view;

use std::sync::{Arc, Mutex};

use quorate_model::failure::Failure;
use quorate_planner::testkit::Servers;
use quorate_proto::{to_failure, v1};
use tonic::{Response, Status};

use self::daemon::{Client, Fixture, until};
use self::fake_node::{FakeNode, World};

fn world(servers: usize) -> World {
    Arc::new(Mutex::new(Servers::bare(servers)))
}

async fn invite(client: &mut Client, node: &FakeNode) -> Result<v1::InviteNodeReply, Failure> {
    let request = v1::InviteNodeRequest {
        cluster: "hk1".to_owned(),
        node: node.name.to_string(),
        address: node.address.to_string(),
        valid_seconds: 0,
    };
    of(client.invite_node(request).await)
}

fn of<T>(answer: Result<Response<T>, Status>) -> Result<T, Failure> {
    answer.map(Response::into_inner).map_err(|status| to_failure(&status))
}

async fn nodes(client: &mut Client) -> Vec<v1::Node> {
    of(client.list_nodes(v1::ListNodesRequest {}).await).unwrap().nodes
}

/// Servers `prox1` to `proxN`, enrolled and linked.
async fn enrolled(client: &mut Client, servers: usize) -> Vec<FakeNode> {
    let world = world(servers);
    let mut all = Vec::new();
    for number in 1..=servers {
        let name = format!("prox{number}");
        let mut node = FakeNode::new(&name, &world).await;
        let invited = invite(client, &node).await.unwrap();
        node.enrol(&invited.enrol_at, &invited.token, &name).await.unwrap();
        all.push(node);
    }
    linked(client, servers).await;
    all
}

async fn linked(client: &mut Client, count: usize) {
    until("all nodes are linked", || {
        let mut client = client.clone();
        async move {
            let connected = v1::connection::State::Connected;
            let is = |node: &v1::Node| node.connection.as_ref().is_some_and(|c| c.state() == connected);
            nodes(&mut client).await.iter().filter(|node| is(node)).count() == count
        }
    })
    .await;
}
