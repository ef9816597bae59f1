//! Where each guest of the lost server is started: on the server whose copy is the newest of those that it can be started from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_model::finding::{Code, Finding};
use quorate_model::guest_ids::JobId;
use quorate_model::ids::NodeName;
use quorate_model::lost::{Fate, LostCopy, LostGuest, Search};
use quorate_model::observation::GuestKind;
use quorate_model::time::spoken;
use quorate_model::{Facet, Timestamp, View};

use crate::report::Report;

/// So long HA takes to start a guest of a server that is lost, once there is quorum. Source: pve-ha-manager: 60 s until a node that is away is fenced,
/// and its lock expires 120 s after it was last renewed; a new master waits as long for its own.
const HA_TAKES: &str = "some two minutes after the server was lost, a minute more if it was HA's master";

/// A guest that is taken over.
#[derive(Debug)]
pub(super) struct Chosen<'v> {
    pub(super) vmid: u32,
    pub(super) kind: GuestKind,
    pub(super) name: Option<&'v str>,
    /// The server that it is started on.
    pub(super) on: &'v NodeName,
    pub(super) copy: LostCopy,
    pub(super) jobs: BTreeSet<JobId>,
    pub(super) starts: bool,
}

/// What one server says of a guest, and when it looked.
#[derive(Clone, Copy)]
struct Says<'v> {
    on: &'v NodeName,
    guest: &'v LostGuest,
    at: Timestamp,
}

/// Chooses for all of them, by id, and tells of each. `online`, `owned`: the servers that are left, and the guests that are the lost one's. `named`: only these, each of which is started; empty: all.
pub(super) fn choose<'v>(
    (view, search): (&View, &'v Search),
    (online, owned): (&BTreeSet<NodeName>, &BTreeSet<u32>),
    named: &BTreeSet<u32>,
    report: &mut Report,
) -> Vec<Chosen<'v>> {
    let mut said: BTreeMap<u32, Vec<Says<'v>>> = BTreeMap::new();
    for (on, survivor) in search.survivors.iter().filter(|(node, _)| online.contains(node)) {
        let Ok(survivor) = survivor else { continue };
        match &survivor.guests {
            Facet::Known { value, collected_at } => {
                for guest in value {
                    said.entry(guest.vmid).or_default().push(Says {
                        on,
                        guest,
                        at: *collected_at,
                    });
                }
            }
            Facet::Unknown(unknown) => report.tell(Finding::new(
                Code::GuestNotRecoverable,
                on.as_str(),
                format!("what could become of guests on {on} is not known: {}", unknown.reason),
                format!("on {on}: quorate-agent observe config"),
            )),
        }
    }
    said.iter()
        .filter(|(vmid, _)| owned.contains(vmid) && (named.is_empty() || named.contains(vmid)))
        .filter_map(|(vmid, says)| one(view, says, (named.contains(vmid), &search.node), report))
        .collect()
}

fn one<'v>(
    view: &View,
    says: &[Says<'v>],
    (named, lost): (bool, &NodeName),
    report: &mut Report,
) -> Option<Chosen<'v>> {
    let first = says.first()?.guest;
    let subject = format!("guest {}", first.vmid);
    let mut best: Option<(Says<'v>, LostCopy)> = None;
    for says in says {
        if let Fate::Recoverable { copy, .. } = &says.guest.fate
            && best.is_none_or(|(_, known)| copy.is_better_than(known))
        {
            best = Some((*says, *copy));
        }
    }
    let Some((chosen, copy)) = best else {
        report.tell(left((view, lost), says, first, &subject));
        return None;
    };
    let Fate::Recoverable { jobs, starts, .. } = &chosen.guest.fate else {
        return None;
    };
    let called = called(first.kind, first.vmid, first.name.as_deref());
    let each: Vec<String> = says.iter().map(|says| here(view, lost, *says)).collect();
    report.tell(Finding::new(
        Code::RecoveryCopy,
        &subject,
        format!("{called} is taken over on {}: {}", chosen.on, each.join("; ")),
        match copy.at() {
            None => "its disks are those that it had: nothing of it is lost".to_owned(),
            Some(_) => format!("what it wrote since is on {lost} alone, and is kept there until somebody decides"),
        },
    ));
    for other in says.iter().filter(|other| other.on != chosen.on) {
        if other.guest.copy.is_some_and(|has| has.is_better_than(copy)) {
            let why = match &other.guest.fate {
                Fate::Not(why) | Fate::Ha(why) => why.as_str(),
                Fate::Template | Fate::Recoverable { .. } => "",
            };
            report.tell(Finding::new(
                Code::RecoveryNewerCopy,
                &subject,
                format!(
                    "{} has a newer copy of {called} than {}, and it can't be started there ({why}); once it runs on {}, PVE overwrites that copy",
                    other.on, chosen.on, chosen.on
                ),
                format!(
                    "mend that and ask again; or go on without it: --accept {}",
                    Code::RecoveryNewerCopy.as_str()
                ),
            ));
        }
    }
    Some(Chosen {
        vmid: first.vmid,
        kind: first.kind,
        name: first.name.as_deref(),
        on: chosen.on,
        copy,
        jobs: jobs.iter().cloned().collect(),
        starts: *starts || named,
    })
}

