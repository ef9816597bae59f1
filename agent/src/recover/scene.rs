//! Everything that a recovery is decided by, looked at now.

use std::collections::BTreeSet;
use std::net::IpAddr;

use quorate_model::facet::Unknown;
use quorate_model::failure::{ExitCode, Failure};
use quorate_model::observation::cluster::{Cluster, Member, Pmxcfs};
use quorate_model::observation::{FacetName, GuestKind};
use quorate_model::{ClusterName, Code, Finding, NodeName, Observation, Timestamp};

use super::Asked;
use super::evidence::Evidence;
use super::fates::{Copy, Fate, Guest, Held, Seen};
use super::record::{self, Record, Step};
use super::votes::{self, Quorum};
use super::{probes, refused};
use crate::host::Host;
use crate::observe::{hostname, observe};

pub(super) const FACETS: [FacetName; 6] = [
    FacetName::Cluster,
    FacetName::Config,
    FacetName::Ha,
    FacetName::Storages,
    FacetName::Network,
    FacetName::Strays,
];

/// What was seen, and what it comes to.
#[derive(Debug)]
pub(crate) struct Scene {
    /// The cluster.
    pub(crate) cluster: ClusterName,
    /// This server.
    pub(crate) own: NodeName,
    /// The server that is said to be lost.
    pub(crate) lost: String,
    /// When it was looked.
    pub(crate) now: Timestamp,
    /// What speaks for and against its being off.
    pub(crate) evidence: Evidence,
    /// The votes, as they are.
    pub(crate) votes: String,
    /// How it stands with quorum.
    pub(crate) quorum: Quorum,
    /// Something is under HA.
    pub(crate) ha_in_use: bool,
    /// Its guests; those that were not asked for are left out.
    pub(crate) guests: Vec<Guest>,
    /// Guests that an earlier, open recovery has brought here and not started.
    pub(crate) unfinished: Vec<(u32, GuestKind)>,
    /// The open record of an earlier try.
    pub(crate) record: Option<Record>,
    /// The address of its BMC, if one was named: what a ping to it came to stands among the evidence.
    pub(crate) bmc: Option<IpAddr>,
    /// What stands against it.
    pub(crate) findings: Vec<Finding>,
}

impl Scene {
    /// Looks.
    ///
    /// # Errors
    /// It makes no sense to ask, or what is needed can't be seen at all.
    pub(crate) async fn look(host: &Host, asked: &Asked) -> Result<Self, Failure> {
        let own = hostname(host);
        let seen = observe(host, &FACETS).await;
        let cluster = cluster(&seen)?;
        let member = member(cluster, &own, &asked.lost)?;
        let own: NodeName = own
            .parse()
            .map_err(|error| refused("this server's name can't be used").because(&error))?;
        let name: ClusterName = member
            .cluster
            .parse()
            .map_err(|error| refused("the cluster's name can't be used").because(&error))?;
        let network = seen.network.get();
        let mut evidence = probes::look(host, member, network, own.as_str(), &asked.lost).await;
        if let Some(address) = asked.bmc {
            evidence.cluster.push(probes::bmc(host, address).await);
        }
        let ha = seen.ha.get();
        let quorum = votes::judge(
            member,
            cluster.pmxcfs,
            ha,
            (own.as_str(), &asked.lost),
            asked.expected_votes,
        );
        let (guests, unknown) = guests(host, &seen, &own, &asked.lost).await;
        let record = open_record(host, &asked.lost)?;
        let mut scene = Self {
            cluster: name,
            lost: asked.lost.clone(),
            now: host.now(),
            evidence,
            votes: votes::explained(member),
            quorum,
            ha_in_use: in_use(&seen),
            guests,
            unfinished: unfinished(&seen, record.as_ref(), &own),
            record,
            bmc: asked.bmc,
            findings: Vec::new(),
            own,
        };
        scene.choose(&asked.guests)?;
        scene.judge(asked, unknown, &seen);
        Ok(scene)
    }

