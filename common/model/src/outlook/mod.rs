//! What becomes of the guests if a node is lost: where PVE's HA manager starts them again, whether they can run there, and whether the
//! others have room for them. Pure; PVE itself looks at neither copies nor storages nor memory when it chooses (facts: recovery node
//! selection), so each of these is a question of its own.

mod choose;
mod readiness;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use crate::facet::Unknown;
use crate::ids::NodeName;
use crate::observation::cluster::Member;
use crate::observation::{FacetName, GuestKind, Membership};
use crate::view::View;
use serde::{Deserialize, Serialize};

pub use room::Room;

/// What the view must hold for it.
pub const NEEDS: [FacetName; 9] = [
    FacetName::System,
    FacetName::Network,
    FacetName::Cluster,
    FacetName::Guests,
    FacetName::Running,
    FacetName::Replication,
    FacetName::Ha,
    FacetName::Config,
    FacetName::Storages,
];

/// What becomes of the guests of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// The node that is lost.
    pub lost: NodeName,
    /// Do the others have quorum then? Without it nothing is started anywhere.
    pub quorum: Answer,
    /// Its guests, by id.
    pub guests: Vec<GuestOutlook>,
    /// What each of the others has to carry afterwards.
    pub rooms: BTreeMap<NodeName, Room>,
}

/// What becomes of one guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestOutlook {
    /// Its id.
    pub vmid: u32,
    /// What it is.
    pub kind: GuestKind,
    /// Its name, as far as that is known.
    pub name: Option<String>,
    /// What HA does with it.
    pub fate: Fate,
    /// Whether it can run there: on the node that is chosen, or on each that may be.
    pub checks: Vec<Check>,
}

/// What HA does with a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum Fate {
    /// It is started there.
    Recovered {
        /// Where.
        on: NodeName,
    },
    /// It is started on one of them; which, can't be told beforehand.
    OneOf {
        /// Where it may be.
        nodes: BTreeSet<NodeName>,
        /// Why that can't be told.
        reason: String,
    },
    /// It is moved there, and stays off, as it is now.
    MovedOff {
        /// Where.
        on: NodeName,
    },
    /// HA looks after it, and does not start it: no node is left for it, or HA is at rest, or has given it up.
    Waits {
        /// Why.
        reason: String,
    },
    /// It stays with its node.
    StaysDown {
        /// Why.
        reason: String,
    },
    /// It can't be told.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl Fate {
    /// The nodes that it may be started on.
    #[must_use]
    pub fn nodes(&self) -> BTreeSet<NodeName> {
        match self {
            Self::Recovered { on } | Self::MovedOff { on } => BTreeSet::from([on.clone()]),
            Self::OneOf { nodes, .. } => nodes.clone(),
            Self::Waits { .. } | Self::StaysDown { .. } | Self::Unknown { .. } => BTreeSet::new(),
        }
    }
}

/// One question about a guest on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The node.
    pub node: NodeName,
    /// The question.
    pub asks: Asks,
    /// What is known.
    pub answer: Answer,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// Are its disks there, and how old are they?
    Disks,
    /// Are the storages of its disks active?
    Storage,
    /// Are the bridges of its network cards there?
    Bridge,
    /// Can the node give it the processor that it is configured for?
    Processor,
    /// Is it bound to devices of its present node?
    Devices,
    /// Is there memory for it?
    Memory,
}

impl Asks {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Disks,
        Self::Storage,
        Self::Bridge,
        Self::Processor,
        Self::Devices,
        Self::Memory,
    ];

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disks => "disks",
            Self::Storage => "storage",
            Self::Bridge => "bridge",
            Self::Processor => "cpu",
            Self::Devices => "devices",
            Self::Memory => "memory",
        }
    }
}

/// Yes, no, or unproven; each with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", content = "reason")]
pub enum Answer {
    /// Seen to be so.
    Yes(String),
    /// Seen not to be so.
    No(String),
    /// Nobody has seen it, or what speaks for it is no proof.
    Unproven(String),
}

