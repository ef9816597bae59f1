//! Whether the links of a running cluster are those of the file. New ones are added; what exists is never moved or taken out.

use std::net::IpAddr;

use quorate_model::finding::{Code, Finding};
use quorate_model::spec::ClusterFile;

use super::Changes;
use super::links::{Wanted, count, there, wanted};
use super::members::Standing;
use crate::report::{Report, Weight};

/// How PVE's manual wants corosync.conf to be edited.
pub(super) const EDIT: &str = "on a member: cp /etc/pve/corosync.conf /etc/pve/corosync.conf.new; edit the copy and raise config_version by \
                               one; mv /etc/pve/corosync.conf.new /etc/pve/corosync.conf";

/// A joiner must come with exactly the links that the cluster has, in the same networks. False: the steps can't be told.
pub(super) fn compare(file: &ClusterFile, standing: &Standing<'_>, changes: &Changes, report: &mut Report) -> bool {
    if !standing.founded() || (file.links_by_address() && !changes.joins) {
        return true;
    }
    let cluster = &file.cluster.name;
    let there = there(standing);
    let mut fits = true;
    for number in there.iter().filter(|number| **number >= count(file)) {
        fits = false;
        report.tell(
            Finding::new(
                Code::LinkNotInFile,
                cluster.value.as_str(),
                format!("{} has link {number}, and the cluster file names {} in all", cluster.value, links(count(file))),
                format!("name the network of each link that the cluster has, in order; or take link {number} out by hand: {EDIT}"),
            )
            .at(Some(file.cluster.links.last().map_or(&cluster.place, |l| &l.place).clone())),
        );
    }
    for member in standing.any_member().into_iter() {
        for node in member
            .configured
            .iter()
            .filter(|n| !standing.leaving.contains(n.name.as_str()) && !standing.entry_goes(&n.name))
        {
            for (number, text) in node.addresses.iter().filter(|(number, _)| **number < count(file)) {
                fits &= fits_link(file, &node.name, *number, text, changes, report);
            }
        }
        // A link need not have an interface section: its priority is corosync's own then.
        fits &= priorities(
            file,
            there.iter().map(|number| (*number, member.link_priority(*number))),
            report,
        );
    }
    fits
}

fn links(count: u8) -> String {
    if count == 1 {
        "1 link".to_owned()
    } else {
        format!("{count} links")
    }
}

fn fits_link(file: &ClusterFile, node: &str, number: u8, text: &str, changes: &Changes, report: &mut Report) -> bool {
    let Ok(address) = text.parse::<IpAddr>() else {
        // Who joins or gets a link must fit to what is there; taking a server out leaves the links as they are.
        let weight = Weight::needed_if(changes.joins || changes.unfinished || changes.links);
        report.weigh(
            weight,
            Finding::new(
                Code::FacetUnknown,
                node,
                format!(
                    "the address of {node} on link {number} can't be told: corosync.conf has the name `{text}` for it"
                ),
                format!("write the address instead of the name, with what it resolves to on every member: {EDIT}"),
            ),
        );
        return weight == Weight::Told;
    };
    let (fits, expected, place) = match wanted(file, node, number) {
        Wanted::In(network, place) => (network.contains(&address), network.to_string(), place),
        Wanted::Address(wanted, place) if file.links_by_address() => {
            (wanted == address, format!("its own address {wanted}"), place)
        }
        Wanted::Address(wanted, place) => (wanted == address, wanted.to_string(), place),
        Wanted::Nothing => return true,
    };
    if !fits {
        report.tell(
            Finding::new(
                Code::LinkMoved,
                node,
                format!("link {number} of {node} runs over {address}, not over {expected}"),
                format!("write what the cluster has; or take link {number} out by hand, then let Quorate add it as it shall be: {EDIT}"),
            )
            .at(Some(place)),
        );
    }
    fits
}

/// A priority that the file does not name is left as it is. corosync takes none and 0 as 1.
fn priorities(file: &ClusterFile, have: impl Iterator<Item = (u8, u8)>, report: &mut Report) -> bool {
    let mut fits = true;
    for (number, now) in have {
        let Some(wanted) = file
            .cluster
            .links
            .get(usize::from(number))
            .and_then(|l| l.priority.as_ref())
        else {
            continue;
        };
        if wanted.value.max(1) != now {
            fits = false;
            report.tell(
                Finding::new(
                    Code::LinkPriorityDiffers,
                    file.cluster.name.value.as_str(),
                    format!(
                        "link {number} has priority {now}, and the cluster file says {}",
                        wanted.value
                    ),
                    format!("write the priority that it has; or change `knet_link_priority` by hand: {EDIT}"),
                )
                .at(Some(wanted.place.clone())),
            );
        }
    }
    fits
}
