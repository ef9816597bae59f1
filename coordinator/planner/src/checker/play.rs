//! Plays the plan through: who is in and who votes before each step, and what the step does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::operation::{Action, Package};
use quorate_model::plan::{Condition, Step};

use super::Checker;

/// The cluster as it should be before a step.
struct World {
    online: BTreeSet<NodeName>,
    offline: BTreeSet<NodeName>,
    votes: BTreeMap<NodeName, u32>,
    /// A QDevice is configured; its votes, and those that it gives.
    device: Option<(u32, u32)>,
    /// Quorum by fiat.
    by_fiat: bool,
    links: BTreeSet<u8>,
    addresses: BTreeMap<IpAddr, NodeName>,
    /// Links that run over IPv4, and those that don't.
    ipv4: BTreeMap<u8, bool>,
    /// Members are counted whose names no server can be asked by.
    nameless: bool,
}

impl World {
    fn votes_of(&self, node: &NodeName) -> u32 {
        self.votes.get(node).copied().unwrap_or(1)
    }

    fn present(&self) -> u32 {
        let nodes: u32 = self.online.iter().map(|n| self.votes_of(n)).sum();
        nodes + self.device.map_or(0, |(_, given)| given)
    }

    fn expected(&self) -> u32 {
        let nodes: u32 = self.online.iter().chain(&self.offline).map(|n| self.votes_of(n)).sum();
        nodes + self.device.map_or(0, |(votes, _)| votes)
    }

    fn quorate(&self) -> bool {
        self.by_fiat || self.present() > self.expected() / 2
    }

    fn members(&self, cluster: &ClusterName) -> Condition {
        Condition::Members {
            cluster: cluster.clone(),
            nodes: self.online.clone(),
            offline: self.offline.clone(),
        }
    }
}

