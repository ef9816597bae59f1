//! Members, versions, links and votes: can the cluster do without the victim?

use quorate_model::Severity;
use quorate_model::fault::Fault;
use quorate_model::finding::{Code, Finding};
use quorate_model::ids::NodeName;
use quorate_model::observation::cluster::Link;
use quorate_model::outlook::Answer;
use quorate_model::releases::{Knowledge, knowledge};

use super::Request;
use super::scene::{Scene, unseen};
use crate::report::{Report, in_a_row};

pub(super) fn rails(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let is_member = members(scene, request, report);
    versions(scene, report);
    coordinator(scene, request, report);
    links(scene, request, report);
    if request.fault.isolates() {
        two(scene, request, report);
        if is_member {
            quorum(scene, request, report);
        }
    }
}

/// Everybody is in, and can be asked. Whether the victim is a member at all.
fn members(scene: &Scene<'_>, request: &Request, report: &mut Report) -> bool {
    let is_member = scene.members.contains(&request.node);
    let mut refuse = |node: &str, message: String| {
        report.tell(Finding::new(Code::DrillMemberOff, node, message, "quorate status"));
    };
    if !is_member {
        let message = format!("{} is no member of {}", request.node, scene.cluster);
        refuse(request.node.as_str(), message);
    }
    for node in &scene.member.nodes {
        if !node.online {
            refuse(&node.name, format!("{} is not in the membership now", node.name));
        }
    }
    for node in &scene.members {
        if let Err(unknown) = scene.view.cluster_of(node) {
            refuse(node.as_str(), format!("{node} can't be asked: {}", unknown.reason));
        }
    }
    is_member
}

fn versions(scene: &Scene<'_>, report: &mut Report) {
    for node in &scene.members {
        let system = match scene.view.facet(node, |o| &o.system) {
            Ok(system) => system,
            Err(unknown) => {
                unseen(report, node, "the version of PVE", &unknown);
                continue;
            }
        };
        match system.pve.get() {
            Err(unknown) => unseen(report, node, "the version of PVE", unknown),
            Ok(Some(version)) if knowledge(version) == Knowledge::Unknown => {
                let message = format!("nothing is known of PVE {}, which {node} runs", version.manager);
                let next = "use a version of Quorate that knows it; see the page of versions";
                report.tell(Finding::new(Code::DrillVersion, node.as_str(), message, next));
            }
            Ok(_) => {}
        }
    }
}

fn coordinator(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let victim = request.node.as_str();
    let next = "run the coordinator elsewhere, or fail another server";
    if scene.view.coordinator_on.as_ref() == Some(&request.node) {
        let message = format!("the coordinator runs on {victim} itself");
        report.tell(Finding::new(Code::DrillCoordinatorOnNode, victim, message, next));
    }
    let own = &scene.view.coordinator_macs;
    for guest in scene.guests.iter().filter(|guest| guest.guest.node == victim) {
        let Ok(config) = guest.config.get() else { continue };
        let is_it = config
            .nics
            .iter()
            .filter_map(|nic| nic.mac.as_ref())
            .any(|mac| own.contains(mac));
        if is_it {
            let message = format!("the coordinator runs in guest {} on {victim}", guest.guest.vmid);
            report.tell(Finding::new(Code::DrillCoordinatorOnNode, victim, message, next));
        }
    }
}

/// The links of a node as it sees them.
fn links_of<'v>(scene: &Scene<'v>, node: &NodeName, report: &mut Report) -> Option<&'v [Link]> {
    let seen = scene.view.cluster_of(node).ok()?.member()?;
    match seen.links.get() {
        Ok(links) => Some(links),
        Err(unknown) => {
            unseen(report, node, "corosync's links", unknown);
            None
        }
    }
}

/// The corosync id of a node.
fn id(scene: &Scene<'_>, node: &NodeName) -> Option<u32> {
    let found = scene.member.nodes.iter().find(|member| member.name == node.as_str());
    found.map(|member| member.id)
}

