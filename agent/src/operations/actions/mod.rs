//! What the agent can do: each action has a file that says how it is called, when it is there, and how its tool's words
//! are to be read. What is common to all stands here and beside them.

mod create_cluster;
mod diagnose;
mod join_cluster;
mod member;
mod precheck;

use quorate_exec::{Invocation, Tools};
use quorate_model::observation::{Cluster, FacetName};
use quorate_model::operation::Action;
use quorate_model::{Finding, Observation};
use quorate_tools::CallError;

use super::context::Context;
use super::follow::Output;
use super::join_secret::JoinSecret;
use crate::observe::observe;

pub(super) use diagnose::diagnose;

/// What is found in the instant before the tool is started.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing stands against it.
    Ready,
    /// What is wanted is there already.
    Reached(String),
    /// What is wanted was begun before and may still come about by itself; running the tool again would refuse.
    Begun,
    /// It would go wrong, or do harm.
    Refused(Vec<Finding>),
}

/// What a node shows of what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is there; with what was seen.
    Reached(String),
    /// Nothing of it is there, and no trace of a try.
    Untouched,
    /// Neither; with what is missing, so that it reads on after "waiting until".
    Between(String),
}

/// What a tool's output says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// It claims success.
    pub(super) success: bool,
    /// What it complained about.
    pub(super) findings: Vec<Finding>,
    /// It came far enough to have changed something, here or elsewhere.
    pub(super) changed: bool,
    /// How far it came, in words.
    pub(super) stage: String,
}

/// Looks at everything that matters, in the instant before.
pub(super) async fn before(ctx: &Context<'_>) -> Before {
    let facets = [FacetName::Cluster, FacetName::Network, FacetName::Guests];
    let observation = observe(ctx.host, &facets).await;
    let cluster = match observation.cluster.get() {
        Ok(cluster) => cluster,
        Err(unknown) => return Before::Refused(vec![precheck::unknown(ctx.node, "cluster", unknown)]),
    };
    match state_of(ctx, cluster) {
        State::Reached(evidence) => return Before::Reached(evidence),
        State::Between(_) if is_begun(ctx, cluster) => return Before::Begun,
        State::Between(_) | State::Untouched => {}
    }
    let findings = match &ctx.operation.action {
        Action::CreateCluster { links, .. } => create_cluster::precheck(ctx.node, &observation, cluster, links),
        Action::JoinCluster { links, .. } => join_cluster::precheck(ctx.node, &observation, cluster, links),
    };
    if findings.is_empty() {
        Before::Ready
    } else {
        Before::Refused(findings)
    }
}

/// The tool to run. The secret goes to its stdin.
pub(super) fn invocation(tools: &Tools, action: &Action, secret: Option<&JoinSecret>) -> Result<Invocation, CallError> {
    match (action, secret) {
        (Action::CreateCluster { cluster, links }, _) => quorate_tools::pvecm::create(tools, cluster, links),
        (
            Action::JoinCluster {
                member_address, links, ..
            },
            secret,
        ) => {
            // Without a secret nothing gets here; an empty one makes pvecm refuse.
            let nothing = JoinSecret::default();
            let JoinSecret { password, fingerprint } = secret.unwrap_or(&nothing);
            quorate_tools::pvecm::add(tools, *member_address, fingerprint, links, password)
        }
    }
}

/// Does the tool read a secret?
pub(super) fn needs_secret(action: &Action) -> bool {
    match action {
        Action::CreateCluster { .. } => false,
        Action::JoinCluster { .. } => true,
    }
}

/// Looks afresh, and says how far the node is.
pub(super) async fn look(ctx: &Context<'_>) -> State {
    let observation: Observation = observe(ctx.host, &[FacetName::Cluster]).await;
    match observation.cluster.get() {
        Ok(cluster) => state_of(ctx, cluster),
        Err(unknown) => State::Between(format!("the cluster's state can be seen ({})", unknown.reason)),
    }
}

fn state_of(ctx: &Context<'_>, cluster: &Cluster) -> State {
    match &ctx.operation.action {
        Action::CreateCluster { cluster: name, .. } => create_cluster::state(ctx.node, cluster, name),
        Action::JoinCluster {
            cluster: name, member, ..
        } => join_cluster::state(ctx.node, cluster, name, member),
    }
}

fn is_begun(ctx: &Context<'_>, cluster: &Cluster) -> bool {
    match &ctx.operation.action {
        Action::CreateCluster { cluster: name, .. } => create_cluster::is_begun(ctx.node, cluster, name),
        Action::JoinCluster {
            cluster: name, member, ..
        } => join_cluster::is_begun(ctx.node, cluster, name, member),
    }
}

/// Reads what the tool printed.
pub(super) fn read(ctx: &Context<'_>, output: &Output) -> Said {
    match &ctx.operation.action {
        Action::CreateCluster { .. } => create_cluster::read(ctx.node, output),
        Action::JoinCluster { .. } => join_cluster::read(ctx.node, output),
    }
}

/// Does an action that is seen to have left no trace on this node have left none elsewhere?
pub(super) fn stays_here(action: &Action) -> bool {
    match action {
        Action::CreateCluster { .. } => true,
        // The member may have taken the node in before the node itself was changed.
        Action::JoinCluster { .. } => false,
    }
}
