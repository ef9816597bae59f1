//! What must be so on each server before it founds or joins a cluster: PVE refuses some of it half-way, and some not at all.

use quorate_model::facet::UnknownKind;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, Pmxcfs};
use quorate_model::observation::{FacetName, Guest, Network};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;

use super::health::not_writable;
use super::members::Standing;
use super::unfinished::Unfinished;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// Who the cluster begins with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Founder<'v> {
    /// It exists already.
    Exists,
    /// This server creates it.
    Creates {
        /// The server.
        node: &'v NodeName,
        /// It has guests, and keeps them.
        has_guests: bool,
    },
}

impl Founder<'_> {
    /// Is it this server that creates the cluster?
    pub(super) fn is(self, other: &NodeName) -> bool {
        matches!(self, Self::Creates { node, .. } if node == other)
    }
}

/// Who founds the cluster as far as it matters for what is looked at: where that can't be told, the first that could. Nothing is done
/// by it.
pub(super) fn provisional<'v>(standing: &Standing<'v>) -> Option<Founder<'v>> {
    if standing.founded() {
        return Some(Founder::Exists);
    }
    standing.bare.keys().next().map(|node| Founder::Creates {
        node,
        has_guests: false,
    })
}

/// Checks every server that is to become a member; tells who founds the cluster, or `None` if that can't be told.
pub(super) fn check<'v>(
    file: &ClusterFile,
    view: &View,
    standing: &Standing<'v>,
    report: &mut Report,
) -> Option<Founder<'v>> {
    for node in super::links::joining(standing) {
        let Ok(cluster) = view.cluster_of(node) else { continue };
        leftovers(node, cluster, report);
        corosync_runs(view, node, report);
        if cluster.pmxcfs != Pmxcfs::Writable {
            report.tell(not_writable(view, node));
        }
        if let Some(network) = report.facet(view, node, FacetName::Network, Weight::Needed, |o| &o.network) {
            own_name(file, node, network, report);
        }
    }
    for (node, how_far) in &standing.unfinished {
        if matches!(how_far, Unfinished::Begun { .. } | Unfinished::Uncounted) {
            let guests = report.facet(view, node, FacetName::Guests, Weight::Needed, |o| &o.guests);
            if let Some(guests) = guests.filter(|guests| !guests.is_empty()) {
                report.tell(must_not_have_guests(
                    node,
                    guests,
                    "a server whose join is not finished must have none",
                ));
            }
        }
    }
    guests(file, view, standing, report)
}

fn leftovers(node: &NodeName, cluster: &Cluster, report: &mut Report) {
    let mut files = Vec::new();
    if cluster.authkey_present {
        files.push("/etc/corosync/authkey");
    }
    if cluster.local_config_present {
        files.push("/etc/corosync/corosync.conf");
    }
    if files.is_empty() {
        return;
    }
    report.tell(Finding::new(
        Code::NodeHasLeftovers,
        node.as_str(),
        format!(
            "{node} is in no cluster, but has {}: the rest of an earlier cluster or of an unfinished join",
            in_a_row(&files)
        ),
        format!(
            "if {node} was taken out of that cluster for good: on {node}, systemctl stop corosync; rm {}; if it is of a join to this \
             cluster: --undo-join {node}",
            files.join(" ")
        ),
    ));
}

/// PVE refuses to let a server join on which corosync runs, and it runs without a word in /etc/pve after a separation by halves.
fn corosync_runs(view: &View, node: &NodeName, report: &mut Report) {
    let Ok(readiness) = view.facet(node, |o| &o.readiness) else {
        return;
    };
    match readiness.services.get("corosync").map(quorate_model::Facet::get) {
        Some(Ok(state)) if state.is_running() => report.tell(Finding::new(
            Code::NodeHasLeftovers,
            node.as_str(),
            format!(
                "{node} is in no cluster, but corosync runs there: pvecm refuses (`corosync is already running, is this node already in \
                 a cluster?!`)"
            ),
            format!("on {node}: corosync-quorumtool -s says whose member it is; if nobody needs it: systemctl stop corosync"),
        )),
        Some(Err(unknown)) if unknown.kind != UnknownKind::NotAsked => {
            let finding = facet_unknown(node, FacetName::Readiness, "state of corosync", unknown);
            report.weigh(Weight::Told, finding);
        }
        _ => {}
    }
}

