//! Storages in findings: what can't be used where it should be, and what fills.

use quorate_model::facet::UnknownKind;
use quorate_model::observation::Pool;
use quorate_model::observation::storages::{StorageState, StorageStatus, Storages};
use quorate_model::storage::StorageKind;
use quorate_model::{Code, Finding, NodeRef, Observation};

/// Percent of a storage's room from which on it is worth a word, and from which on it is about to fail.
const FILLING: u8 = 80;
const FULL: u8 = 90;

/// What is worth saying about the storages as a server sees them.
pub(super) fn storages(name: &NodeRef, observation: &Observation, findings: &mut Vec<Finding>) {
    let Ok(storages) = observation.storages.get() else {
        return;
    };
    let status = match storages.status.get() {
        Ok(status) => status,
        // A host without PVE has no storages.
        Err(unknown) if matches!(unknown.kind, UnknownKind::ToolMissing | UnknownKind::NotAsked) => return,
        Err(unknown) => {
            let message = format!(
                "whether storages can be used on {name} could not be seen: {}",
                unknown.reason
            );
            let next = format!(
                "on {}: pvesm status; mostly an NFS or backup server does not answer",
                name.node
            );
            findings.push(Finding::new(Code::StorageUnseen, name.to_string(), message, next));
            return;
        }
    };
    for row in status {
        match row.state {
            StorageState::Inactive => findings.push(inactive(name, row)),
            StorageState::Active => {
                let pools = observation.pools.get().ok().into_iter().flatten();
                let pool = pool_of(row, storages).and_then(|of| pools.into_iter().find(|pool| pool.name == of));
                findings.extend(room(name, row, pool));
            }
            StorageState::Disabled => {}
        }
    }
}

fn inactive(name: &NodeRef, row: &StorageStatus) -> Finding {
    let why = row
        .complaint
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    let message = format!("storage {} ({}) is not active on {name}{why}", row.id, row.kind);
    let next = match row.kind.as_str() {
        "zfspool" => format!("on {}: zpool list; zpool import", name.node),
        "nfs" => format!("on {}: showmount -e SERVER", name.node),
        _ => format!("on {}: pvesm status --storage {}", name.node, row.id),
    };
    Finding::new(Code::StorageInactive, format!("{name}/{}", row.id), message, next)
}

/// The ZFS pool that a storage lies on.
fn pool_of<'s>(row: &StorageStatus, storages: &'s Storages) -> Option<&'s str> {
    let defined = storages.defined(&row.id)?;
    let pool = defined.properties.get("pool")?;
    (defined.kind == StorageKind::Zfspool.as_str()).then(|| pool.split('/').next().unwrap_or(pool))
}

/// What a storage's or a pool's fill gives reason to say.
fn code(fill: u8) -> Option<Code> {
    match fill {
        FULL.. => Some(Code::StorageFull),
        FILLING.. => Some(Code::StorageFilling),
        _ => None,
    }
}

/// A pool is told of as a pool, unless its storage is worse off: what is set aside for a volume that is not thin is no free room, and is
/// not written yet.
fn room(name: &NodeRef, row: &StorageStatus, pool: Option<&Pool>) -> Option<Finding> {
    let fill = row.fill()?;
    let code = self::code(fill)?;
    let subject = format!("{name}/{}", row.id);
    let mut message = format!("storage {} ({}) is {fill} % full on {name}", row.id, row.kind);
    let Some(pool) = pool else {
        let next = format!("remove what is not needed: on {}: pvesm list {}", name.node, row.id);
        return Some(Finding::new(code, subject, message, next));
    };
    let told = self::code(pool.fill());
    if told.is_some_and(|told| told == code || told == Code::StorageFull) {
        return None;
    }
    message.push_str(&format!(
        ": of pool {} {} % are written, the rest is set aside, mostly for volumes that are not thin",
        pool.name,
        pool.fill()
    ));
    let next = format!(
        "on {}: zfs list -o space -r {}; remove snapshots and volumes that are not needed",
        name.node, pool.name
    );
    Some(Finding::new(code, subject, message, next))
}

