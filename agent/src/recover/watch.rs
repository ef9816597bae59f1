//! What the agent watches for by itself, without any coordinator: guests that run here and belong to another node, and the return of a
//! server whose guests were taken over. It tells, and ends nothing.

use std::sync::Arc;
use std::time::Duration;

use quorate_model::observation::ReplicationJob;
use quorate_model::observation::cluster::Member;
use quorate_model::{Code, Finding};

use super::record::{self, Record};
use crate::errors::chain;
use crate::host::Host;
use crate::observe::{hostname, observe, strays};
use quorate_model::observation::FacetName;

/// A list of files and two of pmxcfs: it costs next to nothing.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Looks from time to time, and tells in the log what is new.
pub async fn keep_watching(host: Arc<Host>) {
    let mut told: Vec<Finding> = Vec::new();
    loop {
        let found = look(&host).await;
        for finding in found.iter().filter(|finding| !told.contains(finding)) {
            let next = finding.next.as_str();
            if finding.severity == quorate_model::Severity::Critical {
                tracing::error!(next, "{finding}");
            } else {
                tracing::warn!(next, "{finding}");
            }
        }
        told = found;
        host.pace().sleep(LOOK_EVERY).await;
    }
}

/// What is to be told now.
pub(crate) async fn look(host: &Host) -> Vec<Finding> {
    let own = hostname(host);
    // What can't be seen is told with the health of the node.
    let mut found: Vec<Finding> = strays::observe(host)
        .await
        .unwrap_or_default()
        .iter()
        .map(|stray| stray.finding(&own, &own))
        .collect();
    let open = match host.state_dir().map(record::open) {
        None => return found,
        Some(Ok(open)) => open,
        Some(Err(error)) => {
            found.push(Finding::new(
                Code::FacetUnknown,
                own,
                format!(
                    "what was taken over from a lost server can't be read: {}",
                    chain(&error)
                ),
                "look into recoveries in the agent's state",
            ));
            return found;
        }
    };
    if open.is_empty() {
        return found;
    }
    let seen = observe(host, &[FacetName::Cluster, FacetName::Config]).await;
    let member = seen.cluster.get().ok().and_then(|cluster| cluster.member());
    let jobs = seen.config.get().and_then(|config| config.replication.get());
    let jobs = jobs.map(Vec::as_slice).map_err(|unknown| unknown.reason.as_str());
    found.extend(
        open.iter()
            .filter_map(|record| member.and_then(|member| back(record, member, jobs))),
    );
    found
}

/// Is the lost server back? `all`: the jobs that there are, or why they can't be seen.
fn back(record: &Record, member: &Member, all: Result<&[ReplicationJob], &str>) -> Option<Finding> {
    let lost = &record.lost;
    if !member.nodes.iter().any(|node| node.name == *lost && node.online) {
        return None;
    }
    let jobs: Vec<String> = record
        .guests
        .iter()
        .flat_map(|taken| &taken.jobs)
        .map(ToString::to_string)
        .collect();
    let (mut enabled, mut off, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    let mut held: Vec<u32> = Vec::new();
    for id in &jobs {
        match all.map(|all| all.iter().find(|job| job.id == *id)) {
            // Whoever switches it on by hand decides all the same; the command also sees to the copy afterwards.
            Ok(Some(job)) if job.disabled && job.held().is_some() => {
                off.push(id);
                held.push(job.guest);
            }
            Ok(Some(job)) if job.disabled => off.push(id),
            Ok(Some(_)) => enabled.push(id),
            // It was removed, or made anew under another number.
            Ok(None) | Err(_) => untold.push(id),
        }
    }
    let list = |jobs: &[&String]| jobs.iter().map(|job| job.as_str()).collect::<Vec<_>>().join(", ");
    let guests: Vec<String> = record.guests.iter().map(|taken| taken.vmid.to_string()).collect();
    let mut message = format!(
        "{lost} is back, from which guests were taken over ({}): what they wrote there last is on its disks",
        guests.join(", ")
    );
    if !off.is_empty() {
        message.push_str(&format!(", and stays there while {} is switched off", list(&off)));
    }
    if !enabled.is_empty() {
        message.push_str(&format!("; {} is switched on and overwrites it", list(&enabled)));
    }
    if !untold.is_empty() {
        let why = all.err().unwrap_or("there is no such job any more");
        message.push_str(&format!(
            "; whether {} is switched off can't be told: {why}",
            list(&untold)
        ));
    }
    let mut next = format!("look at what {lost} has; ");
    if !untold.is_empty() {
        next.push_str("see to it that no job overwrites it: /etc/pve/replication.cfg; ");
    }
    for guest in &held {
        next.push_str(&format!(
            "to decide about it, from the coordinator: quorate replication resolve {guest} --keep, or --discard; "
        ));
    }
    let by_hand = |job: &&&String| !held.iter().any(|guest| job.starts_with(&format!("{guest}-")));
    for job in off.iter().filter(by_hand) {
        next.push_str(&format!("to give it up: pvesr enable {job}; "));
    }
    next.push_str(&format!("then, here: quorate-agent recover --lost {lost} --close"));
    Some(Finding::new(Code::LostNodeBack, lost, message, next))
}

#[cfg(test)]
mod tests {
    use super::super::record::Step;
    use super::super::record::tests::record;
    use super::*;
    use crate::operations::testing::member;

    fn of(names: &[&str], online: bool) -> Member {
        let cluster = member(names);
        let mut member = cluster.member().unwrap().clone();
        member.nodes[0].online = online;
        member
    }

    #[test]
    fn the_return_of_a_server_is_told_with_what_keeps_its_disks() {
        let record = record(Step::Running);
        let job = |disabled| ReplicationJob {
            disabled,
            ..ReplicationJob::of("100-0", 100, "prox1")
        };
        let (on, off) = ([job(false)], [job(true)]);
        assert_eq!(back(&record, &of(&["prox1", "prox2"], false), Ok(off.as_slice())), None);
        let finding = back(&record, &of(&["prox1", "prox2"], true), Ok(off.as_slice())).unwrap();
        assert!(finding.message.contains("while 100-0 is switched off"), "{finding}");
        assert!(
            finding.next.contains("pvesr enable 100-0") && finding.next.contains("--close"),
            "{}",
            finding.next
        );
        let finding = back(&record, &of(&["prox1", "prox2"], true), Ok(on.as_slice())).unwrap();
        assert!(
            finding.message.contains("100-0 is switched on and overwrites it"),
            "{finding}"
        );
        let none: &[ReplicationJob] = &[];
        for (jobs, why) in [
            (Ok(none), "there is no such job any more"),
            (Err("pmxcfs hangs"), "pmxcfs hangs"),
        ] {
            let finding = back(&record, &of(&["prox1", "prox2"], true), jobs).unwrap();
            let untold = format!("whether 100-0 is switched off can't be told: {why}");
            assert!(finding.message.contains(&untold), "{finding}");
            assert!(
                !finding.message.contains("stays there") && !finding.next.contains("pvesr enable"),
                "{finding}"
            );
        }
    }
}