fn works(link: &&Link) -> bool {
    link.enabled && link.connected
}

/// Links that are down now, and what would be left if one is cut.
fn links(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    for node in &scene.members {
        let Some(links) = links_of(scene, node, report) else {
            continue;
        };
        for link in links.iter().filter(|link| link.enabled && !link.connected) {
            let peer = scene.member.name_of(link.peer);
            let message = format!("link {} from {node} to {peer} is down", link.number);
            let next = format!(
                "quorate network; if it is to be so: --accept {}",
                Code::DrillLinkDown.as_str()
            );
            report.tell(Finding::new(Code::DrillLinkDown, node.as_str(), message, next));
        }
    }
    let Fault::Link { link: cut } = request.fault else {
        return;
    };
    let victim = &request.node;
    let Some(own) = links_of(scene, victim, report) else {
        return;
    };
    let mut refuse = |message: String| {
        report.tell(Finding::new(
            Code::DrillLastLink,
            victim.as_str(),
            message,
            "quorate network",
        ));
    };
    if !own.iter().any(|link| link.number == cut) {
        refuse(format!("{victim} has no link {cut}"));
        return;
    }
    for other in scene.others(victim) {
        let Some(peer) = id(scene, other) else { continue };
        let left = own
            .iter()
            .filter(works)
            .any(|link| link.peer == peer && link.number != cut);
        if !left {
            refuse(format!(
                "without link {cut} nothing would connect {victim} with {other}"
            ));
        }
    }
}

/// Two servers hang on a third vote.
fn two(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    if scene.member.configured.len() != 2 {
        return;
    }
    let other = scene.others(&request.node).map(ToString::to_string).collect::<Vec<_>>();
    let other = in_a_row(&other);
    // Whether it gives its vote now is counted with the quorum.
    let (severity, message, next) = if scene.member.qdevice.is_some() {
        (
            Severity::Warning,
            format!("{other} goes on only with the vote of the QDevice"),
            "quorate status".to_owned(),
        )
    } else {
        (
            Severity::Refusal,
            format!(
                "{} has two servers and no third vote: without {}, {other} has no quorum, starts nothing, and resets itself if its watchdog is armed",
                scene.cluster, request.node
            ),
            "add a third vote first ([cluster.third_vote] in the cluster file), then quorate plan".to_owned(),
        )
    };
    let mut finding = Finding::new(Code::DrillTwoServers, scene.cluster, message, next);
    finding.severity = severity;
    report.tell(finding);
}

/// Votes as they are now, and whether those who are left can reach one another.
fn quorum(scene: &Scene<'_>, request: &Request, report: &mut Report) {
    let mut refuse = |message: String| {
        let next = "quorate status; mend what is missing first";
        report.tell(Finding::new(Code::DrillLosesQuorum, scene.cluster, message, next));
    };
    match &scene.outlook.quorum {
        Answer::Yes(_) => {}
        Answer::No(votes) => refuse(format!("without {}, {votes}", request.node)),
        Answer::Unproven(reason) => {
            let message = format!(
                "whether the others have quorum without {} can't be told: {reason}",
                request.node
            );
            report.tell(Finding::new(
                Code::DrillUnseen,
                scene.cluster,
                message,
                "quorate status",
            ));
            return;
        }
    }
    // A member that only the victim can reach is lost with it.
    for node in scene.others(&request.node) {
        let Some(links) = links_of(scene, node, report) else {
            continue;
        };
        for other in scene.others(&request.node).filter(|other| *other > node) {
            let Some(peer) = id(scene, other) else { continue };
            if !links.iter().filter(works).any(|link| link.peer == peer) {
                let message = format!(
                    "no link between {node} and {other} works: without {} they would be apart",
                    request.node
                );
                let next = "quorate network";
                report.tell(Finding::new(Code::DrillLosesQuorum, scene.cluster, message, next));
            }
        }
    }
}