#[cfg(test)]
mod tests {
    use quorate_model::observation::pools::VdevState;
    use quorate_model::observation::storages::DefinedStorage;
    use quorate_model::{ByteSize, Facet, Timestamp};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_345_772_000_000);

    fn row(kind: &str, state: StorageState, used: u64) -> StorageStatus {
        StorageStatus {
            id: "nas".to_owned(),
            kind: kind.to_owned(),
            state,
            total: Some(ByteSize(1000)),
            used: Some(ByteSize(used)),
            complaint: None,
        }
    }

    fn said(status: Facet<Vec<StorageStatus>>) -> Vec<(Code, String)> {
        let mut observation = Observation::empty("prox1", NOW);
        let storages = Storages {
            defined: vec![],
            status,
        };
        observation.storages = Facet::known(storages, NOW);
        let mut findings = Vec::new();
        super::storages(&"hk1/prox1".parse().unwrap(), &observation, &mut findings);
        findings
            .into_iter()
            .map(|finding| (finding.code, finding.message))
            .collect()
    }

    fn of(row: StorageStatus) -> Vec<(Code, String)> {
        said(Facet::known(vec![row], NOW))
    }

    #[test]
    fn what_should_be_there_and_is_not_is_told_with_pvesm_s_words() {
        let mut gone = row("nfs", StorageState::Inactive, 0);
        gone.complaint = Some("storage 'nas' is not online".to_owned());
        let message = "storage nas (nfs) is not active on hk1/prox1: storage 'nas' is not online";
        assert_eq!(of(gone), [(Code::StorageInactive, message.to_owned())]);
        assert_eq!(of(row("nfs", StorageState::Disabled, 0)), []);
    }

    #[test]
    fn room_is_told_at_eight_and_nine_tenths() {
        let codes = |kind: &str, used| {
            let said = of(row(kind, StorageState::Active, used)).into_iter();
            said.map(|(code, _)| code).collect::<Vec<_>>()
        };
        assert_eq!(codes("nfs", 799), []);
        assert_eq!(codes("nfs", 800), [Code::StorageFilling]);
        assert_eq!(codes("dir", 900), [Code::StorageFull]);
    }

    /// What is said of the storage of a pool that is written so far, in thousandths, when pvesm says `used` of the storage.
    fn of_pool(allocated: u64, used: u64) -> Vec<(Code, String)> {
        let pool = Pool {
            name: "data_zfs".to_owned(),
            state: VdevState::Online,
            complaint: None,
            data_errors: Some(0),
            scan: None,
            vdevs: vec![],
            size: ByteSize(1000),
            allocated: ByteSize(allocated),
            fragmentation: None,
            ashift: None,
            autotrim: None,
            compression: None,
            scrub_scheduled: None,
            import_enabled: None,
            volumes: Facet::not_asked(),
            created: None,
        };
        let defined = DefinedStorage {
            id: "nas".to_owned(),
            kind: "zfspool".to_owned(),
            properties: [("pool".to_owned(), "data_zfs/vm".to_owned())].into(),
        };
        let storages = Storages {
            defined: vec![defined],
            status: Facet::known(vec![row("zfspool", StorageState::Active, used)], NOW),
        };
        let mut observation = Observation::empty("prox1", NOW);
        observation.pools = Facet::known(vec![pool], NOW);
        observation.storages = Facet::known(storages, NOW);
        let mut findings = Vec::new();
        super::storages(&"hk1/prox1".parse().unwrap(), &observation, &mut findings);
        findings
            .into_iter()
            .map(|finding| (finding.code, finding.message))
            .collect()
    }

    #[test]
    fn a_pool_whose_room_is_set_aside_is_told_of_and_one_that_is_written_full_only_as_a_pool() {
        let message = "storage nas (zfspool) is 99 % full on hk1/prox1: of pool data_zfs 72 % are written, the rest is set aside, \
                       mostly for volumes that are not thin";
        assert_eq!(of_pool(720, 999), [(Code::StorageFull, message.to_owned())]);
        let codes = |allocated, used| {
            of_pool(allocated, used)
                .into_iter()
                .map(|(code, _)| code)
                .collect::<Vec<_>>()
        };
        assert_eq!(codes(720, 790), []);
        assert_eq!(codes(720, 800), [Code::StorageFilling]);
        assert_eq!(codes(850, 950), [Code::StorageFull]);
        for (allocated, used) in [(850, 850), (950, 990), (950, 850)] {
            assert_eq!(codes(allocated, used), []);
        }
    }

    #[test]
    fn what_hangs_is_told_and_a_host_without_pve_is_not() {
        let hangs = said(Facet::unknown(UnknownKind::TimedOut, "pvesm did not finish"));
        assert_eq!(hangs[0].0, Code::StorageUnseen);
        assert_eq!(said(Facet::unknown(UnknownKind::ToolMissing, "no pvesm")), []);
    }
}
