//! What is kept of drills: `drills/CLUSTER/NUMBER/`, with `running.json` while one goes on, and `record.json` from its end on. The last is what
//! counts: from it on, the first is only to be tidied away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use quorate_identity::{FileError, create_private_dir, write_secret_file};
use quorate_model::Timestamp;
use quorate_model::drill::record::{NONE_BEFORE, Record, RecordError};
use quorate_model::drill::timeline::Subject;
use quorate_model::drill::{Circumstances, Event, GuestFate, Prediction};
use quorate_model::finding::{Finding, KnownFinding};
use quorate_model::held::GuestVolume;
use quorate_model::ids::{ClusterName, NodeName, OperationId, RolloutId};
use quorate_model::operation::Operation;
use quorate_model::plan::Step;
use quorate_model::view::ClockOffset;
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::stage::Stage;
use crate::documents::{self, DocumentError};

/// The largest record that is read, in bytes: some hundred thousand events.
const LARGEST: u64 = 64 << 20;

/// A drill that goes on. Kept before each stage, and whenever something is known that must not be lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) number: u64,
    pub(crate) cluster: ClusterName,
    pub(crate) order: Order,
    pub(crate) operator: String,
    pub(crate) began: Timestamp,
    pub(crate) stage: Stage,
    /// The cluster file that it was planned by.
    pub(crate) spec: Spec,
    /// What was shown.
    pub(crate) findings: Vec<Finding>,
    pub(crate) fates: Vec<GuestFate>,
    pub(crate) before: Vec<Step>,
    pub(crate) after: Vec<Step>,
    pub(crate) circumstances: Circumstances,
    pub(crate) predicted: Prediction,
    pub(crate) recovered: BTreeSet<u32>,
    /// The canary whose copy on the victim is overwritten afterwards, as it was shown.
    #[serde(default)]
    pub(crate) discards: Option<u32>,
    /// What the victim keeps of that canary's disc for cloud-init and is freed afterwards, as it was shown.
    #[serde(default)]
    pub(crate) leaves: Option<GuestVolume>,
    /// What was asked for so that copies are young.
    #[serde(default)]
    pub(crate) syncs: Syncs,
    /// The rollouts that move guests.
    #[serde(default)]
    pub(crate) moves: Moves,
    /// The watch on all nodes, and the fault: both have this name.
    pub(crate) operation: OperationId,
    /// How each node's clock stood before the fault.
    #[serde(default)]
    pub(crate) clocks: BTreeMap<NodeName, ClockOffset>,
    /// What the guest can be recovered from, as it stood before the fault.
    #[serde(default)]
    pub(crate) copies: Vec<Copied>,
    /// What was said of the cluster before the fault.
    #[serde(default)]
    pub(crate) known: BTreeSet<KnownFinding>,
    #[serde(default)]
    pub(crate) fault: FaultSeen,
    /// What the coordinator tells of its own.
    #[serde(default)]
    pub(crate) events: Vec<Event>,
    /// By whose word, or why, it ended before its end.
    #[serde(default)]
    pub(crate) aborted: Option<String>,
    /// What did not return to normal.
    #[serde(default)]
    pub(crate) left: Vec<Finding>,
}

/// The cluster file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) text: String,
}

/// The rollouts of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Moves {
    pub(crate) off: Option<RolloutId>,
    /// What lets go of the canary's copy.
    #[serde(default)]
    pub(crate) resolved: Option<RolloutId>,
    /// What frees the canary's disc for cloud-init on the victim.
    #[serde(default)]
    pub(crate) cleared: Option<RolloutId>,
    pub(crate) back: Option<RolloutId>,
}

impl Moves {
    /// Those that were begun.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &RolloutId> {
        [&self.off, &self.resolved, &self.cleared, &self.back]
            .into_iter()
            .flatten()
    }
}

/// Copies of customers' guests that are made anew: on the disk before any of it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Syncs {
    /// From when on a copy has to be, by the coordinator's clock; `None`: nothing was asked for yet.
    pub(crate) since: Option<Timestamp>,
    /// What each owner is asked for.
    pub(crate) asked: Vec<(NodeName, Operation)>,
}

/// A copy of the watched guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copied {
    /// Where.
    pub(crate) on: NodeName,
    /// When the last run began that succeeded, by the owner's clock.
    pub(crate) at: Option<Timestamp>,
    /// The oldest that it gets by its schedule.
    pub(crate) promised: Option<std::time::Duration>,
}

/// What is known of the fault, by the coordinator's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FaultSeen {
    /// It was asked for.
    pub(crate) asked: Option<Timestamp>,
    /// It was made, or might have been, at the latest.
    pub(crate) made: Option<Timestamp>,
    /// It was last seen to hold.
    pub(crate) held: Option<Timestamp>,
    /// It was seen to be gone.
    pub(crate) gone: Option<Timestamp>,
}

impl Running {
    /// What its line is about.
    pub(crate) fn subject(&self) -> Subject {
        Subject {
            victim: self.order.node.clone(),
            fault: self.order.fault.clone(),
            kind: self.order.kind,
            guest: self.order.guest,
            recovered: self.recovered.clone(),
        }
    }

    /// `drill 7 (cut-prox1)`.
    pub(crate) fn name(&self) -> String {
        name(self.number, self.order.name.as_ref().map(|name| name.as_str()))
    }
}

