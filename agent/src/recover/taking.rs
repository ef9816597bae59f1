//! A guest that is taken over because the coordinator says so: what is asked once more on this server, and the same record as of the console, by
//! which the agent watches for the lost server's return.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use quorate_model::failure::Failure;
use quorate_model::guest_ids::JobId;
use quorate_model::lost::LostCopy;
use quorate_model::observation::GuestKind;
use quorate_model::{ClusterName, NodeName, Observation};

use super::evidence::Evidence;
use super::record::{self, Record, Step, Taken, Word};
use super::{lock, probes, refused, scene};
use crate::host::Host;

pub(crate) use super::plan::folder;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterName,
    /// The server that was lost.
    pub(crate) lost: &'a NodeName,
    /// The guest.
    pub(crate) vmid: u32,
    /// What it is.
    pub(crate) kind: GuestKind,
    /// The jobs between the two.
    pub(crate) jobs: &'a [JobId],
    /// What its disks hold here.
    pub(crate) copy: LostCopy,
    /// It is started afterwards.
    pub(crate) starts: bool,
    /// Somebody has seen that the lost server has no power.
    pub(crate) seen_off: bool,
}

/// What this server sees and hears of the lost one in this moment.
///
/// # Errors
/// The cluster can't be seen, or makes no sense.
pub(crate) async fn evidence(
    host: &Host,
    seen: &Observation,
    own: &NodeName,
    lost: &NodeName,
) -> Result<Evidence, Failure> {
    let member = scene::member(scene::cluster(seen)?, own.as_str(), lost.as_str())?;
    Ok(probes::look(host, member, seen.network.get(), own.as_str(), lost.as_str()).await)
}

/// The record of the recovery that this guest belongs to, for as long as it is worked on.
#[derive(Debug)]
pub(crate) struct Kept {
    record: Record,
    state_dir: PathBuf,
    vmid: u32,
    /// One recovery at a time works on a server.
    _lock: Flock<File>,
}

impl Kept {
    /// Notes that it is begun. The operator's word was given to the coordinator, whose audit log has it.
    ///
    /// # Errors
    /// It can't be kept, or another recovery runs here: then nothing may be done.
    pub(crate) fn begin(
        host: &Host,
        state_dir: &Path,
        own: &NodeName,
        taking: &Taking<'_>,
        evidence: Evidence,
    ) -> Result<Self, Failure> {
        let lock = lock(state_dir)?;
        let open =
            record::open(state_dir).map_err(|error| refused("earlier recoveries can't be read").because(&error))?;
        let before = open.into_iter().rfind(|record| record.lost == taking.lost.as_str());
        let now = host.now();
        let mut record = Record {
            cluster: taking.cluster.clone(),
            lost: taking.lost.to_string(),
            survivor: own.clone(),
            opened_at: before.as_ref().map_or(now, |record| record.opened_at),
            word: Word {
                typed: format!("{}/{}", taking.cluster, taking.lost),
                seen_off: taking.seen_off,
                at: now,
            },
            evidence,
            expected_votes: before.as_ref().and_then(|record| record.expected_votes),
            guests: before.map(|record| record.guests).unwrap_or_default(),
            closed_at: None,
        };
        record.guests.retain(|taken| taken.vmid != taking.vmid);
        record.guests.push(Taken {
            vmid: taking.vmid,
            kind: taking.kind,
            copy: taking.copy,
            jobs: taking.jobs.to_vec(),
            starts: taking.starts,
            state: Step::Begun,
        });
        let kept = Self {
            record,
            state_dir: state_dir.to_owned(),
            vmid: taking.vmid,
            _lock: lock,
        };
        kept.keep()?;
        Ok(kept)
    }

    /// Its configuration may be on its way.
    ///
    /// # Errors
    /// It can't be kept: then it is not moved.
    pub(crate) fn moving(&mut self) -> Result<(), Failure> {
        self.note(Step::Moving)
    }

    /// It belongs to this server.
    ///
    /// # Errors
    /// It can't be kept.
    pub(crate) fn here(&mut self) -> Result<(), Failure> {
        self.note(Step::Here)
    }

    fn note(&mut self, state: Step) -> Result<(), Failure> {
        let vmid = self.vmid;
        for taken in self.record.guests.iter_mut().filter(|taken| taken.vmid == vmid) {
            taken.state = state;
        }
        self.keep()
    }

    fn keep(&self) -> Result<(), Failure> {
        record::keep(&self.state_dir, &self.record)
            .map_err(|error| refused("what is done can't be kept, so nothing more is done").because(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::Sign;
    use super::super::evidence::tests::{corosync, heard, way};
    use super::*;
    use crate::observe::testing::Fake;

    #[test]
    fn guests_that_are_taken_over_one_after_another_are_one_recovery() {
        let (fake, dir) = (Fake::new(), tempfile::tempdir().unwrap());
        let host = fake.bare();
        let (cluster, lost, own) = (
            "hk1".parse().unwrap(),
            "prox1".parse().unwrap(),
            "prox2".parse().unwrap(),
        );
        let evidence = || Evidence {
            cluster: vec![corosync(Sign::Silent)],
            ways: vec![way(Sign::Silent, heard())],
        };
        let jobs = ["100-0".parse().unwrap()];
        let taking = |vmid, jobs| Taking {
            cluster: &cluster,
            lost: &lost,
            vmid,
            kind: GuestKind::Vm,
            jobs,
            copy: LostCopy::Whole,
            starts: true,
            seen_off: false,
        };
        let mut first = Kept::begin(&host, dir.path(), &own, &taking(100, &jobs), evidence()).unwrap();
        let beside = Kept::begin(&host, dir.path(), &own, &taking(101, &[]), evidence());
        assert!(beside.is_err(), "one at a time");
        first.moving().unwrap();
        first.here().unwrap();
        drop(first);
        drop(Kept::begin(&host, dir.path(), &own, &taking(101, &[]), evidence()).unwrap());
        let open = record::open(dir.path()).unwrap();
        let [record] = open.as_slice() else {
            panic!("{open:?}");
        };
        let states: Vec<(u32, Step)> = record.guests.iter().map(|taken| (taken.vmid, taken.state)).collect();
        assert_eq!(states, [(100, Step::Here), (101, Step::Begun)]);
        assert_eq!(record.word.typed, "hk1/prox1");
    }
}
