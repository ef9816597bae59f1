//! Who is in the cluster, by whose word, and who is not.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::facet::Unknown;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::{Cluster, ConfiguredNode, Member};
use quorate_model::observation::{FacetName, Membership};
use quorate_model::spec::ClusterFile;
use quorate_model::view::View;
use quorate_model::wish::Wish;

use super::Changes;
use super::unfinished::Unfinished;
use crate::report::{Report, Weight, facet_unknown, in_a_row};

/// Where every server stands.
#[derive(Debug, Default)]
pub(super) struct Standing<'v> {
    /// Servers of the file that are in no cluster: they are to become members.
    pub(super) bare: BTreeMap<&'v NodeName, &'v Cluster>,
    /// Enrolled servers that are in this cluster by their own word, in the file or not.
    pub(super) inside: BTreeMap<&'v NodeName, &'v Member>,
    /// Servers that began to join this cluster and never came in, or are counted by it without being in.
    pub(super) unfinished: BTreeMap<&'v NodeName, Unfinished>,
    /// Every name that any of those counts among the members, running or configured.
    pub(super) roster: BTreeSet<&'v str>,
    /// Members that are asked to be taken out, and that the file does not name.
    pub(super) leaving: BTreeSet<&'v str>,
    /// No contradiction and nothing unseen: the steps can be told.
    pub(super) clear: bool,
}

impl<'v> Standing<'v> {
    /// Is there a cluster already, by anybody's word?
    pub(super) fn founded(&self) -> bool {
        !self.inside.is_empty()
    }

    /// The members whose word the rest is read from: the first of them, once they agree.
    pub(super) fn any_member(&self) -> Option<&'v Member> {
        self.inside.values().next().copied()
    }

    /// The members of which none is to be taken out.
    pub(super) fn staying(&self) -> impl Iterator<Item = (&'v NodeName, &'v Member)> {
        self.inside
            .iter()
            .filter(|(node, _)| !self.leaving.contains(node.as_str()))
            .map(|(node, member)| (*node, *member))
    }

    /// Is what corosync.conf has of this server taken out by the plan, since its join is undone or made anew?
    pub(super) fn entry_goes(&self, name: &str) -> bool {
        let how_far = self.unfinished.iter().find(|(node, _)| node.as_str() == name);
        matches!(
            how_far,
            Some((_, Unfinished::Bare { .. } | Unfinished::Begun { undo: true }))
        )
    }

    /// How the members know a server, if they count it.
    pub(super) fn configured(&self, name: &str) -> Option<&'v ConfiguredNode> {
        self.inside
            .values()
            .find_map(|m| m.configured.iter().find(|n| n.name == name))
    }

    /// Does any member see it in the membership now? Where some have quorum, only their word counts: one that is cut off sees
    /// itself and nobody else.
    pub(super) fn seen_online(&self, name: &str) -> bool {
        let quorate = self.inside.values().any(|m| m.quorate);
        let mut heard = self.inside.values().filter(|m| m.quorate || !quorate);
        heard.any(|m| m.online().any(|online| online == name))
    }

    /// Do all members have quorum?
    pub(super) fn quorate(&self) -> bool {
        self.inside.values().all(|m| m.quorate)
    }

    /// Servers whose clocks and versions matter: those of the file, and members that it does not name.
    pub(super) fn concerned<'a>(&self, file: &'a ClusterFile) -> BTreeSet<&'a NodeName>
    where
        'v: 'a,
    {
        file.members()
            .map(|(node, _)| node)
            .chain(self.inside.keys().copied())
            .collect()
    }
}

pub(super) fn standing<'v>(file: &'v ClusterFile, wish: &'v Wish, view: &'v View, report: &mut Report) -> Standing<'v> {
    let mut standing = Standing {
        clear: true,
        ..Standing::default()
    };
    for (node, spec) in file.members() {
        let Some(seen) = view.nodes.get(node) else {
            standing.clear = false;
            report.tell(not_enrolled(file, node, &spec.address.value.to_string()).at(Some(spec.place.clone())));
            continue;
        };
        let observation = match &seen.observation {
            Ok(observation) => observation,
            Err(unknown) => {
                standing.clear = false;
                report.tell(unreachable(file, node, unknown));
                continue;
            }
        };
        if observation.hostname != node.as_str() {
            standing.clear = false;
            report.tell(other_host_name(file, node, &observation.hostname));
        }
        match observation.cluster.get() {
            Err(unknown) => {
                standing.clear = false;
                report.tell(facet_unknown(node, FacetName::Cluster, "membership", unknown));
            }
            Ok(cluster) => standing.place(file, node, cluster, report),
        }
    }
    standing.others(file, view);
    super::unfinished::half_synced(file, view, &mut standing);
    for member in standing.inside.values() {
        standing.roster.extend(member.nodes.iter().map(|n| n.name.as_str()));
        standing
            .roster
            .extend(member.configured.iter().map(|n| n.name.as_str()));
    }
    let named = |name: &str| file.nodes.keys().any(|n| n.as_str() == name);
    standing.leaving = wish
        .removed()
        .map(NodeName::as_str)
        .filter(|name| standing.roster.contains(name) && !named(name))
        .collect();
    super::unfinished::sort_out(file, wish, &mut standing, report);
    standing.agree(file, report);
    standing.outsiders(file, report);
    standing.strangers(file, view, report);
    standing
}

