//! Calls from nodes, for whoever asks at the command line.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::{ClusterName, NodeRef};
use quorate_proto::{to_failure, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Api, Lines};
use crate::audit::{Act, By, What};
use crate::fleet::Peer;
use crate::incoming::Who;

/// Messages that are ready and not taken yet.
const AHEAD: usize = 64;

/// Nodes that call at one time: what they tell goes through one connection.
const NODES: usize = 32;

impl Api {
    /// Each node calls by itself, and one that can't is told of beside the others.
    pub(super) async fn probe_from(
        &self,
        request: v1::ProbeFromRequest,
        by: &Who,
    ) -> Result<Lines<v1::ProbeFromReply>, Failure> {
        let (cluster, nodes) = named(&request.nodes)?;
        by.within(cluster.as_str())?;
        let target = request.target.parse::<quorate_probe::Target>();
        let target = target.map_err(|why| {
            Failure::new(ExitCode::Usage, why).hint("rows are written into databases by the coordinator's host alone")
        })?;
        let mut peers = Vec::new();
        for node in &nodes {
            peers.push(self.fleet.peer(node).ok_or_else(|| {
                Failure::new(ExitCode::NotFound, format!("{node} is not enrolled")).hint("quorate node list")
            })?);
        }
        let what = What::Probe {
            target: target.to_string(),
            nodes: nodes.iter().map(ToString::to_string).collect(),
        };
        self.audit
            .note(Act::new(By::caller(by), what).in_cluster(&cluster))
            .await?;
        let asked = v1::ProbeRequest {
            target: target.to_string(),
            every_ms: request.every_ms,
            seconds: request.seconds,
        };
        let (tell, told) = mpsc::channel(AHEAD);
        for peer in peers {
            tokio::spawn(hand_on(peer, asked.clone(), tell.clone()));
        }
        Ok(Box::pin(ReceiverStream::new(told)))
    }
}

type Tell = mpsc::Sender<Result<v1::ProbeFromReply, Status>>;

/// Until the node has no more to tell, or nobody listens: the agent ends when its stream is dropped.
async fn hand_on(peer: Arc<Peer>, request: v1::ProbeRequest, tell: Tell) {
    let node = peer.name.to_string();
    let say = |said: v1::probe_from_reply::Said| v1::ProbeFromReply {
        node: node.clone(),
        said: Some(said),
    };
    let failed = |why: String| Ok(say(v1::probe_from_reply::Said::Failed(why)));
    let mut calls = match peer.probe(request).await {
        Ok(calls) => calls,
        Err(error) => return drop(tell.send(failed(error.to_string())).await),
    };
    loop {
        let next = tokio::select! {
            next = calls.message() => next,
            () = tell.closed() => return,
        };
        let said = match next {
            Ok(Some(more)) => Ok(say(v1::probe_from_reply::Said::Calls(more))),
            Ok(None) => return,
            Err(status) => return drop(tell.send(failed(to_failure(&status).to_string())).await),
        };
        if tell.send(said).await.is_err() {
            return;
        }
    }
}

/// The nodes, all of one cluster, each once.
fn named(texts: &[String]) -> Result<(ClusterName, BTreeSet<NodeRef>), Failure> {
    let usage = |why: String| Failure::new(ExitCode::Usage, why);
    let nodes = texts.iter().map(|text| text.parse::<NodeRef>());
    let nodes: BTreeSet<NodeRef> = nodes
        .collect::<Result<_, _>>()
        .map_err(|error| usage(error.to_string()))?;
    let Some(first) = nodes.first() else {
        return Err(usage("from which nodes?".to_owned()));
    };
    if nodes.len() > NODES {
        return Err(usage(format!(
            "{} nodes are more than {NODES} at one time",
            nodes.len()
        )));
    }
    let cluster = first.cluster.clone();
    match nodes.iter().find(|node| node.cluster != cluster) {
        Some(other) => Err(usage(format!(
            "{other} is not of {cluster}: ask of one cluster at a time"
        ))),
        None => Ok((cluster, nodes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_of_one_cluster_and_each_is_asked_once() {
        let read = |texts: &[&str]| named(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let (cluster, nodes) = read(&["hk1/prox2", "hk1/prox1", "hk1/prox2"]).unwrap();
        assert_eq!((cluster.as_str(), nodes.len()), ("hk1", 2));
        for bad in [&[][..], &["prox1"], &["hk1/prox1", "hk2/prox1"]] {
            assert_eq!(read(bad).unwrap_err().exit, ExitCode::Usage, "{bad:?}");
        }
    }
}