/// What a server has of it. A copy bears the time of the lost server's clock, and was seen by the clock of the one that has it.
fn here(view: &View, lost: &NodeName, says: Says<'_>) -> String {
    let Says { on, guest, at } = says;
    let of = |sent: Timestamp| match view.age_of((lost.as_str(), sent), (on.as_str(), at)) {
        Ok(age) => {
            let age = Duration::from_micros(u64::try_from(age.likely).unwrap_or(0));
            format!("a copy that is {} old (of {sent})", spoken(age))
        }
        Err(unknown) => format!("a copy of {sent} by the clock of {lost} ({})", unknown.reason),
    };
    let age = |copy: LostCopy| match copy {
        LostCopy::Whole => "its disks are there themselves".to_owned(),
        LostCopy::Of(sent) => of(sent),
        LostCopy::Uneven(sent) => format!("{}, whose disks are NOT of one moment", of(sent)),
    };
    match (&guest.fate, guest.copy) {
        (Fate::Recoverable { copy, .. }, _) => format!("on {on} {}", age(*copy)),
        (Fate::Not(why), Some(copy)) => format!("on {on} {}, which can't be started: {why}", age(copy)),
        (Fate::Not(why), None) => format!("on {on} none: {why}"),
        (Fate::Ha(why), _) => format!("on {on}: {why}"),
        (Fate::Template, _) => format!("on {on}: a template"),
    }
}

/// Why it is taken over nowhere.
fn left((view, lost): (&View, &NodeName), says: &[Says<'_>], first: &LostGuest, subject: &str) -> Finding {
    let called = called(first.kind, first.vmid, first.name.as_deref());
    match &first.fate {
        Fate::Ha(why) => Finding::new(
            Code::RecoveryByHa,
            subject,
            format!("{called} is left to HA: {why}"),
            format!(
                "HA takes {HA_TAKES}; if it is disarmed: ha-manager crm-command arm-ha; to have it done here instead, for good: ha-manager set {} \
                 --state ignored, then ask again",
                quorate_model::moves::service_id(first.kind, first.vmid)
            ),
        ),
        Fate::Template => Finding::new(
            Code::RecoveryCopy,
            subject,
            format!("{called} is a template: nothing of it runs, and it stays where it is"),
            "",
        ),
        Fate::Not(_) | Fate::Recoverable { .. } => {
            let each: Vec<String> = says.iter().map(|says| here(view, lost, *says)).collect();
            Finding::new(
                Code::GuestNotRecoverable,
                subject,
                format!("{called} can be started nowhere: {}", each.join("; ")),
                "when the reason is gone, ask again; else restore it from its last backup, or bring its server back",
            )
        }
    }
}

/// `VM 100 (mail)`, `container 101`.
pub(super) fn called(kind: GuestKind, vmid: u32, name: Option<&str>) -> String {
    let word = match kind {
        GuestKind::Vm => "VM",
        GuestKind::Container => "container",
    };
    name.map_or_else(|| format!("{word} {vmid}"), |name| format!("{word} {vmid} ({name})"))
}