impl<'v> Standing<'v> {
    fn place(&mut self, file: &ClusterFile, node: &'v NodeName, cluster: &'v Cluster, report: &mut Report) {
        let wanted = &file.cluster.name.value;
        match &cluster.membership {
            Membership::Standalone => {
                self.bare.insert(node, cluster);
            }
            Membership::Member(member) if member.cluster == wanted.as_str() => {
                self.inside.insert(node, member);
            }
            Membership::Member(member) => {
                self.clear = false;
                let others = in_a_row(member.nodes.iter().map(|n| n.name.as_str()));
                report.tell(Finding::new(
                    Code::NodeInOtherCluster,
                    node.as_str(),
                    format!("{node} is a member of cluster {} (with {others}), not of {wanted}", member.cluster),
                    format!(
                        "take {node} out of the cluster file, or out of {} (PVE's manual, \"Remove a Cluster Node\"); if {} is the cluster you mean, \
                         write its name into the file",
                        member.cluster, member.cluster
                    ),
                ));
            }
        }
    }

    /// Takes in what enrolled servers say of themselves that the file does not name as members.
    fn others(&mut self, file: &ClusterFile, view: &'v View) {
        let voters: BTreeSet<&NodeName> = file.members().map(|(node, _)| node).collect();
        for node in view.nodes.keys().filter(|node| !voters.contains(node)) {
            let Ok(Cluster {
                membership: Membership::Member(member),
                ..
            }) = view.cluster_of(node)
            else {
                continue;
            };
            if member.cluster == file.cluster.name.value.as_str() {
                self.inside.insert(node, member);
            }
        }
    }

    /// A member that is not asked can't agree to anything: before corosync's configuration is changed, the word of every one that stays
    /// is needed, of those too that the file does not name. And an enrolled server that can't be seen may *be* the cluster, as long as
    /// nobody is seen in it: creating another of that name would split them for ever.
    pub(super) fn hear_all(&mut self, file: &ClusterFile, view: &'v View, changes: Changes, report: &mut Report) {
        let cluster = &file.cluster.name.value;
        // What stands against taking a server out is told with that.
        let outside = view
            .nodes
            .iter()
            .filter(|(node, _)| !file.nodes.contains_key(*node) && !self.leaving.contains(node.as_str()));
        for (node, seen) in outside {
            let finding = match &seen.observation {
                Err(unknown) => unreachable(file, node, unknown),
                Ok(observation) => match observation.cluster.get() {
                    Err(unknown) => facet_unknown(node, FacetName::Cluster, "membership", unknown),
                    Ok(_) => continue,
                },
            };
            let matters = !self.founded() || self.roster.contains(node.as_str());
            let weight = Weight::needed_if(matters && changes.corosync());
            self.clear &= weight == Weight::Told;
            report.weigh(weight, finding);
        }
        if !changes.corosync() {
            return;
        }
        let named = |name: &str| file.nodes.keys().any(|n| n.as_str() == name);
        let is_in = |name: &str| self.inside.keys().any(|n| n.as_str() == name);
        let silent: Vec<&str> = self
            .roster
            .iter()
            .copied()
            .filter(|name| !named(name) && !is_in(name) && !self.leaving.contains(name))
            .collect();
        for name in silent {
            match view.nodes.iter().find(|(node, _)| node.as_str() == name) {
                None => report.tell(Finding::new(
                    Code::NodeNotEnrolled,
                    name,
                    format!(
                        "{name} is a member of {cluster} and not enrolled: whether it agrees to a change can't be seen"
                    ),
                    NodeName::new(name).map_or_else(
                        |error| format!("{error}; this cluster has to be changed by hand"),
                        |name| format!("quorate node invite {cluster}/{name} --address ADDRESS"),
                    ),
                )),
                Some((_, seen)) if seen.observation.as_ref().is_ok_and(|o| o.cluster.is_known()) => {
                    report.tell(Finding::new(
                        Code::SplitMembership,
                        name,
                        format!("{cluster} counts {name} among its members, but {name} is not in it by its own word"),
                        format!(
                            "on a member, look at `pvecm status` and, if {name} is gone for good: pvecm delnode {name}"
                        ),
                    ));
                }
                // Told above.
                Some(_) => {}
            }
            self.clear = false;
        }
    }

