//! How pools are, derived from their disks as ZFS derives it. Source: OpenZFS 2.1 vdev.c (`vdev_propagate_state` and the
//! `…_state_change` of each kind), libzfs_status.c (`check_status`).

use super::{Beside, Class, Kind, Leaf, LeafState, Pool, Vdev};
use crate::world::zfs::scan::ScanKind;

/// How a pool or a vdev is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    Online,
    Degraded,
    /// Not enough of it is left.
    Unavailable,
}

impl Health {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::Degraded => "DEGRADED",
            Self::Unavailable => "UNAVAIL",
        }
    }

    /// What stands behind the counters.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::Unavailable => "insufficient replicas",
            Self::Online | Self::Degraded => "",
        }
    }
}

/// What `zpool status` complains about: the worst of all that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complaint {
    Resilvering,
    /// `IO_FAILURE_WAIT`; never seen.
    Suspended,
    FaultedNoReplicas,
    MissingNoReplicas,
    CorruptNoReplicas,
    DataErrors,
    Faulted,
    Missing,
    CorruptLabel,
    Failing,
    Offline,
    Removed,
}

impl LeafState {
    /// zpool's word, and what stands behind the counters. Captured: ONLINE, OFFLINE, REMOVED; the others are from source.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Online => ("ONLINE", ""),
            Self::Degraded => ("DEGRADED", "too many errors"),
            Self::Faulted => ("FAULTED", "too many errors"),
            Self::ForceFaulted => ("FAULTED", "external device fault"),
            Self::Offline => ("OFFLINE", ""),
            Self::Removed => ("REMOVED", ""),
            Self::Missing => ("UNAVAIL", ""),
            Self::Corrupt => ("UNAVAIL", "invalid label"),
        }
    }

    fn health(self) -> Health {
        match self {
            Self::Online => Health::Online,
            Self::Degraded => Health::Degraded,
            _ => Health::Unavailable,
        }
    }
}

/// Up to so many parts may be lost.
fn of_parts(parts: impl Iterator<Item = Health>, spare: Spare) -> Health {
    let parts: Vec<Health> = parts.collect();
    let lost = parts.iter().filter(|part| **part == Health::Unavailable).count();
    let enough = match spare {
        Spare::AllButOne => lost < parts.len(),
        Spare::UpTo(count) => lost <= count,
    };
    if !enough {
        Health::Unavailable
    } else if parts.iter().any(|part| *part != Health::Online) {
        Health::Degraded
    } else {
        Health::Online
    }
}

#[derive(Debug, Clone, Copy)]
enum Spare {
    AllButOne,
    UpTo(usize),
}

impl Leaf {
    /// With the disk beside it, which makes both a mirror.
    pub(crate) fn health(&self) -> Health {
        match &self.beside {
            None => self.state.health(),
            Some(_) => of_parts(self.both().map(|leaf| leaf.state.health()), Spare::AllButOne),
        }
    }
}

impl Vdev {
    pub(crate) fn health(&self) -> Health {
        let parts = self.leaves.iter().map(Leaf::health);
        match self.kind {
            Kind::Disk | Kind::Mirror => of_parts(parts, Spare::AllButOne),
            Kind::Raidz(parity) | Kind::Draid(parity) => of_parts(parts, Spare::UpTo(usize::from(parity))),
        }
    }

    /// Could it do without one of its disks?
    pub(crate) fn can_lose(&self, named: &str) -> bool {
        let mut without = self.clone();
        for leaf in &mut without.leaves {
            if leaf.is(named) {
                leaf.state = LeafState::Offline;
            } else if let Some((_, beside)) = &mut leaf.beside
                && beside.is(named)
            {
                beside.state = LeafState::Offline;
            }
        }
        without.health() != Health::Unavailable
    }
}

impl Pool {
    /// Of its vdevs; caches and spares do not count, and a log that is lost only degrades.
    pub(crate) fn health(&self) -> Health {
        let counted = self
            .vdevs
            .iter()
            .filter(|vdev| !matches!(vdev.class, Class::Cache | Class::Spare));
        let parts = counted.map(|vdev| match vdev.health() {
            Health::Unavailable if vdev.class == Class::Log => Health::Degraded,
            health => health,
        });
        of_parts(parts, Spare::UpTo(0))
    }