impl Checker<'_> {
    pub(super) fn play(&mut self) {
        let mut world = self.world_now();
        let plan = self.plan;
        for step in &plan.steps {
            if let Some(cluster) = step.action.cluster() {
                let same = *cluster == plan.cluster && *cluster == self.file.cluster.name.value;
                self.demand(step, same, "it is about another cluster");
            }
            self.at_rest(step, &world);
            self.one(step, &mut world);
        }
    }

    fn world_now(&self) -> World {
        let mut world = World {
            online: BTreeSet::new(),
            offline: BTreeSet::new(),
            votes: BTreeMap::new(),
            device: None,
            by_fiat: false,
            links: BTreeSet::new(),
            addresses: BTreeMap::new(),
            ipv4: BTreeMap::new(),
            nameless: false,
        };
        // Everybody whom anybody counts. Who is in, says who has quorum; of those that have none, not one that the plan brings in.
        let mut counted: BTreeSet<NodeName> = BTreeSet::new();
        let mut away: BTreeSet<NodeName> = BTreeSet::new();
        let quorate = self.members().any(|(_, m)| m.quorate);
        for (speaker, member) in self.members() {
            let heard = member.quorate || (!quorate && !self.finishes(speaker));
            for node in &member.configured {
                let Ok(name) = NodeName::new(node.name.as_str()) else {
                    world.nameless = true;
                    continue;
                };
                world.votes.insert(name.clone(), node.votes);
                world.links.extend(node.addresses.keys());
                for (number, text) in &node.addresses {
                    if let Ok(address) = text.parse::<IpAddr>() {
                        world.ipv4.insert(*number, address.is_ipv4());
                        world.addresses.insert(address, name.clone());
                    }
                }
                counted.insert(name);
            }
            for seen in &member.nodes {
                let Ok(name) = NodeName::new(seen.name.as_str()) else {
                    world.nameless = true;
                    continue;
                };
                if heard && seen.online {
                    world.online.insert(name.clone());
                }
                if heard && !seen.online {
                    away.insert(name.clone());
                }
                counted.insert(name);
            }
            if let Some(device) = &member.qdevice {
                let given = member.votes.get().ok().and_then(|v| v.device).unwrap_or(0);
                world.device = Some((device.votes.unwrap_or(0), given));
            }
        }
        world.online.retain(|node| !away.contains(node));
        world.offline = counted.difference(&world.online).cloned().collect();
        world
    }

    /// Is this one that began to join, for which the plan finishes or undoes that?
    fn finishes(&self, node: &NodeName) -> bool {
        let settles = |s: &Step| matches!(s.action, Action::FinishJoin { .. } | Action::AbandonJoin { .. });
        self.plan.steps.iter().any(|s| settles(s) && s.node == *node)
    }

    /// No change of membership or of corosync's configuration while a watchdog may be armed.
    fn at_rest(&mut self, step: &Step, world: &World) {
        let founds = matches!(step.action, Action::CreateCluster { .. });
        let must_rest = matches!(
            step.action,
            Action::CreateCluster { .. }
                | Action::JoinCluster { .. }
                | Action::FinishJoin { .. }
                | Action::AbandonJoin { .. }
                | Action::AddLink { .. }
                | Action::ExpectVotes { .. }
                | Action::RemoveMember { .. }
                | Action::SetUpQdevice { .. }
                | Action::RemoveQdevice { .. }
                | Action::PowerOff { .. }
        );
        let covers = |nodes: &BTreeSet<NodeName>| {
            if founds {
                nodes.contains(&step.node)
            } else {
                world.online.is_subset(nodes)
            }
        };
        let gated = step.gate.iter().any(|c| match c {
            Condition::HaDisarmed { nodes, .. } | Condition::QdeviceDue { nodes, .. } => covers(nodes),
            _ => false,
        });
        self.demand(
            step,
            !must_rest || gated,
            "a watchdog may be armed while it changes the cluster",
        );
        if must_rest {
            let plan = self.plan;
            let rest = plan
                .steps
                .iter()
                .filter(|s| matches!(s.action, Action::DisarmHa { .. } | Action::StopHa { .. }));
            let after_all = rest.filter(|s| !self.order.is_after(step, &s.id)).count() == 0;
            self.demand(step, after_all, "it does not wait until HA is at rest");
        }
    }

    fn gate(&mut self, step: &Step, condition: &Condition, rule: &str) {
        let there = step.gate.contains(condition);
        self.demand(step, there, rule);
    }

    fn exactly_the_members(&mut self, step: &Step, world: &World) {
        let members = world.members(&self.plan.cluster);
        self.gate(step, &members, "its gate does not see exactly the members so far");
        self.demand(
            step,
            !world.nameless,
            "a member has a name that no server can be asked by",
        );
    }

    fn leaves_exactly(&mut self, step: &Step, world: &World) {
        let members = world.members(&self.plan.cluster);
        self.demand(
            step,
            step.done_when == members,
            "its done_when is not the membership that it leaves",
        );
    }

    fn one(&mut self, step: &Step, world: &mut World) {
        match &step.action {
            Action::CreateCluster { .. } | Action::JoinCluster { .. } => self.comes_in(step, world),
            Action::FinishJoin { member, .. } => {
                self.demand(
                    step,
                    world.offline.contains(&step.node),
                    "its node is not counted, or is in",
                );
                self.demand(
                    step,
                    world.online.contains(member),
                    "it goes by a server that is not in by then",
                );
                self.demand(
                    step,
                    !self.wish.undo_join.contains(&step.node),
                    "that join was to be undone",
                );
                if world.quorate() {
                    self.exactly_the_members(step, world);
                }
                world.offline.remove(&step.node);
                world.online.insert(step.node.clone());
                self.leaves_exactly(step, world);
            }
            Action::AbandonJoin { .. } => {
                let consent = self.wish.undo_join.contains(&step.node);
                self.demand(step, consent, "nobody asked to undo that join");
                self.demand(step, !world.online.contains(&step.node), "its node is in");
            }
            Action::ExpectVotes { votes, .. } => {
                self.demand(step, !world.quorate(), "there is quorum without it");
                let nodes: u32 = world.online.iter().map(|n| world.votes_of(n)).sum();
                self.demand(step, *votes == nodes, "it expects other votes than are present");
                world.by_fiat = true;
            }
            Action::RemoveMember { removed, id, .. } => self.goes_out(step, removed, *id, world),
            Action::CleanUpAfter {
                removed, keep_folder, ..
            } => {
                let out = !world.online.contains(removed) && !world.offline.contains(removed);
                self.demand(step, out, "it clears up after a member");
                let consent = self.is_removed(removed) || self.wish.undo_join.contains(removed);
                // The old key of one that stands alone goes without a word; nothing else of it.
                let afresh = *keep_folder && self.stands_alone(removed);
                self.demand(step, consent || afresh, "nobody consented to it");
            }
            Action::PowerOff { .. } => {
                let consent = self.is_removed(&step.node) && !self.file.nodes.contains_key(&step.node);
                self.demand(step, consent, "nobody consented to it");
                let own = self.view.coordinator_on.as_ref() == Some(&step.node);
                self.demand(step, !own, "the coordinator runs there");
                self.exactly_the_members(step, world);
                world.online.remove(&step.node);
                world.offline.insert(step.node.clone());
                self.demand(step, world.quorate(), "it takes the quorum from the others");
            }
            Action::AddLink {
                link,
                addresses,
                priority,
                ..
            } => {
                self.exactly_the_members(step, world);
                let all = addresses.keys().eq(world.online.iter()) && world.offline.is_empty();
                self.demand(step, all, "it does not have the address of every member");
                self.demand(step, world.links.insert(*link), "there is such a link already");
                let wanted = self.priority_of(*link);
                self.demand(
                    step,
                    *priority == wanted,
                    "it gives the link another priority than the file",
                );
                for (node, address) in addresses {
                    self.end_of_link(step, world, node, *link, *address);
                    let taken = world.addresses.insert(*address, node.clone()).is_some();
                    self.demand(step, !taken, "one of its addresses is used twice");
                }
            }
            Action::RemoveQdevice { .. } | Action::SetUpQdevice { .. } => self.third_vote(step, world),
            Action::AdmitKeys { minutes, .. } => {
                self.demand(step, (1..=60).contains(minutes), "it lets keys in for too long");
            }
            Action::InstallPackages { .. }
            | Action::AllowAgents { .. }
            | Action::WithdrawKeys { .. }
            | Action::DisarmHa { .. }
            | Action::ArmHa { .. }
            | Action::StopHa { .. }
            | Action::StartHa { .. } => {}
            Action::CreatePool { layout } => self.pool(step, layout),
            Action::GrowPool { layout } => self.growth(step, layout),
            Action::WipeDisk { disk, carries } => self.wipe(step, disk, carries),
            Action::ReplaceDisk { pool, old, with, .. } => self.replacement(step, pool, old, with),
            Action::AddStorage { storage, .. } => self.adds_storage(step, storage),
            Action::ExtendStorage { storage, .. } => self.extends_storage(step, storage),
            Action::CreateReplication { .. }
            | Action::ChangeReplication { .. }
            | Action::RemoveReplication { .. }
            | Action::SetMigrationNetwork { .. }
            | Action::AddHaResource { .. }
            | Action::ChangeHaResource { .. }
            | Action::SetHaRule { .. }
            | Action::SetHaGroup { .. } => self.protects(step),
            Action::UpgradeAgent { version, package, .. } => {
                let asked = self.wish.upgrade.as_ref();
                let asked = asked.is_some_and(|asked| asked.version == *version && asked.package == *package);
                self.demand(step, asked, "nobody asked for this version");
            }
            Action::MigrateGuest { guest, target, .. } => self.moves_guest(step, *guest, target),
            Action::RunGuest { guest, run, .. } => self.runs_guest(step, *guest, *run),
            Action::SetMaintenance { node, on, .. } => self.sets_maintenance(step, node, *on),
            Action::RebootNode { boot, .. } => self.reboots(step, boot),
            Action::KeepVolumes {
                guest, volumes, since, ..
            } => self.keeps(step, *guest, volumes, *since),
            Action::InjectFault { .. } => self.demand(step, false, "no plan rehearses failures"),
            Action::SyncReplication { .. } => self.demand(step, false, "no plan hurries copies"),
            Action::CreateCanary { .. } => self.makes_canary(step),
            Action::DestroyCanary { guest, .. } => self.destroys_canary(step, *guest),
            Action::TakeGuest { .. } => self.takes_guest(step),
            Action::FreeCanaryDisc { .. } => self.frees_disc(step),
        }
    }

    fn comes_in(&mut self, step: &Step, world: &mut World) {
        let (Action::CreateCluster { links, .. } | Action::JoinCluster { links, .. }) = &step.action else {
            return;
        };
        let counted = world.online.contains(&step.node) || world.offline.contains(&step.node);
        self.demand(step, !counted, "its node is a member already");
        self.demand(
            step,
            self.file.members().any(|(n, _)| *n == step.node),
            "the cluster file does not name its node",
        );
        let alone = Condition::Standalone {
            node: step.node.clone(),
        };
        self.gate(step, &alone, "its gate does not see the node standalone");
        self.demand(step, world.device.is_none(), "a QDevice is configured meanwhile");
        match &step.action {
            Action::JoinCluster {
                member, member_address, ..
            } => {
                self.exactly_the_members(step, world);
                let inside = world.online.contains(member);
                self.demand(step, inside, "it joins through a server that is no member by then");
                let known = self.addresses_of(member).contains(member_address);
                self.demand(step, known, "the member does not have that address");
                // The joiner counts before it votes. A lone member can't avoid losing its quorum for that moment.
                let expected = world.expected() + 1;
                let keeps = world.present() > expected / 2;
                let lone = world.online.len() == 1 && world.offline.is_empty();
                self.demand(step, keeps || lone, "it takes the quorum from the members that are in");
                self.demand(step, links.keys().eq(world.links.iter()), "it has other links");
            }
            _ => {
                let first = world.online.is_empty() && world.offline.is_empty();
                self.demand(step, first, "it creates a cluster where there is one");
                self.demand(step, !links.is_empty(), "it has no link");
                world.links = links.keys().copied().collect();
            }
        }
        if let Action::CreateCluster { priorities, .. } = &step.action {
            let as_written = links.keys().all(|n| priorities.get(n).copied() == self.priority_of(*n));
            self.demand(step, as_written, "it gives a link another priority than the file");
        }
        for (number, address) in links {
            self.end_of_link(step, world, &step.node, *number, *address);
            let unique = world.addresses.insert(*address, step.node.clone()).is_none();
            self.demand(step, unique, "one of its addresses is used twice");
        }
        world.online.insert(step.node.clone());
        world.votes.insert(step.node.clone(), 1);
        world.by_fiat = false;
        self.leaves_exactly(step, world);
    }

    fn priority_of(&self, link: u8) -> Option<u8> {
        let link = self.file.cluster.links.get(usize::from(link))?;
        link.priority.as_ref().map(|priority| priority.value)
    }

    /// A server's end of a link is the one that the file names, or lies in the link's network; and all ends are of one family.
    fn end_of_link(&mut self, step: &Step, world: &mut World, node: &NodeName, link: u8, address: IpAddr) {
        let (file, at) = (self.file, usize::from(link));
        let spec = file.nodes.get(node);
        let fits = if let Some(own) = spec.and_then(|spec| spec.links.as_ref()) {
            own.get(at).is_some_and(|own| own.value == address)
        } else if file.cluster.links.is_empty() {
            link == 0 && spec.is_none_or(|spec| spec.address.value == address)
        } else {
            let network = file.cluster.links.get(at).and_then(|link| link.network.as_ref());
            network.is_some_and(|network| network.value.contains(&address))
        };
        self.demand(step, fits, "an end of a link is not where the file wants it");
        let ipv4 = *world.ipv4.entry(link).or_insert(address.is_ipv4());
        self.demand(step, ipv4 == address.is_ipv4(), "a link is to run over IPv4 and IPv6");
    }

    fn goes_out(&mut self, step: &Step, removed: &NodeName, id: u32, world: &mut World) {
        self.exactly_the_members(step, world);
        self.demand(
            step,
            world.offline.contains(removed),
            "it takes out a server that is in, or is no member",
        );
        self.demand(
            step,
            world.online.contains(&step.node),
            "it goes by a server that is not in by then",
        );
        // Of one that says itself that it is half in, the word about the others is old.
        let speakers = self.members().filter(|(node, _)| world.online.contains(*node));
        let unique = speakers.into_iter().all(|(_, member)| {
            let mut same = member
                .configured
                .iter()
                .filter(|n| n.id == id || n.name == removed.as_str());
            same.next().is_some_and(|n| n.id == id && n.name == removed.as_str()) && same.next().is_none()
        });
        self.demand(
            step,
            unique,
            "its id is not that server's alone: it would kill another one",
        );

        let wished = self.is_removed(removed) && !self.file.nodes.contains_key(removed);
        let never_in = self.stands_alone(removed) || self.wish.undo_join.contains(removed);
        self.demand(step, wished || never_in, "nobody consented to it");
        let said = !self.silent(removed) || self.wish.is_off.contains(removed);
        self.demand(step, said, "nobody said that it is off");
        // One that is off can't be waited for: the QDevice can only be taken off while all are online.
        let goes_now = self
            .plan
            .steps
            .iter()
            .any(|s| matches!(s.action, Action::PowerOff { .. }) && s.node == *removed);
        self.demand(
            step,
            !goes_now || world.device.is_none(),
            "a QDevice is configured meanwhile",
        );
        let seen_off = step.gate.iter().any(|c| match c {
            Condition::Off { node, .. } | Condition::Standalone { node } => node == removed,
            _ => false,
        });
        self.demand(
            step,
            seen_off || !self.view.nodes.contains_key(removed),
            "its gate sees it neither off nor alone",
        );
        self.demand(step, world.quorate(), "there is no quorum for it");
        world.offline.remove(removed);
        world.addresses.retain(|_, node| node != removed);
        world.by_fiat = false;
        self.demand(step, world.quorate(), "it takes the quorum from the others");
        self.leaves_exactly(step, world);
    }

    fn third_vote(&mut self, step: &Step, world: &mut World) {
        // What comes back whatever happened is for whoever is in by then: that is what its own gate asks.
        let again = step.restores.is_some();
        let due = step.gate.iter().any(|c| match c {
            Condition::QdeviceDue { via, nodes, .. } => *via == step.node && world.online.is_subset(nodes),
            _ => false,
        });
        if again {
            self.demand(step, due, "its gate does not see that a QDevice is due");
        } else {
            self.exactly_the_members(step, world);
        }
        self.demand(step, world.offline.is_empty(), "not all members are online by then");
        let plan = self.plan;
        let Action::SetUpQdevice { host, address, .. } = &step.action else {
            self.demand(step, world.device.is_some(), "there is no QDevice by then");
            let again = plan
                .steps
                .iter()
                .any(|s| matches!(s.action, Action::SetUpQdevice { .. }));
            let consent = self.wish.removed().next().is_some() && self.file.qnetd().is_none();
            // A selection may end before it is set up again; the file then still names it.
            self.demand(
                step,
                again || consent || self.file.qnetd().is_some(),
                "nobody consented to it",
            );
            world.device = None;
            self.demand(step, world.quorate(), "it takes the quorum from the members");
            return;
        };
        self.demand(step, world.device.is_none(), "there is a QDevice already");
        let named = self
            .file
            .qnetd()
            .is_some_and(|(name, spec)| name == host && spec.address.value == *address);
        self.demand(step, named, "the cluster file names another host for it");
        let inside = world.online.contains(host) || self.view.coordinator_on.as_ref() == Some(host);
        let with_ca = self.view.coordinator_addresses.contains(address);
        self.demand(step, !inside && !with_ca, "that host is a member, or holds the CA");
        let votes: u32 = world.online.iter().map(|n| world.votes_of(n)).sum();
        // A selection may end between two joins: then there is nothing to set up again.
        self.demand(step, again || votes.is_multiple_of(2), "the number of votes is odd");
        let admitted = step
            .gate
            .iter()
            .any(|c| matches!(c, Condition::KeysAdmitted { node, .. } if node == host));
        self.demand(step, admitted, "its gate does not see its key admitted");
        for node in &world.online {
            let has = |packages: &BTreeSet<Package>| packages.contains(&Package::CorosyncQdevice);
            let seen = step
                .gate
                .iter()
                .any(|c| matches!(c, Condition::Installed { node: on, packages } if on == node && has(packages)));
            let seen = seen || (again && due);
            self.demand(step, seen, "its gate does not see corosync-qdevice on every member");
        }
        if votes.is_multiple_of(2) {
            world.device = Some((1, 1));
        }
    }
}
