//! What all rails look at: a quorate member that is not the victim, and what it and the others say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::drill::Circumstances;
use quorate_model::facet::Unknown;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::Member;
use quorate_model::observation::ha::{HaPlacement, HaResource, ManagerStatus};
use quorate_model::observation::{ConfiguredGuest, PveConfig, ReplicationJob};
use quorate_model::outlook::{GuestOutlook, Outlook, outlook};
use quorate_model::spec::{ClusterFile, ReturningNode};
use quorate_model::{View, copies};

use super::{Around, CANARY, Request, timing};
use crate::report::Report;

pub(super) struct Scene<'v> {
    pub(super) view: &'v View,
    pub(super) cluster: &'v str,
    /// Who is believed about the cluster: not the victim.
    pub(super) speaker: &'v NodeName,
    pub(super) member: &'v Member,
    /// All members, by the running configuration.
    pub(super) members: BTreeSet<NodeName>,
    pub(super) config: &'v PveConfig,
    pub(super) guests: &'v [ConfiguredGuest],
    pub(super) jobs: &'v [ReplicationJob],
    pub(super) resources: &'v BTreeMap<String, HaResource>,
    pub(super) placements: &'v [HaPlacement],
    pub(super) manager: Option<&'v ManagerStatus>,
    pub(super) outlook: Outlook,
}

impl<'v> Scene<'v> {
    /// `None`: something that everything hangs on could not be seen, which is told.
    pub(super) fn see(file: &'v ClusterFile, view: &'v View, request: &Request, report: &mut Report) -> Option<Self> {
        let cluster = file.cluster.name.value.as_str();
        let quorate = |node: &&NodeName| {
            let seen = view.cluster_of(node).ok().and_then(|seen| seen.member());
            **node != request.node && seen.is_some_and(|member| member.cluster == cluster && member.quorate)
        };
        let Some(speaker) = view.nodes.keys().find(quorate) else {
            let message = format!("no server but {} says that it is quorate in {cluster}", request.node);
            report.tell(Finding::new(Code::DrillUnseen, cluster, message, "quorate status"));
            return None;
        };
        let member = view.cluster_of(speaker).ok()?.member()?;
        let mut unseen = |what: &str, unknown: &Unknown| unseen(report, speaker, what, unknown);
        let config = view
            .facet(speaker, |o| &o.config)
            .inspect_err(|why| unseen("the files of /etc/pve", why));
        let ha = view.facet(speaker, |o| &o.ha).inspect_err(|why| unseen("HA", why));
        let outlook =
            outlook(view, speaker, &request.node).inspect_err(|why| unseen("what becomes of the guests", why));
        let (config, ha, outlook) = (config.ok()?, ha.ok()?, outlook.ok()?);
        let guests = config.guests.get().inspect_err(|why| unseen("the guests", why));
        let jobs = config
            .replication
            .get()
            .inspect_err(|why| unseen("the replication jobs", why));
        let resources = ha.resources.get().inspect_err(|why| unseen("what is under HA", why));
        let placements = ha.placements.get().inspect_err(|why| unseen("HA's rules", why));
        let manager = ha.manager.get().inspect_err(|why| unseen("what HA's master says", why));
        Some(Self {
            view,
            cluster,
            speaker,
            member,
            members: member.nodes.iter().filter_map(|node| node.name.parse().ok()).collect(),
            config,
            guests: guests.ok()?,
            jobs: jobs.ok()?,
            resources: resources.ok()?,
            placements: placements.ok()?,
            manager: manager.ok()?.as_ref(),
            outlook,
        })
    }

    /// The members but the victim.
    pub(super) fn others(&self, victim: &NodeName) -> impl Iterator<Item = &NodeName> {
        let victim = victim.clone();
        self.members.iter().filter(move |node| **node != victim)
    }

    pub(super) fn guest(&self, id: u32) -> Option<&'v ConfiguredGuest> {
        self.guests.iter().find(|guest| guest.guest.vmid == id)
    }

    /// What becomes of a guest of the victim if it is lost.
    pub(super) fn outlook_of(&self, id: u32) -> Option<&GuestOutlook> {
        self.outlook.guests.iter().find(|guest| guest.vmid == id)
    }

    /// A guest of ours, which may be broken.
    pub(super) fn is_canary(guest: &ConfiguredGuest) -> bool {
        guest
            .config
            .get()
            .is_ok_and(|config| config.tags.iter().any(|tag| tag == CANARY))
    }

    /// Is it a canary of ours, of which a server that returns is held back by its jobs?
    pub(super) fn holds_canary(&self, id: u32) -> bool {
        let holds = |job: &ReplicationJob| {
            let comment = job.comment.as_deref().and_then(ReturningNode::of_comment);
            comment == Some(ReturningNode::Hold)
        };
        self.guest(id).is_some_and(Self::is_canary) && self.jobs_of(id).any(holds)
    }

    pub(super) fn jobs_of(&self, id: u32) -> impl Iterator<Item = &'v ReplicationJob> {
        self.jobs.iter().filter(move |job| job.guest == id)
    }

    /// The oldest that any copy of the guest gets by its schedule; `None`: it has none, or that can't be told.
    pub(super) fn copied_every(&self, id: u32) -> Option<Duration> {
        self.jobs_of(id).filter_map(|job| copies::promised(job, None)).max()
    }

    pub(super) fn circumstances(&self, request: &Request, around: &Around) -> Circumstances {
        let nodes = u32::try_from(self.member.online().count()).unwrap_or(u32::MAX);
        let victim = self.view.facet(&request.node, |o| &o.ha).ok();
        Circumstances {
            fault: request.fault.clone(),
            kind: request.kind,
            lasts: request.lasts,
            guest: request.guest,
            timing: timing(around, nodes),
            master: self.manager.map(|manager| manager.master == request.node.as_str()),
            qdevice: self.member.qdevice.is_some(),
            armed: victim.map(|ha| ha.watchdog_armed),
            boot: around.boot,
            copied_every: self.copied_every(request.guest),
            stays: None,
        }
    }
}

/// Something that decides could not be seen.
pub(super) fn unseen(report: &mut Report, node: &NodeName, what: &str, unknown: &Unknown) {
    let message = format!("{what} could not be seen on {node}: {}", unknown.reason);
    let next = format!("quorate status; on {node}: quorate-agent observe");
    report.tell(Finding::new(Code::DrillUnseen, node.as_str(), message, next));
}