    /// Its health as `zpool list` and `zpool status` say it. SUSPENDED is from source: it was never seen.
    pub(crate) fn word(&self) -> &'static str {
        match self.complaint() {
            Some(Complaint::Suspended) => "SUSPENDED",
            _ => self.health().word(),
        }
    }

    pub(crate) fn resilvers(&self) -> bool {
        self.scan.as_ref().is_some_and(|scan| scan.runs(ScanKind::Resilver))
    }

    /// Nothing where all is well.
    pub(crate) fn complaint(&self) -> Option<Complaint> {
        // What is being replaced is not told of.
        let leaves = || {
            let counted = self.vdevs.iter().filter(|vdev| vdev.class != Class::Spare);
            let settled = counted.flat_map(|vdev| &vdev.leaves).filter(|leaf| {
                let replacing = |(beside, _): &(Beside, Box<Leaf>)| *beside == Beside::Replacing;
                !leaf.beside.as_ref().is_some_and(replacing)
            });
            settled.flat_map(Leaf::both)
        };
        let any = |states: &[LeafState]| leaves().any(|leaf| states.contains(&leaf.state));
        let faulted = any(&[LeafState::Faulted, LeafState::ForceFaulted]);
        let missing = any(&[LeafState::Missing]);
        let corrupt = any(&[LeafState::Corrupt]);
        let lost = self.health() == Health::Unavailable;
        let found = [
            (self.resilvers(), Complaint::Resilvering),
            (self.suspended, Complaint::Suspended),
            (lost && faulted, Complaint::FaultedNoReplicas),
            (lost && missing, Complaint::MissingNoReplicas),
            (lost && corrupt, Complaint::CorruptNoReplicas),
            (!self.data_errors.is_empty(), Complaint::DataErrors),
            (faulted, Complaint::Faulted),
            (missing, Complaint::Missing),
            (corrupt, Complaint::CorruptLabel),
            (
                any(&[LeafState::Degraded]) || leaves().any(|leaf| leaf.errors.any()),
                Complaint::Failing,
            ),
            (any(&[LeafState::Offline]), Complaint::Offline),
            (any(&[LeafState::Removed]), Complaint::Removed),
        ];
        found.into_iter().find(|(is, _)| *is).map(|(_, complaint)| complaint)
    }
}

impl Complaint {
    /// `status:` with `action:`, and the message's number. Captured: offline, removed, failing, data errors; all others are
    /// from zpool_main.c of OpenZFS 2.1 (`status_callback`), not seen.
    pub(crate) fn text(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Resilvering => (RESILVERING, None),
            Self::Suspended => (SUSPENDED, Some("ZFS-8000-HC")),
            Self::FaultedNoReplicas => (FAULTED_NO_REPLICAS, None),
            Self::MissingNoReplicas => (MISSING_NO_REPLICAS, Some("ZFS-8000-3C")),
            Self::CorruptNoReplicas => (CORRUPT_NO_REPLICAS, Some("ZFS-8000-5E")),
            Self::DataErrors => (DATA_ERRORS, Some("ZFS-8000-8A")),
            Self::Faulted => (FAULTED, None),
            Self::Missing => (MISSING, Some("ZFS-8000-2Q")),
            Self::CorruptLabel => (CORRUPT_LABEL, Some("ZFS-8000-4J")),
            Self::Failing => (FAILING, Some("ZFS-8000-9P")),
            Self::Offline => (OFFLINE, None),
            Self::Removed => (REMOVED, None),
        }
    }
}

