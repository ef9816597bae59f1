//! What is known of guests, servers and HA before anything is moved, by the word of one quorate member and of each server about itself.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::View;
use quorate_model::clocks::NotNow;
use quorate_model::facet::{Unknown, UnknownKind};
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::moves::service_id;
use quorate_model::observation::ha::{HaResource, ManagerStatus};
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestStatus, Ha, ReplicationJob};
use quorate_model::spec::ClusterFile;

use crate::report::{Report, Weight, facet_unknown};

/// All that is looked at.
pub(super) struct Scene<'v> {
    pub(super) view: &'v View,
    pub(super) cluster: &'v ClusterName,
    /// Members that are online, by the speaker's word.
    pub(super) online: BTreeSet<NodeName>,
    pub(super) guests: &'v [ConfiguredGuest],
    pub(super) jobs: &'v [ReplicationJob],
    pub(super) resources: &'v BTreeMap<String, HaResource>,
    pub(super) manager: Option<&'v ManagerStatus>,
    /// Why the master's word is old, or can't be told to be new.
    pub(super) silent: Option<NotNow>,
    ha: &'v Ha,
}

impl<'v> Scene<'v> {
    /// `None`: something that all of it depends on can't be seen, which is told.
    pub(super) fn see(file: &'v ClusterFile, view: &'v View, report: &mut Report) -> Option<Self> {
        let cluster = &file.cluster.name.value;
        let member = |node: &&NodeName| {
            let seen = view.cluster_of(node).ok().and_then(|seen| seen.member());
            seen.is_some_and(|member| member.cluster == cluster.as_str() && member.quorate)
        };
        let Some(speaker) = view.nodes.keys().find(member) else {
            report.tell(Finding::new(
                Code::ClusterNotQuorate,
                cluster.as_str(),
                format!("no server says that it is quorate in {cluster}: no guest can be moved"),
                "quorate status",
            ));
            return None;
        };
        let member = view.cluster_of(speaker).ok()?.member()?;
        let online = member.online().filter_map(|name| NodeName::new(name).ok()).collect();
        let config = report.facet(view, speaker, FacetName::Config, Weight::Needed, |o| &o.config);
        let ha: Option<&Ha> = report.facet(view, speaker, FacetName::Ha, Weight::Needed, |o| &o.ha);
        let (config, ha) = (config?, ha?);
        let mut unknown = |facet, what: &str, unknown: &Unknown| {
            report.tell(facet_unknown(speaker, facet, what, unknown));
        };
        let guests = config
            .guests
            .get()
            .inspect_err(|why| unknown(FacetName::Config, "the guests", why));
        let jobs = config.replication.get();
        let jobs = jobs.inspect_err(|why| unknown(FacetName::Config, "the replication jobs", why));
        let resources = ha
            .resources
            .get()
            .inspect_err(|why| unknown(FacetName::Ha, "what is under HA", why));
        let manager = ha
            .manager
            .get()
            .inspect_err(|why| unknown(FacetName::Ha, "what HA does", why));
        Some(Self {
            view,
            cluster,
            online,
            guests: guests.ok()?,
            jobs: jobs.ok()?,
            resources: resources.ok()?,
            manager: manager.ok()?.as_ref(),
            silent: view.manager_now(speaker).err(),
            ha,
        })
    }

    /// Is it under HA, so that PVE's own commands would hand it over to HA?
    pub(super) fn is_managed(&self, guest: &ConfiguredGuest) -> bool {
        let resource = self.resources.get(&sid(guest));
        resource.is_some_and(|resource| resource.state != "ignored")
    }

    /// Why HA would not leave a guest on a server, when this one is not there for it.
    pub(super) fn sent_back(
        &self,
        guest: &ConfiguredGuest,
        target: &NodeName,
        without: Option<&NodeName>,
    ) -> Option<(Code, String)> {
        let there = |node: &&NodeName| without != Some(*node) && !self.in_maintenance(node);
        let online = self.online.iter().filter(there).map(NodeName::as_str).collect();
        match self.ha.sends_back(&sid(guest), target.as_str(), &online) {
            Ok(None) => None,
            Ok(Some(why)) => Some((Code::MigrationTarget, why)),
            Err(unknown) => Some((
                Code::FacetUnknown,
                format!("what binds it under HA can't be seen: {}", unknown.reason),
            )),
        }
    }

    /// The guest itself, and those that HA moves along with it.
    pub(super) fn moved_with(&self, guest: &ConfiguredGuest) -> Result<BTreeSet<u32>, Unknown> {
        let mut all = if self.is_managed(guest) {
            self.ha.moved_along(&sid(guest))?
        } else {
            BTreeSet::new()
        };
        all.insert(guest.guest.vmid);
        Ok(all)
    }

    /// Is HA in use at all?
    pub(super) fn has_ha(&self) -> bool {
        !self.resources.is_empty()
    }

    /// Does HA have this node in maintenance, or on the way there?
    pub(super) fn in_maintenance(&self, node: &NodeName) -> bool {
        self.manager.is_some_and(|manager| {
            let state = manager.nodes.get(node.as_str());
            manager.maintenance.contains(node.as_str()) || state.is_some_and(|state| state == "maintenance")
        })
    }

    /// Whose configuration lies with this node, by id.
    pub(super) fn guests_of(&self, node: &NodeName) -> impl Iterator<Item = &'v ConfiguredGuest> {
        let node = node.to_string();
        self.guests.iter().filter(move |guest| guest.guest.node == node)
    }

    pub(super) fn guest(&self, id: u32) -> Option<&'v ConfiguredGuest> {
        self.guests.iter().find(|guest| guest.guest.vmid == id)
    }

    /// How a guest runs, by its owner's word.
    pub(super) fn status(&self, guest: &ConfiguredGuest) -> Result<&'v GuestStatus, Unknown> {
        let owner = NodeName::new(guest.guest.node.as_str())
            .map_err(|error| Unknown::new(UnknownKind::Unparsable, error.to_string()))?;
        let running = self.view.facet(&owner, |o| &o.running)?;
        let own = running.iter().find(|status| status.vmid == guest.guest.vmid);
        own.ok_or_else(|| {
            let why = format!("{owner} does not say how guest {} runs", guest.guest.vmid);
            Unknown::new(UnknownKind::Failed, why)
        })
    }

    /// Servers that could take a guest of `from`: online members whose agents are known.
    pub(super) fn others(&self, from: &NodeName) -> BTreeSet<NodeName> {
        let enrolled = self.online.iter().filter(|node| self.view.nodes.contains_key(*node));
        enrolled.filter(|node| *node != from).cloned().collect()
    }
}

/// What HA calls it.
pub(super) fn sid(guest: &ConfiguredGuest) -> String {
    service_id(guest.guest.kind, guest.guest.vmid)
}
