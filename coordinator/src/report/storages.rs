//! Storages in findings: what can't be used where it should be, and what fills.

use quorate_model::facet::UnknownKind;
use quorate_model::observation::storages::{StorageState, StorageStatus};
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
            StorageState::Active => findings.extend(room(name, row)),
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

/// A pool is told of as a pool.
fn room(name: &NodeRef, row: &StorageStatus) -> Option<Finding> {
    let fill = row.fill().filter(|_| row.kind != StorageKind::Zfspool.as_str())?;
    let code = match fill {
        FULL.. => Code::StorageFull,
        FILLING.. => Code::StorageFilling,
        _ => return None,
    };
    let message = format!("storage {} ({}) is {fill} % full on {name}", row.id, row.kind);
    let next = format!("remove what is not needed: on {}: pvesm list {}", name.node, row.id);
    Some(Finding::new(code, format!("{name}/{}", row.id), message, next))
}

#[cfg(test)]
mod tests {
    use quorate_model::observation::Storages;
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
    fn room_is_told_at_eight_and_nine_tenths_and_of_a_pool_elsewhere() {
        let codes = |kind: &str, used| {
            let said = of(row(kind, StorageState::Active, used)).into_iter();
            said.map(|(code, _)| code).collect::<Vec<_>>()
        };
        assert_eq!(codes("nfs", 799), []);
        assert_eq!(codes("nfs", 800), [Code::StorageFilling]);
        assert_eq!(codes("dir", 900), [Code::StorageFull]);
        assert_eq!(codes("zfspool", 990), []);
    }

    #[test]
    fn what_hangs_is_told_and_a_host_without_pve_is_not() {
        let hangs = said(Facet::unknown(UnknownKind::TimedOut, "pvesm did not finish"));
        assert_eq!(hangs[0].0, Code::StorageUnseen);
        assert_eq!(said(Facet::unknown(UnknownKind::ToolMissing, "no pvesm")), []);
    }
}
