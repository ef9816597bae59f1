//! What speaks against a drill without a look at any server: the operator's word, time, and what else runs.

use std::time::Duration;

use quorate_model::drill::DrillKind;
use quorate_model::fault::FaultEnd;
use quorate_model::finding::{Code, Finding};
use quorate_model::hold::Hold;
use quorate_model::spec::ClusterFile;
use quorate_model::time::spoken;

use super::{Around, Request};
use crate::report::Report;

/// Replication has its minute, HA its rounds and people their look: an hour after one drill the next shows more than what the first left.
const RECENT: Duration = Duration::from_secs(3600);

pub(super) fn rails(file: &ClusterFile, request: &Request, around: &Around, report: &mut Report) {
    let cluster = file.cluster.name.value.as_str();
    let node = request.node.as_str();
    confirmed(cluster, request, report);
    spans(request, report);
    if request.fault.ending() == FaultEnd::Person {
        let message = format!("{} ends only when somebody switches {node} on again", request.fault);
        let next = format!(
            "if somebody is there, or a BMC: --accept {}",
            Code::DrillNeedsPerson.as_str()
        );
        report.tell(Finding::new(Code::DrillNeedsPerson, node, message, next));
    }
    if let Some(rollout) = &around.rollout {
        let message = format!("rollout {rollout} is not finished");
        report.tell(Finding::new(
            Code::RolloutRunning,
            cluster,
            message,
            "quorate rollout list",
        ));
    }
    if let Some(running) = &around.running {
        let message = format!("{running} is not over");
        report.tell(Finding::new(
            Code::DrillRunning,
            cluster,
            message,
            "quorate drill list; to end it: quorate drill abort",
        ));
    }
    if let Some((last, over)) = &around.last {
        let ago = over.age(around.now);
        if ago < RECENT {
            let message = format!("{last} was over {} ago", spoken(ago));
            let next = format!("wait an hour, or --accept {}", Code::DrillRecent.as_str());
            report.tell(Finding::new(Code::DrillRecent, cluster, message, next));
        }
    }
    let hold = if request.scheduled && !request.windows.is_empty() {
        Hold {
            windows: request.windows.clone(),
            ..around.hold.clone()
        }
    } else {
        around.hold.clone()
    };
    if let Err(held) = hold.disruptive(cluster, around.now) {
        report.tell(*held);
    }
    match around.tasks.get() {
        Ok(tasks) => {
            for task in tasks {
                let message = format!("{task} runs");
                report.tell(Finding::new(
                    Code::DrillBusy,
                    cluster,
                    message,
                    "wait until that is done",
                ));
            }
        }
        Err(unknown) => {
            let message = format!("which tasks of PVE run could not be seen: {}", unknown.reason);
            report.tell(Finding::new(Code::DrillUnseen, cluster, message, "quorate status"));
        }
    }
    scheduled(request, report);
}

/// An operator says which server is to fail, by its whole name: one letter too few must not be the wrong server.
fn confirmed(cluster: &str, request: &Request, report: &mut Report) {
    if request.scheduled {
        return;
    }
    let wanted = format!("{cluster}/{}", request.node);
    let message = match &request.confirmed {
        Some(typed) if *typed == wanted => return,
        Some(typed) => format!("`{typed}` was typed, and {wanted} is to fail"),
        None => format!("nobody has typed {wanted} yet, which is to fail"),
    };
    let next = format!("type it when you are asked, or in a script: --confirm {wanted}");
    report.tell(Finding::new(Code::DrillNotConfirmed, wanted, message, next));
}

fn spans(request: &Request, report: &mut Report) {
    // Where nothing was said, it is the usual time.
    let said = Some(request.lasts).filter(|lasts| *lasts != request.kind.usual());
    let no_blip = request.fault.no_blip().filter(|_| request.kind == DrillKind::Blip);
    let (message, next) = match (no_blip, request.kind.may_last(&request.fault, said)) {
        (Some(why), _) => (
            format!("{} can be no blip: {why}", request.fault),
            "take another fault, or --kind failover".to_owned(),
        ),
        (None, Ok(())) => return,
        (None, Err(may)) => (
            format!("the fault is to last {}", request.lasts),
            match request.kind.bounds_of(&request.fault) {
                Some(_) => format!("{may}: --for {}", request.kind.usual()),
                None => may,
            },
        ),
    };
    report.tell(Finding::new(Code::DrillHalfLong, request.node.as_str(), message, next));
}

/// Nobody watches one that runs by itself.
fn scheduled(request: &Request, report: &mut Report) {
    if !request.scheduled {
        return;
    }
    let mut refuse = |message: String| {
        let next = "run it by hand, or change it in the cluster file";
        report.tell(Finding::new(
            Code::DrillNotScheduled,
            request.node.as_str(),
            message,
            next,
        ));
    };
    if !request.accepted.is_empty() {
        refuse("something that speaks against it would be accepted, and nobody is there to do so".to_owned());
    }
    if !request.risked.is_empty() {
        refuse("guests of customers would be put at risk, and nobody is there to say so".to_owned());
    }
    if request.fault.ending() == FaultEnd::Person {
        refuse(format!(
            "{} needs somebody who switches the server on again",
            request.fault
        ));
    }
}
