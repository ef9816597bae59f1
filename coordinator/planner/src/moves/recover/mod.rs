//! `quorate recover --lost NODE`: the guests of a server that is off are started from their copies on those that are left. What was seen and heard
//! comes from the agents there; what it comes to is decided here, and asked once more on the server before each guest.

mod guests;
mod proof;
mod steps;

use std::collections::BTreeSet;

use quorate_model::View;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::{ClusterName, NodeName};
use quorate_model::lost::votes::{self, Quorum};
use quorate_model::observation::cluster::{Cluster, Member};
use quorate_model::observation::{ConfiguredGuest, FacetName, GuestRun};
use quorate_model::plan::Step;
use quorate_model::spec::ClusterFile;

use super::steps::Row;
use crate::report::{Report, Weight, in_a_row};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) lost: &'a NodeName,
    /// Empty: all of its guests.
    pub(super) guests: &'a BTreeSet<u32>,
    pub(super) votes: Option<u32>,
    pub(super) seen_off: bool,
}

pub(super) fn plan(file: &ClusterFile, asked: Asked<'_>, view: &View, report: &mut Report) -> Vec<Step> {
    let cluster = &file.cluster.name.value;
    let mut row = Row::new(cluster);
    let planned = all(cluster, asked, view, (&mut row, report));
    planned.map(|()| row.into_steps()).unwrap_or_default()
}

fn all(cluster: &ClusterName, asked: Asked<'_>, view: &View, (row, report): (&mut Row<'_>, &mut Report)) -> Option<()> {
    let lost = asked.lost;
    let Some((via, seen, member)) = speaker(view, cluster, lost) else {
        let message = format!("no server of {cluster} but {lost} answers: nothing can be taken over from here");
        let next = format!("on the console of one that is left: quorate-agent recover --lost {lost}");
        report.tell(Finding::new(Code::LostNodeUnknown, lost.as_str(), message, next));
        return None;
    };
    if !member.nodes.iter().any(|node| node.name == lost.as_str()) {
        let names = in_a_row(member.nodes.iter().map(|node| node.name.as_str()));
        let message = format!("{lost} is no member of {cluster}; members are {names}");
        report.tell(Finding::new(
            Code::LostNodeUnknown,
            lost.as_str(),
            message,
            "quorate status",
        ));
        return None;
    }
    let online: BTreeSet<NodeName> = member
        .online()
        .filter_map(|name| NodeName::new(name).ok())
        .filter(|node| node != lost)
        .collect();
    proof::weigh(view, lost, &online, asked.seen_off, report);
    let forced = quorum(view, (via, seen, member), asked, row, (&online, report));
    let search = view.lost.as_ref().filter(|search| search.node == *lost)?;
    is_known(search, asked, report);
    for (vmid, on) in unfinished(view, search, asked) {
        if let Some(guest) = configured(view, on, vmid) {
            row.start_taken(guest.guest.kind, vmid, name_of(guest), (on, lost), true)?;
        }
    }
    // Each of them looked a moment before or after the other: what is another server's by now is left out.
    let guests = report.facet(view, via, FacetName::Guests, Weight::Needed, |o| &o.guests)?;
    let owned: BTreeSet<u32> = guests
        .iter()
        .filter(|guest| guest.node == lost.as_str())
        .map(|guest| guest.vmid)
        .collect();
    for guest in guests::choose((view, search), (&online, &owned), asked.guests, report) {
        row.take(&guest, (lost, asked.seen_off))?;
        if guest.starts {
            row.start_taken(guest.kind, guest.vmid, guest.name, (guest.on, lost), false)?;
        }
    }
    // Votes are not forced for nothing.
    if row.len() == usize::from(forced) {
        let message = format!("nothing of {lost} can be taken over");
        report.tell(Finding::new(Code::PartDone, lost.as_str(), message, ""));
        return None;
    }
    Some(())
}

/// Whose word of the cluster counts: a member that has quorum, or else any that is left.
fn speaker<'v>(
    view: &'v View,
    cluster: &ClusterName,
    lost: &NodeName,
) -> Option<(&'v NodeName, &'v Cluster, &'v Member)> {
    let left = || {
        view.nodes.keys().filter(|node| *node != lost).filter_map(|node| {
            let seen = view.cluster_of(node).ok()?;
            let member = seen.member().filter(|member| member.cluster == cluster.as_str())?;
            Some((node, seen, member))
        })
    };
    left().find(|(_, _, member)| member.quorate).or_else(|| left().next())
}