    /// Do all members see the same members, and do those that are seen as members know of it?
    fn agree(&mut self, file: &ClusterFile, report: &mut Report) {
        let cluster = &file.cluster.name.value;
        let mut camps: BTreeMap<BTreeSet<&str>, Vec<&NodeName>> = BTreeMap::new();
        for (node, member) in &self.inside {
            camps
                .entry(member.nodes.iter().map(|n| n.name.as_str()).collect())
                .or_default()
                .push(node);
        }
        let strange = camps
            .iter()
            .any(|(seen, by)| by.iter().any(|node| !seen.contains(node.as_str())));
        if camps.len() > 1 || strange {
            self.clear = false;
            let mut told: Vec<String> = camps
                .iter()
                .map(|(seen, by)| format!("{} as {}", in_a_row(by.iter()), in_a_row(seen.iter())))
                .collect();
            told.sort();
            report.tell(Finding::new(
                Code::SplitMembership,
                cluster.as_str(),
                format!("the servers do not agree on who is in {cluster}; it is seen by {}", told.join("; by ")),
                "compare `pvecm status` on each; if they are separate clusters of one name, only one of them can be in the file",
            ));
        }
    }

    /// What the file does not name is left alone.
    fn strangers(&mut self, file: &ClusterFile, view: &View, report: &mut Report) {
        let cluster = &file.cluster.name.value;
        for node in view
            .nodes
            .keys()
            .filter(|n| !file.nodes.contains_key(*n) && !self.roster.contains(n.as_str()))
        {
            report.tell(Finding::new(
                Code::NodeNotInFile,
                node.as_str(),
                format!("{node} is enrolled, but the cluster file does not name it; it is left alone"),
                format!("add [nodes.{node}] to the cluster file if Quorate is to manage it"),
            ));
        }
        let named = |name: &str| file.nodes.keys().any(|n| n.as_str() == name);
        let strangers: Vec<&str> = self.roster.iter().copied().filter(|name| !named(name)).collect();
        for name in strangers.into_iter().filter(|name| !self.leaving.contains(name)) {
            report.tell(Finding::new(
                Code::NodeUnmanaged,
                name,
                format!("{name} is a member of {cluster}, but the cluster file does not name it; it is left alone"),
                format!(
                    "add [nodes.{name}] to the cluster file if Quorate is to manage it, or take it out: --remove {name}"
                ),
            ));
        }
    }

    /// What the file names as no member must not be one.
    fn outsiders(&mut self, file: &ClusterFile, report: &mut Report) {
        let cluster = &file.cluster.name.value;
        for (node, spec) in file.nodes.iter().filter(|(node, spec)| {
            !spec.role.votes() && (self.roster.contains(node.as_str()) || self.inside.contains_key(*node))
        }) {
            self.clear = false;
            report.tell(
                Finding::new(
                    Code::QnetdOnMember,
                    node.as_str(),
                    format!("{node} is a member of {cluster}, and the cluster file gives it the role {}", spec.role),
                    format!(
                        "take `role` out of [nodes.{node}], if it is to stay a member; for the third vote, name a host outside of this cluster"
                    ),
                )
                .at(Some(spec.place.clone())),
            );
        }
    }
}

fn not_enrolled(file: &ClusterFile, node: &NodeName, address: &str) -> Finding {
    let cluster = &file.cluster.name.value;
    Finding::new(
        Code::NodeNotEnrolled,
        node.as_str(),
        format!("{node} is not enrolled in {cluster}"),
        format!("quorate node invite {cluster}/{node} --address {address}"),
    )
}

fn unreachable(file: &ClusterFile, node: &NodeName, unknown: &Unknown) -> Finding {
    Finding::new(
        Code::NodeUnreachable,
        node.as_str(),
        format!("nothing is known of {node}: {}", unknown.reason),
        format!(
            "on {node}: systemctl status quorate-agent; then: quorate node show {}/{node}",
            file.cluster.name.value
        ),
    )
}

fn other_host_name(file: &ClusterFile, node: &NodeName, hostname: &str) -> Finding {
    let cluster = &file.cluster.name.value;
    Finding::new(
        Code::HostNameDiffers,
        node.as_str(),
        format!(
            "the server that is enrolled as {node} calls itself {hostname}; that is the name it would have in the cluster"
        ),
        format!("enrol it as {cluster}/{hostname} and write [nodes.{hostname}], or rename the server before it joins"),
    )
}