/// PVE publishes the address that the server's own name resolves to, whatever the file says, and needs a non-loopback one.
fn own_name(file: &ClusterFile, node: &NodeName, network: &Network, report: &mut Report) {
    let Some(spec) = file.nodes.get(node) else { return };
    let wanted = spec.address.value;
    let name = match network.own_name.get() {
        Ok(name) => name,
        Err(unknown) => {
            return report.tell(facet_unknown(
                node,
                FacetName::Network,
                "what the own name resolves to",
                unknown,
            ));
        }
    };
    let hosts = format!(
        "in /etc/hosts on {node}, have one line for the name: {wanted} {node}; then: systemctl restart pve-cluster"
    );
    let (message, place) = match name.usable() {
        Some(address) if address == wanted => return,
        Some(address) => (
            format!(
                "{node} resolves its own name to {address}, and the cluster file says {wanted}; PVE would publish {address} in the cluster, \
                 and it is hard to change later"
            ),
            Some(spec.address.place.clone()),
        ),
        None if name.addresses.is_empty() => (format!("{node} can't resolve its own name `{}`", name.name), None),
        None => (
            format!(
                "{node} resolves its own name `{}` to {} only",
                name.name,
                in_a_row(&name.addresses)
            ),
            None,
        ),
    };
    let next = if place.is_some() {
        format!("{hosts}; or write the address that it resolves to into the cluster file")
    } else {
        hosts
    };
    report.tell(Finding::new(Code::NameDoesNotResolve, node.as_str(), message, next).at(place));
}

/// The creator may have guests, a joiner may not; so the one server that has guests creates.
fn guests<'v>(file: &ClusterFile, view: &View, standing: &Standing<'v>, report: &mut Report) -> Option<Founder<'v>> {
    let mut with: Vec<(&'v NodeName, &[Guest])> = Vec::new();
    let mut seen = true;
    for node in super::links::joining(standing) {
        match report.facet(view, node, FacetName::Guests, Weight::Needed, |o| &o.guests) {
            None => seen = false,
            Some(guests) if guests.is_empty() => {}
            Some(guests) => with.push((node, guests)),
        }
    }
    let cluster = &file.cluster.name.value;
    if standing.founded() {
        for (node, guests) in with {
            report.tell(must_not_have_guests(
                node,
                guests,
                &format!("a server that joins {cluster} must have none"),
            ));
        }
        return seen.then_some(Founder::Exists);
    }
    match with.as_slice() {
        [] => {
            // The server with the coordinator is touched last.
            let elsewhere = |node: &&&NodeName| view.coordinator_on.as_ref() != Some(**node);
            let first = standing.bare.keys().find(elsewhere).or(standing.bare.keys().next());
            first.filter(|_| seen).map(|node| Founder::Creates {
                node,
                has_guests: false,
            })
        }
        [(node, _)] => seen.then_some(Founder::Creates { node, has_guests: true }),
        several => {
            let names = in_a_row(several.iter().map(|(node, _)| node));
            for (node, guests) in several {
                let rule =
                    format!("{names} have guests, and only the one server that creates {cluster} may keep its own");
                report.tell(must_not_have_guests(node, guests, &rule));
            }
            None
        }
    }
}

fn must_not_have_guests(node: &NodeName, guests: &[Guest], rule: &str) -> Finding {
    /// More ids than this help nobody.
    const SHOWN: usize = 8;
    let mut ids: Vec<u32> = guests.iter().map(|g| g.vmid).collect();
    ids.sort_unstable();
    let mut shown: Vec<String> = ids.iter().take(SHOWN).map(u32::to_string).collect();
    if ids.len() > SHOWN {
        shown.push(format!("{} more", ids.len() - SHOWN));
    }
    let noun = if ids.len() == 1 { "guest" } else { "guests" };
    Finding::new(
        Code::NodeHasGuests,
        node.as_str(),
        format!("{node} has the {noun} {}; {rule}", in_a_row(shown)),
        format!("back them up (vzdump), remove them from {node}, plan again, and restore them once it has joined"),
    )
}
