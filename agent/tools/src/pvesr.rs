//! `pvesr` of PVE: replication jobs. It writes /etc/pve/replication.cfg under PVE's own lock, and says nothing when all went well.
//!
//! Never called for a look: `pvesr status` turns jobs round after a failover.

use std::time::Duration;

use quorate_exec::{Invocation, Tools};
use quorate_model::guest_ids::JobId;
use quorate_model::held::Held;
use quorate_model::ids::NodeName;
use quorate_model::schedule::Schedule;
use quorate_model::spec::ReturningNode;

use crate::CallError;

/// Its name.
pub const NAME: &str = "pvesr";

/// What `pvesr delete` prints on stderr when all is well: the owner's scheduler does it.
pub const BACKGROUND: &str = "Replication job removal is a background task and will take some time.";

/// It waits for PVE's lock on the file, which the scheduler has as well, and starts slowly.
const LOCK: Duration = Duration::from_secs(30);

/// What a job is told about itself.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// When it runs.
    pub schedule: &'a Schedule,
    /// The most that it sends, in MB/s; `None`: nothing is said.
    pub rate: Option<u32>,
    /// What its comment says.
    pub returning_node: ReturningNode,
}

impl Told<'_> {
    fn args(self) -> Vec<String> {
        let mut args = vec!["--schedule".to_owned(), self.schedule.to_string()];
        if let Some(rate) = self.rate {
            args.extend(["--rate".to_owned(), rate.to_string()]);
        }
        args.extend(["--comment".to_owned(), self.returning_node.comment().to_owned()]);
        args
    }
}

/// A new job that copies to this node.
///
/// # Errors
/// When pvesr is not installed.
pub fn create(tools: &Tools, job: &JobId, target: &NodeName, told: Told<'_>) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["create-local-job", &job.to_string(), target.as_str()]);
    Ok(call.args(told.args()).build()?)
}

/// Tells a job something else; `enable`: and switches it on.
///
/// # Errors
/// When pvesr is not installed.
pub fn update(tools: &Tools, job: &JobId, told: Told<'_>, enable: bool) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?.args(["update", &job.to_string()]).args(told.args());
    let call = if enable { call.args(["--disable", "0"]) } else { call };
    Ok(call.build()?)
}

/// Has a job, its snapshots and its copy taken away by the owner's scheduler.
///
/// # Errors
/// When pvesr is not installed.
pub fn delete(tools: &Tools, job: &JobId) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["delete", &job.to_string()]).build()?)
}

/// Has a job run with the next pass of the scheduler, within a minute. It says nothing and ends well also on a node that does not own the guest,
/// where nothing comes of it: the job's state tells.
///
/// # Errors
/// When pvesr is not installed.
pub fn schedule_now(tools: &Tools, job: &JobId) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["schedule-now", &job.to_string()]).build()?)
}

/// Switches a job off: it stays, and sends nothing until somebody switches it on.
///
/// # Errors
/// When pvesr is not installed.
pub fn disable(tools: &Tools, job: &JobId) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["disable", &job.to_string()]).build()?)
}

/// Switches a job off and has its comment say whose writes are held: both in one write of the file. PVE's scheduler leaves such a job alone.
/// One that is ended by its deadline has waited for the lock, or has written the file as a whole; it may be asked again.
///
/// # Errors
/// When pvesr is not installed.
pub fn hold(tools: &Tools, job: &JobId, held: &Held) -> Result<Invocation, CallError> {
    let comment = held.comment();
    let call = tools.call(NAME)?.args(["update", &job.to_string()]);
    Ok(call
        .args(["--disable", "1", "--comment", &comment])
        .deadline(LOCK)
        .on_host()
        .build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_made_changed_and_taken_away_as_pve_has_it() {
        let (tools, job) = (Tools::imagined(), "100-0".parse().unwrap());
        let schedule = "mon..fri 22:30".parse().unwrap();
        let told = Told {
            schedule: &schedule,
            rate: Some(100),
            returning_node: ReturningNode::Hold,
        };
        let call = create(&tools, &job, &"prox2".parse().unwrap(), told).unwrap();
        let args = [
            "create-local-job",
            "100-0",
            "prox2",
            "--schedule",
            "mon..fri 22:30",
            "--rate",
            "100",
            "--comment",
            "quorate hold",
        ];
        assert_eq!(call.command().args().collect::<Vec<_>>(), args);
        let quiet = Told { rate: None, ..told };
        let call = update(&tools, &job, quiet, true).unwrap();
        let args = [
            "update",
            "100-0",
            "--schedule",
            "mon..fri 22:30",
            "--comment",
            "quorate hold",
            "--disable",
            "0",
        ];
        assert_eq!(call.command().args().collect::<Vec<_>>(), args);
        let held = Held {
            node: "prox1".to_owned(),
            since: quorate_model::Timestamp::from_seconds(1_795_345_772),
        };
        let call = hold(&tools, &job, &held).unwrap();
        let args = [
            "update",
            "100-0",
            "--disable",
            "1",
            "--comment",
            "quorate hold: kept on prox1 since 2026-11-22T11:09:32Z",
        ];
        assert_eq!(call.command().args().collect::<Vec<_>>(), args);
        assert_eq!(delete(&tools, &job).unwrap().to_string(), "/usr/bin/pvesr delete 100-0");
        assert_eq!(
            schedule_now(&tools, &job).unwrap().to_string(),
            "/usr/bin/pvesr schedule-now 100-0"
        );
        assert_eq!(
            disable(&tools, &job).unwrap().to_string(),
            "/usr/bin/pvesr disable 100-0"
        );
    }
}
