//! Membership: who is in the cluster, who is to join or to leave it, over which addresses, with which third vote, and what stands
//! against it.

mod apart;
mod clocks;
pub(crate) mod ends;
mod firewall;
mod guests;
mod ha;
mod health;
mod latency;
mod left;
mod link_changes;
mod links;
mod members;
mod mtu;
mod names;
mod overwritten;
mod preflight;
mod qdevice;
mod readiness;
mod removal;
mod shape;
mod speed;
mod steps;
mod unfinished;
mod versions;

use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::wish::Wish;

use crate::report::{Report, Weight};
use members::Standing;
use preflight::Founder;
pub(crate) use speed::slowest_port;

/// What has to be changed, as far as it can be told from who stands where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changes {
    /// Servers are to join, or to found the cluster.
    pub(super) joins: bool,
    /// Joins are to be finished or undone.
    pub(super) unfinished: bool,
    /// Members are to be taken out.
    pub(super) removals: bool,
    /// Links are to be added.
    pub(super) links: bool,
    /// A QDevice is to be taken off or set up.
    pub(super) qdevice: bool,
}

impl Changes {
    /// Who is in changes.
    pub(super) fn membership(self) -> bool {
        self.joins || self.unfinished || self.removals
    }

    /// Corosync's configuration changes.
    pub(super) fn corosync(self) -> bool {
        self.membership() || self.links || self.qdevice
    }

    /// How much hangs on what all of it depends on.
    pub(super) fn weight(self) -> Weight {
        Weight::needed_if(self.corosync())
    }
}

pub(crate) fn plan(file: &ClusterFile, wish: &Wish, view: &View, report: &mut Report) -> Vec<Step> {
    let mut standing = members::standing(file, wish, view, report);
    let changes = changes(file, wish, view, &standing);
    let weight = changes.weight();
    standing.hear_all(file, view, changes, report);

    clocks::compare(file, view, &standing, weight, report);
    versions::compare(file, view, &standing, weight, report);
    health::members(view, &standing, changes, report);
    speed::of_links(file, view, &standing, report);
    apart::check(file, view, report);
    mtu::compare(file, view, report);
    latency::judge(file, view, &standing, changes, report);
    names::of_others(file, view, changes, report);
    let links = links::choose(file, view, &standing, &changes, report);
    let founder = preflight::check(file, view, &standing, report);
    let removals = removal::check(file, wish, view, &standing, report);
    // So that all problems are found at once, also those that hang on who founds the cluster.
    let meant = founder.or_else(|| preflight::provisional(&standing));
    let via = via(file, view, &standing, meant);
    let qdevice = qdevice::decide(file, wish, view, &standing, changes, via, report);
    let ha = ha::decide(view, &standing, changes, meant, report);
    let left = left::of(view, &standing, &ha, report);
    removal::keeps_quorum(file, &standing, &removals, &ha, report);
    overwritten::by_joins(file, view, &standing, via, meant, report);
    readiness::check(file, view, &standing, changes, meant, report);
    let firewall = firewall::check(file, view, &standing, links.as_ref(), via, meant, report);
    shape::weaknesses(file, wish, view, &standing, changes, report);

    let awake = !left.whole && left.daemons.is_empty() && left.maintenance.is_empty();
    let wanted = changes.corosync() || !removals.is_empty() || qdevice.withdraw.is_some() || !awake;
    let steps = match (standing.clear && !report.blind(), links, founder, via) {
        (true, Some(links), Some(founder), Some(via)) => {
            let intent = steps::Intent {
                file,
                view,
                standing: &standing,
                links: &links,
                founder,
                via,
                removals: &removals,
                qdevice: &qdevice,
                ha: &ha,
                left: &left,
                firewall: firewall.as_ref(),
            };
            steps::build(&intent)
        }
        _ => None,
    };
    // No steps must never look like nothing to do.
    if steps.is_none() && wanted && !report.refuses() {
        report.tell(Finding::new(
            Code::PlanUntold,
            file.cluster.name.value.as_str(),
            "something is to be done, and which steps lead there can't be told from what was seen",
            "compare pvecm status and /etc/pve/corosync.conf on the members with the cluster file; if they are as they should be, this is a \
             mistake of Quorate: report it with what `quorate plan FILE -o json` prints",
        ));
    }
    steps.unwrap_or_default()
}

/// Do servers join, or links come, so that the network between them has to bear it? Also where no step can be told yet.
pub(crate) fn leans_on_the_network(file: &ClusterFile, wish: &Wish, view: &View) -> bool {
    let standing = members::standing(file, wish, view, &mut Report::default());
    let changes = changes(file, wish, view, &standing);
    changes.joins || changes.unfinished || changes.links
}

fn changes(file: &ClusterFile, wish: &Wish, view: &View, standing: &Standing<'_>) -> Changes {
    let mut changes = Changes {
        joins: !links::joining(standing).is_empty(),
        unfinished: !standing.unfinished.is_empty(),
        removals: !standing.leaving.is_empty(),
        links: !links::missing(file, standing).is_empty(),
        qdevice: false,
    };
    changes.qdevice = qdevice::changes(file, wish, view, standing, changes);
    changes
}

/// The member that the others join through, and that does what one has to do for all: one that stays and is in; rather one that the
/// file names, since the others are left alone, and rather not the one with the coordinator, which is handled last.
fn via<'v>(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'v>,
    founder: Option<Founder<'v>>,
) -> Option<&'v NodeName> {
    if let Some(Founder::Creates { node, .. }) = founder {
        return Some(node);
    }
    standing
        .staying()
        .map(|(node, _)| node)
        .filter(|node| standing.seen_online(node.as_str()))
        .min_by_key(|node| (!file.nodes.contains_key(*node), has_coordinator(view, node), *node))
}

/// Does the coordinator run on this server?
fn has_coordinator(view: &View, node: &NodeName) -> bool {
    view.coordinator_on.as_ref() == Some(node)
}