impl Answer {
    /// In a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Yes(_) => "yes",
            Self::No(_) => "NO",
            Self::Unproven(_) => "unproven",
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Yes(reason) | Self::No(reason) | Self::Unproven(reason) => reason,
        }
    }

    /// Of several answers, the one that decides: a no, else what is unproven.
    fn worst(answers: impl IntoIterator<Item = Answer>) -> Option<Answer> {
        answers.into_iter().max_by_key(|answer| match answer {
            Self::Yes(_) => 0,
            Self::Unproven(_) => 1,
            Self::No(_) => 2,
        })
    }
}

impl From<&Unknown> for Answer {
    fn from(unknown: &Unknown) -> Self {
        Self::Unproven(unknown.reason.clone())
    }
}

/// What becomes of the guests of a node of the cluster, if it is lost at this moment.
///
/// # Errors
/// Nothing can be said: no member tells who is in the cluster, which guests there are, or what HA looks after.
pub fn outlook(view: &View, speaker: &NodeName, lost: &NodeName) -> Result<Outlook, Unknown> {
    let cluster = view.cluster_of(speaker)?;
    let Membership::Member(member) = &cluster.membership else {
        let reason = format!("{speaker} is in no cluster");
        return Err(Unknown::new(crate::facet::UnknownKind::Failed, reason));
    };
    let online: BTreeSet<NodeName> = member
        .online()
        .filter(|node| *node != lost.as_str())
        .filter_map(|node| node.parse().ok())
        .collect();
    let ha = view.facet(speaker, |o| &o.ha)?;
    let config = view.facet(speaker, |o| &o.config)?;
    let guests = view.facet(speaker, |o| &o.guests)?;
    let mut stage = choose::Stage::of((view, speaker), ha, config, guests, online.clone());
    // In a server in maintenance there is room for nothing: nobody puts anything there.
    let online: BTreeSet<NodeName> = online.into_iter().filter(|node| stage.has(node)).collect();
    let mut own: Vec<_> = guests.iter().filter(|guest| guest.node == lost.as_str()).collect();
    // The manager goes through them by their names, as text.
    own.sort_by_key(|guest| choose::sid(guest));
    let mut found = Vec::new();
    for guest in own {
        let configured = config
            .guests
            .get()
            .map(|all| all.iter().find(|one| one.guest.vmid == guest.vmid));
        let fate = stage.fate(guest, configured.as_ref().ok().copied().flatten());
        found.push((guest, fate));
    }
    let rooms = room::rooms(view, config, guests, &online, lost, &found);
    let mut guests: Vec<GuestOutlook> = found
        .into_iter()
        .map(|(guest, fate)| {
            let settings = readiness::settings(config, guest.vmid);
            let asked = fate.nodes();
            let checks = asked
                .iter()
                .flat_map(|node| readiness::checks(view, speaker, config, guest, settings.as_ref(), node, &rooms))
                .collect();
            GuestOutlook {
                vmid: guest.vmid,
                kind: guest.kind,
                name: settings.ok().and_then(|settings| settings.name.clone()),
                fate,
                checks,
            }
        })
        .collect();
    guests.sort_by_key(|guest| guest.vmid);
    Ok(Outlook {
        lost: lost.clone(),
        quorum: quorum(member, lost),
        guests,
        rooms,
    })
}

/// Do the others have quorum without it?
fn quorum(member: &Member, lost: &NodeName) -> Answer {
    let votes = match member.votes.get() {
        Ok(votes) => votes,
        Err(unknown) => return unknown.into(),
    };
    let of = member.configured.iter().find(|node| node.name == lost.as_str());
    let Some(of) = of else {
        return Answer::Unproven(format!("corosync.conf does not name {lost}"));
    };
    let is_in = votes.rows.is_empty() || votes.rows.iter().any(|row| row.id == of.id);
    let left = votes.total.saturating_sub(if is_in { of.votes } else { 0 });
    let text = format!(
        "{left} of {} votes are left, {} are needed",
        votes.expected, votes.quorum
    );
    match (left >= votes.quorum, votes.device) {
        (false, _) => Answer::No(text),
        // A device that decides for one half gives its vote to the half with more nodes, or the one with the lowest id.
        (true, Some(device)) if device > 0 && left - device < votes.quorum => {
            Answer::Yes(format!("{text}, that of the QDevice among them"))
        }
        (true, _) => Answer::Yes(text),
    }
}
