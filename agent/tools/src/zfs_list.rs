//! `zfs list` and `zfs rename`: datasets, guests' volumes among them, and their snapshots. PVE's storage replication names its snapshots
//! `__replicate_JOB_TIME__`, where the time is the beginning of the run on the server that the guest ran on.

use quorate_exec::{Invocation, Tools};
use quorate_model::Timestamp;
use quorate_model::guest_ids::JobId;
use quorate_model::held::{GuestVolume, KEPT};

use crate::zfs_get::NAME;
use crate::{CallError, ParseError};

/// A dataset and all below it: no header (`-H`), nothing rounded (`-p`).
///
/// # Errors
/// When zfs is not installed.
pub fn names(tools: &Tools, dataset: &str) -> Result<Invocation, CallError> {
    Ok(tools
        .call(NAME)?
        .args(["list", "-Hp", "-r", "-o", "name", dataset])
        .build()?)
}

/// The snapshots of a dataset and of all below it.
///
/// # Errors
/// When zfs is not installed.
pub fn snapshots(tools: &Tools, dataset: &str) -> Result<Invocation, CallError> {
    let call = tools.call(NAME)?;
    Ok(call
        .args(["list", "-Hp", "-r", "-t", "snapshot", "-o", "name", dataset])
        .build()?)
}

/// All datasets of these pools that hold something, by name; no snapshots.
///
/// # Errors
/// When zfs is not installed.
pub fn of_pools(tools: &Tools, pools: &[&str]) -> Result<Invocation, CallError> {
    let call = tools
        .call(NAME)?
        .args(["list", "-Hp", "-o", "name", "-t", "filesystem,volume", "-r"]);
    Ok(call.args(pools.iter().copied()).build()?)
}

/// Gives a volume another name in its pool, with all its snapshots. It has no option that could take another one's place: a name that is taken is
/// refused.
///
/// # Errors
/// When zfs is not installed.
pub fn rename(tools: &Tools, volume: &GuestVolume, name: &str) -> Result<Invocation, CallError> {
    Ok(tools.call(NAME)?.args(["rename", volume.as_str(), name]).build()?)
}

/// One name on each line.
///
/// # Errors
/// A line has more than one column, or none.
pub fn read(stdout: &str) -> Result<Vec<String>, ParseError> {
    let name = |line: &str| {
        if line.is_empty() || line.contains('\t') {
            return Err(ParseError::at(NAME, line, "expected a name and nothing else"));
        }
        Ok(line.to_owned())
    };
    stdout.lines().map(name).collect()
}

/// Reads the list of whole pools: guests' volumes, and what is kept of them. Other datasets are nobody's disk.
#[must_use]
pub fn volumes(stdout: &str) -> Vec<String> {
    let is_kept = |name: &str| name.rsplit('/').next().is_some_and(|last| last.starts_with(KEPT));
    stdout
        .lines()
        .filter(|name| is_kept(name) || name.parse::<GuestVolume>().is_ok())
        .map(str::to_owned)
        .collect()
}

/// A snapshot that PVE's storage replication has made or brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicated {
    /// Whose snapshot it is.
    pub dataset: String,
    /// Which job.
    pub job: JobId,
    /// When the run began, on the clock of the server that owned the guest.
    pub at: Timestamp,
}

/// Reads a snapshot's name; `None`: it is somebody else's. Source: pve-guest-common ReplicationState.pm (`replication_snapshot_name`).
#[must_use]
pub fn replicated(name: &str) -> Option<Replicated> {
    let (dataset, snapshot) = name.split_once('@')?;
    let (job, time) = snapshot
        .strip_prefix("__replicate_")?
        .strip_suffix("__")?
        .rsplit_once('_')?;
    Some(Replicated {
        dataset: dataset.to_owned(),
        job: job.parse().ok()?,
        at: Timestamp::from_seconds(time.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datasets_and_the_snapshots_of_replication() {
        let tools = Tools::imagined();
        assert_eq!(
            names(&tools, "data_zfs").unwrap().to_string(),
            "/usr/bin/zfs list -Hp -r -o name data_zfs"
        );
        assert_eq!(
            snapshots(&tools, "data_zfs").unwrap().to_string(),
            "/usr/bin/zfs list -Hp -r -t snapshot -o name data_zfs"
        );
        assert_eq!(read(fixture!("zfs-list/2.1.11/below-one.out")).unwrap().len(), 3);
        assert_eq!(read(""), Ok(vec![]));
        assert!(read("tank\t1\n").is_err());
        let all = read(fixture!("zfs-list/2.1.11/snapshots.out")).unwrap();
        let found: Vec<Replicated> = all.iter().filter_map(|name| replicated(name)).collect();
        assert_eq!(found.len(), 2, "what people made is none of replication's");
        assert_eq!(
            (
                found[0].dataset.as_str(),
                found[0].job.to_string(),
                found[0].at.seconds()
            ),
            ("data_zfs/vm-100-disk-0", "100-0".to_owned(), 1_795_347_450)
        );
        assert_eq!(replicated("tank@__replicate_100-0_soon__"), None);
        assert_eq!(replicated("tank/vm-100-disk-0"), None);
    }

    #[test]
    fn guests_volumes_and_what_is_kept_of_them() {
        let call = of_pools(&Tools::imagined(), &["data_zfs", "rpool"])
            .unwrap()
            .to_string();
        assert_eq!(
            call,
            "/usr/bin/zfs list -Hp -o name -t filesystem,volume -r data_zfs rpool"
        );
        assert_eq!(
            volumes(fixture!("zfs-list/2.1.11/two.out")),
            [
                "data_zfs/quorate-kept-vm-100-disk-0-20261122T110932Z",
                "data_zfs/subvol-101-disk-0",
                "data_zfs/vm-100-disk-0",
                "rpool/data/vm-102-disk-0"
            ]
        );
        assert_eq!(
            volumes(fixture!("zfs-list/2.1.11/below-one.out")),
            ["backup/vm-100-disk-0"]
        );
    }

    #[test]
    fn a_volume_gets_another_name() {
        let volume = "data_zfs/vm-100-disk-0".parse().unwrap();
        let call = rename(&Tools::imagined(), &volume, "data_zfs/quorate-kept-vm-100-disk-0-1").unwrap();
        assert_eq!(
            call.to_string(),
            "/usr/bin/zfs rename data_zfs/vm-100-disk-0 data_zfs/quorate-kept-vm-100-disk-0-1"
        );
    }
}
