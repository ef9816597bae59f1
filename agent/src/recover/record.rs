//! What was done for a lost server, kept on this one's disk: whose word it was, on which evidence, and how far it came. While a record is
//! open, the agent watches for the server's return.

use std::path::{Path, PathBuf};
use std::{fs, io};

use quorate_identity::{FileError, create_private_dir, write_secret_file};
use quorate_model::guest_ids::JobId;
use quorate_model::observation::GuestKind;
use quorate_model::{ClusterName, NodeName, Timestamp};
use serde::{Deserialize, Serialize};

use super::evidence::Evidence;
use super::fates::Copy;

/// One file for each recovery, below the agent's own folder.
const FOLDER: &str = "recoveries";

/// A recovery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The cluster.
    pub(crate) cluster: ClusterName,
    /// The server that was lost.
    pub(crate) lost: String,
    /// The one that took its guests over: this one.
    pub(crate) survivor: NodeName,
    /// When it was begun.
    pub(crate) opened_at: Timestamp,
    /// The operator's word.
    pub(crate) word: Word,
    /// What spoke for and against the server's being off.
    pub(crate) evidence: Evidence,
    /// The votes that were said to suffice; `None`: there was quorum.
    pub(crate) expected_votes: Option<u32>,
    /// Guests that were taken over, in the order in which that was begun.
    pub(crate) guests: Vec<Taken>,
    /// When somebody said that all is decided; `None`: it is open.
    pub(crate) closed_at: Option<Timestamp>,
}

/// Whoever sat at the console said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    /// What was typed: the server's name.
    pub(crate) typed: String,
    /// To have seen with their own eyes that it has no power.
    pub(crate) seen_off: bool,
    /// When.
    pub(crate) at: Timestamp,
}

/// A guest that was, or is being, taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// Its id.
    pub(crate) vmid: u32,
    /// What it is.
    pub(crate) kind: GuestKind,
    /// What its disks held.
    pub(crate) copy: Copy,
    /// Jobs that were switched off, since they would overwrite what the lost server wrote last.
    pub(crate) jobs: Vec<JobId>,
    /// It is to be started.
    pub(crate) starts: bool,
    /// How far it came.
    pub(crate) state: Step,
}

/// How far a guest has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// Begun: its jobs may be switched off.
    Begun,
    /// Its configuration may be on its way, or here.
    Moving,
    /// It belongs to this server, by a look.
    Here,
    /// It was seen to run.
    Running,
}

/// Why a record can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder can't be used.
    #[error("the records of recoveries can't be used")]
    Folder(#[from] io::Error),
    /// A record makes no sense.
    #[error("{} is no record of a recovery", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Keeps a record as it is now. It is on the disk when this returns.
///
/// # Errors
/// It is not kept; then nothing may be done.
pub(crate) fn keep(state_dir: &Path, record: &Record) -> Result<(), RecordError> {
    let folder = state_dir.join(FOLDER);
    create_private_dir(&folder)?;
    fs::File::open(state_dir)?.sync_all()?;
    let path = folder.join(format!("{}-{}.json", record.lost, record.opened_at.seconds()));
    let text = serde_json::to_string_pretty(record).map_err(|source| RecordError::Json {
        path: path.clone(),
        source,
    })?;
    Ok(write_secret_file(&path, &text)?)
}

/// All records, oldest first.
///
/// # Errors
/// One of them can't be read: what was done is not known.
pub(crate) fn all(state_dir: &Path) -> Result<Vec<Record>, RecordError> {
    let folder = match fs::read_dir(state_dir.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folder => folder?,
    };
    let mut records: Vec<Record> = Vec::new();
    for entry in folder {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        records.push(serde_json::from_str(&text).map_err(|source| RecordError::Json { path, source })?);
    }
    records.sort_by_key(|record| record.opened_at);
    Ok(records)
}

/// The open ones.
///
/// # Errors
/// As [`all`].
pub(crate) fn open(state_dir: &Path) -> Result<Vec<Record>, RecordError> {
    let mut records = all(state_dir)?;
    records.retain(|record| record.closed_at.is_none());
    Ok(records)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::evidence::Sign;
    use super::super::evidence::tests::{corosync, heard, way};
    use super::*;

    pub(crate) fn record(state: Step) -> Record {
        Record {
            cluster: "hk1".parse().unwrap(),
            lost: "prox1".to_owned(),
            survivor: "prox2".parse().unwrap(),
            opened_at: Timestamp::from_seconds(1000),
            word: Word {
                typed: "hk1/prox1".to_owned(),
                seen_off: false,
                at: Timestamp::from_seconds(999),
            },
            evidence: Evidence {
                cluster: vec![corosync(Sign::Silent)],
                ways: vec![way(Sign::Silent, heard())],
            },
            expected_votes: Some(1),
            guests: vec![Taken {
                vmid: 100,
                kind: GuestKind::Vm,
                copy: Copy::Of(Timestamp::from_seconds(900)),
                jobs: vec!["100-0".parse().unwrap()],
                starts: true,
                state,
            }],
            closed_at: None,
        }
    }

    #[test]
    fn a_record_outlives_the_process_and_is_open_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(open(dir.path()).unwrap(), []);
        let mut record = record(Step::Moving);
        keep(dir.path(), &record).unwrap();
        record.guests[0].state = Step::Running;
        keep(dir.path(), &record).unwrap();
        assert_eq!(open(dir.path()).unwrap(), [record.clone()], "it is one record");
        record.closed_at = Some(Timestamp::from_seconds(2000));
        keep(dir.path(), &record).unwrap();
        assert_eq!(open(dir.path()).unwrap(), []);
        assert_eq!(all(dir.path()).unwrap(), [record]);
        fs::write(dir.path().join(FOLDER).join("odd.json"), "{}").unwrap();
        assert!(all(dir.path()).is_err(), "what was done is not known");
    }

    #[test]
    fn a_record_of_every_version_is_understood() {
        let formats = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/formats"));
        for version in fs::read_dir(formats).unwrap() {
            let file = version.unwrap().path().join("agent/recoveries/prox1-1000.json");
            if file.exists() {
                let text = fs::read_to_string(&file).unwrap();
                let read: Record = serde_json::from_str(&text).unwrap();
                assert_eq!(read, record(Step::Running), "{}", file.display());
            }
        }
    }
}