/// Explains quorum, and has it forced where that was said and may be. Is a step of it?
fn quorum(
    view: &View,
    (via, seen, member): (&NodeName, &Cluster, &Member),
    asked: Asked<'_>,
    row: &mut Row<'_>,
    (online, report): (&BTreeSet<NodeName>, &mut Report),
) -> bool {
    let lost = asked.lost;
    let ha = view.nodes.get(via).and_then(|seen| seen.observation.as_ref().ok());
    let Some(ha) = ha.map(|seen| seen.ha.get()) else {
        return false;
    };
    let mut explained = votes::explained(member);
    let mut next = String::new();
    if member.nodes.len() == 2 && member.qdevice.is_none() {
        explained.push_str("; two servers have no majority when one of them is lost");
        "give them a third vote, so that the next time nothing has to be forced: a QDevice (third-vote.md)"
            .clone_into(&mut next);
    }
    let judged = votes::judge(member, seen.pmxcfs, ha, (via.as_str(), lost.as_str()), asked.votes);
    match &judged {
        Quorum::There => explained.push_str("; nothing has to be forced"),
        Quorum::ByFiat(votes) => explained.push_str(&format!(
            "; pvecm expected {votes} tells corosync to get by with what is present: {via} decides alone from then on, and if {lost} runs on without us, \
             there are two clusters of one name, which both write. It holds until corosync starts anew or corosync.conf changes"
        )),
        Quorum::Refused(_) => {}
    }
    report.tell(Finding::new(Code::RecoveryQuorum, via.as_str(), explained, next));
    match judged {
        Quorum::There => false,
        Quorum::Refused(finding) => {
            report.tell(finding);
            false
        }
        Quorum::ByFiat(votes) => {
            // HA's daemons run and wait for quorum: with it they arm the watchdog and take guests over in the midst of this.
            let managed = ha.and_then(|ha| ha.resources.get());
            if !managed.is_ok_and(std::collections::BTreeMap::is_empty) {
                report.tell(Finding::new(
                    Code::RecoveryWatchdog,
                    via.as_str(),
                    format!(
                        "guests are under HA, or whether there are such can't be told: with votes that are forced HA arms its watchdog on {via}, and takes \
                         guests over by itself beside this"
                    ),
                    format!("on the console of {via}, where you see what HA does: quorate-agent recover --lost {lost}"),
                ));
                return false;
            }
            row.expect((via, lost), votes, online).is_some()
        }
    }
}

/// Is each guest that was named one of the lost server's, or was it?
fn is_known(search: &quorate_model::lost::Search, asked: Asked<'_>, report: &mut Report) {
    let survivors = || search.survivors.values().filter_map(|survivor| survivor.as_ref().ok());
    // Of those that are not known it can't be said.
    if survivors().next().is_none() || survivors().any(|survivor| survivor.guests.get().is_err()) {
        return;
    }
    for vmid in asked.guests {
        let of_it = survivors().any(|survivor| {
            let guests = survivor.guests.get().map(Vec::as_slice).unwrap_or_default();
            guests.iter().any(|guest| guest.vmid == *vmid) || survivor.unfinished.contains(vmid)
        });
        if !of_it {
            let message = format!("guest {vmid} does not belong to {}", asked.lost);
            report.tell(Finding::new(
                Code::GuestAway,
                format!("guest {vmid}"),
                message,
                "quorate guests shows whose each guest is",
            ));
        }
    }
}

/// Guests that an earlier try brought to a server and did not start, with that server.
fn unfinished<'v>(
    view: &'v View,
    search: &'v quorate_model::lost::Search,
    asked: Asked<'_>,
) -> Vec<(u32, &'v NodeName)> {
    let mut found = Vec::new();
    for (node, survivor) in &search.survivors {
        let Ok(survivor) = survivor else { continue };
        for vmid in &survivor.unfinished {
            let wanted = asked.guests.is_empty() || asked.guests.contains(vmid);
            let running = view.facet(node, |o| &o.running);
            let stopped = running.is_ok_and(|all| {
                let mut own = all.iter().filter(|status| status.vmid == *vmid);
                own.any(|status| status.run == GuestRun::Stopped)
            });
            if wanted && stopped {
                found.push((*vmid, node));
            }
        }
    }
    found
}

fn configured<'v>(view: &'v View, on: &NodeName, vmid: u32) -> Option<&'v ConfiguredGuest> {
    let config = view.facet(on, |o| &o.config).ok()?;
    let guests = config.guests.get().ok()?;
    let mut own = guests.iter().filter(|one| one.guest.node == on.as_str());
    own.find(|one| one.guest.vmid == vmid)
}

fn name_of(guest: &ConfiguredGuest) -> Option<&str> {
    guest.config.get().ok().and_then(|config| config.name.as_deref())
}
