//! What the servers of each cluster show, and whose /etc/pve counts where several have the same.

use std::collections::BTreeMap;

use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::{FacetName, Membership};
use quorate_model::view::NodeView;
use quorate_model::{NodeName, View};

use super::status::{Seen, look};
use super::wire::Client;

/// Looks now at all clusters, or at one.
pub(crate) async fn fresh(
    client: &mut Client,
    cluster: Option<&str>,
    facets: &[FacetName],
) -> Result<BTreeMap<String, View>, Failure> {
    let look = look(client, cluster.unwrap_or(""), "", facets, true).await?;
    let mut views = views(look.nodes)?;
    for reach in look.reach {
        if let Some(view) = views.get_mut(reach.cluster.as_str()) {
            view.reach.push(reach);
        }
    }
    Ok(views)
}

/// Of servers as they were seen: clusters by name.
fn views(seen: Vec<Seen>) -> Result<BTreeMap<String, View>, Failure> {
    let mut views: BTreeMap<String, View> = BTreeMap::new();
    for one in seen {
        let node: NodeName = one.node.parse().map_err(|error| {
            Failure::new(ExitCode::Internal, "the coordinator names a node that can't be").because(&error)
        })?;
        let seen = NodeView {
            observation: one.observation,
            clock_offset: one.clock_offset,
        };
        views.entry(one.cluster).or_default().nodes.insert(node, seen);
    }
    Ok(views)
}

/// Those whose /etc/pve is shown: one member for all of them, and each server that is in no cluster yet. A member without quorum may have
/// an old one, so it speaks only where nobody else does.
pub(super) fn speakers(view: &View) -> Vec<&NodeName> {
    let membership = |node: &&NodeName| view.facet(node, |o| &o.cluster).ok().map(|cluster| &cluster.membership);
    let alone = |node: &&NodeName| matches!(membership(node), Some(Membership::Standalone));
    let quorate = |node: &&NodeName| matches!(membership(node), Some(Membership::Member(member)) if member.quorate);
    let sees = |node: &&NodeName| view.facet(node, |o| &o.config).is_ok();
    let members = || view.nodes.keys().filter(|node| !alone(node));
    let one = members()
        .find(|node| quorate(node) && sees(node))
        .or_else(|| members().find(sees))
        .or_else(|| members().next());
    let mut speakers: Vec<&NodeName> = view.nodes.keys().filter(alone).collect();
    speakers.extend(one);
    speakers
}