    /// Leaves out what was not asked for. Whoever names a guest wants it to run.
    fn choose(&mut self, wanted: &[u32]) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let known = |id: &u32| {
            self.guests.iter().any(|guest| guest.vmid == *id) || self.unfinished.iter().any(|(vmid, _)| vmid == id)
        };
        if let Some(strange) = wanted.iter().find(|id| !known(id)) {
            let message = format!("guest {strange} does not belong to {}", self.lost);
            return Err(Failure::new(ExitCode::NotFound, message)
                .hint("quorate-agent observe guests shows whose each guest is"));
        }
        self.guests.retain(|guest| wanted.contains(&guest.vmid));
        self.unfinished.retain(|(vmid, _)| wanted.contains(vmid));
        for guest in &mut self.guests {
            if let Fate::Recoverable { starts, .. } = &mut guest.fate {
                *starts = true;
            }
        }
        Ok(())
    }

    fn judge(&mut self, asked: &Asked, guests: Option<Unknown>, seen: &Observation) {
        self.findings.extend(self.evidence.against(&self.lost, asked.seen_off));
        if let Quorum::Refused(finding) = &self.quorum {
            self.findings.push(finding.clone());
        }
        if let Some(unknown) = guests {
            let message = format!("which guests {} has is not known: {}", self.lost, unknown.reason);
            self.findings.push(Finding::new(
                Code::FacetUnknown,
                self.own.as_str(),
                message,
                "see: quorate-agent observe config",
            ));
        }
        match seen.strays.get() {
            Ok(strays) => self.findings.extend(
                strays
                    .iter()
                    .map(|stray| stray.finding(self.own.as_str(), self.own.as_str())),
            ),
            Err(unknown) => {
                let message = format!(
                    "whether a guest of another server runs here is not known: {}",
                    unknown.reason
                );
                self.findings.push(Finding::new(
                    Code::FacetUnknown,
                    self.own.as_str(),
                    message,
                    "see: quorate-agent observe strays",
                ));
            }
        }
        let names: Vec<Finding> = self.guests.iter().filter_map(Guest::finding).collect();
        self.findings.extend(names);
    }

    /// Does anything forbid it?
    pub(crate) fn is_refused(&self) -> bool {
        self.findings.iter().any(Finding::refuses)
    }

    /// Those that can be started here: id, kind, copy, jobs, whether it is started.
    pub(crate) fn recoverable(
        &self,
    ) -> impl Iterator<Item = (&Guest, Copy, &Vec<quorate_model::guest_ids::JobId>, bool)> {
        self.guests.iter().filter_map(|guest| match &guest.fate {
            Fate::Recoverable { copy, jobs, starts } => Some((guest, *copy, jobs, *starts)),
            _ => None,
        })
    }

    /// Is anything left to do?
    pub(crate) fn has_work(&self) -> bool {
        self.recoverable().next().is_some() || !self.unfinished.is_empty()
    }
}

/// This node's view of its cluster.
///
/// # Errors
/// It can't be seen.
pub(crate) fn cluster(seen: &Observation) -> Result<&Cluster, Failure> {
    seen.cluster.get().map_err(|unknown| {
        refused(format!("the cluster can't be seen: {}", unknown.reason))
            .hint("see: systemctl status pve-cluster corosync")
    })
}

/// Its view as a member of the cluster that the lost server is in.
pub(super) fn member<'s>(cluster: &'s Cluster, own: &str, lost: &str) -> Result<&'s Member, Failure> {
    let Some(member) = cluster.member() else {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("{own} is in no cluster: there is nobody to take guests over from"),
        ));
    };
    if lost == own {
        return Err(
            Failure::new(ExitCode::Usage, format!("{own} is this server itself")).hint("ask on a server that is left")
        );
    }
    if !member.nodes.iter().any(|node| node.name == lost) {
        let names: Vec<&str> = member.nodes.iter().map(|node| node.name.as_str()).collect();
        let message = format!(
            "{lost} is no member of {}; members are {}",
            member.cluster,
            names.join(", ")
        );
        return Err(Failure::new(ExitCode::NotFound, message));
    }
    Ok(member)
}

fn in_use(seen: &Observation) -> bool {
    let resources = seen.ha.get().ok().and_then(|ha| ha.resources.get().ok());
    resources.is_none_or(|resources| resources.values().any(|resource| resource.state != "ignored"))
}

pub(super) async fn guests(
    host: &Host,
    seen: &Observation,
    own: &NodeName,
    lost: &str,
) -> (Vec<Guest>, Option<Unknown>) {
    let config = match seen.config.get() {
        Ok(config) => config,
        Err(unknown) => return (Vec::new(), Some(unknown.clone())),
    };
    let storages = seen.storages.get();
    let held = match storages {
        Ok(storages) => Held::look(host, storages, own).await,
        Err(_) => Held::default(),
    };
    let judged = Seen {
        own,
        lost,
        config,
        ha: seen.ha.get(),
        storages,
        network: seen.network.get(),
        held: &held,
    };
    match judged.guests() {
        Ok(guests) => (guests, None),
        Err(unknown) => (Vec::new(), Some(unknown)),
    }
}

pub(super) fn open_record(host: &Host, lost: &str) -> Result<Option<Record>, Failure> {
    let Some(state_dir) = host.state_dir() else {
        return Ok(None);
    };
    let open = record::open(state_dir).map_err(|error| refused("earlier recoveries can't be read").because(&error))?;
    Ok(open.into_iter().rfind(|record| record.lost == lost))
}

/// What an earlier try has brought here and not seen to run.
pub(super) fn unfinished(seen: &Observation, record: Option<&Record>, own: &NodeName) -> Vec<(u32, GuestKind)> {
    let Some(guests) = seen.config.get().ok().and_then(|config| config.guests.get().ok()) else {
        return Vec::new();
    };
    let taken = record.into_iter().flat_map(|record| &record.guests);
    taken
        .filter(|taken| taken.starts && taken.state >= Step::Moving && taken.state < Step::Running)
        .filter(|taken| {
            let is_here = |one: &quorate_model::observation::ConfiguredGuest| {
                one.guest.vmid == taken.vmid && one.guest.node == own.as_str()
            };
            guests.iter().any(is_here)
        })
        .map(|taken| (taken.vmid, taken.kind))
        .collect()
}

/// Names that are written more than once are meant once.
pub(crate) fn once(guests: &[u32]) -> Vec<u32> {
    let set: BTreeSet<u32> = guests.iter().copied().collect();
    set.into_iter().collect()
}

/// Is it mounted and writable, with quorum?
pub(crate) fn is_quorate(cluster: &Cluster) -> bool {
    cluster.pmxcfs == Pmxcfs::Writable && cluster.member().is_some_and(|member| member.quorate)
}