const RESILVERING: &str = "status: One or more devices is currently being resilvered.  The pool will
\tcontinue to function, possibly in a degraded state.
action: Wait for the resilver to complete.
";
const SUSPENDED: &str = "status: One or more devices are faulted in response to IO failures.
action: Make sure the affected devices are connected, then run 'zpool clear'.
";
const FAULTED_NO_REPLICAS: &str =
    "status: One or more devices are faulted in response to persistent errors.  There are \
insufficient replicas for the pool to
\tcontinue functioning.
action: Destroy and re-create the pool from a backup source.  Manually marking the device
\trepaired using 'zpool clear' may allow some data to be recovered.
";
const MISSING_NO_REPLICAS: &str = "status: One or more devices could not be opened.  There are insufficient
\treplicas for the pool to continue functioning.
action: Attach the missing device and online it using 'zpool online'.
";
const CORRUPT_NO_REPLICAS: &str = "status: One or more devices could not be used because the label is missing 
\tor invalid.  There are insufficient replicas for the pool to continue
\tfunctioning.
action: Destroy and re-create the pool from
\ta backup source.
";
const DATA_ERRORS: &str = "status: One or more devices has experienced an error resulting in data
\tcorruption.  Applications may be affected.
action: Restore the file in question if possible.  Otherwise restore the
\tentire pool from backup.
";
const FAULTED: &str = "status: One or more devices are faulted in response to persistent errors.
\tSufficient replicas exist for the pool to continue functioning in a
\tdegraded state.
action: Replace the faulted device, or use 'zpool clear' to mark the device
\trepaired.
";
const MISSING: &str = "status: One or more devices could not be opened.  Sufficient replicas exist for
\tthe pool to continue functioning in a degraded state.
action: Attach the missing device and online it using 'zpool online'.
";
const CORRUPT_LABEL: &str = "status: One or more devices could not be used because the label is missing or
\tinvalid.  Sufficient replicas exist for the pool to continue
\tfunctioning in a degraded state.
action: Replace the device using 'zpool replace'.
";
const FAILING: &str = "status: One or more devices has experienced an unrecoverable error.  An
\tattempt was made to correct the error.  Applications are unaffected.
action: Determine if the device needs to be replaced, and clear the errors
\tusing 'zpool clear' or replace the device with 'zpool replace'.
";
const OFFLINE: &str = "status: One or more devices has been taken offline by the administrator.
\tSufficient replicas exist for the pool to continue functioning in a
\tdegraded state.
action: Online the device using 'zpool online' or replace the device with
\t'zpool replace'.
";
const REMOVED: &str = "status: One or more devices has been removed by the administrator.
\tSufficient replicas exist for the pool to continue functioning in a
\tdegraded state.
action: Online the device using zpool online' or replace the device with
\t'zpool replace'.
";

/// A partition's path without its number: what zpool shows without `-P`.
pub(crate) fn whole_disk(path: &str) -> &str {
    if path.starts_with("/dev/disk/") {
        let cut = path.rfind("-part").filter(|cut| {
            let number = path.get(cut + 5..).unwrap_or_default();
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        return cut.and_then(|cut| path.get(..cut)).unwrap_or(path);
    }
    let stem = path.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem == path {
        return path;
    }
    match stem.strip_suffix('p') {
        // nvme0n1p1, but not sdp1.
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk,
        _ if stem.starts_with("/dev/sd") || stem.starts_with("/dev/vd") => stem,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kind: Kind, states: &[LeafState]) -> Pool {
        let leaf = |(number, state): (usize, &LeafState)| Leaf {
            state: *state,
            ..Leaf::new(format!("/dev/sd{number}1"), format!("sd{number}"), 1 << 30)
        };
        let vdev = Vdev {
            class: Class::Data,
            kind,
            leaves: states.iter().enumerate().map(leaf).collect(),
        };
        Pool::new("tank", vec![vdev])
    }

    #[test]
    fn a_pool_outlives_as_many_disks_as_its_layout_says() {
        use LeafState::{Faulted, Missing, Offline, Online};
        for (kind, states, expected) in [
            (Kind::Mirror, &[Online, Online][..], "ONLINE"),
            (Kind::Mirror, &[Online, Offline], "DEGRADED"),
            (Kind::Mirror, &[Missing, Faulted], "UNAVAIL"),
            (Kind::Raidz(1), &[Online, Online, Faulted], "DEGRADED"),
            (Kind::Raidz(1), &[Online, Missing, Faulted], "UNAVAIL"),
            (Kind::Raidz(2), &[Online, Online, Missing, Faulted], "DEGRADED"),
            (Kind::Disk, &[Missing], "UNAVAIL"),
        ] {
            assert_eq!(pool(kind, states).word(), expected, "{kind:?} {states:?}");
        }
    }

    #[test]
    fn partitions_are_shown_by_their_disk() {
        for (path, disk) in [
            ("/dev/disk/by-id/wwn-0x5-part1", "/dev/disk/by-id/wwn-0x5"),
            ("/dev/sda1", "/dev/sda"),
            ("/dev/sdp1", "/dev/sdp"),
            ("/dev/nvme0n1p1", "/dev/nvme0n1"),
            ("/dev/sda", "/dev/sda"),
        ] {
            assert_eq!(whole_disk(path), disk);
        }
    }
}