fn name(number: u64, drill: Option<&str>) -> String {
    match drill {
        Some(drill) => format!("drill {number} ({drill})"),
        None => format!("drill {number}"),
    }
}

/// Why what is kept can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} can't be read", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is no usable record", path.display())]
    Record { path: PathBuf, source: RecordError },
}

/// The drills of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// Those of this cluster.
    pub(crate) fn of(drills: &Path, cluster: &ClusterName) -> Self {
        Self {
            dir: drills.join(cluster.as_str()),
        }
    }

    /// Where they lie.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of one.
    pub(crate) fn one(&self, number: u64) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// The numbers of all that were begun.
    pub(crate) fn numbers(&self) -> BTreeSet<u64> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn recorded(&self) -> impl Iterator<Item = u64> {
        let is_recorded = move |number: &u64| self.one(*number).join("record.json").exists();
        self.numbers().into_iter().filter(is_recorded)
    }

    /// The one that is not over, if there is one.
    ///
    /// # Errors
    /// It can't be read: it is not over all the same.
    pub(crate) fn unfinished(&self) -> Result<Option<Running>, KeptError> {
        for number in self.numbers().into_iter().rev() {
            let dir = self.one(number);
            if dir.join("record.json").exists() {
                continue;
            }
            if let Some(running) = documents::load(&dir.join("running.json"))? {
                return Ok(Some(running));
            }
        }
        Ok(None)
    }

    /// The number of the next one, and the digest of the record before it. A folder in which nothing was begun is taken again.
    ///
    /// # Errors
    /// The last record can't be read.
    pub(crate) fn next(&self) -> Result<(u64, String), KeptError> {
        Ok(match self.last()? {
            Some(last) => (last.number.saturating_add(1), last.digest),
            None => (1, NONE_BEFORE.to_owned()),
        })
    }

    /// Keeps one that goes on.
    ///
    /// # Errors
    /// It is not on the disk.
    pub(crate) fn keep(&self, running: &Running) -> Result<(), KeptError> {
        let dir = self.one(running.number);
        if let Some(drills) = self.dir.parent() {
            create_private_dir(drills)?;
        }
        create_private_dir(&self.dir)?;
        create_private_dir(&dir)?;
        Ok(documents::save(&dir.join("running.json"), running)?)
    }

    /// The text of a record; `None`: there is none.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn text(&self, number: u64) -> Result<Option<String>, KeptError> {
        let path = self.one(number).join("record.json");
        let read = |path: &Path| {
            if std::fs::metadata(path)?.len() > LARGEST {
                return Err(std::io::Error::other("it is too large"));
            }
            std::fs::read_to_string(path)
        };
        match read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeptError::Read { path, source }),
        }
    }

    /// A record.
    ///
    /// # Errors
    /// It can't be read, or was altered.
    pub(crate) fn record(&self, number: u64) -> Result<Option<Record>, KeptError> {
        let Some(text) = self.text(number)? else {
            return Ok(None);
        };
        let read = Record::read(&text);
        read.map(Some).map_err(|source| KeptError::Record {
            path: self.one(number).join("record.json"),
            source,
        })
    }

    /// The last one.
    ///
    /// # Errors
    /// As [`Folder::record`].
    pub(crate) fn last(&self) -> Result<Option<Record>, KeptError> {
        match self.recorded().last() {
            Some(number) => self.record(number),
            None => Ok(None),
        }
    }

    /// All of them by number, from the oldest to the newest, also those that can't be read.
    pub(crate) fn each(&self) -> Vec<(u64, Result<Record, KeptError>)> {
        let read = |number: u64| Some((number, self.record(number).transpose()?));
        self.recorded().filter_map(read).collect()
    }

    /// All of them, from the oldest to the newest.
    ///
    /// # Errors
    /// As [`Folder::record`].
    pub(crate) fn records(&self) -> Result<Vec<Record>, KeptError> {
        let read = self.recorded().map(|number| self.record(number));
        Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Keeps a record, as a document, a page and a text; then what was only for the way to it goes.
    ///
    /// # Errors
    /// It is not on the disk.
    pub(crate) fn seal(&self, record: &Record) -> Result<(), KeptError> {
        let dir = self.one(record.number);
        let path = dir.join("record.json");
        let text = record.to_json().map_err(|source| KeptError::Record {
            path: path.clone(),
            source,
        })?;
        write_secret_file(&dir.join("report.html"), &quorate_show::drill_page(record))?;
        write_secret_file(&dir.join("report.txt"), &quorate_show::drill(record))?;
        write_secret_file(&path, &text)?;
        self.tidy(record.number);
        Ok(())
    }

    /// What a record stands for is not kept twice.
    pub(crate) fn tidy(&self, number: u64) {
        let dir = self.one(number);
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let raw = name == "running.json" || name.starts_with("probe-") || name.starts_with("events-");
            if raw && let Err(error) = std::fs::remove_file(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "what a record stands for is not tidied away");
            }
        }
    }

    /// Since when the last one is over, and what it is called.
    ///
    /// # Errors
    /// As [`Folder::record`].
    pub(crate) fn last_over(&self) -> Result<Option<(String, Timestamp)>, KeptError> {
        let last = self.last()?;
        Ok(last.map(|last| {
            (
                name(last.number, last.drill.as_ref().map(|name| name.as_str())),
                last.ended,
            )
        }))
    }
}
