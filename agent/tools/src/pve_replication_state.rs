//! /var/lib/pve-manager/pve-replication-state.json: how replication of a node's own guests went.
//!
//! Source: pve-guest-common ReplicationState.pm. It is read as a file and PVE is not asked: `pvesr status` on the new owner of a guest
//! changes replication.cfg.

use std::collections::BTreeMap;

use quorate_model::Timestamp;
use quorate_model::observation::replication::ReplicationState;
use serde::Deserialize;

use crate::{ParseError, json, lenient};

/// The file.
pub const PATH: &str = "/var/lib/pve-manager/pve-replication-state.json";
const NAME: &str = "pve-replication-state.json";

/// A job's state, and the process that is said to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The state; it counts as not running.
    pub state: ReplicationState,
    /// The process (`pid`), and when it began, in clock ticks since boot (`ptime`).
    pub process: Option<(u32, u64)>,
    /// The node on which the last run began (`last_node`): after a migration the state is still that of the guest's former owner.
    pub last_node: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(deserialize_with = "lenient::u64")]
    last_sync: u64,
    #[serde(deserialize_with = "lenient::u64")]
    last_try: u64,
    #[serde(deserialize_with = "lenient::u32")]
    fail_count: u32,
    #[serde(default)]
    duration: Option<f64>,
    #[serde(default, deserialize_with = "lenient::text")]
    error: Option<String>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    pid: Option<u64>,
    #[serde(default, deserialize_with = "lenient::optional_u64")]
    ptime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::text")]
    last_node: Option<String>,
}

/// Reads the file: jobs by guest and target.
///
/// # Errors
/// When it is no JSON of that form, a guest's id is none, a target is not `local/NODE`, or what PVE always writes of a job is missing.
pub fn read(text: &str) -> Result<Vec<Noted>, ParseError> {
    let file: BTreeMap<String, BTreeMap<String, Raw>> = json::read(NAME, text)?;
    let mut found = Vec::new();
    for (vmid, jobs) in file {
        let guest = vmid
            .parse()
            .map_err(|_| ParseError::at(NAME, &vmid, "expected a guest's id"))?;
        for (target, raw) in jobs {
            let node = target
                .strip_prefix("local/")
                .ok_or_else(|| ParseError::at(NAME, &target, "expected local/NODE"))?;
            found.push(noted(guest, node, raw));
        }
    }
    found.sort_by(|a, b| (a.state.guest, &a.state.target).cmp(&(b.state.guest, &b.state.target)));
    Ok(found)
}

fn noted(guest: u32, target: &str, raw: Raw) -> Noted {
    // 0 stands for never.
    let time = |seconds: u64| match i64::try_from(seconds) {
        Ok(0) | Err(_) => None,
        Ok(seconds) => Some(Timestamp::from_seconds(seconds)),
    };
    let pid = raw.pid.and_then(|pid| u32::try_from(pid).ok());
    Noted {
        state: ReplicationState {
            guest,
            target: target.to_owned(),
            last_sync: time(raw.last_sync),
            last_try: time(raw.last_try),
            failures: raw.fail_count,
            took_millis: raw.duration.filter(|took| took.is_finite() && *took >= 0.0).map(millis),
            error: raw.error,
            running: false,
            held_since: None,
        },
        process: pid.zip(raw.ptime),
        last_node: raw.last_node,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float's cast ends at the type's bounds"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_goes_well_one_that_fails_and_one_that_runs() {
        let noted = read(fixture!("pve-replication-state/pve-9/three.json")).unwrap();
        let [well, fails, runs] = noted.as_slice() else {
            panic!("{noted:#?}");
        };
        assert_eq!((well.state.guest, well.state.target.as_str()), (100, "prox2"));
        assert_eq!(well.state.last_sync, Some(Timestamp::from_seconds(1_795_345_800)));
        assert_eq!((well.state.failures, well.state.took_millis), (0, Some(2345)));
        assert_eq!((&well.process, well.last_node.as_deref()), (&None, Some("prox1")));
        assert_eq!((fails.state.target.as_str(), fails.state.failures), ("prox3", 4));
        assert_eq!(
            fails.state.error.as_deref(),
            Some("No common base snapshot on volume(s) data_zfs:vm-100-disk-0.")
        );
        assert_eq!((runs.state.last_sync, runs.process), (None, Some((48_211, 1_234_567))));
    }

    #[test]
    fn before_anything_ran() {
        assert_eq!(read(fixture!("pve-replication-state/pve-9/none.json")).unwrap(), []);
    }

    #[test]
    fn what_is_none() {
        let broken = fixture!("pve-replication-state/pve-9/cut.json");
        assert!(read(broken).is_err());
        for (bad, said) in [
            (
                r#"{"web":{}}"#,
                "pve-replication-state.json: expected a guest's id: `web`",
            ),
            (
                r#"{"100":{"prox2":{"last_sync":0,"last_try":0,"fail_count":0}}}"#,
                "pve-replication-state.json: expected local/NODE: `prox2`",
            ),
        ] {
            assert_eq!(read(bad).unwrap_err().to_string(), said);
        }
    }
}
